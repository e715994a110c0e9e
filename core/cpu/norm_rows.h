/* SPDX-License-Identifier: Apache-2.0
 *
 * Normalisation of rows, common to layer_norm and rms_norm.  For each row x of C elements
 *
 *     h = (x - m) r,   y = h w + b        r = 1 / sqrt(mean (x - m)^2 + eps);  m = mean x if centred, else 0
 *     g = dy w,        dx = r (g - mean g - h mean(g h)) if centred, else r (g - h mean(g h))
 *     dw = sum of dy h,   db = sum of dy  over all rows
 *
 * Saved for backward: r, and m if centred.  Backward reads memory once: it computes all three gradients from a row
 * while the row is in the cache.  Sums over rows are computed in pieces of LS_NORM_PIECE rows, counted from the start
 * of the shard.  The pieces of a shard are added in order, and the shards as a binary tree.
 */
#ifndef LS_CORE_CPU_NORM_ROWS_H
#define LS_CORE_CPU_NORM_ROWS_H

#include <omp.h>

#include "core/cpu/vector/column_sum.h"
#include "core/cpu/vector/vmath.h"
#include "core/graph/graph.h"

enum { LS_NORM_PIECE = 32 /* rows */ };

typedef struct ls__norm {
    bool         centred; /* subtract the mean: layer_norm */
    float        eps;
    int64_t      lead;    /* rows per sample */
    int64_t      n;       /* length of a row */
    const float *w, *b;   /* NULL: 1, 0 */
    void        *scratch; /* workspace of the kernel: see ls__norm_forward, ls__norm_scratch */
} ls__norm;

/* Returns the sum of (x - mean)^2. */
static inline float ls__norm_squares(int64_t n, const float *x, float mean)
{
    vf            sum[V_CHAINS(2)] = {{0}};
    const int64_t whole            = n - n % (2 * V_LANES);
    V_MAP_SUM(whole, V_CHAINS(2), const vf d = V_GET(x) - mean; sum[v_sum] = v_fma(d, d, sum[v_sum]));
    for (int64_t i = whole; i < n; i++) {
        const float d = x[i] - mean;
        sum[0][0] += d * d;
    }
    return v_total(2, sum);
}

/* Normalises one row and saves r, and the mean if centred. */
static inline void ls__norm_row(const ls__norm *norm, const float *x, float *y, float *saved)
{
    const int64_t n = norm->n;
    const float  *w = norm->w, *b = norm->b;
    const float   mean = norm->centred ? ls__vsum(n, x) / (float)n : 0;
    const float   r    = 1 / __builtin_sqrtf(ls__norm_squares(n, x, mean) / (float)n + norm->eps);
    if (w && b)
        V_MAP(n, V_PUT(y, v_fma((V_GET(x) - mean) * r, V_GET(w), V_GET(b))));
    else if (w)
        V_MAP(n, V_PUT(y, (V_GET(x) - mean) * r * V_GET(w)));
    else if (b)
        V_MAP(n, V_PUT(y, v_fma(V_GET(x) - mean, v_set(r), V_GET(b))));
    else
        V_MAP(n, V_PUT(y, (V_GET(x) - mean) * r));
    saved[0] = r;
    if (norm->centred) saved[1] = mean;
}

/* Forward kernel.  Outputs 0 and 1 are y and the saved values.  The workspace norm->scratch is ls__row_buffers(3, n,
 * threads) bytes if x or y is bfloat16. */
static inline void ls__norm_forward(const ls_call *c, const ls__norm *norm)
{
    const int64_t  rows = c->rows * norm->lead, width = norm->centred ? 2 : 1, n = norm->n;
    const ls_array x = ls__x(c, 0), y = ls__y(c, 0);
    const bool     wide = x.type == LS_BF16 || y.type == LS_BF16;
#pragma omp parallel for schedule(static) if (rows * n >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < rows; k++) {
        float *buffer = wide ? (float *)norm->scratch + omp_get_thread_num() * 3 * n : NULL;
        float *to     = ls__write_begin(y, k * n, n, buffer ? buffer + n : NULL, false);
        ls__norm_row(norm, ls__read(x, k * n, n, buffer), to, (float *)c->y[1] + k * width);
        ls__write_end(y, k * n, n, to);
    }
}

/* Returns the means of g (0 unless centred) and of g h for one row. */
static inline void ls__norm_means(const ls__norm *norm, const float *dy, const float *x, float r, float mean,
                                  float *of_g, float *of_gh)
{
    const int64_t n              = norm->n;
    const float  *w              = norm->w;
    vf            g[V_CHAINS(2)] = {{0}}, gh[V_CHAINS(2)] = {{0}};
    V_MAP_SUM(n, V_CHAINS(2), const vf each = w ? V_GET(dy) * V_GET(w) : V_GET(dy); g[v_sum] += each;
              gh[v_sum] = v_fma(each, (V_GET(x) - mean) * r, gh[v_sum]));
    *of_g  = norm->centred ? v_total(2, g) / (float)n : 0;
    *of_gh = v_total(2, gh) / (float)n;
}

/* Computes dx of one row, which may overwrite dy, and adds the contributions of the row to dw and db.  NULL: not
 * wanted. */
