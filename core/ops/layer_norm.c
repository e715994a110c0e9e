/* SPDX-License-Identifier: Apache-2.0
 *
 * Layer normalisation over the last dim (Ba 2016).      x: B x ... x C   w, b: C or none   ->  y: B x ... x C   saved:
 * B x ... x 2
 *
 * Forward     m = mean x,  r = 1 / sqrt(mean (x - m)^2 + eps),  h = (x - m) r
 *             y = h w + b
 * Backward    with g = dy w       dx = r (g - mean g - h mean(g h))
 *             dw = sum of dy h,  db = sum of dy    over all rows, as a tree over shards
 *
 * The means are of a row; the variance is made in a second pass, from x - m, as the difference of two means of squares
 * would cancel. saved has r and m of each row.
 */
#include "core/cpu/norm_rows.h"
#include "core/ops/infer.h"

static ls_status infer(ls_node *n)
{
    ls_layer_norm_args *a = n->args;
    const ls_tensor    *x = n->in[0];
    if (a->eps == 0) a->eps = 1e-5f;
    LS_TRY(ls__expect_samples(n, 0));
    LS_TRY(ls__expect_row_params(n));
    LS_NODE_CHECK(n, a->eps > 0, "eps is %g, expected a positive number", (double)a->eps);
    int64_t dim[LS_MAX_DIMS];
    for (int i = 0; i < x->rank; i++) dim[i] = x->dim[i];
    dim[x->rank - 1] = 2;
    ls__out_like(n, 0, x);
    ls__out(n, 1, LS_F32, true, x->rank, dim);
    return LS_OK;
}

static ls__norm norm_of(const ls_call *c)
{
    const ls_tensor *x = c->node->in[0];
    return (ls__norm){.centred = true,
                      .eps     = ((const ls_layer_norm_args *)c->args)->eps,
                      .lead    = ls__rows(x),
                      .n       = ls__cols(x),
                      .w       = c->x[1],
                      .b       = c->x[2]};
}

static void forward(const ls_call *c)
{
    ls__norm norm = norm_of(c);
    ls__norm_forward(c, &norm);
}

static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    (void)threads;
    return backward ? ls__norm_scratch(ls__rows(n->in[0]), ls__cols(n->in[0]), rows, shards) : 0;
}

static void backward(const ls_call *c)
{
    ls__norm norm = norm_of(c);
    ls__norm_backward(c, &norm);
}

static double flops(const ls_node *n) { return 8.0 * (double)ls__numel(n->in[0]); }

LS_OP(layer_norm) = {
    .name             = "layer_norm",
    .args_bytes       = sizeof(ls_layer_norm_args),
    .ins              = 3,
    .outs             = 2,
    .optional         = 1u << 1 | 1u << 2,
    .saves            = LS_SAVES_IN(0) | LS_SAVES_IN(1) | LS_SAVES_OUT(1),
    .inplace_backward = true,
    .again            = true,
    .fields           = LS_FIELDS(LS_FIELD(FLOAT, ls_layer_norm_args, eps)),
    .infer            = infer,
    .forward          = {[LS_CPU] = forward},
    .backward         = {[LS_CPU] = backward},
    .scratch          = scratch,
    .flops            = flops,
};
