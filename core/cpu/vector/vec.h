/* SPDX-License-Identifier: Apache-2.0
 *
 * Vectors of LS_V floats, as GCC vector extensions: 16 floats at instruction-set level v4, 8 at v3, 4 at v2 and on
 * other processors.
 *
 *     V_MAP(n, V_PUT(y, v_max(V_GET(x), v_set(0))));              y[i] = max(x[i], 0) for i < n
 *
 * An element runs through the same operations in a whole vector and in the tail of an array, so its bits depend on its
 * value alone.  Files that include this header are compiled with -ffp-contract=off: a * b + c is rounded twice at all
 * levels.  v_fma rounds once, except at v2, which has no such instruction.
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
typedef int32_t  vi __attribute__((vector_size(sizeof(float) * LS_V))); /* a mask has -1 or 0 in each lane */
typedef uint32_t vu __attribute__((vector_size(sizeof(float) * LS_V)));
typedef float    vf_any __attribute__((vector_size(sizeof(float) * LS_V), aligned(4), may_alias));
typedef int32_t  vi_any __attribute__((vector_size(sizeof(float) * LS_V), aligned(4), may_alias));

/* Declares a function that is inlined even where the compiler would not inline it. */
#define V_INLINE static inline __attribute__((always_inline, unused))

/* ---- memory ------------------------------------------------------------------------------------------------------
 * Loads and stores work for any alignment. */

V_INLINE vf   v_load(const float *p) { return *(const vf_any *)p; }
V_INLINE void v_store(float *p, vf a) { *(vf_any *)p = a; }
V_INLINE vi   v_load_int(const int32_t *p) { return *(const vi_any *)p; }
V_INLINE void v_store_int(int32_t *p, vi a) { *(vi_any *)p = a; }
V_INLINE vf   v_set(float a) { return a - (vf){0}; }
V_INLINE vi   v_set_int(int32_t a) { return a - (vi){0}; }

/* Returns 0, 1, 2, ... */
V_INLINE vi v_iota(void)
{
    vi lanes;
    for (int i = 0; i < LS_V; i++) lanes[i] = i;
    return lanes;
}

/* Loads the first n values, 0 <= n <= LS_V, and accesses no memory after them.  The other lanes are zero. */
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

/* Stores the first n lanes, 0 <= n <= LS_V, and accesses no memory after them. */
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

/* a * b + c, rounded once if the instruction-set level has the instruction, else twice. */
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

/* Starts to load the cache line at p, which need not be memory of the program. */
V_INLINE void v_prefetch(const void *p) { __builtin_prefetch(p); }

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

/* The first n lanes of a, and zeros, 0 <= n <= LS_V. */
V_INLINE vf v_first(vf a, int64_t n) { return n == LS_V ? a : v_select(v_iota() < v_set_int((int32_t)n), a, v_set(0)); }

/* v_max: a > b ? a : b.  v_min: a < b ? a : b.  Both return b if a or b is NaN. */
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

/* Returns the magnitude of a with the sign of s. */
V_INLINE vf v_copysign(vf a, vf s) { return (vf)(((vi)a & 0x7fffffff) | ((vi)s & INT32_MIN)); }

/* Square root, correctly rounded. */
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
V_INLINE vi v_to_int(vf a) { return __builtin_convertvector(a, vi); } /* rounds towards zero; |a| < 2^31 */

/* Rounds to the nearest integer, ties to even; |a| < 2^22. */
V_INLINE vf v_round(vf a) { return (a + 0x1.8p23f) - 0x1.8p23f; }

/* ---- loops ------------------------------------------------------------------------------------------------------- */

/* V_MAP(n, statements) runs the statements once for every LS_V elements of arrays of n floats, and once for the rest.
 * Within the statements
 *
 *     V_GET(p)      is the vector of the current elements of array p; lanes beyond the end of the array are zero
 *     V_PUT(p, a)   stores vector a into the current elements of array p
 *     v_at          is the index of the first current element (int64_t)
 *     v_left        is the number of current elements, a constant LS_V except in the last round
 */
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

/* ---- sums of arrays ----------------------------------------------------------------------------------------------
 * The order of the additions is equal at all levels, although their vectors differ in length.  A *chain* is V_LANES
 * partial sums, one vector at v4 and several at the other levels.  With c chains, element i of an array is added to
 * partial sum i mod (c V_LANES), and v_total adds the partial sums.
 *
 *     vf sum[V_CHAINS(4)] = {{0}};
 *     V_MAP_SUM(n, V_CHAINS(4), sum[v_sum] += V_GET(x));
 *     float total = v_total(4, sum);
 */
enum { V_LANES = 16 };
#define V_CHAINS(c) ((c)*V_LANES / LS_V) /* vectors of c chains */

/* V_MAP_SUM(n, vectors, statements) runs the statements as V_MAP does.  Within the statements, v_sum is the index of
 * the vector of partial sums for the current elements.  The loops are unrolled so that registers hold the partial
 * sums. */
#define V_MAP_SUM(n, vectors, ...)                                                                                     \
    do {                                                                                                               \
        const int64_t v_end = (n);                                                                                     \
        int64_t       v_at  = 0;                                                                                       \
        while (v_at + (vectors)*LS_V <= v_end) {                                                                       \
            enum { v_left = LS_V };                                                                                    \
            _Pragma("GCC unroll 16") for (int v_sum = 0; v_sum < (vectors); v_sum++, v_at += LS_V) { __VA_ARGS__; }    \
        }                                                                                                              \
        _Pragma("GCC unroll 16") for (int v_sum = 0; v_sum < (vectors) && v_at < v_end; v_sum++, v_at += LS_V)         \
        {                                                                                                              \
            const int64_t v_left = v_end - v_at < LS_V ? v_end - v_at : LS_V;                                          \
            __VA_ARGS__;                                                                                               \
        }                                                                                                              \
    } while (0)

/* Returns the sum of the partial sums of 2 or 4 chains: first the chains, pairwise; then lane i and lane i + half, for
 * half = V_LANES / 2, V_LANES / 4, ... 1. */
V_INLINE float v_total(const int chains, const vf *sum)
{
    enum { CHAIN = V_CHAINS(1) };
    float lane[V_LANES];
    _Pragma("GCC unroll 16") for (int v = 0; v < CHAIN; v++)
    {
        vf s = sum[v] + sum[CHAIN + v];
        if (chains == 4) s += sum[2 * CHAIN + v] + sum[3 * CHAIN + v];
        v_store(lane + v * LS_V, s);
    }
    for (int half = V_LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}

/* ---- permutations ------------------------------------------------------------------------------------------------ */

/* Interleaves the lower halves (v_zip_low) or the upper halves (v_zip_high) of x and y:  x[0], y[0], x[1], y[1], ... */
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

/* Exchanges neighbouring lanes:  x[1], x[0], x[3], x[2], ... */
#if defined(__AVX512F__)
#define v_swap(x) __builtin_shufflevector((x), (x), 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
#elif defined(__AVX2__)
#define v_swap(x) __builtin_shufflevector((x), (x), 1, 0, 3, 2, 5, 4, 7, 6)
#else
#define v_swap(x) __builtin_shufflevector((x), (x), 1, 0, 3, 2)
#endif

#endif
