/* SPDX-License-Identifier: Apache-2.0
 *
 * Batch normalisation of each channel over the global batch, or over groups of samples (Ioffe and Szegedy 2015).
 *      x: B x C x ...   w, b: C or none   running mean m', running variance v': C   ->  y: B x C x ...
 *
 * Training    over the n values of a channel in the global batch, with c = m' as the origin:
 *             s1 = sum of (x - c),  s2 = sum of (x - c)^2        m = c + s1 / n,  v = s2 / n - (s1 / n)^2
 *             y = (x - m) r w + b                                r = 1 / sqrt(v + eps),  h = (x - m) r
 * Backward    db = sum of dy,  dw = sum of dy h                  dx = r w (dy - db / n - h dw / n)
 * Running     m' = (1 - momentum) m' + momentum m,  v' likewise with the unbiased v n / (n - 1), after the step
 * Inference, and training with `frozen`, use m' and v' in place of m and v.  Then dx = r w dy.
 *
 * The sums of a shard add its samples in order.  Shards and ranks are added as a binary tree, as gradients are, so the
 * statistics have the same bits for any number of ranks.  The origin c is near m, so that s2 / n - (s1 / n)^2 does
 * not cancel, and one pass over x is enough.  The sums of backward are the gradients of w and b.
 *
 * Over groups (`over`): the samples of a virtual shard are divided evenly into groups of at least `over` samples, each
 * with statistics of its own (Goyal 2017: those of a worker).  Nothing is exchanged before the end of the step: m' and
 * v' are renewed with the means over all groups of m and of v n / (n - 1).  The first sample of a group holds m and r
 * of the group for backward.
 */
#include <math.h>

#include "core/base/integer.h"
#include "core/cpu/shard_sum.h"
#include "core/cpu/vector/elementwise.h"
#include "core/ops/infer.h"

enum { X, WEIGHT, BIAS, MEAN, VARIANCE, INS };
enum { Y, STATISTICS };

typedef struct shape {
    int64_t channels, inner; /* C, and the values of a channel in a sample */
} shape;

static shape shape_of(const ls_node *n)
{
    const ls_tensor *x = n->in[X];
    return (shape){x->dim[0], ls__numel(x) / x->dim[0]};
}

static ls_status infer(ls_node *n)
{
    ls_batch_norm_args *a = n->args;
    const ls_tensor    *x = n->in[X];
    LS_TRY(ls__expect_samples(n, X));
    LS_NODE_CHECK(n, x->rank >= 1, "input '%s' is %s, expected B x channels x ...", x->name, ls__shape(x));
    for (int i = WEIGHT; i < INS; i++) {
        if (!n->in[i]) continue;
        LS_TRY(ls__expect_param(n, i, 1));
        LS_NODE_CHECK(n, n->in[i]->dim[0] == x->dim[0],
                      "'%s' is %s and the input '%s' is %s: expected one value per channel", n->in[i]->name,
                      ls__shape(n->in[i]), x->name, ls__shape(x));
    }
    if (a->eps == 0) a->eps = 1e-5f;
    if (a->momentum == 0) a->momentum = 0.1f;
    if (a->over == 0) a->over = n->graph->norm_over;
    if (a->over == LS_OVER_BATCH) a->over = 0;
    LS_NODE_CHECK(n, a->over >= 0, "over is %lld, expected batch or a number of samples", (long long)a->over);
    LS_NODE_CHECK(n, a->eps > 0, "eps is %g, expected a positive number", (double)a->eps);
    LS_NODE_CHECK(n, a->momentum > 0 && a->momentum <= 1, "momentum is %g, expected 0 < momentum <= 1",
                  (double)a->momentum);
    ls__out(n, Y, n->graph->precision, true, x->rank, x->dim);
    if (a->over) ls__out(n, STATISTICS, LS_F32, true, 1, &(int64_t){2 * x->dim[0]});
    return LS_OK;
}

