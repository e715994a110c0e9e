/* SPDX-License-Identifier: Apache-2.0
 *
 * Softmax over the last dim (Bridle 1990).      x: B x ... x V  ->  y: B x ... x V
 *
 * Forward     y_i = exp(x_i - max x) / sum_j exp(x_j - max x)        subtracting the largest keeps exp from overflowing
 * Backward    dx_i = y_i (dy_i - sum_j dy_j y_j)                     reads y alone, so forward may overwrite x
 */
#include "core/ops/rowwise.h"

static void value(int64_t v, const float *x, float *y)
{
    const float max = ls__vmax(v, x);
    ls__row_exp(v, x, max, y);
    const float scale = 1 / ls__vsum(v, y);
    V_MAP(v, V_PUT(y, V_GET(y) * scale));
}

static void gradient(int64_t v, const float *dy, const float *y, float *dx, bool add)
{
    const float dot = ls__row_dot(v, dy, y);
    if (add)
        V_MAP(v, V_PUT(dx, V_GET(dx) + V_GET(y) * (V_GET(dy) - dot)));
    else
        V_MAP(v, V_PUT(dx, V_GET(y) * (V_GET(dy) - dot)));
}

static void forward(const ls_call *c) { ls__rowwise_forward(c, value); }

static void backward(const ls_call *c) { ls__rowwise_backward(c, gradient); }

LS_OP(softmax) = {LS_ROWWISE_OP, .name = "softmax"};
