/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of inputs and shape rules that several ops use.
 */
#ifndef LS_CORE_OPS_INFER_H
#define LS_CORE_OPS_INFER_H

#include "core/graph/graph.h"

/* Checks that input i is a batch of samples of float32, or bfloat16 where the op's descriptor allows it. */
static inline ls_status ls__expect_samples(const ls_node *n, int i)
{
    const ls_tensor *x = n->in[i];
    LS_NODE_CHECK(n, x->type == LS_F32 || x->type == LS_BF16, "input '%s' is %s, expected float32", x->name,
                  ls__dtype_name(x->type));
    LS_NODE_CHECK(n, x->batched,
                  "input '%s' (%s) has no batch dim" LS_HINT
                  "give a tensor of samples here; a parameter can only be an operand beside one",
                  x->name, ls__shape(x));
    return LS_OK;
}

/* Checks that input i is a parameter (or computed from parameters alone) with `rank` dims. */
static inline ls_status ls__expect_param(const ls_node *n, int i, int rank)
{
    const ls_tensor *w = n->in[i];
    LS_NODE_CHECK(n, !w->batched && w->type == LS_F32 && w->rank == rank,
                  "'%s' is %s of %s, expected a parameter of %d dims", w->name, ls__shape(w), ls__dtype_name(w->type),
                  rank);
    return LS_OK;
}

/* Checks that input i, if given, is one int32 per sample: the position of the sample's first row. */
static inline ls_status ls__expect_start(const ls_node *n, int i)
{
    const ls_tensor *start = n->in[i];
    LS_NODE_CHECK(n, !start || (start->type == LS_I32 && start->batched && start->rank == 0),
                  "the start '%s' is %s of %s, expected one int32 per sample: the position of its first row",
                  start->name, ls__shape(start), ls__dtype_name(start->type));
    return LS_OK;
}

/* Checks that input 0 has at least one dim, and that the other inputs, if given, are parameters of its last dim. */
static inline ls_status ls__expect_row_params(const ls_node *n)
{
    const ls_tensor *x = n->in[0];
    LS_NODE_CHECK(n, x->rank >= 1, "input '%s' is %s, expected at least one dim besides the batch", x->name,
                  ls__shape(x));
    for (int i = 1; i < n->ins; i++) {
        if (!n->in[i]) continue;
        LS_TRY(ls__expect_param(n, i, 1));
        LS_NODE_CHECK(n, n->in[i]->dim[0] == ls__cols(x), "'%s' is %s and the input '%s' is %s: the last dims differ",
                      n->in[i]->name, ls__shape(n->in[i]), x->name, ls__shape(x));
    }
    return LS_OK;
}

/* Shape rule of ops whose output has the shape of their one input. */
static inline ls_status ls__infer_same(ls_node *n)
{
    LS_TRY(ls__expect_samples(n, 0));
    ls__out_like(n, 0, n->in[0]);
    return LS_OK;
}

/* Shape rule of add and mul: y has the shape of x, or is a parameter that has the last dims of x.  The result is
 * float32 if one of two batched operands is. */
static inline ls_status ls__infer_broadcast(ls_node *n)
{
    const ls_tensor *x = n->in[0], *y = n->in[1];
    LS_TRY(ls__expect_samples(n, 0));
    LS_NODE_CHECK(n, y->type == LS_F32 || y->type == LS_BF16, "input '%s' is %s, expected float32", y->name,
                  ls__dtype_name(y->type));
    bool same = y->batched ? y->rank == x->rank : y->rank <= x->rank;
    for (int i = 1; same && i <= y->rank; i++) same = y->dim[y->rank - i] == x->dim[x->rank - i];
    LS_NODE_CHECK(n, same,
                  "'%s' is %s and '%s' is %s" LS_HINT
                  "the two shapes must be equal, or the second a parameter with the last dims of the first",
                  x->name, ls__shape(x), y->name, ls__shape(y));
    ls__out(n, 0, x->type == LS_BF16 && (!y->batched || y->type == LS_BF16) ? LS_BF16 : LS_F32, true, x->rank, x->dim);
    return LS_OK;
}

#endif
