/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const ls_tensor *x = r->node->in[0], *y = r->node->in[1];
    const bool       channels = ((const ls_concat_args *)r->args)->channels;
    const int64_t    rows = channels ? r->rows : r->rows * ls__rows(x), m = channels ? ls__numel(x) : ls__cols(x),
                  n = channels ? ls__numel(y) : ls__cols(y);
    for (int64_t k = 0; k < rows; k++)
        for (int64_t i = 0; i < m + n; i++)
            r->y[0][k * (m + n) + i] = i < m ? r->x[0][k * m + i] : r->x[1][k * n + i - m];
}

#define CHANNELS                                                                                                       \
    &(ls_concat_args) { .channels = true }

CHECK_OP(concat, reference, {.in = {{.dims = {1}}, {.dims = {1}}}, .out = {2}},
         {.in = {{.dims = {7}}, {.dims = {33}}}, .out = {40}},
         {.in = {{.dims = {2, 5}}, {.dims = {2, 2100}}}, .out = {2, 2105}},
         {.in = {{.dims = {5, 3}}, {.dims = {5, 8}}}, .out = {5, 11}},
         {.in = {{.dims = {1, 3, 5}}, {.dims = {4, 3, 5}}}, .args = CHANNELS, .out = {5, 3, 5}},
         {.in = {{.dims = {7}}, {.dims = {2}}}, .args = CHANNELS, .out = {9}},
         {.in = {{.dims = {16, 9, 8}}, {.dims = {33, 9, 8}}}, .args = CHANNELS, .out = {49, 9, 8}})

static void test_refused(void **state)
{
    CHECK_REFUSED(concat, "differ in the last dim only", {.in = {{.dims = {3, 2}}, {.dims = {4, 2}}}});
    CHECK_REFUSED(concat, "differ in the last dim only", {.in = {{.dims = {3}}, {.dims = {4, 2}}}});
    CHECK_REFUSED(concat, "differ in the first dim only",
                  {.in = {{.dims = {3, 2, 2}}, {.dims = {4, 2, 3}}}, .args = CHANNELS});
    CHECK_REFUSED(concat, "expected float32", {.in = {{.dims = {3}}, {.dims = {3}, .type = LS_I32}}});
}

CHECK_MAIN(cmocka_unit_test(check_concat), cmocka_unit_test(test_refused))
