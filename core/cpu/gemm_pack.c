/* SPDX-License-Identifier: Apache-2.0
 * Packing, and the pool of memory for it. */
#include "core/cpu/gemm_pack.h"

#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/arena.h"

/* ---- the pool ------------------------------------------------------------------------------------------------------ */

enum { SLOTS = 1024, SLACK = 64 };

static struct slot {
    _Atomic int taken;
    ls_block    block;
} pool[SLOTS];

static _Atomic int      made;
static _Thread_local int last; /* the slot this thread had: its memory is in this core's cache */

static const size_t floats_w = (size_t)LS_KC * LS_NC, floats_x = (size_t)(LS_MC + LS_MR) * LS_KC + SLACK, floats_state = LS_STATE;

/* Makes `count` more slots.  Runs once in a process as a rule, so one thread at a time is enough. */
static void grow(int count)
{
#pragma omp critical(ls_gemm_pool)
    for (int i = 0; i < count && made < SLOTS; i++) {
        if (ls_block_new(&pool[made].block, (floats_w + floats_x + floats_state) * sizeof(float), "matrix product") != LS_OK) {
            fprintf(stderr, "lockstep: %s\n", ls_error_message());
            abort();
        }
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
        for (slot = 0; slot < have && !try_take(slot); slot++) {}
        if (slot < have) break;
        int team = omp_in_parallel() ? omp_get_num_threads() : omp_get_max_threads();
        if (have == SLOTS) sched_yield();
        else grow(have <= team ? team + 1 - have : 1); /* one for the sums of the team */
        slot = 0;
    }
    last        = slot;
    float *base = pool[slot].block.data;
    return (ls_gemm_space){.w = base, .state = base + floats_w, .x = base + floats_w + floats_state, .slot = slot};
}

void ls__gemm_space_give(ls_gemm_space space) { atomic_store_explicit(&pool[space.slot].taken, 0, memory_order_release); }

/* ---- panels -------------------------------------------------------------------------------------------------------- */

/* Columns of w of which k is the contiguous dim, transposed BLOCK x BLOCK at a time into columns of a panel. */
#if defined(__AVX2__)
enum { BLOCK = 8 };

/* Rows i and i + 4 of a block, four k of each. */
V_INLINE __m256 halves(const float *upper, const float *lower)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(upper)), _mm_loadu_ps(lower), 1);
}

V_INLINE void transpose_block(const float *w, int64_t w_col, float *panel)
{
#pragma GCC unroll 2
    for (int k = 0; k < BLOCK; k += 4, w += 4, panel += 4 * LS_NR) {
        __m256 r0 = halves(w, w + 4 * w_col), r1 = halves(w + w_col, w + 5 * w_col);
        __m256 r2 = halves(w + 2 * w_col, w + 6 * w_col), r3 = halves(w + 3 * w_col, w + 7 * w_col);
        __m256 low01 = _mm256_unpacklo_ps(r0, r1), high01 = _mm256_unpackhi_ps(r0, r1);
        __m256 low23 = _mm256_unpacklo_ps(r2, r3), high23 = _mm256_unpackhi_ps(r2, r3);
        _mm256_storeu_ps(panel, _mm256_shuffle_ps(low01, low23, 0x44));
        _mm256_storeu_ps(panel + LS_NR, _mm256_shuffle_ps(low01, low23, 0xee));
        _mm256_storeu_ps(panel + 2 * LS_NR, _mm256_shuffle_ps(high01, high23, 0x44));
        _mm256_storeu_ps(panel + 3 * LS_NR, _mm256_shuffle_ps(high01, high23, 0xee));
    }
}
#else
enum { BLOCK = 4 };
typedef float   quad __attribute__((vector_size(16)));
typedef float   quad_any __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t quad_int __attribute__((vector_size(16)));

