/* SPDX-License-Identifier: Apache-2.0
 *
 * Group normalisation (Wu 2018), with statistics of one sample.
 *      x: B x C x ...   w, b: C or none   ->  y: B x C x ...   saved: B x G x 2
 *
 * Forward     the channels are cut into G groups of neighbours;  n: elements of a group
 *             m = mean x,  r = 1 / sqrt(mean (x - m)^2 + eps),  h = (x - m) r      the means are over one group
 *             y = h w_c + b_c
 * Backward    with A_c = sum of dy, B_c = sum of dy h over the elements of a channel
 *             dx = r (dy w_c - sum over c of w_c A_c / n - h sum over c of w_c B_c / n)    the sums are over the group
 *             dw_c = sum of B_c,  db_c = sum of A_c    over the samples, as a binary tree over shards
 *
 * saved holds r and m of each group.
 */
#include "core/ops/norm.h"

static ls_status infer(ls_node *n)
{
    ls_group_norm_args *a = n->args;
    const ls_tensor    *x = n->in[0];
    if (a->eps == 0) a->eps = 1e-5f;
    if (a->groups == 0) a->groups = 1;
    LS_TRY(ls__expect_samples(n, 0));
    LS_NODE_CHECK(n, x->rank >= 1, "the input '%s' is %s, expected B x C x ...", x->name, ls__shape(x));
    LS_NODE_CHECK(n, a->groups >= 1 && x->dim[0] % a->groups == 0,
                  "groups is %d, expected a divisor of the channels: the input '%s' is %s", a->groups, x->name,
                  ls__shape(x));
    LS_NODE_CHECK(n, a->eps > 0, "eps is %g, expected a positive number", (double)a->eps);
    for (int i = 1; i < 3; i++) {
        if (!n->in[i]) continue;
        LS_TRY(ls__expect_param(n, i, 1));
        LS_NODE_CHECK(n, n->in[i]->dim[0] == x->dim[0],
                      "'%s' is %s, expected one value for each channel of the input '%s', %s", n->in[i]->name,
                      ls__shape(n->in[i]), x->name, ls__shape(x));
    }
    ls__out(n, 0, n->graph->precision, true, x->rank, x->dim);
    ls__out(n, 1, LS_F32, true, 2, (const int64_t[]){a->groups, 2});
    return LS_OK;
}

/* Sizes of a call. */
typedef struct sizes {
    int64_t groups, channels; /* of a sample, of a group */
    int64_t plane, n;         /* elements of a channel, of a group */
} sizes;

static sizes sizes_of(const ls_node *n)
{
    const ls_tensor *x      = n->in[0];
    const int64_t    groups = ((const ls_group_norm_args *)n->args)->groups;
    return (sizes){groups, x->dim[0] / groups, ls__numel(x) / x->dim[0], ls__numel(x) / groups};
}

/* Normalises row k: group k mod G of sample k / G. */
static void row_forward(const ls_call *c, const sizes *s, int64_t k, const float *x, float *y)
{
    const int64_t first = k % s->groups * s->channels;
    const float  *w = c->x[1], *b = c->x[2], eps = ((const ls_group_norm_args *)c->args)->eps;
    const float   mean  = ls__vsum(s->n, x) / (float)s->n;
    const float   r     = 1 / __builtin_sqrtf(ls__norm_squares(s->n, x, mean) / (float)s->n + eps);
    float        *saved = (float *)c->y[1] + 2 * k;
    saved[0] = r, saved[1] = mean;
    for (int64_t i = 0; i < s->channels; i++, x += s->plane, y += s->plane) {
        const float scale = w ? r * w[first + i] : r, shift = b ? b[first + i] : 0;
        V_MAP(s->plane, V_PUT(y, v_fma(V_GET(x) - mean, v_set(scale), v_set(shift))));
    }
}

static void forward(const ls_call *c)
{
    const sizes    s = sizes_of(c->node);
    const ls_array x = ls__x(c, 0), y = ls__y(c, 0);
#pragma omp parallel for schedule(static) if (c->rows * s.groups * s.n >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < c->rows * s.groups; k++) {
        float *buffer = c->scratch ? (float *)c->scratch + omp_get_thread_num() * 2 * s.n : NULL;
        float *to     = ls__write_begin(y, k * s.n, s.n, buffer ? buffer + s.n : NULL, false);
        row_forward(c, &s, k, ls__read(x, k * s.n, s.n, buffer), to);
        ls__write_end(y, k * s.n, s.n, to);
    }
}

