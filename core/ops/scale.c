/* SPDX-License-Identifier: Apache-2.0
 *
 * A factor and a term for all elements.      x: B x ...  ->  y: B x ...
 *
 * Forward     y = factor x + term
 * Backward    dx = factor dy
 */
#include "core/cpu/vector/elementwise.h"
#include "core/ops/infer.h"

static ls_status infer(ls_node *n)
{
    ls_scale_args *a = n->args;
    if (a->factor == 0) a->factor = 1;
    return ls__infer_same(n);
}

static void value(const void *args, int64_t n, const float *x, const float *unused, float *y)
{
    (void)unused;
    const ls_scale_args *a = args;
    V_MAP(n, V_PUT(y, V_GET(x) * a->factor + a->term));
}

static void gradient(const void *args, int64_t n, const float *dy, const float *unused, float *dx)
{
    const ls_scale_args *a = args;
    (void)unused;
    V_MAP(n, V_PUT(dx, V_GET(dy) * a->factor));
}

static void forward(const ls_call *c)
{
    ls__map(value, c->args, c->rows * ls__numel(c->node->in[0]), c->x[0], NULL, c->y[0], false);
}

static void backward(const ls_call *c)
{
    ls__map(gradient, c->args, c->rows * ls__numel(c->node->in[0]), c->dy[0], c->x[0], c->dx[0], c->add[0]);
}

LS_OP(scale) = {
    .name             = "scale",
    .args_bytes       = sizeof(ls_scale_args),
    .ins              = 1,
    .outs             = 1,
    .saves            = 0,
    .inplace          = true,
    .inplace_backward = true,
    .fields           = LS_FIELDS(LS_FIELD(FLOAT, ls_scale_args, factor), LS_FIELD(FLOAT, ls_scale_args, term)),
    .infer            = infer,
    .forward          = {[LS_CPU] = forward},
    .backward         = {[LS_CPU] = backward},
};
