/* SPDX-License-Identifier: Apache-2.0
 *
 * Average pooling over one, two and three dims: the mean of each window, per channel.
 *      x: B x C x H x W  ->  y: B x C x OH x OW
 *
 * Forward     y[c, i, j] = 1/n(i, j) sum over kh, kw of  x[c, i stride_h - padding_h + kh, j stride_w - padding_w + kw]
 * Backward    dx[c, h, w] = sum of dy[c, i, j] / n(i, j) over the windows that contain (h, w)
 *
 * The sum skips positions outside of the input.  n(i, j) counts the elements of the window that lie in the input or its
 * padding; ceil_mode may place others beyond, which do not count.  exclude_padding counts those in the input alone, as
 * PyTorch's count_include_pad=False does.  avg_pool3d has a depth before the height; avg_pool1d has the width alone.
 */
#include "core/ops/pool2d.h"

#define ATTRIBUTES(a, h, first, last) LS_POOL_ATTRIBUTES(a, h, first, last, .ceil_mode = (a)->ceil_mode)

static ls_status axes(const ls_node *n, ls_windows *a)
{
    ls_avg_pool_args *args = n->args;
    return ls__windows_infer(n, LS_WINDOWS_ATTRIBUTES_OF(args, ATTRIBUTES), a);
}

static ls_status infer(ls_node *n)
{
    ls_windows a;
    LS_TRY(ls__expect_planes(n));
    LS_TRY(axes(n, &a));
    ls__out_windows(n, 0, n->in[0]->type, n->in[0]->dim[0], &a);
    return LS_OK;
}

static double flops(const ls_node *n)
{
    ls_windows a; /* the shape rule has rejected invalid attributes */
    return axes(n, &a) == LS_OK ? (double)(ls__numel(n->out[0]) * a.d.kernel * a.h.kernel * a.w.kernel) : 0;
}

/* Whether the mean is over elements of the input alone; TensorFlow's padding is never counted. */
static bool excludes_padding(const ls_node *n)
{
    const ls_avg_pool_args *a = n->args;
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

/* Returns the sum of columns [left, left + count) of an output row's window; rows that cover the input are summed as
 * one. */
V_INLINE float wide_sum(const ls_dtype type, const ls_windows *a, const ls_pool_row *r, const void *x, int64_t left,
                        int64_t count)
{
    float sum = 0;
    for (int64_t kd = r->d0; kd < r->d1; kd++) {
        float         plane = 0;
        const int64_t at = ls__pool_place(r, kd, r->h0) + left, rows = r->h1 - r->h0;
        if (count == a->w.in)
            plane = v_sum_as(type, x, at, rows * count);
        else
            for (int64_t k = 0; k < rows; k++) plane += v_sum_as(type, x, at + k * a->w.in, count);
        sum += plane;
    }
    return sum;
}

/* Returns the sums of windows [j, j + n) of an output row.  `inside`: n <= LS_V, and all columns lie in the input; else
 * n is 1. */
V_INLINE vf window_sums(const ls_dtype type, const ls_windows *a, const ls_pool_row *r, const void *x, int64_t j,
                        int64_t n, bool inside)
{
    const ls_window *w  = &a->w;
    int64_t          w0 = 0, w1 = w->kernel;
    if (!inside) ls__pool_clip(w, j, &w0, &w1);
    if (w->adaptive) return v_set(wide_sum(type, a, r, x, ls__pool_at(w, j), w1));
    if (w1 - w0 == w->in && w->in > 1) return v_set(wide_sum(type, a, r, x, 0, w->in)); /* whole rows: n is 1 */
    vf sum = v_set(0);
    for (int64_t kd = r->d0; kd < r->d1; kd++)
        for (int64_t kh = r->h0; kh < r->h1; kh++)
            for (int64_t kw = w0; kw < w1; kw++)
                sum += ls__load_strided(type, x, ls__pool_place(r, kd, kh) + ls__pool_at(w, j) + kw, w->stride, n,
                                        ls__windows_in(a));
    return sum;
}

/* Returns the rows of the windows of output row i of a plane that count for the mean, over all depths. */
static int64_t counted_rows(const ls_windows *a, int64_t i, bool exclude)
{
    return counted(&a->d, i / a->h.out, exclude) * counted(&a->h, i % a->h.out, exclude);
}

V_INLINE void plane_forward(const ls_dtype type, const ls_windows *a, bool exclude, const void *x, void *y)
{
    int64_t inside, outside;
    ls__pool_inside(&a->w, &inside, &outside);
    for (int64_t i = 0; i < a->d.out * a->h.out; i++) {
        const ls_pool_row r    = ls__pool_row(a, i);
        const int64_t     rows = counted_rows(a, i, exclude);
        for (int64_t j = 0; j < a->w.out;) {
            const bool    whole = j >= inside && j < outside;
            const int64_t n     = !whole ? 1 : outside - j < LS_V ? outside - j : LS_V;
            const vf      mean =
                window_sums(type, a, &r, x, j, n, whole) / v_set((float)(rows * counted(&a->w, j, exclude)));
            v_store_part_as(type, y, i * a->w.out + j, mean, n);
            j += n;
        }
    }
}

/* Arguments of `scatter`. */
typedef struct scatter_args {
    const ls_windows *a;
    bool              exclude; /* padding is not counted */
} scatter_args;

/* Whether each window is one element of the input. */
static bool single(const ls_window *a) { return a->kernel == 1 && a->before == 0 && a->after == 0; }

/* Adds to dx the gradients of the windows of a plane. */
static void scatter(const void *args, int64_t plane, const float *dy, float *dx)
{
    const ls_windows *a = ((const scatter_args *)args)->a;
    const ls_window  *w = &a->w;
    const bool exclude = ((const scatter_args *)args)->exclude, samples = single(&a->d) && single(&a->h) && single(w);
    (void)plane;
    for (int64_t i = 0; i < a->d.out * a->h.out; i++) {
        const ls_pool_row r    = ls__pool_row(a, i);
        const int64_t     rows = counted_rows(a, i, exclude);
        float            *to   = samples ? dx + ls__pool_place(&r, 0, 0) : dx;
        for (int64_t j = 0; samples && j < w->out; j++) to[j * w->stride] += dy[i * w->out + j];
        for (int64_t j = 0; !samples && j < w->out; j++) {
            const float d = dy[i * w->out + j] / (float)(rows * counted(w, j, exclude));
            int64_t     w0, w1;
            ls__pool_clip(w, j, &w0, &w1);
            for (int64_t kd = r.d0; kd < r.d1; kd++)
                for (int64_t kh = r.h0; kh < r.h1; kh++) {
                    to = dx + ls__pool_place(&r, kd, kh) + ls__pool_at(w, j);
                    for (int64_t kw = w0; kw < w1; kw++) to[kw] += d;
                }
        }
    }
}

void ls__avg_pool_forward(const ls_call *c, const ls_windows *a, bool exclude)
{
    const int64_t planes = c->rows * c->node->in[0]->dim[0];
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < planes; p++) {
        const ls_array x = ls__from(ls__x(c, 0), p * ls__windows_in(a)),
                       y = ls__from(ls__y(c, 0), p * ls__windows_out(a));
        if (x.type == LS_BF16)
            plane_forward(LS_BF16, a, exclude, x.data, y.data);
        else
            plane_forward(LS_F32, a, exclude, x.data, y.data);
    }
}

