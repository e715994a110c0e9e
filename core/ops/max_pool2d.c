/* SPDX-License-Identifier: Apache-2.0
 *
 * Max pooling: the largest element of each window, per channel.
 *      x: B x C x H x W  ->  y: B x C x OH x OW   argmax: B x C x OH x OW of int32
 *
 * Forward     y[c, i, j] = max over kh, kw of  x[c, i stride_h - padding_h + kh dilation_h,
 *                                                   j stride_w - padding_w + kw dilation_w]  inside of the input
 * Backward    dx[c, h, w] = sum of dy[c, i, j] over the windows whose argmax is (h, w)
 *
 * As in PyTorch, the first of equal values in row order is the maximum, and NaN is larger than all numbers (the last of
 * several).  argmax is h W + w, or -1 for a window that lies entirely in the padding, which dilation allows.
 */
#include <math.h>
#include <string.h>

#include "core/ops/pool2d.h"

static ls_status axes(const ls_node *n, ls_pool_axis *h, ls_pool_axis *w)
{
    ls_max_pool2d_args *a       = n->args;
    const int           both[4] = {a->kernel, a->stride, a->padding, a->dilation};
    h->in                       = n->in[0]->dim[1];
    w->in                       = n->in[0]->dim[2];
    LS_TRY(ls__pool_axis_infer(n, "h", h, both, (int *[]){&a->kernel_h, &a->stride_h, &a->padding_h, &a->dilation_h},
                               a->ceil_mode));
    return ls__pool_axis_infer(n, "w", w, both, (int *[]){&a->kernel_w, &a->stride_w, &a->padding_w, &a->dilation_w},
                               a->ceil_mode);
}

static ls_status infer(ls_node *n)
{
    ls_pool_axis h, w;
    LS_TRY(ls__pool_expect(n));
    LS_TRY(axes(n, &h, &w));
    ls__out(n, 0, LS_F32, true, 3, (const int64_t[]){n->in[0]->dim[0], h.out, w.out});
    ls__out(n, 1, LS_I32, true, 3, (const int64_t[]){n->in[0]->dim[0], h.out, w.out});
    return LS_OK;
}

