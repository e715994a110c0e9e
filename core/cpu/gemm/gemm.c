/* SPDX-License-Identifier: Apache-2.0
 *
 * Matrix products after Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008): panels of w
 * are packed so that they stay in the L1 cache, blocks of x so that they stay in the L2 cache, and a micro-kernel runs
 * through them.
 *
 * Deviations from the paper, which keep the bits independent of threads and shapes (gemm.h).  A task of a thread is a
 * block of y with all of K, or with a subtree of the parts of K; threads wait for each other only at the end.  The
 * segments of K depend on K alone (gemm_plan.h).  All tiles run through the same chain of multiply-adds, at the edges
 * of y as well.  Packing an operand or reading it in place changes only the speed.
 *
 * If the rows of w are contiguous, the first tile of a column of tiles packs the panel of w while it computes.
 * Meanwhile the operands that are packed next are prefetched, a cache line at a time.
 */
#include "core/cpu/gemm/gemm.h"

#include <omp.h>
#include <string.h>

#include "core/base/integer.h"
#include "core/base/progress_hook.h"
#include "core/cpu/gemm/gemm_pack.h"
#include "core/cpu/gemm/gemm_plan.h"
#include "core/cpu/vector/bf16.h"

typedef struct buffer {
    float  *data;
    int64_t row; /* from one row to the next, floats */
} buffer;

/* The block of y with rows [i, i + m) and columns [j, j + n). */
typedef struct block {
    const ls_gemm         *g;
    ls_gemm_space         *space;
    int64_t                i, m, j, n;
    bool                   x_packed, w_packed;
    bool                   streams; /* y bypasses the caches */
    const ls_gemm_format  *format;
    const ls_gemm_kernels *kernels;      /* of the format */
    buffer                 buf[LS_BUFS]; /* partial sums and y, by buffer of the plan */
} block;

/* A column of tiles: rows [top, end) and LS_NR columns of a block. */
typedef struct tile_column {
    int64_t     c; /* first column, within the block */
    int64_t     top, end;
    const void *unpacked; /* w, if the first tile packs it; else NULL */
    ls_prefetch next_w;   /* operands that are packed after this column */
    ls_prefetch next_x;
} tile_column;

/* Target of prefetches where there is nothing to prefetch: prefetching an unmapped address costs a page walk. */
static const char prefetch_target[LS_LINE];

static int64_t size_of(ls_dtype type) { return type == LS_BF16 ? (int64_t)sizeof(uint16_t) : (int64_t)sizeof(float); }

/* Element `at` of an operand. */
static const void *element(const ls_gemm *g, const void *operand, int64_t at)
{
    return (const char *)operand + at * size_of(g->type);
}

/* Returns the cache lines of m x n elements of an operand of g. */
static ls_prefetch lines_of(const ls_gemm *g, const void *p, int64_t row, int64_t col, int64_t m, int64_t n)
{
    const bool      rows  = col == 1;
    const uintptr_t begin = (uintptr_t)p / LS_LINE * LS_LINE,
                    end   = (uintptr_t)p + (uintptr_t)((rows ? n : m) * size_of(g->type));
    const int64_t lines   = (int64_t)(end - begin + LS_LINE - 1) / LS_LINE;
    if (m <= 0 || n <= 0 || (!rows && row != 1)) return (ls_prefetch){.at = prefetch_target, .left = 1, .lines = 1};
    return (ls_prefetch){(const char *)begin, lines * (rows ? m : n), lines, lines,
                         (rows ? row : col) * size_of(g->type)};
}

/* Returns portion i of n of a prefetch.  Typical: a few thousand lines, a few hundred portions. */
static ls_prefetch portion(const ls_prefetch *all, int64_t i, int64_t n)
{
    const uint32_t from  = (uint32_t)(all->count * i) / (uint32_t)n,
                   end   = (uint32_t)(all->count * (i + 1)) / (uint32_t)n;
    const uint32_t group = from / (uint32_t)all->lines, line = from % (uint32_t)all->lines;
    ls_prefetch    part = *all;
    part.count          = end - from;
    part.left           = all->lines - line;
    part.at += group * all->apart + line * LS_LINE;
    return part;
}

