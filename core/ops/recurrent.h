/* SPDX-License-Identifier: Apache-2.0
 *
 * Recurrences over positions: rnn, lstm, gru.
 *      x: B x T x G H   w: G H x H   b: G H or none   lengths: B of int32 or none   h0: B x H or none
 *      ->  y: B x T x H   last: B x H
 *
 * x has the products of the inputs with their weights, for all positions: an ordinary linear layer.  G is the number of
 * gates.  A cell computes one position of one sample from its row of x, from the products p = w h + b of the state
 * before it, and from that state.
 *
 * Forward     for each position: p = h w^T + b for all samples, then the cell
 * Backward    for each position, from the last: the cell's gradient dp, then dh += dp w
 *             dw = sum of dp^T h,  db = sum of dp, after all positions: over a shard, then a binary tree over shards
 *
 * Samples have lengths, as in PyTorch's pack_padded_sequence: the state of a sample does not change from position
 * `length` on, and y is zero there.  With `reverse`, a sample is read from its last position to its first.  A length
 * outside of 0..T counts as the nearest of the two.
 *
 * A state keeps h, and for lstm c after it, from call to call.  A sample with start 0 begins with zeros, every other
 * sample with the state.  Generation uses a state to compute each token once; training uses it to continue streams of
 * text.  The gradient ends at the state (truncated backpropagation through time).
 *
 * The last `late` gates of a cell may multiply w with s h instead of h, where s is the first saved value of the cell,
 * as in the original GRU: the reset gate is applied before the product.  A position then takes two products.
 *
 * w is packed once per call (ls__gemm_pack).  The rows of the state are the samples by decreasing length.  The samples
 * with a position left are then the first rows.  One product covers all of them, so w is read once per position.
 */
#ifndef LS_CORE_OPS_RECURRENT_H
#define LS_CORE_OPS_RECURRENT_H

#include <omp.h>

#include "core/base/integer.h"
#include "core/cpu/gemm/gemm.h"
#include "core/cpu/vector/column_sum.h"
#include "core/ops/infer.h"

/* Inputs, and results; c is of lstm alone. */
enum { LS_REC_X, LS_REC_W, LS_REC_B, LS_REC_LENGTHS, LS_REC_H0, LS_REC_C0, LS_REC_START, LS_REC_STATE, LS_REC_INS };
enum { LS_REC_Y, LS_REC_LAST, LS_REC_LAST_C };

/* One position of one sample. */
typedef struct ls__cell_at {
    const void  *args;
    int64_t      h;                   /* H */
    const float *x, *p;               /* G H values */
    const float *h_before, *c_before; /* H values; backward: NULL for zeros */
    float       *h_state, *c_state;   /* forward: before and after the cell */
    float       *saved, *y;           /* backward: read only */
    float       *dh, *dc;             /* backward: gradients of the state after the cell.  The cell replaces dh by
                                          the part of the gradient before the cell that does not come from p, and dc
                                          by the gradient of c before the cell */
    float       *dx, *dp;             /* backward: gradients of x and p */
    const float *dlate;               /* backward_late: gradient of s h */
} ls__cell_at;

typedef struct ls__cell {
    int  gates;  /* G */
    int  saved;  /* values that forward saves for a position, in units of H */
    bool memory; /* the state has a c beside h */
    bool split;  /* dx and dp differ */
    bool direct; /* dh has a part that does not come from p */
    int  late;   /* number of late gates */
    void (*forward)(const ls__cell_at *at);
    void (*backward)(const ls__cell_at *at);
    /* With late gates: computes s, the first saved value, from the other gates. */
    void (*early)(const ls__cell_at *at);
    /* With late gates: `backward` leaves out what comes through s h.  Then this one adds it, to dh and dp. */
    void (*backward_late)(const ls__cell_at *at);
} ls__cell;

/* Parts of a state: h, and c. */
static inline int ls__rec_parts(const ls__cell *cell) { return cell->memory ? 2 : 1; }
/* Output with the saved values, after y and the last state. */
static inline int ls__rec_saved_output(const ls__cell *cell) { return 1 + ls__rec_parts(cell); }
/* Output with the state before the first position, for calls with a state. */
static inline int ls__rec_initial_output(const ls__cell *cell)
{
    return ls__rec_saved_output(cell) + (cell->saved > 0);
}

