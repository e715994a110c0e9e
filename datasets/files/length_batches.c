/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches of samples of similar lengths.
 *
 * A batch is as wide as its longest sample.  Batches in random order waste half of their positions on padding, so
 * the permutation of an epoch (ls_sample_at) is cut into pools of 100 batches (Marian's maxi-batch).  A pool is sorted
 * by (first length, second length, index) and cut into batches.  Then the full batches of the pool are shuffled; a
 * short batch at the end of the epoch remains the last one.  For evaluation, the whole split is one pool, and the order
 * of its batches is the same for all seeds and epochs: it is not sorted, because a run may evaluate the first batches
 * only (eval.samples), which must not be those of short samples.
 *
 * A batch is dealt to the virtual shards in descending order, to shards 0 to V - 1, then V - 1 to 0, and so on, so that
 * shards and ranks get equal work.
 *
 * All this is a function of (seed, epoch, position, batch, shards).  A pool is kept for the batches after the current
 * one, and made again where a run resumes.
 */
#include <stdlib.h>

#include "core/base/integer.h"
#include "core/base/philox.h"
#include "datasets/files/length_batches.h"

enum { POOL_BATCHES = 100 };

static int64_t pool_size(int64_t count, const ls_order *o)
{
    return o->in_order || o->batch > count / POOL_BATCHES ? count : POOL_BATCHES * o->batch;
}

size_t ls__length_pool_bytes(int64_t count, const ls_order *o)
{
    return sizeof(ls_length_pool) + (size_t)pool_size(count, o) * sizeof(ls_length_item);
}

static int by_length(const void *p, const void *q)
{
    const ls_length_item *x = p, *y = q;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    if (x->second != y->second) return x->second < y->second ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static void fill_pool(const ls_dataset *d, ls_lengths_of lengths, ls_length_pool *pool, const ls_order *o,
                      int64_t epoch, int64_t first)
{
    const int64_t count = d->info.count;
    pool->epoch         = epoch;
    pool->first         = first;
    pool->count         = ls__min(pool_size(count, o), count - first);
    for (int64_t k = 0; k < pool->count; k++) {
        pool->item[k].index = o->in_order ? first + k : ls_sample_at(o->seed, epoch, count, first + k);
        lengths(d, &pool->item[k]);
    }
    qsort(pool->item, (size_t)pool->count, sizeof *pool->item, by_length);
}

/* Deals n sorted samples, the last one first, to the shards. */
static void deal(const ls_length_item *item, int64_t n, int shards, int64_t *sample)
{
    const ls_length_item *next = item + n;
    for (int64_t round = 0; next > item; round++)
        for (int k = 0; k < shards; k++) {
            const int64_t shard = round % 2 ? shards - 1 - k : k, begin = shard * n / shards,
                          end = (shard + 1) * n / shards;
            if (begin + round < end) sample[begin + round] = (--next)->index;
        }
}

void ls__length_batch(const ls_dataset *d, ls_lengths_of lengths, ls_length_pool *pool, const ls_order *o,
                      const ls_place *first, int64_t *sample)
{
    const int64_t size = pool_size(d->info.count, o), begin = first->at / size * size;
    if (!pool->count || pool->first != begin || pool->epoch != first->epoch)
        fill_pool(d, lengths, pool, o, first->epoch, begin);
    const int64_t full = pool->count / o->batch;
    int64_t       k    = (first->at - begin) / o->batch;
    if (k < full)
        k = o->in_order ? ls_sample_at(0, 0, full, k)
                        : ls_sample_at(ls_key(o->seed + (uint64_t)(begin / size), "batches"), first->epoch, full, k);
    deal(pool->item + k * o->batch, first->batch_rows, o->shards, sample);
}
