/* SPDX-License-Identifier: Apache-2.0
 *
 * Root mean square normalisation over the last dim (Zhang & Sennrich 2019).
 *      x: B x ... x C   w: C or none   ->  y: B x ... x C   saved: B x ... x 1
 *
 * Forward     r = 1 / sqrt(mean x^2 + eps),  h = x r      the mean is over one row
 *             y = h w
 * Backward    with g = dy w       dx = r (g - h mean(g h))
 *             dw = sum of dy h    over all rows, as a binary tree over shards
 *
 * saved holds r of each row.
 */
#include "core/ops/norm.h"

static ls_status infer(ls_node *n) { return ls__norm_infer(n, &((ls_rms_norm_args *)n->args)->eps, 0x1p-23f, 1); }

static ls__norm norm_of(const ls_call *c) { return ls__norm_of(c, ((const ls_rms_norm_args *)c->args)->eps, false); }

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

static double flops(const ls_node *n) { return 5.0 * (double)ls__numel(n->in[0]); }

LS_OP(rms_norm) = {
    LS_NORM_OP,     .name = "rms_norm",  .args_bytes = sizeof(ls_rms_norm_args),
    .ins = 2,       .optional = 1u << 1, .fields = LS_FIELDS(LS_FIELD(FLOAT, ls_rms_norm_args, eps)),
    .infer = infer, .flops = flops,
};
