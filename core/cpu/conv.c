/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernels of core/cpu/conv.h.  There are two, both with a small tile of sums in registers:
 *
 *  - tile_channels: vector lanes hold output channels.  For each tap, one or two vectors of packed weights are
 *    multiplied with one broadcast source value per point of the tile.  Works for any stride and dilation.  Also
 *    computes the weight gradient, with points and taps exchanged.
 *  - tile_points: vector lanes hold neighbouring points of one row.  The column step is 1, so the source values of
 *    these points are neighbours as well.  For each tap, one or more vectors of the source are multiplied with one
 *    broadcast weight per channel of the tile.  Used for few channels, which would leave lanes of the other kernel
 *    empty.
 *
 * Each output element is one chain of multiply-adds over the taps in order.  In tile_channels a new chain starts every
 * TAP_BLOCK taps, and the sums of the chains are added in order.  So the bits of an element do not depend on the tile,
 * the panel or the thread that computes it. */
#include "core/cpu/conv.h"

#include <string.h>

#include "core/base/integer.h"
#include "core/cpu/vector/transpose_4x4.h"

enum {
    TAP_BLOCK    = 256,                /* taps of a block; their packed weights fit into the L1 cache */
    POINT_BLOCK  = 192,                /* points that are summed before they are stored */
    ROW_CHANNELS = 6,                  /* channels of a tile of tile_points */
    POINTS_1     = 9,                  /* points of a tile of tile_channels with one vector of channels */
    POINTS_2     = LS_V >= 16 ? 8 : 6, /* points of a tile of tile_channels with two vectors of channels */
    MAX_ROW_TAPS = 8192                /* most taps of a pass with points in the lanes */
};

/* ---- the register tiles ------------------------------------------------------------------------------------------ */

/* Unrolls a loop early in compilation, so that the sums live in registers and never in memory. */
#define UNROLL _Pragma("GCC unroll 16")

/* out[i][v] = sum over k of  src[i][tap[k]] * panel[k][v]      i < m points, v < n vectors; added to out if `add` */
V_INLINE void tile_channels(const int m, const int n, int64_t taps, const float *const *src, const int32_t *tap,
                            const float *panel, float *out, bool add)
{
    vf sum[POINTS_1][2];
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int v = 0; v < n; v++) sum[i][v] = v_set(0);
    for (int64_t k = 0; k < taps; k++) {
        const int64_t at = tap[k];
        vf            w[2];
        UNROLL for (int v = 0; v < n; v++) w[v] = v_load(panel + v * LS_V);
        panel += n * LS_V;
        UNROLL for (int i = 0; i < m; i++)
        {
            const vf x                                   = v_set(src[i][at]);
            UNROLL for (int v = 0; v < n; v++) sum[i][v] = v_fma(x, w[v], sum[i][v]);
        }
    }
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int v = 0; v < n; v++)
    {
        float *o = out + (i * n + v) * LS_V;
        v_store(o, add ? v_load(o) + sum[i][v] : sum[i][v]);
    }
}

/* out[i * row + v] = bias[i] + sum over k of  w[k][i] * src[tap[k] + v]      i < m channels, v < n vectors */
V_INLINE void tile_points(const int m, const int n, int64_t taps, const float *src, const int32_t *tap, const float *w,
                          const float *bias, float *out, int64_t row)
{
    vf sum[ROW_CHANNELS][4];
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int v = 0; v < n; v++) sum[i][v] = v_set(bias[i]);
    for (int64_t k = 0; k < taps; k++) {
        vf x[4];
        UNROLL for (int v = 0; v < n; v++) x[v] = v_load(src + tap[k] + v * LS_V);
        UNROLL for (int i = 0; i < m; i++)
        {
            const vf wi                                  = v_set(w[i]);
            UNROLL for (int v = 0; v < n; v++) sum[i][v] = v_fma(wi, x[v], sum[i][v]);
        }
        w += m;
    }
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int v = 0; v < n; v++) v_store(out + i * row + v * LS_V, sum[i][v]);
}

/* One function per shape of a tile, by [vectors][points] and by [vectors][channels]. */
typedef void channels_fn(int64_t taps, const float *const *src, const int32_t *tap, const float *panel, float *out,
                         bool add);
