/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotary positional embedding (Su 2021).      x: B x T x (H D)   start: B of int32 or none   ->  y: B x T x (H D)
 *
 * Rotates each pair of the first C elements (`columns`) of the first `rotate` heads of row t by an angle proportional
 * to the position n = start + t, and copies the other elements.  Scores of rotated queries and keys then depend on the
 * distance of their positions alone.
 *
 * Forward     y1 = m (x1 cos(n g_i) - x2 sin(n g_i))
 *             y2 = m (x2 cos(n g_i) + x1 sin(n g_i))       f_i = base^(-2 i / C),  i < C/2
 *             Pair i is (x[i], x[i + C/2]), as in Hugging Face's Llama; with `interleaved` it is (x[2 i], x[2 i + 1]),
 *             as in the paper.
 * Backward    rotates dy by the angles of -n, times m
 *
 * The scaling makes g_i of f_i for a context `factor` times as long as the original one, N positions.  A share k_i of
 * the frequency is divided by factor:  g_i = k_i f_i / factor + (1 - k_i) f_i
 *
 *     none       k_i = 0
 *     linear     k_i = 1                                                              (Chen 2023)
 *     llama3     k_i = (high - r_i) / (high - low) in [0, 1]                          (Llama 3.1, 2024)
 *     yarn       k_i = (i - a) / (b - a) in [0, 1];  r_a = high, r_b = low,           (Peng 2023)
 *                a rounded down and b up, both limited to [0, C - 1]
 *
 * Pair i rotates r_i = N f_i / (2 pi) times in N positions.
 * m = 1, but 0.1 log(factor) + 1 for yarn.
 */
#include <omp.h>

#include "core/cpu/vector/sincos.h"
#include "core/cpu/vector/elementwise.h"
#include "core/cpu/shard_sum.h"
#include "core/ops/infer.h"

enum { PAIRS = 128 }; /* pairs of a tile */

static ls_status infer_scaling(const ls_node *n, ls_rotary_args *a)
{
    const char *name = ls__rope_names[a->scaling];
    if (a->scaling == LS_ROPE_NONE) {
        LS_NODE_CHECK(n, a->factor == 0 && a->original == 0 && a->low == 0 && a->high == 0,
                      "factor, original, low or high is set without a scaling" LS_HINT
                      "set scaling to linear, llama3 or yarn");
        return LS_OK;
    }
    LS_NODE_CHECK(n, a->factor >= 1, "factor is %g, expected at least 1 with %s scaling", (double)a->factor, name);
    if (a->scaling == LS_ROPE_LINEAR) return LS_OK;
    if (a->low == 0) a->low = 1;
    if (a->high == 0) a->high = a->scaling == LS_ROPE_YARN ? 32 : 4;
    LS_NODE_CHECK(n, a->original >= 1, "original is %lld, expected the original number of positions with %s scaling",
                  (long long)a->original, name);
    LS_NODE_CHECK(n, a->low > 0 && a->low < a->high, "low is %g and high is %g, expected 0 < low < high",
                  (double)a->low, (double)a->high);
    LS_NODE_CHECK(n, a->scaling != LS_ROPE_YARN || a->base > 1, "base is 1, expected more with yarn scaling");
    return LS_OK;
}

static ls_status infer(ls_node *n)
{
    ls_rotary_args  *a = n->args;
    const ls_tensor *x = n->in[0];
    if (a->heads == 0) a->heads = 1;
    if (a->rotate == 0) a->rotate = a->heads;
    if (a->base == 0) a->base = 10000;
    LS_TRY(ls__expect_samples(n, 0));
    LS_TRY(ls__expect_start(n, 1));
    LS_NODE_CHECK(n, x->rank == 2, "input '%s' is %s, expected B x T x (heads D)", x->name, ls__shape(x));
    LS_NODE_CHECK(n, a->heads >= 1 && x->dim[1] % (2 * (int64_t)a->heads) == 0,
                  "input '%s' is %s, expected rows of %d heads of an even length", x->name, ls__shape(x), a->heads);
    LS_NODE_CHECK(n, a->rotate >= 1 && a->rotate <= a->heads, "rotate is %d, expected 1 to %d heads", a->rotate,
                  a->heads);
    LS_NODE_CHECK(n, a->base >= 1, "base is %g, expected at least 1", (double)a->base);
    const int64_t d = x->dim[1] / a->heads;
    if (a->columns == 0) a->columns = (int)d;
    LS_NODE_CHECK(n, a->columns >= 2 && a->columns <= d && a->columns % 2 == 0,
                  "columns is %d, expected an even number of at most %lld", a->columns, (long long)d);
    LS_TRY(infer_scaling(n, a));
    ls__out_like(n, 0, x);
    return LS_OK;
}

