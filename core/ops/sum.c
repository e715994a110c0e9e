/* SPDX-License-Identifier: Apache-2.0
 *
 * Sum over one dim, or over all elements of a sample.      x: B x ...  ->  y: B x ... without that dim, or B
 *
 * Forward     y = sum_i x_i
 * Backward    dx_i = dy
 */
#include "core/ops/reduce.h"

static void forward(const ls_call *c) { ls__reduce_forward(c, 1); }

static void backward(const ls_call *c) { ls__reduce_backward(c, 1); }

LS_OP(sum) = {LS_REDUCE_OP, .name = "sum"};
