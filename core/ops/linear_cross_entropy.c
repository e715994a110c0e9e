/* SPDX-License-Identifier: Apache-2.0
 *
 * Cross entropy of a linear layer without its logits.
 *      x: B x ... x C   w: V x C   target t: B x ... of int32   b: V or none   ->  loss: B   weight: B
 *
 * Forward     z = x w^T + b,  loss = cross entropy of z, or with a cap of z' = cap tanh(z / cap) (cross_entropy.c)
 * Backward    dz = (softmax(z) - onehot(t)) dloss, with a cap times 1 - (z' / cap)^2
 *             dx = dz w,  dw = dz^T x,  db = sum of dz over the positions
 *
 * The logits z exist for one block of positions at a time.  Backward computes the logits of a block, replaces them by
 * dz in place and multiplies twice.  These logits are all that the loss needs, so in a training step backward computes
 * the loss as well and forward is skipped: three matrix products instead of four (Hsu 2024, "Liger kernel", recomputes
 * in blocks as well).  In a bfloat16 graph the logits and dz are bfloat16.
 *
 * Ignored positions have no logits and no dx: the rows of x of the others are gathered.  dw skips them where its sum is
 * uninterrupted, because then only zeros are left out and the bits stay.
 *
 * dw and db are summed as binary trees over shards; core/ops/linear_cross_entropy_blocks.h has a diagram of the blocks
 * and of their memory.
 */
#include <omp.h>

#include "core/base/integer.h"
#include "core/cpu/gemm/product_table.h"
#include "core/cpu/shard_sum.h"
#include "core/ops/infer.h"
#include "core/ops/linear_cross_entropy_blocks.h"
#include "core/ops/nll.h"

enum { B = 3 }; /* index of the bias among the inputs */