static inline ls_status ls__rec_state(const ls_node *n, int i, int64_t units)
{
    if (!n->in[i]) return LS_OK;
    LS_TRY(ls__expect_samples(n, i));
    LS_NODE_CHECK(n, n->in[i]->rank == 1 && n->in[i]->dim[0] == units,
                  "the initial state '%s' is %s, expected B x %lld" LS_HINT "as many values as the weight has columns",
                  n->in[i]->name, ls__shape(n->in[i]), (long long)units);
    return LS_OK;
}

/* Checks the state that is kept from call to call, `count` values, and the start. */
static inline ls_status ls__rec_state_infer(const ls_node *n, int64_t count)
{
    const ls_tensor *state = n->in[LS_REC_STATE], *start = n->in[LS_REC_START];
    LS_NODE_CHECK(n, state || !start, "a start is given without a state" LS_HINT "give a state as well");
    if (!state) return LS_OK;
    LS_TRY(ls__expect_start(n, LS_REC_START));
    LS_NODE_CHECK(n, state->type == LS_F32 && state->batched && state->rank == 1 && state->dim[0] == count,
                  "the state '%s' is %s of %s, expected B x %lld of float32", state->name, ls__shape(state),
                  ls__dtype_name(state->type), (long long)count);
    LS_NODE_CHECK(n, !n->in[LS_REC_H0] && !n->in[LS_REC_C0],
                  "a state and an initial state exclude each other" LS_HINT "the state is the initial state");
    return LS_OK;
}

static inline ls_status ls__rec_infer(ls_node *n, const ls__cell *cell)
{
    const ls_tensor *x = n->in[LS_REC_X], *w = n->in[LS_REC_W], *b = n->in[LS_REC_B], *lengths = n->in[LS_REC_LENGTHS];
    LS_TRY(ls__expect_samples(n, LS_REC_X));
    LS_TRY(ls__expect_param(n, LS_REC_W, 2));
    const int64_t units = w->dim[1], wide = cell->gates * units;
    LS_NODE_CHECK(n, w->dim[0] == wide, "the weight '%s' is %s, expected %d gates x %lld units = %lld rows", w->name,
                  ls__shape(w), cell->gates, (long long)units, (long long)wide);
    LS_NODE_CHECK(n, x->rank == 2 && x->dim[1] == wide,
                  "input '%s' is %s, expected B x T x %lld" LS_HINT "a linear layer computes the gates from the inputs",
                  x->name, ls__shape(x), (long long)wide);
    if (b) {
        LS_TRY(ls__expect_param(n, LS_REC_B, 1));
        LS_NODE_CHECK(n, b->dim[0] == wide, "the bias '%s' is %s, expected length %lld", b->name, ls__shape(b),
                      (long long)wide);
    }
    LS_NODE_CHECK(n, !lengths || (lengths->type == LS_I32 && lengths->batched && lengths->rank == 0),
                  "the lengths '%s' are %s of %s, expected one int32 per sample", lengths->name, ls__shape(lengths),
                  ls__dtype_name(lengths->type));
    LS_TRY(ls__rec_state(n, LS_REC_H0, units));
    if (cell->memory) LS_TRY(ls__rec_state(n, LS_REC_C0, units));
    LS_NODE_CHECK(n, cell->memory || !n->in[LS_REC_C0], "found an initial state c0" LS_HINT "lstm alone has one");
    LS_TRY(ls__rec_state_infer(n, ls__rec_parts(cell) * units));
    ls__out(n, LS_REC_Y, LS_F32, true, 2, LS_DIMS(x->dim[0], units).dim);
    ls__out(n, LS_REC_LAST, LS_F32, true, 1, LS_DIMS(units).dim);
    if (cell->memory) ls__out(n, LS_REC_LAST_C, LS_F32, true, 1, LS_DIMS(units).dim);
    if (cell->saved)
        ls__out(n, ls__rec_saved_output(cell), LS_F32, true, 2, LS_DIMS(x->dim[0], cell->saved * units).dim);
    if (n->in[LS_REC_STATE]) ls__out(n, ls__rec_initial_output(cell), LS_F32, true, 1, n->in[LS_REC_STATE]->dim);
    return LS_OK;
}