static int64_t group_rows(const ls_node *n)
{
    const ls_batch_norm_args *a = n->args;
    return a->frozen ? 0 : a->over;
}

static int64_t batch_sums(const ls_node *n, bool backward)
{
    const ls_batch_norm_args *a = n->args;
    return a->frozen || (a->over && backward) ? 0 : 2 * shape_of(n).channels;
}

/* ---- statistics -------------------------------------------------------------------------------------------------- */

/* The mean and the variance of channel c over the batch, from the sums of forward. */
static void batch_statistics(const float *sums, int64_t channels, int64_t c, double n, float origin, double *mean,
                             double *variance)
{
    const double shift = sums[c] / n, square = sums[channels + c] / n;
    *mean     = origin + shift;
    *variance = fmax(0, square - shift * shift);
}

static double count_of(const ls_node *n, int64_t batch_rows) { return (double)(batch_rows * shape_of(n).inner); }

/* Writes m and r of every channel. */
static void read_statistics(const ls_call *c, const float *sums, float *mean, float *r)
{
    const ls_batch_norm_args *a          = c->args;
    const float              *running[2] = {c->x[MEAN], c->x[VARIANCE]};
    const int64_t             channels   = shape_of(c->node).channels;
    for (int64_t k = 0; k < channels; k++) {
        double m = running[0][k], v = running[1][k];
        if (sums) batch_statistics(sums, channels, k, count_of(c->node, c->batch_rows), running[0][k], &m, &v);
        mean[k] = (float)m;
        r[k]    = (float)(1 / sqrt(v + (double)a->eps));
    }
}

/* The variance v n / (n - 1) of n values. */
static double unbiased(double variance, double n) { return n > 1 ? variance * n / (n - 1) : variance; }

static void update_running(const ls_node *n, const float *sums, int64_t count, float *const x[LS_MAX_IN])
{
    const double  momentum = (double)((const ls_batch_norm_args *)n->args)->momentum, values = count_of(n, count);
    const int64_t channels = shape_of(n).channels;
    for (int64_t k = 0; k < channels; k++) {
        double mean     = x[MEAN][k] + (double)sums[k] / (double)count,
               variance = (double)sums[channels + k] / (double)count;
        if (!group_rows(n)) {
            batch_statistics(sums, channels, k, values, x[MEAN][k], &mean, &variance);
            variance = unbiased(variance, values);
        }
        x[MEAN][k]     = (float)((1 - momentum) * x[MEAN][k] + momentum * mean);
        x[VARIANCE][k] = (float)((1 - momentum) * x[VARIANCE][k] + momentum * variance);
    }
}

/* ---- sums over samples ------------------------------------------------------------------------------------------- */

/* Two sums over the values of a channel: of p, and of p q, where p = a - origin and q = (b - centre) scale. */
typedef struct channel_sums {
    ls_array     a, b;
    const float *origin, *centre, *scale; /* by channel; NULL: 0, 0, 1 */
} channel_sums;

/* Adds the sums of one sample for `inner` values of channel c, which begin at `first`. */
static void add_channel(const channel_sums *s, int64_t c, int64_t first, int64_t inner, float *of_p, float *of_pq)
{
    float       read[2][LS_MAP_TILE], p_sum = 0, pq_sum = 0;
    const float origin = s->origin ? s->origin[c] : 0, centre = s->centre ? s->centre[c] : 0;
    for (int64_t at = 0; at < inner; at += LS_MAP_TILE) {
        const int64_t n = ls__min(LS_MAP_TILE, inner - at);
        const float  *a = ls__read(s->a, first + at, n, read[0]), *b = ls__read(s->b, first + at, n, read[1]);
        vf            p[V_CHAINS(2)] = {{0}}, pq[V_CHAINS(2)] = {{0}};
        /* The tail is summed apart, because unused lanes would add 0 - origin. */
        const int64_t whole = n - n % (2 * V_LANES);
        V_MAP_SUM(whole, V_CHAINS(2), const vf value = V_GET(a) - origin; p[v_sum] += value;
                  pq[v_sum] = v_fma(value, V_GET(b) - centre, pq[v_sum]));
        float tail_p = v_total(2, p), tail_pq = v_total(2, pq);
        for (int64_t i = whole; i < n; i++) {
            tail_p += a[i] - origin;
            tail_pq += (a[i] - origin) * (b[i] - centre);
        }
        p_sum += tail_p;
        pq_sum += tail_pq;
    }
    *of_p += p_sum;
    *of_pq += s->scale ? pq_sum * s->scale[c] : pq_sum;
}

