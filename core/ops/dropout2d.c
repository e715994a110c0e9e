/* SPDX-License-Identifier: Apache-2.0
 *
 * Dropout of channels (Tompson 2015).      x: B x C x ...  ->  y: B x C x ...
 *
 * Forward     y = x m,    m = 0 with probability p, else 1 / (1 - p), for each channel of a sample; inference: y = x
 * Backward    dx = dy m
 */
#include "core/ops/dropout.h"

/* Elements with one factor. */
static int64_t unit(const ls_node *n) { return ls__numel(n->in[0]) / n->in[0]->dim[0]; }

static ls_status infer(ls_node *n)
{
    const ls_tensor *x = n->in[0];
    LS_NODE_CHECK(n, x->rank >= 2, "the input '%s' is %s, expected B x C x ...: channels of several elements", x->name,
                  ls__shape(x));
    return ls__dropout_infer(n, x->dim[0]);
}

static void forward(const ls_call *c) { ls__dropout_apply(c, unit(c->node), ls__x(c, 0), ls__y(c, 0), false); }

static void backward(const ls_call *c) { ls__dropout_apply(c, unit(c->node), ls__dy(c, 0), ls__dx(c, 0), c->add[0]); }

LS_OP(dropout2d) = {LS_DROPOUT_OP, .name = "dropout2d"};
