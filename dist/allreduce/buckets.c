/* SPDX-License-Identifier: Apache-2.0
 * Gradients are laid out in the order in which they become complete, so a bucket is a range and nothing is copied into
 * it (Li et al., "PyTorch Distributed", VLDB 2020, section 3.2.3, whose buckets are copies). */
#include "dist/allreduce/buckets.h"

/* Of the next bucket, at least. */
static int64_t bytes_of_next(int64_t bytes, int64_t least, size_t left)
{
    int64_t half = (int64_t)(left * sizeof(float)) / 2;
    if (least <= 0 || half >= bytes) return bytes;
    return half > least ? half : least < bytes ? least : bytes;
}

int ls__buckets(const ls_params *params, int64_t bytes, int64_t least, ls_bucket **out)
{
    ls_bucket *bucket = ls_arena_alloc(params->graph->arena, (2 * (size_t)params->count + 2) * sizeof *bucket);
    int        n      = 0;
    size_t     start  = 0;
    for (int i = 0; i < params->count; i++) {
        const ls_param_slot *s    = &params->slot[params->order[i]],
                            *next = i + 1 < params->count ? &params->slot[params->order[i + 1]] : NULL;
        if (!s->trained) break; /* frozen ones stand at the end */
        bool   last = !next || !next->trained;
        size_t end  = last ? params->trained : next->offset;
        if (s->second && start < s->offset) {
            bucket[n++] = (ls_bucket){.offset = start, .count = s->offset - start};
            start       = s->offset;
        }
        if (!last && !s->second &&
            (int64_t)((end - start) * sizeof(float)) < bytes_of_next(bytes, least, params->trained - start))
            continue;
        bucket[n++] = (ls_bucket){.offset = start, .count = end - start, .plus = s->second};
        start       = end;
    }
    for (int i = 0; i < params->tied; i++) {
        size_t begin = params->slot[params->seconds[i]].second,
               end   = i + 1 < params->tied ? params->slot[params->seconds[i + 1]].second : params->grads;
        bucket[n++]  = (ls_bucket){.offset = begin, .count = end - begin, .second = true};
    }
    *out = bucket;
    return n;
}
