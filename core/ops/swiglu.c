/* SPDX-License-Identifier: Apache-2.0
 *
 * Gated linear unit with SiLU gate (Shazeer 2020).
 *      x, y: B x ...  ->  z: B x ...      or, without y, x: B x ... x 2 F  ->  z: B x ... x F
 *
 * Forward     z = silu(x) y,  silu(x) = x s,  s = 1 / (1 + exp(-x))
 *             Without y, the first half of each row of x is the gate, and the second half is y.
 * Backward    dx = dz y s (1 + x (1 - s)),  dy = dz silu(x)
 */
#include "core/cpu/vector/elementwise.h"
#include "core/ops/infer.h"

static ls_status infer(ls_node *n)
{
    const ls_tensor *x = n->in[0];
    LS_TRY(ls__expect_samples(n, 0));
    if (n->in[1]) {
        const ls_tensor *y = n->in[1];
        LS_TRY(ls__expect_samples(n, 1));
        bool same = x->rank == y->rank;
        for (int i = 0; same && i < x->rank; i++) same = x->dim[i] == y->dim[i];
        LS_NODE_CHECK(n, same, "'%s' is %s and '%s' is %s, expected one shape", x->name, ls__shape(x), y->name,
                      ls__shape(y));
        ls__out_like(n, 0, x);
        return LS_OK;
    }
    LS_NODE_CHECK(n, x->rank >= 1 && ls__cols(x) % 2 == 0,
                  "input '%s' is %s, expected an even last dim: the gate, then the values", x->name, ls__shape(x));
    int64_t dim[LS_MAX_DIMS];
    for (int i = 0; i < x->rank; i++) dim[i] = x->dim[i];
    dim[x->rank - 1] /= 2;
    ls__out(n, 0, LS_F32, true, x->rank, dim);
    return LS_OK;
}

/* Rows of an operand. */
typedef struct shape {
    int64_t rows;   /* of z                                                        */
    int64_t n;      /* elements of a row of z                                      */
    int64_t stride; /* floats from one row of x to the next, and of y              */
    int64_t gap;    /* floats from the gate to the values in a row of x, without y */
} shape;

static shape shape_of(const ls_call *c)
{
    const ls_tensor *z = c->node->out[0];
    if (c->node->in[1]) return (shape){c->rows, ls__numel(z), ls__numel(z), 0};
    return (shape){c->rows * ls__rows(z), ls__cols(z), 2 * ls__cols(z), ls__cols(z)};
}

static void value(int64_t n, const float *x, const float *y, float *z)
{
    V_MAP(n, V_PUT(z, v_silu(V_GET(x)) * V_GET(y)));
}

static void forward(const ls_call *c)
{
    const shape   s     = shape_of(c);
    const int64_t tiles = (s.n + LS_MAP_TILE - 1) / LS_MAP_TILE;
    const float  *x = c->x[0], *y = c->x[1] ? c->x[1] : x + s.gap;
#pragma omp parallel for schedule(static) if (s.rows * s.n >= LS_MAP_PARALLEL / 4)
    for (int64_t k = 0; k < s.rows * tiles; k++) {
        int64_t first = k % tiles * LS_MAP_TILE, at = k / tiles * s.stride + first;
        value(s.n - first < LS_MAP_TILE ? s.n - first : LS_MAP_TILE, x + at, y + at,
              (float *)c->y[0] + k / tiles * s.n + first);
    }
}

/* Computes dx and dy of n elements; NULL: not needed.  dx may lie over dz, so it is written last. */
static void gradient(int64_t n, const float *dz, const float *x, const float *y, float *dx, bool add_x, float *dy,
                     bool add_y)
{
    if (dy && add_y)
        V_MAP(n, V_PUT(dy, V_GET(dy) + V_GET(dz) * v_silu(V_GET(x))));
    else if (dy)
        V_MAP(n, V_PUT(dy, V_GET(dz) * v_silu(V_GET(x))));
    if (dx && add_x)
        V_MAP(n, V_PUT(dx, V_GET(dx) + V_GET(dz) * V_GET(y) * v_silu_slope(V_GET(x))));
    else if (dx)
        V_MAP(n, V_PUT(dx, V_GET(dz) * V_GET(y) * v_silu_slope(V_GET(x))));
}

static void backward(const ls_call *c)
{
    const shape   s     = shape_of(c);
    const int64_t tiles = (s.n + LS_MAP_TILE - 1) / LS_MAP_TILE;
    const bool    two   = c->node->in[1] != NULL;
    const float  *x = c->x[0], *y = two ? c->x[1] : x + s.gap;
    float        *dx = c->dx[0], *dy = two ? c->dx[1] : dx + s.gap;
#pragma omp parallel for schedule(static) if (s.rows * s.n >= LS_MAP_PARALLEL / 4)
    for (int64_t k = 0; k < s.rows * tiles; k++) {
        int64_t first = k % tiles * LS_MAP_TILE, at = k / tiles * s.stride + first;
        gradient(s.n - first < LS_MAP_TILE ? s.n - first : LS_MAP_TILE, c->dy[0] + k / tiles * s.n + first, x + at,
                 y + at, dx ? dx + at : NULL, c->add[0], dy ? dy + at : NULL, two ? c->add[1] : c->add[0]);
    }
}

static double flops(const ls_node *n) { return 11.0 * (double)ls__numel(n->out[0]); }

LS_OP(swiglu) = {
    .name       = "swiglu",
    .args_bytes = sizeof(ls_binary_args),
    .ins        = 2,
    .outs       = 1,
    .optional   = 1u << 1,
    .saves      = LS_SAVES_IN(0) | LS_SAVES_IN(1),
    .recompute  = true,
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
    .flops      = flops,
};