/* Returns the lines that tile i of the `whole` full tiles of a column prefetches.  Even tiles prefetch the w of the
 * next column, odd tiles the next x, which is divided among all columns of the block. */
static ls_prefetch prefetch_of_tile(const block *b, const tile_column *col, int64_t i, int64_t whole)
{
    enum { MANY = 8 }; /* least number of tiles that share the two prefetches */
    const int64_t half = whole / 2;
    if (whole < MANY || col->next_x.count == 0) return portion(&col->next_w, i, whole);
    return i % 2 ? portion(&col->next_x, col->c / LS_NR * half + i / 2, b->n / LS_NR * half)
                 : portion(&col->next_w, i / 2, whole - half);
}

/* Pieces without zeros between them are packed together.  Returns the length of those that begin with piece *p, and
 * advances *p to the last of them. */
static int64_t joined_pieces(const block *b, const ls_packed_range *range, int *p)
{
    int64_t len = range->piece[*p];
    while (len % b->format->align == 0 && *p + 1 < range->pieces) len += range->piece[++*p];
    return len;
}

/* Packs one panel of a bfloat16 operand, piece by piece: vector v begins at x[v * apart]. */
static void pack_pairs(const block *b, const ls_packed_range *range, const uint16_t *x, int64_t apart, int64_t along,
                       int64_t count, float *panel, int64_t width)
{
    const bool dot = b->format->per_word == 2;
    for (int p = 0; p < range->pieces; p++) {
        const int64_t len = joined_pieces(b, range, &p), rows = ls__gemm_panel_rows(b->format, len),
                      filled = dot ? (len + 1) / 2 : rows;
        ls__gemm_pack_pairs(x, apart, along, count, len, panel, width, dot);
        if (filled < rows) memset(panel + filled * width, 0, (size_t)((rows - filled) * width) * sizeof(float));
        x += len * along;
        panel += rows * width;
    }
}

#if defined(__AVX512F__)
static void pack_x_amx(const block *b, const ls_packed_range *range, const uint16_t *x, int64_t rows, int64_t panel_len)
{
    const int64_t step  = ls__gemm_x_panel(LS_MR_AMX, panel_len);
    float        *panel = b->space->x;
    for (int p = 0; p < range->pieces; p++) {
        const int64_t len = joined_pieces(b, range, &p);
        ls__gemm_pack_x_amx(x, b->g->x_row, b->g->x_col, rows, len, panel, step);
        x += len * b->g->x_col;
        panel += ls__gemm_panel_rows(b->format, len) * LS_MR_AMX;
    }
}
#endif

/* Packs `rows` rows of x, or a panel of w. */
static void pack_x(const block *b, const ls_packed_range *range, const void *x, int64_t rows, int64_t panel_len)
{
    const ls_gemm *g = b->g;
    if (g->type == LS_F32) {
        ls__gemm_pack_x(x, g->x_row, g->x_col, rows, range->len, b->space->x);
        return;
    }
#if defined(__AVX512F__)
    if (b->kernels->any) {
        pack_x_amx(b, range, x, rows, panel_len);
        return;
    }
#endif
    for (int64_t r = 0; r < rows; r += LS_MR)
        pack_pairs(b, range, element(g, x, r * g->x_row), g->x_row, g->x_col, ls__min(LS_MR, rows - r),
                   b->space->x + r / LS_MR * ls__gemm_x_panel(LS_MR, panel_len), LS_MR);
}

static void pack_w(const block *b, const ls_packed_range *range, const void *w, int64_t cols, float *panel)
{
    const ls_gemm *g = b->g;
    if (g->type == LS_F32)
        ls__gemm_pack_w(w, g->w_row, g->w_col, range->len, cols, panel);
    else
        pack_pairs(b, range, w, g->w_col, g->w_row, cols, panel, LS_NR);
}

/* Computes all tiles of a column for one packed range.  t: the operands of the first tile, and the fields that are
 * equal for all tiles of the range. */