/* ---- workspace --------------------------------------------------------------------------------------------------- */

/* A recurrence and its workspace.  Rows of h, c and p are samples by decreasing length. */
typedef struct ls__rec {
    const ls_call  *call;
    const ls__cell *cell;
    int64_t         rows, t, h, wide; /* samples, positions, H, G H */
    bool            reverse;
    const int32_t  *length;        /* of each sample; NULL: T */
    int64_t        *order;         /* samples by decreasing length */
    int64_t        *count;         /* T + 2 counters */
    float          *h_row, *c_row; /* state; in backward its gradient */
    float          *p;             /* products, or their gradients, of one position */
    float          *w, *w_late;    /* packed; those of late gates */
    float          *late;          /* late gates: s h of one position, or its gradient */
    float          *late_before;   /* backward: s h of all positions, B x T x H */
    float          *h_before;      /* backward: the state before each position, B x T x H */
    float          *dp;            /* backward: the gradients of the products of all positions, B x T x G H */
    int64_t        *bound;         /* backward: shard bounds, counted in positions */
    float          *sums;          /* backward: partial sums of db */
} ls__rec;

/* The next `bytes` bytes of workspace; *at is the offset behind them. */
static inline void *ls__rec_part(char *base, size_t *at, int64_t count, size_t size)
{
    void *part = base ? base + *at : NULL;
    *at += ((size_t)count * size + 63) / 64 * 64;
    return part;
}

/* Divides the workspace at `base`, which may be NULL.  Returns its bytes. */
static inline size_t ls__rec_divide(ls__rec *r, const ls_node *n, const ls__cell *cell, int64_t rows, int shards,
                                    bool backward, char *base)
{
    const int64_t t = n->in[LS_REC_X]->dim[0], h = n->in[LS_REC_W]->dim[1], wide = cell->gates * h;
    size_t        at = 0;
    *r               = (ls__rec){.cell    = cell,
                                 .rows    = rows,
                                 .t       = t,
                                 .h       = h,
                                 .wide    = wide,
                                 .reverse = ((const ls_recurrent_args *)n->args)->reverse};
    r->order         = ls__rec_part(base, &at, rows, sizeof *r->order);
    r->count         = ls__rec_part(base, &at, t + 2, sizeof *r->count);
    r->h_row         = ls__rec_part(base, &at, rows * h, sizeof(float));
    if (cell->memory) r->c_row = ls__rec_part(base, &at, rows * h, sizeof(float));
    r->p               = ls__rec_part(base, &at, rows * wide, sizeof(float));
    const int64_t late = cell->late * h, early = wide - late;
    r->w = ls__rec_part(base, &at, 1, backward ? ls__gemm_packed_bytes(h, early) : ls__gemm_packed_bytes(early, h));
    if (late) {
        r->w_late =
            ls__rec_part(base, &at, 1, backward ? ls__gemm_packed_bytes(h, late) : ls__gemm_packed_bytes(late, h));
        r->late = ls__rec_part(base, &at, rows * h, sizeof(float));
    }
    if (!backward) return at;
    r->h_before = ls__rec_part(base, &at, rows * t * h, sizeof(float));
    if (late) r->late_before = ls__rec_part(base, &at, rows * t * h, sizeof(float));
    r->dp    = ls__rec_part(base, &at, rows * t * wide, sizeof(float));
    r->bound = ls__rec_part(base, &at, shards + 1, sizeof *r->bound);
    r->sums  = ls__rec_part(base, &at, (int64_t)ls__column_sums_scratch(wide, shards), sizeof(float));
    return at;
}

static inline int64_t ls__rec_length(const ls__rec *r, int64_t sample)
{
    return r->length ? ls__max(0, ls__min(r->t, r->length[sample])) : r->t;
}

/* The position that is step `step` of a sample. */
static inline int64_t ls__rec_position(const ls__rec *r, int64_t sample, int64_t step)
{
    return r->reverse ? ls__rec_length(r, sample) - 1 - step : step;
}

