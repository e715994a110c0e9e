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

void ls__amx_end(void)
{
    _tile_release();
    _mm_sfence(); /* other threads see the streamed rows */
}

/* Prefetches up to `count` lines into the L2 cache. */
V_INLINE void prefetch_lines(ls_prefetch *p, int64_t count)
{
    const int64_t here = count < p->count ? count : p->count;
    p->count -= here;
    for (int64_t i = 0; i < here; i++) {
        __builtin_prefetch(p->at, 0, 2);
        const bool ends = --p->left == 0;
        p->at += ends ? p->apart - (p->lines - 1) * LS_LINE : LS_LINE;
        p->left = ends ? p->lines : p->left;
    }
}

/* Sums one piece of `blocks` blocks into the tile registers 0 to 3.  x_row, x_block: distances in x from row to row and
 * from block to block, floats.  lines: lines to prefetch in each block; NULL prefetch: none. */
V_INLINE void sum_piece(const float *x, int64_t x_row, int64_t x_block, const float *w, int64_t blocks,
                        ls_prefetch *prefetch, int64_t lines)
{
    const int64_t bytes = x_row * (int64_t)sizeof *x;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t b = 0; b < blocks; b++, x += x_block, w += TILE * LS_NR) {
        _tile_loadd(6, w, ROW_Y);
        _tile_loadd(4, x, bytes);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, w + TILE, ROW_Y);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, x + TILE * x_row, bytes);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        if (prefetch) prefetch_lines(prefetch, lines);
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

/* Adds up pieces as a binary tree.  sum: receives the total. */
static void sum_tree(const ls_tile *t, ls_prefetch *prefetch, int64_t lines, float *sum)
{
    float        waiting[LS_TILE_LEVELS][SUMS] __attribute__((aligned(64))); /* by level: sum of a subtree */
    const float *x = t->x, *w = t->w;
    for (int p = 0; p < t->pieces; p++) {
        int levels = 0; /* complete subtrees to the left, which are added to this piece */
        while (p >> levels & 1) levels++;
        sum_piece(x, t->x_row, t->x_col, w, t->len[p] / TILE, prefetch, lines);
        x += t->len[p] / TILE * t->x_col;
        w += t->len[p] * LS_NR;
        store_tiles(levels == 0 ? waiting[0] : sum, LS_NR);
        float *to = p < t->pieces - 1 ? waiting[levels] : sum;
        for (int64_t i = 0; levels > 0 && i < SUMS; i += LS_V) {
            vf s = v_load(sum + i);
            for (int l = 0; l < levels; l++) s = v_load(waiting[l] + i) + s;
            v_store(to + i, s);
        }
    }
}

/* Adds the waiting partial sums and the bias to columns [c, c + n) of `sum`, n <= LS_V, and stores them into y. */
V_INLINE void add_and_store(const ls_tile *t, const float *sum, int64_t c, const int64_t n)
{
    const vf bias = t->bias ? v_load_part(t->bias + c, n) : v_set(0);
    for (int64_t i = 0; i < t->m; i++) {
        vf y = v_load(sum + i * LS_NR + c);
        for (int a = 0; a < t->adds; a++) y = v_load_part(t->add[a].data + i * t->add[a].row + c, n) + y;
        if (t->bias) y += bias;
        uint16_t *half = t->half + i * t->half_row + c;
        if (!t->half) {
            v_store_part(t->y + i * t->y_row + c, y, n);
        } else {
            if (t->half_add) y = v_load_part_bf16(half, n) + y;
            v_store_part_bf16(half, y, n);
        }
    }
}

V_INLINE void store_line(void *p, __m512i line, const bool streams)
{
    if (streams)
        _mm512_stream_si512(p, line);
    else
        _mm512_storeu_si512(p, line);
}

/* Stores a whole tile as bfloat16, a cache line for each row. */
V_INLINE void store_half(const ls_tile *t, const float *sum, const bool streams)
{
    for (int64_t i = 0; i < LS_MR_AMX; i++) {
        const __m512 low = _mm512_load_ps(sum + i * LS_NR), high = _mm512_load_ps(sum + i * LS_NR + LS_V);
        store_line(t->half + i * t->half_row, (__m512i)_mm512_cvtne2ps_pbh(high, low), streams);
    }
}

/* Stores a whole tile as float32, after the addition of `adds` waiting partial sums. */
V_INLINE void store_sums(const ls_tile *t, const float *sum, const int adds, const bool streams)
{
    for (int64_t i = 0; i < LS_MR_AMX; i++)
        for (int64_t c = 0; c < LS_NR; c += LS_V) {
            vf y = v_load(sum + i * LS_NR + c);
            for (int a = 0; a < adds; a++) y = v_load(t->add[a].data + i * t->add[a].row + c) + y;
            store_line(t->y + i * t->y_row + c, (__m512i)y, streams);
        }
}

static void tile(const ls_tile *t)
{
    float         sum[SUMS] __attribute__((aligned(64)));
    const bool    plain    = t->m == LS_MR_AMX && t->n == LS_NR && !t->bias && !t->half_add;
    ls_prefetch   prefetch = t->prefetch;
    const int64_t lines    = t->panel_len ? (prefetch.count * TILE + t->panel_len - 1) / t->panel_len : 0;
    if (t->pieces == 1) {
        if (lines)
            sum_piece(t->x, t->x_row, t->x_col, t->w, t->len[0] / TILE, &prefetch, lines);
        else
            sum_piece(t->x, t->x_row, t->x_col, t->w, t->len[0] / TILE, NULL, 0);
        if (plain && t->adds == 0 && !t->half && !t->streams) {
            store_tiles(t->y, t->y_row);
            return;
        }
        store_tiles(sum, LS_NR);
    } else {
        sum_tree(t, &prefetch, lines, sum);
    }
    if (plain && t->adds == 0 && t->half && t->streams) {
        store_half(t, sum, true);
    } else if (plain && t->adds == 0 && t->half) {
        store_half(t, sum, false);
    } else if (plain && !t->half && t->streams) {
        store_sums(t, sum, t->adds, true);
    } else if (plain && t->adds == 1 && !t->half) {
        store_sums(t, sum, 1, false);
    } else {
        for (int64_t c = 0; c + LS_V <= t->n; c += LS_V) add_and_store(t, sum, c, LS_V);
        if (t->n % LS_V) add_and_store(t, sum, t->n / LS_V * LS_V, t->n % LS_V);
    }
}

const ls_gemm_kernels ls__gemm_amx = {.any = tile};
