/* SPDX-License-Identifier: Apache-2.0
 *
 * Shape rule and descriptor of adaptive_avg_pool2d and adaptive_max_pool2d, and of both over one and three dims.
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

/* The windows of all dims. */
static inline ls_windows ls__adaptive_windows(const ls_node *n)
{
    const ls_tensor *x = n->in[0], *y = n->out[0];
    const int        w = x->rank - 1, h = w - 1, d = w - 2; /* dim 0 is the channels */
    return (ls_windows){d > 0 ? ls__adaptive_window(x->dim[d], y->dim[d]) : LS_NO_WINDOW,
                        h > 0 ? ls__adaptive_window(x->dim[h], y->dim[h]) : LS_NO_WINDOW,
                        ls__adaptive_window(x->dim[w], y->dim[w])};
}

/* Declares output 0, and resolves the size. */
static inline ls_status ls__adaptive_infer(ls_node *n)
{
    ls_adaptive_pool_args *a                   = n->args;
    int *const             own[LS_WINDOW_DIMS] = {&a->size_d, &a->size_h, &a->size_w};
    const int              absent              = LS_WINDOW_DIMS - ls__op(n)->dims;
    ls_windows             out                 = {LS_NO_WINDOW, LS_NO_WINDOW, LS_NO_WINDOW};
    ls_window *const       axis[]              = {&out.d, &out.h, &out.w};
    LS_TRY(ls__expect_planes(n));
    for (int i = 0; i < LS_WINDOW_DIMS; i++) {
        if (i < absent) {
            LS_NODE_CHECK(n, *own[i] == 0, "has a size of the dim %c, which its input %s does not have", "dhw"[i],
                          ls__shape(n->in[0]));
            continue;
        }
        if (*own[i] == 0) *own[i] = a->size ? a->size : 1;
        LS_NODE_CHECK(n, *own[i] >= 1, "size_%c must be at least 1, found %d", "dhw"[i], *own[i]);
        axis[i]->out = *own[i];
    }
    ls__out_windows(n, 0, n->in[0]->type, n->in[0]->dim[0], &out);
    return LS_OK;
}

/* The descriptor of adaptive pooling over n dims; more designated initialisers may follow. */
#define LS_ADAPTIVE_POOL(n, ...)                                                                                       \
    {                                                                                                                  \
        .args_bytes = sizeof(ls_adaptive_pool_args), .ins = 1, .either = 1u << 0, .dims = n,                           \
        .fields = LS_FIELDS(LS_WINDOW_FIELDS_##n(ls_adaptive_pool_args, size)), .infer = infer,                        \
        .forward = {[LS_CPU] = forward}, .backward = {[LS_CPU] = backward}, .scratch = ls__plane_scratch,              \
        .flops = flops, __VA_ARGS__                                                                                    \
    }

#endif
