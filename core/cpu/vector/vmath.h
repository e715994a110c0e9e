/* SPDX-License-Identifier: Apache-2.0
 *
 * Vector maths: y[i] = f(x[i]) for n elements, in place allowed.  Each element's bits depend on its value alone: the
 * tail goes through the same instructions as the body.  NaN, infinities, zeros of both signs and denormals are as in
 * libm.
 *
 * Largest error against double, in units of the last place, over every seventh float of all 2^32:
 *
 *     exp 1.00   log 0.82   tanh 2.42   sigmoid 2.33   erf 1.17
 */
#ifndef LS_CORE_CPU_VECTOR_VMATH_H
#define LS_CORE_CPU_VECTOR_VMATH_H

#include <stdint.h>

#include "core/base/isa.h"

#define LS_VMATH_LIST(X) X(exp) X(log) X(tanh) X(sigmoid) X(erf)

typedef struct ls_vmath {
#define X(f) void (*f)(int64_t n, const float *x, float *y);
    LS_VMATH_LIST(X)
#undef X
} ls_vmath;

#define X(f) void LS_ISA_NAME(ls__v##f)(int64_t n, const float *x, float *y);
#ifdef LS_ISA_SUFFIX
LS_VMATH_LIST(X)
#endif
#undef X
#define ls__vexp LS_ISA_NAME(ls__vexp)
#define ls__vlog LS_ISA_NAME(ls__vlog)
#define ls__vtanh LS_ISA_NAME(ls__vtanh)
#define ls__vsigmoid LS_ISA_NAME(ls__vsigmoid)
#define ls__verf LS_ISA_NAME(ls__verf)

/* The largest of n floats (n >= 1), and their sum in a fixed tree that depends on n alone. */
#define ls__vmax LS_ISA_NAME(ls__vmax)
#define ls__vsum LS_ISA_NAME(ls__vsum)
#ifdef LS_ISA_SUFFIX
float ls__vmax(int64_t n, const float *x);
float ls__vsum(int64_t n, const float *x);
#endif

#endif
