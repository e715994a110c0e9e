/* SPDX-License-Identifier: Apache-2.0
 *
 * Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019), as torch.optim.Adam and AdamW.
 *
 *     m += (1 - beta1) (g - m)
 *     v  = beta2 v + (1 - beta2) g^2
 *     p -= lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps)                       t = step + 1
 *
 * with g = clip(grad_scale * gradient) + weight_decay p; adamw instead multiplies p by 1 - lr * weight_decay first.
 */
#include "core/optim/optim_rule.h"

LS_OPTIM_RULE(adam_rule)
{
    const ls_optim_coef k = *c;
    (void)s2;
    LS_OPTIM_WHOLE_ROWS(n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float w = p[i] * k.param_scale;
        float g = ls__optim_gradient(&k, grad[i], p[i]);
        float m = s0[i] + k.grad_weight * (g - s0[i]);
        float v = k.square_decay * s1[i] + k.square_weight * g * g;
        s0[i]   = m;
        s1[i]   = v;
        p[i]    = w - k.lr * (m / (sqrtf(v) * k.bias_correction + k.eps));
    }
}

static void apply(const ls_optim_coef *c, const ls_optim_arrays *s) { ls__optim_run(adam_rule, c, s); }

static int states(const ls_optim *o, const char *name[3])
{
    (void)o;
    name[0] = "exp_avg";
    name[1] = "exp_avg_sq";
    return 2;
}

static void adam_coefficients(const ls_optim *o, const ls_optim_step *s, ls_optim_coef *c)
{
    const double beta1 = ls__decimal(o->betas[0]), beta2 = ls__decimal(o->betas[1]), step = (double)s->step;
    c->grad_weight     = (float)(1 - beta1);
    c->square_decay    = (float)beta2;
    c->square_weight   = (float)(1 - beta2);
    c->lr              = (float)((double)s->lr / (1 - pow(beta1, step + 1)));
    c->bias_correction = (float)(1 / sqrt(1 - pow(beta2, step + 1)));
}

static void adamw_coefficients(const ls_optim *o, const ls_optim_step *s, ls_optim_coef *c)
{
    adam_coefficients(o, s, c);
    c->param_scale  = (float)(1 - (double)s->lr * ls__decimal(s->weight_decay));
    c->weight_decay = 0;
}

static const ls_optim_setting settings[] = {LS_OPTIM_SETTING(betas[0], .high = 1, .below = true),
                                            LS_OPTIM_SETTING(betas[1], .high = 1, .below = true),
                                            LS_OPTIM_SETTING(eps, .high = INFINITY),
                                            {0}};

LS_OPTIM(adam) = {
    .defaults = {LS__ADAM}, .settings = settings, .states = states, .coefficients = adam_coefficients, .apply = apply};
LS_OPTIM(adamw) = {.defaults     = {LS__ADAMW},
                   .settings     = settings,
                   .states       = states,
                   .coefficients = adamw_coefficients,
                   .apply        = apply};