static inline void ls__norm_row_back(const ls__norm *norm, const float *dy, const float *x, const float *saved,
                                     float *dx, bool add, float *dw, float *db)
{
    const int64_t n = norm->n;
    const float  *w = norm->w;
    const float   r = saved[0], mean = norm->centred ? saved[1] : 0;
    float         of_g, of_gh;
    if (dw) V_MAP(n, V_PUT(dw, v_fma(V_GET(dy), (V_GET(x) - mean) * r, V_GET(dw))));
    if (db) V_MAP(n, V_PUT(db, V_GET(db) + V_GET(dy)));
    if (!dx) return;
    ls__norm_means(norm, dy, x, r, mean, &of_g, &of_gh);
    if (w && add)
        V_MAP(n, V_PUT(dx, V_GET(dx) + (V_GET(dy) * V_GET(w) - of_g - (V_GET(x) - mean) * r * of_gh) * r));
    else if (w)
        V_MAP(n, V_PUT(dx, (V_GET(dy) * V_GET(w) - of_g - (V_GET(x) - mean) * r * of_gh) * r));
    else if (add)
        V_MAP(n, V_PUT(dx, V_GET(dx) + (V_GET(dy) - of_g - (V_GET(x) - mean) * r * of_gh) * r));
    else
        V_MAP(n, V_PUT(dx, (V_GET(dy) - of_g - (V_GET(x) - mean) * r * of_gh) * r));
}

/* Returns the bytes of workspace of backward: the index of the first piece of each shard, then one row of dw and one of
 * db for every shard, then the same for every piece. */
static inline size_t ls__norm_scratch(int64_t lead, int64_t n, int64_t rows, int shards)
{
    int64_t pieces = rows * lead / LS_NORM_PIECE + shards;
    return (size_t)(shards + 1) * sizeof(int64_t) + (size_t)((pieces + shards) * 2 * n) * sizeof(float);
}

/* Computes dx of rows [from, to) of the call, and the sums dw and db of these rows.  `buffer`: three rows. */
static inline void ls__norm_piece(const ls_call *c, const ls__norm *norm, int64_t from, int64_t to, float *buffer,
                                  float *dw, float *db)
{
    const int64_t  n = norm->n, width = norm->centred ? 2 : 1;
    const ls_array x = ls__x(c, 0), dy = ls__dy(c, 0), dx = ls__dx(c, 0);
    for (int64_t i = 0; i < n && dw; i++) dw[i] = 0;
    for (int64_t i = 0; i < n && db; i++) db[i] = 0;
    for (int64_t k = from; k < to; k++) {
        float *out = ls__write_begin(dx, k * n, n, buffer, c->add[0]);
        ls__norm_row_back(norm, ls__read(dy, k * n, n, buffer + n), ls__read(x, k * n, n, buffer + 2 * n),
                          (const float *)c->y[1] + k * width, out, c->add[0], dw, db);
        ls__write_end(dx, k * n, n, out);
    }
}

/* sum = sum of the partial sums of `pieces` pieces, each of n floats and `stride` floats apart, in order. */
static inline void ls__norm_add_pieces(int64_t n, int64_t pieces, const float *piece, int64_t stride, float *sum)
{
    for (int64_t i = 0; i < n; i++) sum[i] = 0;
    for (int64_t j = 0; j < pieces; j++, piece += stride) V_MAP(n, V_PUT(sum, V_GET(sum) + V_GET(piece)));
}

/* Backward kernel.  Inputs 0, 1 and 2 are x, w and b.  The workspace is norm->scratch. */
static inline void ls__norm_backward(const ls_call *c, const ls__norm *norm)
{
    const int64_t n = norm->n, tiles = (n + LS_COLUMNS_TILE - 1) / LS_COLUMNS_TILE;
    int64_t      *begin = norm->scratch;
    float        *sum = (float *)(begin + c->shards + 1), *piece = sum + c->shards * 2 * n;
    const bool    has_w = c->dx[1] != NULL, has_b = c->dx[2] != NULL;
    const bool    parallel = c->rows * norm->lead * n >= LS_MAP_PARALLEL;
    begin[0]               = 0;
    for (int s = 0; s < c->shards; s++)
        begin[s + 1] = begin[s] + ((c->bound[s + 1] - c->bound[s]) * norm->lead + LS_NORM_PIECE - 1) / LS_NORM_PIECE;
    float *buffers = piece + begin[c->shards] * 2 * n; /* only there if x or dy is bfloat16 */
#pragma omp parallel for schedule(static) if (parallel)
    for (int64_t k = 0; k < begin[c->shards]; k++) {
        int s = 0;
        while (begin[s + 1] <= k) s++;
        int64_t from = c->bound[s] * norm->lead + (k - begin[s]) * LS_NORM_PIECE, end = c->bound[s + 1] * norm->lead;
        float  *dw = piece + k * 2 * n;
        ls__norm_piece(c, norm, from, end - from < LS_NORM_PIECE ? end : from + LS_NORM_PIECE,
                       buffers + omp_get_thread_num() * 3 * n, has_w ? dw : NULL, has_b ? dw + n : NULL);
    }
    for (int which = 0; which < 2; which++) {
        if (!(which ? has_b : has_w)) continue;
#pragma omp parallel for schedule(static) if (parallel)
        for (int64_t k = 0; k < tiles * c->shards; k++) {
            int64_t s = k / tiles, first = k % tiles * LS_COLUMNS_TILE;
            ls__norm_add_pieces(n - first < LS_COLUMNS_TILE ? n - first : LS_COLUMNS_TILE, begin[s + 1] - begin[s],
                                piece + (begin[s] * 2 + which) * n + first, 2 * n, sum + s * n + first);
        }
        ls__fold(c, 1 + which, n, sum);
    }
}

#endif
