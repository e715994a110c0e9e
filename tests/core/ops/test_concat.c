/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const ls_tensor *x = r->node->in[0], *y = r->node->in[1];
    const int64_t    rows = r->rows * ls__rows(x), m = ls__cols(x), n = ls__cols(y);
    for (int64_t k = 0; k < rows; k++)
        for (int64_t i = 0; i < m + n; i++)
            r->y[0][k * (m + n) + i] = i < m ? r->x[0][k * m + i] : r->x[1][k * n + i - m];
}

CHECK_OP(concat, reference, {.in = {{.dims = {1}}, {.dims = {1}}}, .out = {2}},
         {.in = {{.dims = {7}}, {.dims = {33}}}, .out = {40}},
         {.in = {{.dims = {2, 5}}, {.dims = {2, 2100}}}, .out = {2, 2105}},
         {.in = {{.dims = {5, 3}}, {.dims = {5, 8}}}, .out = {5, 11}})

static void test_refused(void **state)
{
    CHECK_REFUSED(concat, "differ in the last dim only", {.in = {{.dims = {3, 2}}, {.dims = {4, 2}}}});
    CHECK_REFUSED(concat, "differ in the last dim only", {.in = {{.dims = {3}}, {.dims = {4, 2}}}});
    CHECK_REFUSED(concat, "expected float32", {.in = {{.dims = {3}}, {.dims = {3}, .type = LS_I32}}});
}

CHECK_MAIN(cmocka_unit_test(check_concat), cmocka_unit_test(test_refused))
