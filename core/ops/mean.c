/* SPDX-License-Identifier: Apache-2.0
 *
 * Mean over one dim, or over all elements of a sample.      x: B x ...  ->  y: B x ... without that dim, or B
 *
 * Forward     y = 1/n sum_i x_i
 * Backward    dx_i = dy / n
 */
#include "core/ops/reduce.h"

static void forward(const ls_call *c) { ls__reduce_forward(c, 1 / (float)ls__reduction_of(c->node).n); }

static void backward(const ls_call *c) { ls__reduce_backward(c, 1 / (float)ls__reduction_of(c->node).n); }

LS_OP(mean) = {LS_REDUCE_OP, .name = "mean"};
