/* SPDX-License-Identifier: Apache-2.0
 *
 * The loops of batch_norm over values: sums, y and dx.  All passes go through memory in order, in *tiles*: some
 * channels of a sample, or a part of one.  core/ops/batch_norm.c has the maths.
 *
 * A clamp (relu, relu6) that is fused is applied in the loops; other functions run on a tile at once.
 */
#ifndef LS_CORE_OPS_BATCH_NORM_TILES_H
#define LS_CORE_OPS_BATCH_NORM_TILES_H

#include <omp.h>

#include "core/base/integer.h"
#include "core/cpu/vector/elementwise.h"
#include "core/graph/fuse.h"

enum { X, WEIGHT, BIAS, MEAN, VARIANCE, INS };
enum { Y, STATISTICS };
enum {
    TILE   = 1024, /* values of a tile, at most: all arrays of a pass stay in the L1 cache */
    AHEAD  = 1024, /* distance of prefetches, values */
    PIECES = 8     /* pieces of work of a thread, at least, unless there are fewer channels */
};

typedef struct shape {
    int64_t channels, inner; /* C, and the values of a channel in a sample */
} shape;

static shape shape_of(const ls_node *n)
{
    const ls_tensor *x = n->in[X];
    return (shape){x->dim[0], ls__numel(x) / x->dim[0]};
}

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

/* `channels` channels with n values each, from `first` on in the arrays.  n is less than `inner` if channels is 1. */
typedef struct tile {
    int64_t channel, channels, n, first;
} tile;

/* Everything that a pass over tiles reads and writes.  Arrays by channel: mean to shift. */
typedef struct pass {
    shape        d;
    ls_array     x, added, y;           /* z = f((x - mean) r weight + bias + added) is y */
    ls_array     dy, dx, dadded;        /* dx = g scale + (x - mean) slope + shift, with dadded = g = dy f' */
    bool         add, add_added;        /* add to dx, to dadded */
    bool         reads_y;               /* backward: f' follows from y, and y is not computed again */
    const float *mean, *r;              /* of the statistics in use */
    const float *weight, *bias;         /* NULL: 1, 0 */
    const float *scale, *slope, *shift; /* slope NULL: dx = g scale */
    const float *origin;
    float       *sums; /* V_LANES partial sums, two for each channel */
    const ls_op *map;  /* f; NULL: identity */
    const void  *map_args;
} pass;

typedef void tile_fn(const pass *p, const tile *t);

/* Calls f for all tiles of channels [begin, end) of a sample. */
static void each_tile(const pass *p, tile_fn *f, int64_t row, int64_t begin, int64_t end)
{
    const int64_t inner = p->d.inner, most = ls__max(1, TILE / inner);
    for (int64_t c = begin; c < end; c += most)
        for (int64_t at = 0; at < inner; at += TILE)
            f(p, &(tile){c, ls__min(most, end - c), ls__min(TILE, inner - at), (row * p->d.channels + c) * inner + at});
}

/* Number of ranges of channels into which each of `items` samples or shards is cut to occupy all threads. */
static int64_t ranges_of(int64_t items, int64_t channels)
{
    const int64_t threads = omp_get_max_threads();
    return threads == 1 || items >= PIECES * threads
               ? 1
               : ls__min(channels, ls__ceil_div(PIECES * threads, ls__max(1, items)));
}

/* Calls f for all tiles of the batch. */
static void each_row(const ls_call *c, const pass *p, tile_fn *f)
{
    const int64_t channels = p->d.channels, ranges = ranges_of(c->rows, channels);
#pragma omp parallel for collapse(2) schedule(static) if (c->rows * channels * p->d.inner >= LS_MAP_PARALLEL)
    for (int64_t row = 0; row < c->rows; row++)
        for (int64_t k = 0; k < ranges; k++) each_tile(p, f, row, channels * k / ranges, channels * (k + 1) / ranges);
}

static pass pass_of(const ls_call *c)
{
    const ls_node *n = c->node;
    pass           p = {.d      = shape_of(n),
                        .x      = ls__x(c, X),
                        .y      = ls__y(c, Y),
                        .dy     = ls__dy(c, Y),
                        .dx     = ls__dx(c, X),
                        .add    = c->add[X],
                        .weight = c->x[WEIGHT],
                        .bias   = c->x[BIAS]};
    if (n->add) {
        const int k = ls__added_input(n);
        p.added     = ls__x(c, k);
        p.dadded    = ls__dx(c, k);
        p.add_added = c->add[k];
    }
    if (n->map && !c->handed_over) {
        p.map      = ls__op(n->map);
        p.map_args = n->map->args;
        p.reads_y  = n->add;
    }
    return p;
}

static float weight_of(const pass *p, int64_t channel) { return p->weight ? p->weight[channel] : 1; }

/* How f is applied. */
typedef enum apply {
    NOTHING, /* f is not there, or has been applied */
    CLAMP,   /* in the loop; backward computes its argument again */
    CLAMPED, /* in the loop; backward reads its result */
    FUNCTION /* by the functions of its op, tile by tile */
} apply;

