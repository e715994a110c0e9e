/* SPDX-License-Identifier: Apache-2.0
 *
 * Learning-rate schedules: the rate of step t as a multiple of the base rate.
 *
 * With w warm-up steps, u = t - w, and U = total_steps - w steps of the schedule itself:
 *
 *     warm-up        start_factor + (1 - start_factor) t / w            t < w   (Goyal et al. 2017)
 *     constant       1
 *     step           gamma ^ floor(u / step_size)
 *     multistep      gamma ^ (number of milestones <= t)
 *     exponential    gamma ^ (u / step_size)
 * cosine         end_factor + (1 - end_factor) (1 + cos(pi u / U)) / 2     (Loshchilov and Hutter 2017, no restarts)
 *     linear         1 + (end_factor - 1) u / U
 *     onecycle       1 / div_factor to 1 in pct_start * total_steps - 1 steps, then down to
 *                    1 / (div_factor * final_div_factor) at total_steps - 1, both as half cosines (Smith 2018)
 *     inverse_sqrt   sqrt(v / (u + v)), v = max(w, 1)                   (Vaswani et al. 2017, scaled to a peak of 1)
 *
 * These are PyTorch's StepLR, MultiStepLR, ExponentialLR, CosineAnnealingLR, LinearLR and OneCycleLR; the warm-up is
 * LinearLR chained by SequentialLR.  Deviations: after its last step cosine keeps its last
 * value, whereas that of PyTorch rises again; milestones and total_steps count from the start of the run, not from the
 * end of the warm-up.
 */
#include <float.h>

#include "core/base/enum_text.h"
#include "core/optim/optim_rule.h"
#include "core/optim/schedule.h"

static const double PI = 3.14159265358979323846;

static const char *const texts[] = LS_ENUM_TEXTS(LS_SCHEDULE_LIST);

/* ---- checks ------------------------------------------------------------------------------------------------------ */

#define BIT(kind) (1u << LS_SCHEDULE_##kind)

enum { MOST_STEPS = 1 << 30 }; /* upper bound of all settings in steps */

