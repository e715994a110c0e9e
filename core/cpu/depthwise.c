/* SPDX-License-Identifier: Apache-2.0
 *
 * Depthwise convolutions (depthwise.h): plan, copies between planes and parts, sums over taps, weight gradients.
 *
 * Loops over arrays that may be bfloat16 are compiled once for each type: `type` is a constant where they are inlined.
 */
#include "core/cpu/depthwise.h"

#include <omp.h>
#include <string.h>

#include "core/base/integer.h"

enum {
    VECTORS = 8,                     /* vectors of results of a register tile                                     */
    AHEAD   = 8192,                  /* bytes of the next plane that are prefetched, at most                          */
    SLACK   = 2 * VECTORS * V_LANES, /* floats that vectors access behind the last element of a plane             */
    TAPS    = LS_V >= 16 ? 9 : 5     /* taps of a register tile of the weight gradient                            */
};

#define UNROLL _Pragma("GCC unroll 16")

/* ---- plan -------------------------------------------------------------------------------------------------------- */

/* One residue along one dim. */
typedef struct residue {
    int64_t first, count; /* results: position of the first one, and their number */
    int64_t origin;       /* position in a part under the first result, plus `lo` */
} residue;

/* A direction along one dim. */
typedef struct axis {
    int64_t src, dst, lo, parts, length, step, dilation;
    bool    back;
    residue of[LS_DEPTHWISE_STRIDE]; /* by position of the first result */
} axis;

/* Whether tap k belongs to the results of residue r, by position of the first result. */
static bool has_tap(const axis *a, const ls_depthwise_dim *d, int64_t r, int64_t k)
{
    return !a->back || (a->of[r].first + d->before - k * a->dilation) % a->step == 0;
}

/* Part of tap k, and its place in the part under the first result of residue r. */
static int64_t part_of(const axis *a, int64_t k) { return a->back ? 0 : k * a->dilation % a->parts; }
static int64_t place_of(const axis *a, int64_t r, int64_t k)
{
    return a->back ? a->of[r].origin - k * a->dilation / a->step - a->lo : k * a->dilation / a->parts;
}

static axis axis_of(const ls_depthwise_dim *d, bool back)
{
    const int64_t reach = d->dilation * (d->kernel - 1);
    axis          a     = {.src      = back ? d->out : d->in,
                           .dst      = back ? d->in : d->out,
                           .parts    = back ? 1 : d->stride,
                           .step     = back ? d->stride : 1,
                           .dilation = d->dilation,
                           .back     = back};
    if (!back) {
        a.lo     = -d->before;
        a.length = d->out + reach / d->stride;
        a.of[0]  = (residue){.count = d->out};
        return a;
    }
    int64_t end = 0;
    a.lo        = INT64_MAX;
    for (int64_t r = 0; r < a.step; r++) {
        residue *of = &a.of[r];
        *of         = (residue){r, r < d->in ? (d->in - 1 - r) / a.step + 1 : 0, (r + d->before) / a.step};
        a.lo        = ls__min(a.lo, of->origin - reach / a.step);
        end         = ls__max(end, of->origin + of->count);
    }
    a.length = end - a.lo;
    return a;
}

bool ls__depthwise_plan(ls_depthwise *p, const ls_depthwise_dim *h, const ls_depthwise_dim *w, int64_t channels,
                        bool back)
{
    if (h->kernel * w->kernel > LS_DEPTHWISE_TAPS || ls__max(h->stride, w->stride) > LS_DEPTHWISE_STRIDE) return false;
    const axis a = axis_of(h, back), b = axis_of(w, back);
    *p = (ls_depthwise){.channels = channels,
                        .taps     = h->kernel * w->kernel,
                        .src_h    = a.src,
                        .src_w    = b.src,
                        .dst_h    = a.dst,
                        .dst_w    = b.dst,
                        .lo_h     = a.lo,
                        .lo_w     = b.lo,
                        .parts_h  = a.parts,
                        .parts_w  = b.parts,
                        .rows     = a.length,
                        .pitch    = b.length,
                        .step_h   = a.step,
                        .step_w   = b.step};
    for (int64_t r = 0; r < a.step; r++)
        for (int64_t c = 0; c < b.step; c++) {
            ls_depthwise_pass *q = &p->pass[p->passes++];
            q->rows              = a.of[r].count;
            q->cols              = b.of[c].count;
            q->row               = a.of[r].first;
            q->col               = b.of[c].first;
            for (int64_t i = 0; i < h->kernel; i++)
                for (int64_t j = 0; j < w->kernel; j++) {
                    if (!has_tap(&a, h, r, i) || !has_tap(&b, w, c, j)) continue;
                    const int64_t part = part_of(&a, i) * p->parts_w + part_of(&b, j);
                    q->offset[q->taps] =
                        (int32_t)((part * p->rows + place_of(&a, r, i)) * p->pitch + place_of(&b, c, j));
                    q->weight[q->taps++] = (int32_t)(i * w->kernel + j);
                }
        }
    return true;
}

