/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const ls_linear_args *a     = r->args;
    int64_t               i_dim = ls__cols(r->node->in[0]), o_dim = a->rows ? a->rows : r->node->in[1]->dim[0],
            rows = check_numel(r, 0) / i_dim;
    for (int64_t p = 0; p < rows; p++)
        for (int64_t o = 0; o < o_dim; o++) {
            double sum = r->x[2] ? r->x[2][a->first + o] : 0;
            for (int64_t i = 0; i < i_dim; i++) sum += r->x[0][p * i_dim + i] * r->x[1][(a->first + o) * i_dim + i];
            r->y[0][p * o_dim + o] = sum;
        }
}

#define ROWS(first_row, count)                                                                                         \
    &(ls_linear_args) { .first = (first_row), .rows = (count) }

CHECK_OP(linear, reference,
         {.in = {{.dims = {1}}, {.dims = {1, 1}, .param = true}, {.dims = {1}, .param = true}}, .out = {1}},
         {.in = {{.dims = {7}}, {.dims = {33, 7}, .param = true}, {.dims = {33}, .param = true}}, .out = {33}},
         {.in = {{.dims = {33}}, {.dims = {7, 33}, .param = true}, {.absent = true}}, .out = {7}},
         {.in  = {{.dims = {3, 5, 10}}, {.dims = {12, 10}, .param = true}, {.dims = {12}, .param = true}},
          .out = {3, 5, 12}},
         {.in = {{.dims = {400}}, {.dims = {120, 400}, .param = true}, {.dims = {120}, .param = true}}, .out = {120}},
         /* the first, middle and last rows of a weight */
         {.in   = {{.dims = {3, 7}}, {.dims = {33, 7}, .param = true}, {.dims = {33}, .param = true}},
          .out  = {3, 11},
          .args = ROWS(0, 11)},
         {.in   = {{.dims = {7}}, {.dims = {33, 7}, .param = true}, {.dims = {33}, .param = true}},
          .out  = {1},
          .args = ROWS(7, 1)},
         {.in = {{.dims = {7}}, {.dims = {33, 7}, .param = true}, {.absent = true}}, .out = {13}, .args = ROWS(20, 13)})

static void test_refused(void **state)
{
    CHECK_REFUSED(linear, "last dims differ",
                  {.in = {{.dims = {3}}, {.dims = {5, 4}, .param = true}, {.absent = true}}});
    CHECK_REFUSED(linear, "expected length 5",
                  {.in = {{.dims = {3}}, {.dims = {5, 3}, .param = true}, {.dims = {3}, .param = true}}});
    CHECK_REFUSED(linear, "expected a parameter of 2 dims",
                  {.in = {{.dims = {3}}, {.dims = {5, 3}}, {.absent = true}}});
    CHECK_REFUSED(linear, "rows 4 to 5 are selected",
                  {.in = {{.dims = {3}}, {.dims = {5, 3}, .param = true}, {.absent = true}}, .args = ROWS(4, 2)});
    CHECK_REFUSED(linear, "rows -1 to 0 are selected",
                  {.in = {{.dims = {3}}, {.dims = {5, 3}, .param = true}, {.absent = true}}, .args = ROWS(-1, 2)});
    CHECK_REFUSED(linear, "rows 2 to 1 are selected",
                  {.in = {{.dims = {3}}, {.dims = {5, 3}, .param = true}, {.absent = true}}, .args = ROWS(2, 0)});
    CHECK_REFUSED(linear, "ls_flatten", {.in = {{.std = 1}, {.dims = {5, 3}, .param = true}, {.absent = true}}});
}

CHECK_MAIN(cmocka_unit_test(check_linear), cmocka_unit_test(test_refused))
