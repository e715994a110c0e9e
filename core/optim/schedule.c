/* SPDX-License-Identifier: Apache-2.0
 *
 * Learning-rate schedules: the rate of step t as a multiple of the base rate.
 *
 * After w steps of warm-up, with u = t - w, and U = total - w steps of the schedule proper:
 *
 *     warm-up       start + (1 - start) t / w                         t < w   (Goyal 2017)
 *     constant      1
 *     step          gamma ^ floor(u / every)
 *     multistep     gamma ^ (number of milestones <= t)
 *     exponential   gamma ^ (u / every)
 *     cosine        end + (1 - end) (1 + cos(pi u / U)) / 2           (Loshchilov and Hutter 2017, without restarts)
 *     linear        1 + (end - 1) u / U
 *     onecycle      start to 1 in peak_at * total - 1 steps, then down to end at total - 1, both as half cosines (Smith
 * 2018) inverse_sqrt  sqrt(v / (u + v)), v = max(w, 1)                  (Vaswani 2017, scaled to a peak of 1)
 *
 * These are PyTorch's StepLR, MultiStepLR, ExponentialLR, CosineAnnealingLR (up to T_max = U, from where this stays at
 * its end and that rises again), LinearLR and OneCycleLR; the warm-up is LinearLR chained by SequentialLR, but
 * milestones and total are steps of the run, not of the part after the warm-up.
 */
#include <math.h>

#include "core/optim/optim_kernels.h"

static const double PI = 3.14159265358979323846;

/* From x to y as `part` goes from 0 to 1. */
static double half_cosine(double x, double y, double part) { return y + (x - y) * (1 + cos(PI * part)) / 2; }

static double onecycle(const ls_schedule *s, double t, double total)
{
    const double start = ls__decimal(s->start), end = ls__decimal(s->end);
    const double last = total - 1, peak = fmax(ls__decimal(s->peak_at) * total - 1, 0);
    if (t <= peak) return peak > 0 ? half_cosine(start, 1, t / peak) : 1;
    if (t >= last) return end;
    return half_cosine(1, end, (t - peak) / (last - peak));
}

static double multiple(const ls_schedule *s, int64_t t, int64_t run_steps)
{
    const int64_t w = s->warmup, total = s->total > 0 ? s->total : run_steps;
    if (t < w) return ls__decimal(s->start) + (1 - ls__decimal(s->start)) * (double)t / (double)w;

    const double u = (double)(t - w), length = (double)(total - w), part = length > 0 && u < length ? u / length : 1;
    const double gamma = ls__decimal(s->gamma), end = ls__decimal(s->end);
    int          passed = 0;
    switch (s->kind) {
    case LS_SCHEDULE_CONSTANT:
        return 1;
    case LS_SCHEDULE_STEP:
        return pow(gamma, (double)((t - w) / s->every));
    case LS_SCHEDULE_MULTISTEP:
        while (passed < LS_MAX_MILESTONES && s->milestone[passed] && s->milestone[passed] <= t) passed++;
        return pow(gamma, passed);
    case LS_SCHEDULE_EXPONENTIAL:
        return pow(gamma, u / (double)s->every);
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
    }
    return 1;
}

float ls_optim_lr(const ls_optim *o, int64_t step, int64_t run_steps)
{
    return (float)(ls__decimal(o->lr) * multiple(&o->schedule, step, run_steps));
}
