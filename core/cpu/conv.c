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
 * the panel or the thread that computes it.
 *
 * Loops over arrays that may be bfloat16 are compiled once for each type: `type` is a constant where they are inlined.
 */
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
V_INLINE void tile_points(const int m, const int n, const ls_dtype type, int64_t taps, const float *src,
                          const int32_t *tap, const float *w, const float *bias, void *out, int64_t row)
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
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int v = 0; v < n; v++)
        v_store_as(type, out, i * row + v * LS_V, sum[i][v]);
}

/* One function per shape of a tile, by [vectors][points] and by [bfloat16][vectors][channels]. */
typedef void channels_fn(int64_t taps, const float *const *src, const int32_t *tap, const float *panel, float *out,
                         bool add);
typedef void points_fn(int64_t taps, const float *src, const int32_t *tap, const float *w, const float *bias, void *out,
                       int64_t row);

/* clang-format off */
#define CHANNELS_LIST(X)                                                                                               \
    X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(5, 1) X(6, 1) X(7, 1) X(8, 1) X(9, 1)                                            \
    X(1, 2) X(2, 2) X(3, 2) X(4, 2) X(5, 2) X(6, 2) X(7, 2) X(8, 2)
#define POINTS_LIST(X)                                                                                                 \
    X(1, 1, F32) X(2, 1, F32) X(3, 1, F32) X(4, 1, F32) X(5, 1, F32) X(6, 1, F32)                                      \
    X(1, 2, F32) X(2, 2, F32) X(3, 2, F32) X(4, 2, F32) X(5, 2, F32) X(6, 2, F32)                                      \
    X(1, 4, F32) X(2, 4, F32)                                                                                          \
    X(1, 1, BF16) X(2, 1, BF16) X(3, 1, BF16) X(4, 1, BF16) X(5, 1, BF16) X(6, 1, BF16)                                \
    X(1, 2, BF16) X(2, 2, BF16) X(3, 2, BF16) X(4, 2, BF16) X(5, 2, BF16) X(6, 2, BF16)                                \
    X(1, 4, BF16) X(2, 4, BF16)
/* clang-format on */

#define X(m, n)                                                                                                        \
    static void channels_##m##_##n(int64_t taps, const float *const *src, const int32_t *tap, const float *panel,      \
                                   float *out, bool add)                                                               \
    {                                                                                                                  \
        tile_channels(m, n, taps, src, tap, panel, out, add);                                                          \
    }
