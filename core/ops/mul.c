/* SPDX-License-Identifier: Apache-2.0
 *
 * Elementwise product of two tensors of one shape, or of a tensor and a parameter that has its last dims and is
 * broadcast.
 *      x: B x ... x D   y: the same, or D   ->  z: B x ... x D
 *
 * Forward     z = x y
 * Backward    dx = dz y,  dy = dz x; dy of a parameter is the sum of dz x over the broadcast dims and the samples, as a
 *             binary tree over shards
 */
#include "core/cpu/vector/column_sum.h"
#include "core/ops/infer.h"

static void product(const void *args, int64_t n, const float *x, const float *y, float *z)
{
    (void)args;
    V_MAP(n, V_PUT(z, V_GET(x) * V_GET(y)));
}

/* Computes out = x y for an x of the shape of input 0; y may be a broadcast parameter. */
static void multiply_by_y(const ls_call *c, ls_array x, ls_array out, bool add)
{
    const ls_tensor *y = c->node->in[1];
    int64_t          n = c->rows * ls__numel(c->node->in[0]), count = ls__numel(y);
    if (y->batched)
        ls__map(product, NULL, n, x, ls__x(c, 1), out, add);
    else
        ls__map_rows(product, NULL, n / count, count, x, ls__x(c, 1), out, add);
}

static void forward(const ls_call *c) { multiply_by_y(c, ls__x(c, 0), ls__y(c, 0), false); }

/* dx[0] may lie over dy, so it is written last. */
static void backward(const ls_call *c)
{
    const ls_tensor *x = c->node->in[0], *y = c->node->in[1];
    int64_t          n = ls__numel(x), count = ls__numel(y);
    if (c->dx[1] && y->batched)
        ls__map(product, NULL, c->rows * n, ls__dy(c, 0), ls__x(c, 0), ls__dx(c, 1), c->add[1]);
    else if (c->dx[1])
        ls__column_sums(c, 1, n / count, count, ls__dy(c, 0), ls__x(c, 0), c->scratch);
    if (c->dx[0]) multiply_by_y(c, ls__dy(c, 0), ls__dx(c, 0), c->add[0]);
}

LS_OP(mul) = {
    .name             = "mul",
    .args_bytes       = sizeof(ls_binary_args),
    .ins              = 2,
    .outs             = 1,
    .saves            = LS_SAVES_IN(0) | LS_SAVES_IN(1),
    .either           = 1u << 0 | 1u << 1,
    .inplace_backward = true,
    .defers           = true,
    .infer            = ls__infer_broadcast,
    .forward          = {[LS_CPU] = forward},
    .backward         = {[LS_CPU] = backward},
    .scratch          = ls__broadcast_scratch,
};
