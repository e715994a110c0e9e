/* SPDX-License-Identifier: Apache-2.0
 *
 * dw and db by Winograd's minimal filtering (winograd.h): the adjoint of y with respect to the weights.
 *
 *     z = A dy A'       du[c][o] = sum over tiles of  v[c] z[o]       dg = G' du G
 *
 * Vector lanes hold result channels.
 */
#include <string.h>

#include "core/base/integer.h"
#include "core/cpu/winograd/winograd.h"

enum { OUT = LS_WINOGRAD_OUT, TAPS = LS_WINOGRAD_TAPS, SOURCE = LS_WINOGRAD_SOURCE, POINTS = LS_WINOGRAD_POINTS };

#define UNROLL _Pragma("GCC unroll 16")

/* Workspace of one call.  wide: result channels, rounded up to whole vectors. */
typedef struct buffers {
    int64_t wide, v_point, z_point, u_point; /* floats from one position to the next                  */
    int64_t v, z, u, results, bias, pixels;  /* offsets of the arrays; pixels is the last one         */
} buffers;

static buffers buffers_of(const ls_winograd *p, int64_t count)
{
    buffers b = {.wide = ls__round_up(count, V_LANES)};
    b.v_point = ls__winograd_spread(p->in * p->lanes);
    b.z_point = ls__winograd_spread(p->lanes * b.wide);
    b.u_point = ls__winograd_spread(p->in * b.wide);
    b.z       = b.v + POINTS * b.v_point;
    b.u       = b.z + POINTS * b.z_point;
    b.results = b.u + POINTS * b.u_point;
    b.bias    = b.results + OUT * ls__round_up(OUT * p->tiles_w, V_LANES) * b.wide;
    b.pixels  = b.bias + b.wide;
    return b;
}

int64_t ls__winograd_weights_work(const ls_winograd *p, int64_t count)
{
    return buffers_of(p, count).pixels + ls__winograd_pixels(p);
}

/* ---- z = A dy A' ------------------------------------------------------------------------------------------------- */

/* Transposes LS_V x LS_V floats. */
V_INLINE void transpose(vf x[LS_V])
{
    UNROLL for (int half = 1; half < LS_V; half *= 2)
    {
        vf y[LS_V];
        UNROLL for (int i = 0; i < LS_V / 2; i++)
        {
            y[2 * i]     = v_zip_low(x[i], x[i + LS_V / 2]);
            y[2 * i + 1] = v_zip_high(x[i], x[i + LS_V / 2]);
        }
        UNROLL for (int i = 0; i < LS_V; i++) x[i] = y[i];
    }
}

/* to[w * wide + i] = dy[i][w] for w < width and i < wide: a row of `n` results of `count` channels.  Values without a
 * result are zero. */
V_INLINE void gather_row(const ls_dtype type, ls_array dy, int64_t plane, int64_t count, int64_t n, int64_t width,
                         int64_t wide, float *to)
{
    for (int64_t o = 0; o < wide; o += LS_V)
        for (int64_t w = 0; w < width; w += LS_V) {
            const int64_t left = ls__max(0, ls__min(LS_V, n - w));
            vf            x[LS_V];
            UNROLL for (int i = 0; i < LS_V; i++) x[i] =
                o + i < count ? v_load_part_as(type, dy.data, (o + i) * plane + w, left) : v_set(0);
            transpose(x);
            UNROLL for (int i = 0; i < LS_V; i++) v_store(to + (w + i) * wide + o, x[i]);
        }
}

/* z = A y */
V_INLINE void adjoint_results(const vf y[OUT], vf z[SOURCE])
{
    const vf even_a = v_fma(v_set(LS_WINOGRAD_A2), y[2], y[0]), even_b = v_fma(v_set(LS_WINOGRAD_B2), y[2], y[0]);
    const vf odd_a = v_fma(v_set(LS_WINOGRAD_A3), y[3], v_set(LS_WINOGRAD_A) * y[1]);
    const vf odd_b = v_fma(v_set(LS_WINOGRAD_B3), y[3], v_set(LS_WINOGRAD_B) * y[1]);
    z[0]           = y[0];
    z[1]           = even_a + odd_a;
    z[2]           = even_a - odd_a;
    z[3]           = even_b + odd_b;
    z[4]           = even_b - odd_b;
    z[5]           = y[3];
}

/* Transforms a row of tiles: z[position][tile][channel].  results: 4 rows of `width` x `wide` values.  Adds the results
 * to `bias`, unless NULL. */
static void transform_row(int64_t tiles, int64_t width, int64_t wide, const float *results, float *z, int64_t z_point,
                          float *bias)
{
    for (int64_t o = 0; o < wide; o += LS_V) {
        vf sum = v_set(0);
        for (int64_t t = 0; t < tiles; t++) {
            const float *from = results + OUT * t * wide + o;
            vf           columns[OUT][SOURCE];
            UNROLL for (int j = 0; j < OUT; j++)
            {
                vf y[OUT];
                UNROLL for (int r = 0; r < OUT; r++) y[r] = v_load(from + (r * width + j) * wide);
                sum += (y[0] + y[1]) + (y[2] + y[3]);
                adjoint_results(y, columns[j]);
            }
            UNROLL for (int r = 0; r < SOURCE; r++)
            {
                vf y[OUT], out[SOURCE];
                UNROLL for (int j = 0; j < OUT; j++) y[j] = columns[j][r];
                adjoint_results(y, out);
                UNROLL for (int j = 0; j < SOURCE; j++) v_store(z + (r * SOURCE + j) * z_point + t * wide + o, out[j]);
            }
        }
        if (bias) v_store(bias + o, v_load(bias + o) + sum);
    }
}

