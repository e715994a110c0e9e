/* SPDX-License-Identifier: Apache-2.0
 * conv1d, conv2d and conv3d in float64, and macros for its cases: for the tests of the op and of its kernels. */
#ifndef LS_TESTS_CONV2D_REFERENCE_H
#define LS_TESTS_CONV2D_REFERENCE_H

#include "tests/check_op.h"
#include "tests/windows.h"

static inline void conv2d_reference(const check_ref *r)
{
    const ls_conv_args *a = r->args;
    const ls_tensor    *x = r->node->in[0], *w = r->node->in[1];
    const space         X = space_of(x, 1), Y = space_of(r->node->out[0], 1), K = space_of(w, 2);
    const int64_t       C = x->dim[0], O = w->dim[0], KC = w->dim[1];
    const int64_t       stride[] = {or_one(a->stride_d), or_one(a->stride_h), a->stride_w};
    const int64_t       step[]   = {or_one(a->dilation_d), or_one(a->dilation_h), a->dilation_w};
    const int64_t       front =
                      sides_of(a->same, a->pad_front, a->pad_back, a->padding_d, X.d, K.d, stride[0], step[0]).before,
                  top = sides_of(a->same, a->pad_top, a->pad_bottom, a->padding_h, X.h, K.h, stride[1], step[1]).before,
                  left =
                      sides_of(a->same, a->pad_left, a->pad_right, a->padding_w, X.w, K.w, stride[2], step[2]).before;
    double *to = r->y[0];
    for (int64_t k = 0; k < r->rows * O * Y.d * Y.h * Y.w; k++) {
        const int64_t j = k % Y.w, i = k / Y.w % Y.h, e = k / Y.w / Y.h % Y.d, o = k / Y.w / Y.h / Y.d % O,
                      b = k / Y.w / Y.h / Y.d / O;
        double sum      = r->x[2] ? r->x[2][o] : 0;
        for (int64_t c = 0; c < KC; c++)
            for (int64_t kd = 0; kd < K.d; kd++)
                for (int64_t kh = 0; kh < K.h; kh++) {
                    const int64_t d = e * stride[0] + kd * step[0] - front, h = i * stride[1] + kh * step[1] - top,
                                  in = o / (O / a->groups) * KC + c;
                    if (d < 0 || d >= X.d || h < 0 || h >= X.h) continue;
                    const double *row    = r->x[0] + (((b * C + in) * X.d + d) * X.h + h) * X.w,
                                 *weight = r->x[1] + (((o * KC + c) * K.d + kd) * K.h + kh) * K.w;
                    int64_t at           = j * stride[2] - left;
                    for (int64_t kw = 0; kw < K.w; kw++, at += step[2])
                        if (at >= 0 && at < X.w) sum += weight[kw] * row[at];
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
    &(ls_conv_args) { __VA_ARGS__ }

#endif
