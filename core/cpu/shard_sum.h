/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums over the batch, as trees over shards (see ls_call in core/graph/graph.h).
 *
 * The caller makes one partial of `count` floats per shard of the call, in `partial` (shard s at partial + s * count),
 * and ls__fold adds them up into the gradient of input i of every group: pairwise, on the shard index. `partial` is
 * destroyed.
 */
#ifndef LS_CORE_CPU_SHARD_SUM_H
#define LS_CORE_CPU_SHARD_SUM_H

#include "core/graph/op.h"

#define ls__fold LS_ISA_NAME(ls__fold)
#define ls__add_into LS_ISA_NAME(ls__add_into)
#ifdef LS_ISA_SUFFIX
void ls__fold(const ls_call *c, int input, int64_t count, float *partial);

/* y[i] += x[i] */
void ls__add_into(int64_t n, const float *x, float *y);
#endif

#endif
