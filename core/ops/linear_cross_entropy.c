/* SPDX-License-Identifier: Apache-2.0
 *
 * Cross entropy of a linear layer without its logits.
 *      x: B x ... x C   w: V x C   target t: B x ... of int32   ->  loss: B   weight: B
 *
 * Forward     z = x w^T,  loss = cross entropy of z (core/ops/cross_entropy.c)
 * Backward    dz = softmax(z) less the target, times dloss;  dx = dz w,  dw = dz^T x
 *
 * The logits exist for a slice of positions at a time, in workspace: backward makes them, turns them into dz where they
 * are, and multiplies twice.  It needs no more for the loss, so a training step leaves that to it: three products
 * instead of four (Hsu 2024, "Liger kernel", recomputes in slices too).
 *
 * dw is the tree over shards.  A *unit* is one shard, or as many neighbours (a power of two) as fit a slice together,
 * or more where that takes less memory.  Units are summed like a binary counter: sums of 1, 2, 4, ... units wait, and
 * what is complete is added to its left neighbour.  A unit with a left neighbour is added to it by the product itself,
 * where that is the same as adding it afterwards.
 */
#include "core/cpu/gemm/gemm.h"
#include "core/cpu/gemm/gemm_kernel.h"
#include "core/cpu/shard_sum.h"
#include "core/ops/infer.h"
#include "core/ops/nll.h"

enum {
    SLICE = 1 << 24, /* logits of a slice: 64 MiB */
    MOST  = 4096,    /* positions of a slice      */
    SUMS  = 33
};

static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }

static ls_status infer(ls_node *n)
{
    const ls_linear_cross_entropy_args *a = n->args;
    const ls_tensor                    *x = n->in[0], *w = n->in[1], *t = n->in[2];
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

/* Whether a unit of one shard may be added to a sum by its product: its own sum is complete before. */
static bool is_one_run(int64_t positions, int64_t v) { return positions <= min(slice_of(v), LS_KC); }

/* Positions whose logits exist at once in a unit of `width` shards, which have `shard` positions at most. */
static int64_t positions_of(int64_t v, int64_t shard, int width)
{
    return width > 1 ? width * shard : min(shard, slice_of(v));
}

/* Sums besides the gradient: the counter has one digit less than log2 units + 1 where the last unit needs none of its
 * own. */
static int sums_of(int64_t v, int64_t shard, int shards, int width)
{
    int digits = 0;
    while (2 * width << digits <= shards) digits++;
    return is_one_run(shard, v) || width > 1 ? (int)max(digits - 1, 0) : digits;
}

/* Shards of a unit: as many as fit a slice, and more where their logits take less than the sums that are saved. */
static int width_of(int64_t v, int64_t channels, int64_t shard, int shards)
{
    int width = 1;
    for (; 2 * width <= shards; width *= 2) {
        int64_t logits = positions_of(v, shard, 2 * width) - positions_of(v, shard, width);
        int     sums   = sums_of(v, shard, shards, width) - sums_of(v, shard, shards, 2 * width);
        if (2 * width * shard > slice_of(v) && logits >= sums * channels) break;
    }
    return width;
}

/* A sum of units, V x C: its first `rows` rows may lie elsewhere than the others. */
typedef struct total {
    float  *top, *rest;
    int64_t rows;
} total;

/* The workspace of a call: the losses of all positions, shard bounds, the logits of a slice, sums of units.  Logits and
 * then rows of sums are put into memory that is lent, as far as it reaches. */
typedef struct space {
    size_t  bound, logits;
    bool    lent_logits;
    int     sums;
    size_t  top[SUMS], rest[SUMS];
    int64_t rows[SUMS];
    size_t  floats;
} space;

/* In floats, from the begin of the workspace or of what is lent. */
static space lay_out(const ls_node *n, int64_t positions, int64_t shard, int shards, bool backward, size_t lent)
{
    const int64_t v = n->in[1]->dim[0], channels = n->in[1]->dim[1];
    int64_t       most = min(slice_of(v), positions);
    space         s    = {.bound = whole_lines(positions)};
    for (int group = 1; backward && group <= shards; group *= 2) {
        const int width = width_of(v, channels, shard, group), sums = sums_of(v, shard, group, width);
        most   = max(most, positions_of(v, shard, width));
        s.sums = (int)max(s.sums, sums);
    }
    const size_t logits = whole_lines(most * v);
    s.logits            = s.bound + whole_lines(2 * (shards + 1));
    s.floats            = s.logits;
    s.lent_logits       = logits <= lent;
    if (s.lent_logits)
        s.logits = 0;
    else
        s.floats += logits;
    size_t at = s.lent_logits ? logits : 0;
    for (int i = 0; i < s.sums; i++) {
        s.rows[i] = min(v, (int64_t)((lent - at) / 16 * 16) / channels);
        s.top[i]  = at;
        s.rest[i] = s.floats;
        at += whole_lines(s.rows[i] * channels);
        s.floats += whole_lines((v - s.rows[i]) * channels);
    }
    return s;
}

static space space_of(const ls_call *c, bool backward)
{
    const int64_t lead = ls__rows(c->node->in[0]);
    return lay_out(c->node, c->rows * lead, c->shard_rows * lead, c->shards, backward, c->lent_bytes / sizeof(float));
}

static float *logits_of(const ls_call *c, const space *s)
{
    return (float *)(s->lent_logits ? c->lent : c->scratch) + s->logits;
}

static int64_t *bound_of(const ls_call *c, const space *s) { return (int64_t *)((float *)c->scratch + s->bound); }

static total total_of(const ls_call *c, const space *s, int i)
{
    float *lent = c->lent;
    return (total){
        .top = s->rows[i] ? lent + s->top[i] : NULL, .rest = (float *)c->scratch + s->rest[i], .rows = s->rows[i]};
}

static size_t borrows(const ls_node *n, int64_t rows, int shards, size_t lent)
{
    int64_t lead = ls__rows(n->in[0]);
    return lay_out(n, rows * lead, (rows + shards - 1) / shards * lead, shards, true, lent / sizeof(float)).floats *
           sizeof(float);
}

static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    int64_t lead = ls__rows(n->in[0]);
    (void)threads;
    return lay_out(n, rows * lead, (rows + shards - 1) / shards * lead, shards, backward, 0).floats * sizeof(float);
}

