/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions of a row, softmax and log_softmax:  x: B x ... x V  ->  y: B x ... x V,  each row of V on its own.
 *
 * The file of such an op defines the functions of one row, calls the loops below with them, and starts its descriptor
 * with LS_ROWWISE_OP.
 */
#ifndef LS_CORE_OPS_ROWWISE_H
#define LS_CORE_OPS_ROWWISE_H

#include "core/cpu/vector/softmax_rows.h"
#include "core/ops/infer.h"

/* Writes y = f(x), for rows of v elements. */
typedef void ls__row_value_fn(int64_t v, const float *x, float *y);

/* Writes the gradient dx of a row, or adds it to dx; dx may be dy. */
typedef void ls__row_gradient_fn(int64_t v, const float *dy, const float *y, float *dx, bool add);

static inline void ls__rowwise_forward(const ls_call *c, ls__row_value_fn *value)
{
    const ls_tensor *t    = c->node->in[0];
    const int64_t    rows = c->rows * ls__rows(t), v = ls__cols(t);
#pragma omp parallel for schedule(static) if (rows * v >= LS_ROWS_PARALLEL)
    for (int64_t r = 0; r < rows; r++) value(v, (const float *)c->x[0] + r * v, (float *)c->y[0] + r * v);
}

static inline void ls__rowwise_backward(const ls_call *c, ls__row_gradient_fn *gradient)
{
    const ls_tensor *t    = c->node->in[0];
    const int64_t    rows = c->rows * ls__rows(t), v = ls__cols(t);
#pragma omp parallel for schedule(static) if (rows * v >= LS_ROWS_PARALLEL)
    for (int64_t r = 0; r < rows; r++)
        gradient(v, c->dy[0] + r * v, (const float *)c->y[0] + r * v, c->dx[0] + r * v, c->add[0]);
}

/* An exponential counts as four operations. */
static inline double ls__rowwise_flops(const ls_node *n) { return 5.0 * (double)ls__numel(n->in[0]); }

/* Descriptor members with one value in these ops: backward reads y alone, so forward may write y over x. */
#define LS_ROWWISE_OP                                                                                                  \
    .args_bytes = sizeof(ls_unary_args), .ins = 1, .outs = 1, .saves = LS_SAVES_OUT(0), .inplace = true,               \
    .inplace_backward = true, .infer = ls__infer_same, .forward = {[LS_CPU] = forward},                                \
    .backward = {[LS_CPU] = backward}, .flops = ls__rowwise_flops

#endif
