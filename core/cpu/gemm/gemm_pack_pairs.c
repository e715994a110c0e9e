/* SPDX-License-Identifier: Apache-2.0
 * Packs bfloat16 operands of matrix products as pairs along K. */
#include "core/cpu/gemm/gemm_pack.h"
#include "core/cpu/gemm/gemm_transpose.h"
#include "core/cpu/vector/bf16.h"

enum {
    MOST  = 2 * LS_V > LS_MR ? 2 * LS_V : LS_MR, /* columns of a panel */
    SLACK = 64                                   /* floats that a transpose may write beyond a panel */
};

/* A word with the values of two positions. */
static float pair(uint16_t even, uint16_t odd)
{
    const uint32_t word = (uint32_t)odd << 16 | even;
    float          bits;
    memcpy(&bits, &word, sizeof bits);
    return bits;
}

V_INLINE vf even_of(vf pairs) { return (vf)((vu)pairs << 16); }
V_INLINE vf odd_of(vf pairs) { return (vf)((vu)pairs & 0xffff0000u); }

/* Writes each row of pairs as two rows of float32, the odd values first. */
static void widen_pairs(const float *pairs, int64_t rows, float *panel, int64_t width)
{
    for (int64_t r = 0; r < rows; r++, pairs += width, panel += 2 * width)
        for (int64_t v = 0; v < width; v += LS_V) {
            const int64_t left = width - v < LS_V ? width - v : LS_V;
            const vf      each = v_load_part(pairs + v, left);
            v_store_part(panel + v, odd_of(each), left);
            v_store_part(panel + width + v, even_of(each), left);
        }
}

/* The positions of a vector are contiguous: transposes pairs. */
static void pack_transposed(const uint16_t *x, int64_t apart, int64_t count, int64_t k, float *panel, int64_t width,
                            bool dot)
{
    float  pairs[(LS_WORDS / 2 + 1) * MOST + SLACK];
    float *to = dot ? panel : pairs;
    ls__transpose(x, apart * (int64_t)sizeof *x, count, k / 2, to, width);
    if (k % 2)
        for (int64_t v = 0; v < count; v++) to[k / 2 * width + v] = pair(x[v * apart + k - 1], 0);
    if (!dot) widen_pairs(pairs, (k + 1) / 2, panel, width);
}

/* Loads `left` <= LS_V values of a row, or fewer than LS_V if more may not be read. */
V_INLINE vh load_row(const uint16_t *x, int64_t left)
{
    if (left >= LS_V) return *(const vh_any *)x;
#if defined(__AVX512F__)
    return (vh)_mm256_maskz_loadu_epi16((__mmask16)((1u << left) - 1), x);
#else
    uint16_t lanes[LS_V] = {0};
    memcpy(lanes, x, (size_t)left * sizeof *x);
    return *(const vh_any *)lanes;
#endif
}

V_INLINE vu word_of(vh x) { return (vu)v_widen(x); } /* the value in the upper half */

/* Packs vectors that lie side by side, as the columns of x.  A row of pairs comes from two rows of x.  Stores write
 * whole registers.  The next row overwrites the values beyond the end of a row. */
V_INLINE void pack_rows(const uint16_t *x, int64_t along, int64_t count, int64_t k, float *panel, const int64_t width,
                        const bool dot)
{
    const vh none = {0};
    for (int64_t i = 0; i < k; i += 2, x += 2 * along, panel += dot ? width : 2 * width)
        for (int64_t v = 0; v < count; v += LS_V) {
            const int64_t left = count - v, room = width - v;
            const vh      even = load_row(x + v, left), odd = i + 1 < k ? load_row(x + along + v, left) : none;
            const int64_t last = i + 2 >= k && room < LS_V ? room : LS_V; /* nothing overwrites the last row's excess */
            if (dot) {
                v_store_part(panel + v, (vf)(word_of(odd) | word_of(even) >> 16), last);
            } else {
                v_store(panel + v, v_widen(odd));
                v_store_part(panel + width + v, v_widen(even), last);
            }
        }
}

void ls__gemm_pack_pairs(const uint16_t *x, int64_t apart, int64_t along, int64_t count, int64_t k, float *panel,
                         int64_t width, bool dot)
{
    if (along == 1) {
        pack_transposed(x, apart, count, k, panel, width, dot);
    } else if (apart == 1 && dot) {
        if (width == LS_MR)
            pack_rows(x, along, count, k, panel, LS_MR, true);
        else
            pack_rows(x, along, count, k, panel, width, true);
    } else if (apart == 1) {
        if (width == LS_MR)
            pack_rows(x, along, count, k, panel, LS_MR, false);
        else
            pack_rows(x, along, count, k, panel, width, false);
    } else {
        for (int64_t i = 0; i < k; i += 2)
            for (int64_t v = 0; v < count; v++) {
                const uint16_t even = x[v * apart + i * along], odd = i + 1 < k ? x[v * apart + (i + 1) * along] : 0;
                float         *to = panel + i / 2 * (dot ? 1 : 2) * width + v;
                if (dot) {
                    *to = pair(even, odd);
                } else {
                    to[0]     = ls__widen_1(odd);
                    to[width] = ls__widen_1(even);
                }
            }
    }
}
