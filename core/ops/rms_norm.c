/* SPDX-License-Identifier: Apache-2.0
 *
 * Root mean square normalisation over the last dim (Zhang & Sennrich 2019).
 *      x: B x ... x C   w: C or none   ->  y: B x ... x C   saved: B x ... x 1
 *
 * Forward     r = 1 / sqrt(mean x^2 + eps),  h = x r      the mean is over one row
 *             y = h w, or with plus_one y = h (1 + w), as in Gemma
 * Backward    with g = dy w, or dy (1 + w)       dx = r (g - h mean(g h))
 *             dw = sum of dy h    over all rows, as a binary tree over shards
 *
 * saved holds r of each row.  With plus_one, the workspace begins with the row 1 + w.
 */
#include "core/ops/norm.h"

static ls_status infer(ls_node *n)
{
    ls_rms_norm_args *a = n->args;
    LS_NODE_CHECK(n, !a->plus_one || n->in[1], "plus_one is set without a weight" LS_HINT "give w, or leave it out");
    return ls__norm_infer(n, &a->eps, 0x1p-23f, 1);
}

/* Floats of the row 1 + w, in whole cache lines. */
static int64_t weight_row(const ls_node *n)
{
    return ((const ls_rms_norm_args *)n->args)->plus_one ? (ls__cols(n->in[0]) + 15) / 16 * 16 : 0;
}

static ls__norm norm_of(const ls_call *c)
{
    ls__norm norm = ls__norm_of(c, ((const ls_rms_norm_args *)c->args)->eps, false);
    if (weight_row(c->node)) {
        float *row = c->scratch;
        V_MAP(norm.n, V_PUT(row, V_GET(norm.w) + 1.0f));
        norm.w       = row;
        norm.scratch = row + weight_row(c->node);
    }
    return norm;
}

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

static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    return (size_t)weight_row(n) * sizeof(float) + ls__norm_workspace(n, rows, shards, threads, backward);
}

static double flops(const ls_node *n) { return 5.0 * (double)ls__numel(n->in[0]); }

LS_OP(rms_norm) = {
    LS_NORM_OP,
    .name       = "rms_norm",
    .args_bytes = sizeof(ls_rms_norm_args),
    .ins        = 2,
    .optional   = 1u << 1,
    .fields     = LS_FIELDS(LS_FIELD(FLOAT, ls_rms_norm_args, eps), LS_FIELD(BOOL, ls_rms_norm_args, plus_one)),
    .infer      = infer,
    .scratch    = scratch,
    .flops      = flops,
};
