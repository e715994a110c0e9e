/* SPDX-License-Identifier: Apache-2.0
 *
 * Sigmoid linear unit (Hendrycks 2016; Swish, Ramachandran 2017).      x: B x ...  ->  y: B x ...
 *
 * Forward     y = x s,  s = 1 / (1 + exp(-x))
 * Backward    dx = dy s (1 + x (1 - s))
 */
#include "core/cpu/vector/elementwise.h"
#include "core/ops/infer.h"

static void value(const void *args, int64_t n, const float *x, const float *unused, float *y)
{
    (void)args, (void)unused;
    V_MAP(n, V_PUT(y, v_silu(V_GET(x))));
}

static void gradient(const void *args, int64_t n, const float *dy, const float *x, float *dx)
{
    (void)args;
    V_MAP(n, V_PUT(dx, V_GET(dy) * v_silu_slope(V_GET(x))));
}

static void forward(const ls_call *c)
{
    ls__map(value, NULL, c->rows * ls__numel(c->node->in[0]), c->x[0], NULL, c->y[0], false);
}

static void backward(const ls_call *c)
{
    ls__map(gradient, NULL, c->rows * ls__numel(c->node->in[0]), c->dy[0], c->x[0], c->dx[0], c->add[0]);
}

static double flops(const ls_node *n) { return 10.0 * (double)ls__numel(n->in[0]); }

LS_OP(silu) = {
    .name             = "silu",
    .args_bytes       = sizeof(ls_unary_args),
    .ins              = 1,
    .outs             = 1,
    .saves            = LS_SAVES_IN(0),
    .inplace_backward = true,
    .again            = true,
    .infer            = ls__infer_same,
    .forward          = {[LS_CPU] = forward},
    .backward         = {[LS_CPU] = backward},
    .flops            = flops,
};
