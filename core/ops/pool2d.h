/* SPDX-License-Identifier: Apache-2.0
 *
 * Pooling windows: clipping to the input, loads with a stride, and the kernels that adaptive pooling shares.
 *
 * The loops are compiled once for float32 and once for bfloat16: `type` is a constant where a function is inlined.
 */
#ifndef LS_CORE_OPS_POOL2D_H
#define LS_CORE_OPS_POOL2D_H

#include "core/ops/plane.h"
#include "core/ops/window.h"

/* The attributes of dim `h` of a pooling op. */
#define LS_POOL_ATTRIBUTES(a, h, first, last, ...)                                                                     \
    LS_WINDOW_ATTRIBUTES_OF(a, h, first, last, .both[LS_WINDOW_KERNEL] = (a)->kernel,                                  \
                            .own[LS_WINDOW_KERNEL] = &(a)->kernel_##h, .same = (a)->same, .pooling = true,             \
                            __VA_ARGS__)

/* First position of window i. */
static inline int64_t ls__pool_at(const ls_window *a, int64_t i)
{
    return a->adaptive ? i * a->in / a->out : i * a->stride - a->before;
}

/* Finds the range [*from, *to) of k for which window i lies in the input. */
static inline void ls__pool_clip(const ls_window *a, int64_t i, int64_t *from, int64_t *to)
{
    const int64_t at = ls__pool_at(a, i);
    if (a->adaptive) {
        *from = 0;
        *to   = ls__ceil_div((i + 1) * a->in, a->out) - at;
        return;
    }
    *from = at < 0 ? (-at + a->dilation - 1) / a->dilation : 0;
    *to   = at >= a->in ? 0 : (a->in - 1 - at) / a->dilation + 1;
    if (*to > a->kernel) *to = a->kernel;
    if (*from > *to) *from = *to;
}

/* Finds the range [*from, *to) of windows that lie entirely in the input and have `kernel` elements. */
static inline void ls__pool_inside(const ls_window *a, int64_t *from, int64_t *to)
{
    if (a->adaptive) {
        *from = *to = 0;
        return;
    }
    /* last start of such a window, counted from the padding */
    const int64_t last = a->in - 1 - a->dilation * (a->kernel - 1) + a->before;
    *from              = (a->before + a->stride - 1) / a->stride;
    *to                = last < 0 ? 0 : last / a->stride + 1;
    if (*to > a->out) *to = a->out;
    if (*from > *to) *from = *to;
}

/* The windows of one output row of a plane: a depth and a height.  Their elements are those of the kernel's depths
 * [d0, d1) and rows [h0, h1) that lie in the input. */
typedef struct ls_pool_row {
    int64_t at, depth, row; /* offsets in the input: of depth 0 and row 0 of the kernel, from one to the next */
    int64_t d0, d1, h0, h1;
} ls_pool_row;

/* Returns output row i of a plane, counted over all depths. */
static inline ls_pool_row ls__pool_row(const ls_windows *a, int64_t i)
{
    const int64_t d = a->d.out == 1 ? 0 : i / a->h.out, h = i - d * a->h.out;
    ls_pool_row   r = {.at    = (ls__pool_at(&a->d, d) * a->h.in + ls__pool_at(&a->h, h)) * a->w.in,
                       .depth = a->d.dilation * a->h.in * a->w.in,
                       .row   = a->h.dilation * a->w.in};
    ls__pool_clip(&a->d, d, &r.d0, &r.d1);
    ls__pool_clip(&a->h, h, &r.h0, &r.h1);
    return r;
}

/* Offset in the input of depth kd and row kh of the windows of r. */
static inline int64_t ls__pool_place(const ls_pool_row *r, int64_t kd, int64_t kh)
{
    return r->at + kd * r->depth + kh * r->row;
}

