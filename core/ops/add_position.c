/* SPDX-License-Identifier: Apache-2.0
 *
 * Absolute positional encoding, added to a sequence.
 *      x: B x T x C   w: N x C or none   start: B of int32 or none   ->  y: B x T x C
 *
 * Forward     y[t] = x[t] + w[first + start + t]               learned positions (Gehring 2017)
 *             y[t] = x[t] + p(first + start + t)               without w: sinusoids (Vaswani 2017),
 *                    p(n)[2 i]     = sin(n / 10000^(2 i / C))
 *                    p(n)[2 i + 1] = cos(n / 10000^(2 i / C))
 * Backward    dx = dy
 *             dw[n] = sum of dy[t] over the samples and the t with first + start + t = n
 *             one sequential sum per shard, then the binary tree over shards
 *
 * `first` is an attribute: RoBERTa's positions begin at 2.  `start` belongs to a sample; 0 if absent.  A position
 * outside of 0..N-1 gives a row of NaN and no gradient, as in embedding.
 */
#include "core/cpu/vector/sincos.h"
#include "core/cpu/vector/column_sum.h"
#include "core/cpu/scatter.h"
#include "core/ops/infer.h"

enum { TILE = 256 }; /* columns of a tile; even, so that pairs of sine and cosine are not split */

static int64_t first_of(const ls_node *n) { return ((const ls_add_position_args *)n->args)->first; }

static ls_status infer(ls_node *n)
{
    const ls_tensor *x = n->in[0], *w = n->in[1];
    LS_NODE_CHECK(n, first_of(n) >= 0, "first is %lld, expected at least 0", (long long)first_of(n));
    LS_TRY(ls__expect_samples(n, 0));
    LS_NODE_CHECK(n, x->rank == 2, "input '%s' is %s, expected B x T x C", x->name, ls__shape(x));
    LS_TRY(ls__expect_start(n, 2));
    if (w) {
        LS_TRY(ls__expect_param(n, 1, 2));
        LS_NODE_CHECK(n, w->dim[1] == x->dim[1], "input '%s' is %s and the table '%s' is %s: the last dims differ",
                      x->name, ls__shape(x), w->name, ls__shape(w));
        LS_NODE_CHECK(n, n->in[2] || x->dim[0] + first_of(n) <= w->dim[0],
                      "input '%s' is %s, and the table '%s' has only %lld positions" LS_HINT
                      "use a longer table or shorter sequences",
                      x->name, ls__shape(x), w->name, (long long)w->dim[0]);
    }
    ls__out_like(n, 0, x);
    return LS_OK;
}

static int64_t position_of(const ls_call *c, int64_t sample, int64_t t)
{
    return first_of(c->node) + (c->x[2] ? ((const int32_t *)c->x[2])[sample] + t : t);
}

/* Returns columns [first, first + n) of the encoding of a position: a row of the table, or `buffer`, which has space
 * for whole pairs of vectors. */
static const float *encoding(const ls_call *c, int64_t position, int64_t first, int64_t n, float *buffer)
{
    const float  *w    = c->x[1];
    const int64_t cols = ls__cols(c->node->in[0]), pairs = (n + 1) / 2;
    float         sine[TILE / 2 + LS_V], cosine[TILE / 2 + LS_V];
    if (w && position >= 0 && position < c->node->in[1]->dim[0]) return w + position * cols + first;
    if (w) {
        for (int64_t i = 0; i < n; i++) buffer[i] = NAN;
        return buffer;
    }
    ls__angles(position, pairs, (const uint64_t *)c->scratch + first / 2, sine, cosine);
    for (int64_t i = 0; i < pairs; i += LS_V) {
        v_store(buffer + 2 * i, v_zip_low(v_load(sine + i), v_load(cosine + i)));
        v_store(buffer + 2 * i + LS_V, v_zip_high(v_load(sine + i), v_load(cosine + i)));
    }
    return buffer;
}

/* Computes a tile of columns of row t for all samples.  The encoding is computed once, unless samples have different
 * starts. */