/* The number of samples with more than `step` positions, at most `most`. */
static inline int64_t ls__rec_active(const ls__rec *r, int64_t step, int64_t most)
{
    while (most > 0 && ls__rec_length(r, r->order[most - 1]) <= step) most--;
    return most;
}

/* Sorts the samples by decreasing length; samples of equal length keep their order. */
static inline void ls__rec_sort(ls__rec *r)
{
    for (int64_t i = 0; i < r->t + 2; i++) r->count[i] = 0;
    for (int64_t b = 0; b < r->rows; b++) r->count[r->t - ls__rec_length(r, b) + 1]++;
    for (int64_t i = 0; i < r->t; i++) r->count[i + 1] += r->count[i];
    for (int64_t b = 0; b < r->rows; b++) r->order[r->count[r->t - ls__rec_length(r, b)]++] = b;
}

static inline ls__rec ls__rec_begin(const ls_call *c, const ls__cell *cell, bool backward)
{
    ls__rec r;
    ls__rec_divide(&r, c->node, cell, c->rows, c->shards, backward, c->scratch);
    r.call   = c;
    r.length = c->x[LS_REC_LENGTHS];
    ls__rec_sort(&r);
    return r;
}

static inline size_t ls__rec_scratch(const ls_node *n, const ls__cell *cell, int64_t rows, int shards, bool backward)
{
    ls__rec r;
    return ls__rec_divide(&r, n, cell, rows, shards, backward, NULL);
}

/* Copies rows of H floats between the order of the samples and that of their lengths.  from NULL: zeros. */
static inline void ls__rec_gather(const ls__rec *r, const float *from, float *to)
{
    for (int64_t i = 0; i < r->rows; i++)
        if (from)
            memcpy(to + i * r->h, from + r->order[i] * r->h, (size_t)r->h * sizeof *to);
        else
            memset(to + i * r->h, 0, (size_t)r->h * sizeof *to);
}

/* Copies part `part` of the state to the rows at h, and to the output with the initial states. */
static inline void ls__rec_load(const ls__rec *r, int part, float *h)
{
    const ls_call *c     = r->call;
    const int32_t *start = c->x[LS_REC_START];
    for (int64_t i = 0; i < r->rows; i++) {
        const int64_t at   = (r->order[i] * ls__rec_parts(r->cell) + part) * r->h;
        const float  *from = (const float *)c->x[LS_REC_STATE] + at;
        if (start && start[r->order[i]] == 0)
            memset(h + i * r->h, 0, (size_t)r->h * sizeof *h);
        else
            memcpy(h + i * r->h, from, (size_t)r->h * sizeof *h);
        memcpy((float *)c->y[ls__rec_initial_output(r->cell)] + at, h + i * r->h, (size_t)r->h * sizeof *h);
    }
}

/* The opposite. */
static inline void ls__rec_store(const ls__rec *r, int part, const float *h)
{
    for (int64_t i = 0; i < r->rows; i++)
        memcpy((float *)r->call->x[LS_REC_STATE] + (r->order[i] * ls__rec_parts(r->cell) + part) * r->h, h + i * r->h,
               (size_t)r->h * sizeof *h);
}

static inline void ls__rec_scatter(const ls__rec *r, const float *from, float *to, bool add)
{
    for (int64_t i = 0; to && i < r->rows; i++)
        ls__copy(r->h, (ls_array){(float *)(uintptr_t)from + i * r->h, LS_F32},
                 (ls_array){to + r->order[i] * r->h, LS_F32}, add);
}

