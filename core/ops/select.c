/* SPDX-License-Identifier: Apache-2.0
 *
 * One position of each sample.      x: B x T x ...  ->  y: B x ...
 *
 * Forward     y = x[index]
 * Backward    dx[index] = dy, and 0 elsewhere
 *
 * With `each`, in a loop, the index is that of the step.  Backward then leaves the other positions alone: the other
 * steps write them.
 */
#include "core/cpu/vector/elementwise.h"
#include "core/ops/infer.h"

static ls_status infer(ls_node *n)
{
    const ls_tensor      *x = n->in[0];
    const ls_select_args *a = n->args;
    LS_NODE_CHECK(n, x->batched && x->rank >= 1, "'%s' is %s, expected B x T x ...", x->name, ls__shape(x));
    LS_NODE_CHECK(n, a->index < x->dim[0] && a->index >= -x->dim[0], "index is %lld, expected %lld to %lld: '%s' is %s",
                  (long long)a->index, -(long long)x->dim[0], (long long)x->dim[0] - 1, x->name, ls__shape(x));
    ls__out(n, 0, x->type, true, x->rank - 1, x->dim + 1);
    return LS_OK;
}

static bool each_step(const ls_call *c) { return ((const ls_select_args *)c->args)->each && c->steps > 0; }

static int64_t index_of(const ls_call *c)
{
    const int64_t index = ((const ls_select_args *)c->args)->index;
    if (each_step(c)) return c->step;
    return index < 0 ? index + c->node->in[0]->dim[0] : index;
}

static void forward(const ls_call *c)
{
    const int64_t n = ls__numel(c->node->out[0]), t = c->node->in[0]->dim[0], at = index_of(c);
    const size_t  bytes = (size_t)n * ls__dtype_bytes(c->node->out[0]->type);
#pragma omp parallel for schedule(static) if (c->rows * n >= LS_MAP_PARALLEL)
    for (int64_t b = 0; b < c->rows; b++)
        memcpy((char *)c->y[0] + (size_t)b * bytes, (const char *)c->x[0] + (size_t)(b * t + at) * bytes, bytes);
}

static void backward(const ls_call *c)
{
    const int64_t  n = ls__numel(c->node->out[0]), t = c->node->in[0]->dim[0], at = index_of(c);
    const ls_array dx   = ls__dx(c, 0);
    const bool     fill = !each_step(c) && !c->add[0];
#pragma omp parallel for schedule(static) if (c->rows * n >= LS_MAP_PARALLEL)
    for (int64_t b = 0; b < c->rows; b++) {
        if (fill) memset(ls__from(dx, b * t * n).data, 0, (size_t)(t * n) * ls__array_bytes(dx.type));
        ls__copy(n, ls__from(ls__dy(c, 0), b * n), ls__from(dx, (b * t + at) * n), c->add[0]);
    }
}

LS_OP(select) = {
    .name       = "select",
    .args_bytes = sizeof(ls_select_args),
    .ins        = 1,
    .outs       = 1,
    .either     = 1u << 0,
    .fields     = LS_FIELDS(LS_FIELD(INT64, ls_select_args, index)),
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
};
