/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradients of tables of which rows are looked up: row i is the sum of the rows of dy at the positions whose id is i.
 *
 * One partial a shard, positions in order, then the tree over the shards of a group, as everywhere
 * (core/cpu/shard_sum.h), but row by row, so that no partial of the whole table is ever made.  A shard in which a row
 * does not occur counts as zero and is left out of the tree: partials start from +0, so that none is -0, and then x + 0
 * is x to the bit.
 */
#ifndef LS_CORE_CPU_SCATTER_H
#define LS_CORE_CPU_SCATTER_H

#include "core/graph/op.h"

typedef struct ls_scatter {
    int64_t        rows, cols; /* of the table                                                            */
    int64_t        lead;       /* positions of a sample                                                   */
    const int32_t *id;         /* of every position of the call; outside of 0..rows-1 it is left out      */
    const float   *dy;         /* `cols` for every position                                               */
    void          *scratch;    /* ls__scatter_scratch bytes, aligned to 8                                 */
} ls_scatter;

/* Workspace for up to `positions` positions, all samples together. */
static inline size_t ls__scatter_scratch(int64_t rows, int64_t positions)
{
    int64_t touched = rows < positions ? rows : positions;
    return (size_t)(rows + positions + touched) * sizeof(int64_t);
}

#define ls__scatter_rows LS_ISA_NAME(ls__scatter_rows)
#ifdef LS_ISA_SUFFIX
/* The gradient of input `input`, a parameter of rows x cols.  Rows that do not occur are zeroed, or left alone where
 * the call adds. */
void ls__scatter_rows(const ls_call *c, int input, const ls_scatter *s);
#endif

#endif