static ls_status infer(ls_node *n)
{
    const ls_linear_cross_entropy_args *a = n->args;
    const ls_tensor                    *x = n->in[0], *w = n->in[1], *t = n->in[2], *b = n->in[B];
    LS_TRY(ls__expect_samples(n, 0));
    LS_TRY(ls__expect_param(n, 1, 2));
    LS_NODE_CHECK(n, x->rank >= 1 && ls__cols(x) == w->dim[1],
                  "input '%s' is %s and the weight '%s' is %s: the last dims differ", x->name, ls__shape(x), w->name,
                  ls__shape(w));
    LS_NODE_CHECK(n, t->type == LS_I32 && t->batched, "the target '%s' is %s of %s, expected samples of int32", t->name,
                  ls__shape(t), ls__dtype_name(t->type));
    bool same = t->rank == x->rank - 1;
    for (int i = 0; same && i < t->rank; i++) same = t->dim[i] == x->dim[i];
    LS_NODE_CHECK(n, same,
                  "input '%s' is %s and the target '%s' is %s" LS_HINT
                  "the target has the dims of the input without the last",
                  x->name, ls__shape(x), t->name, ls__shape(t));
    LS_NODE_CHECK(n, a->label_smoothing >= 0 && a->label_smoothing < 1,
                  "label_smoothing is %g, expected 0 <= label_smoothing < 1", (double)a->label_smoothing);
    LS_NODE_CHECK(n, a->cap >= 0 && a->cap < INFINITY, "cap is %g, expected at least 0", (double)a->cap);
    if (b) {
        LS_TRY(ls__expect_param(n, B, 1));
        LS_NODE_CHECK(n, b->dim[0] == w->dim[0], "the bias '%s' is %s, expected length %lld", b->name, ls__shape(b),
                      (long long)w->dim[0]);
    }
    ls_tensor *loss = ls__out(n, 0, LS_F32, true, 0, NULL);
    loss->weight    = ls__out(n, 1, LS_F32, true, 0, NULL);
    return LS_OK;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* A partial sum, V x C: its first rows lie in gradient memory, the others in the workspace. */
typedef struct partial_sum {
    float  *in_gradients, *in_workspace;
    int64_t rows_in_gradients;
} partial_sum;

static ls_lce_shape shape_of(const ls_node *n, int64_t rows, int64_t shard_rows, int shards)
{
    const int64_t lead = ls__rows(n->in[0]);
    return (ls_lce_shape){.vocabulary      = n->in[1]->dim[0],
                          .channels        = n->in[1]->dim[1],
                          .positions       = rows * lead,
                          .shard_positions = shard_rows * lead,
                          .shards          = shards,
                          .narrow          = n->in[0]->type == LS_BF16,
                          .capped          = ((const ls_linear_cross_entropy_args *)n->args)->cap > 0,
                          .biased          = n->in[B] != NULL,
                          .ignores         = ((const ls_linear_cross_entropy_args *)n->args)->ignore};
}

static ls_lce_shape call_shape(const ls_call *c) { return shape_of(c->node, c->rows, c->shard_rows, c->shards); }

static ls_lce_memory call_memory(const ls_call *c, bool backward)
{
    const ls_lce_shape s = call_shape(c);
    return ls__lce_memory(&s, backward, omp_get_max_threads(), c->gradient_scratch_bytes / sizeof(float));
}

/* The logits block, which has the type of x.  Backward replaces logits by their gradients dz. */
static ls_array logits_of(const ls_call *c, const ls_lce_memory *m)
{
    return (ls_array){(float *)(m->logits_in_gradients ? c->gradient_scratch : c->scratch) + m->logits,
                      ls__x(c, 0).type};
}

static int64_t *bound_of(const ls_call *c, const ls_lce_memory *m)
{
    return (int64_t *)((float *)c->scratch + m->bound);
}

static partial_sum partial_of(const ls_call *c, const ls_lce_memory *m, int i)
{
    const int64_t rows = m->partial[i].rows_in_gradients;
    return (partial_sum){.in_gradients      = rows ? (float *)c->gradient_scratch + m->partial[i].in_gradients : NULL,
                         .in_workspace      = (float *)c->scratch + m->partial[i].in_workspace,
                         .rows_in_gradients = rows};
}

static size_t workspace_bytes(const ls_node *n, int64_t rows, int shards, int threads, bool backward,
                              size_t gradient_bytes)
{
    const ls_lce_shape s = shape_of(n, rows, (rows + shards - 1) / shards, shards);
    return ls__lce_memory(&s, backward, threads, gradient_bytes / sizeof(float)).workspace * sizeof(float);
}

static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    return workspace_bytes(n, rows, shards, threads, backward, 0);
}

static size_t scratch_beside_gradients(const ls_node *n, int64_t rows, int shards, int threads, size_t gradient_bytes)
{
    return workspace_bytes(n, rows, shards, threads, true, gradient_bytes);
}

/* ---- a logits block ---------------------------------------------------------------------------------------------- */

static bool ignored(const ls_linear_cross_entropy_args *a, int32_t t) { return a->ignore && t == a->ignore_index; }

/* A logits block: positions [first, first + count) of the call.  Row i of its logits and of its x is position
 * first + i, or first + at[i] if some are ignored. */
typedef struct block {
    int64_t        first, count, rows;
    const int32_t *at;     /* NULL: no position is ignored, and rows is count */
    ls_array       logits; /* rows x V; backward replaces them by dz          */
    ls_array       x;      /* rows x C                                        */
} block;

/* Copies the rows of x that belong to the rows of a block into `gathered`, or back. */
static void copy_rows(const block *b, int64_t channels, ls_array x, ls_array gathered, bool back)
{
    const size_t bytes = (size_t)channels * ls__array_bytes(x.type);
#pragma omp parallel for schedule(static) if (b->rows * channels >= LS_ROWS_PARALLEL)
    for (int64_t i = 0; i < b->rows; i++) {
        void *one  = ls__from(x, (b->first + b->at[i]) * channels).data;
        void *many = ls__from(gathered, i * channels).data;
        memcpy(back ? one : many, back ? many : one, bytes);
    }
}

