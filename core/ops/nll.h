/* SPDX-License-Identifier: Apache-2.0
 *
 * What cross_entropy and linear_cross_entropy share: one position's loss -(1 - e) log p_t - e/V sum_i log p_i and its
 * gradient (p_i - e/V - (1 - e) [i = t]) dloss, p = softmax(x), e the label smoothing.  A target out of range makes
 * them NaN. */
#ifndef LS_CORE_OPS_NLL_H
#define LS_CORE_OPS_NLL_H

#include <math.h>

#include "core/cpu/vector/softmax_rows.h"
#include "core/graph/graph.h"

/* What the loss needs of the v logits x, besides the sum of exp(x_i - max). */
typedef struct ls_nll {
    float max, mean, of_target; /* the mean only if e > 0; NaN for a target out of range */
} ls_nll;

static inline ls_nll ls__nll_look(float e, int64_t v, const float *x, int32_t t)
{
    return (ls_nll){.max       = ls__vmax(v, x),
                    .mean      = e > 0 ? ls__vsum(v, x) / (float)v : 0,
                    .of_target = t < 0 || t >= v ? NAN : x[t]};
}

static inline float ls__nll_loss(float e, const ls_nll *look, float sum)
{
    float log_sum;
    ls__vlog(1, &sum, &log_sum);
    float loss = log_sum - (1 - e) * (look->of_target - look->max);
    return e > 0 ? loss - e * (look->mean - look->max) : loss;
}

/* Of the n of v classes from `first` on: p has exp(x_i - max), and gets the gradient. */
static inline void ls__nll_gradient(float e, int64_t v, int64_t first, int64_t n, int32_t t, float inverse_sum,
                                    float dloss, float *p)
{
    float scale = t < 0 || t >= v ? NAN : inverse_sum * dloss, even = e / (float)v * dloss;
    V_MAP(n, V_PUT(p, V_GET(p) * scale - even));
    if (t >= first && t < first + n) p[t - first] -= (1 - e) * dloss;
}

#endif