V_INLINE void transpose_block(const float *w, int64_t w_col, float *panel)
{
    const quad_int lows = {0, 4, 1, 5}, highs = {2, 6, 3, 7}, first = {0, 1, 4, 5}, second = {2, 3, 6, 7};
    quad           r0 = *(const quad_any *)w, r1 = *(const quad_any *)(w + w_col);
    quad           r2 = *(const quad_any *)(w + 2 * w_col), r3 = *(const quad_any *)(w + 3 * w_col);
    quad           low01 = __builtin_shuffle(r0, r1, lows), high01 = __builtin_shuffle(r0, r1, highs);
    quad           low23 = __builtin_shuffle(r2, r3, lows), high23 = __builtin_shuffle(r2, r3, highs);
    *(quad_any *)panel               = __builtin_shuffle(low01, low23, first);
    *(quad_any *)(panel + LS_NR)     = __builtin_shuffle(low01, low23, second);
    *(quad_any *)(panel + 2 * LS_NR) = __builtin_shuffle(high01, high23, first);
    *(quad_any *)(panel + 3 * LS_NR) = __builtin_shuffle(high01, high23, second);
}
#endif

static void transpose(const float *w, int64_t w_col, int64_t k, float *panel)
{
    int64_t i = 0;
    for (; i + BLOCK <= k; i += BLOCK) transpose_block(w + i, w_col, panel + i * LS_NR);
    for (; i < k; i++)
        for (int64_t c = 0; c < BLOCK; c++) panel[i * LS_NR + c] = w[c * w_col + i];
}

void ls__gemm_pack_w(const float *w, int64_t w_row, int64_t w_col, int64_t k, int64_t n, float *panel)
{
    if (w_col == 1 && n == LS_NR) {
        for (int64_t i = 0; i < k; i++, w += w_row, panel += LS_NR) {
            v_store(panel, v_load(w));
            v_store(panel + LS_V, v_load(w + LS_V));
        }
        return;
    }
    int64_t j = 0;
    if (w_row == 1)
        for (; j + BLOCK <= n; j += BLOCK) transpose(w + j * w_col, w_col, k, panel + j);
    for (int64_t i = 0; i < k; i++) {
        for (int64_t c = j; c < n; c++) panel[i * LS_NR + c] = w[i * w_row + c * w_col];
        for (int64_t c = n; c < LS_NR; c++) panel[i * LS_NR + c] = 0;
    }
}

void ls__gemm_pack_x(const float *x, int64_t x_row, int64_t x_col, int64_t rows, int64_t k, float *panel, int64_t *row, int64_t *col)
{
    if (x_row == 1) { /* each k's rows lie side by side, and stay so */
        for (int64_t i = 0; i < k; i++, x += x_col, panel += LS_MR)
            for (int64_t r = 0; r < LS_MR; r += LS_V) {
                int64_t left = rows - r < LS_V ? rows - r : LS_V;
                if (left > 0) v_store(panel + r, v_load_part(x + r, left));
            }
        *row = 1;
        *col = LS_MR;
        return;
    }
    for (int64_t r = 0; r < rows; r++, x += x_row, panel += k) {
        if (x_col == 1) memcpy(panel, x, (size_t)k * sizeof *panel);
        else
            for (int64_t i = 0; i < k; i++) panel[i] = x[i * x_col];
    }
    *row = k;
    *col = 1;
}

void ls__gemm_fetch_w(const float *w, int64_t w_row, int64_t w_col, int64_t k, int64_t n, int64_t part, int64_t parts)
{
    enum { LINE = 16 };
    if (w_col == 1) { /* the last float of each row: the line of the first one came with the panel before */
        for (int64_t i = k * part / parts; i < k * (part + 1) / parts; i++) __builtin_prefetch(w + i * w_row + n - 1);
        return;
    }
    if (w_row != 1) return;
    for (int64_t j = n * part / parts; j < n * (part + 1) / parts; j++)
        for (int64_t i = 0; i < k; i += LINE) __builtin_prefetch(w + j * w_col + i);
}