typedef void points_fn(int64_t taps, const float *src, const int32_t *tap, const float *w, const float *bias,
                       float *out, int64_t row);

/* clang-format off */
#define CHANNELS_LIST(X)                                                                                               \
    X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(5, 1) X(6, 1) X(7, 1) X(8, 1) X(9, 1)                                            \
    X(1, 2) X(2, 2) X(3, 2) X(4, 2) X(5, 2) X(6, 2) X(7, 2) X(8, 2)
#define POINTS_LIST(X)                                                                                                 \
    X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(5, 1) X(6, 1)                                                                    \
    X(1, 2) X(2, 2) X(3, 2) X(4, 2) X(5, 2) X(6, 2)                                                                    \
    X(1, 4) X(2, 4)
/* clang-format on */

#define X(m, n)                                                                                                        \
    static void channels_##m##_##n(int64_t taps, const float *const *src, const int32_t *tap, const float *panel,      \
                                   float *out, bool add)                                                               \
    {                                                                                                                  \
        tile_channels(m, n, taps, src, tap, panel, out, add);                                                          \
    }
CHANNELS_LIST(X)
#undef X
#define X(m, n)                                                                                                        \
    static void points_##m##_##n(int64_t taps, const float *src, const int32_t *tap, const float *w,                   \
                                 const float *bias, float *out, int64_t row)                                           \
    {                                                                                                                  \
        tile_points(m, n, taps, src, tap, w, bias, out, row);                                                          \
    }
POINTS_LIST(X)
#undef X
#define X(m, n) [n][m] = channels_##m##_##n,
static channels_fn *const channels_table[3][POINTS_1 + 1] = {CHANNELS_LIST(X)};
#undef X
#define X(m, n) [n][m] = points_##m##_##n,
static points_fn *const points_table[5][ROW_CHANNELS + 1] = {POINTS_LIST(X)};
#undef X

/* ---- panels ------------------------------------------------------------------------------------------------------ */

int64_t ls__conv_lanes(void) { return LS_V; }

int64_t ls__conv_panels(int64_t out, bool by_rows)
{
    return by_rows ? (out + ROW_CHANNELS - 1) / ROW_CHANNELS : (out + 2 * LS_V - 1) / (2 * LS_V);
}

int64_t ls__conv_panel_first(int64_t out, bool by_rows, int64_t i)
{
    return by_rows ? out * i / ls__conv_panels(out, true) : ls__min(out, i * 2 * LS_V);
}

/* Returns the number of vectors of panel i, with channels in the lanes. */
static int panel_vectors(int64_t out, int64_t i) { return out - i * 2 * LS_V > LS_V ? 2 : 1; }

bool ls__conv_by_rows(const ls_conv_pass *p, const ls_conv_window *s)
{
    if (p->step_w != 1 || p->dst_col != 1 || p->taps > MAX_ROW_TAPS) return false;
    const double waste_channels =
        (double)ls__round_up(p->out, V_LANES) / (double)p->out * (p->out <= V_LANES ? 1.2 : 1.0);
    int64_t inside = 0; /* pairs of output row and tap row outside of the padding */
    for (int64_t i = 0; i < p->rows; i++)
        for (int64_t t = 0; t < p->taps_h; t++) {
            const int64_t row = s->lo_h + p->src_h + i * p->step_h + p->tap_row[t];
            inside += row >= 0 && row < s->in_h;
        }
    const int64_t narrow     = p->out / ls__conv_panels(p->out, true);
    const double  filled     = narrow >= 4 ? 1 : (double)(narrow + 1) / 5;
    const double  waste_rows = (double)ls__round_up(p->cols, V_LANES) / (double)p->cols * (double)inside /
                              (double)(p->rows * p->taps_h) / filled;
    return waste_rows < waste_channels;
}

void ls__conv_pack(const ls_conv_pass *p, int64_t i, const float *w, int64_t w_out, float *packed)
{
    const int64_t first = ls__conv_panel_first(p->out, p->by_rows, i),
                  last  = ls__conv_panel_first(p->out, p->by_rows, i + 1);
    const int64_t used = last - first, width = p->by_rows ? used : panel_vectors(p->out, i) * LS_V;
    packed += first * p->taps;
    w += first * w_out;
    for (int64_t k = 0; k < p->taps; k++, packed += width) {
        for (int64_t o = 0; o < used; o++) packed[o] = w[o * w_out + p->tap_weight[k]];
        for (int64_t o = used; o < width; o++) packed[o] = 0;
    }
}