/* Writes the two sums of every shard to partial[shard][0 or 1][channel]. */
static void sum_shards(const ls_call *c, const channel_sums *s, float *partial)
{
    const shape   d    = shape_of(c->node);
    const int64_t size = d.channels * d.inner;
#pragma omp parallel for collapse(2) schedule(static) if (c->rows * size >= LS_MAP_PARALLEL)
    for (int shard = 0; shard < c->shards; shard++)
        for (int64_t k = 0; k < d.channels; k++) {
            float *p = partial + shard * 2 * d.channels + k, *pq = p + d.channels;
            *p = *pq = 0;
            for (int64_t row = c->bound[shard]; row < c->bound[shard + 1]; row++)
                add_channel(s, k, row * size + k * d.inner, d.inner, p, pq);
        }
}

/* ---- y and dx ---------------------------------------------------------------------------------------------------- */

/* y = (a - centre) scale + (b - mean) slope + shift, by channel; without b: (a - centre) scale + shift. */
typedef struct affine {
    ls_array     a, b, y;
    const float *centre, *scale, *mean, *slope, *shift;
    bool         add;
} affine;

static void apply_tile(const affine *f, int64_t c, int64_t first, int64_t n)
{
    float        read[2][LS_MAP_TILE], value[LS_MAP_TILE];
    const float *a = ls__read(f->a, first, n, read[0]), *b = ls__read(f->b, first, n, read[1]);
    float       *y      = ls__write_begin(f->y, first, n, value, f->add);
    const vf     centre = v_set(f->centre ? f->centre[c] : 0), scale = v_set(f->scale[c]),
             shift = v_set(f->shift ? f->shift[c] : 0);
    const bool add = f->add;
    if (b) {
        const vf mean = v_set(f->mean[c]), slope = v_set(f->slope[c]);
        V_MAP(n, const vf z = v_fma(V_GET(a), scale, v_fma(V_GET(b) - mean, slope, shift));
              V_PUT(y, add ? V_GET(y) + z : z));
    } else {
        V_MAP(n, const vf z = v_fma(V_GET(a) - centre, scale, shift); V_PUT(y, add ? V_GET(y) + z : z));
    }
    ls__write_end(f->y, first, n, y);
}

static void apply(const ls_call *c, const affine *f)
{
    const shape   d     = shape_of(c->node);
    const int64_t tiles = ls__ceil_div(d.inner, LS_MAP_TILE), count = c->rows * d.channels * tiles;
#pragma omp parallel for schedule(static) if (c->rows * d.channels * d.inner >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < count; k++) {
        const int64_t row = k / tiles, at = k % tiles * LS_MAP_TILE;
        apply_tile(f, row % d.channels, row * d.inner + at, ls__min(LS_MAP_TILE, d.inner - at));
    }
}

/* ---- over groups of samples -------------------------------------------------------------------------------------- */

/* One channel of one group: samples [begin, end). */
typedef struct group {
    int64_t channel, begin, end;
    double  n;        /* values */
    float  *mean, *r; /* those of the channel, in the output STATISTICS of the first sample */
} group;

