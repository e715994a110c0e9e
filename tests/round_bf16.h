/* SPDX-License-Identifier: Apache-2.0
 * Conversions between float32 and bfloat16, one value at a time, as references for the kernels. */
#ifndef LS_TESTS_ROUND_BF16_H
#define LS_TESTS_ROUND_BF16_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Rounds to nearest, ties to even.  A denormal number becomes zero, a NaN becomes quiet. */
static inline uint16_t round_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (isnan(x)) return (uint16_t)(bits >> 16 | 0x40);
    if ((bits & 0x7fffffff) < 0x800000) return (uint16_t)(bits >> 31 << 15);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline float widen_bf16(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float          y;
    memcpy(&y, &bits, sizeof y);
    return y;
}

#endif
