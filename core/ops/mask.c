/* SPDX-License-Identifier: Apache-2.0
 *
 * Masks on attention scores (Vaswani 2017).      x: B x H x T x S   ->  y: B x H x T x S
 *      key_padding: B x S of int32 or none         mask: T x S or H x T x S, of all samples or of each, or none
 *
 * Forward     y[h, t, s] = -inf where key_padding[s] is not 0 or, if causal, s > t; else x[h, t, s] + mask[(h,) t, s]
 * Backward    dx = dy, 0 where y was set to -inf
 *             dmask: the same, summed over heads if it is shared by them; of a parameter also over samples: a tree over
 * shards
 */
#include <math.h>

#include "core/cpu/vector/elementwise.h"
#include "core/cpu/shard_sum.h"
#include "core/ops/infer.h"

static ls_status infer(ls_node *n)
{
    const ls_tensor *x = n->in[0], *pad = n->in[1], *m = n->in[2];
    LS_TRY(ls__expect_samples(n, 0));
    LS_NODE_CHECK(n, x->rank == 3, "the scores '%s' are %s, expected B x H x T x S", x->name, ls__shape(x));
    if (pad)
        LS_NODE_CHECK(n, pad->type == LS_I32 && pad->batched && pad->rank == 1 && pad->dim[0] == x->dim[2],
                      "key_padding '%s' is %s of %s, and the scores '%s' are %s, expected B x %lld of int32", pad->name,
                      ls__shape(pad), ls__dtype_name(pad->type), x->name, ls__shape(x), (long long)x->dim[2]);
    if (m) {
        bool fits = m->type == LS_F32 && (m->rank == 2 || m->rank == 3);
        for (int i = 1; fits && i <= m->rank; i++) fits = m->dim[m->rank - i] == x->dim[3 - i];
        LS_NODE_CHECK(n, fits,
                      "the mask '%s' is %s of %s, and the scores '%s' are %s, expected T x S or H x T x S of float32",
                      m->name, ls__shape(m), ls__dtype_name(m->type), x->name, ls__shape(x));
    }
    ls__out_like(n, 0, x);
    return LS_OK;
}

/* A row of scores: keys from `seen` on are masked, and of those before it the padded ones. */
typedef struct row {
    int64_t      at, seen, keys; /* at: its first element in x */
    const float *pad;            /* int32 zeros and others, read as they are; NULL: none */
} row;

/* Sample b, and row r of its H x T. */
static row row_of(const ls_call *c, int64_t b, int64_t r)
{
    const ls_tensor *x = c->node->in[0];
    const int64_t    t = r % x->dim[1], s = x->dim[2];
    const bool       causal = ((const ls_mask_args *)c->args)->causal;
    return (row){(b * x->dim[0] * x->dim[1] + r) * s, causal && t + 1 < s ? t + 1 : s, s,
                 c->x[1] ? (const float *)c->x[1] + b * s : NULL};
}

/* Of a row that belongs to H x T, the one of the mask. */
static int64_t mask_row(const ls_call *c, int64_t b, int64_t r)
{
    const ls_tensor *x = c->node->in[0], *m = c->node->in[2];
    const int64_t    rows = ls__rows(m);
    return (m->batched ? b * rows : 0) + (m->rank == 2 ? r % x->dim[1] : r);
}

static void forward_row(row at, const float *x, const float *m, float *y)
{
    const vf masked = v_set(-INFINITY);
    x += at.at;
    y += at.at;
    if (m && at.pad)
        V_MAP(at.seen, V_PUT(y, v_select((vi)V_GET(at.pad) != 0, masked, V_GET(x) + V_GET(m))));
    else if (m)
        V_MAP(at.seen, V_PUT(y, V_GET(x) + V_GET(m)));
    else if (at.pad)
        V_MAP(at.seen, V_PUT(y, v_select((vi)V_GET(at.pad) != 0, masked, V_GET(x))));
    else
        V_MAP(at.seen, V_PUT(y, V_GET(x)));
    for (int64_t s = at.seen; s < at.keys; s++) y[s] = -INFINITY;
}

