/* SPDX-License-Identifier: Apache-2.0
 *
 * The same memory with other dims; the batch stays first.      x: B x ...  ->  y: B x dims
 *
 * One dim may be -1 and is then inferred from the number of elements.  The result and its gradient are views: nothing
 * is computed.
 */
#include "core/ops/infer.h"

static ls_status infer(ls_node *n)
{
    ls_dims          dims  = ((const ls_reshape_args *)n->args)->dims;
    const ls_tensor *x     = n->in[0];
    int64_t          known = 1, numel = ls__numel(x);
    int              inferred = -1;
    LS_NODE_CHECK(n, x->batched, "input '%s' (%s) has no batch dim", x->name, ls__shape(x));
    LS_NODE_CHECK(n, dims.rank <= LS_MAX_DIMS, "%d dims, expected at most %d", dims.rank, LS_MAX_DIMS);
    for (int i = 0; i < dims.rank; i++) {
        LS_NODE_CHECK(n, dims.dim[i] >= 1 || dims.dim[i] == -1,
                      "dim %d is %lld, expected a positive number, or -1 for an inferred dim", i,
                      (long long)dims.dim[i]);
        LS_NODE_CHECK(n, dims.dim[i] != -1 || inferred < 0, "dims %d and %d are both -1, expected one at most",
                      inferred, i);
        if (dims.dim[i] == -1)
            inferred = i;
        else if (__builtin_mul_overflow(known, dims.dim[i], &known))
            known = INT64_MAX;
    }
    LS_NODE_CHECK(n, inferred < 0 ? known == numel : numel % known == 0,
                  "'%s' is %s: its %lld elements do not fit dims of %lld elements%s", x->name, ls__shape(x),
                  (long long)numel, (long long)known, inferred < 0 ? "" : " and an inferred dim");
    if (inferred >= 0) dims.dim[inferred] = numel / known;
    ls__out(n, 0, x->type, true, dims.rank, dims.dim);
    return LS_OK;
}

static double flops(const ls_node *n) { return 0 * (double)n->ins; }

LS_OP(reshape) = {
    .name       = "reshape",
    .args_bytes = sizeof(ls_reshape_args),
    .ins        = 1,
    .outs       = 1,
    .view       = true,
    .either     = 1u << 0,
    .fields     = LS_FIELDS(LS_FIELD(DIMS, ls_reshape_args, dims)),
    .infer      = infer,
    .flops      = flops,
};
