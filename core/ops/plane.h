/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that compute each channel of a sample by itself: check of the input, and a backward pass that adds gradients
 * to a channel of dx.  A channel of D x H x W, H x W or W elements is called a plane.  Sums of overlapping windows are
 * float32 and are rounded once.
 */
#ifndef LS_CORE_OPS_PLANE_H
#define LS_CORE_OPS_PLANE_H

#include <omp.h>

#include "core/graph/graph.h"

/* The input of ops of one, two and three dims. */
#define LS_PLANES_TEXT(dims) ((const char *[]){"", "B x C x W", "B x C x H x W", "B x C x D x H x W"}[dims])

/* Elements of a plane of x. */
static inline int64_t ls__plane(const ls_tensor *x) { return ls__numel(x) / x->dim[0]; }

/* Checks that input 0 is B x C x H x W, or has the other number of dims that the op has. */
static inline ls_status ls__expect_planes(const ls_node *n)
{
    const ls_tensor *x     = n->in[0];
    const int        dims  = ls__op(n)->dims;
    double           plane = 1;
    LS_NODE_CHECK(n, (x->type == LS_F32 || x->type == LS_BF16) && x->batched && x->rank == 1 + dims,
                  "expected x: %s of float32, found %s of %s", LS_PLANES_TEXT(dims), ls__shape(x),
                  ls__dtype_name(x->type));
    for (int i = 1; i < x->rank; i++) plane *= (double)x->dim[i];
    LS_NODE_CHECK(n, plane < 0x1p31, "a plane of %s has more than 2^31 elements", ls__shape(x));
    return LS_OK;
}

/* Workspace of a backward pass: planes of x and y in float32 for each thread, if x is bfloat16.  Has the signature of
 * ls_op.scratch. */
static inline size_t ls__plane_scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    const ls_tensor *x = n->in[0], *y = n->out[0];
    (void)rows, (void)shards;
    return backward && x->type == LS_BF16 ? (size_t)threads * sizeof(float) * (size_t)(ls__plane(x) + ls__plane(y)) : 0;
}

/* Adds the gradients of a plane to dx. */
typedef void ls__plane_scatter_fn(const void *args, int64_t plane, const float *dy, float *dx);

/* Computes dx of plane p, rounding it once. */
static inline void ls__plane_backward(const ls_call *c, int64_t p, ls__plane_scatter_fn *scatter, const void *args)
{
    const ls_tensor *x = c->node->in[0], *y = c->node->out[0];
    const int64_t    in = ls__plane(x), out = ls__plane(y);
    float           *buffer = c->scratch ? (float *)c->scratch + omp_get_thread_num() * (in + out) : NULL;
    const float     *dy     = ls__read(ls__dy(c, 0), p * out, out, buffer ? buffer + in : NULL);
    float           *dx     = ls__write_begin(ls__dx(c, 0), p * in, in, buffer, c->add[0]);
    if (!c->add[0]) memset(dx, 0, (size_t)in * sizeof *dx);
    scatter(args, p, dy, dx);
    ls__write_end(ls__dx(c, 0), p * in, in, dx);
}

#endif
