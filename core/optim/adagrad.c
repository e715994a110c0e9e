/* SPDX-License-Identifier: Apache-2.0
 *
 * Adagrad (Duchi et al. 2011), as torch.optim.Adagrad.
 *
 *     s += g^2            p -= lr / (1 + step lr_decay) * g / (sqrt(s) + eps)
 *
 * s starts at initial_accumulator_value, and g = clip(grad_scale * gradient) + weight_decay p.
 */
#include "core/optim/optim_rule.h"

LS_OPTIM_RULE(adagrad_rule)
{
    const ls_optim_coef k = *c;
    (void)s1, (void)s2;
    LS_OPTIM_WHOLE_ROWS(n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = ls__optim_gradient(&k, grad[i], p[i]);
        float s = s0[i] + k.initial + g * g;
        s0[i]   = s;
        p[i] -= k.lr * (g / (sqrtf(s) + k.eps));
    }
}

static void apply(const ls_optim_coef *c, const ls_optim_arrays *s) { ls__optim_run(adagrad_rule, c, s); }

static int states(const ls_optim *o, const char *name[3])
{
    (void)o;
    name[0] = "sum";
    return 1;
}

static void coefficients(const ls_optim *o, const ls_optim_step *s, ls_optim_coef *c)
{
    c->lr      = (float)((double)s->lr / (1 + (double)s->step * ls__decimal(o->lr_decay)));
    c->initial = s->step == 0 ? o->initial_accumulator_value : 0;
}

static const ls_optim_setting settings[] = {LS_OPTIM_SETTING(eps, .high = INFINITY),
                                            LS_OPTIM_SETTING(lr_decay, .high = INFINITY),
                                            LS_OPTIM_SETTING(initial_accumulator_value, .high = INFINITY),
                                            {0}};

LS_OPTIM(adagrad) = {
    .defaults = {LS__ADAGRAD}, .settings = settings, .states = states, .coefficients = coefficients, .apply = apply};
