/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradients of parameters that are used once in every row of a tensor (biases, broadcast operands):
 * sums over rows, one for each column, shard by shard, then up the tree.
 */
#ifndef LS_CORE_CPU_VECTOR_COLUMN_SUM_H
#define LS_CORE_CPU_VECTOR_COLUMN_SUM_H

#include "core/cpu/vector/elementwise.h"
#include "core/cpu/shard_sum.h"

enum { LS_COLUMNS_TILE = 512 };

/* Floats of workspace that ls__column_sums needs. */
static inline size_t ls__column_sums_scratch(int64_t columns, int shards) { return (size_t)columns * (size_t)shards; }

/* The workspace of an op whose second input may be a parameter that is used in every row. */
static inline size_t ls__broadcast_scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    (void)rows, (void)threads;
    return backward && !n->in[1]->batched ? sizeof(float) * ls__column_sums_scratch(ls__numel(n->in[1]), shards) : 0;
}

/* The gradient of input i, `columns` elements, from rows of the tensor dy:  sum of dy, or of dy * x when x is not NULL.
 * A sample has `rows` of them.  Rows in order within a shard. */
static inline void ls__column_sums(const ls_call *c, int input, int64_t rows, int64_t columns, const float *dy,
                                   const float *x, float *scratch)
{
    int64_t tiles = (columns + LS_COLUMNS_TILE - 1) / LS_COLUMNS_TILE;
#pragma omp parallel for schedule(static) if (c->rows * rows * columns >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < tiles * c->shards; k++) {
        int64_t s = k / tiles, first = k % tiles * LS_COLUMNS_TILE;
        int64_t n   = columns - first < LS_COLUMNS_TILE ? columns - first : LS_COLUMNS_TILE;
        float  *sum = scratch + s * columns + first;
        for (int64_t i = 0; i < n; i++) sum[i] = 0;
        for (int64_t r = c->bound[s] * rows; r < c->bound[s + 1] * rows; r++) {
            const float *g = dy + r * columns + first, *v = x ? x + r * columns + first : NULL;
            if (v)
                V_MAP(n, V_PUT(sum, v_fma(V_GET(g), V_GET(v), V_GET(sum))));
            else
                V_MAP(n, V_PUT(sum, V_GET(sum) + V_GET(g)));
        }
    }
    ls__fold(c, input, columns, scratch);
}

#endif
