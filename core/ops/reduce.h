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
    ls__out(n, 0, LS_F32, true, rank, dim);
    return LS_OK;
}

/* Computes y = scale * sum.  The order of the additions is fixed: a tree (ls__vsum) along the last dim, one chain per
 * column of `inner` along any other dim. */
static inline void ls__reduce_forward(const ls_call *c, float scale)
{
    ls__reduction r     = ls__reduction_of(c->node);
    int64_t       count = c->rows * r.outer;
#pragma omp parallel for schedule(static) if (count * r.n * r.inner >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < count; k++) {
        const float *x = (const float *)c->x[0] + k * r.n * r.inner;
        float       *y = (float *)c->y[0] + k * r.inner;
        if (r.inner == 1) {
            *y = scale * ls__vsum(r.n, x);
            continue;
        }
        for (int64_t i = 0; i < r.inner; i++) y[i] = 0;
        for (int64_t j = 0; j < r.n; j++) V_MAP(r.inner, V_PUT(y, V_GET(y) + V_GET(x + j * r.inner)));
        V_MAP(r.inner, V_PUT(y, V_GET(y) * scale));
    }
}

/* Computes dx = scale * dy for each of the n elements that one y was summed from. */
static inline void ls__reduce_backward(const ls_call *c, float scale)
{
    ls__reduction r     = ls__reduction_of(c->node);
    int64_t       count = c->rows * r.outer;
    bool          add   = c->add[0];
#pragma omp parallel for schedule(static) if (count * r.n * r.inner >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < count * r.n; k++) {
        const float *dy = c->dy[0] + k / r.n * r.inner;
        float       *dx = c->dx[0] + k * r.inner;
        if (r.inner == 1)
            *dx = add ? *dx + scale * *dy : scale * *dy;
        else if (add)
            V_MAP(r.inner, V_PUT(dx, V_GET(dx) + V_GET(dy) * scale));
        else
            V_MAP(r.inner, V_PUT(dx, V_GET(dy) * scale));
    }
}

static inline double ls__reduce_flops(const ls_node *n) { return (double)ls__numel(n->in[0]); }

/* Descriptor members with one value in these ops; forward and backward are functions of the op's file. */
#define LS_REDUCE_OP                                                                                                   \
    .args_bytes = sizeof(ls_reduce_args), .ins = 1, .outs = 1,                                                         \
    .fields = LS_FIELDS(LS_FIELD(INT, ls_reduce_args, axis), LS_FIELD(BOOL, ls_reduce_args, keep)),                    \
    .infer = ls__infer_reduce, .forward = {[LS_CPU] = forward}, .backward = {[LS_CPU] = backward},                     \
    .flops = ls__reduce_flops

#endif
