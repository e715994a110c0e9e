/* SPDX-License-Identifier: Apache-2.0
 *
 * Cross entropy of a linear layer without its logits.
 *      x: B x ... x C   w: V x C   target t: B x ... of int32   ->  loss: B   weight: B
 *
 * Forward     z = x w^T,  loss = cross entropy of z (core/ops/cross_entropy.c)
 * Backward    dz = softmax(z) less the target, times dloss;  dx = dz w,  dw = dz^T x
 *
 * The logits exist for a slice of positions at a time, in workspace: backward makes them, turns them into dz where they are,
 * and multiplies twice.  It needs no more for the loss, so a training step leaves that to it: three products instead of
 * four (Hsu 2024, "Liger kernel", recomputes in slices too).
 *
 * dw is the tree over shards.  A *unit* is one shard, or as many neighbours (a power of two) as fit a slice together.  Units
 * are summed like a binary counter: sums of 1, 2, 4, ... units wait, and what is complete is added to its left neighbour.
 * A unit with a left neighbour is added to it by the product itself, where that is the same as adding it afterwards.
 */
#include "core/cpu/gemm.h"
#include "core/cpu/gemm_kernel.h"
#include "core/cpu/tree.h"
#include "core/ops/infer.h"
#include "core/ops/nll.h"

enum {
    SLICE = 1 << 24, /* logits of a slice: 64 MiB */
    MOST  = 4096     /* positions of a slice      */
};

static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }

static ls_status infer(ls_node *n)
{
    const ls_linear_cross_entropy_args *a = n->args;
    const ls_tensor                    *x = n->in[0], *w = n->in[1], *t = n->in[2];
    LS_TRY(ls__expect_samples(n, 0));
    LS_TRY(ls__expect_param(n, 1, 2));
    LS_NODE_CHECK(n, x->rank >= 1 && ls__cols(x) == w->dim[1], "input '%s' is %s and the weight '%s' is %s: the last dims differ", x->name, ls__shape(x),
                  w->name, ls__shape(w));
    LS_NODE_CHECK(n, t->type == LS_I32 && t->batched, "the target '%s' is %s of %s, expected samples of int32", t->name, ls__shape(t),
                  ls__dtype_name(t->type));
    bool same = t->rank == x->rank - 1;
    for (int i = 0; same && i < t->rank; i++) same = t->dim[i] == x->dim[i];
    LS_NODE_CHECK(n, same, "input '%s' is %s and the target '%s' is %s" LS_HINT "the target has the dims of the input without the last", x->name,
                  ls__shape(x), t->name, ls__shape(t));
    LS_NODE_CHECK(n, a->label_smoothing >= 0 && a->label_smoothing < 1, "label_smoothing is %g, expected 0 <= label_smoothing < 1",
                  (double)a->label_smoothing);
    ls_tensor *loss = ls__out(n, 0, LS_F32, true, 0, NULL);
    loss->weight    = ls__out(n, 1, LS_F32, true, 0, NULL);
    return LS_OK;
}

/* ---- sizes: of a call, and of the workspace ---------------------------------------------------------------------- */

/* Positions of a slice, at most.  Whole runs of K where there is room for them. */
static int64_t slice_of(int64_t v)
{
    int64_t n = min(SLICE / v, MOST);
    return n >= LS_KC ? n / LS_KC * LS_KC : max(n, 8);
}

static size_t whole_lines(int64_t floats) { return (size_t)(floats + 15) / 16 * 16; }

/* The workspace of a call: the losses of all positions, shard bounds, the logits of a slice, sums of units. */
typedef struct space {
    float   *loss;
    int64_t *bound;
    float   *logits;
    float   *sums;
} space;

static size_t before_sums(int64_t positions, int64_t v, int shards)
{
    return whole_lines(positions) + whole_lines(2 * (shards + 1)) + whole_lines(min(slice_of(v), positions) * v);
}

static space space_of(const ls_call *c, int64_t positions, int64_t v)
{
    float *at = c->scratch;
    return (space){.loss = at, .bound = (int64_t *)(at + whole_lines(positions)),
                   .logits = at + whole_lines(positions) + whole_lines(2 * (c->shards + 1)), .sums = at + before_sums(positions, v, c->shards)};
}

/* Whether a unit of one shard may be added to a sum by its product: its own sum is complete before. */
static bool is_one_run(int64_t positions, int64_t v) { return positions <= min(slice_of(v), LS_KC); }

/* Buffers besides the gradient: the counter has one digit less than log2 units + 1 where the last unit needs none of its own. */
static int sums_of(int64_t v, int shards, int64_t shard)
{
    int width = 1, digits = 0;
    while (2 * width <= shards && 2 * width * shard <= slice_of(v)) width *= 2;
    while (2 * width << digits <= shards) digits++;
    return is_one_run(shard, v) || width > 1 ? (int)max(digits - 1, 0) : digits;
}