/* Copies exactly n floats.  The last vector overlaps the one before it. */
V_INLINE void copy_row(int64_t n, const float *x, float *y)
{
    if (n < LS_V) {
        for (int64_t i = 0; i < n; i++) y[i] = x[i];
        return;
    }
    for (int64_t i = 0; i < n - LS_V; i += LS_V) v_store(y + i, v_load(x + i));
    v_store(y + n - LS_V, v_load(x + n - LS_V));
}

void ls__conv_fill(const ls_conv_window *s, int64_t planes, const float *x, float *window)
{
    const int64_t top = s->lo_h > 0 ? s->lo_h : 0, left = s->lo_w > 0 ? s->lo_w : 0;
    const int64_t bottom = ls__min(s->in_h, s->lo_h + s->h), right = ls__min(s->in_w, s->lo_w + s->w);
    for (int64_t c = 0; c < planes; c++)
        for (int64_t h = top; h < bottom; h++)
            copy_row(right - left, x + (c * s->in_h + h) * s->in_w + left,
                     window + c * s->plane + (h - s->lo_h) * s->w + left - s->lo_w);
}

/* ---- channels in the lanes --------------------------------------------------------------------------------------- */

/* y[o * y_row + i] = x[i * x_row + o]      i < n, o < used */
static void transpose(int64_t n, int64_t used, const float *x, int64_t x_row, float *y, int64_t y_row)
{
    const int64_t n4 = n & ~(int64_t)3, used4 = used & ~(int64_t)3;
    for (int64_t o = 0; o < used4; o += 4)
        for (int64_t i = 0; i < n4; i += 4) {
            const float *in = x + i * x_row + o;
            v_transpose_4x4((const float *[]){in, in + x_row, in + 2 * x_row, in + 3 * x_row}, y + o * y_row + i,
                            y_row);
        }
    for (int64_t o = 0; o < used; o++)
        for (int64_t i = o < used4 ? n4 : 0; i < n; i++) y[o * y_row + i] = x[i * x_row + o];
}

/* Does the same if the rows of y have room for a multiple of four values.  Values after n are copies of value n - 1. */
static void transpose_padded(int64_t n, int64_t used, const float *x, int64_t x_row, float *y, int64_t y_row)
{
    const int64_t used4 = used & ~(int64_t)3;
    for (int64_t i = 0; i < n; i += 4) {
        const float *in[4];
        for (int64_t r = 0; r < 4; r++) in[r] = x + ls__min(i + r, n - 1) * x_row;
        for (int64_t o = 0; o < used4; o += 4)
            v_transpose_4x4((const float *[]){in[0] + o, in[1] + o, in[2] + o, in[3] + o}, y + o * y_row + i, y_row);
        for (int64_t o = used4; o < used; o++)
            for (int64_t r = 0; r < 4; r++) y[o * y_row + i + r] = in[r][o];
    }
}

/* y[i] = x[i] + b, or y[i] += x[i] + b if `add`.  A b of -0 keeps the sign of a zero. */
static inline void store_points(int64_t n, const float *x, float b, float *y, bool add)
{
    int64_t i = 0;
    for (; i + LS_V <= n; i += LS_V) {
        const vf s = v_load(x + i) + v_set(b);
        v_store(y + i, add ? v_load(y + i) + s : s);
    }
    for (; i < n; i++) y[i] = add ? y[i] + (x[i] + b) : x[i] + b;
}

/* Stores points [at, at + n) of `used` channels from `sum` (points x width) into y.  transposed: workspace of channels
 * x POINT_BLOCK floats. */
