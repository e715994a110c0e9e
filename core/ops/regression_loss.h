/* SPDX-License-Identifier: Apache-2.0
 *
 * Losses that sum an error over the elements of a sample, shared by mse and mae.  Not public.
 *
 *     x: B x ...   target: B x ...   ->  loss: B   weight: B, the number of elements of a sample
 */
#ifndef LS_CORE_OPS_REGRESSION_LOSS_H
#define LS_CORE_OPS_REGRESSION_LOSS_H

#include "core/cpu/vector/elementwise.h"
#include "core/cpu/vector/vmath.h"
#include "core/ops/infer.h"

static inline ls_status ls__regression_infer(ls_node *n)
{
    const ls_tensor *x = n->in[0], *t = n->in[1];
    LS_TRY(ls__expect_samples(n, 0));
    LS_TRY(ls__expect_samples(n, 1));
    bool same = x->rank == t->rank;
    for (int i = 0; same && i < x->rank; i++) same = x->dim[i] == t->dim[i];
    LS_NODE_CHECK(n, same, "'%s' is %s and the target '%s' is %s, expected one shape", x->name, ls__shape(x), t->name,
                  ls__shape(t));
    ls_tensor *loss = ls__out(n, 0, LS_F32, true, 0, NULL);
    loss->weight    = ls__out(n, 1, LS_F32, true, 0, NULL);
    return LS_OK;
}

/* value_of: the error of each element of a tile. */
static inline void ls__regression_forward(const ls_call *c, ls__elementwise_fn *value_of)
{
    int64_t      numel = ls__numel(c->node->in[0]);
    const float *x = c->x[0], *t = c->x[1];
    float       *loss = c->y[0], *weight = c->y[1];
#pragma omp parallel for schedule(static) if (c->rows * numel >= LS_MAP_PARALLEL)
    for (int64_t b = 0; b < c->rows; b++) {
        float value[LS_MAP_TILE], sum = 0;
        for (int64_t first = 0; first < numel; first += LS_MAP_TILE) {
            int64_t n = numel - first < LS_MAP_TILE ? numel - first : LS_MAP_TILE, at = b * numel + first;
            value_of(NULL, n, x + at, t + at, value);
            sum += ls__vsum(n, value);
        }
        loss[b]   = sum;
        weight[b] = (float)numel;
    }
}

/* gradient: the derivative of the error of each element, times the gradient of the loss, which is its argument. */
static inline void ls__regression_backward(const ls_call *c, ls__elementwise_fn *gradient)
{
    const int64_t numel = ls__numel(c->node->in[0]);
#pragma omp parallel for schedule(static) if (c->rows * numel >= LS_MAP_PARALLEL)
    for (int64_t b = 0; b < c->rows; b++)
        for (int64_t first = 0; first < numel; first += LS_MAP_TILE) {
            int64_t n = numel - first < LS_MAP_TILE ? numel - first : LS_MAP_TILE, at = b * numel + first;
            ls__map_tile(gradient, &c->dy[0][b], n, at, ls__x(c, 0), at, ls__x(c, 1), ls__dx(c, 0), c->add[0]);
        }
}

#endif