/* Lists the positions of a block that are not ignored, and gathers their x. */
static block block_of(const ls_call *c, const ls_lce_memory *m, ls_array logits, int64_t first, int64_t count)
{
    const int64_t  channels = ls__cols(c->node->in[0]);
    const int32_t *t        = (const int32_t *)c->x[2] + first;
    int32_t       *at       = (int32_t *)((float *)c->scratch + m->counted);
    block          b = {.first = first, .count = count, .logits = logits, .x = ls__from(ls__x(c, 0), first * channels)};
    if (!((const ls_linear_cross_entropy_args *)c->args)->ignore) {
        b.rows = count;
        return b;
    }
    for (int64_t p = 0; p < count; p++)
        if (!ignored(c->args, t[p])) at[b.rows++] = (int32_t)p;
    if (b.rows == count) return b;
    b.at = at;
    b.x  = (ls_array){(float *)c->scratch + m->gathered, b.x.type};
    copy_rows(&b, channels, ls__x(c, 0), b.x, false);
    return b;
}

/* Writes the logits of a block. */
static void compute_logits(const ls_call *c, const block *b)
{
    const int64_t v = c->node->in[1]->dim[0], channels = c->node->in[1]->dim[1];
    if (b->rows)
        ls__product(c->node->graph->products, &(ls_gemm){.m      = b->rows,
                                                         .n      = v,
                                                         .k      = channels,
                                                         .x      = b->x.data,
                                                         .x_row  = channels,
                                                         .x_col  = 1,
                                                         .w      = c->x[1],
                                                         .w_row  = 1,
                                                         .w_col  = channels,
                                                         .y      = b->logits.data,
                                                         .y_row  = v,
                                                         .bias   = c->x[B],
                                                         .type   = ls__x(c, 1).type,
                                                         .y_type = b->logits.type});
}

/* Reads the logits of one position, tile by tile, into z, which is the place of the logits if they are float32 without
 * a cap, and caps them. */
static ls_nll read_logits(float e, int64_t v, ls_array logits, int64_t at, float cap, float *z, int32_t t)
{
    float most = -INFINITY;
    if (logits.type == LS_F32 && cap == 0) return ls__nll_terms(e, v, z, t);
    for (int64_t first = 0; first < v; first += LS_ROWS_TILE) {
        const int64_t n = ls__min(v - first, LS_ROWS_TILE);
        const float  *x = ls__read(logits, at + first, n, z + first);
        float        *y = z + first;
        if (cap > 0) V_MAP(n, V_PUT(y, cap * v_tanh(V_GET(x) * (1 / cap))));
        most = fmaxf(most, ls__vmax(n, z + first));
    }
    return (ls_nll){.max = most, .mean = e > 0 ? ls__vsum(v, z) / (float)v : 0, .target = t < 0 || t >= v ? NAN : z[t]};
}

/* Writes n values dz of capped logits, from `at` on, over the logits before the cap; dz is changed. */
static void write_capped(int64_t n, float cap, float *dz, ls_array logits, int64_t at)
{
    float        wide[LS_ROWS_TILE];
    const float *x = ls__read(logits, at, n, wide);
    V_MAP(n, const vf t = v_tanh(V_GET(x) * (1 / cap)); V_PUT(dz, V_GET(dz) * (1.0f - t * t)));
    if (logits.type == LS_F32)
        memcpy((float *)logits.data + at, dz, (size_t)n * sizeof *dz);
    else
        ls__write_end(logits, at, n, dz);
}

/* Returns the loss of the position whose logits begin at `at`.  If `dloss` is not NULL, replaces them by dz.  row: V
 * floats of workspace if the logits are bfloat16 or capped. */
