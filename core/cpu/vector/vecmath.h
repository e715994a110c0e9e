/* SPDX-License-Identifier: Apache-2.0
 *
 * exp, log, tanh, sigmoid and erf of a vector (core/cpu/vector/vec.h), for fused loops, and activations made of these.
 * core/cpu/vector/vmath.h has the same functions for arrays, and their errors.
 *
 * The polynomials are minimax fits (Remez) of the relative error of the result, rounded to float.
 *
 *   exp      x = n ln2 + r, |r| <= ln2/2 (Cody and Waite 1980);  e^r = 1 + r + r^2 q(r);  multiplied by 2^(n/2) twice,
 *            so that denormal results are rounded once
 *   log      x = 2^e m, sqrt(1/2) <= m < sqrt(2);  log(1 + f) = f - f^2/2 + f^3 p(f)
 *   tanh     e / (e + 2)  with e = e^(2|x|) - 1, computed without cancellation
 *   sigmoid  1 / (1 + e)  with e = e^-|x|;  e / (1 + e) for negative x
 *   erf      x + x p(x^2) below 0.9277;  above it 1 - e^(-t - t p(t)), t = |x|
 */
#ifndef LS_CORE_CPU_VECTOR_VECMATH_H
#define LS_CORE_CPU_VECTOR_VECMATH_H

#include "core/cpu/vector/vec.h"

/* c[0] + c[1] x + ... + c[n - 1] x^(n - 1) */
V_INLINE vf v_poly(vf x, int n, const float *c)
{
    vf y = v_set(c[n - 1]);
#pragma GCC unroll 16
    for (int i = n - 2; i >= 0; i--) y = v_fma(y, x, v_set(c[i]));
    return y;
}

/* 2^n for -126 <= n <= 127 */
V_INLINE vf v_pow2(vi n) { return (vf)(((vu)n + 127u) << 23); }

/* Splits x = n ln2 + r.  Returns n and sets *r. */
V_INLINE vf v_exp_reduce(vf x, vf *r)
{
    vf n = v_round(x * v_set(0x1.715476p+0f));
    *r   = v_fma(n, v_set(-0.693359375f), x);
    *r   = v_fma(n, v_set(2.12194440e-4f), *r);
    return n;
}

V_INLINE vf v_exp(vf x)
{
    static const float q[] = {0x1.fffffcp-2f, 0x1.55549p-3f, 0x1.5558f8p-5f, 0x1.123b02p-7f, 0x1.6a2256p-10f};
    vf                 r;
    vf                 clamped = v_max(v_set(-104.0f), v_min(v_set(89.0f), x)); /* keeps NaN */
    vi                 n       = v_to_int(v_exp_reduce(clamped, &r));
    vf                 p       = v_fma(v_poly(r, 5, q), r * r, r) + 1.0f;
    vi                 half    = n >> 1;
    return p * v_pow2(half) * v_pow2(n - half);
}

/* exp(x) for x <= 88 at half the cost of v_exp, but 0 below -87, where v_exp returns denormals.  Adding a large number
 * rounds x / ln2 to n and leaves n in the low bits, from which 2^n is made. */
V_INLINE vf v_exp_flush(vf x)
{
    static const float q[]     = {0x1.fffffcp-2f, 0x1.55549p-3f, 0x1.5558f8p-5f, 0x1.123b02p-7f, 0x1.6a2256p-10f};
    const vf           large   = v_set(0x1.8p23f);
    vf                 shifted = v_fma(x, v_set(0x1.715476p+0f), large), n = shifted - large;
    vf                 r = v_fma(n, v_set(2.12194440e-4f), v_fma(n, v_set(-0.693359375f), x));
    vf                 p = v_fma(v_poly(r, 5, q), r * r, r) + 1.0f;
    return v_select(x < -87.0f, v_set(0), p * (vf)(((vu)shifted << 23) + 0x3f800000u));
}