/* Computes A and B of one channel. */
static void channel_sums(int64_t n, const float *dy, const float *x, float r, float mean, float *a, float *b)
{
    vf of_dy[V_CHAINS(2)] = {{0}}, of_dyh[V_CHAINS(2)] = {{0}};
    V_MAP_SUM(n, V_CHAINS(2), const vf d = V_GET(dy); of_dy[v_sum] += d;
              of_dyh[v_sum] = v_fma(d, (V_GET(x) - mean) * r, of_dyh[v_sum]));
    *a = v_total(2, of_dy);
    *b = v_total(2, of_dyh);
}

/* Computes dx of row k, which may overwrite dy, unless it is NULL.  a, b: the sums of the channels of the group. */
static void row_backward(const ls_call *c, const sizes *s, int64_t k, const float *dy, const float *x, float *dx,
                         float *a, float *b)
{
    const float *w = c->x[1] ? (const float *)c->x[1] + k % s->groups * s->channels : NULL;
    const float  r = ((const float *)c->y[1])[2 * k], mean = ((const float *)c->y[1])[2 * k + 1];
    double       of_g = 0, of_gh = 0;
    for (int64_t i = 0; i < s->channels; i++) {
        channel_sums(s->plane, dy + i * s->plane, x + i * s->plane, r, mean, &a[i], &b[i]);
        of_g += w ? (double)w[i] * (double)a[i] : (double)a[i];
        of_gh += w ? (double)w[i] * (double)b[i] : (double)b[i];
    }
    if (!dx) return;
    const float mean_g = (float)(of_g / (double)s->n), mean_gh = (float)(of_gh / (double)s->n);
    for (int64_t i = 0; i < s->channels; i++, dy += s->plane, x += s->plane, dx += s->plane) {
        const vf scale = v_set(w ? w[i] : 1);
        if (c->add[0])
            V_MAP(s->plane, V_PUT(dx, V_GET(dx) + (V_GET(dy) * scale - mean_g - (V_GET(x) - mean) * r * mean_gh) * r));
        else
            V_MAP(s->plane, V_PUT(dx, (V_GET(dy) * scale - mean_g - (V_GET(x) - mean) * r * mean_gh) * r));
    }
}

/* Workspace of backward: A and B of all channels and samples; one partial sum per shard; three rows for each thread. */
static void backward(const ls_call *c)
{
    const sizes    s = sizes_of(c->node);
    const int64_t  C = s.groups * s.channels;
    float         *a = c->scratch, *b = a + c->rows * C, *partial = b + c->rows * C;
    float         *buffers = partial + ls__column_sums_scratch(C, c->shards);
    const ls_array x = ls__x(c, 0), dy = ls__dy(c, 0), dx = ls__dx(c, 0);
#pragma omp parallel for schedule(static) if (c->rows * s.groups * s.n >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < c->rows * s.groups; k++) {
        float *buffer = buffers + omp_get_thread_num() * 3 * s.n; /* unused with float32 */
        float *out    = ls__write_begin(dx, k * s.n, s.n, buffer, c->add[0]);
        row_backward(c, &s, k, ls__read(dy, k * s.n, s.n, buffer + s.n), ls__read(x, k * s.n, s.n, buffer + 2 * s.n),
                     out, a + k * s.channels, b + k * s.channels);
        ls__write_end(dx, k * s.n, s.n, out);
    }
    if (c->dx[1]) ls__column_sums(c, 1, 1, C, ls__f32(b), (ls_array){0}, partial);
    if (c->dx[2]) ls__column_sums(c, 2, 1, C, ls__f32(a), (ls_array){0}, partial);
}

static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool back)
{
    const sizes   s    = sizes_of(n);
    const int64_t C    = s.groups * s.channels;
    const bool    wide = n->in[0]->type == LS_BF16 || n->out[0]->type == LS_BF16;
    const size_t  sums = sizeof(float) * ((size_t)(2 * rows * C) + ls__column_sums_scratch(C, shards));
    return (back ? sums : 0) + (wide ? ls__row_buffers(back ? 3 : 2, s.n, threads) : 0);
}

static double flops(const ls_node *n) { return 8.0 * (double)ls__numel(n->in[0]); }

LS_OP(group_norm) = {
    .name             = "group_norm",
    .args_bytes       = sizeof(ls_group_norm_args),
    .ins              = 3,
    .outs             = 2,
    .optional         = 1u << 1 | 1u << 2,
    .either           = 1u << 0,
    .saves            = LS_SAVES_IN(0) | LS_SAVES_IN(1) | LS_SAVES_OUT(1),
    .inplace_backward = true,
    .recompute        = true,
    .fields           = LS_FIELDS(LS_FIELD(INT, ls_group_norm_args, groups), LS_FIELD(FLOAT, ls_group_norm_args, eps)),
    .infer            = infer,
    .forward          = {[LS_CPU] = forward},
    .backward         = {[LS_CPU] = backward},
    .scratch          = scratch,
    .flops            = flops,
};
