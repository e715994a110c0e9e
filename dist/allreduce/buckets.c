/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradient buckets: see dist/allreduce/buckets.h.
 *
 * Parameters are laid out in the order in which their gradients become complete, so a bucket is a range of the gradient
 * block and no gradient is copied (Li et al., "PyTorch Distributed", VLDB 2020, section 3.2.3, copies them). */
#include "dist/allreduce/buckets.h"

/* Minimum size of the next bucket when `left` floats are not yet in a bucket. */
static int64_t min_bytes_of_next(int64_t bytes, int64_t min_bytes, size_t left)
{
    int64_t half = (int64_t)(left * sizeof(float)) / 2;
    if (min_bytes <= 0 || half >= bytes) return bytes;
    return half > min_bytes ? half : min_bytes < bytes ? min_bytes : bytes;
}

static ls_range range_between(size_t begin, size_t end) { return (ls_range){(int64_t)begin, (int64_t)(end - begin)}; }

int ls__buckets(const ls_params *params, int64_t bytes, int64_t min_bytes, ls_arena *arena, ls_bucket **out)
{
    ls_bucket *bucket = ls_arena_alloc(arena, (2 * (size_t)params->count + 2) * sizeof *bucket);
    int        n      = 0;
    size_t     start  = 0;
    for (int i = 0; i < params->count; i++) {
        const ls_param_slot *s    = &params->slot[params->order[i]],
                            *next = i + 1 < params->count ? &params->slot[params->order[i + 1]] : NULL;
        if (!s->trained) break; /* the frozen parameters are at the end */
        bool   last = !next || !next->trained;
        size_t end  = last ? params->trained : next->offset;
        if (s->second && start < s->offset) {
            bucket[n++] = (ls_bucket){.range = range_between(start, s->offset)};
            start       = s->offset;
        }
        if (!last && !s->second &&
            (int64_t)((end - start) * sizeof(float)) < min_bytes_of_next(bytes, min_bytes, params->trained - start))
            continue;
        bucket[n++] = (ls_bucket){.range = range_between(start, end), .addend = (int64_t)s->second};
        start       = end;
    }
    for (int i = 0; i < params->tied; i++) {
        size_t begin = params->slot[params->seconds[i]].second,
               end   = i + 1 < params->tied ? params->slot[params->seconds[i + 1]].second : params->sums;
        bucket[n++]  = (ls_bucket){.range = range_between(begin, end), .is_addend = true};
    }
    *out = bucket;
    return n;
}

ls_range ls__bucket_params(const ls_bucket *b)
{
    int64_t header = b->range.offset ? 0 : LS_PARAM_START;
    return (ls_range){b->range.offset + header, b->range.count - header};
}
