/* SPDX-License-Identifier: Apache-2.0
 *
 * Negative log-likelihood of one position, for cross_entropy and linear_cross_entropy.  With logits x of V classes,
 * p = softmax(x), target t and label smoothing e:
 *
 * Forward     loss = -(1 - e) log p_t - e/V sum_i log p_i
 * Backward    dx_i = (p_i - e/V - (1 - e) [i = t]) dloss
 *
 * A target out of range makes both NaN.
 */
#ifndef LS_CORE_OPS_NLL_H
#define LS_CORE_OPS_NLL_H

#include <math.h>

#include "core/cpu/vector/softmax_rows.h"
#include "core/graph/graph.h"

/* Terms of the loss that come from the logits, besides the sum of exp(x_i - max). */
typedef struct ls_nll {
    float max;    /* largest logit                                 */
    float mean;   /* mean of the logits if e > 0, else 0           */
    float target; /* logit of the target; NaN for one out of range */
} ls_nll;

static inline ls_nll ls__nll_terms(float e, int64_t v, const float *x, int32_t t)
{
    return (ls_nll){
        .max = ls__vmax(v, x), .mean = e > 0 ? ls__vsum(v, x) / (float)v : 0, .target = t < 0 || t >= v ? NAN : x[t]};
}

/* Returns the loss; `sum` is the sum of exp(x_i - max). */
static inline float ls__nll_loss(float e, const ls_nll *terms, float sum)
{
    float log_sum;
    ls__vlog(1, &sum, &log_sum);
    float loss = log_sum - (1 - e) * (terms->target - terms->max);
    return e > 0 ? loss - e * (terms->mean - terms->max) : loss;
}

/* Replaces p_i = exp(x_i - max) by dx_i, for n of the v classes, from class `first` on.  `inverse_sum` is 1 / sum of
 * exp(x_i - max). */
static inline void ls__nll_gradient(float e, int64_t v, int64_t first, int64_t n, int32_t t, float inverse_sum,
                                    float dloss, float *p)
{
    float scale = t < 0 || t >= v ? NAN : inverse_sum * dloss, smoothing = e / (float)v * dloss;
    V_MAP(n, V_PUT(p, V_GET(p) * scale - smoothing));
    if (t >= first && t < first + n) p[t - first] -= (1 - e) * dloss;
}

#endif
