/* SPDX-License-Identifier: Apache-2.0
 *
 * Vector maths: y[i] = f(x[i]) for n elements; y may be x.  The bits of an element depend on its value alone, because
 * the tail of an array runs through the same instructions as its body.  NaN, infinities, zeros of both signs and
 * denormals are treated as in libm.
 *
 * Largest error against double, in units of the last place, over every seventh of all 2^32 floats:
 *
 *     exp 1.00   log 0.82   tanh 2.42   sigmoid 2.33   erf 1.17
 */
#ifndef LS_CORE_CPU_VECTOR_VMATH_H
#define LS_CORE_CPU_VECTOR_VMATH_H

#include <stdint.h>

#include "core/base/isa.h"

/* The functions: X(exp) stands for the function ls__vexp and the field `exp` of ls_vmath. */
#define LS_VMATH_LIST(X) X(exp) X(log) X(tanh) X(sigmoid) X(erf)

/* The functions of one instruction-set level. */
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

/* A sum of up to LS_VSUM_BLOCK floats is computed in four chains, that of more as the sum of two sums: of the first
 * ls__vsum_left(n) floats and of the others. */
enum { LS_VSUM_BLOCK = 2048 };
static inline int64_t ls__vsum_left(int64_t n)
{
    int64_t left = LS_VSUM_BLOCK;
    while (left * 2 < n) left *= 2;
    return left;
}

#define ls__vmax LS_ISA_NAME(ls__vmax)
#define ls__vsum LS_ISA_NAME(ls__vsum)
#ifdef LS_ISA_SUFFIX
/* Returns the largest of n floats, n >= 1. */
float ls__vmax(int64_t n, const float *x);
/* Returns the sum of n floats, added in a tree that depends on n alone. */
float ls__vsum(int64_t n, const float *x);
#endif

#endif
