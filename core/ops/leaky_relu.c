/* SPDX-License-Identifier: Apache-2.0
 *
 * Leaky rectified linear unit (Maas 2013).      x: B x ...  ->  y: B x ...
 *
 * Forward     y = x where x > 0, else slope x
 * Backward    dx = dy where y > 0, else slope dy      y has the sign of x because slope > 0
 */
#include "core/ops/unary.h"

static ls_status infer(ls_node *n)
{
    ls_leaky_relu_args *a = n->args;
    if (a->slope == 0) a->slope = 0.01f;
    LS_NODE_CHECK(n, a->slope > 0, "slope is %g, expected a positive number", (double)a->slope);
    return ls__infer_same(n);
}

static void value(const void *args, int64_t n, const float *x, const float *unused, float *y)
{
    (void)unused;
    const float slope = ((const ls_leaky_relu_args *)args)->slope;
    V_MAP(n, V_PUT(y, v_select(V_GET(x) > 0.0f, V_GET(x), V_GET(x) * slope)));
}

static void gradient(const void *args, int64_t n, const float *dy, const float *y, float *dx)
{
    const float slope = ((const ls_leaky_relu_args *)args)->slope;
    V_MAP(n, V_PUT(dx, v_select(V_GET(y) > 0.0f, V_GET(dy), V_GET(dy) * slope)));
}

static void forward(const ls_call *c) { ls__unary_forward(c, value); }

static void backward(const ls_call *c) { ls__unary_backward(c, gradient, ls__y(c, 0)); }

LS_OP(leaky_relu) = {
    LS_UNARY_OP,
    .name       = "leaky_relu",
    .args_bytes = sizeof(ls_leaky_relu_args),
    .saves      = LS_SAVES_OUT(0),
    .inplace    = true,
    .fields     = LS_FIELDS(LS_FIELD(FLOAT, ls_leaky_relu_args, slope)),
    .infer      = infer,
};
