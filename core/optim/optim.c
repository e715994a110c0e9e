/* SPDX-License-Identifier: Apache-2.0
 *
 * Optimizers: what is known of each kind (fields, defaults, ranges, state), the checks, and the coefficients of a step.
 * The update rules themselves are in kernels.c.
 */
#include <float.h>
#include <math.h>
#include <stddef.h>

#include "core/base/enum_text.h"
#include "core/cpu/isa_table.h"
#include "core/optim/optim_kernels.h"

static const char *const kind_name[]     = LS_ENUM_TEXTS(LS_OPTIM_LIST);
static const char *const schedule_name[] = LS_ENUM_TEXTS(LS_SCHEDULE_LIST);
enum { SCHEDULES = LS_ENUM_COUNT(LS_SCHEDULE_LIST) };

/* ---- fields ------------------------------------------------------------------------------------------------------ */

#define K(kind) (1u << LS_OPTIM_##kind)
#define S(kind) (1u << LS_SCHEDULE_##kind)
#define ALL (~0u)

/* A number that a user may set: which kinds have it, what it may be, and what 0 stands for (the first line that fits).
 */
typedef struct field {
    const char *name;
    size_t      offset;
    unsigned    kinds;
    double      low, high; /* low <= value <= high; at `below` high is excluded */
    bool        below;
    float       fallback;
} field;

#define FIELD(member) #member, offsetof(ls_optim, member)
static const field fields[] = {
    {FIELD(lr), K(ADAGRAD) | K(RMSPROP), 0, FLT_MAX, false, 1e-2f},
    {FIELD(lr), ALL, 0, FLT_MAX, false, 1e-3f},
    {FIELD(momentum), K(MOMENTUM) | K(NAG), 0, 1, true, 0.9f},
    {FIELD(momentum), K(RMSPROP), 0, 1, true, 0},
    {FIELD(dampening), K(MOMENTUM), 0, 1, false, 0},
    {FIELD(weight_decay), ALL, 0, FLT_MAX, false, 0},
    {FIELD(beta1), K(ADAM) | K(ADAMW), 0, 1, true, 0.9f},
    {FIELD(beta2), K(ADAM) | K(ADAMW), 0, 1, true, 0.999f},
    {FIELD(alpha), K(RMSPROP), 0, 1, true, 0.99f},
    {FIELD(eps), K(ADAGRAD), 0, FLT_MAX, false, 1e-10f},
    {FIELD(eps), K(RMSPROP) | K(ADAM) | K(ADAMW), 0, FLT_MAX, false, 1e-8f},
    {FIELD(lr_decay), K(ADAGRAD), 0, FLT_MAX, false, 0},
    {FIELD(initial), K(ADAGRAD), 0, FLT_MAX, false, 0},
    {FIELD(clip_norm), ALL, 0, FLT_MAX, false, 0},
    {FIELD(clip_value), ALL, 0, FLT_MAX, false, 0},
};
#define DECAYS (S(STEP) | S(MULTISTEP) | S(EXPONENTIAL))
static const field schedule_fields[] = {
    {FIELD(schedule.start), S(ONECYCLE), 0, 1, true, 1.0f / 25.0f},
    {FIELD(schedule.start), ALL, 0, 1, false, 0},
    {FIELD(schedule.end), S(COSINE) | S(LINEAR) | S(ONECYCLE), 0, FLT_MAX, false, 0},
    {FIELD(schedule.gamma), DECAYS, 0, FLT_MAX, false, 0.1f},
    {FIELD(schedule.peak_at), S(ONECYCLE), 0, 1, false, 0.3f},
};
#undef FIELD

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

/* The line of a setting (its lines stand together, the first at table[i]) that a kind has, or NULL. */
static const field *line_of(const field *table, int count, int i, unsigned kind)
{
    for (int k = i; k < count && table[k].offset == table[i].offset; k++)
        if (table[k].kinds >> kind & 1u) return &table[k];
    return NULL;
}