static void compute_column(const block *b, const ls_packed_range *range, const tile_column *col, ls_tile *t)
{
    const int64_t height = b->format->tile_rows, cols = ls__min(LS_NR, b->n - col->c);
    const int64_t x_step = b->x_packed ? ls__gemm_x_panel(height, t->panel_len) : height * t->x_row; /* to the next */
    const int64_t tiles  = ls__ceil_div(col->end - col->top, height),
                  whole  = cols == LS_NR ? (col->end - col->top) / height : 0;
    const bool   packed  = b->x_packed && b->w_packed;
    const float *first = t->x, *panel = t->w;
    uint16_t    *narrow = b->g->y_type == LS_BF16 && range->last
                              ? (uint16_t *)b->g->y + (b->i + col->top) * b->g->y_row + b->j + col->c
                              : NULL;
    float        sums[LS_MR * LS_NR];
    t->n        = cols;
    t->bias     = b->g->bias && range->last ? b->g->bias + b->j + col->c : NULL;
    t->half     = narrow;
    t->half_row = b->g->y_row;
    t->half_add = b->g->add;
    t->streams  = range->last && b->streams;
    t->y        = narrow ? sums : b->buf[range->to].data + col->top * t->y_row + col->c;
    t->y_row    = narrow ? LS_NR : b->buf[range->to].row;
    for (int a = 0; a < range->adds; a++)
        t->add[a].data = b->buf[range->add[a]].data + col->top * t->add[a].row + col->c;
    for (int64_t i = 0; i < tiles; i++) {
        const int64_t rows  = ls__min(height, col->end - col->top - i * height);
        const bool    packs = col->unpacked && i == 0;
        t->w                = packs ? col->unpacked : panel;
        t->w_row            = b->w_packed && !packs ? LS_NR : b->g->w_row;
        t->next             = i + 1 < tiles ? t->x + x_step : first;
        t->prefetch         = i < whole ? prefetch_of_tile(b, col, i, whole) : (ls_prefetch){0};
        t->m                = rows;
        if (b->kernels->any)
            b->kernels->any(t);
        else if (packed && i < whole)
            b->kernels->packed[range->pieces > 1][packs](t);
        else
            b->kernels->tile[rows - 1][cols > LS_V][cols % LS_V != 0](t);
        t->x += x_step;
        if (!narrow)
            t->y += height * t->y_row;
        else if (!b->kernels->any)
            b->kernels->narrow(sums, rows, cols, t->half, t->half_row, t->half_add);
        if (narrow) t->half += height * t->half_row;
        for (int a = 0; a < range->adds; a++) t->add[a].data += height * t->add[a].row;
    }
}

/* The rows of x are packed in `parts` parts, each of whole tiles but for the last.  Returns the first row of a part. */
static int64_t part_row(const block *b, int64_t part, int64_t parts)
{
    const int64_t height = b->format->tile_rows;
    return ls__min(ls__ceil_div(b->m, height) * part / parts * height, b->m);
}

/* Returns the lines of the x that is packed, or read by tile registers, after part `part` of a range.  then: the range
 * after it; NULL: none. */
static ls_prefetch x_to_pack(const block *b, const ls_packed_range *range, const ls_packed_range *then, int64_t part,
                             int64_t parts)
{
    const ls_gemm *g    = b->g;
    const bool     last = part == parts - 1;
    const int64_t  next = last ? 0 : part + 1, top = part_row(b, next, parts);
    if ((!b->x_packed && !b->kernels->any) || (last && !then)) return lines_of(g, NULL, 1, 1, 0, 0);
    if (last) range = then;
    return lines_of(g, element(g, g->x, (b->i + top) * g->x_row + range->from * g->x_col), g->x_row, g->x_col,
                    part_row(b, next + 1, parts) - top, range->len);
}

/* The panel of columns [j, j + LS_NR) for a range, in an operand that ls__gemm_pack has packed: range after range, in a
 * range panel after panel. */
static float *packed_panel(const ls_gemm *g, const float *panels, const ls_packed_range *range, int64_t j)
{
    return (float *)(uintptr_t)panels + range->from * ls__round_up(g->n, LS_NR) + j * range->len;
}

