/* SPDX-License-Identifier: Apache-2.0
 *
 * Matrix products of our own, after Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008):
 * panels of w are packed to stay in L1, blocks of x in L2, and a micro-kernel goes through them.
 *
 * Deviations, all for the rule of core/cpu/gemm/gemm.h.  What a thread gets is a block of y with all of K, or with a
 * subtree of the parts of K, so nothing that threads do together shows in the bits, and they wait for each other only
 * at the end. Segments of K depend on K alone (gemm_plan.h).  Every tile goes through the same chain of multiply-adds,
 * the edges and the operands that are read in place included, so what is packed is a matter of speed alone.
 *
 * Where the rows of w lie as the kernel reads them, the first tile of a column packs them while it computes.  What is
 * packed next is fetched meanwhile, a line at a time.
 */
#include "core/cpu/gemm/gemm.h"

#include <omp.h>

#include "core/base/integer.h"
#include "core/base/progress_hook.h"
#include "core/cpu/gemm/gemm_pack.h"
#include "core/cpu/gemm/gemm_plan.h"

typedef struct buffer {
    float  *data;
    int64_t row;
} buffer;

/* A block of y: rows [i, i + m), columns [j, j + n). */
typedef struct block {
    const ls_gemm *g;
    ls_gemm_space *space;
    int64_t        i, m, j, n;
    bool           x_packed, w_packed;
    buffer         buf[LS_BUFS];
} block;

/* Rows [top, end) of the LS_NR columns from c on. */
typedef struct column {
    int64_t      c, top, end;
    const float *unpacked; /* w of a panel that the first tile packs, or NULL */
    ls_fetch     soon_w;   /* what is packed next */
    ls_fetch     soon_x;
} column;

/* Fetched where there is nothing to fetch: to look for an address that is nowhere takes long. */
static const char somewhere[LS_LINE];

/* The lines of m x n floats. */
static ls_fetch lines_of(const float *p, int64_t row, int64_t col, int64_t m, int64_t n)
{
    const bool      rows  = col == 1;
    const uintptr_t begin = (uintptr_t)p / LS_LINE * LS_LINE, end = (uintptr_t)(p + (rows ? n : m));
    const int64_t   lines = (int64_t)(end - begin + LS_LINE - 1) / LS_LINE;
    if (m <= 0 || n <= 0 || (!rows && row != 1)) return (ls_fetch){.at = somewhere, .left = 1, .lines = 1};
    return (ls_fetch){(const char *)begin, lines * (rows ? m : n), lines, lines,
                      (rows ? row : col) * (int64_t)sizeof(float)};
}

/* Part i of n of what is to be fetched: a few thousand lines, in a few hundred parts. */
static ls_fetch share(const ls_fetch *all, int64_t i, int64_t n)
{
    const uint32_t from = (uint32_t)(all->count * i) / (uint32_t)n,
                   end  = (uint32_t)(all->count * (i + 1)) / (uint32_t)n;
    const uint32_t run = from / (uint32_t)all->lines, line = from % (uint32_t)all->lines;
    ls_fetch       part = *all;
    part.count          = end - from;
    part.left           = all->lines - line;
    part.at += run * all->apart + line * LS_LINE;
    return part;
}

/* What tile i of `whole` fetches for what is packed next: w, and every other tile x, which all columns share. */
static ls_fetch soon(const block *b, const column *col, int64_t i, int64_t whole)
{
    enum { MANY = 8 };
    const int64_t half = whole / 2;
    if (whole < MANY || col->soon_x.count == 0) return share(&col->soon_w, i, whole);
    return i % 2 ? share(&col->soon_x, col->c / LS_NR * half + i / 2, b->n / LS_NR * half)
                 : share(&col->soon_w, i / 2, whole - half);
}

