/* SPDX-License-Identifier: Apache-2.0
 *
 * Stochastic gradient descent: plain, with momentum (Polyak 1964), and with Nesterov momentum (Nesterov 1983, in the
 * form of Sutskever 2013), as torch.optim.SGD without momentum, with momentum, and with nesterov=True; and with a rate
 * for each parameter that depends on its norm, for large batches (LARS, You 2017, as timm's Lars).
 *
 *     sgd        p -= lr g
 *     momentum   m  = momentum m + (1 - dampening) g      p -= lr m                     m = g in the first step
 *     nag        m  = momentum m + g                      p -= lr (g + momentum m)
 *     lars       m  = momentum m + r g                    p -= lr m
 *
 * with r = trust_coeff |p| / (|G| + weight_decay |p| + eps), G the scaled gradient, norms over one parameter, r = 1
 * without weight decay,
 *
 * with g = clip(grad_scale * gradient) + weight_decay p.
 */
#include "core/optim/optim_rule.h"

LS_OPTIM_RULE(sgd_rule)
{
    const ls_optim_coef k = *c;
    (void)s0, (void)s1, (void)s2;
    LS_OPTIM_WHOLE_ROWS(n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) p[i] -= k.lr * ls__optim_gradient(&k, grad[i], p[i]);
}

LS_OPTIM_RULE(momentum_rule)
{
    const ls_optim_coef k = *c;
    (void)s1, (void)s2;
    LS_OPTIM_WHOLE_ROWS(n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = ls__optim_gradient(&k, grad[i], p[i]);
        float m = k.momentum * s0[i] + k.grad_weight * g;
        s0[i]   = m;
        p[i] -= k.lr * m;
    }
}

LS_OPTIM_RULE(nag_rule)
{
    const ls_optim_coef k = *c;
    (void)s1, (void)s2;
    LS_OPTIM_WHOLE_ROWS(n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = ls__optim_gradient(&k, grad[i], p[i]);
        float m = k.momentum * s0[i] + g;
        s0[i]   = m;
        p[i] -= k.lr * (g + k.momentum * m);
    }
}

LS_OPTIM_RULE(lars_rule)
{
    const ls_optim_coef k = *c;
    (void)s1, (void)s2;
    LS_OPTIM_WHOLE_ROWS(n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float m = k.momentum * s0[i] + k.trust_ratio * ls__optim_gradient(&k, grad[i], p[i]);
        s0[i]   = m;
        p[i] -= k.lr * m;
    }
}

static void apply_sgd(const ls_optim_coef *c, const ls_optim_arrays *s) { ls__optim_run(sgd_rule, c, s); }
static void apply_momentum(const ls_optim_coef *c, const ls_optim_arrays *s) { ls__optim_run(momentum_rule, c, s); }
static void apply_nag(const ls_optim_coef *c, const ls_optim_arrays *s) { ls__optim_run(nag_rule, c, s); }

static void apply_lars(const ls_optim_coef *c, const ls_optim_arrays *s) { ls__optim_run(lars_rule, c, s); }

static int states(const ls_optim *o, const char *name[3])
{
    (void)o;
    name[0] = "momentum_buffer";
    return 1;
}

static void coefficients(const ls_optim *o, const ls_optim_step *s, ls_optim_coef *c)
{
    c->momentum    = (float)ls__decimal(o->momentum);
    c->trust_ratio = s->trust_ratio;
    /* As in PyTorch, the first gradient enters the buffer without dampening. */
    c->grad_weight = s->step == 0 ? 1.0f : (float)(1 - ls__decimal(o->dampening));
}

static const ls_optim_setting momentum_settings[] = {
    LS_OPTIM_SETTING(momentum, .high = 1, .below = true), LS_OPTIM_SETTING(dampening, .high = 1), {0}};
static const ls_optim_setting nag_settings[] = {LS_OPTIM_SETTING(momentum, .high = 1, .below = true), {0}};

static const ls_optim_setting lars_settings[] = {LS_OPTIM_SETTING(momentum, .high = 1, .below = true),
                                                 LS_OPTIM_SETTING(trust_coeff, .high = INFINITY),
                                                 LS_OPTIM_SETTING(eps, .high = INFINITY),
                                                 {0}};

LS_OPTIM(lars)     = {.defaults     = {LS__LARS},
                      .settings     = lars_settings,
                      .states       = states,
                      .coefficients = coefficients,
                      .apply        = apply_lars};
LS_OPTIM(sgd)      = {.defaults = {LS__SGD}, .apply = apply_sgd};
LS_OPTIM(momentum) = {.defaults     = {LS__MOMENTUM},
                      .settings     = momentum_settings,
                      .states       = states,
                      .coefficients = coefficients,
                      .apply        = apply_momentum};
LS_OPTIM(nag)      = {.defaults     = {LS__NAG},
                      .settings     = nag_settings,
                      .states       = states,
                      .coefficients = coefficients,
                      .apply        = apply_nag};