/* Computes one packed range for all tiles of a block.  then: the range after it; NULL: none. */
static void compute_range(const block *b, const ls_packed_range *range, const ls_packed_range *then)
{
    const ls_gemm *g = b->g;
    const void    *x = element(g, g->x, b->i * g->x_row + range->from * g->x_col);
    const void    *w = element(g, g->w, range->from * g->w_row + b->j * g->w_col);
    int64_t        piece[LS_TILE_PIECES];
    ls_tile        t;
    t.panel_len = 0;
    for (int p = 0; p < range->pieces; p++) t.panel_len += piece[p] = ls__gemm_panel_rows(b->format, range->piece[p]);
    if (b->kernels->any) {
        const int64_t line = LS_TILE_K / b->format->per_word; /* floats of a row of a block */
        t.x_row            = b->x_packed ? line : g->x_row / b->format->per_word;
        t.x_col            = b->x_packed ? LS_MR_AMX * line : line;
    } else {
        t.x_row = b->x_packed ? 1 : g->x_row;
        t.x_col = b->x_packed ? LS_MR : g->x_col;
    }
    t.pieces   = range->pieces;
    t.prefetch = (ls_prefetch){0};
    t.len      = piece;
    t.adds     = range->adds;
    for (int a = 0; a < range->adds; a++) t.add[a].row = b->buf[range->add[a]].row;
    const int64_t parts = ls__ceil_div(b->m, b->format->most_rows);
    for (int64_t part = 0; part < parts; part++) {
        const int64_t top = part_row(b, part, parts), end = part_row(b, part + 1, parts);
        const bool    packs      = b->w_packed && !g->packed_w && top == 0,
                   in_kernel     = b->x_packed && g->type == LS_F32 && g->w_col == 1 && end - top >= LS_MR;
        const ls_prefetch next_x = x_to_pack(b, range, then, part, parts);
        if (b->x_packed) pack_x(b, range, element(g, x, top * g->x_row), end - top, t.panel_len);
        for (int64_t c = 0; c < b->n; c += LS_NR) {
            const int64_t cols = ls__min(LS_NR, b->n - c);
            const void   *from = element(g, w, c * g->w_col);
            tile_column   col  = {.c = c, .top = top, .end = end, .next_x = next_x};
            if (packs && in_kernel && cols == LS_NR) col.unpacked = from;
            /* Several parts of x use all panels of w again; a single part needs room for one panel only. */
            t.panel = g->packed_w ? packed_panel(g, g->packed_w, range, b->j + c)
                                  : b->space->w + (parts > 1 ? c * t.panel_len : 0);
            if (packs && !col.unpacked) pack_w(b, range, from, cols, t.panel);
            col.next_w = lines_of(g, element(g, from, LS_NR * g->w_col), g->w_row, g->w_col, range->len,
                                  packs ? ls__min(LS_NR, b->n - c - LS_NR) : 0);
            t.x        = b->x_packed ? b->space->x : element(g, x, top * g->x_row);
            t.w        = b->w_packed ? t.panel : from;
            compute_column(b, range, &col, &t);
            ls__progress_hook_run();
        }
    }
}

/* Returns whether w must be packed.  It can be read in place if its rows are contiguous and either few rows of x use
 * it, or it is small and its rows are spread over the cache sets. */
static bool must_pack_w(const ls_gemm *g, int64_t m)
{
    if (g->w_col != 1 || g->type == LS_BF16) return true;
    const bool stays_in_cache = g->k * g->n <= 1 << 16 && g->w_row % 128 != 0;
    return m > 4 * LS_MR && !stays_in_cache;
}

/* Returns whether x must be packed for tile registers.  They load m rows in place if the rows are whole cache lines
 * that do not all map to one cache set. */
