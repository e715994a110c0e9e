/* SPDX-License-Identifier: Apache-2.0
 *
 * Absolute error.      x: B x ...   target: the same   ->  loss: B   weight: B
 *
 * Forward     loss = sum over the elements of a sample of |x - target|
 *             The weight of a sample is its number of elements, so that the mean over all weights is the mean absolute
 *             error.
 * Backward    dx = sign(x - target) dloss; 0 where x = target
 */
#include "core/ops/regression_loss.h"

static void absolute(const void *args, int64_t n, const float *x, const float *t, float *y)
{
    (void)args;
    V_MAP(n, V_PUT(y, v_abs(V_GET(x) - V_GET(t))));
}

static void gradient(const void *args, int64_t n, const float *x, const float *t, float *dx)
{
    const float dloss = *(const float *)args;
    V_MAP(n, vf d = V_GET(x) - V_GET(t);
          V_PUT(dx, v_select(d > 0, v_set(dloss), v_select(d < 0, v_set(-dloss), v_set(0)))));
}

static void forward(const ls_call *c) { ls__regression_forward(c, absolute); }

static void backward(const ls_call *c) { ls__regression_backward(c, gradient); }

static double flops(const ls_node *n) { return 3.0 * (double)ls__numel(n->in[0]); }

LS_OP(mae) = {
    .name       = "mae",
    .args_bytes = sizeof(ls_mae_args),
    .ins        = 2,
    .outs       = 2,
    .saves      = LS_SAVES_IN(0) | LS_SAVES_IN(1),
    .no_grad    = 1u << 1,
    .infer      = ls__regression_infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
    .flops      = flops,
};
