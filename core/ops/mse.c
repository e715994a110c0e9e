/* SPDX-License-Identifier: Apache-2.0
 *
 * Squared error.      x: B x ...   target: B x ...   ->  loss: B   weight: B
 *
 * Forward     loss = sum over the elements of a sample of (x - target)^2
 *             weight = number of elements of a sample, so that sum(loss) / sum(weight) is the mean squared error
 * Backward    dx = 2 (x - target) dloss
 */
#include "core/ops/regression_loss.h"

static void square(const void *args, int64_t n, const float *x, const float *t, float *y)
{
    (void)args;
    V_MAP(n, vf d = V_GET(x) - V_GET(t); V_PUT(y, d * d));
}

static void gradient(const void *args, int64_t n, const float *x, const float *t, float *dx)
{
    const float twice = 2 * *(const float *)args;
    V_MAP(n, V_PUT(dx, (V_GET(x) - V_GET(t)) * twice));
}

static void forward(const ls_call *c) { ls__regression_forward(c, square); }

static void backward(const ls_call *c) { ls__regression_backward(c, gradient); }

static double flops(const ls_node *n) { return 3.0 * (double)ls__numel(n->in[0]); }

LS_OP(mse) = {
    .name       = "mse",
    .args_bytes = sizeof(ls_mse_args),
    .ins        = 2,
    .outs       = 2,
    .saves      = LS_SAVES_IN(0) | LS_SAVES_IN(1),
    .no_grad    = 1u << 1,
    .infer      = ls__regression_infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
    .flops      = flops,
};
