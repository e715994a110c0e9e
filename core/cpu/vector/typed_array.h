/* SPDX-License-Identifier: Apache-2.0
 *
 * Arrays of float32 or bfloat16.  Kernels compute in float32: they read a tile through ls__read, which widens it into a
 * buffer if it is bfloat16, and write it between ls__write_begin and ls__write_end, which narrows it.
 *
 *     float        in[TILE], out[TILE];
 *     const float *x = ls__read(a, first, n, in);
 *     float       *y = ls__write_begin(b, first, n, out, add);
 *     V_MAP(n, V_PUT(y, add ? V_GET(y) + f(V_GET(x)) : f(V_GET(x))));
 *     ls__write_end(b, first, n, y);
 */
#ifndef LS_CORE_CPU_VECTOR_TYPED_ARRAY_H
#define LS_CORE_CPU_VECTOR_TYPED_ARRAY_H

#include <stdbool.h>

#include "core/core.h"
#include "core/cpu/vector/bf16.h"

typedef struct ls_array {
    void    *data; /* NULL: none */
    ls_dtype type; /* LS_F32 or LS_BF16 */
} ls_array;

/* An array of float32. */
static inline ls_array ls__f32(const float *data) { return (ls_array){.data = (void *)(uintptr_t)data}; }

/* The array from element `first` on. */
static inline ls_array ls__from(ls_array a, int64_t first)
{
    if (a.data) a.data = (char *)a.data + first * (a.type == LS_BF16 ? 2 : 4);
    return a;
}

/* Returns elements [first, first + n) as float32: those of the array itself, or a copy in `buffer`.  NULL if the array
 * is NULL. */
static inline const float *ls__read(ls_array a, int64_t first, int64_t n, float *buffer)
{
    if (!a.data || a.type == LS_F32) return a.data ? (const float *)a.data + first : NULL;
    ls__widen(n, (const uint16_t *)a.data + first, buffer);
    return buffer;
}

/* Returns where to write elements [first, first + n): the array itself, or `buffer`, which gets the old values if they
 * are needed.  NULL if the array is NULL. */
static inline float *ls__write_begin(ls_array a, int64_t first, int64_t n, float *buffer, bool old)
{
    if (!a.data || a.type == LS_F32) return a.data ? (float *)a.data + first : NULL;
    if (old) ls__widen(n, (const uint16_t *)a.data + first, buffer);
    return buffer;
}

/* Completes a write: rounds the values to bfloat16. */
static inline void ls__write_end(ls_array a, int64_t first, int64_t n, const float *values)
{
    if (a.data && a.type == LS_BF16) ls__narrow(n, values, (uint16_t *)a.data + first);
}

#endif
