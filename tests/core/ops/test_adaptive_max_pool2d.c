/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

/* The first of equal values is the maximum.  Many values of bfloat16 are equal.  The reference compares rounded values,
 * so that the maximum stays the same while central differences change one of them. */
static void reference(const check_ref *r)
{
    const ls_tensor *x = r->node->in[0], *y = r->node->out[0];
    const int64_t    H = x->dim[1], W = x->dim[2], OH = y->dim[1], OW = y->dim[2];
    for (int64_t p = 0, at = 0; p < r->rows * x->dim[0]; p++)
        for (int64_t i = 0; i < OH; i++)
            for (int64_t j = 0; j < OW; j++, at++) {
                float most  = -INFINITY;
                r->y[0][at] = -INFINITY;
                for (int64_t h = (int64_t)floor((double)(i * H) / (double)OH); h * OH < (i + 1) * H; h++)
                    for (int64_t w = (int64_t)floor((double)(j * W) / (double)OW); w * OW < (j + 1) * W; w++) {
                        const double exact = r->x[0][(p * H + h) * W + w];
                        const float  value = check_rounded((float)exact, x->type);
                        if (!(value > most)) continue;
                        most        = value;
                        r->y[0][at] = exact;
                    }
            }
}

#define ARGS(...)                                                                                                      \
    &(ls_adaptive_pool2d_args) { __VA_ARGS__ }

CHECK_OP(adaptive_max_pool2d, reference, {.in = {{.dims = {16, 7, 7}}}, .out = {16, 1, 1}},
         {.in = {{.dims = {2, 33, 41}}}, .args = ARGS(.size = 1), .out = {2, 1, 1}},
         {.in = {{.dims = {3, 12, 40}}}, .args = ARGS(.size_h = 6, .size_w = 20), .out = {3, 6, 20}},
         {.in = {{.dims = {3, 12, 36}}}, .args = ARGS(.size_h = 4, .size_w = 9), .out = {3, 4, 9}},
         {.in = {{.dims = {3, 13, 37}}}, .args = ARGS(.size = 6), .out = {3, 6, 6}},
         {.in = {{.dims = {2, 2, 3}}}, .args = ARGS(.size = 7), .out = {2, 7, 7}},
         {.in = {{.dims = {1, 1, 1}}}, .args = ARGS(.size = 1), .out = {1, 1, 1}})

static void test_refused(void **state)
{
    CHECK_REFUSED(adaptive_max_pool2d, "expected x: B x C x H x W", {.in = {{.dims = {28, 28}}}});
    CHECK_REFUSED(adaptive_max_pool2d, "size must be at least 1",
                  {.in = {{.dims = {1, 8, 8}}}, .args = ARGS(.size = -2)});
}

CHECK_MAIN(cmocka_unit_test(check_adaptive_max_pool2d), cmocka_unit_test(test_refused))
