/* SPDX-License-Identifier: Apache-2.0
 *
 * Activations and other functions of one element: y[i] = f(x[i]), dx[i] = dy[i] f'(x[i]).
 *
 * The file of such an op defines the loops value() and gradient(), calls the functions below with them, and starts its
 * descriptor with LS_UNARY_OP.
 */
#ifndef LS_CORE_OPS_UNARY_H
#define LS_CORE_OPS_UNARY_H

#include "core/cpu/vector/elementwise.h"
#include "core/ops/infer.h"

/* Calls value(args, n, x, NULL, y) for tiles of n elements. */
static inline void ls__unary_forward(const ls_call *c, ls__elementwise_fn *value)
{
    ls__map(value, c->args, c->rows * ls__numel(c->node->in[0]), ls__x(c, 0), (ls_array){0}, ls__y(c, 0), false);
}

/* Calls gradient(args, n, dy, saved, dx) for tiles of n elements; `saved` is ls__x(c, 0) or ls__y(c, 0), as `saves` of
 * the descriptor declares. */
static inline void ls__unary_backward(const ls_call *c, ls__elementwise_fn *gradient, ls_array saved)
{
    ls__map(gradient, c->args, c->rows * ls__numel(c->node->in[0]), ls__dy(c, 0), saved, ls__dx(c, 0), c->add[0]);
}

/* Descriptor members with one value in all of these ops; forward and backward are functions of the op's file. */
#define LS_UNARY_OP                                                                                                    \
    .ins = 1, .outs = 1, .either = 1u << 0, .inplace_backward = true, .value = value, .gradient = gradient,            \
    .forward = {[LS_CPU] = forward}, .backward = {[LS_CPU] = backward}

#endif
