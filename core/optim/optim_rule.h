/* SPDX-License-Identifier: Apache-2.0
 *
 * Descriptors of optimizers, and the code that their update rules share.  Not public.
 *
 * An optimizer is one descriptor: its defaults, its settings, its state, the coefficients of a step (computed once per
 * step, in double) and its kernel (applies the coefficients to every element, in float, in one pass over memory).
 * Files with descriptors are compiled once per instruction-set level.
 */
#ifndef LS_CORE_OPTIM_OPTIM_RULE_H
#define LS_CORE_OPTIM_OPTIM_RULE_H

#include <math.h>
#include <string.h>

#include "core/base/isa.h"
#include "core/core.h"

/* A setting that some optimizers have.  Settings of all optimizers (lr, weight_decay, clipping) are in optim.c. */
typedef struct ls_optim_setting {
    const char *name;
    size_t      offset; /* in ls_optim, bytes */
    double      high;   /* upper end of the range, which starts at 0 */
    bool        below;  /* `high` itself is not allowed */
    bool        flag;   /* the setting is a bool, not a float */
} ls_optim_setting;
/* A row of a table of settings: LS_OPTIM_SETTING(alpha, .high = 1). */
#define LS_OPTIM_SETTING(member, ...)                                                                                  \
    {                                                                                                                  \
        .name = #member, .offset = offsetof(ls_optim, member), __VA_ARGS__                                             \
    }

/* Coefficients of one step.  A rule ignores coefficients that its formula does not have. */
typedef struct ls_optim_coef {
    float grad_scale;             /* factor of the gradient, applied before clipping by value */
    float clip_value;             /* largest absolute value of an element of the gradient; infinity: no clipping */
    float weight_decay;           /* L2 term: gradient += weight_decay * param */
    float param_scale;            /* decoupled weight decay: param *= param_scale */
    float lr;                     /* learning rate: param -= lr * direction */
    float momentum;               /* decay of the momentum buffer */
    float grad_weight;            /* weight of the gradient in the first moment or momentum buffer */
    float square_decay;           /* decay of the second moment */
    float square_weight;          /* weight of the squared gradient in the second moment */
    float initial;                /* adagrad: value added to the accumulator in step 0, else 0 */
    float bias_correction;        /* adam: factor of the square root of the second moment */
    float eps;                    /* added to the denominator */
    float average_decay;          /* decay of the average of the parameters */
    float slow_step;              /* step of the slow weights towards the parameters, which then equal them; 0: none */
    bool  slow_start;             /* the slow weights begin as the parameters before this step */
    float trust_ratio;            /* lars: factor of the gradient with its L2 term */
    bool  matrix;                 /* muon: the elements belong to a hidden matrix */
    bool  centered, has_momentum; /* rmsprop: variants of the rule */
} ls_optim_coef;

/* The arrays of a step, `count` floats each; unused state arrays are NULL. */
typedef struct ls_optim_arrays {
    int64_t count;
    float  *param, *grad, *state[3];
    float  *slow;    /* slow weights; NULL: none */
    float  *average; /* of the parameters; NULL: none */
} ls_optim_arrays;

/* The parts of a step of hidden matrices (core/optim/muon.c). */
typedef struct ls_optim_matrices {
    /* Renews the momentum, and replaces the gradient by the direction that `orthogonalise` takes. */
    void (*momentum)(const ls_optim_coef *c, const ls_optim_arrays *s);
    /* Orthogonalises a matrix of rows x cols in place.  workspace: workspace_bytes(rows, cols), 64-byte aligned. */
    void (*orthogonalise)(int64_t rows, int64_t cols, float *x, float *workspace);
    size_t (*workspace_bytes)(int64_t rows, int64_t cols);
    double (*flops)(int64_t rows, int64_t cols); /* floating-point operations of `orthogonalise` */
} ls_optim_matrices;

typedef struct ls_optim_descriptor {
    ls_optim                defaults;
    const ls_optim_setting *settings; /* (optional) ended by a NULL name */
    /* (optional, default: no state) Writes the names of the state arrays, at most 3.  Returns their number. */
    int (*states)(const ls_optim *o, const char *name[3]);
    /* (optional, default: none) Sets the coefficients of one step that depend on the optimizer. */
    void (*coefficients)(const ls_optim *o, const ls_optim_step *s, ls_optim_coef *c);
    const ls_optim_matrices *matrices; /* (optional) hidden matrices are updated in several parts */
    /* Updates the parameters and the state. */
    void (*apply)(const ls_optim_coef *c, const ls_optim_arrays *s);
} ls_optim_descriptor;

/* Returns the decimal number that a float stands for, if it has up to 7 decimal places; else the value itself.  0.999f
 * is 0.99900001287, with which 1 - beta2 would be wrong in the fifth digit. */
static inline double ls__decimal(float x)
{
    double d = round((double)x * 1e7) / 1e7;
    return (float)d == x ? d : (double)x;
}

/* The functions for hidden matrices at the instruction-set level in use; NULL: the optimizer has none. */
const ls_optim_matrices *ls__optim_matrices(const ls_optim *o);
/* The first part of a step of a hidden matrix: ls_optim_matrices.momentum. */
void ls__optim_momentum(const ls_optim *o, const ls_optim_step *s);
/* Whether the parameters have state array i: those of a hidden matrix, or the others. */
bool ls__optim_has_state(const ls_optim *o, int i, bool matrix);

#ifdef LS_ISA_SUFFIX
/* Defines the descriptor of an optimizer at the instruction-set level of the file: LS_OPTIM(adam) = {...}. */
#define LS_OPTIM(id) const ls_optim_descriptor LS_ISA_NAME(ls__optim_##id)

#define ls__optim_run LS_ISA_NAME(ls__optim_run)

enum { LS_OPTIM_LANES = 16 }; /* floats of the widest vector of any level */

/* An update rule, applied to n elements; n is a multiple of LS_OPTIM_LANES.  p: parameters; s0, s1, s2: state.  Rules
 * are not inlined, so that the remainder of a range (in a padded copy) runs through the same instructions as the rest,
 * and the bits of an element do not depend on the end of the range. */
typedef void ls_optim_rule(const ls_optim_coef *c, int64_t n, float *restrict p, const float *restrict grad,
                           float *restrict s0, float *restrict s1, float *restrict s2);
/* Starts the definition of a rule: LS_OPTIM_RULE(adam_rule) { ... }. */
#define LS_OPTIM_RULE(name)                                                                                            \
    static __attribute__((noinline)) void name(const ls_optim_coef *c, int64_t n, float *restrict p,                   \
                                               const float *restrict grad, float *restrict s0, float *restrict s1,     \
                                               float *restrict s2)
/* Promises the compiler that n is a multiple of LS_OPTIM_LANES, so that a loop over n needs no tail. */
#define LS_OPTIM_WHOLE_ROWS(n)                                                                                         \
    if ((n) % LS_OPTIM_LANES) __builtin_unreachable()

/* Applies a rule to all elements of the arrays, on all threads. */
void ls__optim_run(ls_optim_rule *rule, const ls_optim_coef *c, const ls_optim_arrays *s);

/* Returns the gradient that the update uses: scaled, clipped, with the L2 term.  NaN is not clipped, so that it reaches
 * the parameters and is noticed. */
static inline float ls__optim_gradient(const ls_optim_coef *c, float grad, float p)
{
    float g = grad * c->grad_scale;
    g       = g > c->clip_value ? c->clip_value : g;
    g       = g < -c->clip_value ? -c->clip_value : g;
    return g + c->weight_decay * p;
}
#endif

#endif
