/* SPDX-License-Identifier: Apache-2.0
 * The micro-kernels of matrix products: one inline function, instantiated for every shape of a tile. */
#include "core/cpu/gemm/gemm_kernel.h"

#include <string.h>

#include "core/cpu/vector/bf16.h"

#if LS_DOT
V_INLINE vf broadcast(const float *x)
{
    int32_t pair;
    memcpy(&pair, x, sizeof pair);
    return (vf)v_set_int(pair);
}
V_INLINE vf multiply_add(vf x, vf w, vf sum) { return v_dot(x, w, sum); }
#define KERNELS ls__gemm_dot
#else
V_INLINE vf broadcast(const float *x) { return v_set(*x); }
V_INLINE vf multiply_add(vf x, vf w, vf sum) { return v_fma(x, w, sum); }
#define KERNELS ls__gemm_fma
#endif

enum { GROUPS = (LS_MR + 3) / 4, UNROLL = 4, UNROLL_TREE = 8 };

/* Adds x w for one k to the accumulators, and stores w into `panel` if that is not NULL.  x has a pointer to every
 * `group`-th row of x only, which leaves registers for the addresses of 14 rows.  left: columns of each vector. */
V_INLINE void step(vf acc[LS_MR][2], const float *const x[GROUPS], int64_t x_row, const float *w, const int64_t left[2],
                   float *panel, const int rows, const int vecs, const int group)
{
    vf w0 = v_load_part(w, left[0]), w1 = {0};
    if (vecs == 2) w1 = v_load_part(w + LS_V, left[1]);
    if (panel) {
        v_store(panel, w0);
        v_store(panel + LS_V, w1);
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        vf xi     = broadcast(&x[i / group][i % group * x_row]);
        acc[i][0] = multiply_add(xi, w0, acc[i][0]);
        if (vecs == 2) acc[i][1] = multiply_add(xi, w1, acc[i][1]);
    }
    __asm__ volatile("" ::
                         : "memory"); /* keeps the compiler from loading operands of the next k, for which no registers
                                          are free */
}

/* Prefetches the next line, if one is left. */
V_INLINE void prefetch_line(ls_prefetch *p)
{
    __builtin_prefetch(p->at);
    const bool    ends = --p->left == 0;
    const int64_t on   = ends ? p->apart - (p->lines - 1) * LS_LINE : LS_LINE;
    p->left            = ends ? p->lines : p->left;
    p->at += p->count-- > 0 ? on : 0;
}

/* Prefetches y and the partial sums that are added to the tile.  Kernels of packed operands prefetch y line by line
 * while they sum. */
V_INLINE void prefetch_sums(const ls_tile *t, const int rows, const bool packed)
{
    if (!packed)
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) __builtin_prefetch(t->y + i * t->y_row, 1);
    for (int s = 0; s < t->adds; s++) {
        if (packed && t->add[s].data == t->y) continue;
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            __builtin_prefetch(t->add[s].data + i * t->add[s].row);
            if (packed) __builtin_prefetch(t->add[s].data + i * t->add[s].row + LS_NR - 1);
        }
    }
}

/* Adds the waiting partial sums and the bias to the accumulators, and stores them into y. */
V_INLINE void add_and_store(const ls_tile *t, vf acc[LS_MR][2], const int64_t left[2], const int rows, const int vecs)
{
    for (int s = 0; s < t->adds; s++) {
        const float *from = t->add[s].data;
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++, from += t->add[s].row)
#pragma GCC unroll 16
            for (int v = 0; v < vecs; v++) acc[i][v] = v_load_part(from + v * LS_V, left[v]) + acc[i][v];
    }
    if (t->bias)
#pragma GCC unroll 16
        for (int v = 0; v < vecs; v++) {
            vf bias = v_load_part(t->bias + v * LS_V, left[v]);
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++) acc[i][v] += bias;
        }
    float *y = t->y;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++, y += t->y_row)
#pragma GCC unroll 16
        for (int v = 0; v < vecs; v++) v_store_part(y + v * LS_V, acc[i][v], left[v]);
}

/* Computes a tile.  `rows`, `vecs` (vectors of columns), `partial` (the last vector), `packed`, `packs` (w, while it is
 * read) and `tree` (more than one piece) are constants after inlining, so that only the loops over pieces and k remain.
 * Lines are prefetched a few at a time: more at once would delay the loads of x, and prefetched lines of y could be
 * evicted from the L1 cache before they are stored. */
