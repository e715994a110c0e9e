/* SPDX-License-Identifier: Apache-2.0
 * Adds partial sums of shards in tiles of 4 KiB, so that the partial sums of a tile stay in the cache. */
#include "core/cpu/shard_sum.h"

#include "core/cpu/vector/vec.h"

enum { TILE = 1024 /* floats */ };

void ls__add_into(int64_t n, const float *x, float *y) { V_MAP(n, V_PUT(y, V_GET(y) + V_GET(x))); }

/* Folds elements [at, at + n) of the partial sums of all groups.  first_group: the destination of group 0.  add: add to
 * the destinations. */
static void fold_tile(const ls_call *c, float *first_group, bool add, int64_t count, float *partial, int64_t at,
                      int64_t n)
{
    for (int k = 0; k < c->groups; k++) {
        const ls_group *group = &c->group[k];
        float          *first = partial + group->first * count + at, *to = first_group + group->offset + at;
        for (int step = 1; step < group->shards; step *= 2)
            for (int s = 0; s + step < group->shards; s += 2 * step)
                ls__add_into(n, first + (s + step) * count, first + s * count);
        if (add || group->add)
            ls__add_into(n, first, to);
        else
            memcpy(to, first, (size_t)n * sizeof *to);
    }
}

static void fold(const ls_call *c, float *first_group, bool add, int64_t count, float *partial)
{
    const bool worth_threads = count * c->shards >= 1 << 16;
#pragma omp parallel for schedule(static) if (worth_threads)
    for (int64_t at = 0; at < count; at += TILE)
        fold_tile(c, first_group, add, count, partial, at, count - at < TILE ? count - at : TILE);
}

void ls__fold(const ls_call *c, int input, int64_t count, float *partial)
{
    fold(c, c->dx[input], c->add[input], count, partial);
}

void ls__fold_sums(const ls_call *c, int64_t count, float *partial) { fold(c, c->sums, false, count, partial); }
