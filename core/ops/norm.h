/* SPDX-License-Identifier: Apache-2.0
 *
 * Normalisation of each row, layer_norm and rms_norm: shape rule, kernels and workspace.  The maths of both are in
 * core/cpu/norm_rows.h.
 */
#ifndef LS_CORE_OPS_NORM_H
#define LS_CORE_OPS_NORM_H

#include "core/cpu/norm_rows.h"
#include "core/ops/infer.h"

/* Shape rule: y is like x, and output 1 has `saved` floats for each row.  Replaces *eps = 0 by `fallback`. */
static inline ls_status ls__norm_infer(ls_node *n, float *eps, float fallback, int saved)
{
    const ls_tensor *x = n->in[0];
    if (*eps == 0) *eps = fallback;
    LS_TRY(ls__expect_samples(n, 0));
    LS_TRY(ls__expect_row_params(n));
    LS_NODE_CHECK(n, *eps > 0, "eps is %g, expected a positive number", (double)*eps);
    int64_t dim[LS_MAX_DIMS];
    for (int i = 0; i < x->rank; i++) dim[i] = x->dim[i];
    dim[x->rank - 1] = saved;
    ls__out(n, 0, n->graph->precision, true, x->rank, x->dim);
    ls__out(n, 1, LS_F32, true, x->rank, dim);
    return LS_OK;
}

/* `centred` subtracts the mean of the row.  Input 1 is the weight, input 2 (layer_norm only) the bias. */
static inline ls__norm ls__norm_of(const ls_call *c, float eps, bool centred)
{
    const ls_tensor *x = c->node->in[0];
    return (ls__norm){.centred = centred,
                      .eps     = eps,
                      .lead    = ls__rows(x),
                      .n       = ls__cols(x),
                      .w       = c->x[1],
                      .b       = c->node->ins > 2 ? c->x[2] : NULL,
                      .scratch = c->scratch};
}

static inline size_t ls__norm_workspace(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    const bool   wide    = n->in[0]->type == LS_BF16 || n->out[0]->type == LS_BF16;
    const size_t buffers = wide ? ls__row_buffers(3, ls__cols(n->in[0]), threads) : 0;
    return backward ? ls__norm_scratch(ls__rows(n->in[0]), ls__cols(n->in[0]), rows, shards) + buffers : buffers;
}

/* Descriptor members with one value in both ops; forward, backward and scratch are functions of the op's file. */
#define LS_NORM_OP                                                                                                     \
    .outs = 2, .either = 1u << 0, .saves = LS_SAVES_IN(0) | LS_SAVES_IN(1) | LS_SAVES_OUT(1),                          \
    .inplace_backward = true, .recompute = true, .defers = true, .forward = {[LS_CPU] = forward},                      \
    .backward = {[LS_CPU] = backward}

#endif
