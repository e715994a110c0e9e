/* SPDX-License-Identifier: Apache-2.0
 *
 * Embedding: lookup of table rows by index (Bengio 2003; in the Transformer, Vaswani 2017).
 *      x: B x ... of int32   w: V x C   ->  y: B x ... x C
 *
 * Forward     y[p] = w[x[p]]
 * Backward    dw[i] = sum of dy[p] over the positions p with x[p] = i
 *             one sequential sum per shard, then the binary tree over shards, row by row
 *
 * An index outside of 0..V-1 gives a row of NaN and no gradient.  The NaN loss stops the run with a message, because
 * invalid data must not be used as another index.
 */
#include <math.h>

#include "core/cpu/vector/elementwise.h"
#include "core/cpu/scatter.h"
#include "core/ops/infer.h"

static ls_status infer(ls_node *n)
{
    const ls_tensor *x = n->in[0], *w = n->in[1];
    LS_NODE_CHECK(n, x->type == LS_I32 && x->batched, "input '%s' is %s of %s, expected samples of int32", x->name,
                  ls__shape(x), ls__dtype_name(x->type));
    LS_NODE_CHECK(n, x->rank < LS_MAX_DIMS, "input '%s' is %s: too many dims", x->name, ls__shape(x));
    LS_TRY(ls__expect_param(n, 1, 2));
    int64_t dim[LS_MAX_DIMS];
    for (int i = 0; i < x->rank; i++) dim[i] = x->dim[i];
    dim[x->rank] = w->dim[1];
    ls__out(n, 0, n->graph->precision, true, x->rank + 1, dim);
    return LS_OK;
}

static void forward(const ls_call *c)
{
    const int64_t count = c->rows * ls__numel(c->node->in[0]), v = c->node->in[1]->dim[0],
                  cols = c->node->in[1]->dim[1];
    const int32_t *x   = c->x[0];
    const float   *w   = c->x[1];
#pragma omp parallel for schedule(static) if (count * cols >= LS_MAP_PARALLEL)
    for (int64_t p = 0; p < count; p++) {
        const bool valid = x[p] >= 0 && x[p] < v;
        for (int64_t first = 0; first < cols; first += LS_MAP_TILE) {
            float         tile[LS_MAP_TILE];
            const int64_t n = cols - first < LS_MAP_TILE ? cols - first : LS_MAP_TILE, at = p * cols + first;
            float        *y = ls__write_begin(ls__y(c, 0), at, n, tile, false);
            if (valid)
                memcpy(y, w + x[p] * cols + first, (size_t)n * sizeof *y);
            else
                V_MAP(n, V_PUT(y, v_set(NAN)));
            ls__write_end(ls__y(c, 0), at, n, y);
        }
    }
}

static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    (void)shards;
    (void)threads;
    return backward ? ls__scatter_scratch(n->in[1]->dim[0], rows * ls__numel(n->in[0])) : 0;
}

static void backward(const ls_call *c)
{
    const ls_tensor *x = c->node->in[0], *w = c->node->in[1];
    ls__scatter_rows(c, 1,
                     &(ls_scatter){.rows    = w->dim[0],
                                   .cols    = w->dim[1],
                                   .lead    = ls__numel(x),
                                   .id      = c->x[0],
                                   .dy      = ls__dy(c, 0),
                                   .scratch = c->scratch});
}

LS_OP(embedding) = {
    .name       = "embedding",
    .args_bytes = sizeof(ls_embedding_args),
    .ins        = 2,
    .outs       = 1,
    .saves      = LS_SAVES_IN(0),
    .no_grad    = 1u << 0,
    .defers     = true,
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
    .scratch    = scratch,
};
