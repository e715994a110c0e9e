/* SPDX-License-Identifier: Apache-2.0
 *
 * y and dx by Winograd's minimal filtering (winograd.h): the transform u = G g G' of the weights, the transform
 * y = A' m A of the results, and the order of the work.
 *
 * The rows of tiles of all samples are cut into *blocks*.  One thread transforms a block, multiplies it and writes its
 * results, so that the transformed tiles stay in its cache.  Blocks that remain when each thread has the same number of
 * them are computed by all threads together: channels and positions are divided.  A sum is computed by one thread in
 * both cases.
 */
#include "core/cpu/winograd/winograd.h"

#include <omp.h>
#include <string.h>

#include "core/base/integer.h"

enum { OUT = LS_WINOGRAD_OUT, TAPS = LS_WINOGRAD_TAPS, SOURCE = LS_WINOGRAD_SOURCE, POINTS = LS_WINOGRAD_POINTS };

#define UNROLL _Pragma("GCC unroll 16")

/* Workspace of all threads (u), and of one. */
typedef struct buffers {
    int64_t u_point, v_point, m_point; /* floats from one position to the next */
    float  *u;                         /* position, group, result channel, source channel */
    float  *thread;                    /* v, m, pixels and results of thread 0, then of the others */
    int64_t pixels, results, of_thread;
} buffers;

/* Tiles of a block: the transformed tiles of a block, and for few channels the weights, stay in the L2 cache. */
static int64_t most_tiles(const ls_winograd *p) { return p->in + p->out > 64 ? 64 : 128; }

