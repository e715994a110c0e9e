/* SPDX-License-Identifier: Apache-2.0 */
/* timeout: 600 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const ls_conv_transpose2d_args *a = r->args;
    const ls_tensor                *x = r->node->in[0], *w = r->node->in[1], *y = r->node->out[0];
    const int64_t C = x->dim[0], H = x->dim[1], W = x->dim[2], O = y->dim[0], OH = y->dim[1], OW = y->dim[2];
    const int64_t KO = w->dim[1], KH = w->dim[2], KW = w->dim[3];
    const int64_t top = a->pad_top ? a->pad_top : a->padding_h, left = a->pad_left ? a->pad_left : a->padding_w;
    for (int64_t k = 0; k < r->rows * O * OH * OW; k++) r->y[0][k] = r->x[2] ? r->x[2][k / (OH * OW) % O] : 0;
    for (int64_t k = 0; k < r->rows * C * H * W; k++) {
        const int64_t b = k / (C * H * W), c = k / (H * W) % C, i = k / W % H, j = k % W;
        const double *weight = r->x[1] + c * KO * KH * KW;
        double       *to     = r->y[0] + (b * O + c / (C / a->groups) * KO) * OH * OW;
        for (int64_t o = 0; o < KO; o++, to += OH * OW)
            for (int64_t kh = 0; kh < KH; kh++) {
                const int64_t h = i * a->stride_h + kh * a->dilation_h - top;
                int64_t       v = j * a->stride_w - left;
                for (int64_t kw = 0; kw < KW; kw++, v += a->dilation_w, weight++)
                    if (h >= 0 && h < OH && v >= 0 && v < OW) to[h * OW + v] += r->x[0][k] * *weight;
            }
    }
}

#define W(...)                                                                                                         \
    {                                                                                                                  \
        .dims = {__VA_ARGS__}, .param = true, .std = 0.3f                                                              \
    }
#define NO_BIAS                                                                                                        \
    {                                                                                                                  \
        .absent = true                                                                                                 \
    }
#define ARGS(...)                                                                                                      \
    &(ls_conv_transpose2d_args) { __VA_ARGS__ }

CHECK_OP(conv_transpose2d, reference, {.in = {{.dims = {1, 1, 1}}, W(1, 1, 1, 1), W(1)}, .out = {1, 1, 1}},
         {.in = {{.dims = {6, 5, 5}}, W(6, 3, 3, 3), W(3)}, .out = {3, 7, 7}},
         {.in = {{.dims = {8, 6, 7}}, W(8, 20, 2, 2), W(20)}, .args = ARGS(.stride = 2), .out = {20, 12, 14}},
         {.in   = {{.dims = {20, 5, 6}}, W(20, 18, 3, 3), W(18)},
          .args = ARGS(.stride = 2, .padding = 1, .output_padding = 1),
          .out  = {18, 10, 12}},
         {.in   = {{.dims = {3, 4, 7}}, W(3, 5, 4, 3), NO_BIAS},
          .args = ARGS(.stride_h = 3, .padding_w = 1, .dilation_w = 2, .output_padding_w = 1),
          .out  = {5, 13, 10}},
         {.in   = {{.dims = {6, 5, 5}}, W(6, 2, 3, 3), W(4)},
          .args = ARGS(.groups = 2, .pad_top = 2, .pad_right = 1),
          .out  = {4, 5, 6}},
         /* a stride larger than the kernel: elements of y without products are the bias */
         {.in = {{.dims = {2, 3, 3}}, W(2, 3, 2, 2), W(3)}, .args = ARGS(.stride = 4), .out = {3, 10, 10}},
         /* output padding beyond the stride, allowed below the dilation */
         {.in   = {{.dims = {2, 4, 4}}, W(2, 3, 3, 3), W(3)},
          .args = ARGS(.dilation = 3, .output_padding = 2),
          .out  = {3, 12, 12}},
         {.in = {{.dims = {4, 18, 18}}, W(4, 9, 3, 3), W(9)}, .args = ARGS(.padding = 1), .out = {9, 18, 18}})

static void test_refused(void **state)
{
    CHECK_REFUSED(conv_transpose2d, "expected x: B x C x H x W", {.in = {{.dims = {28, 28}}, W(6, 1, 5, 5), NO_BIAS}});
    CHECK_REFUSED(conv_transpose2d, "expected weights C x O/groups", {.in = {{.dims = {6, 8, 8}}, W(6, 25), NO_BIAS}});
    CHECK_REFUSED(conv_transpose2d, "for 3 channels", {.in = {{.dims = {6, 8, 8}}, W(3, 6, 5, 5), NO_BIAS}});
    CHECK_REFUSED(conv_transpose2d, "expected a bias of length 4",
                  {.in = {{.dims = {6, 8, 8}}, W(6, 2, 3, 3), W(2)}, .args = ARGS(.groups = 2)});
    CHECK_REFUSED(
        conv_transpose2d, "output_padding_h is 2, expected 0 ... 1",
        {.in = {{.dims = {6, 8, 8}}, W(6, 2, 3, 3), NO_BIAS}, .args = ARGS(.stride = 2, .output_padding = 2)});
    CHECK_REFUSED(conv_transpose2d, "the output along h has size 0",
                  {.in = {{.dims = {6, 3, 8}}, W(6, 2, 2, 2), NO_BIAS}, .args = ARGS(.padding = 2)});
}

CHECK_MAIN(cmocka_unit_test(check_conv_transpose2d), cmocka_unit_test(test_refused))
