/* SPDX-License-Identifier: Apache-2.0
 * conv2d in float64, and macros for its cases: for the tests of the op and of its kernels. */
#ifndef LS_TESTS_CONV2D_REFERENCE_H
#define LS_TESTS_CONV2D_REFERENCE_H

#include "tests/check_op.h"
#include "tests/windows.h"

static inline void conv2d_reference(const check_ref *r)
{
    const ls_conv2d_args *a = r->args;
    const ls_tensor      *x = r->node->in[0], *w = r->node->in[1], *y = r->node->out[0];
    const int64_t         C = x->dim[0], H = x->dim[1], W = x->dim[2], O = y->dim[0], OH = y->dim[1], OW = y->dim[2];
    const int64_t         KC = w->dim[1], KH = w->dim[2], KW = w->dim[3];
    double               *to = r->y[0];
    const int64_t
        top  = sides_of(a->same, a->pad_top, a->pad_bottom, a->padding_h, H, KH, a->stride_h, a->dilation_h).before,
        left = sides_of(a->same, a->pad_left, a->pad_right, a->padding_w, W, KW, a->stride_w, a->dilation_w).before;
    for (int64_t b = 0; b < r->rows; b++)
        for (int64_t o = 0; o < O; o++)
            for (int64_t i = 0; i < OH; i++)
                for (int64_t j = 0; j < OW; j++) {
                    double sum = r->x[2] ? r->x[2][o] : 0;
                    for (int64_t c = 0; c < KC; c++)
                        for (int64_t kh = 0; kh < KH; kh++) {
                            const int64_t h  = i * a->stride_h + kh * a->dilation_h - top,
                                          in = o / (O / a->groups) * KC + c;
                            if (h < 0 || h >= H) continue;
                            const double *row    = r->x[0] + ((b * C + in) * H + h) * W,
                                         *weight = r->x[1] + ((o * KC + c) * KH + kh) * KW;
                            int64_t at           = j * a->stride_w - left;
                            for (int64_t kw = 0; kw < KW; kw++, at += a->dilation_w)
                                if (at >= 0 && at < W) sum += weight[kw] * row[at];
                        }
                    *to++ = sum;
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
    &(ls_conv2d_args) { __VA_ARGS__ }

#endif