static bool must_pack_tiles(const ls_gemm *g, int64_t m)
{
    enum { CACHE_SETS = 4096 /* bytes */ };
    bool whole = m % LS_MR_AMX == 0 && g->x_col == 1 && g->x_row % LS_TILE_K == 0 && g->k % LS_TILE_K == 0;
    for (int s = 0; s <= g->splits && g->splits > 1; s++) whole = whole && g->bound[s] % LS_TILE_K == 0;
    return !whole || g->x_row * size_of(g->type) % CACHE_SETS == 0;
}

/* Returns whether x must be packed.  It can be read in place if it is small, or if few columns of w use it. */
static bool must_pack_x(const ls_gemm *g, const ls_gemm_format *f, int64_t m, int64_t n)
{
    if (f->kernels->any) return must_pack_tiles(g, m);
    return g->type == LS_BF16 || (n > 4 * LS_NR && m * g->k > 1 << 14);
}

/* Returns the format of the packed operands of g. */
static const ls_gemm_format *format_for(const ls_gemm *g)
{
    enum { SUMS = 1 << 17 };
    static const ls_gemm_format single  = {&ls__gemm_fma, LS_MR, LS_KC, 1, 1, LS_MC, SUMS, 0.5},
                                widened = {&ls__gemm_fma, LS_MR, LS_KC_PAIRS, 2, 1, LS_MC / 2, SUMS, 0.5};
#if defined(__AVX512F__)
    static const ls_gemm_format pairs = {&ls__gemm_dot, LS_MR, LS_KC_PAIRS, 2, 2, LS_MC, SUMS, 0.5},
                                tiles = {&ls__gemm_amx, LS_MR_AMX, LS_KC_AMX, LS_TILE_K, 2, 512, 2 * SUMS, 2.5};
    if (g->type == LS_BF16 && ls_isa_current() == LS_ISA_AMX) return &tiles;
    if (g->type == LS_BF16 && ls_isa_current() == LS_ISA_V4_BF16 && ls_isa_fast_dot()) return &pairs;
#endif
    return g->type == LS_BF16 ? &widened : &single;
}

/* Returns whether y should bypass the caches.  Its lines are then not read before they are written.  This pays for a
 * large y that is not read soon, such as the gradient of a weight.  The rows must be whole cache lines. */
static bool streams(const ls_gemm *g)
{
    enum { LARGE_F32 = 1 << 20, LARGE_BF16 = 1 << 24 /* bytes */ };
    const int64_t size = size_of(g->y_type), bytes = g->m * g->n * size;
    return !g->add && bytes >= (g->y_type == LS_F32 ? LARGE_F32 : LARGE_BF16) && (uintptr_t)g->y % LS_LINE == 0 &&
           g->y_row * size % LS_LINE == 0;
}

/* Configures the tile registers of this thread if the kernels of the format use them. */
static void begin_kernels(const ls_gemm_format *f)
{
#if defined(__AVX512F__)
    if (f->kernels->any) ls__amx_begin();
#endif
    (void)f;
}

/* Releases the tile registers. */
static void end_kernels(const ls_gemm_format *f)
{
#if defined(__AVX512F__)
    if (f->kernels->any) ls__amx_end();
#endif
    (void)f;
}

/* Takes denormal numbers as zero and flushes denormal results, as VDPBF16PS does.  Returns the mode to restore. */
static unsigned flush_denormals(const ls_gemm *g)
{
#if defined(__x86_64__)
    const unsigned before = _mm_getcsr();
    if (g->type == LS_BF16) _mm_setcsr(before | _MM_FLUSH_ZERO_ON | _MM_DENORMALS_ZERO_ON);
    return before;
#else
    (void)g;
    return 0;
#endif
}

static void restore_denormals(const ls_gemm *g, unsigned before)
{
#if defined(__x86_64__)
    if (g->type == LS_BF16) _mm_setcsr(before);
#else
    (void)g;
    (void)before;
#endif
}

