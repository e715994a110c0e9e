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

typedef float   quad __attribute__((vector_size(16)));
typedef float   quad_any __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t quad_int __attribute__((vector_size(16)));

/* Four columns of w, of which k is the contiguous dim, into columns of a panel. */
static void transpose_4(const float *w, int64_t w_col, int64_t k, float *panel)
{
    const quad_int lows = {0, 4, 1, 5}, highs = {2, 6, 3, 7}, first = {0, 1, 4, 5}, second = {2, 3, 6, 7};
    const float   *w0 = w, *w1 = w + w_col, *w2 = w + 2 * w_col, *w3 = w + 3 * w_col;
    int64_t        i = 0;
    for (; i + 4 <= k; i += 4, panel += 4 * LS_NR) {
        quad a = *(const quad_any *)(w0 + i), b = *(const quad_any *)(w1 + i);
        quad c = *(const quad_any *)(w2 + i), d = *(const quad_any *)(w3 + i);
        quad ab = __builtin_shuffle(a, b, lows), cd = __builtin_shuffle(c, d, lows);
        quad ab2 = __builtin_shuffle(a, b, highs), cd2 = __builtin_shuffle(c, d, highs);
        *(quad_any *)panel               = __builtin_shuffle(ab, cd, first);
        *(quad_any *)(panel + LS_NR)     = __builtin_shuffle(ab, cd, second);
        *(quad_any *)(panel + 2 * LS_NR) = __builtin_shuffle(ab2, cd2, first);
        *(quad_any *)(panel + 3 * LS_NR) = __builtin_shuffle(ab2, cd2, second);
    }
    for (; i < k; i++, panel += LS_NR) {
        panel[0] = w0[i];
        panel[1] = w1[i];
        panel[2] = w2[i];
        panel[3] = w3[i];
    }
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
        for (; j + 4 <= n; j += 4) transpose_4(w + j * w_col, w_col, k, panel + j);
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
