/* SPDX-License-Identifier: Apache-2.0
 * The public face of the ops; part of core/core.h. */
#ifndef LS_CORE_OPS_OP_PROTOTYPES_H
#define LS_CORE_OPS_OP_PROTOTYPES_H

#include "core/ops/op_list.h"

typedef enum ls_op_id {
#define X(name) LS_OP_##name,
    LS_OP_LIST(X)
#undef X
        LS_OP_COUNT
} ls_op_id;

/* y = x w^T + b                                        x: B x ... x I   w: O x I   b: O or NULL   y: B x ... x O
 * With rows, w and b are the rows [first, first + rows) of the parameters given, and O is their number: of weights that
 * are stored as one. */
typedef struct ls_linear_args {
    ls_tensor *x, *w, *b;
    int64_t    first, rows; /* 0: all */
} ls_linear_args;
#define ls_linear_op(...) LS_APPLY(linear, ls_linear_args, __VA_ARGS__)

/* ---- tables and positions ---------------------------------------------------------------------------------------- */

/* y = w[x]; NaN for an index outside of 0..V-1         x: B x ... of int32   w: V x C   y: B x ... x C */
typedef struct ls_embedding_args {
    ls_tensor *x, *w;
} ls_embedding_args;
#define ls_embedding_op(...) LS_APPLY(embedding, ls_embedding_args, __VA_ARGS__)

/* y[t] = x[t] + w[start + t]                           x: B x T x C   w: N x C   start: B of int32, or NULL: 0   y: B x
 * T x C w NULL: sinusoids (Vaswani 2017), sin(n / 10000^(2 i / C)) in column 2 i and the cosine in 2 i + 1 of position
 * n. A position outside of the table gives NaN. */
typedef struct ls_add_position_args {
    ls_tensor *x, *w, *start;
} ls_add_position_args;
#define ls_add_position(...) LS_APPLY(add_position, ls_add_position_args, __VA_ARGS__)

/* Pairs of a head's elements, turned by angles that grow with the position n = start + t (Su 2021):
 * y1 = x1 cos(n f_i) - x2 sin(n f_i),  y2 = x2 cos(n f_i) + x1 sin(n f_i),  f_i = base^(-2 i / D)
 * x: B x T x (heads D)   start: B of int32, or NULL: 0   y: like x.   Pair i is (x[i], x[i + D/2]), as in Hugging
 * Face's Llama */
typedef struct ls_rotary_args {
    ls_tensor *x, *start;
    int        heads;       /* 0: 1                                                                              */
    int        rotate;      /* of the heads, the first ones that are turned, the others being copied; 0: all     */
    float      base;        /* 0: 10000                                                                          */
    bool       interleaved; /* pair i is (x[2 i], x[2 i + 1])                                                    */
} ls_rotary_args;
#define ls_rotary(...) LS_APPLY(rotary, ls_rotary_args, __VA_ARGS__)

/* ---- products and masks ------------------------------------------------------------------------------------------ */

/* z = x y, for each pair of matrices                   x: B x ... x M x K   y: B x ... x K x N   z: B x ... x M x N
 * transpose_x: x is B x ... x K x M; transpose_y: y is B x ... x N x K */
typedef struct ls_matmul_args {
    ls_tensor *x, *y;
    bool       transpose_x, transpose_y;
} ls_matmul_args;
#define ls_matmul(...) LS_APPLY(matmul, ls_matmul_args, __VA_ARGS__)

/* Attention scores: y = x + mask, and -inf where a key is padding or, if causal, comes after its query
 * x: B x H x T x S   key_padding: B x S of int32, not 0: padding; or NULL   mask: T x S or H x T x S, a parameter or B
 * of them; or NULL */
typedef struct ls_mask_args {
    ls_tensor *x, *key_padding, *mask;
    bool       causal;
} ls_mask_args;
#define ls_mask(...) LS_APPLY(mask, ls_mask_args, __VA_ARGS__)

/* ---- windows ----------------------------------------------------------------------------------------------------- */

/* y[o] = b[o] + sum over c of w[o, c] * x[c]      (* is cross-correlation, as in PyTorch)
 * x: B x C x H x W   w: O x C/groups x KH x KW   b: O or NULL   y: B x O x OH x OW, OH = (H + 2 padding_h - dilation_h
 * (KH - 1) - 1) / stride_h + 1 Of stride (1 if not given), padding (0) and dilation (1), the one for a dim goes before
 * the one for both. */
typedef struct ls_conv2d_args {
    ls_tensor *x, *w, *b;
    int        stride, stride_h, stride_w;
    int        padding, padding_h, padding_w;
    int        dilation, dilation_h, dilation_w;
    int        groups;
} ls_conv2d_args;
#define ls_conv2d_op(...) LS_APPLY(conv2d, ls_conv2d_args, __VA_ARGS__)

