/* SPDX-License-Identifier: Apache-2.0
 *
 * Average pooling: the mean of each window, per channel.      x: B x C x H x W  ->  y: B x C x OH x OW
 *
 * Forward     y[c, i, j] = 1/n(i, j) sum over kh, kw of  x[c, i stride_h - padding_h + kh, j stride_w - padding_w + kw]
 * Backward    dx[c, h, w] = sum of dy[c, i, j] / n(i, j) over the windows that contain (h, w)
 *
 * The sum skips positions outside of the input.  n(i, j) counts the elements of the window that lie in the input or its
 * padding; ceil_mode may place others beyond, which do not count.  exclude_padding counts those in the input alone, as
 * PyTorch's count_include_pad=False does.
 */
#include "core/ops/pool2d.h"

#define ATTRIBUTES(a, h, first, last) LS_POOL_ATTRIBUTES(a, h, first, last, .ceil_mode = (a)->ceil_mode)

static ls_status axes(const ls_node *n, ls_window *h, ls_window *w)
{
    ls_avg_pool2d_args *a = n->args;
    h->in                 = n->in[0]->dim[1];
    w->in                 = n->in[0]->dim[2];
    LS_TRY(ls__window_infer(n, &ATTRIBUTES(a, h, top, bottom), h));
    return ls__window_infer(n, &ATTRIBUTES(a, w, left, right), w);
}

static ls_status infer(ls_node *n)
{
    ls_window h, w;
    LS_TRY(ls__expect_planes(n));
    LS_TRY(axes(n, &h, &w));
    ls__out(n, 0, n->in[0]->type, true, 3, (const int64_t[]){n->in[0]->dim[0], h.out, w.out});
    return LS_OK;
}

static double flops(const ls_node *n)
{
    const ls_avg_pool2d_args *a = n->args;
    return (double)ls__numel(n->out[0]) * a->kernel_h * a->kernel_w;
}

/* Whether the mean is over elements of the input alone; TensorFlow's padding is never counted. */
static bool excludes_padding(const ls_node *n)
{
    const ls_avg_pool2d_args *a = n->args;
    return a->exclude_padding || a->same == LS_SAME_TENSORFLOW;
}

/* Returns the number of elements of window i along one dim that count for the mean. */
static int64_t counted(const ls_window *a, int64_t i, bool exclude_padding)
{
    const int64_t at = ls__pool_at(a, i);
    int64_t       from, to;
    ls__pool_clip(a, i, &from, &to);
    if (exclude_padding) return to - from;
    return ls__min(a->kernel, a->in + a->after - at);
}

/* Returns the sum of the rows [h0, h1) of a window of w0 ... w1 - 1; rows that cover the input are summed as one. */
V_INLINE float wide_sum(const ls_dtype type, const ls_window *w, const void *x, int64_t h0, int64_t h1, int64_t w0,
                        int64_t w1)
{
    float sum = 0;
    if (w1 - w0 == w->in) return v_sum_as(type, x, h0 * w->in, (h1 - h0) * w->in);
    for (int64_t h = h0; h < h1; h++) sum += v_sum_as(type, x, h * w->in + w0, w1 - w0);
    return sum;
}

/* Returns the sums of windows [j, j + n) of output row i.  `inside`: n <= LS_V, and all columns lie in the input; else
 * n is 1. */
V_INLINE vf window_sums(const ls_dtype type, const ls_window *h, const ls_window *w, const void *x, int64_t i,
                        int64_t j, int64_t n, bool inside)
{
    int64_t h0, h1, w0 = 0, w1 = w->kernel;
    ls__pool_clip(h, i, &h0, &h1);
    if (!inside) ls__pool_clip(w, j, &w0, &w1);
    if (w->adaptive) {
        const int64_t at = ls__pool_at(h, i), left = ls__pool_at(w, j);
        return v_set(wide_sum(type, w, x, at + h0, at + h1, left, left + w1));
    }
    if (w1 - w0 == w->in && w->in > 1) { /* whole rows: n is 1 */
        const int64_t at = ls__pool_at(h, i);
        return v_set(wide_sum(type, w, x, at + h0, at + h1, 0, w->in));
    }
    vf sum = v_set(0);
    for (int64_t kh = h0; kh < h1; kh++)
        for (int64_t kw = w0; kw < w1; kw++)
            sum += ls__load_strided(type, x, (ls__pool_at(h, i) + kh) * w->in + ls__pool_at(w, j) + kw, w->stride, n,
                                    h->in * w->in);
    return sum;
}

