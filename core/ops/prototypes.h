/* SPDX-License-Identifier: Apache-2.0
 * The public face of the ops; part of core/core.h. */
#ifndef LS_CORE_OPS_PROTOTYPES_H
#define LS_CORE_OPS_PROTOTYPES_H

#include "core/ops/list.h"

typedef enum ls_op_id {
#define X(name) LS_OP_##name,
    LS_OP_LIST(X)
#undef X
        LS_OP_COUNT
} ls_op_id;

/* y = x w^T + b          x: B x ... x I   w: O x I   b: O or NULL   y: B x ... x O */
typedef struct ls_linear_args { ls_tensor *x, *w, *b; } ls_linear_args;
#define ls_linear_op(...) LS_APPLY(linear, ls_linear_args, __VA_ARGS__)

/* y[o] = b[o] + sum over c of w[o, c] * x[c]      (* is cross-correlation, as in PyTorch)
 * x: B x C x H x W   w: O x C/groups x KH x KW   b: O or NULL   y: B x O x OH x OW, OH = (H + 2 padding_h - dilation_h (KH - 1) - 1) / stride_h + 1
 * Of stride (1 if not given), padding (0) and dilation (1), the one for a dim goes before the one for both. */
typedef struct ls_conv2d_args {
    ls_tensor *x, *w, *b;
    int        stride, stride_h, stride_w;
    int        padding, padding_h, padding_w;
    int        dilation, dilation_h, dilation_w;
    int        groups;
} ls_conv2d_args;
#define ls_conv2d_op(...) LS_APPLY(conv2d, ls_conv2d_args, __VA_ARGS__)

/* y[c, i, j] = max over the window at (i stride_h - padding_h, j stride_w - padding_w) of x[c]; the first of equals, NaN if there is one
 * x: B x C x H x W   y: B x C x OH x OW, OH = (H + 2 padding_h - dilation_h (kernel_h - 1) - 1) / stride_h + 1; rounded up with
 * ceil_mode, unless the last window would start in the padding behind.  The stride, if not given, is the kernel. */
typedef struct ls_max_pool2d_args {
    ls_tensor *x;
    int        kernel, kernel_h, kernel_w;
    int        stride, stride_h, stride_w;
    int        padding, padding_h, padding_w;
    int        dilation, dilation_h, dilation_w;
    bool       ceil_mode;
} ls_max_pool2d_args;
#define ls_max_pool2d(...) LS_APPLY(max_pool2d, ls_max_pool2d_args, __VA_ARGS__)

/* y[c, i, j] = mean of the window; zeros of the padding count, unless exclude_padding (PyTorch's count_include_pad=False)
 * x: B x C x H x W   y: B x C x OH x OW, as for max_pool2d */
typedef struct ls_avg_pool2d_args {
    ls_tensor *x;
    int        kernel, kernel_h, kernel_w;
    int        stride, stride_h, stride_w;
    int        padding, padding_h, padding_w;
    bool       ceil_mode, exclude_padding;
} ls_avg_pool2d_args;
#define ls_avg_pool2d(...) LS_APPLY(avg_pool2d, ls_avg_pool2d_args, __VA_ARGS__)

/* y = max(x, 0) */
#define ls_relu(...) LS_APPLY(relu, ls_unary_args, __VA_ARGS__)

/* y_i = exp(x_i) / sum_j exp(x_j), over the last dim */
#define ls_softmax(...) LS_APPLY(softmax, ls_unary_args, __VA_ARGS__)

/* loss = sum of -log softmax(logits)[target] over the positions of a sample that are not ignored      loss: B
 * logits: B x ... x V   target: B x ... of int32.   Its mean over all positions is what a run reports, and what the
 * gradients are of: PyTorch's cross_entropy(reduction='mean').  Label smoothing as there (Szegedy 2016). */
typedef struct ls_cross_entropy_args {
    ls_tensor *logits, *target;
    float      label_smoothing;
    bool       ignore;       /* positions whose target is ignore_index do not count */
    int        ignore_index;
} ls_cross_entropy_args;
#define ls_cross_entropy(...) LS_APPLY(cross_entropy, ls_cross_entropy_args, __VA_ARGS__)

#endif
