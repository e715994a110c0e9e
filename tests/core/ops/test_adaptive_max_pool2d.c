/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"
#include "tests/windows.h"

/* The first of equal values is the maximum.  Many values of bfloat16 are equal.  The reference compares rounded values,
 * so that the maximum stays the same while central differences change one of them. */
static void reference(const check_ref *r)
{
    const ls_tensor *x = r->node->in[0];
    const space      X = space_of(x, 1), Y = space_of(r->node->out[0], 1);
    for (int64_t k = 0; k < r->rows * x->dim[0] * Y.d * Y.h * Y.w; k++) {
        const int64_t j = k % Y.w, i = k / Y.w % Y.h, e = k / Y.w / Y.h % Y.d, p = k / Y.w / Y.h / Y.d;
        float         most = -INFINITY;
        r->y[0][k]         = -INFINITY;
        for (int64_t d = (int64_t)floor((double)(e * X.d) / (double)Y.d); d * Y.d < (e + 1) * X.d; d++)
            for (int64_t h = (int64_t)floor((double)(i * X.h) / (double)Y.h); h * Y.h < (i + 1) * X.h; h++)
                for (int64_t w = (int64_t)floor((double)(j * X.w) / (double)Y.w); w * Y.w < (j + 1) * X.w; w++) {
                    const double exact = r->x[0][((p * X.d + d) * X.h + h) * X.w + w];
                    const float  value = check_rounded((float)exact, x->type);
                    if (!(value > most)) continue;
                    most       = value;
                    r->y[0][k] = exact;
                }
    }
}

#define ARGS(...)                                                                                                      \
    &(ls_adaptive_pool_args) { __VA_ARGS__ }

CHECK_OP(adaptive_max_pool2d, reference, {.in = {{.dims = {16, 7, 7}}}, .out = {16, 1, 1}},
         {.in = {{.dims = {2, 33, 41}}}, .args = ARGS(.size = 1), .out = {2, 1, 1}},
         {.in = {{.dims = {3, 12, 40}}}, .args = ARGS(.size_h = 6, .size_w = 20), .out = {3, 6, 20}},
         {.in = {{.dims = {3, 12, 36}}}, .args = ARGS(.size_h = 4, .size_w = 9), .out = {3, 4, 9}},
         {.in = {{.dims = {3, 13, 37}}}, .args = ARGS(.size = 6), .out = {3, 6, 6}},
         {.in = {{.dims = {2, 2, 3}}}, .args = ARGS(.size = 7), .out = {2, 7, 7}},
         {.in = {{.dims = {1, 1, 1}}}, .args = ARGS(.size = 1), .out = {1, 1, 1}})

CHECK_OP(adaptive_max_pool1d, reference, {.in = {{.dims = {2, 37}}}, .args = ARGS(.size = 6), .out = {2, 6}})

CHECK_OP(adaptive_max_pool3d, reference,
         {.in = {{.dims = {2, 5, 7, 20}}}, .args = ARGS(.size = 3), .out = {2, 3, 3, 3}},
         {.in = {{.dims = {2, 4, 6, 9}}}, .args = ARGS(.size_d = 2, .size_h = 3, .size_w = 4), .out = {2, 2, 3, 4}})

static void test_refused(void **state)
{
    CHECK_REFUSED(adaptive_max_pool1d, "has a size of the dim h",
                  {.in = {{.dims = {1, 28}}}, .args = ARGS(.size_h = 2)});
    CHECK_REFUSED(adaptive_max_pool2d, "expected x: B x C x H x W", {.in = {{.dims = {28, 28}}}});
    CHECK_REFUSED(adaptive_max_pool2d, "size_h must be at least 1",
                  {.in = {{.dims = {1, 8, 8}}}, .args = ARGS(.size = -2)});
}

CHECK_MAIN(cmocka_unit_test(check_adaptive_max_pool1d), cmocka_unit_test(check_adaptive_max_pool2d),
           cmocka_unit_test(check_adaptive_max_pool3d), cmocka_unit_test(test_refused))
