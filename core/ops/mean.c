/* SPDX-License-Identifier: Apache-2.0
 *
 * Mean over one dim, or over all of a sample.      x: B x ...  ->  y: B x ... without that dim, or B
 *
 * Forward     y = 1/n sum_i x_i
 * Backward    dx_i = dy / n
 */
#include "core/ops/reduce.h"

static void forward(const ls_call *c) { ls__reduce_forward(c, 1 / (float)ls__reduction_of(c->node).n); }

static void backward(const ls_call *c) { ls__reduce_backward(c, 1 / (float)ls__reduction_of(c->node).n); }

static double flops(const ls_node *n) { return (double)ls__numel(n->in[0]); }

LS_OP(mean) = {
    .name       = "mean",
    .args_bytes = sizeof(ls_reduce_args),
    .ins        = 1,
    .outs       = 1,
    .fields     = LS_FIELDS(LS_FIELD(INT, ls_reduce_args, axis), LS_FIELD(BOOL, ls_reduce_args, keep)),
    .infer      = ls__infer_reduce,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
    .flops      = flops,
};
