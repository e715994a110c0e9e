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