static void store_channels(const ls_conv_pass *p, int64_t at, int64_t n, int64_t width, int64_t used, const float *sum,
                           const float *bias, float *y, bool add, float *transposed)
{
    const bool dense = p->dst_col == 1 && p->dst_row == p->cols;
    if (dense && !add) {
        transpose(n, used, sum, width, y + p->dst + at, p->dst_plane);
        for (int64_t o = 0; bias && o < used; o++)
            store_points(n, y + o * p->dst_plane + p->dst + at, bias[o], y + o * p->dst_plane + p->dst + at, false);
        return;
    }
    transpose(n, used, sum, width, transposed, POINT_BLOCK);
    for (int64_t o = 0; o < used; o++) {
        const float  b   = bias ? bias[o] : 0;
        const float *t   = transposed + o * POINT_BLOCK;
        float       *out = y + o * p->dst_plane + p->dst;
        if (dense) {
            store_points(n, t, b, out + at, add);
        } else {
            int64_t row = at / p->cols, col = at % p->cols;
            for (int64_t i = 0; i < n; i++) {
                float *e = out + row * p->dst_row + col * p->dst_col;
                *e       = (add ? *e : 0) + (t[i] + b);
                if (++col == p->cols) {
                    col = 0;
                    row++;
                }
            }
        }
    }
}

static void run_channels(const ls_conv_pass *p, int64_t first, int64_t last, const float *src, const float *packed,
                         const float *bias, float *y, bool add, float *work)
{
    const int64_t points = p->rows * p->cols;
    float        *sum = work, *transposed = work + POINT_BLOCK * 2 * LS_V;
    for (int64_t at = 0; at < points; at += POINT_BLOCK) {
        const int64_t n = ls__min(POINT_BLOCK, points - at);
        for (int64_t i = first; i < last; i++) {
            const int     vectors = panel_vectors(p->out, i);
            const int64_t o = i * 2 * LS_V, width = vectors * LS_V, most = vectors == 1 ? POINTS_1 : POINTS_2;
            const int64_t tiles = (n + most - 1) / most;
            for (int64_t k = 0; k == 0 || k < p->taps; k += TAP_BLOCK) { /* a pass without taps stores zeros */
                const int64_t taps  = ls__min(TAP_BLOCK, p->taps - k);
                const float  *panel = packed + o * p->taps + k * width;
                for (int64_t t = 0; t < tiles; t++) {
                    const int64_t from = n * t / tiles, to = n * (t + 1) / tiles;
                    const float  *point[POINTS_1];
                    for (int64_t j = from; j < to; j++) point[j - from] = src + p->point[at + j];
                    channels_table[vectors][to - from](taps, point, p->tap + k, panel, sum + from * width, k > 0);
                }
            }
            store_channels(p, at, n, width, ls__min(width, p->out - o), sum, bias ? bias + o : NULL,
                           y + o * p->dst_plane, add, transposed);
        }
    }
}

/* ---- points in the lanes ----------------------------------------------------------------------------------------- */

/* Finds the rows [from, to) of the kernel that read the image and not the padding, for one row of points. */
static void clip_taps(const ls_conv_pass *p, const ls_conv_window *s, int64_t row, int64_t *from, int64_t *to)
{
    const int64_t at = s->lo_h + p->src_h + row * p->step_h;
    *from            = 0;
    *to              = p->taps_h;
    while (*from < *to && (at + p->tap_row[*from] < 0 || at + p->tap_row[*from] >= s->in_h)) ++*from;
    while (*to > *from && (at + p->tap_row[*to - 1] < 0 || at + p->tap_row[*to - 1] >= s->in_h)) --*to;
}

static void run_points(const ls_conv_pass *p, const ls_conv_window *s, int64_t first, int64_t last, const float *src,
                       const float *packed, const float *bias, float *y, bool add, float *work)
{
    static const float none[ROW_CHANNELS];
    const int64_t      per_row = p->in * p->taps_w; /* taps of one row of the kernel, all channels */
    /* Points of a plane that whole vectors may overwrite beyond the end of a row: contiguous rows are written in order,
     * so the next row corrects the excess. */
    const int64_t writable = !add && p->dst_row == p->cols ? p->rows * p->cols : 0;
    for (int64_t i = 0; i < p->rows; i++) {
        int64_t from, to;
        clip_taps(p, s, i, &from, &to);
        const int64_t k = from * per_row, taps = (to - from) * per_row;
        const float  *row = src + (p->src_h + i * p->step_h) * s->w + p->src_w;
        for (int64_t t = first; t < last; t++) {
            const int64_t o = ls__conv_panel_first(p->out, true, t), m = ls__conv_panel_first(p->out, true, t + 1) - o;
            const float  *w = packed + o * p->taps + k * m, *b = bias ? bias + o : none;
            float        *out = y + o * p->dst_plane + p->dst + i * p->dst_row;
            for (int64_t j = 0; j < p->cols;) {
                const int64_t left = p->cols - j;
                const int     n    = left > 2 * LS_V && m <= 2 ? 4 : left > LS_V ? 2 : 1;
                if (i * p->cols + j + n * LS_V <= writable || (!add && left >= n * LS_V)) {
                    points_table[n][m](taps, row + j, p->tap + k, w, b, out + j, p->dst_plane);
                } else {
                    points_table[n][m](taps, row + j, p->tap + k, w, b, work, n * LS_V);
                    for (int64_t c = 0; c < m; c++)
                        store_points(ls__min(left, n * LS_V), work + c * n * LS_V, -0.0f, out + c * p->dst_plane + j,
                                     add);
                }
                j += n * LS_V;
            }
        }
    }
}

