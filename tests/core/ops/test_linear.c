/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    int64_t i_dim = ls__cols(r->node->in[0]), o_dim = r->node->in[1]->dim[0], rows = check_numel(r, 0) / i_dim;
    for (int64_t p = 0; p < rows; p++)
        for (int64_t o = 0; o < o_dim; o++) {
            double sum = r->x[2] ? r->x[2][o] : 0;
            for (int64_t i = 0; i < i_dim; i++) sum += r->x[0][p * i_dim + i] * r->x[1][o * i_dim + i];
            r->y[0][p * o_dim + o] = sum;
        }
}

CHECK_OP(linear, reference,
         {.in = {{.dims = {1}}, {.dims = {1, 1}, .param = true}, {.dims = {1}, .param = true}}, .out = {1}},
         {.in = {{.dims = {7}}, {.dims = {33, 7}, .param = true}, {.dims = {33}, .param = true}}, .out = {33}},
         {.in = {{.dims = {33}}, {.dims = {7, 33}, .param = true}, {.absent = true}}, .out = {7}},
         {.in = {{.dims = {3, 5, 10}}, {.dims = {12, 10}, .param = true}, {.dims = {12}, .param = true}}, .out = {3, 5, 12}},
         {.in = {{.dims = {400}}, {.dims = {120, 400}, .param = true}, {.dims = {120}, .param = true}}, .out = {120}})

static void test_refused(void **state)
{
    CHECK_REFUSED(linear, "last dims differ", {.in = {{.dims = {3}}, {.dims = {5, 4}, .param = true}, {.absent = true}}});
    CHECK_REFUSED(linear, "expected 5", {.in = {{.dims = {3}}, {.dims = {5, 3}, .param = true}, {.dims = {3}, .param = true}}});
    CHECK_REFUSED(linear, "expected a parameter of 2 dims", {.in = {{.dims = {3}}, {.dims = {5, 3}}, {.absent = true}}});
    CHECK_REFUSED(linear, "ls_flatten", {.in = {{.std = 1}, {.dims = {5, 3}, .param = true}, {.absent = true}}});
}

CHECK_MAIN(cmocka_unit_test(check_linear), cmocka_unit_test(test_refused))
