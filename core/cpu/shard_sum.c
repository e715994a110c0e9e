/* SPDX-License-Identifier: Apache-2.0
 * Adds partial sums of shards in tiles of 4 KiB, so that the partial sums of a tile stay in the cache. */
#include "core/cpu/shard_sum.h"

#include "core/cpu/vector/vec.h"

enum { TILE = 1024 /* floats */ };

void ls__add_into(int64_t n, const float *x, float *y) { V_MAP(n, V_PUT(y, V_GET(y) + V_GET(x))); }

/* Folds elements [at, at + n) of the gradients of all groups. */
static void fold_tile(const ls_call *c, int input, int64_t count, float *partial, int64_t at, int64_t n)
{
    for (int k = 0; k < c->groups; k++) {
        const ls_group *group = &c->group[k];
        float          *first = partial + group->first * count + at;
        for (int step = 1; step < group->shards; step *= 2)
            for (int s = 0; s + step < group->shards; s += 2 * step)
                ls__add_into(n, first + (s + step) * count, first + s * count);
        float *grad = ls__group_grad(c, input, k) + at;
        if (ls__group_add(c, input, k))
            ls__add_into(n, first, grad);
        else
            memcpy(grad, first, (size_t)n * sizeof *grad);
    }
}

void ls__fold(const ls_call *c, int input, int64_t count, float *partial)
{
    const bool worth_threads = count * c->shards >= 1 << 16;
#pragma omp parallel for schedule(static) if (worth_threads)
    for (int64_t at = 0; at < count; at += TILE)
        fold_tile(c, input, count, partial, at, count - at < TILE ? count - at : TILE);
}
