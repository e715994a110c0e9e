/* SPDX-License-Identifier: Apache-2.0
 *
 * Gated linear unit with GELU gate (Shazeer 2020), with the operands of core/ops/gated.h.
 *
 * Forward     z = gelu(x) y      gelu as in core/ops/gelu.c: by erf, or with `tanh` its approximation
 * Backward    dx = dz y gelu'(x),  dy = dz gelu(x)
 */
#include "core/ops/gated.h"

static bool approximate(const void *args) { return ((const ls_geglu_args *)args)->tanh; }

static void value(const void *args, int64_t n, const float *x, const float *y, float *z)
{
    if (approximate(args))
        V_MAP(n, V_PUT(z, v_gelu_tanh(V_GET(x)) * V_GET(y)));
    else
        V_MAP(n, V_PUT(z, v_gelu(V_GET(x)) * V_GET(y)));
}

static void gradient(const void *args, int64_t n, const float *dz, const float *x, const float *y, float *dx,
                     bool add_x, float *dy, bool add_y)
{
    if (approximate(args))
        LS_GATED_GRADIENT(v_gelu_tanh, v_gelu_tanh_slope);
    else
        LS_GATED_GRADIENT(v_gelu, v_gelu_slope);
}

static void forward(const ls_call *c) { ls__gated_forward(c, value); }

static void backward(const ls_call *c) { ls__gated_backward(c, gradient); }

static double flops(const ls_node *n) { return 17.0 * (double)ls__numel(n->out[0]); }

LS_OP(geglu) = {
    LS_GATED_OP,
    .name       = "geglu",
    .args_bytes = sizeof(ls_geglu_args),
    .fields     = LS_FIELDS(LS_FIELD(BOOL, ls_geglu_args, tanh)),
};
