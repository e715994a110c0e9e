/* SPDX-License-Identifier: Apache-2.0
 *
 * Elementwise kernels: y[i] = f(a[i], b[i]) on all threads.  The result overwrites y or is added to it; y may be a or b
 * if f allows it.  The arrays may be float32 or bfloat16; f computes in float32.
 *
 *     static void f(const void *args, int64_t n, const float *x, const float *unused, float *y)
 *     {
 *         V_MAP(n, V_PUT(y, V_GET(x) * V_GET(x)));
 *     }
 *     ls__map(f, NULL, n, ls__x(c, 0), (ls_array){0}, ls__y(c, 0), false);
 *
 * f is a loop of core/cpu/vector/vec.h, so the bits of an element do not depend on its position.
 */
#ifndef LS_CORE_CPU_VECTOR_ELEMENTWISE_H
#define LS_CORE_CPU_VECTOR_ELEMENTWISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cpu/vector/typed_array.h"
#include "core/cpu/vector/vecmath.h"

enum {
    LS_MAP_TILE     = 2048,  /* elements of one call of f, which stay in the L1 cache */
    LS_MAP_PARALLEL = 32768, /* least elements for which threads pay off, in loops that run at memory speed */
};

typedef void ls__elementwise_fn(const void *args, int64_t n, const float *a, const float *b, float *y);

/* Calls f for n <= LS_MAP_TILE elements from `first` on; those of b are from `first_b` on. */
static inline void ls__map_tile(ls__elementwise_fn *f, const void *args, int64_t n, int64_t first, ls_array a,
                                int64_t first_b, ls_array b, ls_array y, bool add)
{
    float        read[2][LS_MAP_TILE], value[LS_MAP_TILE];
    const float *x = ls__read(a, first, n, read[0]), *z = ls__read(b, first_b, n, read[1]);
    float       *to = ls__write_begin(y, first, n, value, false);
    if (!add) {
        f(args, n, x, z, to);
        ls__write_end(y, first, n, to);
        return;
    }
    f(args, n, x, z, value);
    if (y.type == LS_F32)
        V_MAP(n, V_PUT(to, V_GET(to) + V_GET(value)));
    else
        ls__add_narrow(n, value, (uint16_t *)y.data + first);
}

/* Computes y = f(a, b) for n elements, or adds it to y.  b may be none, and f then receives NULL. */
static inline void ls__map(ls__elementwise_fn *f, const void *args, int64_t n, ls_array a, ls_array b, ls_array y,
                           bool add)
{
#pragma omp parallel for schedule(static) if (n >= LS_MAP_PARALLEL)
    for (int64_t first = 0; first < n; first += LS_MAP_TILE)
        ls__map_tile(f, args, n - first < LS_MAP_TILE ? n - first : LS_MAP_TILE, first, a, first, b, y, add);
}

/* Does the same for n rows of `count` elements, which share one row b. */
static inline void ls__map_rows(ls__elementwise_fn *f, const void *args, int64_t n, int64_t count, ls_array a,
                                ls_array b, ls_array y, bool add)
{
    int64_t tiles = (count + LS_MAP_TILE - 1) / LS_MAP_TILE;
#pragma omp parallel for schedule(static) if (n * count >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < n * tiles; k++) {
        int64_t first = k % tiles * LS_MAP_TILE, at = k / tiles * count + first;
        ls__map_tile(f, args, count - first < LS_MAP_TILE ? count - first : LS_MAP_TILE, at, a, first, b, y, add);
    }
}

/* The function f(a) = a, for gradients that pass unchanged. */
static inline void ls__map_copy(const void *args, int64_t n, const float *a, const float *b, float *y)
{
    (void)args, (void)b;
    if (a != y) memcpy(y, a, (size_t)n * sizeof *y);
}

/* Copies n elements of x to y, or adds them to y, on the calling thread. */
static inline void ls__copy(int64_t n, ls_array x, ls_array y, bool add)
{
    if (!add && x.type == y.type) {
        memcpy(y.data, x.data, (size_t)n * ls__array_bytes(x.type));
        return;
    }
    for (int64_t first = 0; first < n; first += LS_MAP_TILE)
        ls__map_tile(ls__map_copy, NULL, n - first < LS_MAP_TILE ? n - first : LS_MAP_TILE, first, x, 0, (ls_array){0},
                     y, add);
}

#endif
