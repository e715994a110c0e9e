/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"
#include "tests/windows.h"

/* Number of elements of a window, as in PyTorch's avg_pool2d (ATen/native/cpu/AvgPoolKernel.cpp). */
static void reference(const check_ref *r)
{
    const ls_avg_pool_args *a = r->args;
    const ls_tensor        *x = r->node->in[0];
    const space             X = space_of(x, 1), Y = space_of(r->node->out[0], 1);
    const int64_t           in[] = {X.d, X.h, X.w}, K[] = {or_one(a->kernel_d), or_one(a->kernel_h), a->kernel_w};
    const int64_t           stride[] = {or_one(a->stride_d), or_one(a->stride_h), a->stride_w};
    const sides side[]  = {sides_of(a->same, a->pad_front, a->pad_back, a->padding_d, X.d, K[0], stride[0], 1),
                           sides_of(a->same, a->pad_top, a->pad_bottom, a->padding_h, X.h, K[1], stride[1], 1),
                           sides_of(a->same, a->pad_left, a->pad_right, a->padding_w, X.w, K[2], stride[2], 1)};
    const bool  exclude = a->exclude_padding || a->same == LS_SAME_TENSORFLOW;
    for (int64_t k = 0; k < r->rows * x->dim[0] * Y.d * Y.h * Y.w; k++) {
        const int64_t at[] = {k / Y.w / Y.h % Y.d, k / Y.w % Y.h, k % Y.w}, p = k / Y.w / Y.h / Y.d;
        int64_t       from[3], to[3], all = 1, inside = 1;
        double        sum = 0;
        for (int i = 0; i < 3; i++) {
            from[i] = at[i] * stride[i] - side[i].before;
            to[i]   = from[i] + K[i];
            if (to[i] > in[i] + side[i].after) to[i] = in[i] + side[i].after;
            all *= to[i] - from[i];
            if (from[i] < 0) from[i] = 0;
            if (to[i] > in[i]) to[i] = in[i];
            inside *= to[i] - from[i];
        }
        for (int64_t d = from[0]; d < to[0]; d++)
            for (int64_t h = from[1]; h < to[1]; h++)
                for (int64_t w = from[2]; w < to[2]; w++) sum += r->x[0][((p * X.d + d) * X.h + h) * X.w + w];
        r->y[0][k] = sum / (double)(exclude ? inside : all);
    }
}

#define ARGS(...)                                                                                                      \
    &(ls_avg_pool_args) { __VA_ARGS__ }

CHECK_OP(avg_pool2d, reference, {.in = {{.dims = {6, 28, 28}}}, .args = ARGS(.kernel = 2), .out = {6, 14, 14}},
         {.in = {{.dims = {16, 10, 10}}}, .args = ARGS(.kernel = 2), .out = {16, 5, 5}},
         {.in = {{.dims = {3, 33, 37}}}, .args = ARGS(.kernel = 2, .ceil_mode = true), .out = {3, 17, 19}},
         {.in = {{.dims = {2, 13, 40}}}, .args = ARGS(.kernel = 3, .stride = 2), .out = {2, 6, 19}},
         {.in = {{.dims = {2, 14, 39}}}, .args = ARGS(.kernel = 3, .stride = 2, .padding = 1), .out = {2, 7, 20}},
         {.in   = {{.dims = {2, 14, 39}}},
          .args = ARGS(.kernel = 3, .stride = 2, .padding = 1, .exclude_padding = true),
          .out  = {2, 7, 20}},
         {.in = {{.dims = {2, 11, 38}}}, .args = ARGS(.kernel = 3, .stride = 1, .padding = 1), .out = {2, 11, 38}},
         {.in   = {{.dims = {2, 9, 50}}},
          .args = ARGS(.kernel_h = 1, .kernel_w = 4, .stride_h = 2, .stride_w = 3, .padding_w = 2),
          .out  = {2, 5, 17}},
         {.in = {{.dims = {3, 7, 9}}}, .args = ARGS(.kernel = 2, .stride = 5), .out = {3, 2, 2}},
         {.in   = {{.dims = {2, 10, 10}}},
          .args = ARGS(.kernel = 3, .stride = 2, .padding = 1, .ceil_mode = true),
          .out  = {2, 6, 6}},
         {.in   = {{.dims = {2, 10, 10}}},
          .args = ARGS(.kernel = 3, .stride = 2, .padding = 1, .ceil_mode = true, .exclude_padding = true),
          .out  = {2, 6, 6}},
         {.in   = {{.dims = {2, 11, 40}}},
          .args = ARGS(.kernel = 3, .stride = 2, .pad_bottom = 1, .pad_left = 1),
          .out  = {2, 5, 20}},
         {.in   = {{.dims = {2, 7, 9}}},
          .args = ARGS(.kernel = 3, .stride = 2, .pad_top = 1, .pad_right = 1, .ceil_mode = true),
          .out  = {2, 4, 5}},
         {.in   = {{.dims = {2, 12, 38}}},
          .args = ARGS(.kernel = 3, .stride = 2, .same = LS_SAME_TENSORFLOW),
          .out  = {2, 6, 19}},
         {.in   = {{.dims = {2, 6, 9}}},
          .args = ARGS(.kernel = 2, .stride = 1, .same = LS_SAME_PYTORCH),
          .out  = {2, 6, 9}},
         {.in = {{.dims = {5, 7, 7}}}, .args = ARGS(.kernel = 7), .out = {5, 1, 1}})

CHECK_OP(avg_pool1d, reference, {.in = {{.dims = {3, 40}}}, .args = ARGS(.kernel = 2), .out = {3, 20}},
         {.in   = {{.dims = {2, 20}}},
          .args = ARGS(.kernel = 3, .padding = 1, .ceil_mode = true, .exclude_padding = true),
          .out  = {2, 7}})

CHECK_OP(avg_pool3d, reference,
         {.in = {{.dims = {2, 5, 7, 37}}}, .args = ARGS(.kernel = 3, .stride = 2, .padding = 1), .out = {2, 3, 4, 19}},
         {.in   = {{.dims = {1, 7, 6, 6}}},
          .args = ARGS(.kernel = 2, .kernel_d = 3, .pad_front = 1, .ceil_mode = true, .exclude_padding = true),
          .out  = {1, 3, 3, 3}},
         {.in = {{.dims = {2, 5, 5, 6}}}, .args = ARGS(.kernel = 1, .stride = 2), .out = {2, 3, 3, 3}},
         {.in = {{.dims = {2, 5, 5, 6}}}, .args = ARGS(.kernel = 2, .same = LS_SAME_TENSORFLOW), .out = {2, 3, 3, 3}})

static void test_refused(void **state)
{
    CHECK_REFUSED(avg_pool2d, "expected x: B x C x H x W", {.in = {{.dims = {28, 28}}}, .args = ARGS(.kernel = 2)});
    CHECK_REFUSED(avg_pool2d, "kernel_h must be at least 1", {.in = {{.dims = {1, 28, 28}}}});
    CHECK_REFUSED(avg_pool2d, "at most half of the window",
                  {.in = {{.dims = {1, 8, 8}}}, .args = ARGS(.kernel = 3, .padding = 2)});
}

CHECK_MAIN(cmocka_unit_test(check_avg_pool1d), cmocka_unit_test(check_avg_pool2d), cmocka_unit_test(check_avg_pool3d),
           cmocka_unit_test(test_refused))
