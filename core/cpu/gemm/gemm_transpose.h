/* SPDX-License-Identifier: Apache-2.0
 * Transposes of 32-bit words, for packing.  The words are copied, never computed with, so any bits pass unchanged. */
#ifndef LS_CORE_CPU_GEMM_GEMM_TRANSPOSE_H
#define LS_CORE_CPU_GEMM_GEMM_TRANSPOSE_H

#include <string.h>

#include "core/base/integer.h"
#include "core/cpu/vector/transpose_4x4.h"

/* transpose_block copies a block of BLOCK x BLOCK floats, transposed:   to[j * step + c] = from[c][at + j] */
#if defined(__AVX2__)
enum { BLOCK = 8 };

/* Returns four floats of row c (upper) and four of row c + 4 (lower) of a block. */
V_INLINE __m256 halves(const float *upper, const float *lower)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(upper)), _mm_loadu_ps(lower), 1);
}

V_INLINE void transpose_block(const float *const from[BLOCK], int64_t at, float *to, int64_t step)
{
#pragma GCC unroll 2
    for (int64_t end = at + BLOCK; at < end; at += 4, to += 4 * step) {
        __m256 r0 = halves(from[0] + at, from[4] + at), r1 = halves(from[1] + at, from[5] + at);
        __m256 r2 = halves(from[2] + at, from[6] + at), r3 = halves(from[3] + at, from[7] + at);
        __m256 low01 = _mm256_unpacklo_ps(r0, r1), high01 = _mm256_unpackhi_ps(r0, r1);
        __m256 low23 = _mm256_unpacklo_ps(r2, r3), high23 = _mm256_unpackhi_ps(r2, r3);
        _mm256_storeu_ps(to, _mm256_shuffle_ps(low01, low23, 0x44));
        _mm256_storeu_ps(to + step, _mm256_shuffle_ps(low01, low23, 0xee));
        _mm256_storeu_ps(to + 2 * step, _mm256_shuffle_ps(high01, high23, 0x44));
        _mm256_storeu_ps(to + 3 * step, _mm256_shuffle_ps(high01, high23, 0xee));
    }
}
#else
enum { BLOCK = 4 };

V_INLINE void transpose_block(const float *const from[BLOCK], int64_t at, float *to, int64_t step)
{
    const float *const rows[BLOCK] = {from[0] + at, from[1] + at, from[2] + at, from[3] + at};
    v_transpose_4x4(rows, to, step);
}
#endif

#if defined(__AVX512F__)
enum { WIDE = 16 };

/* transpose_wide does the same for WIDE x WIDE floats.  It reads and writes whole cache lines.  Rows that are a
 * multiple of 4 KiB apart map to the same few sets of the L1 cache.  A line that is read in pieces would therefore be
 * loaded from the L2 cache once for each piece. */
V_INLINE void transpose_wide(const float *const from[WIDE], int64_t at, float *to, int64_t step)
{
    __m512 r[WIDE], s[WIDE];
#pragma GCC unroll 16
    for (int i = 0; i < WIDE; i++) r[i] = _mm512_loadu_ps(from[i] + at);
#pragma GCC unroll 16
    for (int i = 0; i < WIDE; i += 2) {
        s[i]     = _mm512_unpacklo_ps(r[i], r[i + 1]);
        s[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < WIDE; i += 4) { /* r[i + q]: columns q, q + 4, q + 8, q + 12 of rows i to i + 3 */
        r[i]     = _mm512_shuffle_ps(s[i], s[i + 2], 0x44);
        r[i + 1] = _mm512_shuffle_ps(s[i], s[i + 2], 0xee);
        r[i + 2] = _mm512_shuffle_ps(s[i + 1], s[i + 3], 0x44);
        r[i + 3] = _mm512_shuffle_ps(s[i + 1], s[i + 3], 0xee);
    }
#pragma GCC unroll 16
    for (int q = 0; q < 4; q++) {
        s[q]      = _mm512_shuffle_f32x4(r[q], r[q + 4], 0x88);
        s[q + 4]  = _mm512_shuffle_f32x4(r[q], r[q + 4], 0xdd);
        s[q + 8]  = _mm512_shuffle_f32x4(r[q + 8], r[q + 12], 0x88);
        s[q + 12] = _mm512_shuffle_f32x4(r[q + 8], r[q + 12], 0xdd);
    }
#pragma GCC unroll 16
    for (int k = 0; k < 8; k++) _mm512_storeu_ps(to + k * step, _mm512_shuffle_f32x4(s[k], s[k + 8], 0x88));
#pragma GCC unroll 16
    for (int k = 0; k < 8; k++) _mm512_storeu_ps(to + (k + 8) * step, _mm512_shuffle_f32x4(s[k], s[k + 8], 0xdd));
}
#else
enum { WIDE = BLOCK };

V_INLINE void transpose_wide(const float *const from[WIDE], int64_t at, float *to, int64_t step)
{
    transpose_block(from, at, to, step);
}
#endif

/* Copies vectors into the columns of a panel.  v: `count` vectors of k floats, `apart` bytes from each other.  panel: k
 * rows, `step` floats from each other.  A block writes all its columns, also those beyond `count` and beyond the end of
 * a row.  Blocks are therefore written from right to left and with k ascending, so that later ones overwrite the
 * excess. */
V_INLINE void ls__transpose(const void *v, int64_t apart, int64_t count, int64_t k, float *panel, int64_t step)
{
    for (int64_t c = (count - 1) / WIDE * WIDE; c >= 0; c -= WIDE) {
        const bool   wide = count - c > WIDE - BLOCK;
        const float *from[WIDE];
        int64_t      whole = 0;
        for (int64_t b = 0; b < WIDE; b++)
            from[b] = (const float *)((const char *)v + ls__min(c + b, count - 1) * apart);
        for (; wide && whole + WIDE <= k; whole += WIDE) transpose_wide(from, whole, panel + whole * step + c, step);
        for (int64_t b = wide ? WIDE - BLOCK : 0; b >= 0; b -= BLOCK) {
            int64_t i = whole;
            for (; i + BLOCK <= k; i += BLOCK) transpose_block(from + b, i, panel + i * step + c + b, step);
            for (; i < k; i++)
                for (int64_t j = b; j < b + BLOCK; j++) /* pairs of bfloat16 may begin at any even address */
                    memcpy(&panel[i * step + c + j], from[j] + i, sizeof *panel);
        }
    }
}

#endif
