/* SPDX-License-Identifier: Apache-2.0
 *
 * RMSProp (Tieleman and Hinton 2012), also centered (Graves 2013) and with momentum, as torch.optim.RMSprop.
 *
 *     s = alpha s + (1 - alpha) g^2                      p -= lr g / (sqrt(s) + eps)
 *     centered   a += (1 - alpha) (g - a)                sqrt(s - a^2) replaces sqrt(s)
 *     momentum   m  = momentum m + g / (...)             p -= lr m
 *
 * with g = clip(grad_scale * gradient) + weight_decay p.  Deviation from PyTorch: a variance s - a^2 that
 * rounds to below zero counts as zero, whereas PyTorch computes NaN as its square root.
 */
#include "core/optim/optim_rule.h"

/* s0: mean square; s1: mean (centered); s2: momentum buffer (has_momentum). */
static inline __attribute__((always_inline)) void rmsprop_rows(const ls_optim_coef *c, int64_t n, float *restrict p,
                                                               const float *restrict grad, float *restrict s0,
                                                               float *restrict s1, float *restrict s2,
                                                               const bool centered, const bool has_momentum)
{
    const ls_optim_coef k = *c;
    LS_OPTIM_WHOLE_ROWS(n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = ls__optim_gradient(&k, grad[i], p[i]);
        float s = k.square_decay * s0[i] + k.square_weight * g * g;
        s0[i]   = s;
        if (centered) {
            float a = s1[i] + k.square_weight * (g - s1[i]);
            s1[i]   = a;
            s -= a * a;
            s = s < 0.0f ? 0.0f : s;
        }
        float m = g / (sqrtf(s) + k.eps);
        if (has_momentum) {
            m += k.momentum * s2[i];
            s2[i] = m;
        }
        p[i] -= k.lr * m;
    }
}

LS_OPTIM_RULE(plain_rule) { rmsprop_rows(c, n, p, grad, s0, s1, s2, false, false); }
LS_OPTIM_RULE(centered_rule) { rmsprop_rows(c, n, p, grad, s0, s1, s2, true, false); }
LS_OPTIM_RULE(momentum_rule) { rmsprop_rows(c, n, p, grad, s0, s2, s1, false, true); }
LS_OPTIM_RULE(centered_momentum_rule) { rmsprop_rows(c, n, p, grad, s0, s1, s2, true, true); }

static void apply(const ls_optim_coef *c, const ls_optim_arrays *s)
{
    static ls_optim_rule *const rules[2][2] = {{plain_rule, momentum_rule}, {centered_rule, centered_momentum_rule}};
    ls__optim_run(rules[c->centered][c->has_momentum], c, s);
}

static int states(const ls_optim *o, const char *name[3])
{
    int n     = 0;
    name[n++] = "square_avg";
    if (o->centered) name[n++] = "grad_avg";
    if (o->momentum > 0) name[n++] = "momentum_buffer";
    return n;
}

static void coefficients(const ls_optim *o, const ls_optim_step *s, ls_optim_coef *c)
{
    (void)s;
    const double alpha = ls__decimal(o->alpha);
    c->momentum        = (float)ls__decimal(o->momentum);
    c->square_decay    = (float)alpha;
    c->square_weight   = (float)(1 - alpha);
    c->centered        = o->centered;
    c->has_momentum    = o->momentum > 0;
}

static const ls_optim_setting settings[] = {LS_OPTIM_SETTING(momentum, .high = 1, .below = true),
                                            LS_OPTIM_SETTING(alpha, .high = 1, .below = true),
                                            LS_OPTIM_SETTING(eps, .high = INFINITY),
                                            LS_OPTIM_SETTING(centered, .flag = true),
                                            {0}};

LS_OPTIM(rmsprop) = {
    .defaults = {LS__RMSPROP}, .settings = settings, .states = states, .coefficients = coefficients, .apply = apply};
