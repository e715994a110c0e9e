/* SPDX-License-Identifier: Apache-2.0
 *
 * Sum over one dim, or over all of a sample.      x: B x ...  ->  y: B x ... without that dim, or B
 *
 * Forward     y = sum_i x_i
 * Backward    dx_i = dy
 */
#include "core/ops/reduce.h"

static void forward(const ls_call *c) { ls__reduce_forward(c, 1); }

static void backward(const ls_call *c) { ls__reduce_backward(c, 1); }

static double flops(const ls_node *n) { return (double)ls__numel(n->in[0]); }

LS_OP(sum) = {
    .name       = "sum",
    .args_bytes = sizeof(ls_reduce_args),
    .ins        = 1,
    .outs       = 1,
    .fields     = LS_FIELDS(LS_FIELD(INT, ls_reduce_args, axis), LS_FIELD(BOOL, ls_reduce_args, keep)),
    .infer      = ls__infer_reduce,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
    .flops      = flops,
};