static float position_loss(const ls_call *c, int64_t v, ls_array logits, int64_t at, float *row, int32_t t,
                           const float *dloss)
{
    const ls_linear_cross_entropy_args *a = c->args;
    const float                         e = c->training ? a->label_smoothing : 0;
    float                              *z = a->cap > 0 ? row : ls__write_begin(logits, at, v, row, false), sum = 0;
    const ls_nll                        terms = read_logits(e, v, logits, at, a->cap, z, t);
    if (!dloss) return ls__nll_loss(e, &terms, ls__row_exp_sum(v, z, terms.max));
    for (int64_t first = 0; first < v; first += LS_ROWS_TILE) {
        int64_t n = ls__min(v - first, LS_ROWS_TILE);
        ls__row_exp(n, z + first, terms.max, z + first);
        sum += ls__vsum(n, z + first);
    }
    for (int64_t first = 0; first < v; first += LS_ROWS_TILE) {
        int64_t n = ls__min(v - first, LS_ROWS_TILE);
        ls__nll_gradient(e, v, first, n, t, 1 / sum, *dloss, z + first);
        if (a->cap > 0)
            write_capped(n, a->cap, z + first, logits, at + first);
        else
            ls__write_end(logits, at + first, n, z + first);
    }
    return ls__nll_loss(e, &terms, sum);
}

/* Computes the logits and the losses of a block; with `gradient`, replaces its logits by dz. */
static void block_loss(const ls_call *c, const ls_lce_memory *m, const block *b, bool gradient)
{
    const int64_t  v = c->node->in[1]->dim[0], lead = ls__numel(c->node->in[2]);
    float         *loss = (float *)c->scratch + b->first, *rows = (float *)c->scratch + m->rows;
    const int32_t *t = (const int32_t *)c->x[2] + b->first;
    compute_logits(c, b);
    for (int64_t p = 0; b->at && p < b->count; p++) loss[p] = 0;
#pragma omp parallel for schedule(static) if (b->rows * v >= LS_ROWS_PARALLEL)
    for (int64_t i = 0; i < b->rows; i++) {
        const int64_t p = b->at ? b->at[i] : i;
        loss[p]         = position_loss(c, v, b->logits, i * v, rows + omp_get_thread_num() * ls__round_up(v, 16), t[p],
                                gradient ? c->dy[0] + (b->first + p) / lead : NULL);
    }
}

/* Sums the losses of the positions of each sample, and counts the positions that are not ignored. */
static void write_loss(const ls_call *c, const float *losses)
{
    const int32_t *t    = c->x[2];
    const int64_t  lead = ls__numel(c->node->in[2]);
    float         *loss = c->y[0], *weight = c->y[1];
    for (int64_t b = 0; b < c->rows; b++) {
        float sum = 0, count = 0;
        for (int64_t p = b * lead; p < (b + 1) * lead; p++) {
            sum += losses[p];
            count += ignored(c->args, t[p]) ? 0 : 1;
        }
        if (loss) loss[b] = sum;
        if (weight) weight[b] = count;
    }
}

static void forward(const ls_call *c)
{
    const int64_t       positions = c->rows * ls__rows(c->node->in[0]);
    const ls_lce_shape  s         = call_shape(c);
    const int64_t       most      = ls__lce_block_positions(&s);
    const ls_lce_memory m         = call_memory(c, false);
    for (int64_t first = 0; first < positions; first += most) {
        const block b = block_of(c, &m, logits_of(c, &m), first, ls__min(most, positions - first));
        block_loss(c, &m, &b, false);
    }
    write_loss(c, c->scratch);
}

/* ---- backward: one logits block ---------------------------------------------------------------------------------- */

/* Adds dz of a block to the partial sums of db of the shards, in order. */
static void block_db(const ls_call *c, const ls_lce_memory *m, const block *b)
{
    enum { COLUMNS = 512 };
    const int64_t v = c->node->in[1]->dim[0], lead = ls__rows(c->node->in[0]), tiles = ls__ceil_div(v, COLUMNS);
    if (!c->dx[B]) return;
#pragma omp parallel for schedule(static) if (b->rows * v >= LS_ROWS_PARALLEL)
    for (int64_t k = 0; k < tiles; k++) {
        const int64_t column = k * COLUMNS, n = ls__min(COLUMNS, v - column);
        int           s = 0;
        for (int64_t i = 0; i < b->rows; i++) {
            float        wide[COLUMNS];
            const float *x = ls__read(b->logits, i * v + column, n, wide);
            while (b->first + (b->at ? b->at[i] : i) >= c->bound[s + 1] * lead) s++;
            float *sum = (float *)c->scratch + m->bias_sums + s * v + column;
            V_MAP(n, V_PUT(sum, V_GET(sum) + V_GET(x)));
        }
    }
}

