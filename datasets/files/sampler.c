/* SPDX-License-Identifier: Apache-2.0
 *
 * A shuffled order without an array: a permutation of 0..count-1 as a pure function.
 *
 * The smallest power of two 2^k >= count is permuted by a Feistel network: the k bits are cut into two halves (of k/2
 * and k - k/2 bits), and each round xors one half with a random function of the other, which is undone by itself, so
 * that any round function gives a bijection (Luby and Rackoff 1988).  Round functions are Philox with the round in the
 * counter. Results >= count are put in again until one falls below ("cycle walking", Black and Rogaway 2002): a walk
 * along a cycle of a permutation is a permutation of the points kept.  2^k < 2 count, so that takes less than two turns
 * on average.
 */
#include "core/base/philox.h"
#include "datasets/datasets.h"

enum { ROUNDS = 8 };

static uint64_t permute(uint64_t key, uint64_t epoch, int bits, uint64_t x)
{
    int      low_bits = bits / 2, high_bits = bits - low_bits;
    uint64_t low_mask = (UINT64_C(1) << low_bits) - 1, high_mask = (UINT64_C(1) << high_bits) - 1;
    uint64_t low = x & low_mask, high = x >> low_bits;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        bool       odd = round & 1;
        ls_philox4 r   = ls_philox(key, epoch << 8 | round, odd ? low : high);
        uint64_t   f   = (uint64_t)r.v[1] << 32 | r.v[0];
        if (odd)
            high ^= f & high_mask;
        else
            low ^= f & low_mask;
    }
    return high << low_bits | low;
}

int64_t ls_sample_at(uint64_t seed, int64_t epoch, int64_t count, int64_t at)
{
    if (count <= 1) return 0;
    int      bits = 64 - __builtin_clzll((uint64_t)count - 1);
    uint64_t key = ls_key(seed, "sampler"), x = (uint64_t)at;
    do {
        x = permute(key, (uint64_t)epoch, bits, x);
    } while (x >= (uint64_t)count);
    return (int64_t)x;
}