/* All tiles of a column, for a run.  t: the operands of its first row, and all that the tiles of a run share. */
static void compute_column(const block *b, const ls_packed_range *run, const column *col, ls_tile *t)
{
    const int64_t cols  = ls__min(LS_NR, b->n - col->c),
                  tall  = b->x_packed ? ls__gemm_x_panel(run->len) : LS_MR * t->x_row;
    const int64_t tiles = (col->end - col->top + LS_MR - 1) / LS_MR,
                  whole = cols == LS_NR ? (col->end - col->top) / LS_MR : 0;
    const bool   packed = b->x_packed && b->w_packed;
    const float *first = t->x, *panel = t->w;
    t->n    = cols;
    t->bias = b->g->bias && run->last ? b->g->bias + b->j + col->c : NULL;
    t->y    = b->buf[run->to].data + col->top * t->y_row + col->c;
    for (int a = 0; a < run->adds; a++) t->add[a].data = b->buf[run->add[a]].data + col->top * t->add[a].row + col->c;
    for (int64_t i = 0; i < tiles; i++) {
        const int64_t rows  = ls__min(LS_MR, col->end - col->top - i * LS_MR);
        const bool    packs = col->unpacked && i == 0;
        t->w                = packs ? col->unpacked : panel;
        t->w_row            = b->w_packed && !packs ? LS_NR : b->g->w_row;
        t->next             = i + 1 < tiles ? t->x + tall : first;
        if (packed && i < whole) {
            t->fetch = soon(b, col, i, whole);
            ls__gemm_tile_packed[run->pieces > 1][packs](t);
        } else
            ls__gemm_tile[rows - 1][cols > LS_V][cols % LS_V != 0](t);
        t->x += tall;
        t->y += LS_MR * t->y_row;
        for (int a = 0; a < run->adds; a++) t->add[a].data += LS_MR * t->add[a].row;
    }
}

/* Rows of x that are packed together: of part `part` of `parts`. */
static int64_t part_row(const block *b, int64_t part, int64_t parts)
{
    return ls__min((b->m + LS_MR - 1) / LS_MR * part / parts * LS_MR, b->m);
}

/* The x that is packed after part `part` of a run; `then` is the run after it, or NULL. */
static ls_fetch next_x(const block *b, const ls_packed_range *run, const ls_packed_range *then, int64_t part,
                       int64_t parts)
{
    const ls_gemm *g    = b->g;
    const bool     last = part == parts - 1;
    const int64_t  next = last ? 0 : part + 1, top = part_row(b, next, parts);
    if (!b->x_packed || (last && !then)) return lines_of(NULL, 1, 1, 0, 0);
    if (last) run = then;
    return lines_of(g->x + (b->i + top) * g->x_row + run->from * g->x_col, g->x_row, g->x_col,
                    part_row(b, next + 1, parts) - top, run->len);
}

static void compute_run(const block *b, const ls_packed_range *run, const ls_packed_range *then)
{
    const ls_gemm *g = b->g;
    const float *x = g->x + b->i * g->x_row + run->from * g->x_col, *w = g->w + run->from * g->w_row + b->j * g->w_col;
    ls_tile      t;
    t.x_row  = b->x_packed ? 1 : g->x_row;
    t.x_col  = b->x_packed ? LS_MR : g->x_col;
    t.pieces = run->pieces;
    t.fetch  = (ls_fetch){0};
    t.len    = run->piece;
    t.y_row  = b->buf[run->to].row;
    t.adds   = run->adds;
    for (int a = 0; a < run->adds; a++) t.add[a].row = b->buf[run->add[a]].row;
    const int64_t parts = (b->m + LS_MC - 1) / LS_MC;
    for (int64_t part = 0; part < parts; part++) {
        const int64_t  top = part_row(b, part, parts), end = part_row(b, part + 1, parts);
        const bool     packs = b->w_packed && top == 0, in_kernel = b->x_packed && g->w_col == 1 && end - top >= LS_MR;
        const ls_fetch soon_x = next_x(b, run, then, part, parts);
        if (b->x_packed) ls__gemm_pack_x(x + top * g->x_row, g->x_row, g->x_col, end - top, run->len, b->space->x);
        for (int64_t c = 0; c < b->n; c += LS_NR) {
            const int64_t cols = ls__min(LS_NR, b->n - c);
            const float  *from = w + c * g->w_col;
            column        col  = {.c = c, .top = top, .end = end, .soon_x = soon_x};
            if (packs && in_kernel && cols == LS_NR) col.unpacked = from;
            t.panel = b->space->w + (parts > 1 ? c * run->len : 0); /* kept only if it is needed again */
            if (packs && !col.unpacked) ls__gemm_pack_w(from, g->w_row, g->w_col, run->len, cols, t.panel);
            col.soon_w = lines_of(from + LS_NR * g->w_col, g->w_row, g->w_col, run->len,
                                  packs ? ls__min(LS_NR, b->n - c - LS_NR) : 0);
            t.x        = b->x_packed ? b->space->x : x + top * g->x_row;
            t.w        = b->w_packed ? t.panel : from;
            compute_column(b, run, &col, &t);
            ls__progress_hook_run();
        }
    }
}

