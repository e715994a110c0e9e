/* SPDX-License-Identifier: Apache-2.0
 *
 * Adaptive max pooling over one, two and three dims.
 *      x: B x C x H x W  ->  y: B x C x size_h x size_w   argmax: the same, of int32
 *
 * Forward     y[c, i, j] = max of x[c, h, w]  for  floor(i H / size_h) <= h < ceil((i + 1) H / size_h), and w likewise
 * Backward    dx[c, h, w] = sum of dy[c, i, j] over the windows (i, j) with argmax[c, i, j] = (h, w)
 *
 * Ties and NaN as in max_pool2d.
 */
#include "core/ops/adaptive_pool2d.h"

static ls_status infer(ls_node *n)
{
    LS_TRY(ls__adaptive_infer(n));
    ls__out(n, 1, LS_I32, true, n->out[0]->rank, n->out[0]->dim);
    return LS_OK;
}

static void forward(const ls_call *c)
{
    const ls_windows a = ls__adaptive_windows(c->node);
    ls__max_pool_forward(c, &a);
}

static void backward(const ls_call *c)
{
    const ls_windows a = ls__adaptive_windows(c->node);
    ls__max_pool_backward(c, &a);
}

static double flops(const ls_node *n) { return (double)ls__numel(n->in[0]); }

LS_OP(adaptive_max_pool1d) = LS_ADAPTIVE_POOL(1, .name = "adaptive_max_pool1d", .outs = 2, .saves = LS_SAVES_OUT(1));
LS_OP(adaptive_max_pool2d) = LS_ADAPTIVE_POOL(2, .name = "adaptive_max_pool2d", .outs = 2, .saves = LS_SAVES_OUT(1));
LS_OP(adaptive_max_pool3d) = LS_ADAPTIVE_POOL(3, .name = "adaptive_max_pool3d", .outs = 2, .saves = LS_SAVES_OUT(1));