static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    int64_t lead = ls__rows(n->in[0]), v = n->in[1]->dim[0], shard = (rows + shards - 1) / shards * lead;
    (void)threads;
    size_t floats = before_sums(rows * lead, v, shards);
    if (backward) floats += (size_t)sums_of(v, shards, shard) * whole_lines(ls__numel(n->in[1]));
    return floats * sizeof(float);
}

/* ---- a slice ----------------------------------------------------------------------------------------------------- */

static bool ignored(const ls_linear_cross_entropy_args *a, int32_t t) { return a->ignore && t == a->ignore_index; }

static void make_logits(const ls_call *c, const space *s, int64_t first, int64_t count, int64_t v, int64_t channels)
{
    ls__gemm(&(ls_gemm){.m = count, .n = v, .k = channels, .x = (const float *)c->x[0] + first * channels, .x_row = channels, .x_col = 1, .w = c->x[1],
                        .w_row = 1, .w_col = channels, .y = s->logits, .y_row = v});
}

/* The loss of the logits z; they become dz if `dloss` is given. */
static float position(const ls_linear_cross_entropy_args *a, int64_t v, float *z, int32_t t, const float *dloss)
{
    const float e = a->label_smoothing;
    if (ignored(a, t)) {
        if (dloss) memset(z, 0, (size_t)v * sizeof *z);
        return 0;
    }
    ls_nll look = ls__nll_look(e, v, z, t);
    if (!dloss) return ls__nll_loss(e, &look, ls__row_exp_sum(v, z, look.max));
    float sum = 0;
    for (int64_t first = 0; first < v; first += LS_ROWS_TILE) {
        int64_t n = min(v - first, LS_ROWS_TILE);
        ls__row_exp(n, z + first, look.max, z + first);
        sum += ls__vsum(n, z + first);
    }
    ls__nll_gradient(e, v, 0, v, t, 1 / sum, *dloss, z);
    return ls__nll_loss(e, &look, sum);
}

static void each_position(const ls_call *c, const space *s, int64_t first, int64_t count, int64_t v, bool gradient)
{
    const int32_t *t    = (const int32_t *)c->x[2] + first;
    const int64_t  lead = ls__numel(c->node->in[2]);
#pragma omp parallel for schedule(static) if (count * v >= LS_ROWS_PARALLEL)
    for (int64_t p = 0; p < count; p++)
        s->loss[first + p] = position(c->args, v, s->logits + p * v, t[p], gradient ? c->dy[0] + (first + p) / lead : NULL);
}

static void write_loss(const ls_call *c, const float *position_loss)
{
    const int32_t *t    = c->x[2];
    const int64_t  lead = ls__numel(c->node->in[2]);
    float         *loss = c->y[0], *weight = c->y[1];
    for (int64_t b = 0; b < c->rows; b++) {
        float sum = 0, count = 0;
        for (int64_t p = b * lead; p < (b + 1) * lead; p++) {
            sum += position_loss[p];
            count += ignored(c->args, t[p]) ? 0 : 1;
        }
        if (loss) loss[b] = sum;
        if (weight) weight[b] = count;
    }
}

