/* SPDX-License-Identifier: Apache-2.0
 *
 * Local response normalisation across channels (Krizhevsky 2012), with the constants of PyTorch's LocalResponseNorm.
 *      x: B x C x ...  ->  y: B x C x ...
 *
 * Forward     d_c = k + alpha / size sum over j of x_j^2    j: channels c - size / 2 ... c + (size - 1) / 2 that exist
 *             y_c = x_c d_c^-beta
 * Backward    t_j = dy_j x_j d_j^(-beta - 1)
 *             dx_c = dy_c d_c^-beta - 2 alpha beta / size  x_c  sum of t_j over j = c - (size - 1) / 2 ... c + size / 2
 *
 * For beta = 3/4, d^-beta = 1 / (s sqrt(s)) with s = sqrt(d) takes no logarithm.  Backward computes d from x again, in
 * tiles of TILE elements of all channels.
 */
#include <omp.h>

#include "core/base/integer.h"
#include "core/cpu/vector/elementwise.h"
#include "core/ops/infer.h"

enum { TILE = 64 };

static ls_status infer(ls_node *n)
{
    ls_local_response_norm_args *a = n->args;
    if (a->alpha == 0) a->alpha = 1e-4f;
    if (a->beta == 0) a->beta = 0.75f;
    if (a->k == 0) a->k = 1;
    LS_NODE_CHECK(n, a->size >= 1, "size must be at least 1, found %d" LS_HINT "AlexNet has .size = 5", a->size);
    LS_NODE_CHECK(n, a->alpha > 0 && a->beta > 0 && a->k > 0, "alpha, beta and k must be positive, found %g, %g and %g",
                  (double)a->alpha, (double)a->beta, (double)a->k);
    LS_NODE_CHECK(n, n->in[0]->rank >= 1, "the input '%s' is %s, expected B x C x ...", n->in[0]->name,
                  ls__shape(n->in[0]));
    return ls__infer_same(n);
}

/* A tile: `n` neighbouring elements of each channel of a sample, from `at` on. */
typedef struct tile {
    const ls_local_response_norm_args *args;
    int64_t                            channels, plane, at, n;
} tile;

/* d^-beta */
V_INLINE vf power(vf d, float beta)
{
    const vf s = v_sqrt(d);
    return beta == 0.75f ? 1.0f / (s * v_sqrt(s)) : v_exp(v_log(d) * -beta);
}

/* Returns the sum of row c - before ... c + after of values (channels x TILE), those that exist. */
V_INLINE vf window_sum(const tile *t, const float *values, bool squares, int64_t c, int64_t before, int64_t after,
                       int64_t at, int64_t n)
{
    vf sum = v_set(0);
    for (int64_t j = ls__max(c - before, 0); j < ls__min(c + after + 1, t->channels); j++) {
        const vf v = v_load_part(values + j * TILE + at, n);
        sum        = squares ? v_fma(v, v, sum) : sum + v;
    }
    return sum;
}

/* d of channel c, of elements [at, at + n) of the tile x. */
V_INLINE vf denominator(const tile *t, const float *x, int64_t c, int64_t at, int64_t n)
{
    const int size = t->args->size;
    return v_fma(window_sum(t, x, true, c, size / 2, (size - 1) / 2, at, n), v_set(t->args->alpha / (float)size),
                 v_set(t->args->k));
}

/* Copies a tile of x to `to` (channels x TILE). */
static void read_tile(const tile *t, ls_array x, float *to)
{
    for (int64_t c = 0; c < t->channels; c++) {
        const float *from = ls__read(x, t->at + c * t->plane, t->n, to + c * TILE);
        if (from != to + c * TILE) memcpy(to + c * TILE, from, (size_t)t->n * sizeof *to);
    }
}

