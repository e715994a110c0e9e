/* SPDX-License-Identifier: Apache-2.0
 *
 * Gated linear units (Dauphin 2017, Shazeer 2020): swiglu and geglu.
 *      x, y: B x ...  ->  z: B x ...      or, without y, x: B x ... x 2 F  ->  z: B x ... x F
 *
 * Forward     z = gate(x) y
 *             Without y, the first half of each row of x is the gate, and the second half is y.
 * Backward    dx = dz y gate'(x),  dy = dz gate(x)
 *
 * The file of such an op defines the loops value() and gradient(), calls the functions below with them, and starts its
 * descriptor with LS_GATED_OP.
 */
#ifndef LS_CORE_OPS_GATED_H
#define LS_CORE_OPS_GATED_H

#include "core/cpu/vector/elementwise.h"
#include "core/ops/infer.h"

static inline ls_status ls__gated_infer(ls_node *n)
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
        ls__out(n, 0, x->type == y->type ? x->type : LS_F32, true, x->rank, x->dim);
        return LS_OK;
    }
    LS_NODE_CHECK(n, x->rank >= 1 && ls__cols(x) % 2 == 0,
                  "input '%s' is %s, expected an even last dim: the gate, then the values", x->name, ls__shape(x));
    int64_t dim[LS_MAX_DIMS];
    for (int i = 0; i < x->rank; i++) dim[i] = x->dim[i];
    dim[x->rank - 1] /= 2;
    ls__out(n, 0, x->type, true, x->rank, dim);
    return LS_OK;
}

/* Rows of an operand. */
typedef struct ls__gated_shape {
    int64_t rows;   /* of z                                                        */
    int64_t n;      /* elements of a row of z                                      */
    int64_t stride; /* floats from one row of x to the next, and of y              */
    int64_t gap;    /* floats from the gate to the values in a row of x, without y */
} ls__gated_shape;

static inline ls__gated_shape ls__gated_shape_of(const ls_call *c)
{
    const ls_tensor *z = c->node->out[0];
    if (c->node->in[1]) return (ls__gated_shape){c->rows, ls__numel(z), ls__numel(z), 0};
    return (ls__gated_shape){c->rows * ls__rows(z), ls__cols(z), 2 * ls__cols(z), ls__cols(z)};
}

/* Computes z of n elements. */
typedef void ls__gated_value(const void *args, int64_t n, const float *x, const float *y, float *z);

/* Computes dx and dy of n elements; NULL: not needed.  dx may lie over dz, so it is written last. */
typedef void ls__gated_gradient(const void *args, int64_t n, const float *dz, const float *x, const float *y, float *dx,
                                bool add_x, float *dy, bool add_y);

/* The body of such a gradient; f: gate(x), slope: its derivative. */
#define LS_GATED_GRADIENT(f, slope)                                                                                    \
    do {                                                                                                               \
        if (dy && add_y)                                                                                               \
            V_MAP(n, V_PUT(dy, V_GET(dy) + V_GET(dz) * f(V_GET(x))));                                                  \
        else if (dy)                                                                                                   \
            V_MAP(n, V_PUT(dy, V_GET(dz) * f(V_GET(x))));                                                              \
        if (dx && add_x)                                                                                               \
            V_MAP(n, V_PUT(dx, V_GET(dx) + V_GET(dz) * V_GET(y) * slope(V_GET(x))));                                   \
        else if (dx)                                                                                                   \
            V_MAP(n, V_PUT(dx, V_GET(dz) * V_GET(y) * slope(V_GET(x))));                                               \
    } while (0)

static inline void ls__gated_forward(const ls_call *c, ls__gated_value *value)
{
    const ls__gated_shape s     = ls__gated_shape_of(c);
    const int64_t         tiles = (s.n + LS_MAP_TILE - 1) / LS_MAP_TILE;
    const ls_array        x = ls__x(c, 0), y = c->x[1] ? ls__x(c, 1) : ls__from(x, s.gap), z = ls__y(c, 0);
#pragma omp parallel for schedule(static) if (s.rows * s.n >= LS_MAP_PARALLEL / 4)
    for (int64_t k = 0; k < s.rows * tiles; k++) {
        float         wide[3][LS_MAP_TILE];
        const int64_t first = k % tiles * LS_MAP_TILE, at = k / tiles * s.stride + first, to = k / tiles * s.n + first;
        const int64_t n   = s.n - first < LS_MAP_TILE ? s.n - first : LS_MAP_TILE;
        float        *out = ls__write_begin(z, to, n, wide[2], false);
        value(c->args, n, ls__read(x, at, n, wide[0]), ls__read(y, at, n, wide[1]), out);
        ls__write_end(z, to, n, out);
    }
}

static inline void ls__gated_backward(const ls_call *c, ls__gated_gradient *gradient)
{
    const ls__gated_shape s     = ls__gated_shape_of(c);
    const int64_t         tiles = (s.n + LS_MAP_TILE - 1) / LS_MAP_TILE;
    const bool            two   = c->node->in[1] != NULL;
    const bool            add_x = c->add[0], add_y = two ? c->add[1] : add_x;
    const ls_array        x = ls__x(c, 0), y = two ? ls__x(c, 1) : ls__from(x, s.gap), dx = ls__dx(c, 0),
                   dy = two ? ls__dx(c, 1) : ls__from(dx, s.gap);
#pragma omp parallel for schedule(static) if (s.rows * s.n >= LS_MAP_PARALLEL / 4)
    for (int64_t k = 0; k < s.rows * tiles; k++) {
        float         wide[5][LS_MAP_TILE];
        const int64_t first = k % tiles * LS_MAP_TILE, at = k / tiles * s.stride + first;
        const int64_t n = s.n - first < LS_MAP_TILE ? s.n - first : LS_MAP_TILE;
        float *to_x = ls__write_begin(dx, at, n, wide[0], add_x), *to_y = ls__write_begin(dy, at, n, wide[1], add_y);
        gradient(c->args, n, ls__read(ls__dy(c, 0), k / tiles * s.n + first, n, wide[2]), ls__read(x, at, n, wide[3]),
                 ls__read(y, at, n, wide[4]), to_x, add_x, to_y, add_y);
        ls__write_end(dx, at, n, to_x);
        ls__write_end(dy, at, n, to_y);
    }
}

/* Descriptor members with one value in all of these ops; forward, backward and flops are functions of the op's file. */
#define LS_GATED_OP                                                                                                    \
    .ins = 2, .outs = 1, .optional = 1u << 1, .saves = LS_SAVES_IN(0) | LS_SAVES_IN(1), .either = 1u << 0 | 1u << 1,   \
    .recompute = true, .infer = ls__gated_infer, .forward = {[LS_CPU] = forward}, .backward = {[LS_CPU] = backward},   \
    .flops = flops

#endif
