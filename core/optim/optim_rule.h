/* SPDX-License-Identifier: Apache-2.0
 *
 * The descriptor of an optimizer, and what the update rules share.  Not public.
 *
 * An optimizer is one descriptor: its defaults, the settings it has, its state, the coefficients of a step (computed once
 * per step, in double) and its kernel (applies them to every element, in float, in one pass over memory).  The files
 * with descriptors are compiled once per instruction-set level.
 */
#ifndef LS_CORE_OPTIM_OPTIM_RULE_H
#define LS_CORE_OPTIM_OPTIM_RULE_H

#include <math.h>
#include <string.h>

#include "core/base/isa.h"
#include "core/core.h"

/* A setting of some optimizers.  The settings that all have (lr, weight_decay, clipping) are in optim.c. */
typedef struct ls_optim_setting {
    const char *name;
    size_t      offset; /* in ls_optim                                                */
    double      high;   /* range: 0 to high                                           */
    bool        below;  /* `high` itself is excluded                                  */
    bool        flag;   /* a bool instead of a float                                  */
} ls_optim_setting;
#define LS_OPTIM_SETTING(member, ...)                                                                                  \
    {                                                                                                                  \
        .name = #member, .offset = offsetof(ls_optim, member), __VA_ARGS__                                             \
    }

/* Coefficients of one step.  A rule ignores those that it does not use. */
typedef struct ls_optim_coef {
    float grad_scale;      /* multiplies the gradient                                            */
    float clip_value;      /* then clips it to +- this; infinity: no clipping                    */
    float weight_decay;    /* L2 term: gradient += weight_decay * param                          */
    float param_scale;     /* decoupled weight decay: param *= param_scale                       */
    float lr;              /* param -= lr * direction                                            */
    float momentum;        /* decay of the momentum buffer                                       */
    float grad_weight;     /* weight of the gradient in the first moment or momentum buffer      */
    float square_decay;    /* decay of the second moment                                         */
    float square_weight;   /* weight of the squared gradient in it                               */
    float initial;         /* adagrad: added to the accumulator, in step 0 only                  */
    float bias_correction; /* adam: multiplies the square root of the second moment              */
    float eps;
    bool  centered, has_momentum; /* rmsprop */
} ls_optim_coef;

/* `count` floats of each array; unused states are NULL. */
typedef struct ls_optim_span {
    int64_t count;
    float  *param, *grad, *state[3];
} ls_optim_span;

typedef struct ls_optim_descriptor {
    ls_optim                defaults;
    const ls_optim_setting *settings; /* (optional) ended by a NULL name */
    /* (optional: none) Writes the names of the state arrays, at most 3; returns their number. */
    int (*states)(const ls_optim *o, const char *name[3]);
    /* (optional: none) Completes the coefficients of one step. */
    void (*coefficients)(const ls_optim *o, const ls_optim_step *s, ls_optim_coef *c);
    void (*apply)(const ls_optim_coef *c, const ls_optim_span *s);
} ls_optim_descriptor;

/* The decimal number that a float stands for: 0.999f is 0.99900001287, which makes 1 - beta2 wrong in the fifth digit.
 * Recognises up to 7 decimal places; returns any other value unchanged. */
static inline double ls__decimal(float x)
{
    double d = round((double)x * 1e7) / 1e7;
    return (float)d == x ? d : (double)x;
}

#ifdef LS_ISA_SUFFIX
/* A descriptor: LS_OPTIM(adam) = {...}. */
#define LS_OPTIM(id) const ls_optim_descriptor LS_ISA_NAME(ls__optim_##id)

#define ls__optim_run LS_ISA_NAME(ls__optim_run)

enum { LS_OPTIM_LANES = 16 }; /* floats of the widest vector of any level */

/* A rule over a multiple of LS_OPTIM_LANES elements.  Never inlined: the remainder of a range, in a padded copy, goes
 * through the same instructions as the rest, so an element's bits do not depend on where a range ends. */
typedef void ls_optim_rule(const ls_optim_coef *c, int64_t n, float *restrict p, const float *restrict grad,
                           float *restrict s0, float *restrict s1, float *restrict s2);
#define LS_OPTIM_RULE(name)                                                                                            \
    static __attribute__((noinline)) void name(const ls_optim_coef *c, int64_t n, float *restrict p,                   \
                                               const float *restrict grad, float *restrict s0, float *restrict s1,     \
                                               float *restrict s2)
#define LS_OPTIM_WHOLE_ROWS(n)                                                                                         \
    if ((n) % LS_OPTIM_LANES) __builtin_unreachable()

/* Applies a rule to a range, on all threads. */
void ls__optim_run(ls_optim_rule *rule, const ls_optim_coef *c, const ls_optim_span *s);

/* The gradient that the update uses.  NaN passes the comparisons, so that it is noticed. */
static inline float ls__optim_gradient(const ls_optim_coef *c, float grad, float p)
{
    float g = grad * c->grad_scale;
    g       = g > c->clip_value ? c->clip_value : g;
    g       = g < -c->clip_value ? -c->clip_value : g;
    return g + c->weight_decay * p;
}
#endif

#endif
