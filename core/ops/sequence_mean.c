/* SPDX-License-Identifier: Apache-2.0
 *
 * Mean of the first positions of each sample.      x: B x T x C   lengths: B of int32  ->  y: B x C
 *
 * Forward     y = 1/n sum over t < n of x[t],  n = lengths clamped to 0 .. T; 0 where n is 0
 * Backward    dx[t] = dy / n for t < n, else 0
 *
 * The sum is one chain from the first position to the last, so the bits do not depend on T.  Positions from n on are
 * not read.
 */
#include "core/base/integer.h"
#include "core/ops/reduce.h"

static ls_status infer(ls_node *n)
{
    const ls_tensor *x = n->in[0], *lengths = n->in[1];
    LS_TRY(ls__expect_samples(n, 0));
    LS_NODE_CHECK(n, x->rank == 2, "input '%s' is %s, expected B x T x C", x->name, ls__shape(x));
    LS_NODE_CHECK(n, lengths->type == LS_I32 && lengths->batched && lengths->rank == 0,
                  "the lengths '%s' are %s of %s, expected one int32 per sample", lengths->name, ls__shape(lengths),
                  ls__dtype_name(lengths->type));
    ls__out(n, 0, x->type, true, 1, &x->dim[1]);
    return LS_OK;
}

static int64_t length_of(const ls_call *c, int64_t sample)
{
    return ls__max(0, ls__min(((const int32_t *)c->x[1])[sample], c->node->in[0]->dim[0]));
}

static float share(int64_t length) { return length ? 1 / (float)length : 0; }

static void forward(const ls_call *c)
{
    const int64_t times = c->node->in[0]->dim[0], cols = c->node->in[0]->dim[1],
                  tiles = ls__ceil_div(cols, LS_MAP_TILE);
#pragma omp parallel for schedule(static) if (c->rows * times * cols >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < c->rows * tiles; k++) {
        const int64_t b = k / tiles, first = k % tiles * LS_MAP_TILE, n = length_of(c, b);
        ls__reduce_columns(ls__from(ls__x(c, 0), b * times * cols + first), n, cols, ls__min(cols - first, LS_MAP_TILE),
                           share(n), ls__from(ls__y(c, 0), b * cols + first));
    }
}

static void backward(const ls_call *c)
{
    const int64_t times = c->node->in[0]->dim[0], cols = c->node->in[0]->dim[1],
                  tiles = ls__ceil_div(cols, LS_MAP_TILE);
    const ls_array dy = ls__dy(c, 0), dx = ls__dx(c, 0);
#pragma omp parallel for schedule(static) if (c->rows * times * cols >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < c->rows * times * tiles; k++) {
        const int64_t row = k / tiles, b = row / times, first = k % tiles * LS_MAP_TILE, n = length_of(c, b),
                      width = ls__min(cols - first, LS_MAP_TILE);
        const ls_array to   = ls__from(dx, row * cols + first);
        if (row % times < n)
            ls__reduce_spread(ls__from(dy, b * cols + first), false, width, share(n), to, c->add[0]);
        else if (!c->add[0])
            memset(to.data, 0, (size_t)width * ls__array_bytes(dx.type));
    }
}

LS_OP(sequence_mean) = {
    .name       = "sequence_mean",
    .args_bytes = sizeof(ls_sequence_mean_args),
    .ins        = 2,
    .outs       = 1,
    .either     = 1u << 0,
    .saves      = LS_SAVES_IN(1),
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
    .flops      = ls__reduce_flops,
};
