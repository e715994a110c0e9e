/* SPDX-License-Identifier: Apache-2.0
 *
 * Softmax over the last dim (Bridle 1990).      x: B x ... x V  ->  y: B x ... x V
 *
 * Forward     y_i = exp(x_i - max x) / sum_j exp(x_j - max x)        subtracting the largest keeps exp from overflowing
 * Backward    dx_i = y_i (dy_i - sum_j dy_j y_j)                     needs y alone, so x may be overwritten
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
        float       *y = (float *)c->y[0] + r * v, max = ls__vmax(v, x);
        ls__row_exp(v, x, max, y);
        float scale = 1 / ls__vsum(v, y);
        V_MAP(v, V_PUT(y, V_GET(y) * scale));
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
        float       *dx = c->dx[0] + r * v, dot = ls__row_dot(v, dy, y);
        if (add)
            V_MAP(v, V_PUT(dx, V_GET(dx) + V_GET(y) * (V_GET(dy) - dot)));
        else
            V_MAP(v, V_PUT(dx, V_GET(y) * (V_GET(dy) - dot)));
    }
}

static double flops(const ls_node *n) { return 5.0 * (double)ls__numel(n->in[0]); }

LS_OP(softmax) = {
    .name             = "softmax",
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
