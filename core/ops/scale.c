/* SPDX-License-Identifier: Apache-2.0
 *
 * Multiplication by a constant and addition of a constant.      x: B x ...  ->  y: B x ...
 *
 * Forward     y = factor x + term
 * Backward    dx = factor dy
 */
#include "core/ops/unary.h"

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

static void forward(const ls_call *c) { ls__unary_forward(c, value); }

static void backward(const ls_call *c) { ls__unary_backward(c, gradient, (ls_array){0}); }

LS_OP(scale) = {
    LS_UNARY_OP,
    .name       = "scale",
    .args_bytes = sizeof(ls_scale_args),
    .inplace    = true,
    .fields     = LS_FIELDS(LS_FIELD(FLOAT, ls_scale_args, factor), LS_FIELD(FLOAT, ls_scale_args, term)),
    .infer      = infer,
};