/* Computes dx = dz w of a block, into `dx`, with the rows of the block. */
static void dx_product(const ls_call *c, const block *b, ls_array dx)
{
    const int64_t v = c->node->in[1]->dim[0], channels = c->node->in[1]->dim[1];
    ls__product(c->node->graph->products, &(ls_gemm){.m      = b->rows,
                                                     .n      = channels,
                                                     .k      = v,
                                                     .x      = b->logits.data,
                                                     .x_row  = v,
                                                     .x_col  = 1,
                                                     .w      = c->x[1],
                                                     .w_row  = channels,
                                                     .w_col  = 1,
                                                     .y      = dx.data,
                                                     .y_row  = channels,
                                                     .add    = c->add[0],
                                                     .type   = ls__x(c, 1).type,
                                                     .y_type = dx.type});
}

/* Computes dx of a block.  With ignored positions the gathered rows of x become those of dx, until scatter_dx. */
static void block_dx(const ls_call *c, const block *b)
{
    const int64_t  channels = c->node->in[1]->dim[1];
    const ls_array dx       = ls__dx(c, 0);
    if (!dx.data || !b->rows) return;
    if (b->at && c->add[0]) copy_rows(b, channels, dx, b->x, false);
    dx_product(c, b, b->at ? b->x : ls__from(dx, b->first * channels));
}

/* Writes dx of a block with ignored positions.  dx may lie over x, so it follows the last use of the block's x. */
static void scatter_dx(const ls_call *c, const block *b)
{
    const int64_t  channels = c->node->in[1]->dim[1];
    const ls_array dx       = ls__dx(c, 0);
    if (!dx.data || !b->at) return;
    if (!c->add[0])
        memset(ls__from(dx, b->first * channels).data, 0, (size_t)(b->count * channels) * ls__array_bytes(dx.type));
    copy_rows(b, channels, dx, b->x, true);
}

/* Moves dz to the rows of all positions, with zeros for ignored ones; x is again that of the call. */
static void spread_dz(const ls_call *c, block *b)
{
    const int64_t v     = c->node->in[1]->dim[0];
    const size_t  bytes = (size_t)v * ls__array_bytes(b->logits.type);
    for (int64_t p = b->count - 1, i = b->rows - 1; p >= 0; p--) {
        void *to = ls__from(b->logits, p * v).data;
        if (i >= 0 && b->at[i] == p)
            memmove(to, ls__from(b->logits, v * i--).data, bytes);
        else
            memset(to, 0, bytes);
    }
    b->x    = ls__from(ls__x(c, 0), b->first * ls__cols(c->node->in[0]));
    b->rows = b->count;
    b->at   = NULL;
}

/* Computes rows [row, row + rows) of dw = dz^T x of a block.  With `bound`, the sums of the shards, rows [bound[i],
 * bound[i + 1]) of the block, are added as a binary tree. */
static void block_dw(const ls_call *c, const block *b, int shards, const int64_t *bound, int64_t row, int64_t rows,
                     float *dw, bool add)
{
    const int64_t v = c->node->in[1]->dim[0], channels = c->node->in[1]->dim[1];
    ls__product(c->node->graph->products, &(ls_gemm){.m      = rows,
                                                     .n      = channels,
                                                     .k      = b->rows,
                                                     .x      = ls__from(b->logits, row).data,
                                                     .x_row  = 1,
                                                     .x_col  = v,
                                                     .w      = b->x.data,
                                                     .w_row  = channels,
                                                     .w_col  = 1,
                                                     .y      = dw,
                                                     .y_row  = channels,
                                                     .add    = add,
                                                     .splits = shards,
                                                     .bound  = bound,
                                                     .type   = ls__x(c, 0).type});
}

