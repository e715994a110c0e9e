/* SPDX-License-Identifier: Apache-2.0
 *
 * Rectified linear unit with an upper bound (Krizhevsky 2010).      x: B x ...  ->  y: B x ...
 *
 * Forward     y = min(max(x, 0), 6)     NaN stays NaN
 * Backward    dx = dy where 0 < y < 6   reads y alone, so forward may overwrite x
 */
#include "core/ops/unary.h"

static void value(const void *args, int64_t n, const float *x, const float *unused, float *y)
{
    (void)args;
    (void)unused;
    V_MAP(n, V_PUT(y, v_min(v_set(6), v_max(v_set(0), V_GET(x)))));
}

static void gradient(const void *args, int64_t n, const float *dy, const float *y, float *dx)
{
    (void)args;
    V_MAP(n, V_PUT(dx, v_select((V_GET(y) <= 0.0f) | (V_GET(y) >= 6.0f), v_set(0), V_GET(dy))));
}

static void forward(const ls_call *c) { ls__unary_forward(c, value); }

static void backward(const ls_call *c) { ls__unary_backward(c, gradient, ls__y(c, 0)); }

LS_OP(relu6) = {
    LS_UNARY_OP,     .name = "relu6",         .args_bytes = sizeof(ls_unary_args), .saves = LS_SAVES_OUT(0),
    .inplace = true, .infer = ls__infer_same, .clamp = (const float[]){0, 6},
};