static double flops(const ls_node *n)
{
    const ls_max_pool2d_args *a = n->args;
    return (double)ls__numel(n->out[0]) * a->kernel_h * a->kernel_w;
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

/* Computes one window, which may reach into the padding. */
static void window(const ls_pool_axis *h, const ls_pool_axis *w, const float *x, int64_t i, int64_t j, float *y,
                   int32_t *argmax)
{
    int64_t h0, h1, w0, w1;
    ls__pool_clip(h, i, &h0, &h1);
    ls__pool_clip(w, j, &w0, &w1);
    float   most = -INFINITY;
    int64_t at   = -1;
    for (int64_t kh = h0; kh < h1; kh++)
        for (int64_t kw = w0; kw < w1; kw++) {
            const int64_t k = (ls__pool_at(h, i) + kh * h->dilation) * w->in + ls__pool_at(w, j) + kw * w->dilation;
            if (at < 0 || x[k] > most || x[k] != x[k]) {
                most = x[k];
                at   = k;
            }
        }
    *y      = most;
    *argmax = (int32_t)at;
}

/* Computes windows [j, j + n), n <= LS_V, of output row i; all their columns lie in the input. */
static inline void windows(const ls_pool_axis *h, const ls_pool_axis *w, const float *x, int64_t i, int64_t j,
                           int64_t n, vf *y, vi *argmax)
{
    const float *end = x + h->in * w->in;
    int64_t      h0, h1;
    ls__pool_clip(h, i, &h0, &h1);
    vf most = v_set(-INFINITY);
    vi at   = v_set_int(-1);
    for (int64_t kh = h0; kh < h1; kh++)
        for (int64_t kw = 0; kw < w->kernel; kw++) {
            const int64_t k     = (ls__pool_at(h, i) + kh * h->dilation) * w->in + ls__pool_at(w, j) + kw * w->dilation;
            const vf      value = ls__load_strided(x + k, w->stride, n, end);
            const vi      here  = v_set_int((int32_t)k) + v_iota() * (int32_t)w->stride;
            const vi      take  = (vi)(value > most) | (vi)(value != value) | (at < 0);
            most                = v_select(take, value, most);
            at                  = (vi)v_select(take, (vf)here, (vf)at);
        }
    *y      = most;
    *argmax = at;
}

static void plane_forward(const ls_pool_axis *h, const ls_pool_axis *w, const float *x, float *y, int32_t *argmax)
{
    const int64_t points = h->out * w->out;
    int64_t       inside, outside;
    ls__pool_inside(w, &inside, &outside);
    for (int64_t i = 0; i < h->out; i++) {
        const int64_t row = i * w->out;
        for (int64_t j = 0; j < inside; j++) window(h, w, x, i, j, y + row + j, argmax + row + j);
        for (int64_t j = inside; j < outside; j += LS_V) {
            const int64_t n = outside - j < LS_V ? outside - j : LS_V;
            vf            most;
            vi            at;
            windows(h, w, x, i, j, n, &most, &at);
            if (row + j + LS_V <= points) { /* the lanes past n are overwritten later */
                v_store(y + row + j, most);
                v_store_int(argmax + row + j, at);
            } else {
                memcpy(y + row + j, &most, (size_t)n * sizeof *y);
                memcpy(argmax + row + j, &at, (size_t)n * sizeof *argmax);
            }
        }
        for (int64_t j = outside; j < w->out; j++) window(h, w, x, i, j, y + row + j, argmax + row + j);
    }
}

/* Whether windows of 2 with stride 2 cover the axis, except for an odd last position. */
static bool halving(const ls_pool_axis *a)
{
    return a->kernel == 2 && a->stride == 2 && a->padding == 0 && a->dilation == 1 && a->out == a->in / 2;
}

/* Updates the maximum *most and its offset *at with the values at offset `step`. */
V_INLINE void update_max(vf value, int32_t step, vf *most, vi *at)
{
    const vi better = (vi)(value > *most) | (vi)(value != value);
    *most           = v_select(better, value, *most);
    *at             = (vi)v_select(better, (vf)v_set_int(step), (vf)*at);
}

/* Computes LS_V windows from 2 LS_V floats of the rows x0 and x1.  k: index of x0 in the plane; row: floats from x0 to
 * x1. */
V_INLINE void windows_2x2(const float *x0, const float *x1, int64_t k, int64_t row, float *y, int32_t *argmax)
{
    const vf a = v_load(x0), b = v_load(x0 + LS_V), c = v_load(x1), d = v_load(x1 + LS_V);
    vf       most = ls__even(a, b);
    vi       at   = v_set_int(0);
    update_max(ls__odd(a, b), 1, &most, &at);
    update_max(ls__even(c, d), (int32_t)row, &most, &at);
    update_max(ls__odd(c, d), (int32_t)row + 1, &most, &at);
    v_store(y, most);
    v_store_int(argmax, at + v_iota() * 2 + v_set_int((int32_t)k));
}

static void plane_forward_2x2(const ls_pool_axis *h, const ls_pool_axis *w, const float *x, float *y, int32_t *argmax)
{
    const int64_t in = h->in * w->in, points = h->out * w->out;
    for (int64_t i = 0; i < h->out; i++)
        for (int64_t j = 0; j < w->out; j += LS_V) {
            const int64_t k = 2 * i * w->in + 2 * j, to = i * w->out + j, n = w->out - j < LS_V ? w->out - j : LS_V;
            if (to + LS_V <= points && k + w->in + 2 * LS_V <= in) { /* the lanes past n are overwritten later */
                windows_2x2(x + k, x + k + w->in, k, w->in, y + to, argmax + to);
                continue;
            }
            float   x0[2 * LS_V] = {0}, x1[2 * LS_V] = {0}, most[LS_V];
            int32_t at[LS_V];
            memcpy(x0, x + k, (size_t)(2 * n) * sizeof *x);
            memcpy(x1, x + k + w->in, (size_t)(2 * n) * sizeof *x);
            windows_2x2(x0, x1, k, w->in, most, at);
            memcpy(y + to, most, (size_t)n * sizeof *y);
            memcpy(argmax + to, at, (size_t)n * sizeof *at);
        }
}

static void forward(const ls_call *c)
{
    ls_pool_axis h, w;
    if (axes(c->node, &h, &w) != LS_OK) return; /* unreachable: the shape rule rejects invalid attributes */
    const int64_t planes = c->rows * c->node->in[0]->dim[0], in = h.in * w.in, out = h.out * w.out;
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < planes; p++)
        (halving(&h) && halving(&w) ? plane_forward_2x2 : plane_forward)(
            &h, &w, (const float *)c->x[0] + p * in, (float *)c->y[0] + p * out, (int32_t *)c->y[1] + p * out);
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* Backward for windows of 2 x 2 that cover the plane: writes dx row by row, each element once. */
static void plane_backward_2x2(const ls_pool_axis *h, const ls_pool_axis *w, const float *dy, const int32_t *argmax,
                               float *dx)
{
    const int64_t in = h->in * w->in, out = h->out * w->out;
    for (int64_t row = 0; row < h->in; row++)
        for (int64_t j = 0; j < w->out; j += LS_V) {
            const int64_t at = row / 2 * w->out + j, to = row * w->in + 2 * j,
                          n = w->out - j < LS_V ? w->out - j : LS_V;
            const vf d      = at + LS_V <= out ? v_load(dy + at) : v_load_part(dy + at, n);
            const vi most   = at + LS_V <= out ? v_load_int(argmax + at) : v_load_part_int(argmax + at, n);
            const vi here   = v_set_int((int32_t)to) + v_iota() * 2;
            const vf even   = v_select((vi)(most == here), d, v_set(0));
            const vf odd    = v_select((vi)(most == here + 1), d, v_set(0));
            if (to + 2 * LS_V <= in) { /* the floats past 2 n are overwritten later */
                ls__store_interleaved(dx + to, even, odd);
            } else {
                float both[2 * LS_V];
                ls__store_interleaved(both, even, odd);
                memcpy(dx + to, both, (size_t)(2 * n) * sizeof *dx);
            }
        }
}

static void backward(const ls_call *c)
{
    ls_pool_axis h, w;
    if (!c->dx[0] || axes(c->node, &h, &w) != LS_OK) return;
    const int64_t planes = c->rows * c->node->in[0]->dim[0], in = h.in * w.in, out = h.out * w.out;
    const bool    covered = halving(&h) && halving(&w) && h.in % 2 == 0 && w.in % 2 == 0;
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < planes; p++) {
        const float   *dy     = c->dy[0] + p * out;
        const int32_t *argmax = (const int32_t *)c->y[1] + p * out;
        float         *dx     = c->dx[0] + p * in;
        if (covered && !c->add[0]) {
            plane_backward_2x2(&h, &w, dy, argmax, dx);
            continue;
        }
        if (!c->add[0]) memset(dx, 0, (size_t)in * sizeof *dx);
        for (int64_t k = 0; k < out; k++)
            if (argmax[k] >= 0) dx[argmax[k]] += dy[k];
    }
}

#define INT_FIELD(member) LS_FIELD(INT, ls_max_pool2d_args, member)
LS_OP(max_pool2d) = {
    .name       = "max_pool2d",
    .args_bytes = sizeof(ls_max_pool2d_args),
    .ins        = 1,
    .outs       = 2,
    .saves      = LS_SAVES_OUT(1),
    .fields     = LS_FIELDS(INT_FIELD(kernel), INT_FIELD(kernel_h), INT_FIELD(kernel_w), INT_FIELD(stride),
                            INT_FIELD(stride_h), INT_FIELD(stride_w), INT_FIELD(padding), INT_FIELD(padding_h),
                            INT_FIELD(padding_w), INT_FIELD(dilation), INT_FIELD(dilation_h), INT_FIELD(dilation_w),
                            LS_FIELD(BOOL, ls_max_pool2d_args, ceil_mode)),
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
    .flops      = flops,
};