V_INLINE void plane_forward(const ls_dtype type, const ls_window *h, const ls_window *w, bool exclude, const void *x,
                            void *y)
{
    int64_t inside, outside;
    ls__pool_inside(w, &inside, &outside);
    for (int64_t i = 0; i < h->out; i++) {
        const int64_t rows = counted(h, i, exclude);
        for (int64_t j = 0; j < w->out;) {
            const bool    whole = j >= inside && j < outside;
            const int64_t n     = !whole ? 1 : outside - j < LS_V ? outside - j : LS_V;
            const vf mean = window_sums(type, h, w, x, i, j, n, whole) / v_set((float)(rows * counted(w, j, exclude)));
            v_store_part_as(type, y, i * w->out + j, mean, n);
            j += n;
        }
    }
}

/* Arguments of `scatter`. */
typedef struct windows {
    ls_window h, w;
    bool      exclude; /* padding is not counted */
} windows;

/* Adds to dx the gradients of the windows of a plane. */
static void scatter(const void *args, int64_t plane, const float *dy, float *dx)
{
    const ls_window *h = &((const windows *)args)->h, *w = &((const windows *)args)->w;
    const bool       exclude = ((const windows *)args)->exclude;
    const bool       samples =
        h->kernel == 1 && w->kernel == 1 && h->before == 0 && h->after == 0 && w->before == 0 && w->after == 0;
    (void)plane;
    for (int64_t i = 0; samples && i < h->out; i++)
        for (int64_t j = 0; j < w->out; j++) dx[i * h->stride * w->in + j * w->stride] += dy[i * w->out + j];
    for (int64_t i = 0; !samples && i < h->out; i++) {
        const int64_t rows = counted(h, i, exclude);
        int64_t       h0, h1;
        ls__pool_clip(h, i, &h0, &h1);
        for (int64_t j = 0; j < w->out; j++) {
            const float d = dy[i * w->out + j] / (float)(rows * counted(w, j, exclude));
            int64_t     w0, w1;
            ls__pool_clip(w, j, &w0, &w1);
            for (int64_t kh = h0; kh < h1; kh++) {
                float *to = dx + (ls__pool_at(h, i) + kh) * w->in + ls__pool_at(w, j);
                for (int64_t kw = w0; kw < w1; kw++) to[kw] += d;
            }
        }
    }
}

void ls__avg_pool_forward(const ls_call *c, const ls_window *h, const ls_window *w, bool exclude)
{
    const int64_t planes = c->rows * c->node->in[0]->dim[0];
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < planes; p++) {
        const ls_array x = ls__from(ls__x(c, 0), p * h->in * w->in), y = ls__from(ls__y(c, 0), p * h->out * w->out);
        if (x.type == LS_BF16)
            plane_forward(LS_BF16, h, w, exclude, x.data, y.data);
        else
            plane_forward(LS_F32, h, w, exclude, x.data, y.data);
    }
}

void ls__avg_pool_backward(const ls_call *c, const ls_window *h, const ls_window *w, bool exclude)
{
    const windows a = {*h, *w, exclude};
    if (!c->dx[0]) return;
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < c->rows * c->node->in[0]->dim[0]; p++) ls__plane_backward(c, p, scatter, &a);
}

static void forward(const ls_call *c)
{
    ls_window h, w; /* the shape rule has rejected invalid attributes */
    if (axes(c->node, &h, &w) == LS_OK) ls__avg_pool_forward(c, &h, &w, excludes_padding(c->node));
}

static void backward(const ls_call *c)
{
    ls_window h, w;
    if (axes(c->node, &h, &w) == LS_OK) ls__avg_pool_backward(c, &h, &w, excludes_padding(c->node));
}

#define INT_FIELD(member) LS_FIELD(INT, ls_avg_pool2d_args, member)
LS_OP(avg_pool2d) = {
    .name       = "avg_pool2d",
    .args_bytes = sizeof(ls_avg_pool2d_args),
    .ins        = 1,
    .outs       = 1,
    .either     = 1u << 0,
    .fields     = LS_FIELDS(INT_FIELD(kernel), INT_FIELD(kernel_h), INT_FIELD(kernel_w), INT_FIELD(stride),
                            INT_FIELD(stride_h), INT_FIELD(stride_w), INT_FIELD(padding), INT_FIELD(padding_h),
                            INT_FIELD(padding_w), INT_FIELD(pad_top), INT_FIELD(pad_bottom), INT_FIELD(pad_left),
                            INT_FIELD(pad_right), LS_FIELD_OF(ls__same_names, ls_avg_pool2d_args, same),
                            LS_FIELD(BOOL, ls_avg_pool2d_args, ceil_mode),
                            LS_FIELD(BOOL, ls_avg_pool2d_args, exclude_padding)),
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
    .scratch    = ls__plane_scratch,
    .flops      = flops,
};