/* y[c, i, j] = max over the window at (i stride_h - padding_h, j stride_w - padding_w) of x[c]; the first of equals,
 * NaN if there is one x: B x C x H x W   y: B x C x OH x OW, OH = (H + 2 padding_h - dilation_h (kernel_h - 1) - 1) /
 * stride_h + 1; rounded up with ceil_mode, unless the last window would start in the padding behind.  The stride, if
 * not given, is the kernel. */
typedef struct ls_max_pool2d_args {
    ls_tensor *x;
    int        kernel, kernel_h, kernel_w;
    int        stride, stride_h, stride_w;
    int        padding, padding_h, padding_w;
    int        dilation, dilation_h, dilation_w;
    bool       ceil_mode;
} ls_max_pool2d_args;
#define ls_max_pool2d(...) LS_APPLY(max_pool2d, ls_max_pool2d_args, __VA_ARGS__)

/* y[c, i, j] = mean of the window; zeros of the padding count, unless exclude_padding (PyTorch's
 * count_include_pad=False) x: B x C x H x W   y: B x C x OH x OW, as for max_pool2d */
typedef struct ls_avg_pool2d_args {
    ls_tensor *x;
    int        kernel, kernel_h, kernel_w;
    int        stride, stride_h, stride_w;
    int        padding, padding_h, padding_w;
    bool       ceil_mode, exclude_padding;
} ls_avg_pool2d_args;
#define ls_avg_pool2d(...) LS_APPLY(avg_pool2d, ls_avg_pool2d_args, __VA_ARGS__)

/* ---- one element at a time --------------------------------------------------------------------------------------- */

/* y = max(x, 0) */
#define ls_relu(...) LS_APPLY(relu, ls_unary_args, __VA_ARGS__)

/* y = x where x > 0, else slope x */
typedef struct ls_leaky_relu_args {
    ls_tensor *x;
    float      slope; /* 0: 0.01 */
} ls_leaky_relu_args;
#define ls_leaky_relu(...) LS_APPLY(leaky_relu, ls_leaky_relu_args, __VA_ARGS__)

/* y = tanh x */
#define ls_tanh(...) LS_APPLY(tanh, ls_unary_args, __VA_ARGS__)

/* y = 1 / (1 + exp(-x)) */
#define ls_sigmoid(...) LS_APPLY(sigmoid, ls_unary_args, __VA_ARGS__)

/* y = x/2 (1 + erf(x / sqrt 2)), or its approximation by tanh (Hendrycks 2016) */
typedef struct ls_gelu_args {
    ls_tensor *x;
    bool       tanh;
} ls_gelu_args;
#define ls_gelu(...) LS_APPLY(gelu, ls_gelu_args, __VA_ARGS__)

/* y = x / (1 + exp(-x)) */
#define ls_silu(...) LS_APPLY(silu, ls_unary_args, __VA_ARGS__)

/* silu(x) y                                            x, y: B x ...;  without y, x: B x ... x 2 F, the gate first -> B
 * x ... x F */
#define ls_swiglu(...) LS_APPLY(swiglu, ls_binary_args, __VA_ARGS__)

/* In training y = x / (1 - p) with probability 1 - p, else 0 (Srivastava 2014); in inference y = x */
typedef struct ls_dropout_args {
    ls_tensor *x;
    float      p; /* as given, 0 is none */
} ls_dropout_args;
#define ls_dropout(...) LS_APPLY(dropout, ls_dropout_args, __VA_ARGS__)

/* x + y                                                x: B x ... x D   y: the same, or a parameter of the last dims: D
 */
#define ls_add(...) LS_APPLY(add, ls_binary_args, __VA_ARGS__)

/* x y, element by element                              x: B x ... x D   y: the same, or a parameter of the last dims: D
 */
#define ls_mul(...) LS_APPLY(mul, ls_binary_args, __VA_ARGS__)

/* y = factor x + term */
typedef struct ls_scale_args {
    ls_tensor *x;
    float      factor; /* 0: 1 */
    float      term;
} ls_scale_args;
#define ls_scale(...) LS_APPLY(scale, ls_scale_args, __VA_ARGS__)

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

/* The same elements under other dims; one of them may be -1: what is left.  ls_reshape(x, 6, -1) is B x 6 x ... */
typedef struct ls_reshape_args {
    ls_tensor *x;
    ls_dims    dims;
} ls_reshape_args;
#define ls_reshape(x, ...) LS_APPLY(reshape, ls_reshape_args, (x), LS_DIMS(__VA_ARGS__))

/* B x N */
#define ls_flatten(x) ls_reshape((x), -1)

/* Another order of the dims; the batch is not counted and stays first.  ls_permute(x, 1, 2, 0): B x C x H x W -> B x H
 * x W x C */
typedef struct ls_permute_args {
    ls_tensor *x;
    ls_dims    order;
} ls_permute_args;
#define ls_permute(x, ...) LS_APPLY(permute, ls_permute_args, (x), LS_DIMS(__VA_ARGS__))

/* ---- over dims --------------------------------------------------------------------------------------------------- */