/* Zeroes what follows the length of each sample in an array of B x T x `width` floats. */
static inline void ls__rec_clear_padding(const ls__rec *r, float *x, int64_t width)
{
    for (int64_t b = 0; x && r->length && b < r->rows; b++) {
        const int64_t length = ls__rec_length(r, b);
        memset(x + (b * r->t + length) * width, 0, (size_t)((r->t - length) * width) * sizeof *x);
    }
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

/* Least gate values of a position for which threads pay off. */
enum { LS_REC_PARALLEL = 8192 };

/* The products of the gates of one position, of those that are not late or of the late ones; packs w. */
static inline ls_gemm ls__rec_forward_product(const ls__rec *r, bool late)
{
    const ls_call *c     = r->call;
    const int64_t  first = late ? r->wide - r->cell->late * r->h : 0;
    const float   *bias  = c->x[LS_REC_B];
    ls_gemm        g     = {.n     = late ? r->cell->late * r->h : r->wide - r->cell->late * r->h,
                            .k     = r->h,
                            .x     = late ? r->late : r->h_row,
                            .x_row = r->h,
                            .x_col = 1,
                            .w     = (const float *)c->x[LS_REC_W] + first * r->h,
                            .w_row = 1,
                            .w_col = r->h,
                            .y     = r->p + first,
                            .y_row = r->wide,
                            .bias  = bias ? bias + first : NULL};
    ls__gemm_pack(&g, late ? r->w_late : r->w);
    g.packed_w = late ? r->w_late : r->w;
    return g;
}

/* Row i of the state at step `step`. */
static inline ls__cell_at ls__rec_forward_at(const ls__rec *r, int64_t i, int64_t step)
{
    const ls_call *c     = r->call;
    const int64_t  at    = r->order[i] * r->t + ls__rec_position(r, r->order[i], step);
    float         *saved = r->cell->saved ? c->y[ls__rec_saved_output(r->cell)] : NULL;
    return (ls__cell_at){.args    = c->args,
                         .h       = r->h,
                         .x       = (const float *)c->x[LS_REC_X] + at * r->wide,
                         .p       = r->p + i * r->wide,
                         .h_state = r->h_row + i * r->h,
                         .c_state = r->cell->memory ? r->c_row + i * r->h : NULL,
                         .saved   = saved ? saved + at * r->cell->saved * r->h : NULL,
                         .y       = (float *)c->y[LS_REC_Y] + at * r->h};
}

/* Computes s h of one position, and the products of the late gates with it. */
static inline void ls__rec_forward_late(const ls__rec *r, int64_t step, int64_t active, ls_gemm *g)
{
#pragma omp parallel for schedule(static) if (active * r->wide >= LS_REC_PARALLEL)
    for (int64_t i = 0; i < active; i++) {
        const ls__cell_at at   = ls__rec_forward_at(r, i, step);
        float            *late = r->late + i * r->h;
        r->cell->early(&at);
        V_MAP(r->h, V_PUT(late, V_GET(at.saved) * V_GET(at.h_state)));
    }
    g->m = active;
    ls__gemm(g);
}

static inline void ls__rec_forward(const ls_call *c, const ls__cell *cell)
{
    const ls__rec r     = ls__rec_begin(c, cell, false);
    float        *saved = cell->saved ? c->y[ls__rec_saved_output(cell)] : NULL;
    const bool    state = c->x[LS_REC_H0] || c->x[LS_REC_STATE];
    ls_gemm       g = ls__rec_forward_product(&r, false), late = {0};
    if (cell->late) late = ls__rec_forward_product(&r, true);
    ls__rec_gather(&r, c->x[LS_REC_H0], r.h_row);
    if (cell->memory) ls__rec_gather(&r, c->x[LS_REC_C0], r.c_row);
    if (c->x[LS_REC_STATE]) ls__rec_load(&r, 0, r.h_row);
    if (c->x[LS_REC_STATE] && cell->memory) ls__rec_load(&r, 1, r.c_row);
    int64_t active = r.rows;
    for (int64_t step = 0; (active = ls__rec_active(&r, step, active)) > 0; step++) {
        g.m = active;
        if (step == 0 && !state) g.k = 0; /* p is the bias */
        ls__gemm(&g);
        g.k = r.h;
        if (cell->late) ls__rec_forward_late(&r, step, active, &late);
#pragma omp parallel for schedule(static) if (active * r.wide >= LS_REC_PARALLEL)
        for (int64_t i = 0; i < active; i++) {
            const ls__cell_at at = ls__rec_forward_at(&r, i, step);
            cell->forward(&at);
        }
        if (step + 1 == r.t) break;
    }
    ls__rec_clear_padding(&r, c->y[LS_REC_Y], r.h);
    ls__rec_clear_padding(&r, saved, cell->saved * r.h);
    ls__rec_scatter(&r, r.h_row, c->y[LS_REC_LAST], false);
    if (cell->memory) ls__rec_scatter(&r, r.c_row, c->y[LS_REC_LAST_C], false);
    if (c->x[LS_REC_STATE]) ls__rec_store(&r, 0, r.h_row);
    if (c->x[LS_REC_STATE] && cell->memory) ls__rec_store(&r, 1, r.c_row);
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* Part `part` of the state before the first position of a sample; NULL: zeros. */
static inline const float *ls__rec_first(const ls__rec *r, int64_t sample, int part)
{
    const ls_call *c = r->call;
    if (c->node->in[LS_REC_STATE])
        return (const float *)c->y[ls__rec_initial_output(r->cell)] + (sample * ls__rec_parts(r->cell) + part) * r->h;
    const float *given = c->x[part ? LS_REC_C0 : LS_REC_H0];
    return given ? given + sample * r->h : NULL;
}

/* The state h before the position that is step `step` of a sample; NULL: zeros. */
static inline const float *ls__rec_before(const ls__rec *r, int64_t sample, int64_t step)
{
    if (step == 0) return ls__rec_first(r, sample, 0);
    return (const float *)r->call->y[LS_REC_Y] + (sample * r->t + ls__rec_position(r, sample, step - 1)) * r->h;
}

/* The saved c before that position, the last part of the saved values. */
static inline const float *ls__rec_c_before(const ls__rec *r, int64_t sample, int64_t step)
{
    const int64_t s = r->cell->saved;
    if (!r->cell->memory) return NULL;
    if (step == 0) return ls__rec_first(r, sample, 1);
    return (const float *)r->call->y[ls__rec_saved_output(r->cell)] +
           ((sample * r->t + ls__rec_position(r, sample, step - 1)) * s + s - 1) * r->h;
}

/* Row `row` of the gradients of the state at step `step`. */
static inline ls__cell_at ls__rec_backward_at(const ls__rec *r, int64_t row, int64_t step)
{
    const ls_call  *c      = r->call;
    const ls__cell *cell   = r->cell;
    const int64_t   sample = r->order[row], at = sample * r->t + ls__rec_position(r, sample, step);
    return (ls__cell_at){.args     = c->args,
                         .h        = r->h,
                         .h_before = ls__rec_before(r, sample, step),
                         .c_before = ls__rec_c_before(r, sample, step),
                         .saved =
                             cell->saved ? (float *)c->y[ls__rec_saved_output(cell)] + at * cell->saved * r->h : NULL,
                         .y  = (float *)c->y[LS_REC_Y] + at * r->h,
                         .dh = r->h_row + row * r->h,
                         .dc = cell->memory ? r->c_row + row * r->h : NULL,
                         .dx = cell->split ? r->dp + at * r->wide : NULL, /* until it is copied to the gradient of x */
                         .dp = r->p + row * r->wide,
                         .dlate = cell->late ? r->late + row * r->h : NULL};
}

/* Copies the gradients of one position of one sample to those of all positions. */
static inline void ls__rec_keep_gradients(const ls__rec *r, const ls__cell_at *of, int64_t row, int64_t step)
{
    const ls_call *c  = r->call;
    const int64_t  at = r->order[row] * r->t + ls__rec_position(r, r->order[row], step);
    float         *dx = c->dx[LS_REC_X];
    if (dx) ls__copy(r->wide, ls__f32(of->dx ? of->dx : of->dp), ls__f32(dx + at * r->wide), c->add[LS_REC_X]);
    memcpy(r->dp + at * r->wide, of->dp, (size_t)r->wide * sizeof *dx);
}

/* Computes dw of `gates` gates from gate `first` on, which multiply w with x, B x T x H. */
static inline void ls__rec_backward_weight(const ls__rec *r, int64_t first, int64_t gates, const float *x)
{
    const ls_call *c = r->call;
    for (int k = 0; gates && k < c->groups; k++) {
        const ls_group *group = &c->group[k];
        const int64_t   begin = c->bound[group->first] * r->t;
        for (int s = 0; s <= group->shards; s++) r->bound[s] = c->bound[group->first + s] * r->t - begin;
        ls__gemm(&(ls_gemm){.m      = gates * r->h,
                            .n      = r->h,
                            .k      = r->bound[group->shards],
                            .x      = r->dp + begin * r->wide + first * r->h,
                            .x_row  = 1,
                            .x_col  = r->wide,
                            .w      = x + begin * r->h,
                            .w_row  = r->h,
                            .w_col  = 1,
                            .y      = ls__group_grad(c, LS_REC_W, k) + first * r->h * r->h,
                            .y_row  = r->h,
                            .add    = ls__group_add(c, LS_REC_W, k),
                            .splits = group->shards,
                            .bound  = r->bound});
    }
}

/* Writes what the gates of sample b multiply w with, for all positions. */
static inline void ls__rec_inputs_of(const ls__rec *r, int64_t b)
{
    const int64_t length = ls__rec_length(r, b);
    for (int64_t step = 0; step < length; step++) {
        const float  *from = ls__rec_before(r, b, step);
        const int64_t at   = b * r->t + ls__rec_position(r, b, step);
        float        *to   = r->h_before + at * r->h;
        if (from)
            memcpy(to, from, (size_t)r->h * sizeof *to);
        else
            memset(to, 0, (size_t)r->h * sizeof *to);
        if (!r->cell->late) continue;
        const float *s = (const float *)r->call->y[ls__rec_saved_output(r->cell)] + at * r->cell->saved * r->h;
        V_MAP(r->h, V_PUT(r->late_before + at * r->h, V_GET(s) * V_GET(to)));
    }
    const int64_t end = (b * r->t + length) * r->h, padding = (r->t - length) * r->h;
    memset(r->h_before + end, 0, (size_t)padding * sizeof(float));
    if (r->cell->late) memset(r->late_before + end, 0, (size_t)padding * sizeof(float));
}

/* Computes the gradients of w and b from those of the products. */
static inline void ls__rec_backward_params(const ls__rec *r)
{
    const ls_call *c    = r->call;
    const int64_t  late = r->cell->late, early = r->cell->gates - late;
#pragma omp parallel for schedule(static) if (r->rows * r->t * r->h >= LS_MAP_PARALLEL)
    for (int64_t b = 0; b < r->rows; b++) ls__rec_inputs_of(r, b);
    if (c->dx[LS_REC_W]) {
        ls__rec_backward_weight(r, 0, early, r->h_before);
        ls__rec_backward_weight(r, early, late, r->late_before);
    }
    if (c->dx[LS_REC_B]) ls__column_sums(c, LS_REC_B, r->t, r->wide, (ls_array){r->dp, LS_F32}, (ls_array){0}, r->sums);
}

/* The product dp w of one position, of the gates that are not late or of the late ones; packs w. */
static inline ls_gemm ls__rec_backward_product(const ls__rec *r, bool late)
{
    const int64_t count = r->cell->late * r->h, first = late ? r->wide - count : 0;
    ls_gemm       g = {.n     = r->h,
                       .k     = late ? count : r->wide - count,
                       .x     = r->p + first,
                       .x_row = r->wide,
                       .x_col = 1,
                       .w     = (const float *)r->call->x[LS_REC_W] + first * r->h,
                       .w_row = r->h,
                       .w_col = 1,
                       .y     = late ? r->late : r->h_row,
                       .y_row = r->h,
                       .add   = !late && r->cell->direct};
    ls__gemm_pack(&g, late ? r->w_late : r->w);
    g.packed_w = late ? r->w_late : r->w;
    return g;
}

static inline void ls__rec_backward(const ls_call *c, const ls__cell *cell)
{
    const ls__rec r = ls__rec_begin(c, cell, true);
    ls_gemm       g = ls__rec_backward_product(&r, false), late = {0};
    if (cell->late) late = ls__rec_backward_product(&r, true);
    ls__rec_gather(&r, c->dy[LS_REC_LAST], r.h_row);
    if (cell->memory) ls__rec_gather(&r, c->dy[LS_REC_LAST_C], r.c_row);
    ls__rec_clear_padding(&r, r.dp, r.wide);
    if (!c->add[LS_REC_X]) ls__rec_clear_padding(&r, c->dx[LS_REC_X], r.wide);
    for (int64_t step = r.t - 1; step >= 0; step--) {
        const int64_t active = ls__rec_active(&r, step, r.rows);
        if (active == 0) continue;
#pragma omp parallel for schedule(static) if (active * r.wide >= LS_REC_PARALLEL)
        for (int64_t i = 0; i < active; i++) {
            const ls__cell_at at = ls__rec_backward_at(&r, i, step);
            const float      *dy = c->dy[LS_REC_Y] ? c->dy[LS_REC_Y] + (at.y - (float *)c->y[LS_REC_Y]) : NULL;
            if (dy) V_MAP(r.h, V_PUT(at.dh, V_GET(at.dh) + V_GET(dy)));
            cell->backward(&at);
            if (!cell->late) ls__rec_keep_gradients(&r, &at, i, step);
        }
        late.m = g.m = active;
        if (cell->late) {
            ls__gemm(&late);
#pragma omp parallel for schedule(static) if (active * r.wide >= LS_REC_PARALLEL)
            for (int64_t i = 0; i < active; i++) {
                const ls__cell_at at = ls__rec_backward_at(&r, i, step);
                cell->backward_late(&at);
                ls__rec_keep_gradients(&r, &at, i, step);
            }
        }
        if (step > 0 || c->dx[LS_REC_H0]) ls__gemm(&g);
    }
    ls__rec_scatter(&r, r.h_row, c->dx[LS_REC_H0], c->add[LS_REC_H0]);
    if (cell->memory) ls__rec_scatter(&r, r.c_row, c->dx[LS_REC_C0], c->add[LS_REC_C0]);
    if (c->dx[LS_REC_W] || c->dx[LS_REC_B]) ls__rec_backward_params(&r);
}

/* Two products with w for each value of the state, and about ten operations per gate value. */
static inline double ls__rec_flops(const ls_node *n)
{
    return (double)ls__numel(n->in[LS_REC_X]) * (2.0 * (double)n->in[LS_REC_W]->dim[1] + 10);
}

/* Defines the functions of a descriptor for a cell; `cell` may depend on `args`, the attributes. */
#define LS_RECURRENT_FUNCTIONS(cell)                                                                                   \
    static const ls__cell *cell_of(const ls_recurrent_args *args)                                                      \
    {                                                                                                                  \
        (void)args;                                                                                                    \
        return cell;                                                                                                   \
    }                                                                                                                  \
    static ls_status infer(ls_node *n) { return ls__rec_infer(n, cell_of(n->args)); }                                  \
    static void      forward(const ls_call *c) { ls__rec_forward(c, cell_of(c->args)); }                               \
    static void      backward(const ls_call *c) { ls__rec_backward(c, cell_of(c->args)); }                             \
    static size_t    scratch(const ls_node *n, int64_t rows, int shards, int threads, bool back)                       \
    {                                                                                                                  \
        (void)threads;                                                                                                 \
        return ls__rec_scratch(n, cell_of(n->args), rows, shards, back);                                               \
    }

/* The members of a descriptor that all recurrences share. */
/* clang-format off */
#define LS_RECURRENT_OP                                                                                                \
    .args_bytes = sizeof(ls_recurrent_args), .ins = LS_REC_INS,                                                        \
    .optional = 1u << LS_REC_B | 1u << LS_REC_LENGTHS | 1u << LS_REC_H0 | 1u << LS_REC_C0 | 1u << LS_REC_START |       \
                1u << LS_REC_STATE,                                                                                    \
    .no_grad = 1u << LS_REC_LENGTHS | 1u << LS_REC_START | 1u << LS_REC_STATE, .updates = 1u << LS_REC_STATE,          \
    .carries = true,                                                                                                   \
    .infer = infer, .forward = {[LS_CPU] = forward}, .backward = {[LS_CPU] = backward}, .scratch = scratch,            \
    .flops = ls__rec_flops
#define LS_RECURRENT_SAVES                                                                                             \
    (LS_SAVES_IN(LS_REC_W) | LS_SAVES_IN(LS_REC_LENGTHS) | LS_SAVES_IN(LS_REC_H0) | LS_SAVES_IN(LS_REC_C0) |           \
     LS_SAVES_OUT(LS_REC_Y))
/* clang-format on */

#endif