/* ---- a slice ----------------------------------------------------------------------------------------------------- */

static bool ignored(const ls_linear_cross_entropy_args *a, int32_t t) { return a->ignore && t == a->ignore_index; }

static void make_logits(const ls_call *c, float *logits, int64_t first, int64_t count, int64_t v, int64_t channels)
{
    ls__gemm(&(ls_gemm){.m     = count,
                        .n     = v,
                        .k     = channels,
                        .x     = (const float *)c->x[0] + first * channels,
                        .x_row = channels,
                        .x_col = 1,
                        .w     = c->x[1],
                        .w_row = 1,
                        .w_col = channels,
                        .y     = logits,
                        .y_row = v});
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

static void each_position(const ls_call *c, float *logits, int64_t first, int64_t count, int64_t v, bool gradient)
{
    float         *loss = c->scratch;
    const int32_t *t    = (const int32_t *)c->x[2] + first;
    const int64_t  lead = ls__numel(c->node->in[2]);
#pragma omp parallel for schedule(static) if (count * v >= LS_ROWS_PARALLEL)
    for (int64_t p = 0; p < count; p++)
        loss[first + p] = position(c->args, v, logits + p * v, t[p], gradient ? c->dy[0] + (first + p) / lead : NULL);
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
    const space   s = space_of(c, false);
    for (int64_t first = 0; first < positions; first += most) {
        int64_t count = min(most, positions - first);
        make_logits(c, logits_of(c, &s), first, count, v, ls__cols(c->node->in[0]));
        each_position(c, logits_of(c, &s), first, count, v, false);
    }
    write_loss(c, c->scratch);
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* dz of positions [first, first + count). */
static void slice_logits(const ls_call *c, float *logits, int64_t first, int64_t count)
{
    const int64_t v = c->node->in[1]->dim[0], channels = c->node->in[1]->dim[1];
    if (!count) return;
    make_logits(c, logits, first, count, v, channels);
    each_position(c, logits, first, count, v, true);
}

/* dx of the same, which may lie where x does. */
static void slice_input(const ls_call *c, const float *logits, int64_t first, int64_t count)
{
    const int64_t v = c->node->in[1]->dim[0], channels = c->node->in[1]->dim[1];
    if (c->dx[0] && count)
        ls__gemm(&(ls_gemm){.m     = count,
                            .n     = channels,
                            .k     = v,
                            .x     = logits,
                            .x_row = v,
                            .x_col = 1,
                            .w     = c->x[1],
                            .w_row = channels,
                            .w_col = 1,
                            .y     = c->dx[0] + first * channels,
                            .y_row = channels,
                            .add   = c->add[0]});
}

/* Rows [row, row + rows) of dz^T x of the slice at hand: its positions in `parts` parts that are added as a tree, or in
 * one (bound NULL). */
static void weight_rows(const ls_call *c, const float *logits, int64_t first, int parts, const int64_t *bound,
                        int64_t count, int64_t row, int64_t rows, float *dw, bool add)
{
    const int64_t v = c->node->in[1]->dim[0], channels = c->node->in[1]->dim[1];
    ls__gemm(&(ls_gemm){.m      = rows,
                        .n      = channels,
                        .k      = count,
                        .x      = logits + row,
                        .x_row  = 1,
                        .x_col  = v,
                        .w      = (const float *)c->x[0] + first * channels,
                        .w_row  = channels,
                        .w_col  = 1,
                        .y      = dw,
                        .y_row  = channels,
                        .add    = add,
                        .splits = parts,
                        .bound  = bound});
}

/* The shards [shard, shard + width) of the call, their dw to `dw`. */
static void unit_gradient(const ls_call *c, const space *s, int shard, int width, total dw, bool add)
{
    const int64_t lead = ls__rows(c->node->in[0]), v = c->node->in[1]->dim[0], first = c->bound[shard] * lead;
    const int64_t count  = c->bound[shard + width] * lead - first,
                  slices = width > 1 ? 1 : max(1, (count + slice_of(v) - 1) / slice_of(v));
    float   *logits      = logits_of(c, s);
    int64_t *bound       = bound_of(c, s);
    for (int k = 0; k <= width; k++) bound[k] = c->bound[shard + k] * lead - first;
    for (int64_t k = 0; k < slices; k++) {
        int64_t from = count * k / slices, here = count * (k + 1) / slices - from;
        slice_logits(c, logits, first + from, here);
        weight_rows(c, logits, first + from, width, width > 1 ? bound : NULL, here, 0, dw.rows, dw.top, add || k > 0);
        weight_rows(c, logits, first + from, width, width > 1 ? bound : NULL, here, dw.rows, v - dw.rows, dw.rest,
                    add || k > 0);
        slice_input(c, logits, first + from, here);
    }
}

static void add_rows(int64_t n, const float *x, float *y)
{
    enum { TILE = 1 << 14 };
#pragma omp parallel for schedule(static) if (n > 4 * TILE)
    for (int64_t at = 0; at < n; at += TILE) ls__add_into(min(TILE, n - at), x + at, y + at);
}

/* Where row `row` of a sum is. */
static float *row_of(total s, int64_t row, int64_t channels)
{
    return row < s.rows ? s.top + row * channels : s.rest + (row - s.rows) * channels;
}

/* y += x, in runs of rows that lie together in both. */
static void add_total(int64_t v, int64_t channels, total x, total y)
{
    const int64_t cut[] = {0, min(x.rows, y.rows), max(x.rows, y.rows), v};
    for (int k = 0; k < 3; k++)
        if (cut[k] < cut[k + 1])
            add_rows((cut[k + 1] - cut[k]) * channels, row_of(x, cut[k], channels), row_of(y, cut[k], channels));
}

/* A group whose gradient is added to what is there has one shard in every program; with more, the first sum begins with
 * it. */
static void group_gradient(const ls_call *c, const space *s, int k)
{
    const ls_group *g    = &c->group[k];
    const int64_t   lead = ls__rows(c->node->in[0]), v = c->node->in[1]->dim[0], channels = c->node->in[1]->dim[1];
    const int       width          = width_of(v, channels, c->shard_rows * lead, g->shards);
    total           sums[SUMS + 1] = {{.top = ls__group_grad(c, 1, k), .rows = v}};
    int             waiting        = 0;
    for (int i = 0; i < s->sums; i++) sums[i + 1] = total_of(c, s, i);
    for (int unit = 0; unit < g->shards / width; unit++) {
        int  shard = g->first + unit * width, merges = unit;
        bool direct = unit & 1 && (width > 1 || is_one_run(c->shard_rows * lead, v));
        unit_gradient(c, s, shard, width, sums[direct ? waiting - 1 : waiting],
                      direct || (unit == 0 && ls__group_add(c, 1, k)));
        if (direct)
            merges /= 2;
        else
            waiting++;
        for (; merges & 1; merges /= 2, waiting--) add_total(v, channels, sums[waiting - 1], sums[waiting - 2]);
    }
}

static void backward(const ls_call *c)
{
    const int64_t positions = c->rows * ls__rows(c->node->in[0]), most = slice_of(c->node->in[1]->dim[0]);
    const space   s = space_of(c, true);
    if (c->dx[1])
        for (int k = 0; k < c->groups; k++) group_gradient(c, &s, k);
    for (int64_t first = 0; !c->dx[1] && first < positions; first += most) {
        slice_logits(c, logits_of(c, &s), first, min(most, positions - first));
        slice_input(c, logits_of(c, &s), first, min(most, positions - first));
    }
    write_loss(c, c->scratch);
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
    .over_input       = true,
    .loss_in_backward = true,
    .fields           = LS_FIELDS(LS_FIELD(FLOAT, ls_linear_cross_entropy_args, label_smoothing),
                                  LS_FIELD(BOOL, ls_linear_cross_entropy_args, ignore),
                                  LS_FIELD(INT, ls_linear_cross_entropy_args, ignore_index)),
    .infer            = infer,
    .forward          = {[LS_CPU] = forward},
    .backward         = {[LS_CPU] = backward},
    .scratch          = scratch,
    .borrows          = borrows,
    .flops            = flops,
};
