/* SPDX-License-Identifier: Apache-2.0
 *
 * A value that a loop hands from step to step.  One node before the loop makes the value of the first step
 * (ls_loop_carry), one in its body that of the next step (ls_loop_next).      x: B x ... or none  ->  y: B x ...
 *
 * Forward     y = x, or zeros of B x width
 * Backward    dx = dy; in the last step of a loop 0, because no step reads that value
 */
#include "core/cpu/vector/elementwise.h"
#include "core/ops/infer.h"

static ls_status infer(ls_node *n)
{
    const ls_tensor     *x = n->in[0];
    const ls_carry_args *a = n->args;
    if (!x) {
        LS_NODE_CHECK(n, a->width >= 1, "the width is %lld, expected at least 1", (long long)a->width);
        ls__out(n, 0, LS_F32, true, 1, &a->width);
        return LS_OK;
    }
    LS_NODE_CHECK(n, x->batched, "'%s' (%s) has no batch dim", x->name, ls__shape(x));
    ls__out_like(n, 0, x);
    return LS_OK;
}

static void forward(const ls_call *c)
{
    const ls_tensor *y     = c->node->out[0];
    const size_t     bytes = (size_t)(c->rows * ls__numel(y)) * ls__dtype_bytes(y->type);
    if (c->x[0])
        memcpy(c->y[0], c->x[0], bytes);
    else
        memset(c->y[0], 0, bytes);
}

static void backward(const ls_call *c)
{
    const int64_t  n  = c->rows * ls__numel(c->node->out[0]);
    const ls_array dx = ls__dx(c, 0);
    if (c->steps == 0 || c->step + 1 < c->steps)
        ls__map(ls__map_copy, NULL, n, ls__dy(c, 0), (ls_array){0}, dx, c->add[0]);
    else if (!c->add[0])
        memset(dx.data, 0, (size_t)n * ls__array_bytes(dx.type));
}

LS_OP(carry) = {
    .name       = "carry",
    .args_bytes = sizeof(ls_carry_args),
    .ins        = 1,
    .outs       = 1,
    .optional   = 1u << 0,
    .either     = 1u << 0,
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
};
