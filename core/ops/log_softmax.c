/* SPDX-License-Identifier: Apache-2.0
 *
 * Logarithm of the softmax over the last dim.      x: B x ... x V  ->  y: B x ... x V
 *
 * Forward     y_i = (x_i - max x) - log sum_j exp(x_j - max x)
 * Backward    dx_i = dy_i - exp(y_i) sum_j dy_j                      reads y alone, so forward may overwrite x
 */
#include "core/ops/rowwise.h"

static void value(int64_t v, const float *x, float *y)
{
    const float max     = ls__vmax(v, x);
    float       log_sum = ls__row_exp_sum(v, x, max);
    ls__vlog(1, &log_sum, &log_sum);
    V_MAP(v, V_PUT(y, (V_GET(x) - max) - log_sum));
}

static void gradient(int64_t v, const float *dy, const float *y, float *dx, bool add)
{
    const float sum = ls__vsum(v, dy);
    if (add)
        V_MAP(v, V_PUT(dx, V_GET(dx) + (V_GET(dy) - v_exp(V_GET(y)) * sum)));
    else
        V_MAP(v, V_PUT(dx, V_GET(dy) - v_exp(V_GET(y)) * sum));
}

static void forward(const ls_call *c) { ls__rowwise_forward(c, value); }

static void backward(const ls_call *c) { ls__rowwise_backward(c, gradient); }

LS_OP(log_softmax) = {LS_ROWWISE_OP, .name = "log_softmax"};
