/* SPDX-License-Identifier: Apache-2.0
 *
 * The optimizers' kernels, one per kind and instruction-set level.  Not public.
 *
 * optim.c works out the coefficients of a step once, in double; a kernel applies them to every element, in float, in
 * one pass over memory.
 */
#ifndef LS_CORE_OPTIM_OPTIM_KERNELS_H
#define LS_CORE_OPTIM_OPTIM_KERNELS_H

#include <math.h>

#include "core/base/isa.h"
#include "core/core.h"

/* Of one step.  Those that a kind does not use are 0. */
typedef struct ls_optim_coef {
    float scale;  /* multiplies the gradient                                                   */
    float clip;   /* then it is clipped to +- this; infinite: not                              */
    float decay;  /* L2 term: gradient += decay * param                                        */
    float shrink; /* decoupled decay: param *= shrink                                          */
    float rate;   /* param -= rate * direction                                                 */
    float keep;   /* of the first moment or momentum buffer                                    */
    float take;   /* weight with which the gradient enters it                                  */
    float keep2;  /* the same for the second moment                                            */
    float take2;
    float ahead;  /* nag: momentum by which the direction looks ahead                          */
    float first;  /* adagrad: added to the accumulator, in step 0 only                         */
    float unbias; /* adam: multiplies the root of the second moment                            */
    float eps;
    bool  centered, buffered; /* rmsprop */
} ls_optim_coef;

/* count floats of each array; state beyond what the kind has is NULL. */
typedef struct ls_optim_span {
    int64_t      count;
    float       *param;
    const float *grad;
    float       *state[3];
} ls_optim_span;

typedef void ls_optim_fn(const ls_optim_coef *c, const ls_optim_span *s);

struct ls_optim_kernels {
    ls_optim_fn *apply[LS_OPTIM_COUNT]; /* by ls_optim_kind */
};

#ifdef LS_ISA_SUFFIX
extern const struct ls_optim_kernels LS_ISA_NAME(ls__optim_kernels);
#endif

/* The decimal number that was meant by a float: 0.999f is 0.99900001287, which makes 1 - beta2 wrong in the fifth
 * digit. Up to 7 decimal places are recognised; any other value is kept as it is. */
static inline double ls__decimal(float x)
{
    double d = round((double)x * 1e7) / 1e7;
    return (float)d == x ? d : (double)x;
}

#endif
