/* SPDX-License-Identifier: Apache-2.0
 *
 * Exponentials and sums of one row, for softmax, log_softmax and cross-entropy.  The order of a sum depends on the
 * length of the row alone.
 */
#ifndef LS_CORE_CPU_VECTOR_SOFTMAX_ROWS_H
#define LS_CORE_CPU_VECTOR_SOFTMAX_ROWS_H

#include "core/cpu/vector/vecmath.h"
#include "core/cpu/vector/vmath.h"

enum {
    LS_ROWS_TILE     = 512,  /* elements whose exponentials are kept at a time */
    LS_ROWS_PARALLEL = 8192, /* least elements for which threads pay off, in kernels with exponentials */
};

/* Returns the sum of a[i] * b[i], computed in four chains. */
static inline float ls__row_dot(int64_t n, const float *a, const float *b)
{
    vf sum[V_CHAINS(4)] = {{0}};
    V_MAP_SUM(n, V_CHAINS(4), sum[v_sum] = v_fma(V_GET(a), V_GET(b), sum[v_sum]));
    return v_total(4, sum);
}

/* e[i] = exp(x[i] - max) */
static inline void ls__row_exp(int64_t n, const float *x, float max, float *e)
{
    V_MAP(n, V_PUT(e, v_exp(V_GET(x) - max)));
}

/* Returns the sum of exp(x[i] - max), computed tile by tile. */
static inline float ls__row_exp_sum(int64_t n, const float *x, float max)
{
    float e[LS_ROWS_TILE], sum = 0;
    for (int64_t first = 0; first < n; first += LS_ROWS_TILE) {
        int64_t m = n - first < LS_ROWS_TILE ? n - first : LS_ROWS_TILE;
        ls__row_exp(m, x + first, max, e);
        sum += ls__vsum(m, e);
    }
    return sum;
}

#endif
