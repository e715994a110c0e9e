/* SPDX-License-Identifier: Apache-2.0
 *
 * Absolute error.      x: B x ...   target: the same   ->  loss: B   weight: B
 *
 * Forward     loss = sum over the elements of a sample of |x - target|
 *             The weight of a sample is its number of elements, so that the mean over all weights is the mean absolute
 *             error.
 * Backward    dx = sign(x - target) dloss; 0 where x = target
 */
#include "core/cpu/vector/elementwise.h"
#include "core/cpu/vector/vmath.h"
#include "core/ops/infer.h"

static ls_status infer(ls_node *n)
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

static void absolute(const void *args, int64_t n, const float *x, const float *t, float *y)
{
    (void)args;
    V_MAP(n, V_PUT(y, v_abs(V_GET(x) - V_GET(t))));
}

static void gradient(const void *args, int64_t n, const float *x, const float *t, float *dx)
{
    const float dloss = *(const float *)args;
    V_MAP(n, vf d = V_GET(x) - V_GET(t);
          V_PUT(dx, v_select(d > 0, v_set(dloss), v_select(d < 0, v_set(-dloss), v_set(0)))));
}

static void forward(const ls_call *c)
{
    int64_t      numel = ls__numel(c->node->in[0]);
    const float *x = c->x[0], *t = c->x[1];
    float       *loss = c->y[0], *weight = c->y[1];
#pragma omp parallel for schedule(static) if (c->rows * numel >= LS_MAP_PARALLEL)
    for (int64_t b = 0; b < c->rows; b++) {
        float value[LS_MAP_TILE], sum = 0;
        for (int64_t first = 0; first < numel; first += LS_MAP_TILE) {
            int64_t n = numel - first < LS_MAP_TILE ? numel - first : LS_MAP_TILE, at = b * numel + first;
            absolute(NULL, n, x + at, t + at, value);
            sum += ls__vsum(n, value);
        }
        loss[b]   = sum;
        weight[b] = (float)numel;
    }
}

static void backward(const ls_call *c)
{
    int64_t      numel = ls__numel(c->node->in[0]);
    const float *x = c->x[0], *t = c->x[1];
#pragma omp parallel for schedule(static) if (c->rows * numel >= LS_MAP_PARALLEL)
    for (int64_t b = 0; b < c->rows; b++)
        for (int64_t first = 0; first < numel; first += LS_MAP_TILE) {
            int64_t n = numel - first < LS_MAP_TILE ? numel - first : LS_MAP_TILE, at = b * numel + first;
            ls__map_tile(gradient, &c->dy[0][b], n, x + at, t + at, c->dx[0] + at, c->add[0]);
        }
}

static double flops(const ls_node *n) { return 3.0 * (double)ls__numel(n->in[0]); }

LS_OP(mae) = {
    .name       = "mae",
    .args_bytes = sizeof(ls_mae_args),
    .ins        = 2,
    .outs       = 2,
    .saves      = LS_SAVES_IN(0) | LS_SAVES_IN(1),
    .no_grad    = 1u << 1,
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
    .flops      = flops,
};
