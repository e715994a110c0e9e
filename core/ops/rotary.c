/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotary positional embedding (Su 2021).      x: B x T x (H D)   start: B of int32 or none   ->  y: B x T x (H D)
 *
 * Rotates each pair of elements of the first `rotate` heads of row t by an angle proportional to the position
 * n = start + t, and copies the other heads.  Scores of rotated queries and keys then depend on the distance of their
 * positions alone.
 *
 * Forward     y1 = x1 cos(n f_i) - x2 sin(n f_i)
 *             y2 = x2 cos(n f_i) + x1 sin(n f_i)       f_i = base^(-2 i / D),  i < D/2
 *             Pair i is (x[i], x[i + D/2]), as in Hugging Face's Llama; with `interleaved` it is (x[2 i], x[2 i + 1]),
 *             as in the paper.
 * Backward    rotates dy by the angles of -n
 */
#include <omp.h>

#include "core/cpu/vector/sincos.h"
#include "core/cpu/vector/elementwise.h"
#include "core/cpu/shard_sum.h"
#include "core/ops/infer.h"

enum { PAIRS = 128 }; /* pairs of a tile */

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

/* Rotates one row.  All heads have the same angles. */
static void rotate_row(const ls_rotary_args *a, int64_t d, int64_t position, const uint64_t *step, const float *x,
                       float *y, bool add)
{
    float sine[2 * PAIRS + 2 * LS_V], cosine[2 * PAIRS + 2 * LS_V];
    for (int64_t first = 0; first < d / 2; first += PAIRS) {
        int64_t n = d / 2 - first < PAIRS ? d / 2 - first : PAIRS;
        ls__angles(position, n, step + first, sine, cosine);
        if (a->interleaved) duplicate_angles(n, sine, cosine);
        for (int64_t h = 0; h < a->rotate; h++) {
            int64_t at = h * d + first;
            if (a->interleaved)
                rotate_neighbours(2 * n, x + at + first, sine, cosine, y + at + first, add);
            else
                rotate_halves(n, x + at, x + at + d / 2, sine, cosine, y + at, y + at + d / 2, add);
        }
    }
    const int64_t done = a->rotate * d, left = (a->heads - a->rotate) * d;
    if (add)
        ls__add_into(left, x + done, y + done);
    else if (x != y)
        memcpy(y + done, x + done, (size_t)left * sizeof *y);
}

/* Rotates x to y for all samples; sign -1 inverts the rotation. */
static void rotate(const ls_call *c, int sign, ls_array x, ls_array y, bool add)
{
    const ls_rotary_args *a     = c->args;
    const int64_t         times = c->node->in[0]->dim[0], cols = c->node->in[0]->dim[1], d = cols / a->heads;
    const int32_t        *start   = c->x[1];
    float                *buffers = (float *)((uint64_t *)c->scratch + d / 2);
    ls__angle_steps((double)a->base, d, d / 2, c->scratch);
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
                                  LS_FIELD(FLOAT, ls_rotary_args, base), LS_FIELD(BOOL, ls_rotary_args, interleaved)),
    .infer            = infer,
    .forward          = {[LS_CPU] = forward},
    .backward         = {[LS_CPU] = backward},
    .scratch          = scratch,
    .flops            = flops,
};
