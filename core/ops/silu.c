/* SPDX-License-Identifier: Apache-2.0
 *
 * Sigmoid linear unit (Hendrycks 2016; Swish: Ramachandran 2017).      x: B x ...  ->  y: B x ...
 *
 * Forward     y = x s,  s = 1 / (1 + exp(-x))
 * Backward    dx = dy s (1 + x (1 - s))
 */
#include "core/ops/unary.h"

static void value(const void *args, int64_t n, const float *x, const float *unused, float *y)
{
    (void)args;
    (void)unused;
    V_MAP(n, V_PUT(y, v_silu(V_GET(x))));
}

static void gradient(const void *args, int64_t n, const float *dy, const float *x, float *dx)
{
    (void)args;
    V_MAP(n, V_PUT(dx, V_GET(dy) * v_silu_slope(V_GET(x))));
}

static void forward(const ls_call *c) { ls__unary_forward(c, value); }

static void backward(const ls_call *c) { ls__unary_backward(c, gradient, ls__x(c, 0)); }

static double flops(const ls_node *n) { return 10.0 * (double)ls__numel(n->in[0]); }

LS_OP(silu) = {
    LS_UNARY_OP,
    .name       = "silu",
    .args_bytes = sizeof(ls_unary_args),
    .saves      = LS_SAVES_IN(0),
    .recompute  = true,
    .infer      = ls__infer_same,
    .flops      = flops,
};