/* Floats of the parts of a plane, and of the results of a pass. */
static int64_t source_floats(const ls_depthwise *p)
{
    return ls__round_up(p->parts_h * p->parts_w * p->rows * p->pitch + SLACK, V_LANES);
}

static int64_t result_floats(const ls_depthwise *p)
{
    int64_t rows = 0;
    for (int i = 0; i < p->passes; i++) rows = ls__max(rows, p->pass[i].rows);
    return ls__round_up(rows * p->pitch + SLACK, V_LANES);
}

/* ---- copies ------------------------------------------------------------------------------------------------------ */

/* The elements with even (v_even) or odd (v_odd) position of x followed by y. */
#if defined(__AVX512F__)
#define v_even(x, y) __builtin_shufflevector((x), (y), 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define v_odd(x, y) __builtin_shufflevector((x), (y), 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#elif defined(__AVX2__)
#define v_even(x, y) __builtin_shufflevector((x), (y), 0, 2, 4, 6, 8, 10, 12, 14)
#define v_odd(x, y) __builtin_shufflevector((x), (y), 1, 3, 5, 7, 9, 11, 13, 15)
#else
#define v_even(x, y) __builtin_shufflevector((x), (y), 0, 2, 4, 6)
#define v_odd(x, y) __builtin_shufflevector((x), (y), 1, 3, 5, 7)
#endif

/* The number of values of a vector that begins at i, of n values. */
V_INLINE int64_t part_from(int64_t n, int64_t i) { return ls__max(0, ls__min(LS_V, n - i)); }

/* Copies elements x[at], x[at + 1], ... to y. */
V_INLINE void copy_row(const ls_dtype type, int64_t n, const void *x, int64_t at, float *y)
{
    V_MAP(n, V_PUT(y, v_load_part_as(type, x, at + v_at, v_left)));
}

/* Copies n elements from x[at] on: the first, third, ... to even, the others to odd. */
V_INLINE void split_row(const ls_dtype type, int64_t n, const void *x, int64_t at, float *even, float *odd)
{
    for (int64_t i = 0; 2 * i < n; i += LS_V) {
        const int64_t from = 2 * i, next = from + LS_V;
        const vf      a = v_load_part_as(type, x, at + from, part_from(n, from)),
                 b      = v_load_part_as(type, x, at + next, part_from(n, next));
        v_store_part(even + i, v_even(a, b), part_from((n + 1) / 2, i));
        v_store_part(odd + i, v_odd(a, b), part_from(n / 2, i));
    }
}

/* Copies a plane, which begins at x[at], to its parts.  The padding is left as it is: zero. */
V_INLINE void fill_as(const ls_dtype type, const int64_t parts_h, const int64_t parts_w, const ls_depthwise *p,
                      const void *x, int64_t at, float *parts)
{
    const int64_t top = ls__max(0, p->lo_h), bottom = ls__min(p->src_h, p->lo_h + parts_h * p->rows);
    const int64_t left = ls__max(0, p->lo_w), n = ls__min(p->src_w, p->lo_w + parts_w * p->pitch) - left;
    const int64_t col = left - p->lo_w, size = p->rows * p->pitch;
    const int64_t even = col % parts_w * size + col / parts_w, odd = (col + 1) % parts_w * size + (col + 1) / parts_w;
    for (int64_t h = top; h < bottom; h++) {
        const int64_t row = h - p->lo_h;
        float        *to  = parts + row % parts_h * parts_w * size + row / parts_h * p->pitch;
        if (parts_w == 1)
            copy_row(type, n, x, at + h * p->src_w + left, to + even);
        else
            split_row(type, n, x, at + h * p->src_w + left, to + even, to + odd);
    }
}

V_INLINE void fill_type(const ls_dtype type, const ls_depthwise *p, const void *x, int64_t at, float *parts)
{
    if (p->parts_h == 1 && p->parts_w == 1)
        fill_as(type, 1, 1, p, x, at, parts);
    else if (p->parts_h == 1)
        fill_as(type, 1, 2, p, x, at, parts);
    else if (p->parts_w == 1)
        fill_as(type, 2, 1, p, x, at, parts);
    else
        fill_as(type, 2, 2, p, x, at, parts);
}

static void fill(const ls_depthwise *p, ls_array x, int64_t at, float *parts)
{
    if (x.type == LS_BF16)
        fill_type(LS_BF16, p, x.data, at, parts);
    else
        fill_type(LS_F32, p, x.data, at, parts);
}