void ls__avg_pool_backward(const ls_call *c, const ls_windows *a, bool exclude)
{
    const scatter_args args = {a, exclude};
    if (!c->dx[0]) return;
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < c->rows * c->node->in[0]->dim[0]; p++) ls__plane_backward(c, p, scatter, &args);
}

static void forward(const ls_call *c)
{
    ls_windows a; /* the shape rule has rejected invalid attributes */
    if (axes(c->node, &a) == LS_OK) ls__avg_pool_forward(c, &a, excludes_padding(c->node));
}

static void backward(const ls_call *c)
{
    ls_windows a;
    if (axes(c->node, &a) == LS_OK) ls__avg_pool_backward(c, &a, excludes_padding(c->node));
}

/* The descriptor of avg_pool1d, avg_pool2d or avg_pool3d. */
#define AVG_POOL(n)                                                                                                    \
    {                                                                                                                  \
        .name = "avg_pool" #n "d", .args_bytes = sizeof(ls_avg_pool_args), .ins = 1, .outs = 1, .either = 1u << 0,     \
        .dims = n,                                                                                                     \
        .fields =                                                                                                      \
            LS_FIELDS(LS_WINDOW_FIELDS_##n(ls_avg_pool_args, kernel), LS_WINDOW_FIELDS_##n(ls_avg_pool_args, stride),  \
                      LS_WINDOW_FIELDS_##n(ls_avg_pool_args, padding), LS_SIDE_FIELDS_##n(ls_avg_pool_args),           \
                      LS_FIELD_OF(ls__same_names, ls_avg_pool_args, same),                                             \
                      LS_FIELD(BOOL, ls_avg_pool_args, ceil_mode), LS_FIELD(BOOL, ls_avg_pool_args, exclude_padding)), \
        .infer = infer, .forward = {[LS_CPU] = forward}, .backward = {[LS_CPU] = backward},                            \
        .scratch = ls__plane_scratch, .flops = flops,                                                                  \
    }
LS_OP(avg_pool1d) = AVG_POOL(1);
LS_OP(avg_pool2d) = AVG_POOL(2);
LS_OP(avg_pool3d) = AVG_POOL(3);
