/* SPDX-License-Identifier: Apache-2.0
 *
 * What kernels over rows share (softmax and its relatives).  Sums run in a fixed order that depends on the length of the
 * row alone.
 */
#ifndef LS_CORE_CPU_ROWS_H
#define LS_CORE_CPU_ROWS_H

#include "core/cpu/vmath.h"

enum {
    LS_ROWS_TILE     = 512,
    LS_ROWS_PARALLEL = 8192, /* elements from which threads are worth waking, for kernels with exponentials */
    LS_ROWS_LANES    = 16,   /* of a dot product */
};

/* Sum of a[i] * b[i]: 16 interleaved chains, then pairs at distance 8, 4, 2, 1. */
static inline float ls__row_dot(int64_t n, const float *a, const float *b)
{
    float   sum[LS_ROWS_LANES] = {0};
    int64_t i                  = 0;
    for (; i + LS_ROWS_LANES <= n; i += LS_ROWS_LANES)
        for (int k = 0; k < LS_ROWS_LANES; k++) sum[k] += a[i + k] * b[i + k];
    for (int k = 0; i < n; i++, k++) sum[k] += a[i] * b[i];
    for (int d = LS_ROWS_LANES / 2; d; d /= 2)
        for (int k = 0; k < d; k++) sum[k] += sum[k + d];
    return sum[0];
}

/* e[i] = exp(x[i] - max), n <= LS_ROWS_TILE. */
static inline void ls__row_exp(int64_t n, const float *x, float max, float *e)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) e[i] = x[i] - max;
    ls__vexp(n, e, e);
}

/* Sum of exp(x[i] - max), tile after tile. */
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