static apply apply_of(const pass *p)
{
    return !p->map ? NOTHING : !p->map->clamp ? FUNCTION : p->reads_y ? CLAMPED : CLAMP;
}

/* (x - mean) r weight + bias, for values of channel c */
typedef struct affine {
    vf mean, scale, bias;
} affine;

static affine affine_of(const pass *p, int64_t c)
{
    return (affine){v_set(p->mean[c]), v_set(p->r[c] * weight_of(p, c)), v_set(p->bias ? p->bias[c] : 0)};
}

V_INLINE vf normal_of(const affine *a, vf x) { return v_fma(x - a->mean, a->scale, a->bias); }

/* y = (x - mean) r weight + bias + added, for float32 values of a tile, clamped if `how` is CLAMP; added may be NULL.
 * Prefetches `next`, an array that is used after y. */
V_INLINE void normalise_as(const apply how, const pass *p, const tile *t, const float *x, const float *added, float *y,
                           const float *next)
{
    const vf low = v_set(how == CLAMP ? p->map->clamp[0] : 0), high = v_set(how == CLAMP ? p->map->clamp[1] : 0);
    for (int64_t c = t->channel; c < t->channel + t->channels; c++) {
        const affine a = affine_of(p, c);
        if (added)
            V_MAP(t->n, v_prefetch(x + v_at + AHEAD); v_prefetch(added + v_at + AHEAD); v_prefetch(next + v_at + AHEAD);
                  const vf z = normal_of(&a, V_GET(x)) + V_GET(added);
                  V_PUT(y, how == CLAMP ? v_min(high, v_max(low, z)) : z));
        else
            V_MAP(t->n, v_prefetch(x + v_at + AHEAD); v_prefetch(next + v_at + AHEAD);
                  const vf z = normal_of(&a, V_GET(x)); V_PUT(y, how == CLAMP ? v_min(high, v_max(low, z)) : z));
        x += t->n;
        y += t->n;
        next += t->n;
        if (added) added += t->n;
    }
}

static void normalise(const pass *p, const tile *t, const float *x, const float *added, float *y, const float *next)
{
    normalise_as(NOTHING, p, t, x, added, y, next);
}

static void forward_tile(const pass *p, const tile *t)
{
    float         read[2][TILE], normal[TILE], value[TILE];
    const int64_t n = t->channels * t->n;
    const float  *x = ls__read(p->x, t->first, n, read[0]), *added = ls__read(p->added, t->first, n, read[1]);
    float        *y = ls__write_begin(p->y, t->first, n, value, false);
    if (p->map && p->map->clamp) {
        normalise_as(CLAMP, p, t, x, added, y, y);
    } else if (p->map) {
        normalise(p, t, x, added, normal, y);
        p->map->value(p->map_args, n, normal, NULL, y);
    } else {
        normalise(p, t, x, added, y, y);
    }
    ls__write_end(p->y, t->first, n, y);
}

/* The arrays of a tile in backward, float32; saved: what f' of a clamp follows from. */
typedef struct gradients {
    const float *x, *dy, *saved;
    float        read[3][TILE], g[TILE];
} gradients;

/* Reads the arrays of a tile.  Applies f' of a function to dy. */
static void begin_gradients(const pass *p, const tile *t, gradients *v)
{
    float         normal[TILE];
    const int64_t n   = t->channels * t->n;
    const apply   how = apply_of(p);
    v->x              = ls__read(p->x, t->first, n, v->read[0]);
    v->dy             = ls__read(p->dy, t->first, n, v->read[1]);
    v->saved          = p->reads_y ? ls__read(p->y, t->first, n, v->read[2]) : v->x;
    if (how != FUNCTION) return;
    if (!p->reads_y) {
        normalise(p, t, v->x, NULL, normal, v->dy);
        v->saved = normal;
        if (p->map->saves & LS_SAVES_OUT(0)) {
            p->map->value(p->map_args, n, normal, NULL, v->read[2]);
            v->saved = v->read[2];
        }
    }
    p->map->gradient(p->map_args, n, v->dy, v->saved, v->g);
    v->dy    = v->g;
    v->saved = v->x;
}

/* g = dy f' of the current elements. */
V_INLINE vf gradient_of(const apply how, const affine *a, const float *clamp, vf dy, vf x, vf saved)
{
    if (how != CLAMP && how != CLAMPED) return dy;
    const vf z = how == CLAMP ? normal_of(a, x) : saved;
    return v_select((z <= clamp[0]) | (z >= clamp[1]), v_set(0), dy);
}

/* Adds p and p q to the partial sums of a channel. */
V_INLINE void add_lanes(float *lanes, const vf *p, const vf *pq)
{
    enum { CHAIN = V_CHAINS(1) };
    for (int v = 0; v < CHAIN; v++) {
        v_store(lanes + v * LS_V, v_load(lanes + v * LS_V) + (p[v] + p[CHAIN + v]));
        float *second = lanes + V_LANES + v * LS_V;
        v_store(second, v_load(second) + (pq[v] + pq[CHAIN + v]));
    }
}

