/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradients of parameters that every row of a tensor uses once (biases, broadcast operands): the sum of each column,
 * one partial sum per shard, added as a binary tree over the shards (core/cpu/shard_sum.h).
 */
#ifndef LS_CORE_CPU_VECTOR_COLUMN_SUM_H
#define LS_CORE_CPU_VECTOR_COLUMN_SUM_H

#include "core/cpu/vector/elementwise.h"
#include "core/cpu/shard_sum.h"

enum { LS_COLUMNS_TILE = 512 /* columns that are summed at a time */ };

/* Returns the workspace of ls__column_sums, floats. */
static inline size_t ls__column_sums_scratch(int64_t columns, int shards) { return (size_t)columns * (size_t)shards; }

/* Returns the workspace of an op whose second input may be a parameter that every row uses, bytes.  Has the signature
 * of ls_op.scratch. */
static inline size_t ls__broadcast_scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    (void)rows, (void)threads;
    return backward && !n->in[1]->batched ? sizeof(float) * ls__column_sums_scratch(ls__numel(n->in[1]), shards) : 0;
}

/* Computes the gradient of input `input`, which has `columns` elements: the sum over rows of dy, or of dy * x if there
 * is an x.  A sample has `rows` rows.  Within a shard, rows are added in order. */
static inline void ls__column_sums(const ls_call *c, int input, int64_t rows, int64_t columns, ls_array dy, ls_array x,
                                   float *scratch)
{
    int64_t tiles = (columns + LS_COLUMNS_TILE - 1) / LS_COLUMNS_TILE;
#pragma omp parallel for schedule(static) if (c->rows * rows * columns >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < tiles * c->shards; k++) {
        int64_t s = k / tiles, first = k % tiles * LS_COLUMNS_TILE;
        int64_t n   = columns - first < LS_COLUMNS_TILE ? columns - first : LS_COLUMNS_TILE;
        float  *sum = scratch + s * columns + first;
        for (int64_t i = 0; i < n; i++) sum[i] = 0;
        for (int64_t r = c->bound[s] * rows; r < c->bound[s + 1] * rows; r++) {
            float        wide[2][LS_COLUMNS_TILE];
            const float *g = ls__read(dy, r * columns + first, n, wide[0]),
                        *v = ls__read(x, r * columns + first, n, wide[1]);
            if (v)
                V_MAP(n, V_PUT(sum, v_fma(V_GET(g), V_GET(v), V_GET(sum))));
            else
                V_MAP(n, V_PUT(sum, V_GET(sum) + V_GET(g)));
        }
    }
    ls__fold(c, input, columns, scratch);
}

#endif