/* ---- backward: the tree over shards ------------------------------------------------------------------------------ */

/* Sets bound[k] to the first row of the block that belongs to shard `shard` + k, for k up to `leaf`. */
static void leaf_bounds(const ls_call *c, const block *b, int shard, int leaf, int64_t *bound)
{
    const int64_t lead = ls__rows(c->node->in[0]);
    for (int k = 0; k <= leaf; k++) {
        const int64_t position = c->bound[shard + k] * lead - b->first;
        bound[k]               = b->at ? 0 : position;
        while (b->at && bound[k] < b->rows && b->at[bound[k]] < position) bound[k]++;
    }
}

/* Computes losses, dx and dw of a leaf, the shards [shard, shard + leaf) of the call. */
static void leaf_gradient(const ls_call *c, const ls_lce_memory *m, int shard, int leaf, partial_sum dw, bool add)
{
    const ls_lce_shape s    = call_shape(c);
    const int64_t      lead = ls__rows(c->node->in[0]), v = c->node->in[1]->dim[0], first = c->bound[shard] * lead;
    const int64_t      count = c->bound[shard + leaf] * lead - first, most = ls__lce_block_positions(&s);
    const int64_t      blocks = leaf > 1 ? 1 : ls__max(1, (count + most - 1) / most);
    const bool         skips =
        !s.narrow && ls__lce_one_run(&s, leaf > 1 ? s.shard_positions : ls__min(s.shard_positions, most));
    int64_t *bound = bound_of(c, m);
    for (int64_t k = 0; k < blocks; k++) {
        const int64_t from = first + count * k / blocks, here = first + count * (k + 1) / blocks - from;
        const bool    adds = add || k > 0;
        block         b = block_of(c, m, logits_of(c, m), from, here), part = b;
        block_loss(c, m, &b, true);
        block_db(c, m, &b);
        if (b.at && !skips) { /* dw of all positions: dx first, because dz moves */
            block_dx(c, &b);
            spread_dz(c, &part);
        }
        leaf_bounds(c, &part, shard, leaf, bound);
        block_dw(c, &part, leaf, leaf > 1 ? bound : NULL, 0, dw.rows_in_gradients, dw.in_gradients, adds);
        block_dw(c, &part, leaf, leaf > 1 ? bound : NULL, dw.rows_in_gradients, v - dw.rows_in_gradients,
                 dw.in_workspace, adds);
        if (!b.at || skips) block_dx(c, &b);
        scatter_dx(c, &b);
    }
}

static void add_floats(int64_t n, const float *x, float *y)
{
    enum { TILE = 1 << 14 };
#pragma omp parallel for schedule(static) if (n > 4 * TILE)
    for (int64_t at = 0; at < n; at += TILE) ls__add_into(ls__min(TILE, n - at), x + at, y + at);
}

static float *partial_row(partial_sum s, int64_t row, int64_t channels)
{
    if (row < s.rows_in_gradients) return s.in_gradients + row * channels;
    return s.in_workspace + (row - s.rows_in_gradients) * channels;
}

/* y += x, cut where the rows of x or of y go from gradient memory to the workspace. */
static void add_partial(int64_t v, int64_t channels, partial_sum x, partial_sum y)
{
    const int64_t cut[] = {0, ls__min(x.rows_in_gradients, y.rows_in_gradients),
                           ls__max(x.rows_in_gradients, y.rows_in_gradients), v};
    for (int k = 0; k < 3; k++)
        if (cut[k] < cut[k + 1])
            add_floats((cut[k + 1] - cut[k]) * channels, partial_row(x, cut[k], channels),
                       partial_row(y, cut[k], channels));
}

