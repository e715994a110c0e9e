/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of a parameter before the rows of each sample: the class token of BERT and ViT (Dosovitskiy 2021).
 *      x: B x T x C   w: N x C  ->  y: B x (N + T) x C
 *
 * Forward     y[n] = w[n],  y[N + t] = x[t]
 * Backward    dx[t] = dy[N + t]
 *             dw[n] = sum of dy[n] over the samples: one sequential sum per shard, then the binary tree over shards
 */
#include "core/cpu/scatter.h"
#include "core/cpu/vector/elementwise.h"
#include "core/ops/infer.h"

static ls_status infer(ls_node *n)
{
    const ls_tensor *x = n->in[0], *w = n->in[1];
    LS_TRY(ls__expect_samples(n, 0));
    LS_NODE_CHECK(n, x->rank == 2, "input '%s' is %s, expected B x T x C", x->name, ls__shape(x));
    LS_TRY(ls__expect_param(n, 1, 2));
    LS_NODE_CHECK(n, w->dim[1] == x->dim[1], "input '%s' is %s and the rows '%s' are %s: the last dims differ", x->name,
                  ls__shape(x), w->name, ls__shape(w));
    ls__out(n, 0, x->type, true, 2, (const int64_t[]){w->dim[0] + x->dim[0], x->dim[1]});
    return LS_OK;
}

static void forward(const ls_call *c)
{
    const int64_t  rows = ls__numel(c->node->in[1]), n = ls__numel(c->node->in[0]);
    const ls_array x = ls__x(c, 0), w = ls__f32((float *)(uintptr_t)c->x[1]), y = ls__y(c, 0);
#pragma omp parallel for schedule(static) if (c->rows * (rows + n) >= LS_MAP_PARALLEL)
    for (int64_t b = 0; b < c->rows; b++) {
        ls__copy(rows, w, ls__from(y, b * (rows + n)), false);
        ls__copy(n, ls__from(x, b * n), ls__from(y, b * (rows + n) + rows), false);
    }
}

/* Workspace of backward: that of the sums, and the row of w of each row of dy. */
static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    const int64_t count = rows * n->out[0]->dim[0];
    (void)shards;
    (void)threads;
    return backward ? ls__scatter_scratch(n->in[1]->dim[0], count) + (size_t)count * sizeof(int32_t) : 0;
}

static void backward_rows(const ls_call *c)
{
    const ls_tensor *w    = c->node->in[1];
    const int64_t    lead = c->node->out[0]->dim[0], count = c->rows * lead;
    int32_t         *id = (int32_t *)((char *)c->scratch + ls__scatter_scratch(w->dim[0], count));
    for (int64_t p = 0; p < count; p++) id[p] = p % lead < w->dim[0] ? (int32_t)(p % lead) : -1;
    ls__scatter_rows(
        c, 1,
        &(ls_scatter){
            .rows = w->dim[0], .cols = w->dim[1], .lead = lead, .id = id, .dy = ls__dy(c, 0), .scratch = c->scratch});
}

static void backward(const ls_call *c)
{
    const int64_t  rows = ls__numel(c->node->in[1]), n = ls__numel(c->node->in[0]);
    const ls_array dx = ls__dx(c, 0), dy = ls__dy(c, 0);
    if (c->dx[1]) backward_rows(c);
    if (!dx.data) return;
#pragma omp parallel for schedule(static) if (c->rows * n >= LS_MAP_PARALLEL)
    for (int64_t b = 0; b < c->rows; b++)
        ls__copy(n, ls__from(dy, b * (rows + n) + rows), ls__from(dx, b * n), c->add[0]);
}

LS_OP(prepend) = {
    .name       = "prepend",
    .args_bytes = sizeof(ls_prepend_args),
    .ins        = 2,
    .outs       = 1,
    .either     = 1u << 0,
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
    .scratch    = scratch,
};
