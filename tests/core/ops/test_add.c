/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    int64_t count = check_numel(r, 1);
    for (int64_t i = 0; i < check_numel(r, 0); i++) r->y[0][i] = r->x[0][i] + r->x[1][i % count];
}

CHECK_OP(add, reference, {.in = {{.dims = {1}}, {.dims = {1}}}}, {.in = {{.dims = {7, 33}}, {.dims = {7, 33}}}},
         {.in = {{.dims = {7}}, {.dims = {7}, .param = true}}},
         {.in = {{.dims = {3, 7, 33}}, {.dims = {7, 33}, .param = true}}},
         {.in = {{.dims = {2, 2100}}, {.dims = {2100}, .param = true}}},
         {.in = {{.dims = {5, 3}}, {.std = 1, .param = true}}})

static void test_refused(void **state)
{
    CHECK_REFUSED(add, "last dims of the first", {.in = {{.dims = {3, 4}}, {.dims = {3}, .param = true}}});
    CHECK_REFUSED(add, "last dims of the first", {.in = {{.dims = {3, 4}}, {.dims = {4}}}});
    CHECK_REFUSED(add, "no batch dim", {.in = {{.dims = {4}, .param = true}, {.dims = {4}}}});
}

CHECK_MAIN(cmocka_unit_test(check_add), cmocka_unit_test(test_refused))