/* Prefetches the elements [at, at + n) of x, which need not exist. */
static void prefetch(ls_array x, int64_t at, int64_t n)
{
    const char *from = ls__from(x, at).data;
    for (int64_t i = 0; i < ls__min(AHEAD, n * (int64_t)ls__array_bytes(x.type)); i += 64) v_prefetch(from + i);
}

/* Writes n values to y[at], y[at + 1], ..., or adds them. */
V_INLINE void store(const ls_dtype type, vf value, int64_t n, void *y, int64_t at, bool add)
{
    v_store_part_as(type, y, at, add ? v_load_part_as(type, y, at, n) + value : value, n);
}

/* Writes the results of the passes of one row residue to a plane, which begins at y[at].  The results of the second
 * column residue are `size` floats behind those of the first. */
V_INLINE void store_as(const ls_dtype type, const ls_depthwise *p, const ls_depthwise_pass *q, const float *result,
                       int64_t size, void *y, int64_t at, bool add)
{
    const int64_t n = p->dst_w;
    for (int64_t r = 0; r < q->rows; r++) {
        const float  *from = result + r * p->pitch;
        const int64_t to   = at + (q->row + r * p->step_h) * n;
        if (p->step_w == 1)
            V_MAP(n, store(type, V_GET(from), v_left, y, to + v_at, add));
        else
            for (int64_t i = 0; 2 * i < n; i += LS_V) {
                const vf even = v_load(from + i), odd = v_load(from + size + i);
                store(type, v_zip_low(even, odd), part_from(n, 2 * i), y, to + 2 * i, add);
                store(type, v_zip_high(even, odd), part_from(n, 2 * i + LS_V), y, to + 2 * i + LS_V, add);
            }
    }
}

/* ---- y and dx ---------------------------------------------------------------------------------------------------- */

/* LS_V * n results from `to` on. */
V_INLINE void results(const int n, const ls_depthwise_pass *q, const float *w, float bias, const float *source,
                      float *to)
{
    vf sum[VECTORS];
    UNROLL for (int v = 0; v < n; v++) sum[v] = v_set(bias);
    for (int k = 0; k < q->taps; k++) {
        const float *from                         = source + q->offset[k];
        const vf     factor                       = v_set(w[k]);
        UNROLL for (int v = 0; v < n; v++) sum[v] = v_fma(factor, v_load(from + v * LS_V), sum[v]);
    }
    UNROLL for (int v = 0; v < n; v++) v_store(to + v * LS_V, sum[v]);
}

/* All results of a pass.  w: by tap of the pass. */
static void run_pass(const ls_depthwise *p, const ls_depthwise_pass *q, const float *w, float bias, const float *source,
                     float *to)
{
    const int64_t n = q->rows > 0 && q->cols > 0 ? (q->rows - 1) * p->pitch + q->cols : 0;
    int64_t       i = 0;
    for (; i + (VECTORS - 1) * LS_V < n; i += VECTORS * LS_V) results(VECTORS, q, w, bias, source + i, to + i);
    for (; i + 2 * LS_V < n; i += 4 * LS_V) results(4, q, w, bias, source + i, to + i);
    for (; i < n; i += LS_V) results(1, q, w, bias, source + i, to + i);
}

static void run_plane(const ls_depthwise *p, const ls_depthwise_operands *o, int64_t plane, float *source,
                      float *result)
{
    const int64_t channel = plane % p->channels, size = result_floats(p), at = plane * p->dst_h * p->dst_w;
    fill(p, o->x, plane * p->src_h * p->src_w, source);
    for (int i = 0; i < p->passes; i++) {
        const ls_depthwise_pass *q   = &p->pass[i];
        const int64_t            col = i % p->step_w;
        float                    w[LS_DEPTHWISE_TAPS];
        for (int k = 0; k < q->taps; k++) {
            const int64_t from = channel * p->taps + q->weight[k];
            w[k] = o->w.type == LS_BF16 ? v_load_1_as(LS_BF16, o->w.data, from) : ((const float *)o->w.data)[from];
        }
        run_pass(p, q, w, o->bias ? o->bias[channel] : 0, source, result + col * size);
        if (col < p->step_w - 1) continue;
        if (o->y.type == LS_BF16)
            store_as(LS_BF16, p, q, result, size, o->y.data, at, o->add);
        else
            store_as(LS_F32, p, q, result, size, o->y.data, at, o->add);
    }
}

static int64_t thread_floats(const ls_depthwise *p) { return source_floats(p) + p->step_w * result_floats(p); }

