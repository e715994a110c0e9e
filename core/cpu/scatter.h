/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradients of lookup tables (embeddings).  The gradient of row i of the table is the sum of rows of dy, over all
 * positions with id i.
 *
 * Each shard has one partial sum per row, with positions in order, and the partial sums are added as a tree over the
 * shards of a group, as in core/cpu/shard_sum.h.  The sums are computed row by row, so no partial sum of the whole
 * table exists.  A shard without the row counts as zero and is left out of the tree.  That does not change the bits,
 * because a partial sum starts from +0 and so is never -0, and x + 0 = x for every other x.
 */
#ifndef LS_CORE_CPU_SCATTER_H
#define LS_CORE_CPU_SCATTER_H

#include "core/cpu/vector/typed_array.h"
#include "core/graph/op.h"

typedef struct ls_scatter {
    int64_t        rows, cols; /* size of the table */
    int64_t        lead;       /* positions per sample */
    const int32_t *id;         /* index of the table row of each position; an index outside 0..rows-1 is ignored */
    ls_array       dy;         /* gradient of each position, `cols` values */
    void          *scratch;    /* workspace of ls__scatter_scratch() bytes, aligned to 8 bytes */
} ls_scatter;

/* Returns the bytes of workspace for a table of `rows` rows and up to `positions` positions in all samples together. */
static inline size_t ls__scatter_scratch(int64_t rows, int64_t positions)
{
    int64_t touched = rows < positions ? rows : positions;
    return (size_t)(rows + positions + touched) * sizeof(int64_t);
}

#define ls__scatter_rows LS_ISA_NAME(ls__scatter_rows)
#ifdef LS_ISA_SUFFIX
/* Writes the gradient of input `input`, a parameter of rows x cols, for every group, or adds to it.  Rows without a
 * position become zero, or keep their value where the call adds. */
void ls__scatter_rows(const ls_call *c, int input, const ls_scatter *s);
#endif

#endif