/* Sums of x - origin and of (x - origin)^2. */
static void forward_sums_tile(const pass *p, const tile *t)
{
    float        read[TILE];
    const float *x = ls__read(p->x, t->first, t->channels * t->n, read);
    for (int64_t c = t->channel; c < t->channel + t->channels; c++, x += t->n) {
        const vf origin           = v_set(p->origin[c]);
        vf       sum[V_CHAINS(2)] = {{0}}, square[V_CHAINS(2)] = {{0}};
        V_MAP_SUM(t->n, V_CHAINS(2), v_prefetch(x + v_at + AHEAD); const vf value = v_first(V_GET(x) - origin, v_left);
                  sum[v_sum] += value; square[v_sum] = v_fma(value, value, square[v_sum]));
        add_lanes(p->sums + c * 2 * V_LANES, sum, square);
    }
}

/* Sums of g and of g (x - mean); writes dadded if that is wanted. */
V_INLINE void backward_sums_as(const apply how, const bool writes, const pass *p, const tile *t, const gradients *v,
                               float *out)
{
    const float *x = v->x, *dy = v->dy, *saved = v->saved;
    for (int64_t c = t->channel; c < t->channel + t->channels; c++) {
        const affine a                = affine_of(p, c);
        vf           sum[V_CHAINS(2)] = {{0}}, product[V_CHAINS(2)] = {{0}};
        V_MAP_SUM(t->n, V_CHAINS(2), v_prefetch(x + v_at + AHEAD); v_prefetch(dy + v_at + AHEAD);
                  if (how == CLAMPED) v_prefetch(saved + v_at + AHEAD);
                  const vf here = V_GET(x), g = gradient_of(how, &a, p->map->clamp, V_GET(dy), here, V_GET(saved));
                  if (writes) V_PUT(out, g); sum[v_sum] += g; product[v_sum] = v_fma(g, here - a.mean, product[v_sum]));
        add_lanes(p->sums + c * 2 * V_LANES, sum, product);
        x += t->n;
        dy += t->n;
        saved += t->n;
        if (writes) out += t->n;
    }
}

static void backward_sums_tile(const pass *p, const tile *t)
{
    gradients     v;
    float         value[TILE];
    const int64_t n   = t->channels * t->n;
    const apply   how = apply_of(p);
    begin_gradients(p, t, &v);
    float *out = ls__write_begin(p->dadded, t->first, n, value, false);
    if (how == CLAMP && !out)
        backward_sums_as(CLAMP, false, p, t, &v, NULL);
    else if (how == CLAMPED && out)
        backward_sums_as(CLAMPED, true, p, t, &v, out);
    else if (how == CLAMPED)
        backward_sums_as(CLAMPED, false, p, t, &v, NULL);
    else if (out && out != v.dy)
        backward_sums_as(NOTHING, true, p, t, &v, out);
    else
        backward_sums_as(NOTHING, false, p, t, &v, NULL);
    if (out) ls__write_end(p->dadded, t->first, n, out);
}

/* Writes dadded, then dx, which may overwrite dy. */
V_INLINE void dx_as(const apply how, const pass *p, const tile *t, const gradients *v, float *added, float *dx)
{
    const float *x = v->x, *dy = v->dy, *saved = v->saved;
    for (int64_t c = t->channel; c < t->channel + t->channels; c++) {
        const affine a     = affine_of(p, c);
        const vf     scale = v_set(p->scale ? p->scale[c] : 0), slope = v_set(p->slope ? p->slope[c] : 0),
                 shift = v_set(p->slope ? p->shift[c] : 0);
        V_MAP(
            t->n, v_prefetch(x + v_at + AHEAD); v_prefetch(dy + v_at + AHEAD);
            const vf here = V_GET(x), g = gradient_of(how, &a, p->map->clamp, V_GET(dy), here, V_GET(saved));
            if (added) V_PUT(added, p->add_added ? V_GET(added) + g : g); if (dx) {
                const vf out = p->slope ? v_fma(g, scale, v_fma(here - a.mean, slope, shift)) : g * scale;
                V_PUT(dx, p->add ? V_GET(dx) + out : out);
            });
        x += t->n;
        dy += t->n;
        saved += t->n;
        if (dx) dx += t->n;
        if (added) added += t->n;
    }
}

static void dx_tile(const pass *p, const tile *t)
{
    gradients     v;
    float         old[2][TILE];
    const int64_t n   = t->channels * t->n;
    const apply   how = apply_of(p);
    begin_gradients(p, t, &v);
    float *added = ls__write_begin(p->dadded, t->first, n, old[0], p->add_added),
          *dx    = ls__write_begin(p->dx, t->first, n, old[1], p->add);
    if (how == CLAMP)
        dx_as(CLAMP, p, t, &v, added, dx);
    else if (how == CLAMPED)
        dx_as(CLAMPED, p, t, &v, added, dx);
    else
        dx_as(NOTHING, p, t, &v, added, dx);
    if (added) ls__write_end(p->dadded, t->first, n, added);
    if (dx) ls__write_end(p->dx, t->first, n, dx);
}

#endif
