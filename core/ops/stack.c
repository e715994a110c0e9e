/* SPDX-License-Identifier: Apache-2.0
 *
 * The values of all steps of a loop (ls_loop_stack).      x: B x ...  ->  y: B x T x ...
 *
 * Forward     y[step] = x
 * Backward    dx = dy[step]
 *
 * Outside of a loop T is 1.
 */
#include "core/cpu/vector/elementwise.h"
#include "core/graph/loop.h"
#include "core/ops/infer.h"

static ls_status infer(ls_node *n)
{
    const ls_tensor *x                = n->in[0];
    int64_t          dim[LS_MAX_DIMS] = {n->loop ? ls__loop_steps(n->loop) : 1};
    LS_NODE_CHECK(n, x->batched && x->rank < LS_MAX_DIMS, "'%s' is %s, expected samples of at most %d dims", x->name,
                  ls__shape(x), LS_MAX_DIMS - 1);
    memcpy(dim + 1, x->dim, (size_t)x->rank * sizeof *dim);
    ls__out(n, 0, x->type, true, x->rank + 1, dim);
    return LS_OK;
}

static void forward(const ls_call *c)
{
    const int64_t n = ls__numel(c->node->in[0]), t = c->node->out[0]->dim[0];
    const size_t  bytes = (size_t)n * ls__dtype_bytes(c->node->in[0]->type);
#pragma omp parallel for schedule(static) if (c->rows * n >= LS_MAP_PARALLEL)
    for (int64_t b = 0; b < c->rows; b++)
        memcpy((char *)c->y[0] + (size_t)(b * t + c->step) * bytes, (const char *)c->x[0] + (size_t)b * bytes, bytes);
}

static void backward(const ls_call *c)
{
    const int64_t n = ls__numel(c->node->in[0]), t = c->node->out[0]->dim[0];
#pragma omp parallel for schedule(static) if (c->rows * n >= LS_MAP_PARALLEL)
    for (int64_t b = 0; b < c->rows; b++)
        ls__copy(n, ls__from(ls__dy(c, 0), (b * t + c->step) * n), ls__from(ls__dx(c, 0), b * n), c->add[0]);
}

LS_OP(stack) = {
    .name       = "stack",
    .args_bytes = sizeof(ls_unary_args),
    .ins        = 1,
    .outs       = 1,
    .either     = 1u << 0,
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
};
