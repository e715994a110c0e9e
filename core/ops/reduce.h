/* SPDX-License-Identifier: Apache-2.0
 *
 * Reductions over one dim, sum and mean.
 *      x: B x outer x n x inner  ->  y: B x outer x inner      the sum runs over n, never over the batch
 *
 * Forward     y = scale sum_i x_i
 * Backward    dx_i = scale dy
 */
#ifndef LS_CORE_OPS_REDUCE_H
#define LS_CORE_OPS_REDUCE_H

#include "core/cpu/vector/elementwise.h"
#include "core/cpu/vector/vmath.h"
#include "core/ops/infer.h"

typedef struct ls__reduction {
    int64_t outer, n, inner;
} ls__reduction;

/* The three extents, which do not count the batch.  axis 0 reduces all elements of a sample. */
static inline ls__reduction ls__reduction_of(const ls_node *node)
{
    const ls_reduce_args *a = node->args;
    const ls_tensor      *x = node->in[0];
    ls__reduction         r = {1, 1, 1};
    if (!a->axis) return (ls__reduction){1, ls__numel(x), 1};
    for (int i = 0; i < a->axis - 1; i++) r.outer *= x->dim[i];
    r.n = x->dim[a->axis - 1];
    for (int i = a->axis; i < x->rank; i++) r.inner *= x->dim[i];
    return r;
}

/* Infers the shape of y, and replaces a negative axis by the positive one that it stands for. */
static inline ls_status ls__infer_reduce(ls_node *n)
{
    ls_reduce_args  *a = n->args;
    const ls_tensor *x = n->in[0];
    LS_TRY(ls__expect_samples(n, 0));
    int axis = a->axis < 0 ? a->axis + x->rank + 1 : a->axis;
    LS_NODE_CHECK(n, a->axis == 0 || (axis >= 1 && axis <= x->rank),
                  "axis is %d, expected -%d to %d: '%s' is %s" LS_HINT
                  "axis 1 is the first dim after the batch, -1 the last dim; 0 reduces all dims but the batch",
                  a->axis, x->rank, x->rank, x->name, ls__shape(x));
    a->axis      = axis;
    int     rank = 0;
    int64_t dim[LS_MAX_DIMS];
    for (int i = 0; i < x->rank; i++)
        if (axis && i != axis - 1)
            dim[rank++] = x->dim[i];
        else if (a->keep)
            dim[rank++] = 1;
    ls__out(n, 0, x->type, true, rank, dim);
    return LS_OK;
}

/* Returns the sum of n elements, added in the tree of ls__vsum. */
static inline float ls__array_sum(ls_array x, int64_t n)
{
    float         wide[LS_VSUM_BLOCK];
    const int64_t left = ls__vsum_left(n);
    return n > LS_VSUM_BLOCK ? ls__array_sum(x, left) + ls__array_sum(ls__from(x, left), n - left)
                             : ls__vsum(n, ls__read(x, 0, n, wide));
}

/* Computes `columns` <= LS_MAP_TILE elements of y: scale times the sum of n rows of x, which are `inner` elements
 * apart. */
static inline void ls__reduce_columns(ls_array x, int64_t n, int64_t inner, int64_t columns, float scale, ls_array y)
{
    float  wide[LS_MAP_TILE], value[LS_MAP_TILE];
    float *sum = ls__write_begin(y, 0, columns, value, false);
    for (int64_t i = 0; i < columns; i++) sum[i] = 0;
    for (int64_t j = 0; j < n; j++) {
        const float *row = ls__read(x, j * inner, columns, wide);
        V_MAP(columns, V_PUT(sum, V_GET(sum) + V_GET(row)));
    }
    V_MAP(columns, V_PUT(sum, V_GET(sum) * scale));
    ls__write_end(y, 0, columns, sum);
}

/* Computes y = scale * sum.  The order of the additions is fixed: a tree (ls__vsum) along the last dim, one chain per
 * column of `inner` along any other dim. */
static inline void ls__reduce_forward(const ls_call *c, float scale)
{
    const ls__reduction r     = ls__reduction_of(c->node);
    const int64_t       count = c->rows * r.outer, tiles = (r.inner + LS_MAP_TILE - 1) / LS_MAP_TILE;
    const ls_array      x = ls__x(c, 0), y = ls__y(c, 0);
#pragma omp parallel for schedule(static) if (count * r.n * r.inner >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < count * tiles; k++) {
        const int64_t  at = k / tiles, first = k % tiles * LS_MAP_TILE, left = r.inner - first;
        const ls_array from = ls__from(x, at * r.n * r.inner + first), to = ls__from(y, at * r.inner + first);
        if (r.inner == 1)
            v_store_1_as(y.type, to.data, 0, scale * ls__array_sum(from, r.n));
        else
            ls__reduce_columns(from, r.n, r.inner, left < LS_MAP_TILE ? left : LS_MAP_TILE, scale, to);
    }
}

/* y = scale x, or y += scale x if `add`.  x: n elements, or one element for all of y if `one` */
static inline void ls__reduce_spread(ls_array x, bool one, int64_t n, float scale, ls_array y, bool add)
{
    float        wide[LS_MAP_TILE], value[LS_MAP_TILE];
    const float *dy = ls__read(x, 0, one ? 1 : n, wide);
    float       *dx = ls__write_begin(y, 0, n, value, add);
    const vf     g  = v_set(*dy * scale);
    if (one && add)
        V_MAP(n, V_PUT(dx, V_GET(dx) + g));
    else if (one)
        V_MAP(n, V_PUT(dx, g));
    else if (add)
        V_MAP(n, V_PUT(dx, V_GET(dx) + V_GET(dy) * scale));
    else
        V_MAP(n, V_PUT(dx, V_GET(dy) * scale));
    ls__write_end(y, 0, n, dx);
}

/* Computes dx = scale * dy for each of the n elements that one y was summed from. */
static inline void ls__reduce_backward(const ls_call *c, float scale)
{
    const ls__reduction r     = ls__reduction_of(c->node);
    const int64_t       count = c->rows * r.outer;
    const bool          one   = r.inner == 1; /* a row of dx is n elements with one dy, else `inner` elements */
    const int64_t       width = one ? r.n : r.inner, rows = one ? count : count * r.n;
    const int64_t       tiles = (width + LS_MAP_TILE - 1) / LS_MAP_TILE;
    const ls_array      dy = ls__dy(c, 0), dx = ls__dx(c, 0);
#pragma omp parallel for schedule(static) if (rows * width >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < rows * tiles; k++) {
        const int64_t row = k / tiles, first = k % tiles * LS_MAP_TILE, left = width - first;
        ls__reduce_spread(ls__from(dy, one ? row : row / r.n * r.inner + first), one,
                          left < LS_MAP_TILE ? left : LS_MAP_TILE, scale, ls__from(dx, row * width + first), c->add[0]);
    }
}

static inline double ls__reduce_flops(const ls_node *n) { return (double)ls__numel(n->in[0]); }

/* Descriptor members with one value in these ops; forward and backward are functions of the op's file. */
#define LS_REDUCE_OP                                                                                                   \
    .args_bytes = sizeof(ls_reduce_args), .ins = 1, .outs = 1, .either = 1u << 0,                                      \
    .fields = LS_FIELDS(LS_FIELD(INT, ls_reduce_args, axis), LS_FIELD(BOOL, ls_reduce_args, keep)),                    \
    .infer = ls__infer_reduce, .forward = {[LS_CPU] = forward}, .backward = {[LS_CPU] = backward},                     \
    .flops = ls__reduce_flops

#endif
