/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions of a row, softmax and log_softmax:  x: B x ... x V  ->  y: B x ... x V,  each row of V on its own.
 *
 * The file of such an op defines the functions of one row, calls the loops below with them, and starts its descriptor
 * with LS_ROWWISE_OP.
 */
#ifndef LS_CORE_OPS_ROWWISE_H
#define LS_CORE_OPS_ROWWISE_H

#include <omp.h>

#include "core/cpu/vector/softmax_rows.h"
#include "core/ops/infer.h"

/* Writes y = f(x), for rows of v elements; y may be x. */
typedef void ls__row_value_fn(int64_t v, const float *x, float *y);

/* Writes the gradient dx of a row, or adds it to dx; dx may be dy. */
typedef void ls__row_gradient_fn(int64_t v, const float *dy, const float *y, float *dx, bool add);

/* The buffers of the calling thread for rows of v elements; NULL if x is float32. */
static inline float *ls__rowwise_buffers(const ls_call *c, int64_t v)
{
    return c->scratch ? (float *)c->scratch + omp_get_thread_num() * 3 * v : NULL;
}

static inline void ls__rowwise_forward(const ls_call *c, ls__row_value_fn *value)
{
    const ls_tensor *t    = c->node->in[0];
    const int64_t    rows = c->rows * ls__rows(t), v = ls__cols(t);
    const ls_array   x = ls__x(c, 0), y = ls__y(c, 0);
#pragma omp parallel for schedule(static) if (rows * v >= LS_ROWS_PARALLEL)
    for (int64_t r = 0; r < rows; r++) {
        float *buffer = ls__rowwise_buffers(c, v), *to = ls__write_begin(y, r * v, v, buffer, false);
        value(v, ls__read(x, r * v, v, buffer), to);
        ls__write_end(y, r * v, v, to);
    }
}

static inline void ls__rowwise_backward(const ls_call *c, ls__row_gradient_fn *gradient)
{
    const ls_tensor *t    = c->node->in[0];
    const int64_t    rows = c->rows * ls__rows(t), v = ls__cols(t);
    const ls_array   dy = ls__dy(c, 0), y = ls__y(c, 0), dx = ls__dx(c, 0);
#pragma omp parallel for schedule(static) if (rows * v >= LS_ROWS_PARALLEL)
    for (int64_t r = 0; r < rows; r++) {
        float *buffer = ls__rowwise_buffers(c, v), *to = ls__write_begin(dx, r * v, v, buffer, c->add[0]);
        gradient(v, ls__read(dy, r * v, v, buffer ? buffer + v : NULL),
                 ls__read(y, r * v, v, buffer ? buffer + 2 * v : NULL), to, c->add[0]);
        ls__write_end(dx, r * v, v, to);
    }
}

/* Workspace: three rows for each thread. */
static inline size_t ls__rowwise_scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    (void)rows, (void)shards, (void)backward;
    return n->in[0]->type == LS_BF16 ? ls__row_buffers(3, ls__cols(n->in[0]), threads) : 0;
}

/* An exponential counts as four operations. */
static inline double ls__rowwise_flops(const ls_node *n) { return 5.0 * (double)ls__numel(n->in[0]); }

/* Descriptor members with one value in these ops: backward reads y alone, so forward may write y over x. */
#define LS_ROWWISE_OP                                                                                                  \
    .args_bytes = sizeof(ls_unary_args), .ins = 1, .outs = 1, .either = 1u << 0, .saves = LS_SAVES_OUT(0),             \
    .inplace = true, .inplace_backward = true, .infer = ls__infer_same, .forward = {[LS_CPU] = forward},               \
    .backward = {[LS_CPU] = backward}, .scratch = ls__rowwise_scratch, .flops = ls__rowwise_flops

#endif