static group group_of(const ls_call *c, int shard, int64_t channel, int64_t index, int64_t groups)
{
    const shape   d     = shape_of(c->node);
    const int64_t first = c->bound[shard], rows = c->bound[shard + 1] - first;
    group         g = {channel, first + rows * index / groups, first + rows * (index + 1) / groups};
    g.n             = (double)((g.end - g.begin) * d.inner);
    g.mean          = (float *)c->y[STATISTICS] + g.begin * 2 * d.channels + channel;
    g.r             = g.mean + d.channels;
    return g;
}

/* Adds both sums of `s` over the samples of a group.  The arrays of `s` begin at the channel of the group. */
static void add_group(const ls_call *c, const channel_sums *s, const group *g, float *of_p, float *of_pq)
{
    const shape d = shape_of(c->node);
    for (int64_t row = g->begin; row < g->end; row++)
        add_channel(s, 0, (row * d.channels + g->channel) * d.inner, d.inner, of_p, of_pq);
}

/* Computes y of a group; the arrays by channel of `f` begin at the channel of the group. */
static void apply_group(const ls_call *c, const affine *f, const group *g)
{
    const shape d = shape_of(c->node);
    for (int64_t row = g->begin; row < g->end; row++)
        for (int64_t at = 0; at < d.inner; at += LS_MAP_TILE)
            apply_tile(f, 0, (row * d.channels + g->channel) * d.inner + at, ls__min(LS_MAP_TILE, d.inner - at));
}

/* Computes m and r of a group, and adds m - c and the unbiased variance to the sums of the shard. */
static void find_statistics(const ls_call *c, const group *g, float *sum_of_mean, float *sum_of_variance)
{
    const float *origin  = (const float *)c->x[MEAN] + g->channel;
    float        sums[2] = {0, 0};
    double       mean, variance;
    add_group(c, &(channel_sums){.a = ls__x(c, X), .b = ls__x(c, X), .origin = origin, .centre = origin}, g, &sums[0],
              &sums[1]);
    batch_statistics(sums, 1, 0, g->n, *origin, &mean, &variance);
    *g->mean = (float)mean;
    *g->r    = (float)(1 / sqrt(variance + (double)((const ls_batch_norm_args *)c->args)->eps));
    *sum_of_mean += (float)(mean - (double)*origin);
    *sum_of_variance += (float)unbiased(variance, g->n);
}

/* A recomputation (no stage) reads the statistics that forward has written. */
static void forward_groups(const ls_call *c, float *partial)
{
    const int64_t channels = shape_of(c->node).channels, size = group_rows(c->node);
    const float  *weight = c->x[WEIGHT], *bias = c->x[BIAS];
#pragma omp parallel for collapse(2) schedule(static) if (c->rows * ls__numel(c->node->in[X]) >= LS_MAP_PARALLEL)
    for (int shard = 0; shard < c->shards; shard++)
        for (int64_t k = 0; k < channels; k++) {
            const int64_t groups = ls__groups_of(c->bound[shard + 1] - c->bound[shard], size);
            float        *mean = partial + shard * 2 * channels + k, *variance = mean + channels;
            *mean = *variance = 0;
            for (int64_t i = 0; i < groups; i++) {
                const group g = group_of(c, shard, k, i, groups);
                if (c->stage) find_statistics(c, &g, mean, variance);
                const float scale = *g.r * (weight ? weight[k] : 1);
                apply_group(c,
                            &(affine){.a      = ls__x(c, X),
                                      .y      = ls__y(c, Y),
                                      .centre = g.mean,
                                      .scale  = &scale,
                                      .shift  = bias ? bias + k : NULL},
                            &g);
            }
        }
    if (c->stage) ls__fold_sums(c, 2 * channels, partial);
}

/* dx of a group, from its sums of dy and of dy h. */
static void group_dx(const ls_call *c, const group *g, float sum_dy, float sum_dyh)
{
    const float *weight = c->x[WEIGHT];
    const double scale  = (double)*g->r * (weight ? (double)weight[g->channel] : 1);
    const float  slope = (float)(-scale * (double)*g->r * (double)sum_dyh / g->n), factor = (float)scale,
                shift = (float)(-scale * (double)sum_dy / g->n);
    apply_group(c,
                &(affine){.a     = ls__dy(c, Y),
                          .b     = ls__x(c, X),
                          .y     = ls__dx(c, X),
                          .scale = &factor,
                          .mean  = g->mean,
                          .slope = &slope,
                          .shift = &shift,
                          .add   = c->add[X]},
                g);
}

