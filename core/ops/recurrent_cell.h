/* SPDX-License-Identifier: Apache-2.0
 *
 * One position of a recurrence, for loops: lstm_cell, gru_cell.
 *      x, p: B x G H   state: B x H, c or h  ->  h: B x H, for lstm also c
 *
 * The cells are those of core/ops/recurrent.h.  The product p is that of an ordinary linear layer, so these ops have no
 * parameters.
 */
#ifndef LS_CORE_OPS_RECURRENT_CELL_H
#define LS_CORE_OPS_RECURRENT_CELL_H

#include "core/ops/recurrent.h"

enum { LS_CELL_X, LS_CELL_P, LS_CELL_STATE, LS_CELL_INS };
enum { LS_CELL_H, LS_CELL_C /* lstm */ };

/* Output with the saved values. */
static inline int ls__cell_saved_output(const ls__cell *cell) { return ls__rec_parts(cell); }

static inline ls_status ls__cell_infer(ls_node *n, const ls__cell *cell)
{
    const ls_tensor *state = n->in[LS_CELL_STATE];
    for (int i = 0; i < LS_CELL_INS; i++) LS_TRY(ls__expect_samples(n, i));
    LS_NODE_CHECK(n, state->rank == 1, "the state '%s' is %s, expected B x H", state->name, ls__shape(state));
    const int64_t h = state->dim[0], wide = cell->gates * h;
    for (int i = 0; i < LS_CELL_STATE; i++)
        LS_NODE_CHECK(n, n->in[i]->rank == 1 && n->in[i]->dim[0] == wide,
                      "input '%s' is %s, expected B x %lld: %d gates of %lld units", n->in[i]->name,
                      ls__shape(n->in[i]), (long long)wide, cell->gates, (long long)h);
    ls__out(n, LS_CELL_H, LS_F32, true, 1, &h);
    if (cell->memory) ls__out(n, LS_CELL_C, LS_F32, true, 1, &h);
    ls__out(n, ls__cell_saved_output(cell), LS_F32, true, 1, LS_DIMS(cell->saved * h).dim);
    return LS_OK;
}

static inline void ls__cell_forward(const ls_call *c, const ls__cell *cell)
{
    const int64_t h = c->node->in[LS_CELL_STATE]->dim[0], wide = cell->gates * h;
    float        *to = c->y[cell->memory ? LS_CELL_C : LS_CELL_H];
#pragma omp parallel for schedule(static) if (c->rows * wide >= LS_REC_PARALLEL)
    for (int64_t b = 0; b < c->rows; b++) {
        memcpy(to + b * h, (const float *)c->x[LS_CELL_STATE] + b * h, (size_t)h * sizeof *to);
        cell->forward(&(ls__cell_at){.args    = c->args,
                                     .h       = h,
                                     .x       = (const float *)c->x[LS_CELL_X] + b * wide,
                                     .p       = (const float *)c->x[LS_CELL_P] + b * wide,
                                     .h_state = (float *)c->y[LS_CELL_H] + b * h,
                                     .c_state = to + b * h,
                                     .saved   = (float *)c->y[ls__cell_saved_output(cell)] + b * cell->saved * h,
                                     .y       = (float *)c->y[LS_CELL_H] + b * h});
    }
}

/* Workspace of one thread: gradients of h, c, x and p. */
static inline size_t ls__cell_scratch(const ls_node *n, const ls__cell *cell, int threads)
{
    return (size_t)threads * (size_t)((2 + 2 * cell->gates) * n->in[LS_CELL_STATE]->dim[0]) * sizeof(float);
}

static inline void ls__cell_backward(const ls_call *c, const ls__cell *cell)
{
    const int64_t h = c->node->in[LS_CELL_STATE]->dim[0], wide = cell->gates * h;
#pragma omp parallel for schedule(static) if (c->rows * wide >= LS_REC_PARALLEL)
    for (int64_t b = 0; b < c->rows; b++) {
        float *d[2] = {(float *)c->scratch + omp_get_thread_num() * (2 * h + 2 * wide)}, *dx = d[0] + 2 * h,
              *dp           = dx + wide;
        const float *before = (const float *)c->x[LS_CELL_STATE] + b * h;
        d[1]                = d[0] + h;
        for (int k = 0; k < 2; k++)
            if (k < ls__rec_parts(cell) && c->dy[k])
                memcpy(d[k], c->dy[k] + b * h, (size_t)h * sizeof *dx);
            else
                memset(d[k], 0, (size_t)h * sizeof *dx);
        cell->backward(&(ls__cell_at){.args     = c->args,
                                      .h        = h,
                                      .h_before = before,
                                      .c_before = before,
                                      .saved    = (float *)c->y[ls__cell_saved_output(cell)] + b * cell->saved * h,
                                      .dh       = d[0],
                                      .dc       = d[1],
                                      .dx       = dx,
                                      .dp       = dp});
        const float *from[LS_CELL_INS] = {cell->split ? dx : dp, dp, cell->memory ? d[1] : d[0]};
        for (int i = 0; i < LS_CELL_INS; i++) {
            const int64_t n = i == LS_CELL_STATE ? h : wide;
            if (c->dx[i]) ls__copy(n, ls__f32(from[i]), ls__f32(c->dx[i] + b * n), c->add[i]);
        }
    }
}

/* Defines the functions of the descriptor of a cell alone. */
#define LS_CELL_FUNCTIONS(cell)                                                                                        \
    static ls_status cell_op_infer(ls_node *n) { return ls__cell_infer(n, &(cell)); }                                  \
    static void      cell_op_forward(const ls_call *c) { ls__cell_forward(c, &(cell)); }                               \
    static void      cell_op_backward(const ls_call *c) { ls__cell_backward(c, &(cell)); }                             \
    static size_t    cell_op_scratch(const ls_node *n, int64_t rows, int shards, int threads, bool back)               \
    {                                                                                                                  \
        (void)rows, (void)shards;                                                                                      \
        return back ? ls__cell_scratch(n, &(cell), threads) : 0;                                                       \
    }                                                                                                                  \
    static double cell_op_flops(const ls_node *n) { return 10.0 * (double)ls__numel(n->in[LS_CELL_X]); }

/* The members of its descriptor. */
#define LS_CELL_OP                                                                                                     \
    .ins = LS_CELL_INS, .infer = cell_op_infer, .forward = {[LS_CPU] = cell_op_forward},                               \
    .backward = {[LS_CPU] = cell_op_backward}, .scratch = cell_op_scratch, .flops = cell_op_flops

#endif
