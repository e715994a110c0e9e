/* SPDX-License-Identifier: Apache-2.0
 *
 * Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 * A number is a pure function of a key and a counter, so it does not depend on the rank or thread that draws it.
 */
#ifndef LS_CORE_BASE_PHILOX_H
#define LS_CORE_BASE_PHILOX_H

#include <stdint.h>

typedef struct ls_philox4 {
    uint32_t v[4];
} ls_philox4;

/* Four random 32-bit numbers for a 64-bit key and a 128-bit counter. */
static inline ls_philox4 ls_philox(uint64_t key, uint64_t counter_hi, uint64_t counter_lo)
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c0 = (uint32_t)counter_lo, c1 = (uint32_t)(counter_lo >> 32), c2 = (uint32_t)counter_hi,
             c3 = (uint32_t)(counter_hi >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (ls_philox4){{c0, c1, c2, c3}};
}

/* A uniform number in [0, 1) with 24 random bits. */
static inline float ls_uniform01(uint32_t bits) { return (float)(bits >> 8) * 0x1p-24f; }

/* A 64-bit key from a seed and a text: FNV-1a, then the finaliser of SplitMix64. */
static inline uint64_t ls_key(uint64_t seed, const char *text)
{
    uint64_t h = 0xcbf29ce484222325ull;
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 0x100000001b3ull;
    h += seed * 0x9e3779b97f4a7c15ull;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ull;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebull;
    return h ^ (h >> 31);
}

#endif
