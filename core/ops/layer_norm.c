/* SPDX-License-Identifier: Apache-2.0
 *
 * Layer normalisation over the last dim (Ba 2016).
 *      x: B x ... x C   w, b: C or none   ->  y: B x ... x C   saved: B x ... x 2
 *
 * Forward     m = mean x,  r = 1 / sqrt(mean (x - m)^2 + eps),  h = (x - m) r      the means are over one row
 *             y = h w + b
 * Backward    with g = dy w       dx = r (g - mean g - h mean(g h))
 *             dw = sum of dy h,  db = sum of dy    over all rows, as a binary tree over shards
 *
 * saved holds r and m of each row.  The variance takes a second pass over x - m, because mean(x^2) - m^2 cancels.
 */
#include "core/ops/norm.h"

static ls_status infer(ls_node *n) { return ls__norm_infer(n, &((ls_layer_norm_args *)n->args)->eps, 1e-5f, 2); }

static ls__norm norm_of(const ls_call *c) { return ls__norm_of(c, ((const ls_layer_norm_args *)c->args)->eps, true); }

static void forward(const ls_call *c)
{
    const ls__norm norm = norm_of(c);
    ls__norm_forward(c, &norm);
}

static void backward(const ls_call *c)
{
    const ls__norm norm = norm_of(c);
    ls__norm_backward(c, &norm);
}

static double flops(const ls_node *n) { return 8.0 * (double)ls__numel(n->in[0]); }

LS_OP(layer_norm) = {
    LS_NORM_OP,     .name = "layer_norm",          .args_bytes = sizeof(ls_layer_norm_args),
    .ins = 3,       .optional = 1u << 1 | 1u << 2, .fields = LS_FIELDS(LS_FIELD(FLOAT, ls_layer_norm_args, eps)),
    .infer = infer, .scratch = ls__norm_workspace, .flops = flops,
};