/* Whether reading in place would cost more than packing: operands that are used often and do not fit into the nearer
 * caches, or whose rows lie so that they fall into the same few lines of them. */
static bool must_pack_w(const ls_gemm *g, int64_t m)
{
    if (g->w_col != 1) return true;
    bool near = g->k * g->n <= 1 << 16 && g->w_row % 128 != 0;
    return m > 4 * LS_MR && !near;
}

static bool must_pack_x(const ls_gemm *g, int64_t m, int64_t n) { return n > 4 * LS_NR && m * g->k > 1 << 14; }

/* Rows [i, i + m) and columns [j, j + n) of y, by one thread. */
static void compute(const ls_gemm *g, ls_gemm_space *space, int64_t i, int64_t m, int64_t j, int64_t n)
{
    ls_plan         plan;
    ls_packed_range run[2];
    ls__gemm_plan(&plan, g);
    const int levels = ls__gemm_plan_levels(&plan);
    int64_t   tall = m, wide = LS_NC;
    if (levels) {
        tall = ls__min(m, LS_MC);
        wide = ls__min(wide, LS_STATE / (levels * tall * LS_NR) * LS_NR);
    }
    for (int64_t r = 0; r < m; r += tall)
        for (int64_t c = 0; c < n; c += wide) {
            block b = {
                .g = g, .space = space, .i = i + r, .m = ls__min(tall, m - r), .j = j + c, .n = ls__min(wide, n - c)};
            b.w_packed = must_pack_w(g, m);
            b.x_packed = must_pack_x(g, m, b.n);
            for (int l = 0; l < levels; l++)
                b.buf[l < levels - 1 ? LS_BUF_LEVEL + l : LS_BUF_PART] = (buffer){space->state + l * tall * wide, wide};
            b.buf[LS_BUF_RESULT] = (buffer){g->y + b.i * g->y_row + b.j, g->y_row};
            ls__gemm_plan(&plan, g);
            bool more = ls__gemm_next_range(&plan, &run[0]);
            for (int at = 0; more; at = !at) {
                more = ls__gemm_next_range(&plan, &run[!at]);
                compute_run(&b, &run[at], more ? &run[!at] : NULL);
            }
        }
}

/* The product over the subtree `tree` of `trees` alone, into a buffer of M x N. */
static ls_gemm subtree(const ls_gemm *g, int trees, int tree, float *y)
{
    ls_gemm part = *g;
    part.y       = y;
    part.y_row   = g->n;
    part.bias    = NULL;
    part.add     = false;
    part.splits  = g->splits / trees;
    part.bound   = g->bound + tree * part.splits;
    if (part.splits == 1) {
        part.x += part.bound[0] * g->x_col;
        part.w += part.bound[0] * g->w_row;
        part.k = part.bound[1] - part.bound[0];
    }
    return part;
}

/* y = the sum of the subtrees, which the buffers of M x N hold. */
static void fold(const ls_gemm *g, int trees, float *sum)
{
    const int64_t count = g->m * g->n;
    for (int step = 1; step < trees; step *= 2)
        for (int t = 0; t < trees; t += 2 * step)
            V_MAP(count, V_PUT(sum + t * count, V_GET(sum + t * count) + V_GET(sum + (t + step) * count)));
    for (int64_t i = 0; i < g->m; i++) {
        float *y = g->y + i * g->y_row, *row = sum + i * g->n;
        if (g->add) V_MAP(g->n, V_PUT(row, V_GET(y) + V_GET(row)));
        if (g->bias) V_MAP(g->n, V_PUT(row, V_GET(row) + V_GET(g->bias)));
        V_MAP(g->n, V_PUT(y, V_GET(row)));
    }
}

