/* SPDX-License-Identifier: Apache-2.0
 *
 * Hard swish (Howard 2019).      x: B x ...  ->  y: B x ...
 *
 * Forward     y = x min(max(x + 3, 0), 6) / 6
 * Backward    dx = 0 where x <= -3,  dy (x / 3 + 1/2) where -3 < x < 3,  else dy
 */
#include "core/ops/unary.h"

static void value(const void *args, int64_t n, const float *x, const float *unused, float *y)
{
    (void)args;
    (void)unused;
    V_MAP(n, V_PUT(y, V_GET(x) * v_min(v_set(6), v_max(v_set(0), V_GET(x) + 3.0f)) / 6.0f));
}

static void gradient(const void *args, int64_t n, const float *dy, const float *x, float *dx)
{
    (void)args;
    V_MAP(n, const vf at = V_GET(x); const vf slope = v_select(at >= 3.0f, v_set(1), at / 3.0f + 0.5f);
          V_PUT(dx, v_select(at <= -3.0f, v_set(0), V_GET(dy) * slope)));
}

static void forward(const ls_call *c) { ls__unary_forward(c, value); }

static void backward(const ls_call *c) { ls__unary_backward(c, gradient, ls__x(c, 0)); }

static double flops(const ls_node *n) { return 5.0 * (double)ls__numel(n->in[0]); }

LS_OP(hardswish) = {
    LS_UNARY_OP,
    .name       = "hardswish",
    .args_bytes = sizeof(ls_unary_args),
    .saves      = LS_SAVES_IN(0),
    .recompute  = true,
    .infer      = ls__infer_same,
    .flops      = flops,
};
