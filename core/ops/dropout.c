/* SPDX-License-Identifier: Apache-2.0
 *
 * Dropout of elements (Srivastava 2014).      x: B x ...  ->  y: B x ...
 *
 * Forward     y = x m,    m = 0 with probability p, else 1 / (1 - p), for each element        inference: y = x
 * Backward    dx = dy m
 */
#include "core/ops/dropout.h"

/* Elements with one factor. */
static int64_t unit(const ls_node *n)
{
    (void)n;
    return 1;
}

static ls_status infer(ls_node *n) { return ls__dropout_infer(n, ls__numel(n->in[0])); }

static void forward(const ls_call *c) { ls__dropout_apply(c, unit(c->node), ls__x(c, 0), ls__y(c, 0), false); }

static void backward(const ls_call *c) { ls__dropout_apply(c, unit(c->node), ls__dy(c, 0), ls__dx(c, 0), c->add[0]); }

LS_OP(dropout) = {LS_DROPOUT_OP, .name = "dropout"};