static void backward_groups(const ls_call *c, float *db, float *dw)
{
    const int64_t channels = shape_of(c->node).channels, size = group_rows(c->node);
#pragma omp parallel for collapse(2) schedule(static) if (c->rows * ls__numel(c->node->in[X]) >= LS_MAP_PARALLEL)
    for (int shard = 0; shard < c->shards; shard++)
        for (int64_t k = 0; k < channels; k++) {
            const int64_t groups = ls__groups_of(c->bound[shard + 1] - c->bound[shard], size);
            float        *sum_dy = db + shard * channels + k, *sum_dyh = dw + shard * channels + k;
            *sum_dy = *sum_dyh = 0;
            for (int64_t i = 0; i < groups; i++) {
                const group g       = group_of(c, shard, k, i, groups);
                float       sums[2] = {0, 0};
                add_group(c, &(channel_sums){.a = ls__dy(c, Y), .b = ls__x(c, X), .centre = g.mean, .scale = g.r}, &g,
                          &sums[0], &sums[1]);
                *sum_dy += sums[0];
                *sum_dyh += sums[1];
                if (c->dx[X]) group_dx(c, &g, sums[0], sums[1]);
            }
        }
    if (c->dx[BIAS]) ls__fold(c, BIAS, channels, db);
    if (c->dx[WEIGHT]) ls__fold(c, WEIGHT, channels, dw);
}

/* ---- kernels ----------------------------------------------------------------------------------------------------- */

/* Workspace: four values per channel, two sums per channel for every shard, and for backward the same sums again. */
static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    (void)rows, (void)threads;
    return (size_t)(4 + (backward ? 4 : 2) * shards) * (size_t)shape_of(n).channels * sizeof(float);
}

static void forward(const ls_call *c)
{
    const int64_t channels = shape_of(c->node).channels;
    float        *mean = c->scratch, *r = mean + channels, *partial = mean + 4 * channels;
    if (c->training && group_rows(c->node)) {
        forward_groups(c, partial);
        return;
    }
    if (c->stage == LS_STAGE_SUMS) {
        const ls_array x = ls__x(c, X);
        sum_shards(c, &(channel_sums){.a = x, .b = x, .origin = c->x[MEAN], .centre = c->x[MEAN]}, partial);
        ls__fold_sums(c, 2 * channels, partial);
        return;
    }
    read_statistics(c, c->stage == LS_STAGE_REST ? c->forward_sums : NULL, mean, r);
    for (int64_t k = 0; k < channels && c->x[WEIGHT]; k++) r[k] *= ((const float *)c->x[WEIGHT])[k];
    apply(c, &(affine){.a = ls__x(c, X), .y = ls__y(c, 0), .centre = mean, .scale = r, .shift = c->x[BIAS]});
}

/* Copies or adds the sums of every group to the gradient of a parameter. */
static void write_gradient(const ls_call *c, int input, int64_t count, int64_t at)
{
    for (int k = 0; k < c->groups && c->dx[input]; k++) {
        const float *from = ls__group_sums(c, k) + at;
        float       *to   = ls__group_grad(c, input, k);
        const bool   add  = ls__group_add(c, input, k);
        V_MAP(count, V_PUT(to, add ? V_GET(to) + V_GET(from) : V_GET(from)));
    }
}

