/* SPDX-License-Identifier: Apache-2.0
 *
 * One step of each optimizer over a range of the flat parameter block; compiled once per instruction-set level.
 *
 * With g = clip(scale * gradient), and g += decay * p where the decay is an L2 term:
 *
 *     sgd        p -= rate g
 *     momentum   m  = keep m + take g                                   p -= rate m
 *     nag        m  = keep m + g                                        p -= rate (g + ahead m)
 *     adagrad    s += g^2                                               p -= rate g / (sqrt(s) + eps)
 *     rmsprop    s  = keep2 s + take2 g^2                               p -= rate g / (sqrt(s) + eps)
 *       centered   a += take (g - a)         sqrt(s - a^2) in place of sqrt(s)
 *       momentum   m  = keep m + g / (...)                              p -= rate m
 *     adam(w)    m += take (g - m), v = keep2 v + take2 g^2             p -= rate m / (unbias sqrt(v) + eps)
 *       adamw      p *= shrink first
 *
 * Polyak 1964; Nesterov 1983 in the form of Sutskever 2013; Duchi 2011; Tieleman and Hinton 2012, Graves 2013
 * (centered); Kingma and Ba 2015; Loshchilov and Hutter 2019.  As torch.optim has them, but for one thing: a variance s
 * - a^2 that rounds below zero counts as zero, where PyTorch's root of it is NaN.
 *
 * Every element's bits are the same however a range is cut.  Compilers contract products and sums into fused ones as
 * they like, and may do it in the vector body of a loop but not in its tail.  So there are no tails: a rule only ever
 * sees whole rows of LANES floats; what is left at the end of a range is computed in a padded copy by the very same
 * instructions.
 */
#include <string.h>

#include "core/optim/optim_kernels.h"

enum {
    LANES = 16,       /* the widest vector of any level                                         */
    BLOCK = 16 * 1024 /* floats that one thread takes at a time: five arrays of them fit in L2 */
};

/* A rule over whole rows.  Never inlined, so that the padded end goes through the same code. */
typedef void rule(const ls_optim_coef *c, int64_t n, float *restrict p, const float *restrict grad, float *restrict s0,
                  float *restrict s1, float *restrict s2);
#define RULE(name)                                                                                                     \
    static __attribute__((noinline)) void name(const ls_optim_coef *c, int64_t n, float *restrict p,                   \
                                               const float *restrict grad, float *restrict s0, float *restrict s1,     \
                                               float *restrict s2)
#define ROWS(n)                                                                                                        \
    if ((n) % LANES) __builtin_unreachable()

/* The gradient as the update sees it.  Comparisons that fail for NaN let it through, as it must be noticed. */
static inline float gradient(float scale, float clip, float decay, float grad, float p)
{
    float g = grad * scale;
    g       = g > clip ? clip : g;
    g       = g < -clip ? -clip : g;
    return g + decay * p;
}

RULE(rule_sgd)
{
    const ls_optim_coef k = *c;
    (void)s0, (void)s1, (void)s2;
    ROWS(n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) p[i] -= k.rate * gradient(k.scale, k.clip, k.decay, grad[i], p[i]);
}

RULE(rule_momentum)
{
    const ls_optim_coef k = *c;
    (void)s1, (void)s2;
    ROWS(n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = gradient(k.scale, k.clip, k.decay, grad[i], p[i]);
        float m = k.keep * s0[i] + k.take * g;
        s0[i]   = m;
        p[i] -= k.rate * m;
    }
}

RULE(rule_nag)
{
    const ls_optim_coef k = *c;
    (void)s1, (void)s2;
    ROWS(n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = gradient(k.scale, k.clip, k.decay, grad[i], p[i]);
        float m = k.keep * s0[i] + g;
        s0[i]   = m;
        p[i] -= k.rate * (g + k.ahead * m);
    }
}

RULE(rule_adagrad)
{
    const ls_optim_coef k = *c;
    (void)s1, (void)s2;
    ROWS(n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = gradient(k.scale, k.clip, k.decay, grad[i], p[i]);
        float s = s0[i] + k.first + g * g;
        s0[i]   = s;
        p[i] -= k.rate * (g / (sqrtf(s) + k.eps));
    }
}