/* Rotates n pairs (x1[i], x2[i]); y1 and y2 may be x1 and x2. */
static void rotate_halves(int64_t n, const float *x1, const float *x2, const float *sine, const float *cosine,
                          float *y1, float *y2, bool add)
{
    if (add)
        V_MAP(n, vf p = V_GET(x1), q = V_GET(x2), s = V_GET(sine), c = V_GET(cosine);
              V_PUT(y1, V_GET(y1) + (p * c - q * s)); V_PUT(y2, V_GET(y2) + (q * c + p * s)));
    else
        V_MAP(n, vf p = V_GET(x1), q = V_GET(x2), s = V_GET(sine), c = V_GET(cosine); V_PUT(y1, p * c - q * s);
              V_PUT(y2, q * c + p * s));
}

/* Rotates n / 2 pairs of neighbours (x[2 i], x[2 i + 1]).  Each cosine is stored twice, each sine as -sine, sine. */
static void rotate_neighbours(int64_t n, const float *x, const float *sine, const float *cosine, float *y, bool add)
{
    if (add)
        V_MAP(n, vf p = V_GET(x); V_PUT(y, V_GET(y) + (p * V_GET(cosine) + v_swap(p) * V_GET(sine))));
    else
        V_MAP(n, vf p = V_GET(x); V_PUT(y, p * V_GET(cosine) + v_swap(p) * V_GET(sine)));
}

/* Duplicates n sines and cosines in place, as rotate_neighbours reads them. */
static void duplicate_angles(int64_t n, float *sine, float *cosine)
{
    for (int64_t i = (n - 1) / LS_V * LS_V; i >= 0; i -= LS_V) {
        vf s = v_load(sine + i), c = v_load(cosine + i);
        v_store(sine + 2 * i, v_zip_low(-s, s));
        v_store(sine + 2 * i + LS_V, v_zip_high(-s, s));
        v_store(cosine + 2 * i, v_zip_low(c, c));
        v_store(cosine + 2 * i + LS_V, v_zip_high(c, c));
    }
}

/* Shares k_i of the frequencies that are divided by the factor: k_i = from + slope * (i for yarn, f_i for llama3),
 * limited to [0, 1]. */
typedef struct ramp {
    double from, slope;
} ramp;

/* The index i at which a pair rotates `rotations` times in the original context. */
static double index_of(const ls_rotary_args *a, double rotations)
{
    return a->columns * ls__angle_log((double)a->original / rotations * LS_RADIAN) /
           (2 * ls__angle_log((double)a->base));
}

static ramp ramp_of(const ls_rotary_args *a)
{
    if (a->scaling == LS_ROPE_NONE) return (ramp){0};
    if (a->scaling == LS_ROPE_LINEAR) return (ramp){.from = 1};
    const double low = (double)a->low, high = (double)a->high;
    if (a->scaling == LS_ROPE_LLAMA3)
        return (ramp){.from = high / (high - low), .slope = -(double)a->original / (high - low)};
    double first = floor(index_of(a, high)), last = ceil(index_of(a, low));
    if (first < 0) first = 0;
    if (last > a->columns - 1) last = a->columns - 1;
    if (first == last) last += 0.001;
    return (ramp){.from = -first / (last - first), .slope = 1 / (last - first)};
}

/* step[i] = g_i, as ls__angle_step. */
static void angle_steps(const ls_rotary_args *a, uint64_t *step)
{
    const ramp   k     = ramp_of(a);
    const double ratio = ls__angle_ratio((double)a->base, a->columns);
    double       turns = LS_RADIAN;
    for (int i = 0; i < a->columns / 2; i++, turns *= ratio) {
        double share = k.from + k.slope * (a->scaling == LS_ROPE_YARN ? i : turns);
        share        = share < 0 ? 0 : share > 1 ? 1 : share;
        step[i]      = ls__angle_step(share == 0 ? turns : turns * (1 - share) + turns / (double)a->factor * share);
    }
}

/* The factor m of sines and cosines. */
static float magnitude_of(const ls_rotary_args *a)
{
    return a->scaling == LS_ROPE_YARN ? (float)(0.1 * ls__angle_log((double)a->factor) + 1) : 1;
}

/* Copies n values that are not rotated, or adds them. */
static void pass(int64_t n, const float *x, float *y, bool add)
{
    if (add)
        ls__add_into(n, x, y);
    else if (x != y)
        memcpy(y, x, (size_t)n * sizeof *y);
}