/* `what` is "optimizer" or "schedule", `text` the name of the kind. */
static ls_status check_fields(ls_optim *o, const field *table, int count, const char *what, const char *text,
                              unsigned kind)
{
    for (int i = 0; i < count; i++) {
        if (i > 0 && table[i].offset == table[i - 1].offset) continue;
        float       *value = (float *)(void *)((char *)o + table[i].offset);
        const field *f     = line_of(table, count, i, kind);
        LS_CHECK(f || *value == 0, LS_ERR_USAGE,
                 "%s '%s': %s: expected none, as it has no such setting, found %g" LS_HINT
                 "remove it, or choose another %s",
                 what, text, table[i].name, (double)*value, what);
        if (!f) continue;
        if (*value == 0) *value = f->fallback;
        bool ok = (double)*value >= f->low && (f->below ? (double)*value < f->high : (double)*value <= f->high);
        if (f->high > 1)
            LS_CHECK(ok, LS_ERR_USAGE,
                     "%s '%s': %s: expected a number that is not negative, found %g" LS_HINT
                     "0 stands for the default, %g",
                     what, text, f->name, (double)*value, (double)f->fallback);
        LS_CHECK(ok, LS_ERR_USAGE,
                 "%s '%s': %s: expected at least %g and %s %g, found %g" LS_HINT "0 stands for the default, %g", what,
                 text, f->name, f->low, f->below ? "less than" : "at most", f->high, (double)*value,
                 (double)f->fallback);
    }
    return LS_OK;
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

#define HAS_LENGTH (S(COSINE) | S(LINEAR) | S(ONECYCLE))

static ls_status check_steps(const char *text, const char *name, int64_t value, bool has)
{
    LS_CHECK(value >= 0, LS_ERR_USAGE,
             "schedule '%s': %s: expected a number of steps that is not negative, found %lld" LS_HINT
             "0 stands for the default",
             text, name, (long long)value);
    LS_CHECK(has || value == 0, LS_ERR_USAGE,
             "schedule '%s': %s: expected none, as it has no such setting, found %lld" LS_HINT
             "remove it, or choose another schedule",
             text, name, (long long)value);
    return LS_OK;
}

static ls_status check_schedule(ls_optim *o)
{
    ls_schedule *s = &o->schedule;
    LS_CHECK((unsigned)s->kind < SCHEDULES, LS_ERR_USAGE,
             "schedule: expected a kind from 0 to %d, found %d" LS_HINT
             "LS_SCHEDULE_LIST in core/optim/optim.h has them",
             SCHEDULES - 1, (int)s->kind);
    const char *text = schedule_name[s->kind];
    LS_TRY(check_fields(o, schedule_fields, COUNT(schedule_fields), "schedule", text, s->kind));
    LS_TRY(check_steps(text, "schedule.warmup", s->warmup, s->kind != LS_SCHEDULE_ONECYCLE));
    LS_TRY(check_steps(text, "schedule.total", s->total, HAS_LENGTH >> s->kind & 1u));
    const bool has_every = (S(STEP) | S(EXPONENTIAL)) >> s->kind & 1u;
    LS_TRY(check_steps(text, "schedule.every", s->every, has_every));
    LS_CHECK(s->start == 0 || s->warmup > 0 || s->kind == LS_SCHEDULE_ONECYCLE, LS_ERR_USAGE,
             "schedule '%s': schedule.start: expected none without a warm-up, found %g" LS_HINT
             "set schedule.warmup to a number of steps",
             text, (double)s->start);
    LS_CHECK(s->total == 0 || s->total > s->warmup, LS_ERR_USAGE,
             "schedule '%s': schedule.total: expected more than the %lld steps of the warm-up, found %lld" LS_HINT
             "it counts from the first step of the run",
             text, (long long)s->warmup, (long long)s->total);
    if (has_every && s->every == 0) s->every = 1;
    if (s->kind == LS_SCHEDULE_ONECYCLE && s->end == 0) s->end = s->start * 1e-4f;

    int64_t last  = 0;
    bool    ended = false;
    for (int i = 0; i < LS_MAX_MILESTONES; i++) {
        int64_t m = s->milestone[i];
        LS_TRY(check_steps(text, "schedule.milestone", m, s->kind == LS_SCHEDULE_MULTISTEP));
        ended |= m == 0;
        LS_CHECK(m == 0 || (!ended && m > last), LS_ERR_USAGE,
                 "schedule '%s': schedule.milestone %d: expected increasing steps, found %lld after %lld", text, i,
                 (long long)m, (long long)last);
        last = m;
    }
    LS_CHECK(s->kind != LS_SCHEDULE_MULTISTEP || s->milestone[0] > 0, LS_ERR_USAGE,
             "schedule 'multistep': schedule.milestone: expected at least one step, found none" LS_HINT
             "list the steps at which the rate is multiplied by gamma");
    return LS_OK;
}

ls_status ls_optim_check(ls_optim *o)
{
    LS_CHECK((unsigned)o->kind < LS_OPTIM_COUNT, LS_ERR_USAGE,
             "optimizer: expected a kind from 0 to %d, found %d" LS_HINT "LS_OPTIM_LIST in core/optim/optim.h has them",
             LS_OPTIM_COUNT - 1, (int)o->kind);
    const char *text = kind_name[o->kind];
    LS_TRY(check_fields(o, fields, COUNT(fields), "optimizer", text, o->kind));
    LS_CHECK(!o->centered || o->kind == LS_OPTIM_RMSPROP, LS_ERR_USAGE,
             "optimizer '%s': centered: expected none, as it has no such setting" LS_HINT "only rmsprop has it", text);
    for (int i = 0; i < LS_MAX_PARAM_GROUPS && o->group[i].glob; i++) {
        const ls_param_group *g = &o->group[i];
        LS_CHECK(g->lr_scale >= 0 && g->lr_scale <= FLT_MAX, LS_ERR_USAGE,
                 "optimizer '%s': group '%s': lr_scale: expected a number that is not negative, found %g" LS_HINT
                 "it multiplies the learning rate; 1 keeps it",
                 text, g->glob, (double)g->lr_scale);
        LS_CHECK(g->weight_decay >= 0 && g->weight_decay <= FLT_MAX, LS_ERR_USAGE,
                 "optimizer '%s': group '%s': weight_decay: expected a number that is not negative, found %g", text,
                 g->glob, (double)g->weight_decay);
    }
    LS_TRY(check_schedule(o));
    return LS_OK;
}

ls_status ls_optim_check_length(const ls_optim *o, int64_t run_steps)
{
    const ls_schedule *s = &o->schedule;
    if (!(HAS_LENGTH >> s->kind & 1u) || s->total > 0) return LS_OK;
    LS_CHECK(run_steps > 0, LS_ERR_USAGE,
             "schedule '%s': expected the number of steps until its end, found none" LS_HINT
             "set schedule.total, or give the run a length",
             schedule_name[s->kind]);
    LS_CHECK(run_steps > s->warmup, LS_ERR_USAGE,
             "schedule '%s': expected a run longer than the warm-up of %lld steps, found %lld" LS_HINT
             "shorten schedule.warmup",
             schedule_name[s->kind], (long long)s->warmup, (long long)run_steps);
    return LS_OK;
}

/* ---- state ------------------------------------------------------------------------------------------------------- */

/* Fills `name`, in the order of the state blocks; how many. */
static int states(const ls_optim *o, const char *name[3])
{
    int n = 0;
    switch (o->kind) {
    case LS_OPTIM_MOMENTUM:
    case LS_OPTIM_NAG:
        name[n++] = "momentum_buffer";
        break;
    case LS_OPTIM_ADAGRAD:
        name[n++] = "sum";
        break;
    case LS_OPTIM_RMSPROP:
        name[n++] = "square_avg";
        if (o->centered) name[n++] = "grad_avg";
        if (o->momentum > 0) name[n++] = "momentum_buffer";
        break;
    case LS_OPTIM_ADAM:
    case LS_OPTIM_ADAMW:
        name[n++] = "exp_avg";
        name[n++] = "exp_avg_sq";
        break;
    case LS_OPTIM_SGD:
    case LS_OPTIM_COUNT:
        break;
    }
    return n;
}

int ls_optim_states(const ls_optim *o)
{
    const char *name[3];
    return states(o, name);
}

const char *ls_optim_state_name(const ls_optim *o, int i)
{
    const char *name[3];
    return i >= 0 && i < states(o, name) ? name[i] : NULL;
}

/* ---- a step ------------------------------------------------------------------------------------------------------ */

static ls_optim_coef coefficients(const ls_optim *o, const ls_optim_step *s)
{
    const double  lr = (double)s->lr, step = (double)s->step, decay = ls__decimal(s->weight_decay);
    const double  momentum = ls__decimal(o->momentum);
    ls_optim_coef c        = {.scale  = s->grad_scale,
                              .clip   = o->clip_value > 0 ? o->clip_value : INFINITY,
                              .decay  = (float)decay,
                              .rate   = (float)lr,
                              .shrink = 1,
                              .eps    = o->eps};
    switch (o->kind) {
    case LS_OPTIM_MOMENTUM:
        /* PyTorch's buffer starts as the first gradient, undampened. */
        c.keep = (float)momentum;
        c.take = s->step == 0 ? 1.0f : (float)(1 - ls__decimal(o->dampening));
        break;
    case LS_OPTIM_NAG:
        c.keep = c.ahead = (float)momentum;
        break;
    case LS_OPTIM_ADAGRAD:
        c.rate  = (float)(lr / (1 + step * ls__decimal(o->lr_decay)));
        c.first = s->step == 0 ? o->initial : 0;
        break;
    case LS_OPTIM_RMSPROP: {
        const double alpha = ls__decimal(o->alpha);
        c.keep             = (float)momentum;
        c.keep2            = (float)alpha;
        c.take = c.take2 = (float)(1 - alpha);
        c.centered       = o->centered;
        c.buffered       = o->momentum > 0;
        break;
    }
    case LS_OPTIM_ADAM:
    case LS_OPTIM_ADAMW: {
        const double beta1 = ls__decimal(o->beta1), beta2 = ls__decimal(o->beta2);
        c.take   = (float)(1 - beta1);
        c.keep2  = (float)beta2;
        c.take2  = (float)(1 - beta2);
        c.rate   = (float)(lr / (1 - pow(beta1, step + 1)));
        c.unbias = (float)(1 / sqrt(1 - pow(beta2, step + 1)));
        if (o->kind == LS_OPTIM_ADAMW) {
            c.shrink = (float)(1 - lr * decay);
            c.decay  = 0;
        }
        break;
    }
    case LS_OPTIM_SGD:
    case LS_OPTIM_COUNT:
        break;
    }
    return c;
}

void ls_optim_apply(const ls_optim *o, const ls_optim_step *s)
{
    if (s->count <= 0) return;
    const ls_optim_coef c    = coefficients(o, s);
    const int           n    = ls_optim_states(o);
    ls_optim_span       span = {.count = s->count, .param = s->param, .grad = s->grad};
    for (int i = 0; i < n; i++) span.state[i] = s->state[i];
    ls__isa_table()->optim->apply[o->kind](&c, &span);
}
