/* SPDX-License-Identifier: Apache-2.0
 *
 * Masks on attention scores (Vaswani 2017).
 *      x: B x H x T x S   key_padding: B x S of int32 or none   mask: (B x) (H x) T x S or none   ->  y: B x H x T x S
 *
 * Forward     y[h, t, s] = -inf where key_padding[s] is not 0; if causal, where s > t; with a window, where
 *                          s <= t - window
 *             y[h, t, s] = x[h, t, s] + mask[(h,) t, s] elsewhere
 * Backward    dx = dy, and 0 where y is -inf by key_padding, causal or window
 *             dmask = dx, summed over the heads that share the mask; the gradient of a mask that is a parameter is also
 *             summed over samples, as a binary tree over shards
 */
#include <math.h>

#include "core/base/integer.h"
#include "core/cpu/vector/elementwise.h"
#include "core/cpu/shard_sum.h"
#include "core/ops/infer.h"

enum { TILE = 512 }; /* keys that are computed at a time */

static ls_status infer(ls_node *n)
{
    const ls_tensor    *x = n->in[0], *pad = n->in[1], *m = n->in[2];
    const ls_mask_args *a = n->args;
    LS_TRY(ls__expect_samples(n, 0));
    LS_NODE_CHECK(n, a->window == 0 || (a->window > 0 && a->causal),
                  "window is %lld, expected 0, or a positive number with causal" LS_HINT "set .causal = true",
                  (long long)a->window);
    LS_NODE_CHECK(n, x->rank == 3, "the scores '%s' are %s, expected B x H x T x S", x->name, ls__shape(x));
    if (pad)
        LS_NODE_CHECK(n, pad->type == LS_I32 && pad->batched && pad->rank == 1 && pad->dim[0] == x->dim[2],
                      "key_padding '%s' is %s of %s, expected B x %lld of int32: the scores '%s' are %s", pad->name,
                      ls__shape(pad), ls__dtype_name(pad->type), (long long)x->dim[2], x->name, ls__shape(x));
    if (m) {
        bool fits = m->type == LS_F32 && (m->rank == 2 || m->rank == 3);
        for (int i = 1; fits && i <= m->rank; i++) fits = m->dim[m->rank - i] == x->dim[3 - i];
        LS_NODE_CHECK(n, fits,
                      "the mask '%s' is %s of %s, expected T x S or H x T x S of float32: the scores '%s' are %s",
                      m->name, ls__shape(m), ls__dtype_name(m->type), x->name, ls__shape(x));
    }
    ls__out_like(n, 0, x);
    return LS_OK;
}

/* One row of scores, those of one query.  Keys [0, begin) and [visible, keys) are masked, and those of the others that
 * are padding. */
typedef struct row {
    int64_t        first;                /* index of the row's first element in x                         */
    int64_t        begin, visible, keys; /* keys before the window; keys before the causal limit; all     */
    const int32_t *pad;                  /* S values, not 0: padding; NULL: no padding                    */
} row;

/* Lanes that are padding, of the keys at the current place of a V_MAP loop. */
#define IS_PADDING(pad) (v_load_part_int((pad) + v_at, v_left) != 0)

/* Row r (of H x T) of sample b. */
static row row_of(const ls_call *c, int64_t b, int64_t r)
{
    const ls_tensor    *x = c->node->in[0];
    const int64_t       t = r % x->dim[1], s = x->dim[2];
    const ls_mask_args *a = c->args;
    const int64_t visible = a->causal ? ls__min(t + 1, s) : s, begin = a->window ? ls__max(0, t + 1 - a->window) : 0;
    return (row){(b * x->dim[0] * x->dim[1] + r) * s, ls__min(begin, visible), visible, s,
                 c->x[1] ? (const int32_t *)c->x[1] + b * s : NULL};
}

/* Returns the row of the mask that is added to row r (of H x T) of sample b. */
static int64_t mask_row(const ls_call *c, int64_t b, int64_t r)
{
    const ls_tensor *x = c->node->in[0], *m = c->node->in[2];
    const int64_t    rows = ls__rows(m);
    return (m->batched ? b * rows : 0) + (m->rank == 2 ? r % x->dim[1] : r);
}

/* The part of a row that starts at key `first` and has TILE keys, or fewer at the end of the row. */
static row tile_of(row q, int64_t first)
{
    const int64_t keys = ls__min(q.keys - first, TILE);
    return (row){q.first + first, ls__max(0, ls__min(q.begin - first, keys)),
                 ls__max(0, ls__min(q.visible - first, keys)), keys, q.pad ? q.pad + first : NULL};
}

