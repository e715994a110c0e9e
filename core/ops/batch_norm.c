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
 * The sums of a channel over a shard have V_LANES partial sums, to which its samples are added in order.  Shards and
 * ranks are added as a binary tree, as gradients are, so the statistics have the same bits for any number of ranks.
 * The origin c is near m, so that s2 / n - (s1 / n)^2 does not cancel, and one pass over x is enough.  The sums of
 * backward are the gradients of w and b.
 *
 * Over groups (`over`): the samples of a virtual shard are divided evenly into groups of at least `over` samples, each
 * with statistics of its own (Goyal 2017: those of a worker).  Nothing is exchanged before the end of the step: m' and
 * v' are renewed with the means over all groups of m and of v n / (n - 1).  The first sample of a group holds m and r
 * of the group for backward.
 *
 * Fused (core/graph/fuse.c): z = f(y + s), with a tensor s and a function f, both optional.  Backward then starts from
 * dy = ds = dz f'.  It computes y again from x, which costs less than reading it; with s it reads z.
 *
 * core/ops/batch_norm_tiles.h has the loops over values.
 */
#include <math.h>

#include "core/base/integer.h"
#include "core/cpu/shard_sum.h"
#include "core/ops/batch_norm_tiles.h"
#include "core/ops/infer.h"

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

/* Adds the tiles of channels [begin, end) of the samples [first, last) with f, and writes sum i of channel k to
 * to[i * channels + k].  p->sums: workspace. */
static void sum_rows(const pass *p, tile_fn *f, int64_t first, int64_t last, int64_t begin, int64_t end, float *to)
{
    memset(p->sums + begin * 2 * V_LANES, 0, (size_t)((end - begin) * 2 * V_LANES) * sizeof(float));
    for (int64_t row = first; row < last; row++) each_tile(p, f, row, begin, end);
    for (int64_t k = begin; k < end; k++)
        for (int i = 0; i < 2; i++) {
            float *lane = p->sums + (k * 2 + i) * V_LANES;
            for (int half = V_LANES / 2; half; half /= 2)
                for (int j = 0; j < half; j++) lane[j] += lane[j + half];
            to[i * p->d.channels + k] = lane[0];
        }
}

/* Workspace of a thread, by channel: partial sums, sums of a group, scale, slope and shift. */
enum { PARTIAL = 0, SUMS = 2 * V_LANES, SCALE = SUMS + 2, SLOPE, SHIFT, OF_THREAD };

/* Workspace of the calling thread, which lies behind `all`. */
static float *of_thread(const ls_call *c, float *all)
{
    return all + omp_get_thread_num() * OF_THREAD * shape_of(c->node).channels;
}

/* Writes the two sums of every shard to partial[shard][0 or 1][channel]; the second one times `factor`, unless NULL.
 * A thread begins with its last shard, because the op before has just written its values, so they are in the cache. */
static void sum_shards(const ls_call *c, const pass *of_all, tile_fn *f, const float *factor, float *partial,
                       float *threads)
{
    const int64_t channels = of_all->d.channels, ranges = ranges_of(c->shards, channels);
#pragma omp parallel if (c->rows * channels * of_all->d.inner >= LS_MAP_PARALLEL)
    {
        const int64_t all = c->shards * ranges, n = omp_get_num_threads(), me = omp_get_thread_num();
        for (int64_t item = all * (me + 1) / n - 1; item >= all * me / n; item--) {
            const int64_t shard = item / ranges, k = item % ranges;
            const int64_t begin = channels * k / ranges, end = channels * (k + 1) / ranges;
            float        *to = partial + shard * 2 * channels;
            pass          p  = *of_all;
            p.sums           = of_thread(c, threads);
            sum_rows(&p, f, c->bound[shard], c->bound[shard + 1], begin, end, to);
            for (int64_t i = begin; factor && i < end; i++) to[channels + i] *= factor[i];
        }
    }
}

/* ---- over groups of samples -------------------------------------------------------------------------------------- */

/* Samples [begin, end) of a group. */
typedef struct group {
    int64_t begin, end;
    double  n;        /* values of a channel */
    float  *mean, *r; /* by channel, in the output STATISTICS of the first sample */
} group;

