/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const int64_t rows = ls__numel(r->node->in[1]), n = ls__numel(r->node->in[0]), all = rows + n;
    for (int64_t i = 0; i < r->rows * all; i++)
        r->y[0][i] = i % all < rows ? r->x[1][i % all] : r->x[0][i / all * n + i % all - rows];
}

CHECK_OP(prepend, reference, {.in = {{.dims = {1, 1}}, {.dims = {1, 1}, .param = true}}, .out = {2, 1}},
         {.in = {{.dims = {3, 7}}, {.dims = {1, 7}, .param = true}}, .out = {4, 7}},
         {.in = {{.dims = {5, 33}}, {.dims = {2, 33}, .param = true}}, .out = {7, 33}})

static void test_refused(void **state)
{
    CHECK_REFUSED(prepend, "expected B x T x C", {.in = {{.dims = {7}}, {.dims = {1, 7}, .param = true}}});
    CHECK_REFUSED(prepend, "the last dims differ", {.in = {{.dims = {3, 7}}, {.dims = {1, 6}, .param = true}}});
}

CHECK_MAIN(cmocka_unit_test(check_prepend), cmocka_unit_test(test_refused))
