/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums over the batch as binary trees over shards (core/graph/op.h defines shards and groups).
 *
 * A kernel computes one partial sum per shard of the call.  ls__fold adds the partial sums of the shards of each group
 * pairwise, on the shard index, and the total is the gradient of the group.
 */
#ifndef LS_CORE_CPU_SHARD_SUM_H
#define LS_CORE_CPU_SHARD_SUM_H

#include "core/graph/op.h"

#define ls__fold LS_ISA_NAME(ls__fold)
#define ls__add_into LS_ISA_NAME(ls__add_into)
#define ls__fold_sums LS_ISA_NAME(ls__fold_sums)
#ifdef LS_ISA_SUFFIX
/* Writes the gradient of input `input` for every group, or adds to it if add is set for the call or the group.
 * partial: `count` floats per shard, those of shard s at partial + s * count; overwritten. */
void ls__fold(const ls_call *c, int input, int64_t count, float *partial);

/* Writes the sums over the batch of every group (LS_STAGE_SUMS).  partial: as in ls__fold. */
void ls__fold_sums(const ls_call *c, int64_t count, float *partial);

/* y[i] += x[i] */
void ls__add_into(int64_t n, const float *x, float *y);
#endif

#endif
