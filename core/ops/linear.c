/* SPDX-License-Identifier: Apache-2.0
 *
 * Linear layer: matrix product with a parameter, plus a bias.      x: B x ... x I   w: O x I   b: O or none   ->  y: B
 * x ... x O
 *
 * Forward     y = x w^T + b               each row of x on its own
 * Backward    dx = dy w
 *             dw = dy^T x,  db = 1^T dy   sums over all rows: sequential in a shard, then a binary tree over shards
 *
 * With the attribute `rows`, the op uses rows [first, first + rows) of the parameters alone; the gradients of the other
 * rows are zero.
 */
#include "core/cpu/vector/column_sum.h"
#include "core/cpu/gemm/product_table.h"
#include "core/ops/infer.h"

static ls_status infer(ls_node *n)
{
    const ls_tensor *x = n->in[0], *w = n->in[1], *b = n->in[2];
    LS_TRY(ls__expect_samples(n, 0));
    LS_TRY(ls__expect_param(n, 1, 2));
    LS_NODE_CHECK(n, x->rank >= 1,
                  "input '%s' is %s, expected at least one dim besides the batch" LS_HINT "ls_flatten(x) is B x 1",
                  x->name, ls__shape(x));
    LS_NODE_CHECK(n, ls__cols(x) == w->dim[1], "input '%s' is %s and the weight '%s' is %s: the last dims differ",
                  x->name, ls__shape(x), w->name, ls__shape(w));
    if (b) {
        LS_TRY(ls__expect_param(n, 2, 1));
        LS_NODE_CHECK(n, b->dim[0] == w->dim[0], "the bias '%s' is %s, expected length %lld", b->name, ls__shape(b),
                      (long long)w->dim[0]);
    }
    ls_linear_args *a = n->args;
    if (a->rows == 0 && a->first == 0) a->rows = w->dim[0];
    LS_NODE_CHECK(n, a->first >= 0 && a->rows >= 1 && a->rows <= w->dim[0] && a->first <= w->dim[0] - a->rows,
                  "rows %lld to %lld are selected, and the weight '%s' is %s", (long long)a->first,
                  (long long)(a->first + a->rows - 1), w->name, ls__shape(w));
    int64_t dim[LS_MAX_DIMS];
    for (int i = 0; i < x->rank; i++) dim[i] = x->dim[i];
    dim[x->rank - 1] = a->rows;
    ls__out(n, 0, n->graph->precision, true, x->rank, dim);
    return LS_OK;
}

/* The products of forward, y = x w^T + b, and of backward, dx = dy w. */
static ls_gemm forward_product(const ls_call *c)
{
    const ls_tensor *x = c->node->in[0];
    int64_t          i = ls__cols(x), o = ls__cols(c->node->out[0]), first = ((const ls_linear_args *)c->args)->first;
    const ls_array   w = ls__from(ls__x(c, 1), first * i);
    const float     *b = c->x[2] ? (const float *)c->x[2] + first : NULL;
    return (ls_gemm){.m        = c->rows * ls__rows(x),
                     .n        = o,
                     .k        = i,
                     .x        = c->x[0],
                     .x_row    = i,
                     .x_col    = 1,
                     .w        = w.data,
                     .w_row    = 1,
                     .w_col    = i,
                     .packed_w = c->packed,
                     .y        = c->y[0],
                     .y_row    = o,
                     .bias     = b,
                     .type     = w.type,
                     .y_type   = w.type};
}

static ls_gemm backward_product(const ls_call *c)
{
    const ls_tensor *x = c->node->in[0];
    int64_t          i = ls__cols(x), o = ls__cols(c->node->out[0]), first = ((const ls_linear_args *)c->args)->first;
    const ls_array   w = ls__from(ls__x(c, 1), first * i);
    return (ls_gemm){.m        = c->rows * ls__rows(x),
                     .n        = i,
                     .k        = o,
                     .x        = c->dy[0],
                     .x_row    = o,
                     .x_col    = 1,
                     .w        = w.data,
                     .w_row    = i,
                     .w_col    = 1,
                     .packed_w = c->packed,
                     .y        = c->dx[0],
                     .y_row    = i,
                     .add      = c->add[0],
                     .type     = w.type,
                     .y_type   = ls__dx(c, 0).type};
}

static size_t packed_bytes(const ls_node *n, bool backward)
{
    const int64_t i = ls__cols(n->in[0]), o = ls__cols(n->out[0]);
    if (ls__input_type(n, 1) != LS_F32 || n->graph->products) return 0;
    return backward ? ls__gemm_packed_bytes(i, o) : ls__gemm_packed_bytes(o, i);
}