/* s0: the mean square, s1: the mean (centered), s2: the momentum buffer (buffered). */
static inline __attribute__((always_inline)) void rmsprop_rows(const ls_optim_coef *c, int64_t n, float *restrict p,
                                                               const float *restrict grad, float *restrict s0,
                                                               float *restrict s1, float *restrict s2,
                                                               const bool centered, const bool buffered)
{
    const ls_optim_coef k = *c;
    ROWS(n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float g = gradient(k.scale, k.clip, k.decay, grad[i], p[i]);
        float s = k.keep2 * s0[i] + k.take2 * g * g;
        s0[i]   = s;
        if (centered) {
            float a = s1[i] + k.take2 * (g - s1[i]);
            s1[i]   = a;
            s -= a * a;
            s = s < 0.0f ? 0.0f : s;
        }
        float m = g / (sqrtf(s) + k.eps);
        if (buffered) {
            m += k.keep * s2[i];
            s2[i] = m;
        }
        p[i] -= k.rate * m;
    }
}

RULE(rule_rmsprop) { rmsprop_rows(c, n, p, grad, s0, s1, s2, false, false); }
RULE(rule_rmsprop_centered) { rmsprop_rows(c, n, p, grad, s0, s1, s2, true, false); }
RULE(rule_rmsprop_buffered) { rmsprop_rows(c, n, p, grad, s0, s2, s1, false, true); }
RULE(rule_rmsprop_centered_buffered) { rmsprop_rows(c, n, p, grad, s0, s1, s2, true, true); }

RULE(rule_adam)
{
    const ls_optim_coef k = *c;
    (void)s2;
    ROWS(n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float w = p[i] * k.shrink;
        float g = gradient(k.scale, k.clip, k.decay, grad[i], p[i]);
        float m = s0[i] + k.take * (g - s0[i]);
        float v = k.keep2 * s1[i] + k.take2 * g * g;
        s0[i]   = m;
        s1[i]   = v;
        p[i]    = w - k.rate * (m / (sqrtf(v) * k.unbias + k.eps));
    }
}

/* ---- ranges ------------------------------------------------------------------------------------------------------ */

static inline float *at(float *x, int64_t i) { return x ? x + i : NULL; }

/* What is left after the last whole row. */
static void padded(rule *f, const ls_optim_coef *c, const ls_optim_span *s, int64_t first, int64_t n)
{
    float  row[5][LANES] = {{0}};
    float *array[5]      = {s->param, NULL, s->state[0], s->state[1], s->state[2]};
    size_t bytes         = (size_t)n * sizeof(float);
    memcpy(row[1], s->grad + first, bytes);
    for (int k = 0; k < 5; k++)
        if (array[k]) memcpy(row[k], array[k] + first, bytes);
    f(c, LANES, row[0], row[1], row[2], row[3], row[4]);
    for (int k = 0; k < 5; k++)
        if (array[k]) memcpy(array[k] + first, row[k], bytes);
}

static void run(rule *f, const ls_optim_coef *c, const ls_optim_span *s)
{
    const int64_t blocks = (s->count + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (int64_t b = 0; b < blocks; b++) {
        int64_t first = b * BLOCK, n = s->count - first < BLOCK ? s->count - first : BLOCK, rest = n % LANES;
        if (n > rest)
            f(c, n - rest, s->param + first, s->grad + first, at(s->state[0], first), at(s->state[1], first),
              at(s->state[2], first));
        if (rest) padded(f, c, s, first + n - rest, rest);
    }
}

static void apply_sgd(const ls_optim_coef *c, const ls_optim_span *s) { run(rule_sgd, c, s); }
static void apply_momentum(const ls_optim_coef *c, const ls_optim_span *s) { run(rule_momentum, c, s); }
static void apply_nag(const ls_optim_coef *c, const ls_optim_span *s) { run(rule_nag, c, s); }
static void apply_adagrad(const ls_optim_coef *c, const ls_optim_span *s) { run(rule_adagrad, c, s); }
static void apply_rmsprop(const ls_optim_coef *c, const ls_optim_span *s)
{
    static rule *const rules[2][2] = {{rule_rmsprop, rule_rmsprop_buffered},
                                      {rule_rmsprop_centered, rule_rmsprop_centered_buffered}};
    run(rules[c->centered][c->buffered], c, s);
}
static void apply_adam(const ls_optim_coef *c, const ls_optim_span *s) { run(rule_adam, c, s); }
static void apply_adamw(const ls_optim_coef *c, const ls_optim_span *s) { run(rule_adam, c, s); }

const struct ls_optim_kernels LS_ISA_NAME(ls__optim_kernels) = {.apply = {[LS_OPTIM_SGD]      = apply_sgd,
                                                                          [LS_OPTIM_MOMENTUM] = apply_momentum,
                                                                          [LS_OPTIM_NAG]      = apply_nag,
                                                                          [LS_OPTIM_ADAGRAD]  = apply_adagrad,
                                                                          [LS_OPTIM_RMSPROP]  = apply_rmsprop,
                                                                          [LS_OPTIM_ADAM]     = apply_adam,
                                                                          [LS_OPTIM_ADAMW]    = apply_adamw}};
