/* SPDX-License-Identifier: Apache-2.0
 *
 * Pooling windows, for max_pool2d and avg_pool2d: clipping to the input, and loads with a stride.
 *
 * The loops are compiled once for float32 and once for bfloat16: `type` is a constant where a function is inlined.
 */
#ifndef LS_CORE_OPS_POOL2D_H
#define LS_CORE_OPS_POOL2D_H

#include <omp.h>

#include "core/ops/window.h"

/* The attributes of dim `h` of a pooling op. */
#define LS_POOL_ATTRIBUTES(a, h, first, last, ...)                                                                     \
    LS_WINDOW_ATTRIBUTES_OF(a, h, first, last, .both[LS_WINDOW_KERNEL] = (a)->kernel,                                  \
                            .own[LS_WINDOW_KERNEL] = &(a)->kernel_##h, .pooling = true, __VA_ARGS__)

/* First position of window i. */
static inline int64_t ls__pool_at(const ls_window *a, int64_t i) { return i * a->stride - a->before; }

/* Finds the range [*from, *to) of k for which window i lies in the input. */
static inline void ls__pool_clip(const ls_window *a, int64_t i, int64_t *from, int64_t *to)
{
    const int64_t at = ls__pool_at(a, i);
    *from            = at < 0 ? (-at + a->dilation - 1) / a->dilation : 0;
    *to              = at >= a->in ? 0 : (a->in - 1 - at) / a->dilation + 1;
    if (*to > a->kernel) *to = a->kernel;
    if (*from > *to) *from = *to;
}

/* Finds the range [*from, *to) of windows that lie entirely in the input. */
static inline void ls__pool_inside(const ls_window *a, int64_t *from, int64_t *to)
{
    /* last start of such a window, counted from the padding */
    const int64_t last = a->in - 1 - a->dilation * (a->kernel - 1) + a->before;
    *from              = (a->before + a->stride - 1) / a->stride;
    *to                = last < 0 ? 0 : last / a->stride + 1;
    if (*to > a->out) *to = a->out;
    if (*from > *to) *from = *to;
}

/* Checks the input of a pooling op. */
static inline ls_status ls__pool_expect(const ls_node *n)
{
    const ls_tensor *x = n->in[0];
    LS_NODE_CHECK(n, (x->type == LS_F32 || x->type == LS_BF16) && x->batched && x->rank == 3,
                  "expected x: B x C x H x W of float32, found %s of %s", ls__shape(x), ls__dtype_name(x->type));
    LS_NODE_CHECK(n, (double)x->dim[1] * (double)x->dim[2] < 0x1p31, "a plane of %s has more than 2^31 elements",
                  ls__shape(x));
    return LS_OK;
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

/* ---- backward: sums of overlapping windows are float32 ----------------------------------------------------------- */

/* Workspace of a backward pass: planes of x and y in float32 for each thread, if x is bfloat16.  Has the signature of
 * ls_op.scratch. */
static inline size_t ls__pool_scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    const ls_tensor *x = n->in[0], *y = n->out[0];
    (void)rows, (void)shards;
    return backward && x->type == LS_BF16
               ? (size_t)threads * sizeof(float) * (size_t)(x->dim[1] * x->dim[2] + y->dim[1] * y->dim[2])
               : 0;
}

/* Adds the gradients of the windows of a plane to dx. */
typedef void ls__pool_scatter_fn(const void *args, int64_t plane, const float *dy, float *dx);

/* Computes dx of plane p, rounding it once. */
static inline void ls__pool_plane_backward(const ls_call *c, int64_t p, ls__pool_scatter_fn *scatter, const void *args)
{
    const ls_tensor *x = c->node->in[0], *y = c->node->out[0];
    const int64_t    in = x->dim[1] * x->dim[2], out = y->dim[1] * y->dim[2];
    float           *buffer = c->scratch ? (float *)c->scratch + omp_get_thread_num() * (in + out) : NULL;
    const float     *dy     = ls__read(ls__dy(c, 0), p * out, out, buffer ? buffer + in : NULL);
    float           *dx     = ls__write_begin(ls__dx(c, 0), p * in, in, buffer, c->add[0]);
    if (!c->add[0]) memset(dx, 0, (size_t)in * sizeof *dx);
    scatter(args, p, dy, dx);
    ls__write_end(ls__dx(c, 0), p * in, in, dx);
}

#endif
