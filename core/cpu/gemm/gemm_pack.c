/* SPDX-License-Identifier: Apache-2.0
 * Packs operands of matrix products into panels, and keeps the memory for the panels in a pool. */
#include "core/cpu/gemm/gemm_pack.h"

#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "core/base/arena.h"
#include "core/cpu/gemm/gemm_transpose.h"

/* ---- the pool ---------------------------------------------------------------------------------------------------- */

enum { SLOTS = 1024, SLACK = 64 /* floats that packing may write beyond a panel of x */ };

static struct slot {
    _Atomic int taken;
    ls_block    block;
} pool[SLOTS];

static _Atomic int       made; /* number of slots that have memory */
static _Thread_local int last; /* last slot of this thread; its memory may still be in the cache */

static const size_t floats_w = (size_t)LS_WORDS * LS_NC,
                    floats_x = (size_t)(LS_MC / LS_MR + 1) * (LS_MR * LS_WORDS + SLACK), floats_state = LS_STATE;

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
        ls__transpose(w, w_col * (int64_t)sizeof *w, n, k, panel, LS_NR);
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
                    v_store(panel + t * ls__gemm_x_panel(LS_MR, k) + i * LS_MR + r,
                            some); /* the next column overwrites the excess */
                else
                    v_store_part(panel + t * ls__gemm_x_panel(LS_MR, k) + i * LS_MR + r, some, left);
            }
        }
}

void ls__gemm_pack_x(const float *x, int64_t x_row, int64_t x_col, int64_t rows, int64_t k, float *panel)
{
    enum { MANY = 16, SOME = 4 }; /* panels that are packed at the same time */
    for (int64_t r = 0; r < rows;) {
        const float  *from = x + r * x_row;
        float        *to   = panel + r / LS_MR * ls__gemm_x_panel(LS_MR, k);
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
            ls__transpose(from, x_row * (int64_t)sizeof *x, count, k, to, LS_MR);
        else if (x_row == 1 && count == LS_MR)
            gather(from, x_col, 1, k, to);
        else
            for (int64_t i = 0; i < k; i++)
                for (int64_t c = 0; c < count; c++) to[i * LS_MR + c] = from[c * x_row + i * x_col];
        r += LS_MR;
    }
}