V_INLINE vf v_log(vf x)
{
    static const float p[]      = {0x1.555548p-2f,  -0x1.000006p-2f, 0x1.99a4b6p-3f,  -0x1.555c4ep-3f, 0x1.233768p-3f,
                                   -0x1.fc2206p-4f, 0x1.e6f062p-4f,  -0x1.de3c1cp-4f, 0x1.1457c4p-4f};
    const vf           infinity = v_set(__builtin_inff());
    vi                 tiny     = x < v_set(0x1p-126f); /* denormals are scaled up first */
    vi                 bits     = (vi)v_select(tiny, x * 0x1p23f, x);
    vi                 e        = (vi)((vu)bits - 0x3f3504f3u) >> 23;
    vf                 f        = (vf)((vu)bits - ((vu)e << 23)) - 1.0f;
    vf                 n        = v_from_int(e + (tiny & -23));
    vf                 square   = f * f;
    vf                 y        = v_fma(v_poly(f, 9, p) * square, f, n * -2.12194440e-4f);
    y                           = v_fma(square, v_set(-0.5f), y) + f;
    y                           = v_fma(n, v_set(0.693359375f), y);
    vf special = v_select(x == 0.0f, -infinity, v_select(x == infinity, infinity, v_set(__builtin_nanf(""))));
    return v_select((x > 0.0f) & (x < infinity), y, special);
}

V_INLINE vf v_tanh(vf x)
{
    static const float q[] = {0x1p-1f, 0x1.555554p-3f, 0x1.5554bp-5f, 0x1.11118ap-7f, 0x1.6d7348p-10f, 0x1.a032d6p-13f};
    vf                 t   = v_min(v_set(10.0f), v_abs(x)), r; /* keeps NaN */
    vf                 two = v_pow2(v_to_int(v_exp_reduce(t + t, &r)));
    vf                 p   = v_fma(v_poly(r, 6, q), r * r, r);
    vf                 e   = v_fma(two, p, two - 1.0f);
    return v_copysign(e / (e + 2.0f), x);
}

V_INLINE vf v_sigmoid(vf x)
{
    vf e = v_exp(-v_abs(x));
    return v_select(x < 0.0f, e, v_set(1.0f)) / (e + 1.0f);
}

/* silu(x) = x sigmoid(x), and its derivative. */
V_INLINE vf v_silu(vf x) { return x * v_sigmoid(x); }
V_INLINE vf v_silu_slope(vf x)
{
    vf s = v_sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
}

V_INLINE vf v_erf(vf x)
{
    static const float small[] = {0x1.06eba6p-3f,  -0x1.8126ep-2f, 0x1.ce1968p-4f,
                                  -0x1.b67c6cp-6f, 0x1.46e354p-8f, -0x1.38acbcp-11f};
    static const float large[] = {0x1.077b2cp-3f, 0x1.453036p-1f,   0x1.b3446cp-4f, -0x1.85bbfp-6f,
                                  0x1.deff88p-9f, -0x1.5593f2p-12f, 0x1.82bdep-17f};
    vf                 t       = v_min(v_set(4.0f), v_abs(x)); /* keeps NaN */
    vf                 near    = v_fma(v_poly(x * x, 6, small), x, x);
    vf                 far     = 1.0f - v_exp(-v_fma(v_poly(t, 7, large), t, t));
    return v_select(t < 0.9277f, near, v_copysign(far, x));
}

/* gelu(x) = x/2 (1 + erf(x / sqrt 2)), and its derivative. */
V_INLINE vf v_gelu(vf x) { return 0.5f * x * (1.0f + v_erf(x * 0.70710678f)); }
V_INLINE vf v_gelu_slope(vf x)
{
    return 0.5f * (1.0f + v_erf(x * 0.70710678f)) + x * v_exp(-0.5f * (x * x)) * 0.39894228f;
}

/* Its tanh approximation x/2 (1 + tanh u), u = sqrt(2/pi) (x + 0.044715 x^3), and its derivative. */
V_INLINE vf v_gelu_tanh_of(vf x) { return v_tanh(0.79788456f * v_fma(0.044715f * x, x * x, x)); }
V_INLINE vf v_gelu_tanh(vf x) { return 0.5f * x * (1.0f + v_gelu_tanh_of(x)); }
V_INLINE vf v_gelu_tanh_slope(vf x)
{
    vf t = v_gelu_tanh_of(x), du = 0.79788456f * (1.0f + 3 * 0.044715f * (x * x));
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * du;
}

#endif
