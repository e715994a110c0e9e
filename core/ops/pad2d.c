/* SPDX-License-Identifier: Apache-2.0
 *
 * Padding of planes of one, two and three dims, in the modes of PyTorch's torch.nn.functional.pad.
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

/* The axes of a plane: depth, rows, columns.  One that the op does not have has one position and no padding. */
enum { AXES = 3 };
typedef struct padding {
    axis d, h, w;
} padding;

static padding padding_of(const ls_node *n)
{
    const ls_pad_args *a      = n->args;
    const int   side[AXES][2] = {{a->pad_front, a->pad_back}, {a->pad_top, a->pad_bottom}, {a->pad_left, a->pad_right}};
    const int   own[AXES] = {a->padding_d, a->padding_h, a->padding_w}, absent = AXES - ls__op(n)->dims;
    padding     p;
    axis *const dim[AXES] = {&p.d, &p.h, &p.w};
    for (int i = 0; i < AXES; i++)
        *dim[i] = i < absent ? (axis){.in = 1}
                             : (axis){n->in[0]->dim[1 + i - absent], side[i][0] ? side[i][0] : own[i],
                                      side[i][1] ? side[i][1] : own[i], a->mode};
    return p;
}

/* Resolves the padding of each dim that the input has.  The others must have none. */
static ls_status resolve(const ls_node *n)
{
    ls_pad_args *a         = n->args;
    int *const   own[AXES] = {&a->padding_d, &a->padding_h, &a->padding_w};
    const int    absent    = AXES - ls__op(n)->dims;
    const bool given[AXES] = {a->padding_d || a->pad_front || a->pad_back, a->padding_h || a->pad_top || a->pad_bottom};
    for (int i = 0; i < AXES; i++) {
        LS_NODE_CHECK(n, i >= absent || !given[i], "has padding of the dim %c, which its input %s does not have",
                      "dhw"[i], ls__shape(n->in[0]));
        if (i >= absent && !*own[i]) *own[i] = a->padding;
    }
    return LS_OK;
}

static ls_status infer(ls_node *n)
{
    LS_TRY(ls__expect_planes(n));
    LS_TRY(resolve(n));
    const padding     p             = padding_of(n);
    const axis *const dim[AXES]     = {&p.d, &p.h, &p.w};
    const int         absent        = AXES - ls__op(n)->dims;
    int64_t           out[AXES + 1] = {n->in[0]->dim[0]};
    for (int i = absent; i < AXES; i++) {
        const axis   *d    = dim[i];
        const int64_t most = d->mode == LS_PAD_REFLECT ? d->in - 1 : d->mode == LS_PAD_CIRCULAR ? d->in : INT32_MAX;
        LS_NODE_CHECK(n, d->before >= 0 && d->after >= 0 && d->before <= most && d->after <= most,
                      "padding along %c is %lld and %lld, expected 0 ... %lld for the input %s", "dhw"[i],
                      (long long)d -> before, (long long)d -> after, (long long)most, ls__shape(n->in[0]));
        out[1 + i - absent] = d->in + d->before + d->after;
    }
    ls__out(n, 0, n->in[0]->type, true, 1 + AXES - absent, out);
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

static int64_t padded(const axis *d) { return d->before + d->in + d->after; }

/* Returns the first element of the row of the input that row i of y reads, counted over all depths; -1: none. */
static int64_t source_row(const padding *p, int64_t i)
{
    const int64_t rows = padded(&p->h), d = source(&p->d, i / rows), h = source(&p->h, i % rows);
    return d < 0 || h < 0 ? -1 : (d * p->h.in + h) * p->w.in;
}

static void plane_forward(const padding *p, ls_array x, ls_array y)
{
    const axis   *w    = &p->w;
    const int64_t cols = padded(w);
    const size_t  size = ls__array_bytes(x.type);
    for (int64_t i = 0; i < padded(&p->d) * padded(&p->h); i++) {
        const int64_t from = source_row(p, i), to = i * cols;
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
    const padding *p    = args;
    const axis    *w    = &p->w;
    const int64_t  cols = padded(w);
    (void)plane;
    for (int64_t i = 0; i < padded(&p->d) * padded(&p->h); i++) {
        const int64_t s    = source_row(p, i);
        const float  *from = dy + i * cols;
        float        *to   = dx + s;
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
    const int64_t    in = ls__plane(x), out = ls__plane(y);
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

/* The descriptor of pad1d, pad2d or pad3d. */
#define PAD(n)                                                                                                         \
    {                                                                                                                  \
        .name = "pad" #n "d", .args_bytes = sizeof(ls_pad_args), .ins = 1, .outs = 1, .either = 1u << 0, .dims = n,    \
        .fields = LS_FIELDS(LS_WINDOW_FIELDS_##n(ls_pad_args, padding), LS_SIDE_FIELDS_##n(ls_pad_args),               \
                            LS_FIELD_OF(ls__pad_names, ls_pad_args, mode)),                                            \
        .infer = infer, .forward = {[LS_CPU] = forward}, .backward = {[LS_CPU] = backward},                            \
        .scratch = ls__plane_scratch,                                                                                  \
    }
LS_OP(pad1d) = PAD(1);
LS_OP(pad2d) = PAD(2);
LS_OP(pad3d) = PAD(3);
