/* SPDX-License-Identifier: Apache-2.0
 *
 * Hyperbolic tangent.      x: B x ...  ->  y: B x ...
 *
 * Forward     y = tanh x
 * Backward    dx = dy (1 - y^2)         reads y alone, so forward may overwrite x
 */
#include "core/ops/unary.h"

static void value(const void *args, int64_t n, const float *x, const float *unused, float *y)
{
    (void)args;
    (void)unused;
    V_MAP(n, V_PUT(y, v_tanh(V_GET(x))));
}

static void gradient(const void *args, int64_t n, const float *dy, const float *y, float *dx)
{
    (void)args;
    V_MAP(n, V_PUT(dx, V_GET(dy) * (1.0f - V_GET(y) * V_GET(y))));
}

static void forward(const ls_call *c) { ls__unary_forward(c, value); }

static void backward(const ls_call *c) { ls__unary_backward(c, gradient, ls__y(c, 0)); }

static double flops(const ls_node *n) { return 12.0 * (double)ls__numel(n->in[0]); }

LS_OP(tanh) = {
    LS_UNARY_OP,
    .name       = "tanh",
    .args_bytes = sizeof(ls_unary_args),
    .saves      = LS_SAVES_OUT(0),
    .inplace    = true,
    .infer      = ls__infer_same,
    .flops      = flops,
};