/* Sum and mean of all of a sample (y: B), or over one dim: ls_sum(x, .axis = -1).  Never over the batch. */
typedef struct ls_reduce_args {
    ls_tensor *x;
    int        axis; /* 1: the first dim after the batch; -1: the last; 0: all */
    bool       keep; /* the dim stays, as 1                                    */
} ls_reduce_args;
#define ls_sum(...) LS_APPLY(sum, ls_reduce_args, __VA_ARGS__)
#define ls_mean(...) LS_APPLY(mean, ls_reduce_args, __VA_ARGS__)

/* y_i = exp(x_i) / sum_j exp(x_j), over the last dim; and its logarithm */
#define ls_softmax(...) LS_APPLY(softmax, ls_unary_args, __VA_ARGS__)
#define ls_log_softmax(...) LS_APPLY(log_softmax, ls_unary_args, __VA_ARGS__)

/* y = (x - mean x) / sqrt(var x + eps) w + b, over the last dim      w, b: parameters of the last dim, or NULL: 1, 0
 * var is the mean of (x - mean x)^2, as in PyTorch's layer_norm */
typedef struct ls_layer_norm_args {
    ls_tensor *x, *w, *b;
    float      eps; /* 0: 1e-5 */
} ls_layer_norm_args;
#define ls_layer_norm_op(...) LS_APPLY(layer_norm, ls_layer_norm_args, __VA_ARGS__)

/* y = x / sqrt(mean x^2 + eps) w, over the last dim    w: a parameter of the last dim, or NULL: 1 */
typedef struct ls_rms_norm_args {
    ls_tensor *x, *w;
    float      eps; /* 0: 2^-23, as in PyTorch */
} ls_rms_norm_args;
#define ls_rms_norm_op(...) LS_APPLY(rms_norm, ls_rms_norm_args, __VA_ARGS__)

/* ---- attention --------------------------------------------------------------------------------------------------- */

/* softmax(scale q k^T + mask) v, head by head, in tiles: the T x S weights never exist at once (Vaswani 2017, Dao 2022)
 * q: B x T x (H D)   k, v: B x S x (KVH D), or neither: q is B x T x ((H + 2 KVH) D), queries, keys and values side by
 * side   y: B x T x (H D) key_padding: B x S of int32, not zero: hidden from all queries   mask: (B x) (H x) T x S,
 * added to the scores; it gets no gradient causal: query t sees the keys 0 ... t.   A query that sees no key gives
 * zeros. cache: a state of B x N x (2 KVH D), for inference: the call's keys and values are kept in its rows start ...
 * start + T - 1 (start: B of int32, or NULL: 0), and query t sees its rows 0 ... start + t; then S above is N. */
typedef struct ls_attention_args {
    ls_tensor *q, *k, *v, *key_padding, *mask, *start, *cache;
    int        heads;    /* H, 0: 1                                                         */
    int        kv_heads; /* KVH, 0: H; each is shared by H / KVH neighbouring heads          */
    bool       causal;
    float      scale;   /* 0: 1 / sqrt(D)                                                  */
    float      dropout; /* of the weights, in training                                     */
} ls_attention_args;
#define ls_attention(...) LS_APPLY(attention, ls_attention_args, __VA_ARGS__)

/* ---- losses: one number per sample ------------------------------------------------------------------------------- */

/* loss = sum of -log softmax(logits)[target] over the positions of a sample that are not ignored      loss: B
 * logits: B x ... x V   target: B x ... of int32.   Its mean over all positions is what a run reports, and what the
 * gradients are of: PyTorch's cross_entropy(reduction='mean').  Label smoothing as there (Szegedy 2016). */
typedef struct ls_cross_entropy_args {
    ls_tensor *logits, *target;
    float      label_smoothing;
    bool       ignore; /* positions whose target is ignore_index do not count */
    int        ignore_index;
} ls_cross_entropy_args;
#define ls_cross_entropy(...) LS_APPLY(cross_entropy, ls_cross_entropy_args, __VA_ARGS__)

/* ls_cross_entropy of the logits x w^T, which never exist at once, only for some positions at a time      loss: B
 * x: B x ... x C   w: V x C   target: B x ... of int32.   For a large V.  A step computes the loss in backward: three
 * matrix products. */
typedef struct ls_linear_cross_entropy_args {
    ls_tensor *x, *w, *target;
    float      label_smoothing;
    bool       ignore; /* positions whose target is ignore_index do not count */
    int        ignore_index;
} ls_linear_cross_entropy_args;
#define ls_linear_cross_entropy(...) LS_APPLY(linear_cross_entropy, ls_linear_cross_entropy_args, __VA_ARGS__)

/* loss = sum over the elements of a sample of (x - target)^2      loss: B
 * Its mean over all elements is what a run reports: PyTorch's mse_loss(reduction='mean'). */
typedef struct ls_mse_args {
    ls_tensor *x, *target;
} ls_mse_args;
#define ls_mse(...) LS_APPLY(mse, ls_mse_args, __VA_ARGS__)

#endif