static group group_of(const ls_call *c, int shard, int64_t index, int64_t groups)
{
    const shape   d     = shape_of(c->node);
    const int64_t first = c->bound[shard], rows = c->bound[shard + 1] - first;
    group         g = {.begin = first + rows * index / groups, .end = first + rows * (index + 1) / groups};
    g.n             = (double)((g.end - g.begin) * d.inner);
    g.mean          = (float *)c->y[STATISTICS] + g.begin * 2 * d.channels;
    g.r             = g.mean + d.channels;
    return g;
}

/* Computes one group for channels [begin, end).  first, second: two sums of the shard by channel, to be added to. */
typedef void group_fn(const ls_call *c, pass *p, const group *g, int64_t begin, int64_t end, float *thread,
                      float *first, float *second);

/* Calls f for all groups.  Shard s has the sums first + s * stride and second + s * stride. */
static void each_group(const ls_call *c, group_fn *f, float *first, float *second, int64_t stride, float *threads)
{
    const pass    of_all   = pass_of(c);
    const int64_t channels = of_all.d.channels, size = group_rows(c->node), ranges = ranges_of(c->shards, channels);
#pragma omp parallel for collapse(2) schedule(static) if (c->rows * channels * of_all.d.inner >= LS_MAP_PARALLEL)
    for (int shard = 0; shard < c->shards; shard++)
        for (int64_t k = 0; k < ranges; k++) {
            const int64_t groups = ls__groups_of(c->bound[shard + 1] - c->bound[shard], size);
            const int64_t begin = channels * k / ranges, end = channels * (k + 1) / ranges;
            float        *sums[2] = {first + shard * stride, second + shard * stride};
            for (int i = 0; i < 2; i++) memset(sums[i] + begin, 0, (size_t)(end - begin) * sizeof(float));
            for (int64_t i = 0; i < groups; i++) {
                const group g = group_of(c, shard, i, groups);
                pass        p = of_all;
                p.mean        = g.mean;
                p.r           = g.r;
                p.sums        = of_thread(c, threads);
                f(c, &p, &g, begin, end, p.sums, sums[0], sums[1]);
            }
        }
}

/* Computes m, r and y of a group, and adds m - c and the unbiased variance to the sums of the shard.  A recomputation
 * (no stage) reads the statistics that forward has written. */
static void forward_group(const ls_call *c, pass *p, const group *g, int64_t begin, int64_t end, float *thread,
                          float *sum_of_mean, float *sum_of_variance)
{
    const int64_t channels = p->d.channels;
    float        *sums     = thread + SUMS * channels;
    p->origin              = c->x[MEAN];
    if (c->stage) sum_rows(p, forward_sums_tile, g->begin, g->end, begin, end, sums);
    for (int64_t k = begin; c->stage && k < end; k++) {
        double mean, variance;
        batch_statistics(sums, channels, k, g->n, p->origin[k], &mean, &variance);
        g->mean[k] = (float)mean;
        g->r[k]    = (float)(1 / sqrt(variance + (double)((const ls_batch_norm_args *)c->args)->eps));
        sum_of_mean[k] += (float)(mean - (double)p->origin[k]);
        sum_of_variance[k] += (float)unbiased(variance, g->n);
    }
    for (int64_t row = g->begin; row < g->end; row++) each_tile(p, forward_tile, row, begin, end);
}

/* Sets scale, slope and shift of a channel for dx, from its sums of g and of g h over n values. */
static void set_slope(const pass *p, int64_t k, double sum_g, double sum_gh, double n, float *scale, float *slope,
                      float *shift)
{
    const double r = (double)p->r[k], all = r * (double)weight_of(p, k);
    scale[k] = (float)all;
    slope[k] = (float)(-all * r * sum_gh / n);
    shift[k] = (float)(-all * sum_g / n);
}

static void backward_group(const ls_call *c, pass *p, const group *g, int64_t begin, int64_t end, float *thread,
                           float *sum_g, float *sum_gh)
{
    const int64_t channels = p->d.channels;
    float *sums = thread + SUMS * channels, *scale = thread + SCALE * channels, *slope = thread + SLOPE * channels,
          *shift          = thread + SHIFT * channels;
    const ls_array dadded = p->dadded;
    (void)c;
    p->dadded = (ls_array){0};
    sum_rows(p, backward_sums_tile, g->begin, g->end, begin, end, sums);
    p->dadded = dadded;
    for (int64_t k = begin; k < end; k++) {
        sums[channels + k] *= p->r[k];
        sum_g[k] += sums[k];
        sum_gh[k] += sums[channels + k];
        set_slope(p, k, (double)sums[k], (double)sums[channels + k], g->n, scale, slope, shift);
    }
    if (!p->dx.data && !dadded.data) return;
    p->scale = scale;
    p->slope = slope;
    p->shift = shift;
    for (int64_t row = g->begin; row < g->end; row++) each_tile(p, dx_tile, row, begin, end);
}