/* Computes rows [i, i + m) and columns [j, j + n) of y on one thread. */
static void compute(const ls_gemm *g, ls_gemm_space *space, int64_t i, int64_t m, int64_t j, int64_t n)
{
    const bool            narrow = g->y_type == LS_BF16, add = g->add && !narrow; /* kernels add to bfloat16 */
    const ls_gemm_format *format = format_for(g);
    ls_plan               plan;
    ls_packed_range       range[2];
    ls__gemm_plan(&plan, format, g->k, g->splits, g->bound, add);
    const int      levels = ls__gemm_plan_levels(&plan);
    const unsigned mode   = flush_denormals(g);
    int64_t        tall = m, wide = LS_NC;
    if (levels || (narrow && g->k > format->longest))
        tall = ls__round_up(ls__ceil_div(m, ls__ceil_div(m, format->most_rows)), format->tile_rows);
    if (levels)
        wide = ls__min(wide, LS_STATE / (levels * tall * LS_NR) * LS_NR);
    else if (narrow && g->k > format->longest)
        wide = ls__min(wide, format->sums / (tall * LS_NR) * LS_NR);
    begin_kernels(format);
    for (int64_t r = 0; r < m; r += tall)
        for (int64_t c = 0; c < n; c += wide) {
            block b = {
                .g = g, .space = space, .i = i + r, .m = ls__min(tall, m - r), .j = j + c, .n = ls__min(wide, n - c)};
            b.w_packed = g->packed_w || must_pack_w(g, m);
            b.streams  = streams(g);
            b.x_packed = must_pack_x(g, format, b.m, b.n);
            b.format   = format;
            b.kernels  = format->kernels;
            for (int l = 0; l < levels; l++)
                b.buf[l < levels - 1 ? LS_BUF_LEVEL + l : LS_BUF_PART] = (buffer){space->state + l * tall * wide, wide};
            b.buf[LS_BUF_RESULT] = (buffer){(float *)g->y + b.i * g->y_row + b.j, g->y_row};
            if (narrow) b.buf[LS_BUF_RESULT] = (buffer){space->state, wide};
            ls__gemm_plan(&plan, format, g->k, g->splits, g->bound, add);
            bool more = ls__gemm_next_range(&plan, &range[0]);
            for (int at = 0; more; at = !at) {
                more = ls__gemm_next_range(&plan, &range[!at]);
                compute_range(&b, &range[at], more ? &range[!at] : NULL);
            }
        }
    end_kernels(format);
    restore_denormals(g, mode);
}

/* Returns the product over one of `trees` subtrees of the parts of K, with the M x N buffer y as its result. */
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
        part.x = element(g, g->x, part.bound[0] * g->x_col);
        part.w = element(g, g->w, part.bound[0] * g->w_row);
        part.k = part.bound[1] - part.bound[0];
    }
    return part;
}

/* Adds the M x N sums of the subtrees as a binary tree, and writes or adds the total to y.  Overwrites `sum`. */
static void fold(const ls_gemm *g, int trees, float *sum)
{
    const int64_t  count = g->m * g->n;
    const unsigned mode  = flush_denormals(g);
    for (int step = 1; step < trees; step *= 2)
        for (int t = 0; t < trees; t += 2 * step)
            V_MAP(count, V_PUT(sum + t * count, V_GET(sum + t * count) + V_GET(sum + (t + step) * count)));
    for (int64_t i = 0; i < g->m; i++) {
        float *y = (float *)g->y + i * g->y_row, *row = sum + i * g->n;
        if (g->add) V_MAP(g->n, V_PUT(row, V_GET(y) + V_GET(row)));
        if (g->bias) V_MAP(g->n, V_PUT(row, V_GET(row) + V_GET(g->bias)));
        V_MAP(g->n, V_PUT(y, V_GET(row)));
    }
    restore_denormals(g, mode);
}

