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

/* Bytes of an element. */
static inline size_t ls__array_bytes(ls_dtype type) { return type == LS_BF16 ? sizeof(uint16_t) : sizeof(float); }

/* Returns the bytes of buffers in which each thread widens `rows` rows of n elements. */
static inline size_t ls__row_buffers(int rows, int64_t n, int threads)
{
    return (size_t)threads * (size_t)rows * (size_t)n * sizeof(float);
}

/* An array of float32. */
static inline ls_array ls__f32(const float *data) { return (ls_array){.data = (void *)(uintptr_t)data}; }

/* The array from element `first` on. */
static inline ls_array ls__from(ls_array a, int64_t first)
{
    if (a.data) a.data = (char *)a.data + first * (int64_t)ls__array_bytes(a.type);
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

/* Loads and stores of elements from `i` on, for loops that are compiled once for each type: `type` is a constant where
 * these functions are inlined. */
V_INLINE vf v_load_as(const ls_dtype type, const void *x, int64_t i)
{
    return type == LS_BF16 ? v_load_bf16((const uint16_t *)x + i) : v_load((const float *)x + i);
}

V_INLINE vf v_load_part_as(const ls_dtype type, const void *x, int64_t i, int64_t n)
{
    return type == LS_BF16 ? v_load_part_bf16((const uint16_t *)x + i, n) : v_load_part((const float *)x + i, n);
}

V_INLINE float v_load_1_as(const ls_dtype type, const void *x, int64_t i)
{
    return type == LS_BF16 ? ls__widen_1(((const uint16_t *)x)[i]) : ((const float *)x)[i];
}

V_INLINE void v_store_as(const ls_dtype type, void *y, int64_t i, vf value)
{
    if (type == LS_BF16)
        v_store_bf16((uint16_t *)y + i, value);
    else
        v_store((float *)y + i, value);
}

V_INLINE void v_store_1_as(const ls_dtype type, void *y, int64_t i, float value)
{
    if (type == LS_BF16)
        ((uint16_t *)y)[i] = ls__narrow_1(value);
    else
        ((float *)y)[i] = value;
}

V_INLINE void v_store_part_as(const ls_dtype type, void *y, int64_t i, vf value, int64_t n)
{
    if (type == LS_BF16)
        v_store_part_bf16((uint16_t *)y + i, value, n);
    else
        v_store_part((float *)y + i, value, n);
}

/* Returns the sum of elements [i, i + n), in an order that depends on n alone. */
V_INLINE float v_sum_as(const ls_dtype type, const void *x, int64_t i, int64_t n)
{
    vf sum[V_CHAINS(4)] = {{0}};
    V_MAP_SUM(n, V_CHAINS(4), sum[v_sum] += v_load_part_as(type, x, i + v_at, v_left));
    return v_total(4, sum);
}

#endif
