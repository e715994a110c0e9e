/* SPDX-License-Identifier: Apache-2.0
 *
 * Philox random numbers (core/base/philox.h) for LS_V consecutive counters at a time, and the dropout mask made from
 * them. */
#ifndef LS_CORE_CPU_VECTOR_VEC_PHILOX_H
#define LS_CORE_CPU_VECTOR_VEC_PHILOX_H

#include <math.h>

#include "core/base/philox.h"
#include "core/cpu/vector/vec.h"

typedef uint64_t vq __attribute__((vector_size(sizeof(float) * LS_V)));

/* Multiplies each lane of a by m.  low, high: the two 32-bit halves of the 64-bit products. */
V_INLINE void v_multiply_wide(vu a, uint32_t m, vu *low, vu *high)
{
    *low = a * m;
#if defined(__AVX512F__)
    vq by = (vq)_mm512_set1_epi32((int)m), even = (vq)_mm512_mul_epu32((__m512i)a, (__m512i)by),
       odd = (vq)_mm512_mul_epu32((__m512i)((vq)a >> 32), (__m512i)by);
#elif defined(__AVX2__)
    vq by = (vq)_mm256_set1_epi32((int)m), even = (vq)_mm256_mul_epu32((__m256i)a, (__m256i)by),
       odd = (vq)_mm256_mul_epu32((__m256i)((vq)a >> 32), (__m256i)by);
#else
    vq even, odd;
    for (int i = 0; i < LS_V / 2; i++) {
        even[i] = (uint64_t)a[2 * i] * m;
        odd[i]  = (uint64_t)a[2 * i + 1] * m;
    }
#endif
    *high = (vu)((even >> 32) | (odd & ~(uint64_t)UINT32_MAX));
}

/* Sets lane i of v[k] to number k of ls_philox(key, counter_hi, (upper << 32) + lower + i). */
V_INLINE void v_philox(uint64_t key, uint64_t counter_hi, uint32_t upper, uint32_t lower, vu v[4])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    v[0] = (vu)v_iota() + lower;
    v[1] = (vu){0} + upper;
    v[2] = (vu){0} + (uint32_t)counter_hi;
    v[3] = (vu){0} + (uint32_t)(counter_hi >> 32);
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        vu low0, high0, low2, high2;
        v_multiply_wide(v[0], 0xD2511F53u, &low0, &high0);
        v_multiply_wide(v[2], 0xCD9E8D57u, &low2, &high2);
        v[0] = high2 ^ v[1] ^ k0;
        v[2] = high0 ^ v[3] ^ k1;
        v[1] = low2;
        v[3] = low0;
    }
}

/* Returns the factors of dropout with probability p: 0 where ls_uniform01(bits) < p, else 1 / (1 - p). */
V_INLINE vf v_keep(vu bits, float p)
{
    return v_select((vi)(bits >> 8) < (int32_t)ceilf(p * 0x1p24f), v_set(0), v_set(1 / (1 - p)));
}

#endif