CHANNELS_LIST(X)
#undef X
#define X(m, n, type)                                                                                                  \
    static void points_##m##_##n##_##type(int64_t taps, const float *src, const int32_t *tap, const float *w,          \
                                          const float *bias, void *out, int64_t row)                                   \
    {                                                                                                                  \
        tile_points(m, n, LS_##type, taps, src, tap, w, bias, out, row);                                               \
    }
POINTS_LIST(X)
#undef X
#define X(m, n) [n][m] = channels_##m##_##n,
static channels_fn *const channels_table[3][POINTS_1 + 1] = {CHANNELS_LIST(X)};
#undef X
#define X(m, n, type) [LS_##type == LS_BF16][n][m] = points_##m##_##n##_##type,
static points_fn *const points_table[2][5][ROW_CHANNELS + 1] = {POINTS_LIST(X)};
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

V_INLINE void pack_as(const ls_dtype type, const ls_conv_pass *p, int64_t i, const void *w, int64_t w_out,
                      float *packed)
{
    const int64_t first = ls__conv_panel_first(p->out, p->by_rows, i),
                  last  = ls__conv_panel_first(p->out, p->by_rows, i + 1);
    const int64_t used = last - first, width = p->by_rows ? used : panel_vectors(p->out, i) * LS_V;
    packed += first * p->taps;
    for (int64_t k = 0; k < p->taps; k++, packed += width) {
        for (int64_t o = 0; o < used; o++) packed[o] = v_load_1_as(type, w, (first + o) * w_out + p->tap_weight[k]);
        for (int64_t o = used; o < width; o++) packed[o] = 0;
    }
}

void ls__conv_pack(const ls_conv_pass *p, int64_t i, ls_array w, int64_t w_out, float *packed)
{
    if (w.type == LS_BF16)
        pack_as(LS_BF16, p, i, w.data, w_out, packed);
    else
        pack_as(LS_F32, p, i, w.data, w_out, packed);
}

/* Copies exactly n elements from x[at] on.  The last vector overlaps the one before it. */
V_INLINE void copy_row(const ls_dtype type, int64_t n, const void *x, int64_t at, float *y)
{
    if (n < LS_V) {
        for (int64_t i = 0; i < n; i++) y[i] = v_load_1_as(type, x, at + i);
        return;
    }
    for (int64_t i = 0; i < n - LS_V; i += LS_V) v_store(y + i, v_load_as(type, x, at + i));
    v_store(y + n - LS_V, v_load_as(type, x, at + n - LS_V));
}

V_INLINE void fill_as(const ls_dtype type, const ls_conv_window *s, int64_t planes, const void *x, float *window)
{
    const int64_t top = s->lo_h > 0 ? s->lo_h : 0, left = s->lo_w > 0 ? s->lo_w : 0;
    const int64_t bottom = ls__min(s->in_h, s->lo_h + s->h), right = ls__min(s->in_w, s->lo_w + s->w);
    for (int64_t c = 0; c < planes; c++)
        for (int64_t h = top; h < bottom; h++) {
            const int64_t at  = (c * s->in_h + h) * s->in_w + left;
            float        *row = window + c * s->plane + (h - s->lo_h) * s->w;
            copy_row(type, right - left, x, at, row + left - s->lo_w);
        }
}

void ls__conv_fill(const ls_conv_window *s, int64_t planes, ls_array x, float *window)
{
    if (x.type == LS_BF16)
        fill_as(LS_BF16, s, planes, x.data, window);
    else
        fill_as(LS_F32, s, planes, x.data, window);
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

typedef uint16_t h4 __attribute__((vector_size(8), aligned(2), may_alias));
typedef uint32_t u4 __attribute__((vector_size(16)));

/* Loads x[i .. i + 4). */
V_INLINE v4 load_4_as(const ls_dtype type, const void *x, int64_t i)
{
    return type == LS_BF16 ? (v4)(__builtin_convertvector(*(const h4 *)((const uint16_t *)x + i), u4) << 16)
                           : *(const v4 *)((const float *)x + i);
}

/* Does the same if the rows of y have room for a multiple of four values.  Values after n are copies of value n - 1. */
V_INLINE void transpose_padded_as(const ls_dtype type, int64_t n, int64_t used, const void *x, int64_t x_row, float *y,
                                  int64_t y_row)
{
    const int64_t used4 = used & ~(int64_t)3;
    for (int64_t i = 0; i < n; i += 4) {
        int64_t in[4];
        for (int64_t r = 0; r < 4; r++) in[r] = ls__min(i + r, n - 1) * x_row;
        for (int64_t o = 0; o < used4; o += 4)
            v_store_transposed_4x4(load_4_as(type, x, in[0] + o), load_4_as(type, x, in[1] + o),
                                   load_4_as(type, x, in[2] + o), load_4_as(type, x, in[3] + o), y + o * y_row + i,
                                   y_row);
        for (int64_t o = used4; o < used; o++)
            for (int64_t r = 0; r < 4; r++) y[o * y_row + i + r] = v_load_1_as(type, x, in[r] + o);
    }
}

static void transpose_padded(int64_t n, int64_t used, ls_array x, int64_t x_row, float *y, int64_t y_row)
{
    if (x.type == LS_BF16)
        transpose_padded_as(LS_BF16, n, used, x.data, x_row, y, y_row);
    else
        transpose_padded_as(LS_F32, n, used, x.data, x_row, y, y_row);
}

/* y[i] = x[i] + b, or y[i] += x[i] + b if `add`.  A b of -0 keeps the sign of a zero. */
V_INLINE void store_points_as(const ls_dtype type, int64_t n, const float *x, float b, void *y, bool add)
{
    V_MAP(n, const vf s = V_GET(x) + v_set(b);
          v_store_part_as(type, y, v_at, add ? v_load_part_as(type, y, v_at, v_left) + s : s, v_left));
}

static void store_points(int64_t n, const float *x, float b, ls_array y, bool add)
{
    if (y.type == LS_BF16)
        store_points_as(LS_BF16, n, x, b, y.data, add);
    else
        store_points_as(LS_F32, n, x, b, y.data, add);
}

/* y[2 i] = x[i] + b, or y[2 i] += x[i] + b if `add`, for i < n.  The elements in between keep their values. */
static void store_pairs(int64_t n, const float *x, float b, float *y, bool add)
{
    const vi even = (v_iota() & 1) - 1;
    for (int64_t i = 0; i < n; i += LS_V) {
        const int64_t m = ls__min(LS_V, n - i);
        const vf      v = v_load_part(x + i, m) + v_set(b), both[] = {v_zip_low(v, v), v_zip_high(v, v)};
        for (int half = 0; half < 2; half++) {
            const int64_t count = ls__max(0, ls__min(LS_V, 2 * m - 1 - half * LS_V));
            float        *to    = y + 2 * i + half * LS_V;
            const vf      old   = v_load_part(to, count);
            v_store_part(to, v_select(even, add ? old + both[half] : both[half], old), count);
        }
    }
}

/* y[stride i] = x[i] + b, or y[stride i] += x[i] + b if `add`. */
static void store_strided(int64_t n, const float *x, float b, ls_array y, int64_t stride, bool add)
{
    for (int64_t i = 0; i < n; i++)
        v_store_1_as(y.type, y.data, i * stride, (add ? v_load_1_as(y.type, y.data, i * stride) : 0) + (x[i] + b));
}

/* Stores points [at, at + n) of `used` channels from `sum` (points x width) into y.  transposed: workspace of channels
 * x POINT_BLOCK floats. */
static void store_channels(const ls_conv_pass *p, int64_t at, int64_t n, int64_t width, int64_t used, const float *sum,
                           const float *bias, ls_array y, bool add, float *transposed)
{
    const bool dense = p->dst_col == 1 && p->dst_row == p->cols;
    if (dense && !add && y.type == LS_F32) {
        float *to = (float *)y.data + p->dst + at;
        transpose(n, used, sum, width, to, p->dst_plane);
        for (int64_t o = 0; bias && o < used; o++)
            store_points(n, to + o * p->dst_plane, bias[o], ls__f32(to + o * p->dst_plane), false);
        return;
    }
    transpose(n, used, sum, width, transposed, POINT_BLOCK);
    for (int64_t o = 0; o < used; o++) {
        const float    b   = bias ? bias[o] : 0;
        const float   *t   = transposed + o * POINT_BLOCK;
        const ls_array out = ls__from(y, o * p->dst_plane + p->dst);
        if (dense) {
            store_points(n, t, b, ls__from(out, at), add);
        } else {
            int64_t row = at / p->cols, col = at % p->cols, m;
            for (int64_t i = 0; i < n; i += m, col = 0, row++) {
                const int64_t e = row * p->dst_row + col * p->dst_col;
                m               = ls__min(n - i, p->cols - col);
                if (p->dst_col == 2 && out.type == LS_F32)
                    store_pairs(m, t + i, b, (float *)out.data + e, add);
                else
                    store_strided(m, t + i, b, ls__from(out, e), p->dst_col, add);
            }
        }
    }
}

static void run_channels(const ls_conv_pass *p, int64_t first, int64_t last, const float *src, const float *packed,
                         const float *bias, ls_array y, bool add, float *work)
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
                           ls__from(y, o * p->dst_plane), add, transposed);
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
                       const float *packed, const float *bias, ls_array y, bool add, float *work)
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
            const int64_t  o = ls__conv_panel_first(p->out, true, t), m = ls__conv_panel_first(p->out, true, t + 1) - o;
            const float   *w = packed + o * p->taps + k * m, *b = bias ? bias + o : none;
            const ls_array out = ls__from(y, o * p->dst_plane + p->dst + i * p->dst_row);
            for (int64_t j = 0; j < p->cols;) {
                const int64_t left = p->cols - j;
                const int     n    = left > 2 * LS_V && m <= 2 ? 4 : left > LS_V ? 2 : 1;
                if (i * p->cols + j + n * LS_V <= writable || (!add && left >= n * LS_V)) {
                    points_table[y.type == LS_BF16][n][m](taps, row + j, p->tap + k, w, b, ls__from(out, j).data,
                                                          p->dst_plane);
                } else {
                    points_table[false][n][m](taps, row + j, p->tap + k, w, b, work, n * LS_V);
                    for (int64_t c = 0; c < m; c++) {
                        const int64_t  count = ls__min(left, n * LS_V);
                        const float   *sums  = work + c * n * LS_V;
                        const ls_array place = ls__from(out, c * p->dst_plane + j);
                        store_points(count, sums, -0.0f, place, add);
                    }
                }
                j += n * LS_V;
            }
        }
    }
}

int64_t ls__conv_work(void) { return POINT_BLOCK * 2 * LS_V * 2; }

void ls__conv_run(const ls_conv_pass *p, const ls_conv_window *s, int64_t first, int64_t last, const float *src,
                  const float *packed, const float *bias, ls_array y, bool add, float *work)
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

void ls__conv_dw(const ls_conv_pass *p, int64_t first, int64_t last, const float *src, ls_array dy, float *sum,
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
            transpose_padded(used, n, ls__from(dy, o * points + at), points, work, width);
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
