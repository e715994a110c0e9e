/* SPDX-License-Identifier: Apache-2.0
 *
 * Vectors of LS_V floats of the level: 16 (v4), 8 (v3), 4 (v2 and other processors), as GCC vector extensions.
 *
 *     V_MAP(n, V_PUT(y, v_max(V_GET(x), v_set(0))));              y[i] = max(x[i], 0) for i < n
 *
 * Each element goes through the same operations, whether it falls into a whole vector or into the tail, so its bits
 * depend on its value alone.  These files are compiled with -ffp-contract=off: a * b + c is rounded twice, everywhere;
 * where one rounding is meant, v_fma says so (on v2, which has no such instruction, it is a * b + c).
 */
#ifndef LS_CORE_CPU_VECTOR_VEC_H
#define LS_CORE_CPU_VECTOR_VEC_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { LS_V = 16 };
#elif defined(__AVX2__)
enum { LS_V = 8 };
#else
enum { LS_V = 4 };
#endif

typedef float    vf __attribute__((vector_size(sizeof(float) * LS_V)));
typedef int32_t  vi __attribute__((vector_size(sizeof(float) * LS_V))); /* as a mask: -1 or 0 in each lane */
typedef uint32_t vu __attribute__((vector_size(sizeof(float) * LS_V)));
typedef float    vf_any __attribute__((vector_size(sizeof(float) * LS_V), aligned(4), may_alias));
typedef int32_t  vi_any __attribute__((vector_size(sizeof(float) * LS_V), aligned(4), may_alias));

#define V_INLINE static inline __attribute__((always_inline, unused))

/* ---- memory: any alignment --------------------------------------------------------------------------------------- */

V_INLINE vf   v_load(const float *p) { return *(const vf_any *)p; }
V_INLINE void v_store(float *p, vf a) { *(vf_any *)p = a; }
V_INLINE vi   v_load_int(const int32_t *p) { return *(const vi_any *)p; }
V_INLINE void v_store_int(int32_t *p, vi a) { *(vi_any *)p = a; }
V_INLINE vf   v_set(float a) { return a - (vf){0}; }
V_INLINE vi   v_set_int(int32_t a) { return a - (vi){0}; }

/* 0, 1, 2, ... */
V_INLINE vi v_iota(void)
{
    vi lanes;
    for (int i = 0; i < LS_V; i++) lanes[i] = i;
    return lanes;
}

/* The first n floats only, 0 <= n <= LS_V: nothing behind them is touched; the other lanes are zero. */
V_INLINE vf v_load_part(const float *p, int64_t n)
{
    if (n == LS_V) return v_load(p);
#if defined(__AVX512F__)
    return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#elif defined(__AVX2__)
    return (vf)_mm256_maskload_ps(p, (__m256i)(v_iota() < v_set_int((int32_t)n)));
#else
    float lanes[LS_V] = {0};
    for (int64_t i = 0; i < n; i++) lanes[i] = p[i];
    return v_load(lanes);
#endif
}

V_INLINE vi v_load_part_int(const int32_t *p, int64_t n)
{
    if (n == LS_V) return v_load_int(p);
#if defined(__AVX512F__)
    return (vi)_mm512_maskz_loadu_epi32((__mmask16)((1u << n) - 1), p);
#elif defined(__AVX2__)
    return (vi)_mm256_maskload_epi32(p, (__m256i)(v_iota() < v_set_int((int32_t)n)));
#else
    int32_t lanes[LS_V] = {0};
    for (int64_t i = 0; i < n; i++) lanes[i] = p[i];
    return v_load_int(lanes);
#endif
}

V_INLINE void v_store_part(float *p, vf a, int64_t n)
{
    if (n == LS_V) {
        v_store(p, a);
        return;
    }
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)a);
#elif defined(__AVX2__)
    _mm256_maskstore_ps(p, (__m256i)(v_iota() < v_set_int((int32_t)n)), (__m256)a);
#else
    for (int64_t i = 0; i < n; i++) p[i] = a[i];
#endif
}

/* ---- arithmetic -------------------------------------------------------------------------------------------------- */

/* a * b + c, rounded once where the level has the instruction. */
V_INLINE vf v_fma(vf a, vf b, vf c)
{
#if defined(__AVX512F__)
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__FP_FAST_FMAF)
    vf y;
    for (int i = 0; i < LS_V; i++) y[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return y;
#else
    return a * b + c;
#endif
}

/* mask ? a : b */
V_INLINE vf v_select(vi mask, vf a, vf b)
{
#if defined(__AVX2__) && !defined(__AVX512F__)
    return (vf)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)mask);