static void forward_tile(const tile *t, const float *x, ls_array y)
{
    float buffer[TILE];
    for (int64_t c = 0; c < t->channels; c++) {
        float *to = ls__write_begin(y, t->at + c * t->plane, t->n, buffer, false);
        V_MAP(t->n, V_PUT(to, v_load_part(x + c * TILE + v_at, v_left) *
                                  power(denominator(t, x, c, v_at, v_left), t->args->beta)));
        ls__write_end(y, t->at + c * t->plane, t->n, to);
    }
}

/* dy: the tile of dy, which is overwritten with dy d^-beta; sums: workspace for t. */
static void backward_tile(const tile *t, const float *x, float *dy, float *sums, ls_array dx, bool add)
{
    const int   size = t->args->size;
    const float beta = t->args->beta, factor = 2 * t->args->alpha * beta / (float)size;
    float       buffer[TILE];
    for (int64_t c = 0; c < t->channels; c++) {
        float *g = dy + c * TILE, *to = sums + c * TILE;
        V_MAP(t->n, const vf d = denominator(t, x, c, v_at, v_left); const vf scaled = V_GET(g) * power(d, beta);
              V_PUT(g, scaled); V_PUT(to, scaled * v_load_part(x + c * TILE + v_at, v_left) / d));
    }
    for (int64_t c = 0; c < t->channels; c++) {
        const float *from = x + c * TILE, *g = dy + c * TILE;
        float       *to = ls__write_begin(dx, t->at + c * t->plane, t->n, buffer, add);
        V_MAP(t->n, const vf own = V_GET(g) - V_GET(from) * factor *
                                                  window_sum(t, sums, false, c, (size - 1) / 2, size / 2, v_at, v_left);
              V_PUT(to, add ? V_GET(to) + own : own));
        ls__write_end(dx, t->at + c * t->plane, t->n, to);
    }
}

/* Computes y, or dx if `back`, tile by tile. */
static void run(const ls_call *c, bool back)
{
    const ls_tensor *x        = c->node->in[0];
    const int64_t    channels = x->dim[0], plane = ls__numel(x) / channels, tiles = ls__ceil_div(plane, TILE);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < c->rows * tiles; i++) {
        const int64_t first = i % tiles * TILE;
        const tile t = {c->args, channels, plane, i / tiles * channels * plane + first, ls__min(TILE, plane - first)};
        float     *work = (float *)c->scratch + omp_get_thread_num() * (back ? 3 : 1) * channels * TILE;
        read_tile(&t, ls__x(c, 0), work);
        if (!back) {
            forward_tile(&t, work, ls__y(c, 0));
            continue;
        }
        read_tile(&t, ls__dy(c, 0), work + channels * TILE);
        backward_tile(&t, work, work + channels * TILE, work + 2 * channels * TILE, ls__dx(c, 0), c->add[0]);
    }
}

static void forward(const ls_call *c) { run(c, false); }

static void backward(const ls_call *c)
{
    if (c->dx[0]) run(c, true);
}

static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool back)
{
    (void)rows, (void)shards;
    return ls__row_buffers(back ? 3 : 1, n->in[0]->dim[0] * TILE, threads);
}

static double flops(const ls_node *n)
{
    return (2.0 * ((const ls_local_response_norm_args *)n->args)->size + 10.0) * (double)ls__numel(n->in[0]);
}

#define FLOAT_FIELD(member) LS_FIELD(FLOAT, ls_local_response_norm_args, member)
LS_OP(local_response_norm) = {
    .name             = "local_response_norm",
    .args_bytes       = sizeof(ls_local_response_norm_args),
    .ins              = 1,
    .outs             = 1,
    .either           = 1u << 0,
    .saves            = LS_SAVES_IN(0),
    .inplace_backward = true,
    .recompute_costly = true,
    .fields   = LS_FIELDS(LS_FIELD(INT, ls_local_response_norm_args, size), FLOAT_FIELD(alpha), FLOAT_FIELD(beta),
                          FLOAT_FIELD(k)),
    .infer    = infer,
    .forward  = {[LS_CPU] = forward},
    .backward = {[LS_CPU] = backward},
    .scratch  = scratch,
    .flops    = flops,
};