static void forward_tile(row q, const float *x, const float *m, float *y)
{
    const vf masked = v_set(-INFINITY);
    for (int64_t s = 0; s < q.begin; s++) y[s] = -INFINITY;
    for (int64_t s = q.visible; s < q.keys; s++) y[s] = -INFINITY;
    const int64_t visible = q.visible - q.begin;
    x += q.begin, y += q.begin;
    if (m) m += q.begin;
    if (q.pad) q.pad += q.begin;
    if (m && q.pad)
        V_MAP(visible, V_PUT(y, v_select(IS_PADDING(q.pad), masked, V_GET(x) + V_GET(m))));
    else if (m)
        V_MAP(visible, V_PUT(y, V_GET(x) + V_GET(m)));
    else if (q.pad)
        V_MAP(visible, V_PUT(y, v_select(IS_PADDING(q.pad), masked, V_GET(x))));
    else
        V_MAP(visible, V_PUT(y, V_GET(x)));
}

/* m: the row of the mask that is added, or NULL. */
static void forward_row(row q, ls_array x, const float *m, ls_array y)
{
    float read[TILE], value[TILE];
    for (int64_t first = 0; first < q.keys; first += TILE) {
        const row t  = tile_of(q, first);
        float    *to = ls__write_begin(y, t.first, t.keys, value, false);
        forward_tile(t, ls__read(x, t.first, t.keys, read), m ? m + first : NULL, to);
        ls__write_end(y, t.first, t.keys, to);
    }
}

static void forward(const ls_call *c)
{
    const ls_tensor *x    = c->node->in[0];
    const int64_t    rows = ls__rows(x), s = x->dim[2];
#pragma omp parallel for schedule(static) if (c->rows * rows * s >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < c->rows * rows; k++)
        forward_row(row_of(c, k / rows, k % rows), ls__x(c, 0),
                    c->x[2] ? (const float *)c->x[2] + mask_row(c, k / rows, k % rows) * s : NULL, ls__y(c, 0));
}

/* Writes dy of the visible keys to out, or adds it: 0 for padding.  Other masked keys become 0, or keep their values if
 * `add`. */
static void backward_tile(row q, const float *dy, float *out, bool add)
{
    const vf zero = v_set(0);
    for (int64_t s = 0; s < q.begin && !add; s++) out[s] = 0;
    for (int64_t s = q.visible; s < q.keys && !add; s++) out[s] = 0;
    const int64_t visible = q.visible - q.begin;
    dy += q.begin, out += q.begin;
    if (q.pad) q.pad += q.begin;
    if (add && q.pad)
        V_MAP(visible, V_PUT(out, V_GET(out) + v_select(IS_PADDING(q.pad), zero, V_GET(dy))));
    else if (add)
        V_MAP(visible, V_PUT(out, V_GET(out) + V_GET(dy)));
    else if (q.pad)
        V_MAP(visible, V_PUT(out, v_select(IS_PADDING(q.pad), zero, V_GET(dy))));
    else
        V_MAP(visible, V_PUT(out, V_GET(dy)));
}

/* Does the same for a whole row; `out` starts at its first key. */
static void backward_row(row q, ls_array dy, ls_array out, bool add)
{
    float read[TILE], value[TILE];
    for (int64_t first = 0; first < q.keys; first += TILE) {
        const row t  = tile_of(q, first);
        float    *to = ls__write_begin(out, first, t.keys, value, add);
        backward_tile(t, ls__read(dy, t.first, t.keys, read), to, add);
        ls__write_end(out, first, t.keys, to);
    }
}

static void backward_scores(const ls_call *c)
{
    const ls_tensor *x    = c->node->in[0];
    const int64_t    rows = ls__rows(x), s = x->dim[2];
#pragma omp parallel for schedule(static) if (c->rows * rows * s >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < c->rows * rows; k++) {
        const row q = row_of(c, k / rows, k % rows);
        backward_row(q, ls__dy(c, 0), ls__from(ls__dx(c, 0), q.first), c->add[0]);
    }
}

/* Computes row r of the mask's gradient: the sum over samples [from, to) and over the heads that share the mask, in
 * order. */
static void sum_mask_row(const ls_call *c, int64_t from, int64_t to, int64_t r, float *sum, bool add)
{
    const ls_tensor *x     = c->node->in[0];
    const int64_t    heads = c->node->in[2]->rank == 2 ? x->dim[0] : 1, t = x->dim[1], s = x->dim[2];
    for (int64_t i = 0; i < s && !add; i++) sum[i] = 0;
    for (int64_t b = from; b < to; b++)
        for (int64_t h = 0; h < heads; h++) backward_row(row_of(c, b, h * t + r), ls__dy(c, 0), ls__f32(sum), true);
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
    (void)rows;
    (void)threads;
    return backward && n->in[2] && !n->in[2]->batched ? sizeof(float) * (size_t)ls__numel(n->in[2]) * (size_t)shards
                                                      : 0;
}

/* dx[0] may lie over dy, so it is written last. */
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
    .either           = 1u << 0,
    .inplace          = true,
    .inplace_backward = true,
    .fields           = LS_FIELDS(LS_FIELD(BOOL, ls_mask_args, causal), LS_FIELD(INT64, ls_mask_args, window)),
    .infer            = infer,
    .forward          = {[LS_CPU] = forward},
    .backward         = {[LS_CPU] = backward},
    .scratch          = scratch,
};