#elif defined(__SSE4_1__) && !defined(__AVX2__)
    return (vf)_mm_blendv_ps((__m128)b, (__m128)a, (__m128)mask);
#else
    return (vf)((mask & (vi)a) | (~mask & (vi)b));
#endif
}

/* a > b ? a : b, and a < b ? a : b; so b where one of them is NaN. */
V_INLINE vf v_max(vf a, vf b)
{
#if defined(__AVX512F__)
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE4_1__)
    return (vf)_mm_max_ps((__m128)a, (__m128)b);
#else
    return v_select(a > b, a, b);
#endif
}

V_INLINE vf v_min(vf a, vf b)
{
#if defined(__AVX512F__)
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__SSE4_1__)
    return (vf)_mm_min_ps((__m128)a, (__m128)b);
#else
    return v_select(a < b, a, b);
#endif
}

V_INLINE vf v_abs(vf a) { return (vf)((vi)a & 0x7fffffff); }

/* The magnitude of a with the sign of s. */
V_INLINE vf v_copysign(vf a, vf s) { return (vf)(((vi)a & 0x7fffffff) | ((vi)s & INT32_MIN)); }

/* Correctly rounded. */
V_INLINE vf v_sqrt(vf a)
{
#if defined(__AVX512F__)
    return (vf)_mm512_sqrt_ps((__m512)a);
#elif defined(__AVX2__)
    return (vf)_mm256_sqrt_ps((__m256)a);
#elif defined(__SSE4_1__)
    return (vf)_mm_sqrt_ps((__m128)a);
#else
    vf y;
    for (int i = 0; i < LS_V; i++) y[i] = __builtin_sqrtf(a[i]);
    return y;
#endif
}

V_INLINE vf v_from_int(vi a) { return __builtin_convertvector(a, vf); }
V_INLINE vi v_to_int(vf a) { return __builtin_convertvector(a, vi); } /* towards zero; |a| < 2^31 */

/* The nearest whole number, ties to even; |a| < 2^22. */
V_INLINE vf v_round(vf a) { return (a + 0x1.8p23f) - 0x1.8p23f; }

/* Sum and maximum of the lanes, pairwise: lane i with lane i + half. */
V_INLINE float v_sum(vf a)
{
    float lane[LS_V];
    v_store(lane, a);
    for (int half = LS_V / 2; half; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}

V_INLINE float v_largest(vf a)
{
    float most = a[0];
    for (int i = 1; i < LS_V; i++) most = a[i] > most ? a[i] : most;
    return most;
}

/* ---- loops ----------------------------------------------------------------------------------------------------------
 * V_MAP(n, statements) runs the statements for every LS_V elements of arrays of n.  In them, V_GET(p) and V_PUT(p, a)
 * read and write the elements of array p at hand, and `v_at` is the index of the first of them. */
#define V_GET(p) v_load_part((p) + v_at, v_left)
#define V_PUT(p, a) v_store_part((p) + v_at, (a), v_left)
#define V_MAP(n, ...)                                                                                                  \
    do {                                                                                                               \
        const int64_t v_end = (n);                                                                                     \
        int64_t       v_at  = 0;                                                                                       \
        for (; v_at + LS_V <= v_end; v_at += LS_V) {                                                                   \
            enum { v_left = LS_V };                                                                                    \
            __VA_ARGS__;                                                                                               \
        }                                                                                                              \
        if (v_at < v_end) {                                                                                            \
            const int64_t v_left = v_end - v_at;                                                                       \
            __VA_ARGS__;                                                                                               \
        }                                                                                                              \
    } while (0)

/* x[0], y[0], x[1], y[1], ...: of the lower and of the upper halves. */
#if defined(__AVX512F__)
#define v_zip_low(x, y) __builtin_shufflevector((x), (y), 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define v_zip_high(x, y) __builtin_shufflevector((x), (y), 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif defined(__AVX2__)
#define v_zip_low(x, y) __builtin_shufflevector((x), (y), 0, 8, 1, 9, 2, 10, 3, 11)
#define v_zip_high(x, y) __builtin_shufflevector((x), (y), 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define v_zip_low(x, y) __builtin_shufflevector((x), (y), 0, 4, 1, 5)
#define v_zip_high(x, y) __builtin_shufflevector((x), (y), 2, 6, 3, 7)
#endif

/* x[1], x[0], x[3], x[2], ... */
#if defined(__AVX512F__)
#define v_swap(x) __builtin_shufflevector((x), (x), 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
#elif defined(__AVX2__)
#define v_swap(x) __builtin_shufflevector((x), (x), 1, 0, 3, 2, 5, 4, 7, 6)
#else
#define v_swap(x) __builtin_shufflevector((x), (x), 1, 0, 3, 2)
#endif

#endif
