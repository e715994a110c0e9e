/* SPDX-License-Identifier: Apache-2.0
 *
 * Sum of two tensors of one shape, or of a tensor and a parameter that has its last dims and is broadcast.
 *      x: B x ... x D   y: the same, or D   ->  z: B x ... x D
 *
 * Forward     z = x + y
 * Backward    dx = dz,  dy = dz; dy of a parameter is the sum of dz over the broadcast dims and the samples, as a
 * binary
 *             tree over shards
 */
#include "core/cpu/vector/column_sum.h"
#include "core/ops/infer.h"

static void value(const void *args, int64_t n, const float *x, const float *y, float *z)
{
    (void)args;
    V_MAP(n, V_PUT(z, V_GET(x) + V_GET(y)));
}

static void forward(const ls_call *c)
{
    const ls_tensor *x = c->node->in[0], *y = c->node->in[1];
    int64_t          n = c->rows * ls__numel(x), count = ls__numel(y);
    if (y->batched)
        ls__map(value, NULL, n, ls__x(c, 0), ls__x(c, 1), ls__y(c, 0), false);
    else
        ls__map_rows(value, NULL, n / count, count, ls__x(c, 0), ls__x(c, 1), ls__y(c, 0), false);
}

static void backward(const ls_call *c)
{
    const ls_tensor *x = c->node->in[0], *y = c->node->in[1];
    int64_t          n = c->rows * ls__numel(x), count = ls__numel(y);
    if (c->dx[1] && y->batched)
        ls__map(ls__map_copy, NULL, n, ls__dy(c, 0), (ls_array){0}, ls__dx(c, 1), c->add[1]);
    else if (c->dx[1])
        ls__column_sums(c, 1, ls__numel(x) / count, count, ls__dy(c, 0), (ls_array){0}, c->scratch);
    if (c->dx[0]) ls__map(ls__map_copy, NULL, n, ls__dy(c, 0), (ls_array){0}, ls__dx(c, 0), c->add[0]);
}

LS_OP(add) = {
    .name             = "add",
    .adds             = true,
    .args_bytes       = sizeof(ls_binary_args),
    .ins              = 2,
    .outs             = 1,
    .inplace          = true,
    .either           = 1u << 0 | 1u << 1,
    .inplace_backward = true,
    .defers           = true,
    .infer            = ls__infer_broadcast,
    .forward          = {[LS_CPU] = forward},
    .backward         = {[LS_CPU] = backward},
    .scratch          = ls__broadcast_scratch,
};
