/* SPDX-License-Identifier: Apache-2.0
 *
 * Applies an update rule to a range of the parameters.  Compiled once per instruction-set level.
 *
 * A compiler may fuse products and sums in the vector body of a loop but not in its tail.  So no rule has a tail: it
 * processes whole rows of LS_OPTIM_LANES floats, and the remainder of a range is computed in a padded copy by the same
 * instructions.  The bits of an element are the same for every division of the parameters into ranges.
 */
#include "core/optim/optim_rule.h"

enum {
    BLOCK = 16 * 1024
}; /* elements that a thread updates at a time: five arrays of this length fit into the L2 cache */

static inline float *at(float *x, int64_t i) { return x ? x + i : NULL; }

/* Applies a rule to n < LS_OPTIM_LANES elements from `first` on, in a copy padded with zeros. */
static void run_padded(ls_optim_rule *rule, const ls_optim_coef *c, const ls_optim_arrays *s, int64_t first, int64_t n)
{
    float  row[5][LS_OPTIM_LANES] = {{0}};
    float *array[5]               = {s->param, NULL, s->state[0], s->state[1], s->state[2]};
    size_t bytes                  = (size_t)n * sizeof(float);
    memcpy(row[1], s->grad + first, bytes);
    for (int k = 0; k < 5; k++)
        if (array[k]) memcpy(row[k], array[k] + first, bytes);
    rule(c, LS_OPTIM_LANES, row[0], row[1], row[2], row[3], row[4]);
    for (int k = 0; k < 5; k++)
        if (array[k]) memcpy(array[k] + first, row[k], bytes);
}

/* Mixes n parameters and another array; n is a multiple of LS_OPTIM_LANES. */
typedef void mix_fn(const ls_optim_coef *c, int64_t n, float *restrict p, float *restrict other);

/* average = decay average + (1 - decay) p */
static __attribute__((noinline)) void add_to_average(const ls_optim_coef *c, int64_t n, float *restrict p,
                                                     float *restrict average)
{
    const float decay = c->average_decay, weight = 1 - decay;
    LS_OPTIM_WHOLE_ROWS(n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) average[i] = decay * average[i] + weight * p[i];
}

/* slow += step (p - slow);  p = slow */
static __attribute__((noinline)) void step_slowly(const ls_optim_coef *c, int64_t n, float *restrict p,
                                                  float *restrict slow)
{
    const float step = c->slow_step;
    LS_OPTIM_WHOLE_ROWS(n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) p[i] = slow[i] = slow[i] + step * (p[i] - slow[i]);
}

/* Mixes elements [first, first + n). */
static void mix(mix_fn *f, const ls_optim_coef *c, float *p, float *other, int64_t first, int64_t n)
{
    const int64_t rest = n % LS_OPTIM_LANES, at_rest = first + n - rest;
    float         row[2][LS_OPTIM_LANES] = {{0}};
    const size_t  bytes                  = (size_t)rest * sizeof(float);
    if (n > rest) f(c, n - rest, p + first, other + first);
    if (!rest) return;
    memcpy(row[0], p + at_rest, bytes);
    memcpy(row[1], other + at_rest, bytes);
    f(c, LS_OPTIM_LANES, row[0], row[1]);
    memcpy(p + at_rest, row[0], bytes);
    memcpy(other + at_rest, row[1], bytes);
}

void ls__optim_run(ls_optim_rule *rule, const ls_optim_coef *c, const ls_optim_arrays *s)
{
    const int64_t blocks = (s->count + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (int64_t b = 0; b < blocks; b++) {
        int64_t first = b * BLOCK;
        int64_t n     = s->count - first < BLOCK ? s->count - first : BLOCK;
        int64_t rest  = n % LS_OPTIM_LANES;
        if (s->slow && c->slow_start) memcpy(s->slow + first, s->param + first, (size_t)n * sizeof(float));
        if (n > rest)
            rule(c, n - rest, s->param + first, s->grad + first, at(s->state[0], first), at(s->state[1], first),
                 at(s->state[2], first));
        if (rest) run_padded(rule, c, s, first + n - rest, rest);
        if (s->slow && c->slow_step > 0) mix(step_slowly, c, s->param, s->slow, first, n);
        if (s->average) mix(add_to_average, c, s->param, s->average, first, n);
    }
}
