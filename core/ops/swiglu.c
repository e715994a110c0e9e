/* SPDX-License-Identifier: Apache-2.0
 *
 * Gated linear unit with SiLU gate (Shazeer 2020), with the operands of core/ops/gated.h.
 *
 * Forward     z = silu(x) y,  silu(x) = x s,  s = 1 / (1 + exp(-x))
 * Backward    dx = dz y s (1 + x (1 - s)),  dy = dz silu(x)
 */
#include "core/ops/gated.h"

static void value(const void *args, int64_t n, const float *x, const float *y, float *z)
{
    (void)args;
    V_MAP(n, V_PUT(z, v_silu(V_GET(x)) * V_GET(y)));
}

static void gradient(const void *args, int64_t n, const float *dz, const float *x, const float *y, float *dx,
                     bool add_x, float *dy, bool add_y)
{
    (void)args;
    LS_GATED_GRADIENT(v_silu, v_silu_slope);
}

static void forward(const ls_call *c) { ls__gated_forward(c, value); }

static void backward(const ls_call *c) { ls__gated_backward(c, gradient); }

static double flops(const ls_node *n) { return 11.0 * (double)ls__numel(n->out[0]); }

LS_OP(swiglu) = {LS_GATED_OP, .name = "swiglu", .args_bytes = sizeof(ls_binary_args)};