static void compute_with_threads(const ls_gemm *g, int threads)
{
    const ls_gemm_format *format   = format_for(g);
    const int64_t         height   = format->tile_rows;
    const ls_gemm_tasks   division = ls__gemm_tasks(format, g->m, g->n, g->k, g->splits, threads);
    const int64_t         tall = ls__ceil_div(g->m, height), wide = ls__ceil_div(g->n, LS_NR);
    const int64_t         blocks = division.rows * division.cols, tasks = blocks * division.trees;
    ls_gemm_space         sums = ls__gemm_space_take();
#pragma omp parallel num_threads(threads)
    {
        ls_gemm_space space = ls__gemm_space_take();
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t task = 0; task < tasks; task++) {
            int64_t tree = task / blocks, row = task % blocks / division.cols, col = task % division.cols;
            int64_t i = tall * row / division.rows * height,
                    m = ls__min(tall * (row + 1) / division.rows * height, g->m) - i;
            int64_t j = wide * col / division.cols * LS_NR,
                    n = ls__min(wide * (col + 1) / division.cols * LS_NR, g->n) - j;
            ls_gemm part =
                division.trees > 1 ? subtree(g, division.trees, (int)tree, sums.state + tree * g->m * g->n) : *g;
            if (m > 0 && n > 0) compute(&part, &space, i, m, j, n);
        }
        ls__gemm_space_give(space);
    }
    if (division.trees > 1) fold(g, division.trees, sums.state);
    ls__gemm_space_give(sums);
}

static void compute_all(const ls_gemm *g)
{
    enum { WORTH_THREADS = 1 << 17 }; /* least multiply-adds of a product that several threads share */
    int threads = g->serial || omp_in_parallel() ? 1 : omp_get_max_threads();
    if (threads > 1 && (double)g->m * (double)g->n * (double)g->k >= WORTH_THREADS) {
        compute_with_threads(g, threads);
        return;
    }
    ls_gemm_space space = ls__gemm_space_take();
    compute(g, &space, 0, g->m, 0, g->n);
    ls__gemm_space_give(space);
}

/* Returns whether computing y^T = w^T x^T is faster.  If w is stored by columns, w^T is read in place, which saves the
 * packing of w; that pays if x has few rows.  Very few rows would leave vector lanes empty, and a w that is read from
 * main memory is faster in the fewer and longer streams of the plain product. */
static bool exchange_pays(const ls_gemm *g)
{
    enum { LARGEST_W = 1 << 21 /* floats */, LEAST_K = 64 };
    return !g->packed_w && g->w_row == 1 && g->w_col != 1 && g->m > LS_MR && g->m <= LS_NR && g->n > g->m &&
           g->k >= LEAST_K && g->n * g->k <= LARGEST_W;
}

/* Computes y^T = w^T x^T.  The bits of an element are the same: the order of its chain does not change, and the two
 * factors of a product commute. */
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
    other.y_type        = LS_F32;
    other.bias          = NULL;
    other.add           = false;
    const unsigned mode = flush_denormals(g);
    if (g->add && g->y_type == LS_F32) {
        other.add = true;
        for (int64_t i = 0; i < g->m; i++)
            for (int64_t j = 0; j < g->n; j++) sum[j * g->m + i] = ((const float *)g->y)[i * g->y_row + j];
    }
    compute_all(&other);
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j++) {
            float y = g->bias ? sum[j * g->m + i] + g->bias[j] : sum[j * g->m + i];
            if (g->y_type == LS_BF16) {
                uint16_t *to = (uint16_t *)g->y + i * g->y_row + j;
                *to          = ls__narrow_1(g->add ? ls__widen_1(*to) + y : y);
            } else {
                ((float *)g->y)[i * g->y_row + j] = y;
            }
        }
    restore_denormals(g, mode);
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

size_t ls__gemm_packed_bytes(int64_t n, int64_t k) { return (size_t)(k * ls__round_up(n, LS_NR)) * sizeof(float); }

void ls__gemm_pack(const ls_gemm *g, float *panels)
{
    ls_packed_range range;
    ls_plan         plan;
    ls__gemm_plan(&plan, format_for(g), g->k, 0, NULL, false);
    while (ls__gemm_next_range(&plan, &range)) {
#pragma omp parallel for schedule(static) if (!g->serial)
        for (int64_t j = 0; j < g->n; j += LS_NR)
            ls__gemm_pack_w((const float *)g->w + range.from * g->w_row + j * g->w_col, g->w_row, g->w_col, range.len,
                            ls__min(LS_NR, g->n - j), packed_panel(g, panels, &range, j));
    }
}