static void compute_with_threads(const ls_gemm *g, int threads)
{
    const ls_deal deal = ls__gemm_deal(g, threads);
    const int64_t tall = (g->m + LS_MR - 1) / LS_MR, wide = (g->n + LS_NR - 1) / LS_NR;
    const int64_t blocks = deal.rows * deal.cols, tasks = blocks * deal.trees;
    ls_gemm_space sums = ls__gemm_space_take();
#pragma omp parallel num_threads(threads)
    {
        ls_gemm_space space = ls__gemm_space_take();
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t task = 0; task < tasks; task++) {
            int64_t tree = task / blocks, row = task % blocks / deal.cols, col = task % deal.cols;
            int64_t i = tall * row / deal.rows * LS_MR, m = ls__min(tall * (row + 1) / deal.rows * LS_MR, g->m) - i;
            int64_t j = wide * col / deal.cols * LS_NR, n = ls__min(wide * (col + 1) / deal.cols * LS_NR, g->n) - j;
            ls_gemm part = deal.trees > 1 ? subtree(g, deal.trees, (int)tree, sums.state + tree * g->m * g->n) : *g;
            if (m > 0 && n > 0) compute(&part, &space, i, m, j, n);
        }
        ls__gemm_space_give(space);
    }
    if (deal.trees > 1) fold(g, deal.trees, sums.state);
    ls__gemm_space_give(sums);
}

static void compute_all(const ls_gemm *g)
{
    enum { WORTH_THREADS = 1 << 17 }; /* multiply-adds */
    int threads = g->serial || omp_in_parallel() ? 1 : omp_get_max_threads();
    if (threads > 1 && (double)g->m * (double)g->n * (double)g->k >= WORTH_THREADS) {
        compute_with_threads(g, threads);
        return;
    }
    ls_gemm_space space = ls__gemm_space_take();
    compute(g, &space, 0, g->m, 0, g->n);
    ls__gemm_space_give(space);
}

/* Few rows of x do not pay for the packing of a w that lies column by column: then w^T x^T, of which w^T is read in
 * place. Not with fewer rows, which leave lanes idle, nor if w comes from memory, which likes fewer and longer streams.
 */
static bool exchange_pays(const ls_gemm *g)
{
    enum { NEAR = 1 << 21, SHORT = 64 };
    return g->w_row == 1 && g->w_col != 1 && g->m > LS_MR && g->m <= LS_NR && g->n > g->m && g->k >= SHORT &&
           g->n * g->k <= NEAR;
}

/* The product with x and w exchanged: each element is the same chain, as factors and terms may change places. */
static void compute_exchanged(const ls_gemm *g)
{
    ls_gemm_space space = ls__gemm_space_take();
    ls_gemm       other = *g;
    float        *sum   = space.state;
    other.m             = g->n;
    other.n             = g->m;
    other.x             = g->w;
    other.x_row         = g->w_col;
    other.x_col         = g->w_row;
    other.w             = g->x;
    other.w_row         = g->x_col;
    other.w_col         = g->x_row;
    other.y             = sum;
    other.y_row         = g->m;
    other.bias          = NULL;
    if (g->add)
        for (int64_t i = 0; i < g->m; i++)
            for (int64_t j = 0; j < g->n; j++) sum[j * g->m + i] = g->y[i * g->y_row + j];
    compute_all(&other);
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j++)
            g->y[i * g->y_row + j] = g->bias ? sum[j * g->m + i] + g->bias[j] : sum[j * g->m + i];
    ls__gemm_space_give(space);
}

void ls__gemm(const ls_gemm *g)
{
    if (g->m <= 0 || g->n <= 0) return;
    if (exchange_pays(g))
        compute_exchanged(g);
    else
        compute_all(g);
}