/* Rotates one row.  All heads have the same angles. */
static void rotate_row(const ls_rotary_args *a, int64_t d, int64_t position, const uint64_t *step, const float *x,
                       float *y, bool add)
{
    float         sine[2 * PAIRS + 2 * LS_V], cosine[2 * PAIRS + 2 * LS_V];
    const int64_t columns   = a->columns;
    const float   magnitude = magnitude_of(a);
    for (int64_t first = 0; first < columns / 2; first += PAIRS) {
        int64_t n = columns / 2 - first < PAIRS ? columns / 2 - first : PAIRS;
        ls__angles(position, n, step + first, sine, cosine);
        if (magnitude != 1) V_MAP(n, V_PUT(sine, V_GET(sine) * magnitude); V_PUT(cosine, V_GET(cosine) * magnitude));
        if (a->interleaved) duplicate_angles(n, sine, cosine);
        for (int64_t h = 0; h < a->rotate; h++) {
            int64_t at = h * d + first;
            if (a->interleaved)
                rotate_neighbours(2 * n, x + at + first, sine, cosine, y + at + first, add);
            else
                rotate_halves(n, x + at, x + at + columns / 2, sine, cosine, y + at, y + at + columns / 2, add);
        }
    }
    for (int64_t h = 0; columns < d && h < a->rotate; h++)
        pass(d - columns, x + h * d + columns, y + h * d + columns, add);
    pass((a->heads - a->rotate) * d, x + a->rotate * d, y + a->rotate * d, add);
}

/* Rotates x to y for all samples; sign -1 inverts the rotation. */
static void rotate(const ls_call *c, int sign, ls_array x, ls_array y, bool add)
{
    const ls_rotary_args *a     = c->args;
    const int64_t         times = c->node->in[0]->dim[0], cols = c->node->in[0]->dim[1], d = cols / a->heads;
    const int32_t        *start   = c->x[1];
    float                *buffers = (float *)((uint64_t *)c->scratch + d / 2);
    angle_steps(a, c->scratch);
#pragma omp parallel for schedule(static) if (c->rows * times * cols >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < c->rows * times; k++) {
        const int64_t position = (start ? start[k / times] : 0) + k % times;
        float        *buffer   = buffers + omp_get_thread_num() * 2 * cols; /* used if x is bfloat16 */
        float        *to       = ls__write_begin(y, k * cols, cols, buffer, add);
        rotate_row(a, d, sign * position, c->scratch, ls__read(x, k * cols, cols, buffer + cols), to, add);
        ls__write_end(y, k * cols, cols, to);
    }
}

static void forward(const ls_call *c) { rotate(c, 1, ls__x(c, 0), ls__y(c, 0), false); }

static void backward(const ls_call *c) { rotate(c, -1, ls__dy(c, 0), ls__dx(c, 0), c->add[0]); }

/* Workspace: the angle steps; for bfloat16, two float32 rows for each thread. */
static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    const size_t cols = (size_t)n->in[0]->dim[1], heads = (size_t)((const ls_rotary_args *)n->args)->heads;
    (void)rows;
    (void)shards;
    (void)backward;
    return cols / heads / 2 * sizeof(uint64_t) +
           (n->in[0]->type == LS_BF16 ? (size_t)threads * 2 * cols * sizeof(float) : 0);
}

static double flops(const ls_node *n) { return 3.0 * (double)ls__numel(n->in[0]); }

LS_OP(rotary) = {
    .name             = "rotary",
    .args_bytes       = sizeof(ls_rotary_args),
    .ins              = 2,
    .outs             = 1,
    .optional         = 1u << 1,
    .saves            = LS_SAVES_IN(1),
    .no_grad          = 1u << 1,
    .either           = 1u << 0,
    .inplace          = true,
    .inplace_backward = true,
    .fields           = LS_FIELDS(LS_FIELD(INT, ls_rotary_args, heads), LS_FIELD(INT, ls_rotary_args, rotate),
                                  LS_FIELD(FLOAT, ls_rotary_args, base), LS_FIELD(BOOL, ls_rotary_args, interleaved),
                                  LS_FIELD(INT, ls_rotary_args, columns), LS_FIELD(FLOAT, ls_rotary_args, factor),
                                  LS_FIELD(FLOAT, ls_rotary_args, low), LS_FIELD(FLOAT, ls_rotary_args, high),
                                  LS_FIELD(INT64, ls_rotary_args, original),
                                  LS_FIELD_OF(ls__rope_names, ls_rotary_args, scaling)),
    .infer            = infer,
    .forward          = {[LS_CPU] = forward},
    .backward         = {[LS_CPU] = backward},
    .scratch          = scratch,
    .flops            = flops,
};
