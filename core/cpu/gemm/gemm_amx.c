/* SPDX-License-Identifier: Apache-2.0
 *
 * The micro-kernel of bfloat16 products with AMX: a tile of y of 32 x 32 floats in four tile registers.
 *
 * TDPBF16PS multiplies 16 rows of x by 16 columns of w over a block of 32 positions of K.  An element c of y gets
 *
 *     e = chain of fma(x[k], w[k], e) over the even k of the block, from zero;  o = the same over the odd k
 *     c = c + (e + o)
 *
 * with k ascending, rounding to nearest, and denormal numbers taken as zero and results flushed.  The order of the sum
 * beyond a block is that of gemm_kernel.h. */
#include "core/cpu/gemm/gemm_kernel.h"

#include "core/cpu/vector/bf16.h"

enum { TILE = 16 /* rows and columns of a tile register */, ROW = 64 /* bytes of a row of a tile register */ };
enum { SUMS = LS_MR_AMX * LS_NR, ROW_Y = LS_NR * (int)sizeof(float) };

void ls__amx_begin(void)
{
    /* static: the compiler does not see that LDTILECFG reads more than the first eight bytes */
    static const struct {
        uint8_t  palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t  rows[16];
    } config = {.palette   = 1,
                .row_bytes = {ROW, ROW, ROW, ROW, ROW, ROW, ROW, ROW},
                .rows      = {TILE, TILE, TILE, TILE, TILE, TILE, TILE, TILE}};
    _tile_loadconfig(&config);
}

void ls__amx_end(void) { _tile_release(); }

/* Prefetches `count` of the lines. */
V_INLINE void prefetch_lines(ls_prefetch *p, int64_t count)
{
    for (; count > 0 && p->count > 0; count--, p->count--) {
        __builtin_prefetch(p->at);
        const bool ends = --p->left == 0;
        p->at += ends ? p->apart - (p->lines - 1) * LS_LINE : LS_LINE;
        if (ends) p->left = p->lines;
    }
}

/* Sums one piece of `blocks` blocks into the tile registers 0 to 3. */
V_INLINE void sum_piece(const float *x, const float *w, int64_t blocks, ls_prefetch *prefetch, int64_t lines)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t b = 0; b < blocks; b++, x += LS_MR_AMX * TILE, w += TILE * LS_NR) {
        _tile_loadd(6, w, ROW_Y);
        _tile_loadd(4, x, ROW);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, w + TILE, ROW_Y);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, x + TILE * TILE, ROW);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        prefetch_lines(prefetch, lines);
    }
}

V_INLINE void store_tiles(float *y, int64_t row)
{
    const int64_t bytes = row * (int64_t)sizeof *y;
    _tile_stored(0, y, bytes);
    _tile_stored(1, y + TILE, bytes);
    _tile_stored(2, y + TILE * row, bytes);
    _tile_stored(3, y + TILE * row + TILE, bytes);
}

/* Adds the waiting partial sums and the bias to `sum`, and stores the result. */
V_INLINE void add_and_store(const ls_tile *t, const float *sum, const int64_t n)
{
    const int64_t left[2] = {n < LS_V ? n : LS_V, n - LS_V};
    for (int v = 0; v < 2; v++) {
        if (left[v] <= 0) break;
        const vf bias = t->bias ? v_load_part(t->bias + v * LS_V, left[v]) : v_set(0);
        for (int64_t i = 0; i < t->m; i++) {
            vf y = v_load(sum + i * LS_NR + v * LS_V);
            for (int a = 0; a < t->adds; a++)
                y = v_load_part(t->add[a].data + i * t->add[a].row + v * LS_V, left[v]) + y;
            if (t->bias) y += bias;
            if (!t->half) {
                v_store_part(t->y + i * t->y_row + v * LS_V, y, left[v]);
                continue;
            }
            uint16_t *half = t->half + i * t->half_row + v * LS_V;
            if (t->half_add) y = v_load_part_bf16(half, left[v]) + y;
            v_store_part_bf16(half, y, left[v]);
        }
    }
}

/* Adds up pieces as a binary tree.  sum: receives the total. */
static void sum_tree(const ls_tile *t, ls_prefetch *prefetch, int64_t lines, float *sum)
{
    float        waiting[LS_TILE_LEVELS][SUMS] __attribute__((aligned(64)));
    const float *x = t->x, *w = t->w;
    for (int p = 0; p < t->pieces; p++) {
        sum_piece(x, w, t->len[p] / TILE, prefetch, lines);
        store_tiles(sum, LS_NR);
        x += t->len[p] * LS_MR_AMX;
        w += t->len[p] * LS_NR;
        int level = 0;
        for (; p >> level & 1; level++)
            for (int64_t i = 0; i < SUMS; i += LS_V) v_store(sum + i, v_load(waiting[level] + i) + v_load(sum + i));
        if (p < t->pieces - 1) memcpy(waiting[level], sum, sizeof waiting[level]);
    }
}

static void tile(const ls_tile *t)
{
    float         sum[SUMS] __attribute__((aligned(64)));
    ls_prefetch   prefetch = t->prefetch;
    const int64_t lines    = (prefetch.count * TILE + t->panel_len - 1) / (t->panel_len + !t->panel_len);
    const bool    whole    = t->m == LS_MR_AMX && t->n == LS_NR;
    if (t->pieces > 1) {
        sum_tree(t, &prefetch, lines, sum);
    } else {
        sum_piece(t->x, t->w, t->len[0] / TILE, &prefetch, lines);
        if (whole && t->adds == 0 && !t->bias && !t->half) {
            store_tiles(t->y, t->y_row);
            return;
        }
        store_tiles(sum, LS_NR);
    }
    if (whole)
        add_and_store(t, sum, LS_NR);
    else
        add_and_store(t, sum, t->n);
}

const ls_gemm_kernels ls__gemm_amx = {.any = tile};
