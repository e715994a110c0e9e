/* SPDX-License-Identifier: Apache-2.0
 * Packs x for the micro-kernel of AMX. */
#include "core/cpu/gemm/gemm_pack.h"
#include "core/cpu/gemm/gemm_transpose.h"

enum { TILE = LS_TILE_K / 2 /* pairs of a block */, HALF = 16 /* rows of a tile register */ };

/* Loads n <= LS_TILE_K values; the others are zero. */
V_INLINE __m512i load_block(const uint16_t *x, int64_t n)
{
    return n >= LS_TILE_K ? _mm512_loadu_si512(x) : _mm512_maskz_loadu_epi16((__mmask32)((1u << n) - 1), x);
}

/* Packs a block of n positions of up to LS_MR_AMX rows that lie side by side. */
static void pack_block(const uint16_t *x, int64_t x_col, int64_t rows, int64_t n, float *block)
{
    const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37,
                                         5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0),
                  high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    float        pairs[TILE][LS_MR_AMX] __attribute__((aligned(64)));
    const float *from[HALF];
    for (int64_t p = 0; p < TILE; p++) {
        const __m512i even = load_block(x + 2 * p * x_col, 2 * p < n ? rows : 0),
                      odd  = load_block(x + (2 * p + 1) * x_col, 2 * p + 1 < n ? rows : 0);
        _mm512_store_si512(pairs[p], _mm512_permutex2var_epi16(even, low, odd));
        _mm512_store_si512(pairs[p] + HALF, _mm512_permutex2var_epi16(even, high, odd));
    }
    for (int half = 0; half < LS_MR_AMX; half += HALF) {
        for (int p = 0; p < HALF; p++) from[p] = pairs[p] + half;
        transpose_wide(from, 0, block + half * TILE, TILE);
    }
}

void ls__gemm_pack_x_amx(const uint16_t *x, int64_t x_row, int64_t x_col, int64_t rows, int64_t k, float *panel,
                         int64_t step)
{
    enum { BLOCK_FLOATS = LS_MR_AMX * TILE };
    if (x_row == 1 && x_col != 1) { /* all panels of a block together, so that whole cache lines are used */
        for (int64_t b = 0; b < k; b += LS_TILE_K)
            for (int64_t r = 0; r < rows; r += LS_MR_AMX)
                pack_block(x + r + b * x_col, x_col, rows - r, k - b,
                           panel + r / LS_MR_AMX * step + b / LS_TILE_K * BLOCK_FLOATS);
        return;
    }
    for (int64_t r = 0; r < rows; r++) {
        float *to = panel + r / LS_MR_AMX * step + r % LS_MR_AMX * TILE;
        for (int64_t b = 0; b < k; b += LS_TILE_K, to += BLOCK_FLOATS) {
            const uint16_t *from            = x + r * x_row + b * x_col;
            const int64_t   n               = k - b < LS_TILE_K ? k - b : LS_TILE_K;
            uint16_t        line[LS_TILE_K] = {0};
            if (x_col == 1) {
                _mm512_storeu_si512(to, load_block(from, n));
                continue;
            }
            for (int64_t i = 0; i < n; i++) line[i] = from[i * x_col];
            memcpy(to, line, sizeof line);
        }
    }
}
