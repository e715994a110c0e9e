/* SPDX-License-Identifier: Apache-2.0
 *
 * Rectified linear unit (Nair 2010).      x: B x ...  ->  y: B x ...
 *
 * Forward     y = max(x, 0)             NaN stays NaN, so that trouble is seen
 * Backward    dx = dy where y > 0       needs y alone, so x may be overwritten
 */
#include "core/cpu/vector/elementwise.h"
#include "core/ops/infer.h"

static void value(const void *args, int64_t n, const float *x, const float *unused, float *y)
{
    (void)args, (void)unused;
    V_MAP(n, V_PUT(y, v_max(v_set(0), V_GET(x))));
}

static void gradient(const void *args, int64_t n, const float *dy, const float *y, float *dx)
{
    (void)args;
    V_MAP(n, V_PUT(dx, v_select(V_GET(y) <= 0.0f, v_set(0), V_GET(dy))));
}

static void forward(const ls_call *c)
{
    ls__map(value, NULL, c->rows * ls__numel(c->node->in[0]), c->x[0], NULL, c->y[0], false);
}

static void backward(const ls_call *c)
{
    ls__map(gradient, NULL, c->rows * ls__numel(c->node->in[0]), c->dy[0], c->y[0], c->dx[0], c->add[0]);
}

LS_OP(relu) = {
    .name             = "relu",
    .args_bytes       = sizeof(ls_unary_args),
    .ins              = 1,
    .outs             = 1,
    .saves            = LS_SAVES_OUT(0),
    .inplace          = true,
    .inplace_backward = true,
    .infer            = ls__infer_same,
    .forward          = {[LS_CPU] = forward},
    .backward         = {[LS_CPU] = backward},
};
