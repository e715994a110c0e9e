/* SPDX-License-Identifier: Apache-2.0
 *
 * Defaults, checks of the settings, names of the state, and dispatch of a step, all by the descriptor of the optimizer
 * (optim_rule.h).  The update rules are in sgd.c, adagrad.c, rmsprop.c, adam.c and muon.c.
 */
#include <float.h>
#include <stdio.h>

#include "core/base/enum_text.h"
#include "core/cpu/isa_table.h"
#include "core/optim/optim_rule.h"
#include "core/optim/schedule.h"

static const char *const optim_texts[] = LS_ENUM_TEXTS(LS_OPTIM_LIST);

static const ls_optim_descriptor *descriptor(ls_optim_kind kind) { return ls__isa_table()->optim[kind]; }

/* ---- defaults ---------------------------------------------------------------------------------------------------- */

ls_optim ls_optim_default(ls_optim_kind kind) { return descriptor(kind)->defaults; }

ls_schedule ls_schedule_default(ls_schedule_kind kind)
{
    static const ls_schedule defaults[] = {
        {LS__SCHEDULE_CONSTANT}, {LS__SCHEDULE_STEP},   {LS__SCHEDULE_MULTISTEP}, {LS__SCHEDULE_EXPONENTIAL},
        {LS__SCHEDULE_COSINE},   {LS__SCHEDULE_LINEAR}, {LS__SCHEDULE_ONECYCLE},  {LS__SCHEDULE_INVERSE_SQRT},
    };
    _Static_assert(sizeof defaults / sizeof *defaults == LS_SCHEDULE_COUNT, "one row of defaults per schedule");
    return defaults[kind];
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

/* Settings of all optimizers. */
static const ls_optim_setting common[] = {LS_OPTIM_SETTING(lr, .high = INFINITY),
                                          LS_OPTIM_SETTING(weight_decay, .high = INFINITY),
                                          LS_OPTIM_SETTING(clip_norm, .high = INFINITY),
                                          LS_OPTIM_SETTING(clip_value, .high = INFINITY),
                                          LS_OPTIM_SETTING(ema, .high = 1, .below = true),
                                          LS_OPTIM_SETTING(lookahead, .high = 1),
                                          LS_OPTIM_SETTING(lookahead_power, .high = INFINITY),
                                          LS_OPTIM_SETTING(layer_decay, .high = 1),
                                          {0}};

/* Returns the setting at an offset in ls_optim; NULL: not in the table. */
static const ls_optim_setting *find(const ls_optim_setting *s, size_t offset)
{
    for (; s && s->name; s++)
        if (s->offset == offset) return s;
    return NULL;
}

bool ls__optim_has(ls_optim_kind kind, size_t offset)
{
    if (find(descriptor(kind)->settings, offset)) return true;
    for (int other = 0; other < LS_OPTIM_COUNT; other++)
        if (find(descriptor((ls_optim_kind)other)->settings, offset)) return false;
    return true;
}

static double value_of(const ls_optim *o, const ls_optim_setting *s)
{
    const char *at = (const char *)o + s->offset;
    return s->flag ? (double)*(const bool *)at : (double)*(const float *)(const void *)at;
}

static ls_status check_range(const char *text, const char *name, double value, double high, bool below)
{
    LS_CHECK(high < INFINITY || (value >= 0 && value <= (double)FLT_MAX), LS_ERR_USAGE,
             "%s: %s: expected a finite number of at least 0, found %g", text, name, value);
    LS_CHECK(high == INFINITY || (value >= 0 && (below ? value < high : value <= high)), LS_ERR_USAGE,
             "%s: %s: expected a number from 0 to %s%g, found %g", text, name, below ? "below " : "", high, value);
    return LS_OK;
}

static ls_status check_settings(const ls_optim *o, const char *text, const ls_optim_setting *settings)
{
    for (const ls_optim_setting *s = settings; s && s->name; s++)
        if (!s->flag) LS_TRY(check_range(text, s->name, value_of(o, s), s->high, s->below));
    return LS_OK;
}

/* Expects that settings which this optimizer does not have are 0. */
static ls_status check_foreign(const ls_optim *o, const char *text)
{
    for (int kind = 0; kind < LS_OPTIM_COUNT; kind++)
        for (const ls_optim_setting *s = descriptor((ls_optim_kind)kind)->settings; s && s->name; s++)
            LS_CHECK(ls__optim_has(o->kind, s->offset) || value_of(o, s) == 0, LS_ERR_USAGE,
                     "%s: %s: expected no value, because %s has no such setting, found %g" LS_HINT
                     "remove it, or choose an optimizer that has it (%s)",
                     text, s->name, optim_texts[o->kind], value_of(o, s), optim_texts[kind]);
    return LS_OK;
}

ls_status ls_optim_check(const ls_optim *o)
{
    LS_CHECK(o->size == sizeof *o, LS_ERR_USAGE,
             "optimizer: expected settings of %zu bytes, found %zu" LS_HINT
             "initialise them with ls_sgd(), ls_adam(), ... or ls_optim_default()",
             sizeof *o, o->size);
    LS_CHECK((unsigned)o->kind < LS_OPTIM_COUNT, LS_ERR_USAGE,
             "optimizer: expected a kind from 0 to %d, found %d" LS_HINT "core/optim/optim.h lists them",
             LS_OPTIM_COUNT - 1, (int)o->kind);
    char text[64];
    snprintf(text, sizeof text, "optimizer '%s'", optim_texts[o->kind]);
    LS_TRY(check_foreign(o, text));
    LS_TRY(check_settings(o, text, common));
    LS_TRY(check_settings(o, text, descriptor(o->kind)->settings));
    LS_CHECK(o->lookahead_steps >= 0, LS_ERR_USAGE, "%s: lookahead_steps: expected a number of at least 0, found %d",
             text, o->lookahead_steps);
    LS_CHECK(o->lookahead > 0 || (!o->lookahead_steps && !(o->lookahead_power > 0)), LS_ERR_USAGE,
             "%s: lookahead: expected a number above 0, because lookahead_steps or lookahead_power is set, found 0",
             text);
    for (int i = 0; i < LS_MAX_PARAM_GROUPS && o->group[i].glob; i++) {
        char group[128];
        snprintf(group, sizeof group, "%s: group '%.40s'", text, o->group[i].glob);
        LS_TRY(check_range(group, "lr_scale", (double)o->group[i].lr_scale, INFINITY, false));
        LS_TRY(check_range(group, "weight_decay", (double)o->group[i].weight_decay, INFINITY, false));
        LS_CHECK(!o->group[i].adamw || o->kind == LS_OPTIM_MUON, LS_ERR_USAGE,
                 "%s: adamw: expected no value, because only muon has hidden matrices" LS_HINT
                 "remove it, or set optim.name=muon",
                 group);
    }
    return ls__schedule_check(&o->schedule);
}

/* ---- state and step ---------------------------------------------------------------------------------------------- */

static int states(const ls_optim *o, const char *name[LS_MAX_OPTIM_STATES])
{
    const ls_optim_descriptor *d = descriptor(o->kind);
    int                        n = d->states ? d->states(o, name) : 0;
    if (o->lookahead > 0) name[n++] = "slow";
    if (o->ema > 0) name[n++] = "ema";
    return n;
}

int ls_optim_average(const ls_optim *o) { return o->lookahead > 0 || o->ema > 0 ? ls_optim_states(o) - 1 : -1; }

int ls_optim_states(const ls_optim *o)
{
    const char *name[LS_MAX_OPTIM_STATES];
    return states(o, name);
}

const char *ls_optim_state_name(const ls_optim *o, int i)
{
    const char *name[LS_MAX_OPTIM_STATES];
    return i >= 0 && i < states(o, name) ? name[i] : NULL;
}

float ls_optim_trust_ratio(const ls_optim *o, float weight_decay, double param_norm, double grad_norm)
{
    const double decay = ls__decimal(weight_decay);
    if (decay <= 0 || param_norm <= 0 || grad_norm <= 0) return 1;
    return (float)(ls__decimal(o->trust_coeff) * param_norm / (grad_norm + decay * param_norm + (double)o->eps));
}

/* Returns the step of the slow weights towards the parameters after a step of the optimizer; 0: none. */
static float slow_step(const ls_optim *o, const ls_optim_step *s)
{
    enum { DEFAULT_STEPS = 5 };
    const int64_t done = s->step + 1, every = o->lookahead_steps ? o->lookahead_steps : DEFAULT_STEPS;
    const double  size = ls__decimal(o->lookahead);
    if (done % every) return 0;
    if (!(o->lookahead_power > 0)) return (float)size;
    return (float)(1 - (1 - size) * pow((double)done / (double)s->run_steps, (double)o->lookahead_power));
}

const ls_optim_matrices *ls__optim_matrices(const ls_optim *o) { return descriptor(o->kind)->matrices; }

bool ls__optim_has_state(const ls_optim *o, int i, bool matrix)
{
    const char *name[LS_MAX_OPTIM_STATES];
    const int   own = descriptor(o->kind)->states ? descriptor(o->kind)->states(o, name) : 0;
    return !descriptor(o->kind)->matrices || i >= own || (i == 0) == matrix;
}

/* The coefficients that all optimizers have, and those of this one. */
static ls_optim_coef coefficients(const ls_optim *o, const ls_optim_step *s)
{
    const ls_optim_descriptor *d = descriptor(o->kind);
    ls_optim_coef              c = {.grad_scale   = s->grad_scale,
                                    .clip_value   = o->clip_value > 0 ? o->clip_value : INFINITY,
                                    .weight_decay = (float)ls__decimal(s->weight_decay),
                                    .param_scale  = 1,
                                    .lr           = s->lr,
                                    .eps          = o->eps};
    if (d->coefficients) d->coefficients(o, s, &c);
    return c;
}

void ls__optim_momentum(const ls_optim *o, const ls_optim_step *s)
{
    const ls_optim_coef   c      = coefficients(o, s);
    const ls_optim_arrays arrays = {.count = s->count, .grad = s->grad, .state = {s->state[0]}};
    descriptor(o->kind)->matrices->momentum(&c, &arrays);
}

void ls_optim_apply(const ls_optim *o, const ls_optim_step *s)
{
    if (s->count <= 0) return;
    ls_optim_coef   c      = coefficients(o, s);
    ls_optim_arrays arrays = {.count = s->count, .param = s->param, .grad = s->grad};
    int             n      = ls_optim_states(o) - (o->ema > 0) - (o->lookahead > 0);
    for (int i = 0; i < n; i++) arrays.state[i] = s->state[i];
    if (o->lookahead > 0) {
        arrays.slow  = s->state[n++];
        c.slow_start = s->step == 0;
        c.slow_step  = slow_step(o, s);
    }
    if (o->ema > 0) {
        const double step = (double)s->step;
        arrays.average    = s->state[n];
        c.average_decay   = s->step ? (float)fmin(ls__decimal(o->ema), (1 + step) / (10 + step)) : 0;
    }
    descriptor(o->kind)->apply(&c, &arrays);
}