V_INLINE void tile(const ls_tile *t, const int rows, const int vecs, const bool partial, const bool packed,
                   const bool packs, const bool tree)
{
    const int64_t left[2] = {partial && vecs == 1 ? t->n : LS_V, partial ? t->n - LS_V : LS_V};
    const int64_t x_row = packed ? 1 : t->x_row, x_col = packed ? LS_MR : t->x_col,
                  w_row = packed && !packs ? LS_NR : t->w_row;
    const int    group  = packed ? LS_MR : 4;
    const int    unroll = tree ? UNROLL_TREE : UNROLL;
    const float *w      = t->w, *x[GROUPS];
    vf           acc[LS_MR][2];
    vf           waiting[LS_TILE_LEVELS][LS_MR][2]; /* by level: sum of the subtree left of the current piece */
#pragma GCC unroll 16
    for (int g = 0; g * group < rows; g++) x[g] = t->x + g * group * x_row;
    prefetch_sums(t, rows, packed);
    const char  *next_x      = (const char *)t->next;
    const float *next_y      = t->y;
    int          next_y_rows = rows;
    ls_prefetch  prefetch    = t->prefetch;
    float       *panel       = packs ? t->panel : NULL;
    for (int p = 0;; p++) {
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) acc[i][0] = acc[i][1] = (vf){0};
        int64_t k = t->len[p];
        for (; packed && k >= unroll; k -= unroll, next_x += unroll * 4 * LS_MR) {
#pragma GCC unroll 16
            for (int line = 0; line < unroll * 4 * LS_MR; line += LS_LINE) __builtin_prefetch(next_x + line);
            __builtin_prefetch(next_y, 1);
            __builtin_prefetch(next_y + LS_NR - 1, 1);
            next_y += --next_y_rows > 0 ? t->y_row : 0;
#pragma GCC unroll 16
            for (int u = 0; u < unroll; u++) {
                step(acc, x, x_row, w, left, panel, rows, vecs, group);
#pragma GCC unroll 16
                for (int g = 0; g * group < rows; g++) x[g] += x_col;
                w += w_row;
                if (packs) panel += LS_NR;
                if (u % 2 == 0) prefetch_line(&prefetch);
            }
            __asm__("" : "+r"(w), "+r"(next_x)); /* keeps them as pointers after the loop */
#pragma GCC unroll 16
            for (int g = 0; g * group < rows; g++) __asm__("" : "+r"(x[g]));
        }
        for (; k > 0; k--) {
            step(acc, x, x_row, w, left, panel, rows, vecs, group);
#pragma GCC unroll 16
            for (int g = 0; g * group < rows; g++) x[g] += x_col;
            w += w_row;
            if (packs) panel += LS_NR;
        }
        int level = 0;
        for (; tree && (p >> level & 1); level++)
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++)
#pragma GCC unroll 16
                for (int v = 0; v < vecs; v++) acc[i][v] = waiting[level][i][v] + acc[i][v];
        if (!tree || p == t->pieces - 1) break;
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 16
            for (int v = 0; v < vecs; v++) waiting[level][i][v] = acc[i][v];
    }
    add_and_store(t, acc, left, rows, vecs);
}

#define ROWS_6(X) X(1) X(2) X(3) X(4) X(5) X(6)
#if defined(__AVX512F__)
#define ROWS(X) ROWS_6(X) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#elif defined(__AVX2__)
#define ROWS(X) ROWS_6(X)
#else
#define ROWS(X) X(1) X(2) X(3) X(4)
#endif

#define TILES(rows)                                                                                                    \
    static void tile_##rows##_1(const ls_tile *t) { tile(t, rows, 1, false, false, false, true); }                     \
    static void tile_##rows##_2(const ls_tile *t) { tile(t, rows, 2, false, false, false, true); }                     \
    static void tile_##rows##_1p(const ls_tile *t) { tile(t, rows, 1, true, false, false, true); }                     \
    static void tile_##rows##_2p(const ls_tile *t) { tile(t, rows, 2, true, false, false, true); }
ROWS(TILES)

static void tile_packed(const ls_tile *t) { tile(t, LS_MR, 2, false, true, false, false); }
static void tile_packing(const ls_tile *t) { tile(t, LS_MR, 2, false, true, true, false); }
static void tile_packed_tree(const ls_tile *t) { tile(t, LS_MR, 2, false, true, false, true); }
static void tile_packing_tree(const ls_tile *t) { tile(t, LS_MR, 2, false, true, true, true); }

static void narrow(const float *sum, int64_t rows, int64_t cols, uint16_t *y, int64_t y_row, bool add)
{
    for (int64_t i = 0; i < rows; i++, sum += LS_NR, y += y_row)
        if (add)
            ls__add_narrow(cols, sum, y);
        else
            ls__narrow(cols, sum, y);
}

#define ENTRIES(rows) {{tile_##rows##_1, tile_##rows##_1p}, {tile_##rows##_2, tile_##rows##_2p}},
const ls_gemm_kernels KERNELS = {
    .tile   = {ROWS(ENTRIES)},
    .packed = {{tile_packed, tile_packing}, {tile_packed_tree, tile_packing_tree}},
    .narrow = narrow,
};