static void backward_sums(const ls_call *c, const float *mean, const float *r, float *partial)
{
    const int64_t channels = shape_of(c->node).channels;
    sum_shards(c, &(channel_sums){.a = ls__dy(c, 0), .b = ls__x(c, X), .centre = mean, .scale = r}, partial);
    if (c->stage == LS_STAGE_SUMS) {
        ls__fold_sums(c, 2 * channels, partial);
        write_gradient(c, BIAS, channels, 0);
        write_gradient(c, WEIGHT, channels, channels);
        return;
    }
    /* Without stages, each gradient is folded from an array of its own. */
    float *dw = partial + c->shards * 2 * channels, *db = dw + c->shards * channels;
    for (int s = 0; s < c->shards; s++) {
        memcpy(db + s * channels, partial + s * 2 * channels, (size_t)channels * sizeof *db);
        memcpy(dw + s * channels, partial + (s * 2 + 1) * channels, (size_t)channels * sizeof *dw);
    }
    if (c->dx[BIAS]) ls__fold(c, BIAS, channels, db);
    if (c->dx[WEIGHT]) ls__fold(c, WEIGHT, channels, dw);
}

static void backward(const ls_call *c)
{
    const int64_t channels = shape_of(c->node).channels;
    float        *mean = c->scratch, *r = mean + channels, *slope = r + channels, *shift = slope + channels,
          *partial      = shift + channels;
    const float *weight = c->x[WEIGHT];
    if (group_rows(c->node)) {
        backward_groups(c, partial, partial + c->shards * channels);
        return;
    }
    read_statistics(c, c->stage ? c->forward_sums : NULL, mean, r);
    if (c->stage == LS_STAGE_SUMS || (!c->stage && (c->dx[WEIGHT] || c->dx[BIAS]))) backward_sums(c, mean, r, partial);
    if (!c->dx[X]) return;
    affine       f = {.a = ls__dy(c, 0), .y = ls__dx(c, X), .scale = r, .add = c->add[X]};
    const double n = count_of(c->node, c->batch_rows);
    for (int64_t k = 0; k < channels; k++) {
        const double scale = (double)r[k] * (weight ? (double)weight[k] : 1);
        if (c->stage) {
            slope[k] = (float)(-scale * (double)r[k] * c->sums[channels + k] / n);
            shift[k] = (float)(-scale * c->sums[k] / n);
        }
        r[k] = (float)scale;
    }
    if (c->stage) {
        f.b     = ls__x(c, X);
        f.mean  = mean;
        f.slope = slope;
        f.shift = shift;
    }
    apply(c, &f);
}

static void freeze_running(ls_node *n) { ((ls_batch_norm_args *)n->args)->frozen = true; }

static double flops(const ls_node *n) { return 6.0 * (double)ls__numel(n->in[X]); }

LS_OP(batch_norm) = {
    .name       = "batch_norm",
    .args_bytes = sizeof(ls_batch_norm_args),
    .ins        = INS,
    .outs       = 1,
    .optional   = 1u << WEIGHT | 1u << BIAS,
    .saves      = LS_SAVES_IN(X) | LS_SAVES_IN(WEIGHT) | LS_SAVES_IN(BIAS) | LS_SAVES_IN(MEAN) | LS_SAVES_IN(VARIANCE) |
             LS_SAVES_OUT(STATISTICS),
    .recompute        = true,
    .inplace_backward = true,
    .either           = 1u << X,
    .no_grad          = 1u << MEAN | 1u << VARIANCE,
    .fields         = LS_FIELDS(LS_FIELD(FLOAT, ls_batch_norm_args, eps), LS_FIELD(FLOAT, ls_batch_norm_args, momentum),
                                LS_FIELD(BOOL, ls_batch_norm_args, frozen),
                                LS_FIELD_NAMED(ls__over_names, ls_batch_norm_args, over)),
    .infer          = infer,
    .forward        = {[LS_CPU] = forward},
    .backward       = {[LS_CPU] = backward},
    .batch_sums     = batch_sums,
    .group_rows     = group_rows,
    .update_running = update_running,
    .freeze_running = freeze_running,
    .scratch        = scratch,
    .flops          = flops,
};
