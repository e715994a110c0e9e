/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"
#include "tests/windows.h"

/* Number of elements of a window, as in PyTorch's avg_pool2d (ATen/native/cpu/AvgPoolKernel.cpp). */
static void reference(const check_ref *r)
{
    const ls_avg_pool2d_args *a = r->args;
    const ls_tensor          *x = r->node->in[0], *y = r->node->out[0];
    const int64_t             H = x->dim[1], W = x->dim[2];
    const sides v      = sides_of(a->same, a->pad_top, a->pad_bottom, a->padding_h, H, a->kernel_h, a->stride_h, 1),
                u      = sides_of(a->same, a->pad_left, a->pad_right, a->padding_w, W, a->kernel_w, a->stride_w, 1);
    const bool exclude = a->exclude_padding || a->same == LS_SAME_TENSORFLOW;
    for (int64_t p = 0, at = 0; p < r->rows * x->dim[0]; p++)
        for (int64_t i = 0; i < y->dim[1]; i++)
            for (int64_t j = 0; j < y->dim[2]; j++) {
                int64_t h0 = i * a->stride_h - v.before, h1 = h0 + a->kernel_h, w0 = j * a->stride_w - u.before,
                        w1 = w0 + a->kernel_w;
                if (h1 > H + v.after) h1 = H + v.after;
                if (w1 > W + u.after) w1 = W + u.after;
                const int64_t all = (h1 - h0) * (w1 - w0);
                h0 = h0 < 0 ? 0 : h0, w0 = w0 < 0 ? 0 : w0, h1 = h1 > H ? H : h1, w1 = w1 > W ? W : w1;
                double sum = 0;
                for (int64_t h = h0; h < h1; h++)
                    for (int64_t w = w0; w < w1; w++) sum += r->x[0][(p * H + h) * W + w];
                r->y[0][at++] = sum / (double)(exclude ? (h1 - h0) * (w1 - w0) : all);
            }
}

#define ARGS(...)                                                                                                      \
    &(ls_avg_pool2d_args) { __VA_ARGS__ }

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

static void test_refused(void **state)
{
    CHECK_REFUSED(avg_pool2d, "expected x: B x C x H x W", {.in = {{.dims = {28, 28}}}, .args = ARGS(.kernel = 2)});
    CHECK_REFUSED(avg_pool2d, "kernel_h must be at least 1", {.in = {{.dims = {1, 28, 28}}}});
    CHECK_REFUSED(avg_pool2d, "at most half of the window",
                  {.in = {{.dims = {1, 8, 8}}}, .args = ARGS(.kernel = 3, .padding = 2)});
}

CHECK_MAIN(cmocka_unit_test(check_avg_pool2d), cmocka_unit_test(test_refused))
