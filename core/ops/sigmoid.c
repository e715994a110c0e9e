/* SPDX-License-Identifier: Apache-2.0
 *
 * Logistic function.      x: B x ...  ->  y: B x ...
 *
 * Forward     y = 1 / (1 + exp(-x))
 * Backward    dx = dy y (1 - y)         reads y alone, so forward may overwrite x
 */
#include "core/ops/unary.h"

static void value(const void *args, int64_t n, const float *x, const float *unused, float *y)
{
    (void)args;
    (void)unused;
    V_MAP(n, V_PUT(y, v_sigmoid(V_GET(x))));
}

static void gradient(const void *args, int64_t n, const float *dy, const float *y, float *dx)
{
    (void)args;
    V_MAP(n, V_PUT(dx, V_GET(dy) * (V_GET(y) * (1.0f - V_GET(y)))));
}

static void forward(const ls_call *c) { ls__unary_forward(c, value); }

static void backward(const ls_call *c) { ls__unary_backward(c, gradient, ls__y(c, 0)); }

static double flops(const ls_node *n) { return 12.0 * (double)ls__numel(n->in[0]); }

LS_OP(sigmoid) = {
    LS_UNARY_OP,
    .name       = "sigmoid",
    .args_bytes = sizeof(ls_unary_args),
    .saves      = LS_SAVES_OUT(0),
    .inplace    = true,
    .infer      = ls__infer_same,
    .flops      = flops,
};
