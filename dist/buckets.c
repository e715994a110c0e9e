/* SPDX-License-Identifier: Apache-2.0
 * Gradients are laid out in the order in which they become complete, so a bucket is a range and nothing is copied into it
 * (Li et al., "PyTorch Distributed", VLDB 2020, section 3.2.3, whose buckets are copies). */
#include "dist/buckets.h"

int ls__buckets(const ls_params *params, int64_t bytes, ls_bucket **out)
{
    ls_bucket *bucket = ls_arena_alloc(params->graph->arena, (2 * (size_t)params->count + 1) * sizeof *bucket);
    int        n      = 0;
    size_t     start  = 0;
    for (int i = 0; i < params->count; i++) {
        const ls_param_slot *s = &params->slot[params->order[i]];
        if (!s->trained) break; /* frozen ones stand at the end */
        bool   last = i + 1 == params->count || !params->slot[params->order[i + 1]].trained;
        size_t end  = last ? params->trained : params->slot[params->order[i + 1]].offset;
        if (!last && (int64_t)((end - start) * sizeof(float)) < bytes) continue;
        bucket[n++] = (ls_bucket){start, end - start};
        start       = end;
    }
    for (int i = 0; i < params->tied; i++) {
        size_t begin = params->slot[params->seconds[i]].second, end = i + 1 < params->tied ? params->slot[params->seconds[i + 1]].second : params->grads;
        bucket[n++]  = (ls_bucket){begin, end - begin};
    }
    *out = bucket;
    return n;
}