int64_t ls__conv_work(void) { return POINT_BLOCK * 2 * LS_V * 2; }

void ls__conv_run(const ls_conv_pass *p, const ls_conv_window *s, int64_t first, int64_t last, const float *src,
                  const float *packed, const float *bias, float *y, bool add, float *work)
{
    if (p->by_rows)
        run_points(p, s, first, last, src, packed, bias, y, add, work);
    else
        run_channels(p, first, last, src, packed, bias, y, add, work);
}

/* ---- the gradient of the weights --------------------------------------------------------------------------------- */

int64_t ls__conv_dw_work(void) { return TAP_BLOCK * 2 * LS_V; }

/* Adds the sum of n rows of x to `sum`.  Each column is summed in four chains. */
static void add_rows(int64_t n, int64_t width, const float *x, float *sum)
{
    for (int64_t v = 0; v < width; v += LS_V) {
        vf      s[4] = {v_set(0), v_set(0), v_set(0), v_set(0)};
        int64_t i    = 0;
        for (; i + 4 <= n; i += 4)
            for (int j = 0; j < 4; j++) s[j] += v_load(x + (i + j) * width + v);
        for (; i < n; i++) s[0] += v_load(x + i * width + v);
        v_store(sum + v, v_load(sum + v) + ((s[0] + s[1]) + (s[2] + s[3])));
    }
}

void ls__conv_dw(const ls_conv_pass *p, int64_t first, int64_t last, const float *src, const float *dy, float *sum,
                 float *work)
{
    const int64_t points = p->rows * p->cols;
    for (int64_t i = first; i < last; i++) {
        const int     vectors = panel_vectors(p->out, i);
        const int64_t o = i * 2 * LS_V, width = vectors * LS_V, used = ls__min(width, p->out - o);
        const int64_t most = vectors == 1 ? POINTS_1 : POINTS_2, tiles = (p->taps + most - 1) / most;
        float        *out = sum + (o - first * 2 * LS_V) * (p->taps + 1);
        if (used < width) memset(work, 0, (size_t)(TAP_BLOCK * width) * sizeof(float));
        for (int64_t at = 0; at < points; at += TAP_BLOCK) {
            const int64_t n = ls__min(TAP_BLOCK, points - at);
            transpose_padded(used, n, dy + o * points + at, points, work, width);
            for (int64_t t = 0; t < tiles; t++) {
                const int64_t from = p->taps * t / tiles, to = p->taps * (t + 1) / tiles;
                const float  *tap[POINTS_1];
                for (int64_t j = from; j < to; j++) tap[j - from] = src + p->tap[j];
                channels_table[vectors][to - from](n, tap, p->point + at, work, out + from * width, true);
            }
            add_rows(n, width, work, out + p->taps * width);
        }
    }
}

void ls__conv_dw_store(const ls_conv_pass *p, int64_t first, int64_t last, const float *sum, float *dw, float *db)
{
    for (int64_t i = first; i < last; i++) {
        const int64_t width = panel_vectors(p->out, i) * LS_V, o = (i - first) * 2 * LS_V,
                      used = ls__min(width, p->out - i * 2 * LS_V);
        const float *from  = sum + o * (p->taps + 1);
        transpose(p->taps, used, from, width, dw + o * p->taps, p->taps);
        if (db) memcpy(db + o, from + p->taps * width, (size_t)used * sizeof(float));
    }
}
