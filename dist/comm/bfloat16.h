/* SPDX-License-Identifier: Apache-2.0
 *
 * Conversion between float32 and bfloat16 (the upper half of a float32), for messages of half the length.  Rounds to
 * nearest, ties to even; NaN stays NaN.  Not public. */
#ifndef LS_DIST_COMM_BFLOAT16_H
#define LS_DIST_COMM_BFLOAT16_H

#include <stdint.h>
#include <string.h>

/* Upper 16 bits of x after rounding. */
static inline uint32_t ls__bf16_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    uint32_t rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16, quiet = u >> 16 | 0x40;
    return (u & 0x7fffffff) > 0x7f800000 ? quiet : rounded;
}

/* The float32 that results from a conversion of x to bfloat16 and back. */
static inline float ls__bf16_round(float x)
{
    uint32_t u = ls__bf16_bits(x) << 16;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline void ls__bf16_round_all(int64_t count, float *x)
{
    for (int64_t i = 0; i < count; i++) x[i] = ls__bf16_round(x[i]);
}

/* Length of `count` packed values, floats. */
static inline int64_t ls__bf16_room(int64_t count) { return (count + 1) / 2; }

/* Packs `count` values, padded with 0 to a whole float. */
static inline void ls__bf16_pack(int64_t count, const float *x, float *packed)
{
    uint16_t *to = (uint16_t *)packed;
    for (int64_t i = 0; i < count; i++) to[i] = (uint16_t)ls__bf16_bits(x[i]);
    if (count % 2) to[count] = 0;
}

/* Address in x[count] to which packed values are received before they are unpacked in place. */
static inline float *ls__bf16_rear(int64_t count, float *x) { return x + count - ls__bf16_room(count); }

/* Unpacks values from ls__bf16_rear(count, x) to x[0 .. count - 1], in blocks that never overtake the packed values. */
static inline void ls__bf16_unpack(int64_t count, float *x)
{
    enum { BLOCK = 64 };
    const unsigned char *from = (const unsigned char *)ls__bf16_rear(count, x);
    uint16_t             packed[BLOCK];
    for (int64_t i = 0; i < count; i += BLOCK) {
        int64_t  n = count - i < BLOCK ? count - i : BLOCK;
        uint32_t u[BLOCK];
        memcpy(packed, from + 2 * i, (size_t)n * sizeof *packed);
        for (int64_t k = 0; k < n; k++) u[k] = (uint32_t)packed[k] << 16;
        memcpy(x + i, u, (size_t)n * sizeof *u);
    }
}

#endif
