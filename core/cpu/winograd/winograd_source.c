/* SPDX-License-Identifier: Apache-2.0
 *
 * Plan of a Winograd convolution, and the transform v = B' d B of its source (winograd.h).
 *
 * B' is applied to the columns of tiles first: whole rows of the plane are the vectors, and the results are six rows of
 * *pixels* for each row of tiles.  Then vectors of neighbouring tiles are formed from the pixels: value k of tile t is
 * pixel 4 t + k.
 */
#include <string.h>

#include "core/base/integer.h"
#include "core/cpu/winograd/winograd.h"

enum {
    OUT     = LS_WINOGRAD_OUT,
    SOURCE  = LS_WINOGRAD_SOURCE,
    POINTS  = LS_WINOGRAD_POINTS,
    FULL    = 64,       /* tiles that fill the widest register tile of products */
    CHUNK_4 = LS_V / 4, /* number of tiles of 4 pixels in a vector                                                */
};

#define UNROLL _Pragma("GCC unroll 16")

/* ---- plan -------------------------------------------------------------------------------------------------------- */

bool ls__winograd_fits(const ls_winograd *p)
{
    const int64_t tiles = ls__ceil_div(p->dst_h, OUT) * ls__ceil_div(p->dst_w, OUT);
    return p->in >= 12 && p->out >= 12 && tiles >= 4 && 9 * p->dst_h * p->dst_w >= POINTS * tiles * 3 / 2;
}

float *ls__winograd_take(ls_winograd *p, int64_t count)
{
    float *at = p->base ? (float *)(p->base + p->bytes) : NULL;
    p->bytes += (size_t)ls__round_up(count, 16) * sizeof(float);
    return at;
}

/* Returns the number of rows of a block that leaves the fewest lanes of its last vector empty. */
static int64_t block_rows(const ls_winograd *p, int64_t most)
{
    int64_t best = 1;
    for (int64_t r = 1; r * p->tiles_w <= most; r++) {
        const int64_t tiles = r * p->tiles_w, of_best = best * p->tiles_w;
        if (tiles * ls__round_up(of_best, FULL) > of_best * ls__round_up(tiles, FULL)) best = r;
    }
    return best;
}

void ls__winograd_plan(ls_winograd *p, int64_t tiles, void *scratch)
{
    p->base    = scratch;
    p->bytes   = 0;
    p->tiles_h = ls__ceil_div(p->dst_h, OUT);
    p->tiles_w = ls__ceil_div(p->dst_w, OUT);
    p->rows    = block_rows(p, tiles);
    p->lanes   = ls__round_up(p->rows * p->tiles_w, V_LANES);
    /* The first column of the source is at a multiple of V_LANES. */
    p->first_w           = ls__max(0, p->lo_w);
    const int64_t before = p->first_w - p->lo_w;
    p->count_w           = ls__max(0, ls__min(p->src_w - p->first_w, OUT * p->tiles_w + 2 - before));
    p->origin            = ls__round_up(before, V_LANES) - before;
    p->line              = ls__round_up(p->origin + OUT * p->tiles_w + 4, V_LANES);
    p->at                = (int32_t *)ls__winograd_take(p, p->lanes);
    for (int64_t t = 0; p->at && t < p->lanes; t++) {
        const int64_t tile = t < p->rows * p->tiles_w ? t : 0;
        p->at[t]           = (int32_t)(tile / p->tiles_w * p->line + p->origin + OUT * (tile % p->tiles_w));
    }
}

/* ---- columns ----------------------------------------------------------------------------------------------------- */

/* v = B' d */
V_INLINE void source_transform(const vf d[SOURCE], vf v[SOURCE])
{
    const vf a = v_set(LS_WINOGRAD_A), b = v_set(LS_WINOGRAD_B), a2 = v_set(LS_WINOGRAD_A2), b2 = v_set(LS_WINOGRAD_B2);
    const vf product = v_set(LS_WINOGRAD_N0), sum = v_set(LS_WINOGRAD_A2 + LS_WINOGRAD_B2);
    const vf even_a = v_fma(-b2, d[2], d[4]), odd_a = v_fma(-b2, d[1], d[3]);
    const vf even_b = v_fma(-a2, d[2], d[4]), odd_b = v_fma(-a2, d[1], d[3]);
    v[0] = v_fma(product, d[0], v_fma(-sum, d[2], d[4]));
    v[1] = v_fma(a, odd_a, even_a);
    v[2] = v_fma(-a, odd_a, even_a);
    v[3] = v_fma(b, odd_b, even_b);
    v[4] = v_fma(-b, odd_b, even_b);
    v[5] = v_fma(product, d[1], v_fma(-sum, d[3], d[5]));
}

int64_t ls__winograd_pixels(const ls_winograd *p)
{
    return SOURCE * p->rows * p->line + ls__round_up(p->count_w, V_LANES);
}

/* Applies B' to the columns of one row of tiles.  from: six rows of the source. */
V_INLINE void transform_columns(const ls_dtype type, int64_t n, const void *const from[SOURCE], float *pixels,
                                int64_t plane)
{
    V_MAP(n, vf d[SOURCE], v[SOURCE];
          UNROLL for (int r = 0; r < SOURCE; r++) d[r] = v_load_part_as(type, from[r], v_at, v_left);
          source_transform(d, v); UNROLL for (int r = 0; r < SOURCE; r++) V_PUT(pixels + r * plane, v[r]));
}

