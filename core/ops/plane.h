/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that compute each plane of B x C x H x W by itself: check of the input, and a backward pass that adds gradients
 * to a plane of dx.  Sums of overlapping windows are float32 and are rounded once.
 */
#ifndef LS_CORE_OPS_PLANE_H
#define LS_CORE_OPS_PLANE_H

#include <omp.h>

#include "core/graph/graph.h"

/* Checks that input 0 is B x C x H x W. */
static inline ls_status ls__expect_planes(const ls_node *n)
{
    const ls_tensor *x = n->in[0];
    LS_NODE_CHECK(n, (x->type == LS_F32 || x->type == LS_BF16) && x->batched && x->rank == 3,
                  "expected x: B x C x H x W of float32, found %s of %s", ls__shape(x), ls__dtype_name(x->type));
    LS_NODE_CHECK(n, (double)x->dim[1] * (double)x->dim[2] < 0x1p31, "a plane of %s has more than 2^31 elements",
                  ls__shape(x));
    return LS_OK;
}

/* Workspace of a backward pass: planes of x and y in float32 for each thread, if x is bfloat16.  Has the signature of
 * ls_op.scratch. */
static inline size_t ls__plane_scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    const ls_tensor *x = n->in[0], *y = n->out[0];
    (void)rows, (void)shards;
    return backward && x->type == LS_BF16
               ? (size_t)threads * sizeof(float) * (size_t)(x->dim[1] * x->dim[2] + y->dim[1] * y->dim[2])
               : 0;
}

/* Adds the gradients of a plane to dx. */
typedef void ls__plane_scatter_fn(const void *args, int64_t plane, const float *dy, float *dx);

/* Computes dx of plane p, rounding it once. */
static inline void ls__plane_backward(const ls_call *c, int64_t p, ls__plane_scatter_fn *scatter, const void *args)
{
    const ls_tensor *x = c->node->in[0], *y = c->node->out[0];
    const int64_t    in = x->dim[1] * x->dim[2], out = y->dim[1] * y->dim[2];
    float           *buffer = c->scratch ? (float *)c->scratch + omp_get_thread_num() * (in + out) : NULL;
    const float     *dy     = ls__read(ls__dy(c, 0), p * out, out, buffer ? buffer + in : NULL);
    float           *dx     = ls__write_begin(ls__dx(c, 0), p * in, in, buffer, c->add[0]);
    if (!c->add[0]) memset(dx, 0, (size_t)in * sizeof *dx);
    scatter(args, p, dy, dx);
    ls__write_end(ls__dx(c, 0), p * in, in, dx);
}

#endif