static void forward(const ls_call *c)
{
    const ls_tensor *x    = c->node->in[0];
    const int64_t    rows = ls__rows(x), s = x->dim[2];
#pragma omp parallel for schedule(static) if (c->rows * rows * s >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < c->rows * rows; k++)
        forward_row(row_of(c, k / rows, k % rows), c->x[0],
                    c->x[2] ? (const float *)c->x[2] + mask_row(c, k / rows, k % rows) * s : NULL, c->y[0]);
}

/* out = dy where nothing is masked, else 0, for keys that are seen. */
static void backward_row(row at, const float *dy, float *out, bool add)
{
    const vf zero = v_set(0);
    dy += at.at;
    if (add && at.pad)
        V_MAP(at.seen, V_PUT(out, V_GET(out) + v_select((vi)V_GET(at.pad) != 0, zero, V_GET(dy))));
    else if (add)
        V_MAP(at.seen, V_PUT(out, V_GET(out) + V_GET(dy)));
    else if (at.pad)
        V_MAP(at.seen, V_PUT(out, v_select((vi)V_GET(at.pad) != 0, zero, V_GET(dy))));
    else
        V_MAP(at.seen, V_PUT(out, V_GET(dy)));
}

static void backward_scores(const ls_call *c)
{
    const ls_tensor *x    = c->node->in[0];
    const int64_t    rows = ls__rows(x), s = x->dim[2];
#pragma omp parallel for schedule(static) if (c->rows * rows * s >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < c->rows * rows; k++) {
        row    at = row_of(c, k / rows, k % rows);
        float *dx = c->dx[0] + at.at;
        backward_row(at, c->dy[0], dx, c->add[0]);
        for (int64_t i = at.seen; i < s && !c->add[0]; i++) dx[i] = 0;
    }
}

/* Row r of the mask's gradient: the sum over samples [from, to), and over heads where they share it, in order. */
static void sum_mask_row(const ls_call *c, int64_t from, int64_t to, int64_t r, float *sum, bool add)
{
    const ls_tensor *x     = c->node->in[0];
    const int64_t    heads = c->node->in[2]->rank == 2 ? x->dim[0] : 1, t = x->dim[1], s = x->dim[2];
    for (int64_t i = 0; i < s && !add; i++) sum[i] = 0;
    for (int64_t b = from; b < to; b++)
        for (int64_t h = 0; h < heads; h++) backward_row(row_of(c, b, h * t + r), c->dy[0], sum, true);
}

static void backward_mask(const ls_call *c)
{
    const ls_tensor *m    = c->node->in[2];
    const int64_t    rows = ls__rows(m), s = ls__cols(m);
    const int64_t    sums = (m->batched ? c->rows : c->shards) * rows;
    float           *sum  = m->batched ? c->dx[2] : c->scratch;
#pragma omp parallel for schedule(static) if (c->rows * ls__numel(c->node->in[0]) >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < sums; k++) {
        int64_t from = m->batched ? k / rows : c->bound[k / rows], to = m->batched ? from + 1 : c->bound[k / rows + 1];
        sum_mask_row(c, from, to, k % rows, sum + k * s, m->batched && c->add[2]);
    }
    if (!m->batched) ls__fold(c, 2, ls__numel(m), sum);
}

static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    (void)rows, (void)threads;
    return backward && n->in[2] && !n->in[2]->batched ? sizeof(float) * (size_t)ls__numel(n->in[2]) * (size_t)shards
                                                      : 0;
}

/* dx[0] may lie over dy, and so comes last. */
static void backward(const ls_call *c)
{
    if (c->dx[2]) backward_mask(c);
    if (c->dx[0]) backward_scores(c);
}

LS_OP(mask) = {
    .name             = "mask",
    .args_bytes       = sizeof(ls_mask_args),
    .ins              = 3,
    .outs             = 1,
    .optional         = 1u << 1 | 1u << 2,
    .saves            = LS_SAVES_IN(1),
    .no_grad          = 1u << 1,
    .inplace          = true,
    .inplace_backward = true,
    .fields           = LS_FIELDS(LS_FIELD(BOOL, ls_mask_args, causal)),
    .infer            = infer,
    .forward          = {[LS_CPU] = forward},
    .backward         = {[LS_CPU] = backward},
    .scratch          = scratch,
};