static void forward_tile(const ls_call *c, int64_t t, int64_t first)
{
    const int64_t times = c->node->in[0]->dim[0], cols = c->node->in[0]->dim[1],
                  n = cols - first < TILE ? cols - first : TILE;
    const float *p  = NULL;
    float        buffer[TILE + 2 * LS_V];
    for (int64_t b = 0; b < c->rows; b++) {
        const int64_t at = (b * times + t) * cols + first;
        float         wide[2][TILE];
        const float  *x = ls__read(ls__x(c, 0), at, n, wide[0]);
        float        *y = ls__write_begin(ls__y(c, 0), at, n, wide[1], false);
        if (!p || c->x[2]) p = encoding(c, position_of(c, b, t), first, n, buffer);
        V_MAP(n, V_PUT(y, V_GET(x) + V_GET(p)));
        ls__write_end(ls__y(c, 0), at, n, y);
    }
}

static void forward(const ls_call *c)
{
    const ls_tensor *x     = c->node->in[0];
    const int64_t    tiles = (x->dim[1] + TILE - 1) / TILE;
    if (!c->x[1]) ls__angle_steps(10000, x->dim[1], (x->dim[1] + 1) / 2, c->scratch);
#pragma omp parallel for schedule(static) if (c->rows * ls__numel(x) >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < x->dim[0] * tiles; k++) forward_tile(c, k / tiles, k % tiles * TILE);
}

/* Whether row t of the table belongs to another position than t. */
static bool is_shifted(const ls_node *n) { return n->in[2] || first_of(n); }

/* Workspace.  Forward: the angle steps of sinusoids.  Backward: column sums of each shard; where rows are shifted, the
 * workspace of ls__scatter_rows and the positions. */
static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    const ls_tensor *x = n->in[0], *w = n->in[1];
    const int64_t    count = rows * x->dim[0];
    (void)threads;
    if (!backward) return w ? 0 : (size_t)(x->dim[1] + 1) / 2 * sizeof(uint64_t);
    if (!w) return 0;
    if (!is_shifted(n)) return ls__column_sums_scratch(ls__numel(x), shards) * sizeof(float);
    return ls__scatter_scratch(w->dim[0], count) + (size_t)count * sizeof(int32_t);
}

/* Computes the gradient of the table when row t belongs to position t; rows T and up get zero. */
static void backward_table(const ls_call *c)
{
    const ls_tensor *x = c->node->in[0], *w = c->node->in[1];
    ls__column_sums(c, 1, 1, ls__numel(x), ls__dy(c, 0), (ls_array){0}, c->scratch);
    for (int k = 0; k < c->groups; k++)
        if (!ls__group_add(c, 1, k))
            memset(ls__group_grad(c, 1, k) + ls__numel(x), 0, (size_t)(ls__numel(w) - ls__numel(x)) * sizeof(float));
}

/* Computes the gradient of the table when rows are shifted. */
static void backward_table_at(const ls_call *c)
{
    const ls_tensor *x = c->node->in[0], *w = c->node->in[1];
    const int64_t    times = x->dim[0], count = c->rows * times;
    void            *lists = c->scratch;
    int32_t         *id    = (int32_t *)((char *)lists + ls__scatter_scratch(w->dim[0], count));
    for (int64_t p = 0; p < count; p++) {
        int64_t position = position_of(c, p / times, p % times);
        id[p]            = position >= 0 && position < w->dim[0] ? (int32_t)position : -1;
    }
    ls__scatter_rows(
        c, 1,
        &(ls_scatter){
            .rows = w->dim[0], .cols = w->dim[1], .lead = times, .id = id, .dy = ls__dy(c, 0), .scratch = lists});
}

static void backward(const ls_call *c)
{
    if (c->dx[1] && is_shifted(c->node))
        backward_table_at(c);
    else if (c->dx[1])
        backward_table(c);
    if (c->dx[0])
        ls__map(ls__map_copy, NULL, c->rows * ls__numel(c->node->in[0]), ls__dy(c, 0), (ls_array){0}, ls__dx(c, 0),
                c->add[0]);
}

LS_OP(add_position) = {
    .name             = "add_position",
    .args_bytes       = sizeof(ls_add_position_args),
    .ins              = 3,
    .outs             = 1,
    .optional         = 1u << 1 | 1u << 2,
    .saves            = LS_SAVES_IN(2),
    .no_grad          = 1u << 2,
    .either           = 1u << 0,
    .inplace          = true,
    .inplace_backward = true,
    .infer            = infer,
    .forward          = {[LS_CPU] = forward},
    .backward         = {[LS_CPU] = backward},
    .scratch          = scratch,
};
