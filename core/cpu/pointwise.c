/* SPDX-License-Identifier: Apache-2.0
 *
 * The points of all samples are cut into blocks.  The values of a block are copied, because planes that are a
 * power of two apart would compete for a few sets of the L1 cache, multiplied, and stored.  The bits of a point do not
 * depend on its place in a block.
 */
#include "core/cpu/pointwise.h"

#include <omp.h>

#include "core/base/integer.h"
#include "core/cpu/winograd/winograd.h"

enum {
    TILE        = 64,     /* points of the widest register tile of ls__winograd_product  */
    MAX_TILES   = 16,     /* tiles of a block, at most                                   */
    THREAD_MOST = 1 << 16 /* values of a block, at most, unless it is a single tile: they stay in the L2 cache */
};

/* Points of a block.  Long rows are read and written faster. */
static int64_t block_points(const ls_pointwise *p)
{
    return TILE * ls__max(1, ls__min(MAX_TILES, THREAD_MOST / ((p->in + p->out) * TILE)));
}

static int64_t thread_floats(const ls_pointwise *p) { return (p->in + p->out) * block_points(p); }

/* y[y_at + i] = x[i] + b, or y[y_at + i] += x[i] + b if `add`. */
V_INLINE void store(const ls_dtype type, int64_t n, const float *x, vf b, void *y, int64_t y_at, bool add)
{
    V_MAP(n, const vf s = V_GET(x) + b;
          v_store_part_as(type, y, y_at + v_at, add ? v_load_part_as(type, y, y_at + v_at, v_left) + s : s, v_left));
}

V_INLINE void load(const ls_dtype type, int64_t n, const void *x, int64_t x_at, float *y)
{
    V_MAP(n, v_store_part(y + v_at, v_load_part_as(type, x, x_at + v_at, v_left), v_left));
}

/* Computes points [first, last) of one group, counted over the samples.  w: packed weights of the group. */
static void run_block(const ls_pointwise *p, int64_t group, int64_t first, int64_t last, const float *w, float *work)
{
    const int64_t row    = block_points(p);
    float        *source = work, *result = work + p->in * row;
    for (int64_t at = first, n; at < last; at += n) {
        const int64_t sample = at / p->points, point = at % p->points;
        n = ls__min(p->points - point, last - at);
        for (int64_t c = 0; c < p->in; c++) {
            const int64_t from = ((sample * p->groups + group) * p->in + c) * p->points + point;
            float        *to   = source + c * row + at - first;
            if (p->x.type == LS_BF16)
                load(LS_BF16, n, p->x.data, from, to);
            else
                load(LS_F32, n, p->x.data, from, to);
        }
    }
    ls__winograd_product(p->out, p->in, last - first, w, p->in, source, row, result, false);
    for (int64_t at = first, n; at < last; at += n) {
        const int64_t sample = at / p->points, point = at % p->points;
        n = ls__min(p->points - point, last - at);
        for (int64_t o = 0; o < p->out; o++) {
            const vf      bias = v_set(p->bias ? p->bias[group * p->out + o] : -0.0f); /* -0 keeps the sign of a zero */
            const int64_t to   = ((sample * p->groups + group) * p->out + o) * p->points + point;
            if (p->y.type == LS_BF16)
                store(LS_BF16, n, result + o * row + at - first, bias, p->y.data, to, p->add);
            else
                store(LS_F32, n, result + o * row + at - first, bias, p->y.data, to, p->add);
        }
    }
}

void ls__pointwise_run(const ls_pointwise *p, int64_t samples, float *scratch)
{
    const int64_t weights = p->out * p->in, points = block_points(p);
    const int64_t of_group = ls__ceil_div(samples * p->points, points);
    float *const  packed   = scratch + (int64_t)omp_get_max_threads() * thread_floats(p);
#pragma omp parallel
    {
        float *work = scratch + omp_get_thread_num() * thread_floats(p);
        for (int64_t i = 0; i < thread_floats(p); i += LS_V) v_store(work + i, v_set(0));
#pragma omp for schedule(static)
        for (int64_t i = 0; i < p->groups * p->out; i++)
            for (int64_t c = 0; c < p->in; c++) {
                const int64_t from = i / p->out * p->w_group + i % p->out * p->w_out + c * p->w_in;
                packed[i * p->in + c] =
                    p->w.type == LS_BF16 ? v_load_1_as(LS_BF16, p->w.data, from) : ((const float *)p->w.data)[from];
            }
#pragma omp for schedule(static)
        for (int64_t i = 0; i < p->groups * of_group; i++) {
            const int64_t group = i / of_group, first = i % of_group * points;
            run_block(p, group, first, ls__min(first + points, samples * p->points), packed + group * weights, work);
        }
    }
}

size_t ls__pointwise_scratch(const ls_pointwise *p, int threads)
{
    return (size_t)(threads * thread_floats(p) + p->groups * p->out * p->in) * sizeof(float);
}
