/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotary positions (Su 2021).      x: B x T x (H D)   start: B of int32 or none   ->  y: B x T x (H D)
 *
 * Each of the first `rotate` heads of row t is turned, pair by pair, by angles that grow with the position n = start +
 * t:
 *
 * Forward     y1 = x1 cos(n f_i) - x2 sin(n f_i)
 *             y2 = x2 cos(n f_i) + x1 sin(n f_i)       f_i = base^(-2 i / D),  i < D/2
 *             The pair i is (x[i], x[i + D/2]), as in Hugging Face's Llama; interleaved: (x[2 i], x[2 i + 1]), as in
 * the paper. Backward    dx: the same with -n
 *
 * The other heads are copied.  So the scores of rotated queries and keys depend on the distance of their positions
 * alone.
 */
#include "core/cpu/vector/sincos.h"
#include "core/cpu/vector/elementwise.h"
#include "core/cpu/shard_sum.h"
#include "core/ops/infer.h"

enum { PAIRS = 128 };

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

/* Pairs of one head, x1 and x2, which may be written over. */
static void turn_halves(int64_t n, const float *x1, const float *x2, const float *sine, const float *cosine, float *y1,
                        float *y2, bool add)
{
    if (add)
        V_MAP(n, vf p = V_GET(x1), q = V_GET(x2), s = V_GET(sine), c = V_GET(cosine);
              V_PUT(y1, V_GET(y1) + (p * c - q * s)); V_PUT(y2, V_GET(y2) + (q * c + p * s)));
    else
        V_MAP(n, vf p = V_GET(x1), q = V_GET(x2), s = V_GET(sine), c = V_GET(cosine); V_PUT(y1, p * c - q * s);
              V_PUT(y2, q * c + p * s));
}

/* The same for neighbours: n floats, whose cosines stand twice and whose sines are negative and positive by turns. */
static void turn_neighbours(int64_t n, const float *x, const float *sine, const float *cosine, float *y, bool add)
{
    if (add)
        V_MAP(n, vf p = V_GET(x); V_PUT(y, V_GET(y) + (p * V_GET(cosine) + v_swap(p) * V_GET(sine))));
    else
        V_MAP(n, vf p = V_GET(x); V_PUT(y, p * V_GET(cosine) + v_swap(p) * V_GET(sine)));
}

/* Spreads n sines and cosines for turn_neighbours. */
static void spread(int64_t n, float *sine, float *cosine)
{
    for (int64_t i = (n - 1) / LS_V * LS_V; i >= 0; i -= LS_V) {
        vf s = v_load(sine + i), c = v_load(cosine + i);
        v_store(sine + 2 * i, v_zip_low(-s, s));
        v_store(sine + 2 * i + LS_V, v_zip_high(-s, s));
        v_store(cosine + 2 * i, v_zip_low(c, c));
        v_store(cosine + 2 * i + LS_V, v_zip_high(c, c));
    }
}

/* One row: all heads share the angles. */
static void turn_row(const ls_rotary_args *a, int64_t d, int64_t position, const uint64_t *step, const float *x,
                     float *y, bool add)
{
    float sine[2 * PAIRS + 2 * LS_V], cosine[2 * PAIRS + 2 * LS_V];
    for (int64_t first = 0; first < d / 2; first += PAIRS) {
        int64_t n = d / 2 - first < PAIRS ? d / 2 - first : PAIRS;
        ls__angles(position, n, step + first, sine, cosine);
        if (a->interleaved) spread(n, sine, cosine);
        for (int64_t h = 0; h < a->rotate; h++) {
            int64_t at = h * d + first;
            if (a->interleaved)
                turn_neighbours(2 * n, x + at + first, sine, cosine, y + at + first, add);
            else
                turn_halves(n, x + at, x + at + d / 2, sine, cosine, y + at, y + at + d / 2, add);
        }
    }
    const int64_t done = a->rotate * d, left = (a->heads - a->rotate) * d;
    if (add)
        ls__add_into(left, x + done, y + done);
    else if (x != y)
        memcpy(y + done, x + done, (size_t)left * sizeof *y);
}

static void turn(const ls_call *c, int sign, const float *x, float *y, bool add)
{
    const ls_rotary_args *a     = c->args;
    const int64_t         times = c->node->in[0]->dim[0], cols = c->node->in[0]->dim[1], d = cols / a->heads;
    const int32_t        *start = c->x[1];
    ls__angle_steps((double)a->base, d, d / 2, c->scratch);
#pragma omp parallel for schedule(static) if (c->rows * times * cols >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < c->rows * times; k++) {
        int64_t position = (start ? start[k / times] : 0) + k % times;
        turn_row(a, d, sign * position, c->scratch, x + k * cols, y + k * cols, add);
    }
}

static void forward(const ls_call *c) { turn(c, 1, c->x[0], c->y[0], false); }

static void backward(const ls_call *c) { turn(c, -1, c->dy[0], c->dx[0], c->add[0]); }

static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    (void)rows, (void)shards, (void)threads, (void)backward;
    return (size_t)(n->in[0]->dim[1] / ((const ls_rotary_args *)n->args)->heads / 2) * sizeof(uint64_t);
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
