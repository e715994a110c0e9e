/* SPDX-License-Identifier: Apache-2.0
 *
 * bfloat16: the upper half of a float32 (sign, 8 bits of exponent, 7 bits of mantissa).
 *
 * Widening is exact.  Narrowing rounds to nearest, ties to even.  A denormal float32 becomes zero and a NaN becomes a
 * quiet NaN, as VCVTNEPS2BF16 does it, so all instruction-set levels give the same bits.
 */
#ifndef LS_CORE_CPU_VECTOR_BF16_H
#define LS_CORE_CPU_VECTOR_BF16_H

#include "core/cpu/vector/vec.h"

typedef uint16_t vh __attribute__((vector_size(sizeof(uint16_t) * LS_V)));
typedef uint16_t vh_any __attribute__((vector_size(sizeof(uint16_t) * LS_V), aligned(2), may_alias));

V_INLINE vf v_widen(vh a)
{
#if defined(__AVX512F__)
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)a), 16);
#elif defined(__AVX2__)
    return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32((__m128i)a), 16);
#else
    return (vf)(__builtin_convertvector(a, vu) << 16);
#endif
}

V_INLINE vh v_narrow(vf a)
{
#if defined(__AVX512BF16__)
    return (vh)_mm512_cvtneps_pbh((__m512)a);
#elif defined(__AVX512BW__)
    const __m512i   bits = (__m512i)a, odd = _mm512_and_epi32(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i   rounded  = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const __mmask16 denormal = _mm512_testn_epi32_mask(bits, _mm512_set1_epi32(0x7f800000)); /* or zero */
    const __mmask16 nan      = _mm512_cmp_ps_mask((__m512)a, (__m512)a, _CMP_UNORD_Q);
    const __m512i   number   = _mm512_mask_and_epi32(rounded, denormal, bits, _mm512_set1_epi32(INT32_MIN));
    const __m512i   y        = _mm512_mask_or_epi32(number, nan, bits, _mm512_set1_epi32(0x400000));
    const __m512i   upper = _mm512_set_epi16(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 31, 29, 27, 25, 23, 21, 19,
                                             17, 15, 13, 11, 9, 7, 5, 3, 1);
    return (vh)_mm512_castsi512_si256(_mm512_permutexvar_epi16(upper, y));
#else
    const vu      bits = (vu)a, magnitude = bits & 0x7fffffffu;
    const vu      rounded = bits + 0x7fffu + (bits >> 16 & 1u);
    const vu      special = (vu)(magnitude > 0x7f800000u) & (bits | 0x400000u); /* NaN */
    const vu      normal  = (vu)(magnitude >= 0x800000u) & (vu)(magnitude <= 0x7f800000u);
    const vu      y       = ((normal & rounded) | (~normal & (bits & 0x80000000u)) | special) >> 16;
#if defined(__AVX2__)
    const __m256i packed  = _mm256_packus_epi32((__m256i)y, (__m256i)y);
    return (vh)_mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0x08));
#else
    return __builtin_convertvector(y, vh);
#endif
#endif
}

#if defined(__AVX512BF16__)
/* sum + x w, where each lane of x and w is a pair of bfloat16 values: the odd product is added first. */
V_INLINE vf v_dot(vf x, vf w, vf sum) { return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)x, (__m512bh)w); }
#endif

V_INLINE vf   v_load_bf16(const uint16_t *p) { return v_widen(*(const vh_any *)p); }
V_INLINE void v_store_bf16(uint16_t *p, vf a) { *(vh_any *)p = v_narrow(a); }

/* Loads the first n values, 0 <= n <= LS_V, and accesses no memory after them.  The other lanes are zero. */
V_INLINE vf v_load_part_bf16(const uint16_t *p, int64_t n)
{
    if (n == LS_V) return v_load_bf16(p);
#if defined(__AVX512BW__) && defined(__AVX512VL__)
    return v_widen((vh)_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p));
#else
    uint16_t lanes[LS_V] = {0};
    memcpy(lanes, p, (size_t)n * sizeof *p);
    return v_load_bf16(lanes);
#endif
}

/* Stores the first n lanes, 0 <= n <= LS_V, and accesses no memory after them. */
V_INLINE void v_store_part_bf16(uint16_t *p, vf a, int64_t n)
{
    if (n == LS_V) {
        v_store_bf16(p, a);
        return;
    }
#if defined(__AVX512BW__) && defined(__AVX512VL__)
    _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), (__m256i)v_narrow(a));
#else
    uint16_t lanes[LS_V];
    v_store_bf16(lanes, a);
    memcpy(p, lanes, (size_t)n * sizeof *p);
#endif
}

/* Converts n values. */
static inline void ls__widen(int64_t n, const uint16_t *x, float *y)
{
    V_MAP(n, V_PUT(y, v_load_part_bf16(x + v_at, v_left)));
}

static inline void ls__narrow(int64_t n, const float *x, uint16_t *y)
{
    V_MAP(n, v_store_part_bf16(y + v_at, V_GET(x), v_left));
}

/* Adds n values to y, rounding once. */
static inline void ls__add_narrow(int64_t n, const float *x, uint16_t *y)
{
    V_MAP(n, v_store_part_bf16(y + v_at, v_load_part_bf16(y + v_at, v_left) + V_GET(x), v_left));
}

/* The same for one value. */
static inline float ls__widen_1(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float          y;
    memcpy(&y, &bits, sizeof y);
    return y;
}

static inline uint16_t ls__narrow_1(float x) { return v_narrow(v_set(x))[0]; }

#endif