static void forward(const ls_call *c)
{
    const int64_t positions = c->rows * ls__rows(c->node->in[0]), v = c->node->in[1]->dim[0], most = slice_of(v);
    const space   s         = space_of(c, positions, v);
    for (int64_t first = 0; first < positions; first += most) {
        int64_t count = min(most, positions - first);
        make_logits(c, &s, first, count, v, ls__cols(c->node->in[0]));
        each_position(c, &s, first, count, v, false);
    }
    write_loss(c, s.loss);
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* dz of positions [first, first + count), and their dx. */
static void slice_gradient(const ls_call *c, const space *s, int64_t first, int64_t count)
{
    const int64_t v = c->node->in[1]->dim[0], channels = c->node->in[1]->dim[1];
    if (!count) return;
    make_logits(c, s, first, count, v, channels);
    each_position(c, s, first, count, v, true);
    if (c->dx[0])
        ls__gemm(&(ls_gemm){.m = count, .n = channels, .k = v, .x = s->logits, .x_row = v, .x_col = 1, .w = c->x[1], .w_row = channels, .w_col = 1,
                            .y = c->dx[0] + first * channels, .y_row = channels, .add = c->add[0]});
}

/* dz^T x of the slice at hand: its positions [bound[0], bound[parts]), in parts that are added as a tree. */
static void slice_weight(const ls_call *c, const space *s, int64_t first, int parts, int64_t count, float *dw, bool add)
{
    const int64_t v = c->node->in[1]->dim[0], channels = c->node->in[1]->dim[1];
    ls__gemm(&(ls_gemm){.m = v, .n = channels, .k = count, .x = s->logits, .x_row = 1, .x_col = v, .w = (const float *)c->x[0] + first * channels,
                        .w_row = channels, .w_col = 1, .y = dw, .y_row = channels, .add = add, .splits = parts, .bound = parts > 1 ? s->bound : NULL});
}

/* The shards [shard, shard + width) of the call, their dw to `dw`. */
static void unit_gradient(const ls_call *c, const space *s, int shard, int width, float *dw, bool add)
{
    const int64_t lead = ls__rows(c->node->in[0]), first = c->bound[shard] * lead, count = c->bound[shard + width] * lead - first;
    const int64_t slices = max(1, (count + slice_of(c->node->in[1]->dim[0]) - 1) / slice_of(c->node->in[1]->dim[0]));
    for (int k = 0; k <= width; k++) s->bound[k] = c->bound[shard + k] * lead - first;
    for (int64_t k = 0; k < slices; k++) {
        int64_t from = count * k / slices, here = count * (k + 1) / slices - from;
        slice_gradient(c, s, first + from, here);
        slice_weight(c, s, first + from, width, here, dw, add || k > 0);
    }
}

/* Shards of a unit: as many as always fit a slice. */
static int width_of(const ls_call *c, const ls_group *g)
{
    const int64_t lead = ls__rows(c->node->in[0]), most = slice_of(c->node->in[1]->dim[0]);
    int           width = 1;
    for (bool fits = true; fits && 2 * width <= g->shards;) {
        for (int s = g->first; s < g->first + g->shards; s += 2 * width) fits = fits && (c->bound[s + 2 * width] - c->bound[s]) * lead <= most;
        if (fits) width *= 2;
    }
    return width;
}

static void add_sum(int64_t n, const float *x, float *y)
{
    enum { TILE = 1 << 14 };
#pragma omp parallel for schedule(static) if (n > 4 * TILE)
    for (int64_t at = 0; at < n; at += TILE) ls__add_into(min(TILE, n - at), x + at, y + at);
}

/* A group whose gradient is added to what is there has one shard in every program; with more, the first sum begins with it. */
static void group_gradient(const ls_call *c, const space *s, int k)
{
    const ls_group *g     = &c->group[k];
    const int64_t   lead  = ls__rows(c->node->in[0]), v = c->node->in[1]->dim[0], numel = ls__numel(c->node->in[1]);
    const int       width = width_of(c, g);
    float          *sum[34] = {ls__group_grad(c, 1, k)};
    int             waiting = 0;
    for (int i = 1; i < 34; i++) sum[i] = s->sums + (size_t)(i - 1) * whole_lines(numel);
    for (int unit = 0; unit < g->shards / width; unit++) {
        int  shard  = g->first + unit * width, merges = unit;
        bool direct = unit & 1 && (width > 1 || is_one_run((c->bound[shard + 1] - c->bound[shard]) * lead, v));
        unit_gradient(c, s, shard, width, sum[direct ? waiting - 1 : waiting], direct || (unit == 0 && ls__group_add(c, 1, k)));
        if (direct) merges /= 2;
        else waiting++;
        for (; merges & 1; merges /= 2, waiting--) add_sum(numel, sum[waiting - 1], sum[waiting - 2]);
    }
}

static void backward(const ls_call *c)
{
    const int64_t positions = c->rows * ls__rows(c->node->in[0]), v = c->node->in[1]->dim[0], most = slice_of(v);
    const space   s         = space_of(c, positions, v);
    if (c->dx[1])
        for (int k = 0; k < c->groups; k++) group_gradient(c, &s, k);
    else
        for (int64_t first = 0; first < positions; first += most) slice_gradient(c, &s, first, min(most, positions - first));
    write_loss(c, s.loss);
}

static double flops(const ls_node *n)
{
    return (double)ls__rows(n->in[0]) * (double)n->in[1]->dim[0] * (2.0 * (double)n->in[1]->dim[1] + 5.0);
}

LS_OP(linear_cross_entropy) = {
    .name             = "linear_cross_entropy",
    .args_bytes       = sizeof(ls_linear_cross_entropy_args),
    .ins              = 3,
    .outs             = 2,
    .saves            = LS_SAVES_IN(0) | LS_SAVES_IN(1) | LS_SAVES_IN(2),
    .no_grad          = 1u << 2,
    .loss_in_backward = true,
    .fields           = LS_FIELDS(LS_FIELD(FLOAT, ls_linear_cross_entropy_args, label_smoothing), LS_FIELD(BOOL, ls_linear_cross_entropy_args, ignore),
                                  LS_FIELD(INT, ls_linear_cross_entropy_args, ignore_index)),
    .infer            = infer,
    .forward          = {[LS_CPU] = forward},
    .backward         = {[LS_CPU] = backward},
    .scratch          = scratch,
    .flops            = flops,
};
