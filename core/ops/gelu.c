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

static const float root_half = 0.70710678f, root_2_over_pi = 0.79788456f, cubic = 0.044715f,
                   root_1_over_2pi = 0.39894228f;

V_INLINE vf tanh_of(vf x) { return v_tanh(root_2_over_pi * v_fma(cubic * x, x * x, x)); }

V_INLINE vf derivative_by_tanh(vf x)
{
    vf t = tanh_of(x), du = root_2_over_pi * (1.0f + 3 * cubic * (x * x));
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * du;
}

V_INLINE vf derivative_by_erf(vf x)
{
    return 0.5f * (1.0f + v_erf(x * root_half)) + x * v_exp(-0.5f * (x * x)) * root_1_over_2pi;
}

static void value(const void *args, int64_t n, const float *x, const float *unused, float *y)
{
    (void)unused;
    const bool approximate = ((const ls_gelu_args *)args)->tanh;
    if (approximate)
        V_MAP(n, V_PUT(y, 0.5f * V_GET(x) * (1.0f + tanh_of(V_GET(x)))));
    else
        V_MAP(n, V_PUT(y, 0.5f * V_GET(x) * (1.0f + v_erf(V_GET(x) * root_half))));
}

static void gradient(const void *args, int64_t n, const float *dy, const float *x, float *dx)
{
    const bool approximate = ((const ls_gelu_args *)args)->tanh;
    if (approximate)
        V_MAP(n, V_PUT(dx, V_GET(dy) * derivative_by_tanh(V_GET(x))));
    else
        V_MAP(n, V_PUT(dx, V_GET(dy) * derivative_by_erf(V_GET(x))));
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
