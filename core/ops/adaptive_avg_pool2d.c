/* SPDX-License-Identifier: Apache-2.0
 *
 * Adaptive average pooling (He 2014) over one, two and three dims.
 *      x: B x C x H x W  ->  y: B x C x size_h x size_w
 *
 * Forward     y[c, i, j] = mean of x[c, h, w]  for  floor(i H / size_h) <= h < ceil((i + 1) H / size_h), and w likewise
 * Backward    dx[c, h, w] = sum of dy[c, i, j] / n(i, j) over the windows that contain (h, w), n: elements of a window
 *
 * Windows overlap where size_h does not divide H.  Size 1 is the mean of the plane: global average pooling.
 */
#include "core/ops/adaptive_pool2d.h"

static ls_status infer(ls_node *n) { return ls__adaptive_infer(n); }

static void forward(const ls_call *c)
{
    const ls_windows a = ls__adaptive_windows(c->node);
    ls__avg_pool_forward(c, &a, true);
}

static void backward(const ls_call *c)
{
    const ls_windows a = ls__adaptive_windows(c->node);
    ls__avg_pool_backward(c, &a, true);
}

static double flops(const ls_node *n) { return (double)ls__numel(n->in[0]); }

LS_OP(adaptive_avg_pool1d) = LS_ADAPTIVE_POOL(1, .name = "adaptive_avg_pool1d", .outs = 1);
LS_OP(adaptive_avg_pool2d) = LS_ADAPTIVE_POOL(2, .name = "adaptive_avg_pool2d", .outs = 1);
LS_OP(adaptive_avg_pool3d) = LS_ADAPTIVE_POOL(3, .name = "adaptive_avg_pool3d", .outs = 1);
