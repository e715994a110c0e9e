/* SPDX-License-Identifier: Apache-2.0
 * Packs operands of matrix products into panels, and keeps the memory for the panels in a pool. */
#include "core/cpu/gemm/gemm_pack.h"

#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "core/base/arena.h"
#include "core/cpu/vector/transpose_4x4.h"

/* ---- the pool ---------------------------------------------------------------------------------------------------- */

enum { SLOTS = 1024, SLACK = 64 /* floats that packing may write beyond a panel of x */ };

static struct slot {
    _Atomic int taken;
    ls_block    block;
} pool[SLOTS];

static _Atomic int       made; /* number of slots that have memory */
static _Thread_local int last; /* last slot of this thread, whose memory may still be in the cache of the core */

static const size_t floats_w = (size_t)LS_KC * LS_NC, floats_x = (size_t)(LS_MC / LS_MR + 1) * (LS_MR * LS_KC + SLACK),
                    floats_state = LS_STATE;

/* Allocates `count` more slots, one thread at a time.  Usually runs once per process. */
static void grow(int count)
{
#pragma omp critical(ls_gemm_pool)
    for (int i = 0; i < count && made < SLOTS; i++) {
        if (ls_block_new(&pool[made].block, (floats_w + floats_x + floats_state) * sizeof(float), "matrix product") !=
            LS_OK)
            ls__no_memory();
        atomic_fetch_add(&made, 1);
    }
}

static int try_take(int slot)
{
    int free_slot = 0;
    return slot < made && atomic_compare_exchange_strong(&pool[slot].taken, &free_slot, 1);
}

ls_gemm_space ls__gemm_space_take(void)
{
    int slot = last;
    while (!try_take(slot)) {
        int have = made;
        for (slot = 0; slot < have && !try_take(slot); slot++) {
        }
        if (slot < have) break;
        int team = omp_in_parallel() ? omp_get_num_threads() : omp_get_max_threads();
        if (have == SLOTS)
            sched_yield();
        else
            grow(have <= team + 1 ? team + 2 - have : 1); /* two more than threads, for sums of subtrees */
        slot = 0;
    }
    last        = slot;
    float *base = pool[slot].block.data;
    return (ls_gemm_space){.w = base, .state = base + floats_w, .x = base + floats_w + floats_state, .slot = slot};
}

void ls__gemm_space_give(ls_gemm_space space)
{
    atomic_store_explicit(&pool[space.slot].taken, 0, memory_order_release);
}

/* ---- transposes -------------------------------------------------------------------------------------------------- */

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

/* transpose_wide does the same for WIDE x WIDE floats.  It reads and writes whole cache lines: rows whose distance is a
 * multiple of 4 KiB map to the same few sets of the L1 cache, so a line read in several pieces would be loaded from the
 * L2 cache each time. */
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

/* Copies `count` vectors of k floats, `apart` floats from each other, into the columns of a panel whose rows are `step`
 * floats apart.  A block writes all its columns, also those beyond `count` and beyond the end of a row.  Blocks are
 * therefore written from right to left and with k ascending, so that later blocks overwrite the excess. */
V_INLINE void transpose(const float *v, int64_t apart, int64_t count, int64_t k, float *panel, int64_t step)
{
    for (int64_t c = (count - 1) / WIDE * WIDE; c >= 0; c -= WIDE) {
        const bool   wide = count - c > WIDE - BLOCK;
        const float *from[WIDE];
        int64_t      whole = 0;
        for (int64_t b = 0; b < WIDE; b++) from[b] = v + (c + b < count ? c + b : count - 1) * apart;
        for (; wide && whole + WIDE <= k; whole += WIDE) transpose_wide(from, whole, panel + whole * step + c, step);
        for (int64_t b = wide ? WIDE - BLOCK : 0; b >= 0; b -= BLOCK) {
            int64_t i = whole;
            for (; i + BLOCK <= k; i += BLOCK) transpose_block(from + b, i, panel + i * step + c + b, step);
            for (; i < k; i++)
                for (int64_t j = b; j < b + BLOCK; j++) panel[i * step + c + j] = from[j][i];
        }
    }
}

/* ---- panels ------------------------------------------------------------------------------------------------------ */

void ls__gemm_pack_w(const float *w, int64_t w_row, int64_t w_col, int64_t k, int64_t n, float *panel)
{
    if (w_col == 1 && n == LS_NR) {
        for (int64_t i = 0; i < k; i++, w += w_row, panel += LS_NR) {
            v_store(panel, v_load(w));
            v_store(panel + LS_V, v_load(w + LS_V));
        }
        return;
    }
    if (w_row == 1) {
        transpose(w, w_col, n, k, panel, LS_NR);
        return;
    }
    for (int64_t i = 0; i < k; i++)
        for (int64_t c = 0; c < n; c++) panel[i * LS_NR + c] = w[i * w_row + c * w_col];
}

/* Packs `tiles` neighbouring panels of LS_MR rows at the same time, so that whole cache lines of x are used while they
 * are in the cache.  x_row is 1. */
V_INLINE void gather(const float *x, int64_t x_col, int64_t tiles, int64_t k, float *panel)
{
    enum { AHEAD = 12 /* columns that are prefetched ahead */, LINE = 16 /* floats of a cache line */ };
    for (int64_t i = 0; i < k; i++, x += x_col)
        for (int64_t t = 0; t < tiles; t++) {
            if (t * LS_MR % LINE < LS_MR) __builtin_prefetch(x + t * LS_MR + AHEAD * x_col);
            for (int64_t r = 0; r < LS_MR; r += LS_V) {
                int64_t left = LS_MR - r < LS_V ? LS_MR - r : LS_V;
                vf      some = v_load_part(x + t * LS_MR + r, left);
                if (i < k - 1)
                    v_store(panel + t * ls__gemm_x_panel(k) + i * LS_MR + r,
                            some); /* the next column overwrites the excess */
                else
                    v_store_part(panel + t * ls__gemm_x_panel(k) + i * LS_MR + r, some, left);
            }
        }
}

void ls__gemm_pack_x(const float *x, int64_t x_row, int64_t x_col, int64_t rows, int64_t k, float *panel)
{
    enum { MANY = 16, SOME = 4 }; /* panels that are packed at the same time */
    for (int64_t r = 0; r < rows;) {
        const float  *from = x + r * x_row;
        float        *to   = panel + r / LS_MR * ls__gemm_x_panel(k);
        const int64_t left = rows - r, count = left < LS_MR ? left : LS_MR;
        if (x_row == 1 && left >= SOME * LS_MR) {
            int64_t tiles = left >= MANY * LS_MR ? MANY : SOME;
            if (tiles == MANY)
                gather(from, x_col, MANY, k, to);
            else
                gather(from, x_col, SOME, k, to);
            r += tiles * LS_MR;
            continue;
        }
        if (x_col == 1)
            transpose(from, x_row, count, k, to, LS_MR);
        else if (x_row == 1 && count == LS_MR)
            gather(from, x_col, 1, k, to);
        else
            for (int64_t i = 0; i < k; i++)
                for (int64_t c = 0; c < count; c++) to[i * LS_MR + c] = from[c * x_row + i * x_col];
        r += LS_MR;
    }
}