static void transform_rows(const ls_winograd *p, ls_array x, int64_t group, int64_t c, int64_t first, int64_t rows,
                           float *pixels)
{
    const int64_t plane = p->rows * p->line, line = p->line, count = p->count_w, height = p->src_h;
    const int64_t width = p->src_w * (int64_t)ls__array_bytes(x.type), lo = p->lo_h, tiles_h = p->tiles_h;
    const float  *zeros  = pixels + SOURCE * plane;
    int64_t       sample = first / tiles_h, tile = first % tiles_h;
    pixels += p->origin + p->first_w - p->lo_w;
    for (int64_t i = 0; i < rows; i++, pixels += line) {
        const int64_t at = ((sample * p->groups + group) * p->in + c) * height, h = lo + OUT * tile;
        const char   *row = (const char *)ls__from(x, p->first_w).data + (at + h) * width;
        const void   *from[SOURCE];
        UNROLL for (int r = 0; r < SOURCE; r++) from[r] =
            h + r >= 0 && h + r < height ? row + r * width : (const char *)zeros;
        if (x.type == LS_BF16)
            transform_columns(LS_BF16, count, from, pixels, plane);
        else
            transform_columns(LS_F32, count, from, pixels, plane);
        if (++tile == tiles_h) {
            tile = 0;
            sample++;
        }
    }
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* Loads the pixels of CHUNK_4 tiles: 4 of each, of `chunk` neighbours at a time. */
V_INLINE vf load_tiles(const int chunk, const float *x, const int32_t *at)
{
#if defined(__AVX512F__)
    if (chunk == 2)
        return (vf)_mm512_insertf64x4(_mm512_castps_pd(_mm512_castps256_ps512(_mm256_loadu_ps(x + at[0]))),
                                      _mm256_castps_pd(_mm256_loadu_ps(x + at[2])), 1);
    if (chunk == 1) {
        __m512 y = _mm512_castps128_ps512(_mm_loadu_ps(x + at[0]));
        y        = _mm512_insertf32x4(y, _mm_loadu_ps(x + at[1]), 1);
        y        = _mm512_insertf32x4(y, _mm_loadu_ps(x + at[2]), 2);
        return (vf)_mm512_insertf32x4(y, _mm_loadu_ps(x + at[3]), 3);
    }
#elif defined(__AVX2__)
    if (chunk == 1)
        return (vf)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(x + at[0])), _mm_loadu_ps(x + at[1]), 1);
#else
    (void)chunk;
#endif
    return v_load(x + at[0]);
}

/* k[0][t], k[1][t] = pixel `first` and the next one of tile t, from d: the pixels of CHUNK_4 tiles each. */
#if defined(__AVX512F__)
#define PAIR(d, e, k)                                                                                                  \
    __builtin_shufflevector((d), (e), k, k + 4, k + 8, k + 12, k + 16, k + 20, k + 24, k + 28, k + 1, k + 5, k + 9,    \
                            k + 13, k + 17, k + 21, k + 25, k + 29)
#define LOW(a, b) __builtin_shufflevector((a), (b), 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
#define HIGH(a, b) __builtin_shufflevector((a), (b), 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)
#elif defined(__AVX2__)
#define PAIR(d, e, k) __builtin_shufflevector((d), (e), k, k + 4, k + 8, k + 12, k + 1, k + 5, k + 9, k + 13)
#define LOW(a, b) __builtin_shufflevector((a), (b), 0, 1, 2, 3, 8, 9, 10, 11)
#define HIGH(a, b) __builtin_shufflevector((a), (b), 4, 5, 6, 7, 12, 13, 14, 15)
#else
#define PAIR(d, e, k) __builtin_shufflevector((d), (e), k, k + 4, k + 1, k + 5)
#define LOW(a, b) __builtin_shufflevector((a), (b), 0, 1, 4, 5)
#define HIGH(a, b) __builtin_shufflevector((a), (b), 2, 3, 6, 7)
#endif

V_INLINE void transform_tiles(const int chunk, const ls_winograd *p, int64_t tiles, const float *pixels, float *v,
                              int64_t v_point)
{
    const int64_t  plane = p->rows * p->line;
    const int32_t *at    = p->at;
    for (int64_t t = 0; t < tiles; t += LS_V, at += LS_V)
        for (int r = 0; r < SOURCE; r++) {
            const float *row = pixels + r * plane;
            vf           d[4], e[4], k[SOURCE], out[SOURCE];
            UNROLL for (int i = 0; i < 4; i++)
            {
                d[i] = load_tiles(chunk, row, at + i * CHUNK_4);
                e[i] = load_tiles(chunk, row + 4, at + i * CHUNK_4);
            }
            const vf a = PAIR(d[0], d[1], 0), b = PAIR(d[2], d[3], 0), f = PAIR(d[0], d[1], 2), g = PAIR(d[2], d[3], 2),
                     h = PAIR(e[0], e[1], 0), i = PAIR(e[2], e[3], 0);
            k[0] = LOW(a, b);
            k[1] = HIGH(a, b);
            k[2] = LOW(f, g);
            k[3] = HIGH(f, g);
            k[4] = LOW(h, i);
            k[5] = HIGH(h, i);
            source_transform(k, out);
            UNROLL for (int j = 0; j < SOURCE; j++) v_store(v + (r * SOURCE + j) * v_point + t, out[j]);
        }
}

void ls__winograd_source(const ls_winograd *p, ls_array x, int64_t group, int64_t c, int64_t first, int64_t rows,
                         float *pixels, float *v, int64_t v_point)
{
    const int64_t tiles = rows * p->tiles_w;
    transform_rows(p, x, group, c, first, rows, pixels);
    if (CHUNK_4 == 4 && p->tiles_w % 4 == 0)
        transform_tiles(CHUNK_4, p, tiles, pixels, v, v_point);
    else if (CHUNK_4 >= 2 && p->tiles_w % 2 == 0)
        transform_tiles(CHUNK_4 < 2 ? 1 : 2, p, tiles, pixels, v, v_point);
    else
        transform_tiles(1, p, tiles, pixels, v, v_point);
}