/* Transforms result channels [o, o + count) of rows [first, first + rows) of tiles. */
static void transform_results(const ls_winograd *p, ls_array dy, int64_t group, int64_t o, int64_t count, int64_t first,
                              int64_t rows, const buffers *b, float *work, bool bias)
{
    const int64_t width = ls__round_up(OUT * p->tiles_w, V_LANES), plane = p->dst_h * p->dst_w;
    float        *results = work + b->results;
    for (int64_t i = 0; i < rows; i++) {
        const int64_t sample = (first + i) / p->tiles_h, h = OUT * ((first + i) % p->tiles_h);
        const int64_t from = ((sample * p->groups + group) * p->out + o) * plane + h * p->dst_w;
        for (int64_t r = 0; r < OUT; r++) {
            const int64_t  n   = h + r < p->dst_h ? p->dst_w : 0;
            const ls_array row = ls__from(dy, n ? from + r * p->dst_w : 0);
            float         *to  = results + r * width * b->wide;
            if (dy.type == LS_BF16)
                gather_row(LS_BF16, row, plane, count, n, width, b->wide, to);
            else
                gather_row(LS_F32, row, plane, count, n, width, b->wide, to);
        }
        transform_row(p->tiles_w, width, b->wide, results, work + b->z + i * p->tiles_w * b->wide, b->z_point,
                      bias ? work + b->bias : NULL);
    }
}

/* ---- dg = G' du G ------------------------------------------------------------------------------------------------ */

/* g = G' u */
V_INLINE void adjoint_weights(const vf u[SOURCE], vf g[TAPS])
{
    const float of_a = 1 / LS_WINOGRAD_NA, of_b = 1 / LS_WINOGRAD_NB;
    const vf    sum_a = (u[1] + u[2]) * of_a, odd_a = (u[1] - u[2]) * of_a;
    const vf    sum_b = (u[3] + u[4]) * of_b, odd_b = (u[3] - u[4]) * of_b;
    g[0] = v_fma(v_set(1 / LS_WINOGRAD_N0), u[0], sum_a + sum_b);
    g[1] = v_fma(v_set(LS_WINOGRAD_A), odd_a, v_set(LS_WINOGRAD_B) * odd_b);
    g[2] = v_fma(v_set(LS_WINOGRAD_A2), sum_a, v_fma(v_set(LS_WINOGRAD_B2), sum_b, u[5]));
}

/* Writes the weights of source channel c: dw[i][c][tap]. */
static void store_weights(const ls_winograd *p, int64_t c, int64_t count, const float *u, const buffers *b, float *dw)
{
    for (int64_t o = 0; o < count; o += LS_V) {
        vf    columns[SOURCE][TAPS];
        float taps[TAPS * TAPS][LS_V];
        for (int j = 0; j < SOURCE; j++) {
            vf d[SOURCE];
            UNROLL for (int r = 0; r < SOURCE; r++) d[r] = v_load(u + (r * SOURCE + j) * b->u_point + c * b->wide + o);
            adjoint_weights(d, columns[j]);
        }
        for (int r = 0; r < TAPS; r++) {
            vf d[SOURCE], g[TAPS];
            for (int j = 0; j < SOURCE; j++) d[j] = columns[j][r];
            adjoint_weights(d, g);
            for (int j = 0; j < TAPS; j++) v_store(taps[r * TAPS + j], g[j]);
        }
        for (int64_t i = 0; i < ls__min(LS_V, count - o); i++)
            for (int k = 0; k < TAPS * TAPS; k++) dw[((o + i) * p->in + c) * TAPS * TAPS + k] = taps[k][i];
    }
}

void ls__winograd_weights(const ls_winograd *p, ls_array x, ls_array dy, int64_t group, int64_t o, int64_t count,
                          int64_t first, int64_t last, float *dw, float *db, float *work)
{
    const buffers b = buffers_of(p, count);
    float        *v = work + b.v, *z = work + b.z, *u = work + b.u, *bias = work + b.bias, *pixels = work + b.pixels;
    const int64_t end = last * p->tiles_h;
    memset(u, 0, (size_t)(POINTS * b.u_point) * sizeof *u);
    memset(bias, 0, (size_t)b.wide * sizeof *bias);
    memset(pixels, 0, (size_t)ls__winograd_pixels(p) * sizeof *pixels);
    for (int64_t row = first * p->tiles_h; row < end; row += p->rows) {
        const int64_t rows = ls__min(p->rows, end - row), tiles = rows * p->tiles_w;
        for (int64_t c = 0; c < p->in; c++)
            ls__winograd_source(p, x, group, c, row, rows, pixels, v + c * p->lanes, b.v_point);
        transform_results(p, dy, group, o, count, row, rows, &b, work, db != NULL);
        for (int k = 0; k < POINTS; k++)
            ls__winograd_product(p->in, tiles, b.wide, v + k * b.v_point, p->lanes, z + k * b.z_point, b.wide,
                                 u + k * b.u_point, true);
    }
    for (int64_t c = 0; c < p->in; c++) store_weights(p, c, count, u, &b, dw);
    if (db) memcpy(db, bias, (size_t)count * sizeof *db);
}
