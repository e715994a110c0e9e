/* SPDX-License-Identifier: Apache-2.0
 * Applies the functions of core/cpu/vector/vecmath.h to arrays; maximum and sum of an array. */
#include "core/cpu/vector/vmath.h"

#include "core/cpu/vector/vecmath.h"

#define X(f)                                                                                                           \
    void ls__v##f(int64_t n, const float *x, float *y) { V_MAP(n, V_PUT(y, v_##f(V_GET(x)))); }
LS_VMATH_LIST(X)
#undef X

/* Equal values are equal bits except zeros of both signs: as in sums, the order of the comparisons does not depend on
 * the level. */
float ls__vmax(int64_t n, const float *x)
{
    float   y = -__builtin_inff();
    vf      most[V_CHAINS(1)];
    int64_t i = 0;
    for (int v = 0; v < V_CHAINS(1); v++) most[v] = v_set(y);
    for (; i + V_LANES <= n; i += V_LANES)
        for (int v = 0; v < V_CHAINS(1); v++) most[v] = v_max(v_load(x + i + v * LS_V), most[v]);
    for (int l = 0; l < V_LANES; l++) y = most[l / LS_V][l % LS_V] > y ? most[l / LS_V][l % LS_V] : y;
    for (; i < n; i++) y = x[i] > y ? x[i] : y;
    return y;
}

float ls__vsum(int64_t n, const float *x)
{
    if (n > LS_VSUM_BLOCK) {
        const int64_t left = ls__vsum_left(n);
        return ls__vsum(left, x) + ls__vsum(n - left, x + left);
    }
    vf sum[V_CHAINS(4)] = {{0}};
    V_MAP_SUM(n, V_CHAINS(4), sum[v_sum] += V_GET(x));
    return v_total(4, sum);
}
