/* SPDX-License-Identifier: Apache-2.0
 *
 * Logarithm of the softmax over the last dim.      x: B x ... x V  ->  y: B x ... x V
 *
 * Forward     y_i = (x_i - max x) - log sum_j exp(x_j - max x)
 * Backward    dx_i = dy_i - exp(y_i) sum_j dy_j                      needs y alone, so x may be overwritten
 */
#include "core/cpu/vector/softmax_rows.h"
#include "core/ops/infer.h"

static void forward(const ls_call *c)
{
    const ls_tensor *t    = c->node->in[0];
    int64_t          rows = c->rows * ls__rows(t), v = ls__cols(t);
#pragma omp parallel for schedule(static) if (rows * v >= LS_ROWS_PARALLEL)
    for (int64_t r = 0; r < rows; r++) {
        const float *x = (const float *)c->x[0] + r * v;
        float       *y = (float *)c->y[0] + r * v, max = ls__vmax(v, x), log_sum = ls__row_exp_sum(v, x, max);
        ls__vlog(1, &log_sum, &log_sum);
        V_MAP(v, V_PUT(y, (V_GET(x) - max) - log_sum));
    }
}

static void backward(const ls_call *c)
{
    const ls_tensor *t    = c->node->in[0];
    int64_t          rows = c->rows * ls__rows(t), v = ls__cols(t);
    bool             add = c->add[0];
#pragma omp parallel for schedule(static) if (rows * v >= LS_ROWS_PARALLEL)
    for (int64_t r = 0; r < rows; r++) {
        const float *y = (const float *)c->y[0] + r * v, *dy = c->dy[0] + r * v;
        float       *dx = c->dx[0] + r * v, sum = ls__vsum(v, dy);
        if (add)
            V_MAP(v, V_PUT(dx, V_GET(dx) + (V_GET(dy) - v_exp(V_GET(y)) * sum)));
        else
            V_MAP(v, V_PUT(dx, V_GET(dy) - v_exp(V_GET(y)) * sum));
    }
}

static double flops(const ls_node *n) { return 5.0 * (double)ls__numel(n->in[0]); }

LS_OP(log_softmax) = {
    .name             = "log_softmax",
    .args_bytes       = sizeof(ls_unary_args),
    .ins              = 1,
    .outs             = 1,
    .saves            = LS_SAVES_OUT(0),
    .inplace          = true,
    .inplace_backward = true,
    .infer            = ls__infer_same,
    .forward          = {[LS_CPU] = forward},
    .backward         = {[LS_CPU] = backward},
    .flops            = flops,
};
