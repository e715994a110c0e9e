/* SPDX-License-Identifier: Apache-2.0
 * The partition of a global batch among ranks. */
#include "core/core.h"

ls_batch_partition ls_batch_partition_of(int64_t global_rows, int total_shards, int ranks, int rank)
{
    const int     from  = (int)((int64_t)total_shards * rank / ranks);
    const int     to    = (int)((int64_t)total_shards * (rank + 1) / ranks);
    const int64_t first = ls_shard_first(global_rows, total_shards, from);
    const int64_t end   = ls_shard_first(global_rows, total_shards, to);
    return (ls_batch_partition){.first_shard = from, .shards = to - from, .first = first, .rows = end - first};
}