static buffers take_buffers(ls_winograd *p, int threads)
{
    buffers b   = {.u_point = ls__winograd_spread(p->groups * p->out * p->in),
                   .v_point = ls__winograd_spread(p->in * p->lanes),
                   .m_point = ls__winograd_spread(p->out * p->lanes),
                   .pixels  = ls__round_up(ls__winograd_pixels(p), 16),
                   .results = OUT * OUT * p->lanes};
    b.of_thread = POINTS * (b.v_point + b.m_point) + b.pixels + b.results;
    b.u         = ls__winograd_take(p, POINTS * b.u_point);
    b.thread    = ls__winograd_take(p, threads * b.of_thread);
    return b;
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

/* u = G g */
V_INLINE void weight_transform(const vf g[TAPS], vf u[SOURCE])
{
    const vf of_a = v_set(1 / LS_WINOGRAD_NA), of_b = v_set(1 / LS_WINOGRAD_NB);
    const vf even_a = v_fma(v_set(LS_WINOGRAD_A2), g[2], g[0]) * of_a, odd_a = g[1] * (LS_WINOGRAD_A / LS_WINOGRAD_NA);
    const vf even_b = v_fma(v_set(LS_WINOGRAD_B2), g[2], g[0]) * of_b, odd_b = g[1] * (LS_WINOGRAD_B / LS_WINOGRAD_NB);
    u[0] = g[0] * (1 / LS_WINOGRAD_N0);
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
    u[5] = g[2];
}

/* Transforms the weights of one result channel, which begin at w.data. */
static void transform_weights(const ls_winograd *p, ls_array w, float *u, int64_t u_point)
{
    float g[TAPS * TAPS][LS_V];
    memset(g, 0, sizeof g);
    for (int64_t c = 0; c < p->in; c += LS_V) {
        const int64_t n = ls__min(LS_V, p->in - c);
        for (int64_t i = 0; i < n; i++)
            for (int k = 0; k < TAPS * TAPS; k++) {
                const int64_t at = (c + i) * p->w_in + (p->flip ? TAPS * TAPS - 1 - k : k);
                g[k][i]          = w.type == LS_BF16 ? v_load_1_as(LS_BF16, w.data, at) : ((const float *)w.data)[at];
            }
        vf columns[TAPS][SOURCE];
        for (int j = 0; j < TAPS; j++)
            weight_transform((const vf[]){v_load(g[j]), v_load(g[TAPS + j]), v_load(g[2 * TAPS + j])}, columns[j]);
        for (int r = 0; r < SOURCE; r++) {
            vf row[SOURCE];
            weight_transform((const vf[]){columns[0][r], columns[1][r], columns[2][r]}, row);
            for (int j = 0; j < SOURCE; j++) v_store_part(u + (r * SOURCE + j) * u_point + c, row[j], n);
        }
    }
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

/* y = A' m */
V_INLINE void result_transform(const vf m[SOURCE], vf y[OUT])
{
    const vf sum_a = m[1] + m[2], odd_a = m[1] - m[2], sum_b = m[3] + m[4], odd_b = m[3] - m[4];
    y[0] = m[0] + sum_a + sum_b;
    y[1] = v_fma(v_set(LS_WINOGRAD_A), odd_a, v_set(LS_WINOGRAD_B) * odd_b);
    y[2] = v_fma(v_set(LS_WINOGRAD_A2), sum_a, v_set(LS_WINOGRAD_B2) * sum_b);
    y[3] = v_fma(v_set(LS_WINOGRAD_A3), odd_a, v_fma(v_set(LS_WINOGRAD_B3), odd_b, m[5]));
}

/* out[i]: the pixels of LS_V / 4 tiles, from vectors of value k of LS_V tiles. */
V_INLINE void join_tiles(const vf k[OUT], vf out[OUT])
{
    const vf a = v_zip_low(k[0], k[2]), b = v_zip_high(k[0], k[2]), c = v_zip_low(k[1], k[3]),
             d = v_zip_high(k[1], k[3]);
    out[0]     = v_zip_low(a, c);
    out[1]     = v_zip_high(a, c);
    out[2]     = v_zip_low(b, d);
    out[3]     = v_zip_high(b, d);
}

/* Transforms one result channel: results[row][4 t + column] for all tiles t. */
static void transform_results(const ls_winograd *p, int64_t tiles, const float *m, int64_t m_point, float *results)
{
    for (int64_t t = 0; t < tiles; t += LS_V) {
        vf columns[SOURCE][OUT];
        UNROLL for (int j = 0; j < SOURCE; j++)
        {
            vf d[SOURCE];
            UNROLL for (int r = 0; r < SOURCE; r++) d[r] = v_load(m + (r * SOURCE + j) * m_point + t);
            result_transform(d, columns[j]);
        }
        UNROLL for (int r = 0; r < OUT; r++)
        {
            vf d[SOURCE], k[OUT], out[OUT];
            UNROLL for (int j = 0; j < SOURCE; j++) d[j] = columns[j][r];
            result_transform(d, k);
            join_tiles(k, out);
            UNROLL for (int i = 0; i < OUT; i++) v_store(results + r * OUT * p->lanes + OUT * t + i * LS_V, out[i]);
        }
    }
}

/* y[i] = x[i] + b, or y[i] += x[i] + b if `add`. */
V_INLINE void store_row(const ls_dtype type, int64_t n, const float *x, vf b, ls_array y, int64_t at, bool add)
{
    V_MAP(n, const vf s = V_GET(x) + b; v_store_part_as(
              type, y.data, at + v_at, add ? v_load_part_as(type, y.data, at + v_at, v_left) + s : s, v_left));
}

/* Writes channel o of a group for rows [first, first + rows) of tiles. */
static void store_results(const ls_winograd *p, const ls_winograd_operands *op, int64_t group, int64_t o, int64_t first,
                          int64_t rows, const float *results)
{
    const vf       bias   = v_set(op->bias ? op->bias[group * p->out + o] : -0.0f); /* -0 keeps the sign of a zero */
    const ls_array y      = op->y;
    const int64_t  height = p->dst_h, width = p->dst_w, row = OUT * p->lanes, tiles = OUT * p->tiles_w;
    int64_t        sample = first / p->tiles_h, h = OUT * (first % p->tiles_h);
    for (int64_t i = 0; i < rows; i++, results += tiles) {
        const int64_t at = ((sample * p->groups + group) * p->out + o) * height + h;
        for (int64_t r = 0; r < ls__min(OUT, height - h); r++) {
            if (y.type == LS_BF16)
                store_row(LS_BF16, width, results + r * row, bias, y, (at + r) * width, op->add);
            else
                store_row(LS_F32, width, results + r * row, bias, y, (at + r) * width, op->add);
        }
        h += OUT;
        if (h >= height) {
            h = 0;
            sample++;
        }
    }
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

/* A block of tiles: some rows of tiles of one group. */
typedef struct block {
    int64_t group, first, rows, tiles;
} block;

static block block_of(const ls_winograd *p, int64_t samples, int64_t i)
{
    const int64_t of_group = ls__ceil_div(samples * p->tiles_h, p->rows), first = i % of_group * p->rows;
    const int64_t rows = ls__min(p->rows, samples * p->tiles_h - first);
    return (block){i / of_group, first, rows, rows * p->tiles_w};
}

/* Stages of a block, for source channel i, position i and result channel i.  v, m: of the thread that owns the block;
 * pixels, results: of the thread that runs the stage. */
typedef struct stages {
    const ls_winograd          *p;
    const ls_winograd_operands *o;
    const buffers              *b;
    float                      *v, *m, *pixels, *results;
} stages;

static void stage_source(const stages *s, const block *k, int64_t i)
{
    ls__winograd_source(s->p, s->o->x, k->group, i, k->first, k->rows, s->pixels, s->v + i * s->p->lanes,
                        s->b->v_point);
}

static void stage_product(const stages *s, const block *k, int64_t i)
{
    const ls_winograd *p = s->p;
    ls__winograd_product(p->out, p->in, k->tiles, s->b->u + i * s->b->u_point + k->group * p->out * p->in, p->in,
                         s->v + i * s->b->v_point, p->lanes, s->m + i * s->b->m_point, false);
}

static void stage_result(const stages *s, const block *k, int64_t i)
{
    transform_results(s->p, k->tiles, s->m + i * s->p->lanes, s->b->m_point, s->results);
    store_results(s->p, s->o, k->group, i, k->first, k->rows, s->results);
}

/* Computes a block with all threads. */
static void run_together(const stages *s, const block *k)
{
#pragma omp for schedule(static)
    for (int64_t i = 0; i < s->p->in; i++) stage_source(s, k, i);
#pragma omp for schedule(static)
    for (int64_t i = 0; i < POINTS; i++) stage_product(s, k, i);
#pragma omp for schedule(static)
    for (int64_t i = 0; i < s->p->out; i++) stage_result(s, k, i);
}

static void run_alone(const stages *s, const block *k)
{
    for (int64_t i = 0; i < s->p->in; i++) stage_source(s, k, i);
    for (int64_t i = 0; i < POINTS; i++) stage_product(s, k, i);
    for (int64_t i = 0; i < s->p->out; i++) stage_result(s, k, i);
}

void ls__winograd_run(ls_winograd *p, int64_t samples, const ls_winograd_operands *o, void *scratch)
{
    ls__winograd_plan(p, most_tiles(p), scratch);
    const buffers b      = take_buffers(p, omp_get_max_threads());
    const int64_t blocks = ls__ceil_div(samples * p->tiles_h, p->rows) * p->groups;
#pragma omp parallel
    {
        const int64_t threads = omp_get_num_threads(), whole = blocks - blocks % threads;
        float *const  own = b.thread + omp_get_thread_num() * b.of_thread;
        stages        s   = {p, o, &b, own, own + POINTS * b.v_point, own + POINTS * (b.v_point + b.m_point), NULL};
        s.results         = s.pixels + b.pixels;
        memset(s.pixels, 0, (size_t)b.pixels * sizeof(float));
#pragma omp for schedule(static)
        for (int64_t i = 0; i < p->groups * p->out; i++)
            transform_weights(p, ls__from(o->w, i / p->out * p->w_group + i % p->out * p->w_out), b.u + i * p->in,
                              b.u_point);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < whole; i++) {
            const block k = block_of(p, samples, i);
            run_alone(&s, &k);
        }
        s.v = b.thread;
        s.m = b.thread + POINTS * b.v_point;
        for (int64_t i = whole; i < blocks; i++) {
            const block k = block_of(p, samples, i);
            run_together(&s, &k);
        }
    }
}

size_t ls__winograd_scratch(ls_winograd *p, int threads)
{
    ls__winograd_plan(p, most_tiles(p), NULL);
    take_buffers(p, threads);
    return p->bytes;
}
