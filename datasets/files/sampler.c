/* SPDX-License-Identifier: Apache-2.0
 *
 * A shuffled order without an array: a permutation of 0 to count - 1 as a pure function.
 *
 * A Feistel network permutes the smallest power of two 2^k >= count: the k bits are cut into two halves (of k/2 and
 * k - k/2 bits), and each round xors one half with a random function of the other.  Such a round is its own inverse, so
 * the network is a bijection for any round function (Luby and Rackoff 1988).  The round function is Philox with the
 * round in the counter.
 *
 * A result >= count is permuted again, until it is below count ("cycle walking", Black and Rogaway 2002).  This walks
 * along a cycle of a permutation, so it is a permutation of the numbers below count.  Because 2^k < 2 count, it takes
 * fewer than two iterations on average.
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
