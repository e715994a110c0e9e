/* SPDX-License-Identifier: Apache-2.0
 *
 * bfloat16: the upper half of a float, for messages of half the length.  Rounded to the nearest, ties to even; not a
 * number stays so. Not public. */
#ifndef LS_DIST_COMM_BFLOAT16_H
#define LS_DIST_COMM_BFLOAT16_H

#include <stdint.h>
#include <string.h>

static inline uint32_t ls__bf16_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    uint32_t rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16, quiet = u >> 16 | 0x40;
    return (u & 0x7fffffff) > 0x7f800000 ? quiet : rounded;
}

/* What is left of a float on its way. */
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

/* Floats that `count` of them take on their way. */
static inline int64_t ls__bf16_room(int64_t count) { return (count + 1) / 2; }

static inline void ls__bf16_pack(int64_t count, const float *x, float *packed)
{
    uint16_t *to = (uint16_t *)packed;
    for (int64_t i = 0; i < count; i++) to[i] = (uint16_t)ls__bf16_bits(x[i]);
    if (count % 2) to[count] = 0;
}

/* Where `count` floats are to be, they arrive in the rear half. */
static inline float *ls__bf16_rear(int64_t count, float *x) { return x + count - ls__bf16_room(count); }

static inline void ls__bf16_unpack(int64_t count, float *x)
{
    enum { SOME = 64 };
    const unsigned char *from = (const unsigned char *)ls__bf16_rear(count, x);
    uint16_t             some[SOME];
    for (int64_t i = 0; i < count; i += SOME) {
        int64_t  n = count - i < SOME ? count - i : SOME;
        uint32_t u[SOME];
        memcpy(some, from + 2 * i, (size_t)n * sizeof *some);
        for (int64_t k = 0; k < n; k++) u[k] = (uint32_t)some[k] << 16;
        memcpy(x + i, u, (size_t)n * sizeof *u);
    }
}

#endif
