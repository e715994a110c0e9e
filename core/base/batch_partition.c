/* SPDX-License-Identifier: Apache-2.0
 * Who owns which samples of a global batch. */
#include "core/core.h"

ls_batch_partition ls_batch_partition_of(int64_t global_rows, int total_shards, int ranks, int rank)
{
    int     from = (int)((int64_t)total_shards * rank / ranks), to = (int)((int64_t)total_shards * (rank + 1) / ranks);
    int64_t first = ls_shard_first(global_rows, total_shards, from),
            end   = ls_shard_first(global_rows, total_shards, to);
    return (ls_batch_partition){.first_shard = from, .shards = to - from, .first = first, .rows = end - first};
}
