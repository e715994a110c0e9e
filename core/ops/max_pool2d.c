/* SPDX-License-Identifier: Apache-2.0
 *
 * Max pooling over one, two and three dims: the largest element of each window, per channel.
 *      x: B x C x H x W  ->  y: B x C x OH x OW   argmax: B x C x OH x OW of int32
 *
 * Forward     y[c, i, j] = max over kh, kw of  x[c, i stride_h - padding_h + kh dilation_h,
 *                                                   j stride_w - padding_w + kw dilation_w]  inside of the input
 * Backward    dx[c, h, w] = sum of dy[c, i, j] over the windows whose argmax is (h, w)
 *
 * As in PyTorch, the first of equal values in row order is the maximum, and NaN is larger than all numbers (the last of
 * several).  argmax is the index in the plane, h W + w, or -1 for a window that lies entirely in the padding, which
 * dilation allows.  max_pool3d has a depth before the height, and max_pool1d has the width alone.
 */
#include <math.h>

#include "core/ops/pool2d.h"

#define ATTRIBUTES(a, h, first, last)                                                                                  \
    LS_POOL_ATTRIBUTES(a, h, first, last, .both[LS_WINDOW_DILATION] = (a)->dilation,                                   \
                       .own[LS_WINDOW_DILATION] = &(a)->dilation_##h, .ceil_mode = (a)->ceil_mode)

static ls_status axes(const ls_node *n, ls_windows *a)
{
    ls_max_pool_args *args = n->args;
    return ls__windows_infer(n, LS_WINDOWS_ATTRIBUTES_OF(args, ATTRIBUTES), a);
}

static ls_status infer(ls_node *n)
{
    ls_windows a;
    LS_TRY(ls__expect_planes(n));
    LS_TRY(axes(n, &a));
    ls__out_windows(n, 0, n->in[0]->type, n->in[0]->dim[0], &a);
    ls__out_windows(n, 1, LS_I32, n->in[0]->dim[0], &a);
    return LS_OK;
}

static double flops(const ls_node *n)
{
    ls_windows a; /* the shape rule has rejected invalid attributes */
    return axes(n, &a) == LS_OK ? (double)(ls__numel(n->out[0]) * a.d.kernel * a.h.kernel * a.w.kernel) : 0;
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

/* Computes window j of an output row, which may reach into the padding, as element `to` of y and argmax. */
V_INLINE void window(const ls_dtype type, const ls_windows *a, const ls_pool_row *r, const void *x, int64_t j, void *y,
                     int32_t *argmax, int64_t to)
{
    int64_t w0, w1;
    ls__pool_clip(&a->w, j, &w0, &w1);
    float   most = -INFINITY;
    int64_t at   = -1;
    for (int64_t kd = r->d0; kd < r->d1; kd++)
        for (int64_t kh = r->h0; kh < r->h1; kh++)
            for (int64_t kw = w0; kw < w1; kw++) {
                const int64_t k     = ls__pool_place(r, kd, kh) + ls__pool_at(&a->w, j) + kw * a->w.dilation;
                const float   value = v_load_1_as(type, x, k);
                if (at < 0 || value > most || value != value) {
                    most = value;
                    at   = k;
                }
            }
    v_store_1_as(type, y, to, most);
    argmax[to] = (int32_t)at;
}

/* Computes windows [j, j + n), n <= LS_V, of an output row; all their columns lie in the input. */
V_INLINE void windows(const ls_dtype type, const ls_windows *a, const ls_pool_row *r, const void *x, int64_t j,
                      int64_t n, vf *y, vi *argmax)
{
    const ls_window *w    = &a->w;
    vf               most = v_set(-INFINITY);
    vi               at   = v_set_int(-1);
    for (int64_t kd = r->d0; kd < r->d1; kd++)
        for (int64_t kh = r->h0; kh < r->h1; kh++)
            for (int64_t kw = 0; kw < w->kernel; kw++) {
                const int64_t k     = ls__pool_place(r, kd, kh) + ls__pool_at(w, j) + kw * w->dilation;
                const vf      value = ls__load_strided(type, x, k, w->stride, n, ls__windows_in(a));
                const vi      here  = v_set_int((int32_t)k) + v_iota() * (int32_t)w->stride;
                const vi      take  = (vi)(value > most) | (vi)(value != value) | (at < 0);
                most                = v_select(take, value, most);
                at                  = (vi)v_select(take, (vf)here, (vf)at);
            }
    *y      = most;
    *argmax = at;
}

/* Stores elements [to, to + n) of the `points` elements of a plane.  Whole vectors are stored where they end in the
 * plane: the lanes past n are overwritten later. */
V_INLINE void store_maxima(const ls_dtype type, void *y, int32_t *argmax, int64_t to, int64_t n, int64_t points,
                           vf most, vi at)
{
    if (to + LS_V <= points) {
        v_store_as(type, y, to, most);
        v_store_int(argmax + to, at);
    } else {
        v_store_part_as(type, y, to, most, n);
        ls__store_lanes(argmax + to, (vu)at, n);
    }
}

V_INLINE void plane_forward(const ls_dtype type, const ls_windows *a, const void *x, void *y, int32_t *argmax)
{
    int64_t inside, outside;
    ls__pool_inside(&a->w, &inside, &outside);
    for (int64_t i = 0; i < a->d.out * a->h.out; i++) {
        const ls_pool_row r   = ls__pool_row(a, i);
        const int64_t     row = i * a->w.out;
        for (int64_t j = 0; j < inside; j++) window(type, a, &r, x, j, y, argmax, row + j);
        for (int64_t j = inside; j < outside; j += LS_V) {
            const int64_t n = outside - j < LS_V ? outside - j : LS_V;
            vf            most;
            vi            at;
            windows(type, a, &r, x, j, n, &most, &at);
            store_maxima(type, y, argmax, row + j, n, ls__windows_out(a), most, at);
        }
        for (int64_t j = outside; j < a->w.out; j++) window(type, a, &r, x, j, y, argmax, row + j);
    }
}

/* Whether windows of 2 with stride 2 cover the axis, except for an odd last position. */
static bool halving(const ls_window *a)
{
    return a->kernel == 2 && a->stride == 2 && a->before == 0 && a->dilation == 1 && a->out == a->in / 2;
}

/* Whether the windows are 2 x 2 with stride 2, on one plane. */
static bool halves(const ls_windows *a) { return a->d.in == 1 && a->d.out == 1 && halving(&a->h) && halving(&a->w); }

/* Updates the maximum *most and its offset *at with the values at offset `step`. */
V_INLINE void update_max(vf value, int32_t step, vf *most, vi *at)
{
    const vi better = (vi)(value > *most) | (vi)(value != value);
    *most           = v_select(better, value, *most);
    *at             = (vi)v_select(better, (vf)v_set_int(step), (vf)*at);
}

V_INLINE void plane_forward_2x2(const ls_dtype type, const ls_windows *a, const void *x, void *y, int32_t *argmax)
{
    const ls_window *h = &a->h, *w = &a->w;
    const int64_t    points = h->out * w->out;
    for (int64_t i = 0; i < h->out; i++)
        for (int64_t j = 0; j < w->out; j += LS_V) {
            const int64_t k = 2 * i * w->in + 2 * j, to = i * w->out + j, n = w->out - j < LS_V ? w->out - j : LS_V;
            vf            most, right, below[2];
            vi            at = v_set_int(0);
            ls__load_pairs(type, x, k, n, &most, &right);
            ls__load_pairs(type, x, k + w->in, n, &below[0], &below[1]);
            update_max(right, 1, &most, &at);
            update_max(below[0], (int32_t)w->in, &most, &at);
            update_max(below[1], (int32_t)w->in + 1, &most, &at);
            store_maxima(type, y, argmax, to, n, points, most, at + v_iota() * 2 + v_set_int((int32_t)k));
        }
}

/* The loops for each kind of windows and each type. */
typedef void plane_fn(const ls_windows *a, const void *x, void *y, int32_t *argmax);
#define PLANE_FN(name, loop, type)                                                                                     \
    static void name(const ls_windows *a, const void *x, void *y, int32_t *argmax) { loop(type, a, x, y, argmax); }
PLANE_FN(any_float32, plane_forward, LS_F32)
PLANE_FN(any_bfloat16, plane_forward, LS_BF16)
PLANE_FN(halving_float32, plane_forward_2x2, LS_F32)
PLANE_FN(halving_bfloat16, plane_forward_2x2, LS_BF16)

/* By [halving][bfloat16]. */
static plane_fn *const plane_table[2][2] = {{any_float32, any_bfloat16}, {halving_float32, halving_bfloat16}};

void ls__max_pool_forward(const ls_call *c, const ls_windows *a)
{
    const int64_t   planes = c->rows * c->node->in[0]->dim[0], in = ls__windows_in(a), out = ls__windows_out(a);
    const ls_array  x = ls__x(c, 0), y = ls__y(c, 0);
    plane_fn *const plane = plane_table[halves(a)][x.type == LS_BF16];
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < planes; p++)
        plane(a, ls__from(x, p * in).data, ls__from(y, p * out).data, (int32_t *)c->y[1] + p * out);
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* Backward for windows of 2 x 2 that cover the plane: writes dx row by row, each element once. */
V_INLINE void plane_backward_2x2(const ls_dtype type, const ls_window *h, const ls_window *w, const void *dy,
                                 const int32_t *argmax, void *dx)
{
    const int64_t in = h->in * w->in, out = h->out * w->out;
    for (int64_t row = 0; row < h->in; row++)
        for (int64_t j = 0; j < w->out; j += LS_V) {
            const int64_t at = row / 2 * w->out + j, to = row * w->in + 2 * j,
                          n = w->out - j < LS_V ? w->out - j : LS_V;
            const vf d      = at + LS_V <= out ? v_load_as(type, dy, at) : v_load_part_as(type, dy, at, n);
            const vi most   = at + LS_V <= out ? v_load_int(argmax + at) : v_load_part_int(argmax + at, n);
            const vi here   = v_set_int((int32_t)to) + v_iota() * 2;
            const vf even   = v_select((vi)(most == here), d, v_set(0));
            const vf odd    = v_select((vi)(most == here + 1), d, v_set(0));
            /* the elements past 2 n are overwritten later */
            ls__store_pairs(type, dx, to, to + 2 * LS_V <= in ? LS_V : n, even, odd);
        }
}

/* Adds dy of each window to the element of its maximum. */
static void scatter(const void *args, int64_t plane, const float *dy, float *dx)
{
    const ls_call *c      = args;
    const int64_t  out    = ls__plane(c->node->out[0]);
    const int32_t *argmax = (const int32_t *)c->y[1] + plane * out;
    for (int64_t k = 0; k < out; k++)
        if (argmax[k] >= 0) dx[argmax[k]] += dy[k];
}

void ls__max_pool_backward(const ls_call *c, const ls_windows *a)
{
    if (!c->dx[0]) return;
    const ls_window *h = &a->h, *w = &a->w;
    const int64_t    planes = c->rows * c->node->in[0]->dim[0], in = ls__windows_in(a), out = ls__windows_out(a);
    const bool       covered = halves(a) && h->in % 2 == 0 && w->in % 2 == 0;
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < planes; p++) {
        const ls_array dy = ls__from(ls__dy(c, 0), p * out), dx = ls__from(ls__dx(c, 0), p * in);
        const int32_t *argmax = (const int32_t *)c->y[1] + p * out;
        if (!covered || c->add[0])
            ls__plane_backward(c, p, scatter, c);
        else if (dx.type == LS_BF16)
            plane_backward_2x2(LS_BF16, h, w, dy.data, argmax, dx.data);
        else
            plane_backward_2x2(LS_F32, h, w, dy.data, argmax, dx.data);
    }
}

static void forward(const ls_call *c)
{
    ls_windows a; /* the shape rule has rejected invalid attributes */
    if (axes(c->node, &a) == LS_OK) ls__max_pool_forward(c, &a);
}

static void backward(const ls_call *c)
{
    ls_windows a;
    if (axes(c->node, &a) == LS_OK) ls__max_pool_backward(c, &a);
}

/* The descriptor of max_pool1d, max_pool2d or max_pool3d. */
#define MAX_POOL(n)                                                                                                    \
    {                                                                                                                  \
        .name = "max_pool" #n "d", .args_bytes = sizeof(ls_max_pool_args), .ins = 1, .outs = 2, .either = 1u << 0,     \
        .saves = LS_SAVES_OUT(1), .dims = n,                                                                           \
        .fields =                                                                                                      \
            LS_FIELDS(LS_WINDOW_FIELDS_##n(ls_max_pool_args, kernel), LS_WINDOW_FIELDS_##n(ls_max_pool_args, stride),  \
                      LS_WINDOW_FIELDS_##n(ls_max_pool_args, padding), LS_SIDE_FIELDS_##n(ls_max_pool_args),           \
                      LS_FIELD_OF(ls__same_names, ls_max_pool_args, same),                                             \
                      LS_WINDOW_FIELDS_##n(ls_max_pool_args, dilation), LS_FIELD(BOOL, ls_max_pool_args, ceil_mode)),  \
        .infer = infer, .forward = {[LS_CPU] = forward}, .backward = {[LS_CPU] = backward},                            \
        .scratch = ls__plane_scratch, .flops = flops,                                                                  \
    }
LS_OP(max_pool1d) = MAX_POOL(1);
LS_OP(max_pool2d) = MAX_POOL(2);
LS_OP(max_pool3d) = MAX_POOL(3);