/* Even elements of 2 LS_V floats: x[0], x[2], ... */
V_INLINE vf ls__even(vf lo, vf hi)
{
#if defined(__AVX512F__)
    return __builtin_shufflevector(lo, hi, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
#elif defined(__AVX2__)
    return __builtin_shufflevector(lo, hi, 0, 2, 4, 6, 8, 10, 12, 14);
#else
    return __builtin_shufflevector(lo, hi, 0, 2, 4, 6);
#endif
}

/* Odd elements of 2 LS_V floats: x[1], x[3], ... */
V_INLINE vf ls__odd(vf lo, vf hi)
{
#if defined(__AVX512F__)
    return __builtin_shufflevector(lo, hi, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#elif defined(__AVX2__)
    return __builtin_shufflevector(lo, hi, 1, 3, 5, 7, 9, 11, 13, 15);
#else
    return __builtin_shufflevector(lo, hi, 1, 3, 5, 7);
#endif
}

/* Loads n lanes of 32 bits, n <= LS_V, and accesses no memory after them.  The other lanes are zero. */
V_INLINE vu ls__load_lanes(const void *x, int64_t n)
{
#if defined(__AVX512F__)
    return (vu)_mm512_maskz_loadu_epi32((__mmask16)((1u << n) - 1), x);
#elif defined(__AVX2__)
    return (vu)_mm256_maskload_epi32(x, (__m256i)(v_iota() < v_set_int((int32_t)n)));
#else
    vu lanes = {0};
    memcpy(&lanes, x, (size_t)n * sizeof(uint32_t));
    return lanes;
#endif
}

/* Loads the even and the odd elements of x[i .. i + 2 n), n <= LS_V, and accesses no memory after them.  A lane of 32
 * bits holds two bfloat16 values, the even one in its lower half. */
V_INLINE void ls__load_pairs(const ls_dtype type, const void *x, int64_t i, int64_t n, vf *even, vf *odd)
{
    if (type == LS_BF16) {
        const vu pairs = ls__load_lanes((const uint16_t *)x + i, n);
        *even          = (vf)(pairs << 16);
        *odd           = (vf)(pairs & 0xffff0000u);
    } else {
        const int64_t first = 2 * n < LS_V ? 2 * n : LS_V;
        const vf      low   = v_load_part((const float *)x + i, first),
                 high       = v_load_part((const float *)x + i + first, 2 * n - first);
        *even               = ls__even(low, high);
        *odd                = ls__odd(low, high);
    }
}

/* Stores n lanes of 32 bits, n <= LS_V, and accesses no memory after them. */
V_INLINE void ls__store_lanes(void *y, vu lanes, int64_t n)
{
#if defined(__AVX512F__)
    _mm512_mask_storeu_epi32(y, (__mmask16)((1u << n) - 1), (__m512i)lanes);
#else
    if (n == LS_V)
        memcpy(y, &lanes, sizeof lanes);
    else
        memcpy(y, &lanes, (size_t)n * sizeof(uint32_t));
#endif
}

/* Writes even[0], odd[0], even[1], odd[1], ... to y[i .. i + 2 n), n <= LS_V.  Values for a bfloat16 y are bfloat16
 * already. */
V_INLINE void ls__store_pairs(const ls_dtype type, void *y, int64_t i, int64_t n, vf even, vf odd)
{
    if (type == LS_BF16) {
        ls__store_lanes((uint16_t *)y + i, (vu)even >> 16 | (vu)odd, n);
    } else {
        const int64_t first = 2 * n < LS_V ? 2 * n : LS_V;
        v_store_part((float *)y + i, v_zip_low(even, odd), first);
        v_store_part((float *)y + i + first, v_zip_high(even, odd), 2 * n - first);
    }
}

/* Loads x[i], x[i + stride], x[i + 2 stride], ..., n <= LS_V elements; reads nothing at or after x[end]. */
V_INLINE vf ls__load_strided(const ls_dtype type, const void *x, int64_t i, int64_t stride, int64_t n, int64_t end)
{
    if (stride == 1) return i + LS_V <= end ? v_load_as(type, x, i) : v_load_part_as(type, x, i, n);
    if (stride == 2 && i + 2 * LS_V <= end) {
        vf even, odd;
        ls__load_pairs(type, x, i, LS_V, &even, &odd);
        return even;
    }
    float lanes[LS_V] = {0};
    for (int64_t k = 0; k < n; k++) lanes[k] = v_load_1_as(type, x, i + k * stride);
    return v_load(lanes);
}

/* ---- kernels of ops with such windows ---------------------------------------------------------------------------- */

#define ls__max_pool_forward LS_ISA_NAME(ls__max_pool_forward)
#define ls__max_pool_backward LS_ISA_NAME(ls__max_pool_backward)
#define ls__avg_pool_forward LS_ISA_NAME(ls__avg_pool_forward)
#define ls__avg_pool_backward LS_ISA_NAME(ls__avg_pool_backward)
#ifdef LS_ISA_SUFFIX
/* Maxima of the windows of each plane, and their positions: outputs 0 and 1 of the node. */
void ls__max_pool_forward(const ls_call *c, const ls_windows *a);
void ls__max_pool_backward(const ls_call *c, const ls_windows *a);
/* Means of the windows.  exclude: elements of the padding are not counted. */
void ls__avg_pool_forward(const ls_call *c, const ls_windows *a, bool exclude);
void ls__avg_pool_backward(const ls_call *c, const ls_windows *a, bool exclude);
#endif

#endif