void ls__depthwise_run(const ls_depthwise *p, int64_t samples, const ls_depthwise_operands *o, float *scratch)
{
#pragma omp parallel
    {
        float *source = scratch + omp_get_thread_num() * thread_floats(p), *result = source + source_floats(p);
        memset(source, 0, (size_t)source_floats(p) * sizeof(float));
#pragma omp for schedule(static)
        for (int64_t i = 0; i < samples * p->channels; i++) run_plane(p, o, i, source, result);
    }
}

size_t ls__depthwise_scratch(const ls_depthwise *p, int threads)
{
    return (size_t)threads * (size_t)thread_floats(p) * sizeof(float);
}

/* ---- the gradient of the weights --------------------------------------------------------------------------------- */

/* Adds the products of n results and m taps to V_LANES partial sums of each tap. */
V_INLINE void add_taps(const int m, int64_t n, const float *dy, const float *source, const int32_t *offset, float *sums)
{
    enum { CHAIN = V_CHAINS(1) };
    vf           sum[TAPS][CHAIN];
    const float *from[TAPS];
    UNROLL for (int k = 0; k < m; k++)
    {
        from[k]                                          = source + offset[k];
        UNROLL for (int v = 0; v < CHAIN; v++) sum[k][v] = v_load(sums + k * V_LANES + v * LS_V);
    }
    for (int64_t i = 0; i < n; i += V_LANES) UNROLL for (int v = 0; v < CHAIN; v++)
        {
            const vf d                                   = v_load(dy + i + v * LS_V);
            UNROLL for (int k = 0; k < m; k++) sum[k][v] = v_fma(d, v_load(from[k] + i + v * LS_V), sum[k][v]);
        }
    UNROLL for (int k = 0; k < m; k++) UNROLL for (int v = 0; v < CHAIN; v++)
        v_store(sums + k * V_LANES + v * LS_V, sum[k][v]);
}

typedef void taps_fn(int64_t n, const float *dy, const float *source, const int32_t *offset, float *sums);
#define TAPS_LIST(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9)
#define X(m)                                                                                                           \
    static void taps_##m(int64_t n, const float *dy, const float *source, const int32_t *offset, float *sums)          \
    {                                                                                                                  \
        add_taps(m <= TAPS ? m : TAPS, n, dy, source, offset, sums);                                                   \
    }
TAPS_LIST(X)
#undef X
#define X(m) [m] = taps_##m,
static taps_fn *const taps_table[] = {TAPS_LIST(X)};
#undef X

int64_t ls__depthwise_weights_work(const ls_depthwise *p)
{
    return source_floats(p) + result_floats(p) + (p->taps + 1) * V_LANES;
}

/* Adds the V_LANES partial sums of a value. */
static float total(float *lane)
{
    for (int half = V_LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}

void ls__depthwise_weights(const ls_depthwise *p, ls_array x, ls_array dy, int64_t channel, int64_t first, int64_t last,
                           float *dw, float *db, float *work)
{
    const ls_depthwise_pass *q      = &p->pass[0];
    const int                tiles  = (q->taps + TAPS - 1) / TAPS;
    const int64_t            n      = (q->rows - 1) * p->pitch + q->cols;
    float                   *source = work, *grad = source + source_floats(p), *sums = grad + result_floats(p);
    memset(sums, 0, (size_t)(p->taps + 1) * V_LANES * sizeof *sums);
    for (int64_t b = first; b < last; b++) {
        const int64_t plane = b * p->channels + channel, next = plane + p->channels;
        prefetch(x, next * p->src_h * p->src_w, p->src_h * p->src_w);
        prefetch(dy, next * q->rows * q->cols, q->rows * q->cols);
        fill(p, x, plane * p->src_h * p->src_w, source);
        for (int64_t r = 0; r < q->rows; r++) {
            const int64_t at = (plane * q->rows + r) * q->cols;
            if (dy.type == LS_BF16)
                copy_row(LS_BF16, q->cols, dy.data, at, grad + r * p->pitch);
            else
                copy_row(LS_F32, q->cols, dy.data, at, grad + r * p->pitch);
        }
        for (int t = 0; t < tiles; t++) {
            const int from = q->taps * t / tiles, to = q->taps * (t + 1) / tiles;
            taps_table[to - from](n, grad, source, q->offset + from, sums + from * V_LANES);
        }
        float *lane = sums + q->taps * V_LANES;
        for (int64_t i = 0; db && i < n; i += V_LANES)
            for (int v = 0; v < V_LANES; v += LS_V) v_store(lane + v, v_load(lane + v) + v_load(grad + i + v));
    }
    for (int k = 0; k < q->taps; k++) dw[q->weight[k]] = total(sums + k * V_LANES);
    if (db) *db = total(sums + q->taps * V_LANES);
}