static void pack_forward(const ls_call *c)
{
    const ls_gemm g = forward_product(c);
    ls__gemm_pack(&g, c->packed);
}

static void pack_backward(const ls_call *c)
{
    const ls_gemm g = backward_product(c);
    ls__gemm_pack(&g, c->packed);
}

static void forward(const ls_call *c)
{
    const ls_gemm g = forward_product(c);
    ls__product(c->node->graph->products, &g);
}

/* Workspace: the shard bounds, counted in rows of x, then the partial sums of db. */
static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    (void)rows;
    (void)threads;
    if (!backward) return 0;
    return (size_t)(shards + 1) * sizeof(int64_t) +
           sizeof(float) * ls__column_sums_scratch(ls__cols(n->out[0]), shards);
}

/* Zeroes the gradient of input `in`, `all` floats, outside of [first, first + count). */
static void clear_unused(const ls_call *c, int in, int64_t first, int64_t count, int64_t all)
{
    for (int k = 0; k < c->groups && count < all; k++) {
        float *dx = ls__group_grad(c, in, k);
        if (ls__group_add(c, in, k)) continue;
        memset(dx, 0, (size_t)first * sizeof *dx);
        memset(dx + first + count, 0, (size_t)(all - first - count) * sizeof *dx);
    }
}

/* Computes dw of the selected rows of w.  A sample has `lead` rows of i inputs and o outputs. */
static void backward_weight(const ls_call *c, int64_t lead, int64_t i, int64_t o)
{
    for (int k = 0; k < c->groups; k++) {
        const ls_group *g     = &c->group[k];
        int64_t        *bound = c->scratch, first = c->bound[g->first] * lead;
        for (int s = 0; s <= g->shards; s++) bound[s] = c->bound[g->first + s] * lead - first;
        ls__product(c->node->graph->products, &(ls_gemm){.m      = o,
                                                         .n      = i,
                                                         .k      = bound[g->shards],
                                                         .x      = ls__from(ls__dy(c, 0), first * o).data,
                                                         .x_row  = 1,
                                                         .x_col  = o,
                                                         .w      = ls__from(ls__x(c, 0), first * i).data,
                                                         .w_row  = i,
                                                         .w_col  = 1,
                                                         .y      = ls__group_grad(c, 1, k),
                                                         .y_row  = i,
                                                         .add    = ls__group_add(c, 1, k),
                                                         .splits = g->shards,
                                                         .bound  = bound,
                                                         .type   = ls__x(c, 0).type});
    }
}

static void backward(const ls_call *c)
{
    const ls_tensor *x    = c->node->in[0];
    int64_t          lead = ls__rows(x), i = ls__cols(x), o = ls__cols(c->node->out[0]), all = c->node->in[1]->dim[0];
    const int64_t    first = ((const ls_linear_args *)c->args)->first;
    ls_call          part  = *c; /* its gradients start at the first selected row */
    if (c->dx[0]) {
        const ls_gemm g = backward_product(c);
        ls__product(c->node->graph->products, &g);
    }
    if (c->dx[1]) {
        clear_unused(c, 1, first * i, o * i, all * i);
        part.dx[1] += first * i;
        backward_weight(&part, lead, i, o);
    }
    if (c->dx[2]) {
        clear_unused(c, 2, first, o, all);
        part.dx[2] += first;
        ls__column_sums(&part, 2, lead, o, ls__dy(c, 0), (ls_array){0},
                        (float *)((int64_t *)c->scratch + c->shards + 1));
    }
}

static double flops(const ls_node *n) { return 2.0 * (double)ls__numel(n->out[0]) * (double)ls__cols(n->in[0]); }

LS_OP(linear) = {
    .name             = "linear",
    .args_bytes       = sizeof(ls_linear_args),
    .ins              = 3,
    .outs             = 1,
    .optional         = 1u << 2,
    .saves            = LS_SAVES_IN(0) | LS_SAVES_IN(1),
    .narrow           = 1u << 0 | 1u << 1,
    .recompute_costly = true,
    .fields           = LS_FIELDS(LS_FIELD(INT64, ls_linear_args, first), LS_FIELD(INT64, ls_linear_args, rows)),
    .defers           = true,
    .infer            = infer,
    .forward          = {[LS_CPU] = forward},
    .backward         = {[LS_CPU] = backward},
    .packed_bytes     = packed_bytes,
    .pack             = {pack_forward, pack_backward},
    .scratch          = scratch,
    .flops            = flops,
};
