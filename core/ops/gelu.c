/* SPDX-License-Identifier: Apache-2.0
 *
 * Gaussian error linear unit (Hendrycks 2016).      x: B x ...  ->  y: B x ...
 *
 * Forward     y = x/2 (1 + erf(x / sqrt 2))
 *             or, with the tanh approximation,    y = x/2 (1 + tanh u),  u = sqrt(2/pi) (x + 0.044715 x^3)
 * Backward    dx = dy (1/2 (1 + erf(x / sqrt 2)) + x exp(-x^2 / 2) / sqrt(2 pi))
 *             or                                  dx = dy (1/2 (1 + t) + x/2 (1 - t^2) u'),  t = tanh u
 */
#include "core/ops/unary.h"

static void value(const void *args, int64_t n, const float *x, const float *unused, float *y)
{
    (void)unused;
    const bool approximate = ((const ls_gelu_args *)args)->tanh;
    if (approximate)
        V_MAP(n, V_PUT(y, v_gelu_tanh(V_GET(x))));
    else
        V_MAP(n, V_PUT(y, v_gelu(V_GET(x))));
}

static void gradient(const void *args, int64_t n, const float *dy, const float *x, float *dx)
{
    const bool approximate = ((const ls_gelu_args *)args)->tanh;
    if (approximate)
        V_MAP(n, V_PUT(dx, V_GET(dy) * v_gelu_tanh_slope(V_GET(x))));
    else
        V_MAP(n, V_PUT(dx, V_GET(dy) * v_gelu_slope(V_GET(x))));
}

static void forward(const ls_call *c) { ls__unary_forward(c, value); }

static void backward(const ls_call *c) { ls__unary_backward(c, gradient, ls__x(c, 0)); }

static double flops(const ls_node *n) { return 16.0 * (double)ls__numel(n->in[0]); }

LS_OP(gelu) = {
    LS_UNARY_OP,
    .name       = "gelu",
    .args_bytes = sizeof(ls_gelu_args),
    .saves      = LS_SAVES_IN(0),
    .recompute  = true,
    .fields     = LS_FIELDS(LS_FIELD(BOOL, ls_gelu_args, tanh)),
    .infer      = ls__infer_same,
    .flops      = flops,
};
