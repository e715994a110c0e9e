/* SPDX-License-Identifier: Apache-2.0
 *
 * Conversion between float32 and bfloat16.      x: B x ...  ->  y: B x ... of the other type
 *
 * Forward     y = x, rounded to nearest even if y is bfloat16
 * Backward    dx = dy, in the type of x
 *
 * A graph adds this op by itself where an op needs another type than its input has (core/graph/graph.c).
 */
#include "core/cpu/vector/elementwise.h"
#include "core/ops/infer.h"

static ls_status infer(ls_node *n)
{
    const ls_cast_args *a = n->args;
    const ls_tensor    *x = n->in[0];
    LS_NODE_CHECK(n, a->type == LS_F32 || a->type == LS_BF16, "type is %s, expected float32 or bfloat16",
                  ls__dtype_name(a->type));
    LS_NODE_CHECK(n, x->type == LS_F32 || x->type == LS_BF16, "input '%s' is %s, expected float32 or bfloat16", x->name,
                  ls__dtype_name(x->type));
    ls__out(n, 0, a->type, x->batched, x->rank, x->dim);
    return LS_OK;
}

static void forward(const ls_call *c)
{
    ls__map(ls__map_copy, NULL, c->rows * ls__numel(c->node->in[0]), ls__x(c, 0), (ls_array){0}, ls__y(c, 0), false);
}

static void backward(const ls_call *c)
{
    ls__map(ls__map_copy, NULL, c->rows * ls__numel(c->node->in[0]), ls__dy(c, 0), (ls_array){0}, ls__dx(c, 0),
            c->add[0]);
}

LS_OP(cast) = {
    .name       = "cast",
    .args_bytes = sizeof(ls_cast_args),
    .ins        = 1,
    .outs       = 1,
    .either     = 1u << 0,
    .fields     = LS_FIELDS(LS_FIELD_OF(ls__dtype_names, ls_cast_args, type)),
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
};
