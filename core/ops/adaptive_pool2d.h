/* SPDX-License-Identifier: Apache-2.0
 *
 * Shape rule of adaptive_avg_pool2d and adaptive_max_pool2d.
 */
#ifndef LS_CORE_OPS_ADAPTIVE_POOL2D_H
#define LS_CORE_OPS_ADAPTIVE_POOL2D_H

#include "core/ops/pool2d.h"

/* The windows of one dim.  Windows of one size are those of ordinary pooling, which has faster loops. */
static inline ls_window ls__adaptive_window(int64_t in, int64_t out)
{
    if (in % out != 0 || out == 1) return (ls_window){.in = in, .out = out, .dilation = 1, .adaptive = true};
    return (ls_window){.in = in, .out = out, .kernel = in / out, .stride = in / out, .dilation = 1};
}

/* The windows of both dims. */
static inline void ls__adaptive_windows(const ls_node *n, ls_window *h, ls_window *w)
{
    const ls_tensor *x = n->in[0], *y = n->out[0];
    *h = ls__adaptive_window(x->dim[1], y->dim[1]);
    *w = ls__adaptive_window(x->dim[2], y->dim[2]);
}

/* Declares output 0, and resolves the size. */
static inline ls_status ls__adaptive_infer(ls_node *n)
{
    ls_adaptive_pool2d_args *a = n->args;
    const ls_tensor         *x = n->in[0];
    LS_TRY(ls__expect_planes(n));
    const int both = a->size ? a->size : 1;
    if (a->size_h == 0) a->size_h = both;
    if (a->size_w == 0) a->size_w = both;
    LS_NODE_CHECK(n, a->size_h >= 1 && a->size_w >= 1, "size must be at least 1, found %d x %d", a->size_h, a->size_w);
    ls__out(n, 0, x->type, true, 3, (const int64_t[]){x->dim[0], a->size_h, a->size_w});
    return LS_OK;
}

/* Descriptor members with one value in both ops. */
#define LS_ADAPTIVE_POOL2D_OP                                                                                          \
    .args_bytes = sizeof(ls_adaptive_pool2d_args), .ins = 1, .either = 1u << 0,                                        \
    .fields = LS_FIELDS(LS_FIELD(INT, ls_adaptive_pool2d_args, size), LS_FIELD(INT, ls_adaptive_pool2d_args, size_h),  \
                        LS_FIELD(INT, ls_adaptive_pool2d_args, size_w)),                                               \
    .infer = infer, .forward = {[LS_CPU] = forward}, .backward = {[LS_CPU] = backward}, .scratch = ls__plane_scratch

#endif
