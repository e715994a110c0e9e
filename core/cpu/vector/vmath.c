/* SPDX-License-Identifier: Apache-2.0
 * Applies the functions of core/cpu/vector/vecmath.h to arrays; maximum and sum of an array. */
#include "core/cpu/vector/vmath.h"

#include "core/cpu/vector/vecmath.h"

#define X(f)                                                                                                           \
    void ls__v##f(int64_t n, const float *x, float *y) { V_MAP(n, V_PUT(y, v_##f(V_GET(x)))); }
LS_VMATH_LIST(X)
#undef X

float ls__vmax(int64_t n, const float *x)
{
    const float lowest = -__builtin_inff();
    vf          most   = v_set(lowest);
    int64_t     i      = 0;
    for (; i + LS_V <= n; i += LS_V) most = v_max(v_load(x + i), most);
    float y = v_largest(most);
    for (; i < n; i++) y = x[i] > y ? x[i] : y;
    return y;
}

/* Up to BLOCK floats are summed in four chains of vectors; longer arrays as a binary tree over blocks. */
float ls__vsum(int64_t n, const float *x)
{
    enum { BLOCK = 2048 };
    if (n > BLOCK) {
        int64_t left = BLOCK;
        while (left * 2 < n) left *= 2;
        return ls__vsum(left, x) + ls__vsum(n - left, x + left);
    }
    vf      chain[4] = {{0}};
    int64_t i        = 0;
    for (; i + 4 * LS_V <= n; i += 4 * LS_V)
        for (int c = 0; c < 4; c++) chain[c] += v_load(x + i + c * LS_V);
    for (int c = 0; i < n; i += LS_V, c++) chain[c] += v_load_part(x + i, n - i < LS_V ? n - i : LS_V);
    return v_sum((chain[0] + chain[1]) + (chain[2] + chain[3]));
}
