/* SPDX-License-Identifier: Apache-2.0
 *
 * Padding of planes, in the modes of PyTorch's torch.nn.functional.pad.
 *      x: B x C x H x W  ->  y: B x C x (H + pad_top + pad_bottom) x (W + pad_left + pad_right)
 *
 * Forward     y[c, i, j] = x[c, s(i - pad_top, H), s(j - pad_left, W)]
 *             zeros       s(k, n) = k, and y is 0 outside of the input
 *             reflect     s(k, n) = |k|, or 2 (n - 1) - k behind the end: the border is not repeated
 *             replicate   s(k, n) = the nearest of 0 ... n - 1
 *             circular    s(k, n) = k mod n
 * Backward    dx[c, h, w] = sum of dy[c, i, j] over the (i, j) that read x[c, h, w], in their order
 */
#include "core/base/integer.h"
#include "core/ops/plane.h"

/* Padding of one dim. */
typedef struct axis {
    int64_t     in, before, after;
    ls_pad_mode mode;
} axis;

/* The axes of the node: [0] rows, [1] columns. */
typedef struct padding {
    axis dim[2];
} padding;

static padding padding_of(const ls_node *n)
{
    const ls_pad2d_args *a = n->args;
    const int            h = a->padding_h ? a->padding_h : a->padding, w = a->padding_w ? a->padding_w : a->padding;
    return (padding){{{n->in[0]->dim[1], a->pad_top ? a->pad_top : h, a->pad_bottom ? a->pad_bottom : h, a->mode},
                      {n->in[0]->dim[2], a->pad_left ? a->pad_left : w, a->pad_right ? a->pad_right : w, a->mode}}};
}

static ls_status infer(ls_node *n)
{
    int64_t out[2];
    LS_TRY(ls__expect_planes(n));
    const padding p = padding_of(n);
    for (int i = 0; i < 2; i++) {
        const axis   *d    = &p.dim[i];
        const int64_t most = d->mode == LS_PAD_REFLECT ? d->in - 1 : d->mode == LS_PAD_CIRCULAR ? d->in : INT32_MAX;
        LS_NODE_CHECK(n, d->before >= 0 && d->after >= 0 && d->before <= most && d->after <= most,
                      "padding along %s is %lld and %lld, expected 0 ... %lld for the input %s", i ? "w" : "h",
                      (long long)d->before, (long long)d->after, (long long)most, ls__shape(n->in[0]));
        out[i] = d->in + d->before + d->after;
    }
    ls__out(n, 0, n->in[0]->type, true, 3, (const int64_t[]){n->in[0]->dim[0], out[0], out[1]});
    return LS_OK;
}

/* Returns the position of the input that output position i reads; -1: none, y is zero. */
static int64_t source(const axis *d, int64_t i)
{
    const int64_t k = i - d->before, n = d->in;
    if (k >= 0 && k < n) return k;
    switch (d->mode) {
    case LS_PAD_REFLECT:
        return k < 0 ? -k : 2 * (n - 1) - k;
    case LS_PAD_REPLICATE:
        return k < 0 ? 0 : n - 1;
    case LS_PAD_CIRCULAR:
        return k < 0 ? k + n : k - n;
    default:
        return -1;
    }
}

/* Writes element `to` of y: element `from` of x, or 0 if it is negative. */
static void set(ls_array x, int64_t from, ls_array y, int64_t to)
{
    if (x.type == LS_BF16)
        ((uint16_t *)y.data)[to] = from < 0 ? 0 : ((const uint16_t *)x.data)[from];
    else
        ((float *)y.data)[to] = from < 0 ? 0 : ((const float *)x.data)[from];
}

static void plane_forward(const padding *p, ls_array x, ls_array y)
{
    const axis   *h = &p->dim[0], *w = &p->dim[1];
    const int64_t rows = h->before + h->in + h->after, cols = w->before + w->in + w->after;
    const size_t  size = ls__array_bytes(x.type);
    for (int64_t i = 0; i < rows; i++) {
        const int64_t from = source(h, i) * w->in, to = i * cols;
        if (from < 0) {
            memset(ls__from(y, to).data, 0, (size_t)cols * size);
            continue;
        }
        memcpy(ls__from(y, to + w->before).data, ls__from(x, from).data, (size_t)w->in * size);
        for (int64_t k = 0; k < w->before + w->after; k++) {
            const int64_t j = k < w->before ? k : k + w->in, s = source(w, j);
            set(x, s < 0 ? s : from + s, y, to + j);
        }
    }
}

/* Adds dy of each element to the element of the input that it reads. */
static void scatter(const void *args, int64_t plane, const float *dy, float *dx)
{
    const axis   *h = &((const padding *)args)->dim[0], *w = &((const padding *)args)->dim[1];
    const int64_t rows = h->before + h->in + h->after, cols = w->before + w->in + w->after;
    (void)plane;
    for (int64_t i = 0; i < rows; i++) {
        const int64_t s    = source(h, i);
        const float  *from = dy + i * cols;
        float        *to   = dx + s * w->in;
        if (s < 0) continue;
        V_MAP(w->in, V_PUT(to, V_GET(to) + v_load_part(from + w->before + v_at, v_left)));
        for (int64_t k = 0; k < w->before + w->after; k++) {
            const int64_t j = k < w->before ? k : k + w->in;
            if (source(w, j) >= 0) to[source(w, j)] += from[j];
        }
    }
}

static void forward(const ls_call *c)
{
    const padding    p = padding_of(c->node);
    const ls_tensor *x = c->node->in[0], *y = c->node->out[0];
    const int64_t    in = x->dim[1] * x->dim[2], out = y->dim[1] * y->dim[2];
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < c->rows * x->dim[0]; i++)
        plane_forward(&p, ls__from(ls__x(c, 0), i * in), ls__from(ls__y(c, 0), i * out));
}

static void backward(const ls_call *c)
{
    const padding p = padding_of(c->node);
    if (!c->dx[0]) return;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < c->rows * c->node->in[0]->dim[0]; i++) ls__plane_backward(c, i, scatter, &p);
}

#define INT_FIELD(member) LS_FIELD(INT, ls_pad2d_args, member)
LS_OP(pad2d) = {
    .name       = "pad2d",
    .args_bytes = sizeof(ls_pad2d_args),
    .ins        = 1,
    .outs       = 1,
    .either     = 1u << 0,
    .fields     = LS_FIELDS(INT_FIELD(padding), INT_FIELD(padding_h), INT_FIELD(padding_w), INT_FIELD(pad_top),
                            INT_FIELD(pad_bottom), INT_FIELD(pad_left), INT_FIELD(pad_right),
                            LS_FIELD_OF(ls__pad_names, ls_pad2d_args, mode)),
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
    .scratch    = ls__plane_scratch,
};
