/* SPDX-License-Identifier: Apache-2.0
 *
 * Concatenation of two tensors along the last dim, or along the first dim of a sample: the channels of images.
 *      x: B x ... x M, y: B x ... x N  ->  z: B x ... x (M + N)
 *
 * Forward     each row of z is a row of x, then a row of y; a row along the first dim is a whole sample
 * Backward    dx and dy are the parts of dz
 */
#include "core/cpu/vector/elementwise.h"
#include "core/ops/infer.h"

static bool channels(const ls_node *n) { return ((const ls_concat_args *)n->args)->channels; }

static ls_status infer(ls_node *n)
{
    const ls_tensor *x = n->in[0], *y = n->in[1];
    LS_TRY(ls__expect_samples(n, 0));
    LS_TRY(ls__expect_samples(n, 1));
    const int along = channels(n) ? 0 : x->rank - 1;
    bool      same  = x->rank == y->rank && x->rank >= 1;
    for (int i = 0; same && i < x->rank; i++) same = i == along || x->dim[i] == y->dim[i];
    LS_NODE_CHECK(n, same, "'%s' is %s and '%s' is %s, expected shapes that differ in the %s dim only", x->name,
                  ls__shape(x), y->name, ls__shape(y), channels(n) ? "first" : "last");
    int64_t dim[LS_MAX_DIMS];
    memcpy(dim, x->dim, sizeof dim);
    dim[along] += y->dim[along];
    ls__out(n, 0, x->type == y->type ? x->type : LS_F32, true, x->rank, dim);
    return LS_OK;
}

/* Rows of the call, and values of input i in a row. */
static int64_t row_count(const ls_call *c) { return channels(c->node) ? c->rows : c->rows * ls__rows(c->node->in[0]); }
static int64_t row_values(const ls_node *n, int i) { return channels(n) ? ls__numel(n->in[i]) : ls__cols(n->in[i]); }

static void forward(const ls_call *c)
{
    const int64_t  rows = row_count(c), m = row_values(c->node, 0), n = row_values(c->node, 1);
    const ls_array x = ls__x(c, 0), y = ls__x(c, 1), z = ls__y(c, 0);
#pragma omp parallel for schedule(static) if (rows * (m + n) >= LS_MAP_PARALLEL)
    for (int64_t r = 0; r < rows; r++) {
        ls__copy(m, ls__from(x, r * m), ls__from(z, r * (m + n)), false);
        ls__copy(n, ls__from(y, r * n), ls__from(z, r * (m + n) + m), false);
    }
}

/* Copies or adds the columns of dz from `first` on, which has `width` columns, to the gradient of an input. */
static void part(const ls_call *c, int input, int64_t first, int64_t width)
{
    const int64_t  rows = row_count(c), count = row_values(c->node, input);
    const ls_array dz = ls__dy(c, 0), dx = ls__dx(c, input);
    if (!dx.data) return;
#pragma omp parallel for schedule(static) if (rows * count >= LS_MAP_PARALLEL)
    for (int64_t r = 0; r < rows; r++)
        ls__copy(count, ls__from(dz, r * width + first), ls__from(dx, r * count), c->add[input]);
}

static void backward(const ls_call *c)
{
    const int64_t m = row_values(c->node, 0), n = row_values(c->node, 1);
    part(c, 0, 0, m + n);
    part(c, 1, m, m + n);
}

LS_OP(concat) = {
    .name       = "concat",
    .args_bytes = sizeof(ls_concat_args),
    .ins        = 2,
    .outs       = 1,
    .either     = 1u << 0 | 1u << 1,
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
};