/* A setting of a schedule: its place, its range, and the schedules that have it. */
typedef struct setting {
    const char *name;
    size_t      offset; /* in ls_schedule, bytes */
    bool        steps;  /* the setting is a number of steps (int64_t); else a float */
    unsigned    kinds;  /* bit k: schedule k has the setting */
    double      low, high;
} setting;
#define STEPS(member) #member, offsetof(ls_schedule, member), true
#define FACTOR(member) #member, offsetof(ls_schedule, member), false
static const setting settings[] = {
    {STEPS(warmup), ~BIT(ONECYCLE), 0, MOST_STEPS},
    {FACTOR(start_factor), ~BIT(ONECYCLE), 0, 1},
    {STEPS(total_steps), BIT(COSINE) | BIT(LINEAR) | BIT(ONECYCLE), 0, MOST_STEPS},
    {FACTOR(end_factor), BIT(COSINE) | BIT(LINEAR), 0, FLT_MAX},
    {STEPS(step_size), BIT(STEP) | BIT(EXPONENTIAL), 1, MOST_STEPS},
    {FACTOR(gamma), BIT(STEP) | BIT(MULTISTEP) | BIT(EXPONENTIAL), FLT_MIN, FLT_MAX},
    {STEPS(milestones), BIT(MULTISTEP), 1, MOST_STEPS},
    {FACTOR(pct_start), BIT(ONECYCLE), 0, 1},
    {FACTOR(div_factor), BIT(ONECYCLE), 1, FLT_MAX},
    {FACTOR(final_div_factor), BIT(ONECYCLE), 1, FLT_MAX},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

bool ls__schedule_has(ls_schedule_kind kind, size_t offset)
{
    for (int i = 0; i < SETTINGS; i++)
        if (settings[i].offset == offset) return settings[i].kinds >> kind & 1u;
    return true;
}

static ls_status check_setting(const ls_schedule *s, const setting *f)
{
    const char  *text = texts[s->kind], *at = (const char *)s + f->offset;
    const double value =
        f->steps ? (double)*(const int64_t *)(const void *)at : (double)*(const float *)(const void *)at;
    const bool has = f->kinds >> s->kind & 1u;
    LS_CHECK(has || value == 0, LS_ERR_USAGE,
             "schedule '%s': schedule.%s: expected no value, because %s has no such setting, found %g" LS_HINT
             "remove it, or choose another schedule",
             text, f->name, text, value);
    LS_CHECK(!has || (value >= f->low && value <= f->high), LS_ERR_USAGE,
             "schedule '%s': schedule.%s: expected a number from %g to %g, found %g", text, f->name, f->low, f->high,
             value);
    return LS_OK;
}

/* Expects milestones that increase and end with zeros.  The table of settings checks the first one. */
static ls_status check_milestones(const ls_schedule *s)
{
    int64_t last  = 0;
    bool    ended = false;
    for (int i = 0; i < LS_MAX_MILESTONES; i++) {
        const int64_t m = s->milestones[i];
        ended |= m == 0;
        LS_CHECK(m == 0 || (!ended && m > last), LS_ERR_USAGE,
                 "schedule '%s': schedule.milestones[%d]: expected increasing steps, found %lld after %lld",
                 texts[s->kind], i, (long long)m, (long long)last);
        last = m;
    }
    return LS_OK;
}

ls_status ls__schedule_check(const ls_schedule *s)
{
    LS_CHECK((unsigned)s->kind < LS_SCHEDULE_COUNT, LS_ERR_USAGE,
             "schedule: expected a kind from 0 to %d, found %d" LS_HINT "core/optim/optim.h lists them",
             LS_SCHEDULE_COUNT - 1, (int)s->kind);
    for (int i = 0; i < SETTINGS; i++) LS_TRY(check_setting(s, &settings[i]));
    LS_CHECK(s->start_factor == 0 || s->warmup > 0, LS_ERR_USAGE,
             "schedule '%s': schedule.start_factor: expected no value without a warm-up, found %g" LS_HINT
             "set schedule.warmup to a number of steps",
             texts[s->kind], (double)s->start_factor);
    LS_CHECK(s->total_steps == 0 || s->total_steps > s->warmup, LS_ERR_USAGE,
             "schedule '%s': schedule.total_steps: expected more than the %lld steps of the warm-up, found %lld" LS_HINT
             "it counts from the first step of the run",
             texts[s->kind], (long long)s->warmup, (long long)s->total_steps);
    return check_milestones(s);
}

ls_status ls_optim_check_length(const ls_optim *o, int64_t run_steps)
{
    LS_CHECK(run_steps > 0 || !(o->lookahead_power > 0), LS_ERR_USAGE,
             "optimizer: lookahead_power: expected the number of steps of the run, found none");
    const ls_schedule *s = &o->schedule;
    if (!ls__schedule_has(s->kind, offsetof(ls_schedule, total_steps)) || s->total_steps > 0) return LS_OK;
    LS_CHECK(run_steps > 0, LS_ERR_USAGE,
             "schedule '%s': schedule.total_steps: expected a number of steps, found none" LS_HINT
             "set it, or give the run a length",
             texts[s->kind]);
    LS_CHECK(run_steps > s->warmup, LS_ERR_USAGE,
             "schedule '%s': schedule.warmup: expected fewer steps than the %lld of the run, found %lld" LS_HINT
             "shorten the warm-up",
             texts[s->kind], (long long)run_steps, (long long)s->warmup);
    return LS_OK;
}

/* ---- rates ------------------------------------------------------------------------------------------------------- */

/* Returns a value that runs from x to y along half a cosine while `part` runs from 0 to 1. */
static double half_cosine(double x, double y, double part) { return y + (x - y) * (1 + cos(PI * part)) / 2; }

static double onecycle(const ls_schedule *s, double t, double total)
{
    const double start = 1 / ls__decimal(s->div_factor), end = start / ls__decimal(s->final_div_factor);
    const double last = total - 1, peak = fmax(ls__decimal(s->pct_start) * total - 1, 0);
    if (t <= peak) return peak > 0 ? half_cosine(start, 1, t / peak) : 1;
    if (t >= last) return end;
    return half_cosine(1, end, (t - peak) / (last - peak));
}

/* Returns the rate of step t as a multiple of the base rate. */
static double multiple(const ls_schedule *s, int64_t t, int64_t run_steps)
{
    const int64_t w = s->warmup, total = s->total_steps > 0 ? s->total_steps : run_steps;
    const double  start = ls__decimal(s->start_factor);
    if (t < w) return start + (1 - start) * (double)t / (double)w;

    const double u = (double)(t - w), length = (double)(total - w), part = length > 0 && u < length ? u / length : 1;
    const double gamma = ls__decimal(s->gamma), end = ls__decimal(s->end_factor);
    int          passed = 0;
    switch (s->kind) {
    case LS_SCHEDULE_STEP:
        return pow(gamma, (double)((t - w) / s->step_size));
    case LS_SCHEDULE_MULTISTEP:
        while (passed < LS_MAX_MILESTONES && s->milestones[passed] && s->milestones[passed] <= t) passed++;
        return pow(gamma, passed);
    case LS_SCHEDULE_EXPONENTIAL:
        return pow(gamma, u / (double)s->step_size);
    case LS_SCHEDULE_COSINE:
        return half_cosine(1, end, part);
    case LS_SCHEDULE_LINEAR:
        return 1 + (end - 1) * part;
    case LS_SCHEDULE_ONECYCLE:
        return onecycle(s, (double)t, (double)total);
    case LS_SCHEDULE_INVERSE_SQRT: {
        const double v = w > 0 ? (double)w : 1;
        return sqrt(v / (u + v));
    }
    case LS_SCHEDULE_CONSTANT:
    case LS_SCHEDULE_COUNT:
        break;
    }
    return 1;
}

float ls_optim_lr(const ls_optim *o, int64_t step, int64_t run_steps)
{
    return (float)(ls__decimal(o->lr) * multiple(&o->schedule, step, run_steps));
}
