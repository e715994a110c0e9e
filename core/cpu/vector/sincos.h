/* SPDX-License-Identifier: Apache-2.0
 *
 * Sines and cosines of  position * base^(-2 i / width),  i = 0, 1, ...: the angles of positional encodings (Vaswani
 * 2017, Su 2021).
 *
 * An angle is a 64-bit fraction of a full circle, so the product of position and frequency wraps around by itself, and
 * is as exact at position 10^6 as at position 1.  Polynomials then cover an eighth of the circle.  The error is at most
 * 2e-7.  The code calls no sin or cos of the C library, which round differently on different machines.
 */
#ifndef LS_CORE_CPU_VECTOR_SINCOS_H
#define LS_CORE_CPU_VECTOR_SINCOS_H

#include <math.h>

#include "core/cpu/vector/vec.h"

/* Returns log(x), with an error of at most 1e-15. */
static inline double ls__angle_log(double x)
{
    int    e;
    double m = frexp(x, &e);
    if (m < 0.70710678118654752) {
        m *= 2;
        e--;
    }
    const double s = (m - 1) / (m + 1), square = s * s;
    double       sum = 0;
    for (int k = 25; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
    return 2 * s * sum + e * 0.69314718055994531;
}

/* Returns exp(-x) for x >= 0, with an error of at most 1e-15. */
static inline double ls__angle_exp(double x)
{
    int    n = (int)(x * 1.4426950408889634 + 0.5);
    double r = n * 0.69314718055994531 - x, sum = 1;
    for (int k = 20; k >= 1; k--) sum = 1 + sum * r / k;
    return ldexp(sum, -n);
}

/* One radian as a fraction of a full circle: 1 / (2 pi). */
#define LS_RADIAN 0.15915494309189534

/* base^(-2 / width), the ratio of neighbouring frequencies.  base >= 1. */
static inline double ls__angle_ratio(double base, int64_t width)
{
    return ls__angle_exp(2 * ls__angle_log(base) / (double)width);
}

/* A fraction of a full circle in units of 2^-64. */
static inline uint64_t ls__angle_step(double turns) { return (uint64_t)(turns * 0x1p64); }

/* step[i] = base^(-2 i / width) radians for i < n, as ls__angle_step. */
static inline void ls__angle_steps(double base, int64_t width, int64_t n, uint64_t *step)
{
    double ratio = ls__angle_ratio(base, width), turns = LS_RADIAN;
    for (int64_t i = 0; i < n; i++, turns *= ratio) step[i] = ls__angle_step(turns);
}

/* Computes sine and cosine of LS_V angles, given as fractions of a full circle in units of 2^-32.  The polynomials are
 * those of Cephes for angles of up to pi/4. */
V_INLINE void v_sin_cos(vu turns, vf *sine, vf *cosine)
{
    vu quarter = (turns + 0x20000000u) >> 30;
    vf x = v_from_int((vi)(turns - (quarter << 30))) * 0x1.921fb6p-30f, z = x * x;
    vf s = v_fma(v_fma(v_fma(v_set(-1.9515295891e-4f), z, v_set(8.3321608736e-3f)), z, v_set(-1.6666654611e-1f)) * z, x,
                 x);
    vf c = v_fma(
        v_fma(v_fma(v_set(2.443315711809948e-5f), z, v_set(-1.388731625493765e-3f)), z, v_set(4.166664568298827e-2f)),
        z * z, v_fma(v_set(-0.5f), z, v_set(1.0f)));
    vi odd  = (vi)(quarter << 31) >> 31;
    *sine   = (vf)((vu)v_select(odd, c, s) ^ ((quarter & 2u) << 30));
    *cosine = (vf)((vu)v_select(odd, s, c) ^ (((quarter + 1u) & 2u) << 30));
}

/* Computes sine and cosine of position * step[i] for i < n.  Both arrays have room for a multiple of LS_V values. */
static inline void ls__angles(int64_t position, int64_t n, const uint64_t *step, float *sine, float *cosine)
{
    for (int64_t i = 0; i < n; i += LS_V) {
        uint32_t turns[LS_V] = {0};
        vu       v;
        vf       s, c;
        for (int64_t k = 0; k < LS_V && i + k < n; k++) turns[k] = (uint32_t)((uint64_t)position * step[i + k] >> 32);
        memcpy(&v, turns, sizeof v);
        v_sin_cos(v, &s, &c);
        v_store(sine + i, s);
        v_store(cosine + i, c);
    }
}

#endif