/* Computes dw of group k, and dx and the losses of its shards.  The bits of a leaf's index say which subtrees it
 * completes: each trailing 1 is an addition.  A group that adds to the present dw has a single shard in all programs; a
 * group of more would start its first partial sum from dw. */
static void group_gradient(const ls_call *c, const ls_lce_memory *m, int k)
{
    const ls_lce_shape s                          = call_shape(c);
    const ls_group    *g                          = &c->group[k];
    const int          leaf                       = ls__lce_leaf_shards(&s, g->shards);
    const bool         product_adds               = leaf > 1 || ls__lce_one_run(&s, s.shard_positions);
    partial_sum        stack[LS_LCE_PARTIALS + 1] = {
               {.in_gradients = ls__group_grad(c, 1, k), .rows_in_gradients = s.vocabulary}};
    int depth = 0;
    for (int i = 0; i < m->partials; i++) stack[i + 1] = partial_of(c, m, i);
    for (int i = 0; i < g->shards / leaf; i++) {
        const bool onto_left = i & 1 && product_adds; /* the product is added to the left neighbour */
        const bool add       = onto_left || (i == 0 && ls__group_add(c, 1, k));
        leaf_gradient(c, m, g->first + i * leaf, leaf, stack[onto_left ? depth - 1 : depth], add);
        int merges = onto_left ? i / 2 : i;
        if (!onto_left) depth++;
        for (; merges & 1; merges /= 2, depth--)
            add_partial(s.vocabulary, s.channels, stack[depth - 1], stack[depth - 2]);
    }
}

static void backward(const ls_call *c)
{
    const int64_t       positions = c->rows * ls__rows(c->node->in[0]);
    const ls_lce_shape  s         = call_shape(c);
    const int64_t       most      = ls__lce_block_positions(&s);
    const ls_lce_memory m         = call_memory(c, true);
    float              *db        = (float *)c->scratch + m.bias_sums;
    const int64_t       v         = s.vocabulary;
    for (int64_t i = 0; c->dx[B] && i < c->shards * v; i++) db[i] = 0;
    if (c->dx[1])
        for (int k = 0; k < c->groups; k++) group_gradient(c, &m, k);
    for (int64_t first = 0; !c->dx[1] && first < positions; first += most) {
        const block b = block_of(c, &m, logits_of(c, &m), first, ls__min(most, positions - first));
        block_loss(c, &m, &b, true);
        block_db(c, &m, &b);
        block_dx(c, &b);
        scatter_dx(c, &b);
    }
    if (c->dx[B]) ls__fold(c, B, v, db);
    write_loss(c, c->scratch);
}

static double flops(const ls_node *n)
{
    return (double)ls__rows(n->in[0]) * (double)n->in[1]->dim[0] * (2.0 * (double)n->in[1]->dim[1] + 5.0);
}

LS_OP(linear_cross_entropy) = {
    .name                     = "linear_cross_entropy",
    .args_bytes               = sizeof(ls_linear_cross_entropy_args),
    .ins                      = 4,
    .outs                     = 2,
    .optional                 = 1u << B,
    .saves                    = LS_SAVES_IN(0) | LS_SAVES_IN(1) | LS_SAVES_IN(2) | LS_SAVES_IN(B),
    .no_grad                  = 1u << 2,
    .narrow                   = 1u << 0 | 1u << 1,
    .over_input               = true,
    .loss_in_backward         = true,
    .fields                   = LS_FIELDS(LS_FIELD(FLOAT, ls_linear_cross_entropy_args, label_smoothing),
                                          LS_FIELD(BOOL, ls_linear_cross_entropy_args, ignore),
                                          LS_FIELD(INT, ls_linear_cross_entropy_args, ignore_index),
                                          LS_FIELD(FLOAT, ls_linear_cross_entropy_args, cap)),
    .infer                    = infer,
    .forward                  = {[LS_CPU] = forward},
    .backward                 = {[LS_CPU] = backward},
    .scratch                  = scratch,
    .scratch_beside_gradients = scratch_beside_gradients,
    .flops                    = flops,
};