/* ---- kernels ----------------------------------------------------------------------------------------------------- */

/* Workspace: five values per channel, two sums per channel for every shard, for backward the same sums again, and that
 * of every thread. */
static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    (void)rows;
    return (size_t)(5 + (backward ? 4 : 2) * shards + OF_THREAD * threads) * (size_t)shape_of(n).channels *
           sizeof(float);
}

static void forward(const ls_call *c)
{
    const int64_t channels = shape_of(c->node).channels;
    float        *mean = c->scratch, *r = mean + channels, *partial = mean + 5 * channels,
          *threads = partial + c->shards * 2 * channels;
    if (c->training && group_rows(c->node)) {
        each_group(c, forward_group, partial, partial + channels, 2 * channels, threads);
        if (c->stage) ls__fold_sums(c, 2 * channels, partial);
        return;
    }
    pass p = pass_of(c);
    if (c->stage == LS_STAGE_SUMS) {
        p.origin = c->x[MEAN];
        sum_shards(c, &p, forward_sums_tile, NULL, partial, threads);
        ls__fold_sums(c, 2 * channels, partial);
        return;
    }
    read_statistics(c, c->stage == LS_STAGE_REST ? c->forward_sums : NULL, mean, r);
    p.mean = mean;
    p.r    = r;
    each_row(c, &p, forward_tile);
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

/* The gradients of weight and bias.  In LS_STAGE_SUMS also writes dadded if the second stage is to read it. */
static void backward_sums(const ls_call *c, const pass *of_all, float *partial)
{
    const int64_t channels = of_all->d.channels;
    float        *dw = partial + c->shards * 2 * channels, *db = dw + c->shards * channels,
          *threads = db + c->shards * channels;
    pass p         = *of_all;
    if (c->stage != LS_STAGE_SUMS) p.dadded = (ls_array){0};
    sum_shards(c, &p, backward_sums_tile, p.r, partial, threads);
    if (c->stage == LS_STAGE_SUMS) {
        ls__fold_sums(c, 2 * channels, partial);
        write_gradient(c, BIAS, channels, 0);
        write_gradient(c, WEIGHT, channels, channels);
        return;
    }
    /* Without stages, each gradient is folded from an array of its own. */
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
    float        *mean = c->scratch, *r = mean + channels, *scale = r + channels, *slope = scale + channels,
          *shift = slope + channels, *partial = shift + channels;
    if (group_rows(c->node)) {
        float *db = partial, *dw = db + c->shards * channels;
        each_group(c, backward_group, db, dw, channels, partial + c->shards * 4 * channels);
        if (c->dx[BIAS]) ls__fold(c, BIAS, channels, db);
        if (c->dx[WEIGHT]) ls__fold(c, WEIGHT, channels, dw);
        return;
    }
    pass p = pass_of(c);
    read_statistics(c, c->stage ? c->forward_sums : NULL, mean, r);
    p.mean = mean;
    p.r    = r;
    if (c->stage == LS_STAGE_SUMS || (!c->stage && (c->dx[WEIGHT] || c->dx[BIAS]))) backward_sums(c, &p, partial);
    if (c->stage == LS_STAGE_SUMS || (!p.dx.data && !p.dadded.data)) return;
    const double n = count_of(c->node, c->batch_rows);
    for (int64_t k = 0; k < channels; k++) {
        if (c->stage)
            set_slope(&p, k, (double)c->sums[k], (double)c->sums[channels + k], n, scale, slope, shift);
        else
            scale[k] = (float)((double)r[k] * (double)weight_of(&p, k));
    }
    p.scale = scale;
    p.slope = c->stage ? slope : NULL;
    p.shift = shift;
    each_row(c, &p, dx_tile);
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
    .over_input       = true,
    .fuses            = true,
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
