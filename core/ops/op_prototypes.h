/* SPDX-License-Identifier: Apache-2.0
 *
 * Public prototypes of the ops, part of core/core.h.  Each adds a node to the graph and returns its first output.
 * Attributes are named: ls_conv2d_op(x, w, b, .stride = 2).
 */
#ifndef LS_CORE_OPS_OP_PROTOTYPES_H
#define LS_CORE_OPS_OP_PROTOTYPES_H

#include "core/ops/op_list.h"

typedef enum ls_op_id {
#define X(name) LS_OP_##name,
    LS_OP_LIST(X)
#undef X
        LS_OP_COUNT
} ls_op_id;

/* y = x w^T + b                                                    x: B x ... x I   w: O x I   b: O or NULL
 *                                                                  y: B x ... x O
 * With `rows`, the op uses rows [first, first + rows) of w and b alone, and O is `rows`: one of several weights that
 * are stored as one parameter. */
typedef struct ls_linear_args {
    ls_tensor *x, *w, *b;
    int64_t    first, rows; /* both 0: all rows */
} ls_linear_args;
#define ls_linear_op(...) LS_APPLY(linear, ls_linear_args, __VA_ARGS__)

/* ---- tables and positions ---------------------------------------------------------------------------------------- */

/* y = w[x]                                                         x: B x ... of int32   w: V x C   y: B x ... x C
 * An index outside of 0..V-1 gives NaN. */
typedef struct ls_embedding_args {
    ls_tensor *x, *w;
} ls_embedding_args;
#define ls_embedding_op(...) LS_APPLY(embedding, ls_embedding_args, __VA_ARGS__)

/* y[t] = x[t] + w[first + start + t]                               x: B x T x C   w: N x C or NULL
 *                                                                  start: B of int32, or NULL: 0   y: B x T x C
 * w NULL: sinusoids (Vaswani 2017).  Position n then adds sin(n / 10000^(2 i / C)) to column 2 i and the cosine to
 * column 2 i + 1.  A position outside of 0..N-1 gives NaN. */
typedef struct ls_add_position_args {
    ls_tensor *x, *w, *start;
    int64_t    first; /* position of the first row, at least 0 */
} ls_add_position_args;
#define ls_add_position(...) LS_APPLY(add_position, ls_add_position_args, __VA_ARGS__)

/* y1 = x1 cos(n f_i) - x2 sin(n f_i)                               x: B x T x (heads D)   start: B of int32, or NULL: 0
 * y2 = x2 cos(n f_i) + x1 sin(n f_i)                               y: B x T x (heads D)
 * Rotates pair i of the elements of each head by an angle proportional to the position n = start + t (Su 2021);
 * f_i = base^(-2 i / C), with C = columns, rescaled to a longer context as in transformers' modeling_rope_utils.py.
 * Pair i is (x[i], x[i + C/2]), as in Hugging Face's Llama. */
#define LS_ROPE_LIST(X)                                                                                                \
    X(LS_ROPE_NONE, "none") X(LS_ROPE_LINEAR, "linear") X(LS_ROPE_LLAMA3, "llama3") X(LS_ROPE_YARN, "yarn")
typedef enum ls_rope_scaling { LS_ENUMERATORS(LS_ROPE_LIST) } ls_rope_scaling;
typedef struct ls_rotary_args {
    ls_tensor      *x, *start;
    int             heads;       /* 0: 1 */
    int             rotate;      /* number of heads to rotate, the first; others are copied; 0: all */
    float           base;        /* 0: 10000 */
    bool            interleaved; /* pair i is (x[2 i], x[2 i + 1]) */
    int             columns;     /* elements of a head to rotate, the first; others are copied; 0: all */
    ls_rope_scaling scaling;     /* rule by which the frequencies are rescaled */
    float           factor;      /* ratio of the new context to the original; at least 1 */
    float           low, high;   /* limits between which frequencies are mixed, rotations in the original context;
                                    0: 1 and 4 (llama3), 1 and 32 (yarn: beta_slow, beta_fast) */
    int64_t         original;    /* original context, positions; llama3 and yarn */
} ls_rotary_args;
#define ls_rotary(...) LS_APPLY(rotary, ls_rotary_args, __VA_ARGS__)

/* ---- products and masks ------------------------------------------------------------------------------------------ */

/* z = x y, for each pair of matrices                               x: B x ... x M x K   y: B x ... x K x N
 *                                                                  z: B x ... x M x N
 * transpose_x: x is B x ... x K x M; transpose_y: y is B x ... x N x K. */
typedef struct ls_matmul_args {
    ls_tensor *x, *y;
    bool       transpose_x, transpose_y;
} ls_matmul_args;
#define ls_matmul(...) LS_APPLY(matmul, ls_matmul_args, __VA_ARGS__)

/* y = x + mask                                                     x: B x H x T x S   key_padding: B x S of int32 or
 * NULL
 *                                                                  mask: (B x) (H x) T x S or NULL   y: B x H x T x S
 * Masks attention scores: y is -inf where key_padding is not 0 and, if causal, where the key comes after the query or
 * is at least `window` positions before it.  A mask without batch dim is a parameter. */
typedef struct ls_mask_args {
    ls_tensor *x, *key_padding, *mask;
    bool       causal;
    int64_t    window; /* 0: no window */
} ls_mask_args;
#define ls_mask(...) LS_APPLY(mask, ls_mask_args, __VA_ARGS__)

/* ---- windows ----------------------------------------------------------------------------------------------------- */

/* Padding that keeps the size.  With stride s, PyTorch's (stride 1 only) and TensorFlow's give ceil(H / s) rows.  Of an
 * odd padding both put the odd row below and the odd column to the right. */
#define LS_SAME_LIST(X) X(LS_SAME_NONE, "none") X(LS_SAME_PYTORCH, "pytorch") X(LS_SAME_TENSORFLOW, "tensorflow")
typedef enum ls_same { LS_ENUMERATORS(LS_SAME_LIST) } ls_same;

/* y[o] = b[o] + sum over c of w[o, c] * x[c]                       x: B x C x D x H x W   b: O or NULL
 *                                                                  w: O x C/groups x KD x KH x KW
 *                                                                  y: B x O x OD x OH x OW
 * conv2d has no D and no KD, conv1d no H and no KH either.  The sign * is cross-correlation, as in PyTorch, and
 *     OH = (H + pad_top + pad_bottom - dilation_h (KH - 1) - 1) / stride_h + 1
 * Defaults: stride 1, padding 0, dilation 1.  A setting for one dim (stride_h) has precedence over that for all
 * (stride), and one for a side (pad_top) over that for a dim (padding_h).  `same` computes the padding.  Attributes of
 * a dim that the op does not have must be 0. */
typedef struct ls_conv_args {
    ls_tensor *x, *w, *b;
    int        stride, stride_d, stride_h, stride_w;
    int        padding, padding_d, padding_h, padding_w;
    int        pad_front, pad_back, pad_top, pad_bottom, pad_left, pad_right;
    ls_same    same;
    int        dilation, dilation_d, dilation_h, dilation_w;
    int        groups;
} ls_conv_args;
typedef ls_conv_args ls_conv1d_args, ls_conv2d_args, ls_conv3d_args;
#define ls_conv1d_op(...) LS_APPLY(conv1d, ls_conv1d_args, __VA_ARGS__)
#define ls_conv2d_op(...) LS_APPLY(conv2d, ls_conv2d_args, __VA_ARGS__)
#define ls_conv3d_op(...) LS_APPLY(conv3d, ls_conv3d_args, __VA_ARGS__)

/* y = the gradient of a convolution with respect to its input, as PyTorch's conv_transpose2d
 *                                                                  x: B x C x H x W   w: C x O/groups x KH x KW
 *                                                                  b: O or NULL   y: B x O x OH x OW
 *     OH = (H - 1) stride_h - pad_top - pad_bottom + dilation_h (KH - 1) + 1 + output_padding_h
 * Defaults and precedence as in conv2d. */
typedef struct ls_conv_transpose2d_args {
    ls_tensor *x, *w, *b;
    int        stride, stride_h, stride_w;
    int        padding, padding_h, padding_w;
    int        pad_top, pad_bottom, pad_left, pad_right;
    int        output_padding, output_padding_h, output_padding_w; /* less than the stride or the dilation */
    int        dilation, dilation_h, dilation_w;
    int        groups;
} ls_conv_transpose2d_args;
#define ls_conv_transpose2d_op(...) LS_APPLY(conv_transpose2d, ls_conv_transpose2d_args, __VA_ARGS__)

/* y[c, i, j] = max of the window of x[c] at                        x: B x C x H x W   y: B x C x OH x OW
 *              (i stride_h - pad_top, j stride_w - pad_left)       also with dims D x H x W, and with the dim W alone
 * OH = (H + pad_top + pad_bottom - dilation_h (kernel_h - 1) - 1) / stride_h + 1.  ceil_mode rounds OH up, unless the
 * last window would start in the padding after the input.  The default stride is the kernel.  The first of equal values
 * counts; NaN if there is one. */
typedef struct ls_max_pool_args {
    ls_tensor *x;
    int        kernel, kernel_d, kernel_h, kernel_w;
    int        stride, stride_d, stride_h, stride_w;
    int        padding, padding_d, padding_h, padding_w;
    int        pad_front, pad_back, pad_top, pad_bottom, pad_left, pad_right;
    ls_same    same;
    int        dilation, dilation_d, dilation_h, dilation_w;
    bool       ceil_mode;
} ls_max_pool_args;
typedef ls_max_pool_args ls_max_pool1d_args, ls_max_pool2d_args, ls_max_pool3d_args;
#define ls_max_pool1d(...) LS_APPLY(max_pool1d, ls_max_pool1d_args, __VA_ARGS__)
#define ls_max_pool2d(...) LS_APPLY(max_pool2d, ls_max_pool2d_args, __VA_ARGS__)
#define ls_max_pool3d(...) LS_APPLY(max_pool3d, ls_max_pool3d_args, __VA_ARGS__)

/* y[c, i, j] = mean of the window of x[c], placed as in max_pool2d x: B x C x H x W   y: B x C x OH x OW
 *                                                                  also with dims D x H x W, and with the dim W alone
 * The mean includes zeros of the padding, unless exclude_padding is set (PyTorch's count_include_pad=False) or the
 * padding is TensorFlow's. */
typedef struct ls_avg_pool_args {
    ls_tensor *x;
    int        kernel, kernel_d, kernel_h, kernel_w;
    int        stride, stride_d, stride_h, stride_w;
    int        padding, padding_d, padding_h, padding_w;
    int        pad_front, pad_back, pad_top, pad_bottom, pad_left, pad_right;
    ls_same    same;
    bool       ceil_mode, exclude_padding;
} ls_avg_pool_args;
typedef ls_avg_pool_args ls_avg_pool1d_args, ls_avg_pool2d_args, ls_avg_pool3d_args;
#define ls_avg_pool1d(...) LS_APPLY(avg_pool1d, ls_avg_pool1d_args, __VA_ARGS__)
#define ls_avg_pool2d(...) LS_APPLY(avg_pool2d, ls_avg_pool2d_args, __VA_ARGS__)
#define ls_avg_pool3d(...) LS_APPLY(avg_pool3d, ls_avg_pool3d_args, __VA_ARGS__)

/* y[c, i, j] = max or mean of x[c, h, w]                           x: B x C x H x W   y: B x C x size_h x size_w
 *              for floor(i H / size_h) <= h < ceil((i + 1) H / size_h), and w likewise
 * The windows of PyTorch's adaptive pooling, also with dims D x H x W, and with the dim W alone.  Size 1 is global
 * pooling. */
typedef struct ls_adaptive_pool_args {
    ls_tensor *x;
    int        size, size_d, size_h, size_w; /* 0: 1 */
} ls_adaptive_pool_args;
#define ls_adaptive_max_pool1d(...) LS_APPLY(adaptive_max_pool1d, ls_adaptive_pool_args, __VA_ARGS__)
#define ls_adaptive_max_pool2d(...) LS_APPLY(adaptive_max_pool2d, ls_adaptive_pool_args, __VA_ARGS__)
#define ls_adaptive_max_pool3d(...) LS_APPLY(adaptive_max_pool3d, ls_adaptive_pool_args, __VA_ARGS__)
#define ls_adaptive_avg_pool1d(...) LS_APPLY(adaptive_avg_pool1d, ls_adaptive_pool_args, __VA_ARGS__)
#define ls_adaptive_avg_pool2d(...) LS_APPLY(adaptive_avg_pool2d, ls_adaptive_pool_args, __VA_ARGS__)
#define ls_adaptive_avg_pool3d(...) LS_APPLY(adaptive_avg_pool3d, ls_adaptive_pool_args, __VA_ARGS__)

/* Values of padding: 0; mirrored without the border; the border; the opposite side. */
#define LS_PAD_LIST(X)                                                                                                 \
    X(LS_PAD_ZEROS, "zeros")                                                                                           \
    X(LS_PAD_REFLECT, "reflect") X(LS_PAD_REPLICATE, "replicate") X(LS_PAD_CIRCULAR, "circular")
typedef enum ls_pad_mode { LS_ENUMERATORS(LS_PAD_LIST) } ls_pad_mode;

/* y = x with rows above and below, and columns on the left and right
 *                                                                  x: B x C x H x W
 *                                                                  y: B x C x (H + pad_top + pad_bottom) x
 *                                                                     (W + pad_left + pad_right)
 *                                                                  also with dims D x H x W, and with the dim W alone
 * A setting for a side (pad_top) has precedence over that for a dim (padding_h), and this over that for all. */
typedef struct ls_pad_args {
    ls_tensor  *x;
    int         padding, padding_d, padding_h, padding_w;
    int         pad_front, pad_back, pad_top, pad_bottom, pad_left, pad_right;
    ls_pad_mode mode;
} ls_pad_args;
typedef ls_pad_args ls_pad1d_args, ls_pad2d_args, ls_pad3d_args;
#define ls_pad1d(...) LS_APPLY(pad1d, ls_pad1d_args, __VA_ARGS__)
#define ls_pad2d(...) LS_APPLY(pad2d, ls_pad2d_args, __VA_ARGS__)
#define ls_pad3d(...) LS_APPLY(pad3d, ls_pad3d_args, __VA_ARGS__)

/* ---- one element at a time --------------------------------------------------------------------------------------- */

/* y = max(x, 0) */
#define ls_relu(...) LS_APPLY(relu, ls_unary_args, __VA_ARGS__)

/* y = min(max(x, 0), 6) */
#define ls_relu6(...) LS_APPLY(relu6, ls_unary_args, __VA_ARGS__)

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

/* y = x/2 (1 + erf(x / sqrt 2)), or its tanh approximation (Hendrycks 2016) */
typedef struct ls_gelu_args {
    ls_tensor *x;
    bool       tanh;
} ls_gelu_args;
#define ls_gelu(...) LS_APPLY(gelu, ls_gelu_args, __VA_ARGS__)

/* y = x / (1 + exp(-x)) */
#define ls_silu(...) LS_APPLY(silu, ls_unary_args, __VA_ARGS__)

/* y = x min(max(x + 3, 0), 6) / 6 */
#define ls_hardswish(...) LS_APPLY(hardswish, ls_unary_args, __VA_ARGS__)

/* z = silu(x) y                                                    x, y: B x ...   z: B x ...
 * Without y, x is B x ... x 2 F, the gate followed by y, and z is B x ... x F. */
#define ls_swiglu(...) LS_APPLY(swiglu, ls_binary_args, __VA_ARGS__)

/* z = gelu(x) y, with the operands of ls_swiglu                    tanh: gelu by its tanh approximation */
typedef struct ls_geglu_args {
    ls_tensor *x, *y;
    bool       tanh;
} ls_geglu_args;
#define ls_geglu(...) LS_APPLY(geglu, ls_geglu_args, __VA_ARGS__)

/* Training: y = x / (1 - p) with probability 1 - p, else 0 (Srivastava 2014).  Inference: y = x. */
typedef struct ls_dropout_args {
    ls_tensor *x;
    float      p; /* 0: no dropout */
} ls_dropout_args;
#define ls_dropout(...) LS_APPLY(dropout, ls_dropout_args, __VA_ARGS__)

/* The same with one random number for each channel (x: B x C x ...), and for each sample (Huang 2016: before a residual
 * sum). */
#define ls_dropout2d(...) LS_APPLY(dropout2d, ls_dropout_args, __VA_ARGS__)
#define ls_drop_path(...) LS_APPLY(drop_path, ls_dropout_args, __VA_ARGS__)

/* z = x + y                                                        x: B x ... x D   y: B x ... x D, or a parameter of
 * the
 *                                                                  last dims of x */
#define ls_add(...) LS_APPLY(add, ls_binary_args, __VA_ARGS__)

/* z = x y, elementwise                                             x: B x ... x D   y: B x ... x D, or a parameter of
 * the
 *                                                                  last dims of x */
#define ls_mul(...) LS_APPLY(mul, ls_binary_args, __VA_ARGS__)

/* y = factor x + term */
typedef struct ls_scale_args {
    ls_tensor *x;
    float      factor; /* 0: 1 */
    float      term;
} ls_scale_args;
#define ls_scale(...) LS_APPLY(scale, ls_scale_args, __VA_ARGS__)

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

/* The elements of x with other dims, as a view.  One dim may be -1, which infers it: ls_reshape(x, 6, -1). */
typedef struct ls_reshape_args {
    ls_tensor *x;
    ls_dims    dims;
} ls_reshape_args;
#define ls_reshape(x, ...) LS_APPLY(reshape, ls_reshape_args, (x), LS_DIMS(__VA_ARGS__))

/* x as B x N, a view. */
#define ls_flatten(x) ls_reshape((x), -1)

/* Permutes the dims.  The batch is not counted and stays first: ls_permute(x, 1, 2, 0) makes B x H x W x C of
 * B x C x H x W. */
typedef struct ls_permute_args {
    ls_tensor *x;
    ls_dims    order;
} ls_permute_args;
#define ls_permute(x, ...) LS_APPLY(permute, ls_permute_args, (x), LS_DIMS(__VA_ARGS__))

/* ---- over dims --------------------------------------------------------------------------------------------------- */

/* Sum and mean over all elements of a sample (y: B), or over one dim: ls_sum(x, .axis = -1).  Never over the batch. */
typedef struct ls_reduce_args {
    ls_tensor *x;
    int        axis; /* 1: the first dim after the batch; -1: the last; 0: all */
    bool       keep; /* keep the dim, with size 1                              */
} ls_reduce_args;
#define ls_sum(...) LS_APPLY(sum, ls_reduce_args, __VA_ARGS__)
#define ls_mean(...) LS_APPLY(mean, ls_reduce_args, __VA_ARGS__)

/* y = 1/n sum over t < n of x[t], n being the sample's length; 0 where it is 0    x: B x T x C   lengths: B of int32 */
typedef struct ls_sequence_mean_args {
    ls_tensor *x, *lengths;
} ls_sequence_mean_args;
#define ls_sequence_mean(...) LS_APPLY(sequence_mean, ls_sequence_mean_args, __VA_ARGS__)

/* y_i = exp(x_i) / sum_j exp(x_j), over the last dim; log_softmax: its logarithm */
#define ls_softmax(...) LS_APPLY(softmax, ls_unary_args, __VA_ARGS__)
#define ls_log_softmax(...) LS_APPLY(log_softmax, ls_unary_args, __VA_ARGS__)

/* y = (x - mean x) / sqrt(var x + eps) w + b, over the last dim    w, b: parameters of the last dim, or NULL: 1, 0
 * var x is the mean of (x - mean x)^2, as in PyTorch's layer_norm. */
typedef struct ls_layer_norm_args {
    ls_tensor *x, *w, *b;
    float      eps; /* 0: 1e-5 */
} ls_layer_norm_args;
#define ls_layer_norm_op(...) LS_APPLY(layer_norm, ls_layer_norm_args, __VA_ARGS__)

/* y = (x - m) / sqrt(v + eps) w + b for each channel, the first dim after the batch, with the mean m and the biased
 * variance v of the channel over the global batch in training, and the running statistics in inference.  As PyTorch's
 * SyncBatchNorm on any number of ranks; over groups of samples as BatchNorm2d on ranks with so many samples each.
 *                                          w, b: parameters of C values, or NULL: 1, 0 */
enum { LS_OVER_BATCH = -1 };
extern const char *const ls__over_names[]; /* {"batch", NULL}: names of -1, ... */
typedef struct ls_batch_norm_args {
    ls_tensor *x, *w, *b;
    ls_tensor *mean, *var; /* running statistics: parameters without gradient, C values */
    float      eps;        /* 0: 1e-5 */
    float      momentum;   /* share of a batch in the running statistics; 0: 0.1 */
    bool       frozen;     /* use the running statistics in training as well, and do not renew them */
    int64_t    over;       /* samples of a group; LS_OVER_BATCH: global batch; 0: see ls_graph_norm_over */
} ls_batch_norm_args;
#define ls_batch_norm_op(...) LS_APPLY(batch_norm, ls_batch_norm_args, __VA_ARGS__)

/* y = (x - mean x) / sqrt(var x + eps) w + b                       x: B x C x ...   w, b: C, or NULL: 1, 0
 * The means are over each group of C / groups neighbouring channels of a sample, as in PyTorch's group_norm. */
typedef struct ls_group_norm_args {
    ls_tensor *x, *w, *b;
    int        groups; /* 0: 1    */
    float      eps;    /* 0: 1e-5 */
} ls_group_norm_args;
#define ls_group_norm_op(...) LS_APPLY(group_norm, ls_group_norm_args, __VA_ARGS__)

/* y_c = x_c (k + alpha / size sum over j of x_j^2)^-beta           x: B x C x ...
 * The sum is over the channels c - size / 2 ... c + (size - 1) / 2, as in PyTorch's LocalResponseNorm. */
typedef struct ls_local_response_norm_args {
    ls_tensor *x;
    int        size;           /* channels of the sum */
    float      alpha, beta, k; /* 0: 1e-4, 0.75, 1 */
} ls_local_response_norm_args;
#define ls_local_response_norm(...) LS_APPLY(local_response_norm, ls_local_response_norm_args, __VA_ARGS__)

/* y = x / sqrt(mean x^2 + eps) w, over the last dim                w: a parameter of the last dim, or NULL: 1 */
typedef struct ls_rms_norm_args {
    ls_tensor *x, *w;
    float      eps;      /* 0: 2^-23, as in PyTorch                    */
    bool       plus_one; /* the factor is 1 + w instead of w (Gemma) */
} ls_rms_norm_args;
#define ls_rms_norm_op(...) LS_APPLY(rms_norm, ls_rms_norm_args, __VA_ARGS__)

/* ---- attention --------------------------------------------------------------------------------------------------- */

/* y = softmax(scale q k^T + mask) v, for each head                 q: B x T x (H D)   k, v: B x S x (KVH D)
 *                                                                  y: B x T x (H D)
 * Computed in tiles; the T x S weights are never stored (Vaswani 2017, Dao 2022).
 * k and v NULL: q is B x T x ((H + 2 KVH) D), with queries, keys and values side by side.
 * key_padding: B x S of int32; keys where it is not 0 are hidden from all queries.
 * lengths: B of int32; keys from `length` on are not read.
 * mask: (B x) (H x) T x S, added to the scores, without a gradient.
 * causal: query t attends to keys 0 ... t.  A query without visible keys gives zeros.
 * first: B x T of int32, the first key that each query attends to, for samples that are packed into one; causal,
 * without a cache.
 * cache: a state of B x N x (2 KVH D), for inference.  The op writes keys and values to rows start ... start + T - 1
 * (start: B of int32, or NULL: 0), and query t attends to rows 0 ... start + t; S above is then N. */
typedef struct ls_attention_args {
    ls_tensor *q, *k, *v, *key_padding, *mask, *start, *cache, *lengths, *first;
    int        heads;    /* H; 0: 1                                                        */
    int        kv_heads; /* KVH; 0: H.  H / KVH neighbouring heads share keys and values   */
    bool       causal;
    float      scale;   /* 0: 1 / sqrt(D)                                                 */
    float      dropout; /* probability of a zero weight in training                       */
    int64_t    window;  /* causal: query t attends to keys from t - window + 1 on, with a cache from start + t -
                           window + 1 on; 0: no window */
    float      cap;     /* a score s becomes cap tanh(s / cap), before masks; 0: no cap; excludes `mask` */
} ls_attention_args;
#define ls_attention(...) LS_APPLY(attention, ls_attention_args, __VA_ARGS__)

/* a[t] = softmax over j < length of v . tanh(q[t] + k[j])          q: B x T x A or B x A   k: B x S x A   v: A
 * y[t] = sum over j of a[t, j] values[j]                           values: B x S x C   lengths: B of int32, or NULL: S
 *                                                                  y: B x T x C or B x C
 * Bahdanau's attention (2014).  ls_output(y, 1) has the weights a, B x T x S or B x S.  Keys from `length` on are not
 * read, and their weights are zero.  A sample of length 0 gives zeros. */
typedef struct ls_additive_attention_args {
    ls_tensor *q, *k, *v, *values, *lengths;
} ls_additive_attention_args;
#define ls_additive_attention(...) LS_APPLY(additive_attention, ls_additive_attention_args, __VA_ARGS__)

/* ---- recurrences ------------------------------------------------------------------------------------------------- */

/* h[t] = cell(x[t], w h[t - 1] + b),  y[t] = h[t]                  x: B x T x G H   w: G H x H   b: G H or NULL
 *                                                                  lengths: B of int32, or NULL: T
 *                                                                  h0: B x H or NULL: 0   y: B x T x H
 * The cells of PyTorch's nn.RNN (G = 1), nn.LSTM (G = 4: i, f, g, o) and nn.GRU (G = 3: r, z, n).  x is the product of
 * the inputs with their weights, and their bias.  After the length of a sample its state does not change, and y is 0.
 * ls_output(y, 1) is the last state, B x H; for lstm, ls_output(y, 2) is the last c. */
typedef struct ls_recurrent_args {
    ls_tensor *x, *w, *b, *lengths, *h0;
    ls_tensor *c0;      /* lstm: initial c, B x H or NULL: 0 */
    ls_tensor *start;   /* with a state: B of int32, 0 for samples that begin with zeros; NULL: none does */
    ls_tensor *state;   /* B x H, for lstm B x 2 H, h and then c: kept from run to run (ls_state); NULL: none */
    bool       reverse; /* from the last position of a sample to the first */
    bool       relu;    /* rnn: max(x, 0) instead of tanh */
    bool reset_before;  /* gru: the reset gate before the product, as published (Cho 2014); also h' = h + z (n - h) */
} ls_recurrent_args;
#define ls_rnn_op(...) LS_APPLY(rnn, ls_recurrent_args, __VA_ARGS__)
#define ls_lstm_op(...) LS_APPLY(lstm, ls_recurrent_args, __VA_ARGS__)
#define ls_gru_op(...) LS_APPLY(gru, ls_recurrent_args, __VA_ARGS__)

/* h, c after one position, as in ls_lstm_op                        x, p: B x 4 H   c: B x H   h': B x H
 * x and p are the products of the input and of the state before; ls_output(h, 1) is c after the position. */
typedef struct ls_lstm_cell_args {
    ls_tensor *x, *p, *c;
} ls_lstm_cell_args;
#define ls_lstm_cell_op(...) LS_APPLY(lstm_cell, ls_lstm_cell_args, __VA_ARGS__)

/* h after one position, as in ls_gru_op                            x, p: B x 3 H   h: B x H   h': B x H */
typedef struct ls_gru_cell_args {
    ls_tensor *x, *p, *h;
} ls_gru_cell_args;
#define ls_gru_cell_op(...) LS_APPLY(gru_cell, ls_gru_cell_args, __VA_ARGS__)

/* ---- losses: one number per sample ------------------------------------------------------------------------------- */

/* loss = sum of -log softmax(logits)[target] over the positions    logits: B x ... x V   target: B x ... of int32
 *        of a sample                                               loss: B
 * A run reports the mean over all positions, and trains on it: PyTorch's cross_entropy(reduction='mean').  Training
 * smooths labels as PyTorch does (Szegedy 2016); inference computes the loss without smoothing.
 * Mixed samples (mixup) have another target: the loss is (1 - share) loss(target) + share loss(other). */
typedef struct ls_cross_entropy_args {
    ls_tensor *logits, *target;
    ls_tensor *other, *share; /* both NULL, or with the dims of the target: int32, float32 */
    float      label_smoothing;
    bool       ignore; /* positions with the target ignore_index do not count */
    int        ignore_index;
} ls_cross_entropy_args;
#define ls_cross_entropy(...) LS_APPLY(cross_entropy, ls_cross_entropy_args, __VA_ARGS__)

/* loss = ls_cross_entropy of the logits x w^T + b                  x: B x ... x C   w: V x C   target: B x ... of int32
 *                                                                  b: V or NULL: 0   loss: B
 * For a large V: logits exist for some positions at a time.  Backward computes the loss as well, so a training step
 * takes three matrix products. */
typedef struct ls_linear_cross_entropy_args {
    ls_tensor *x, *w, *target, *b;
    float      label_smoothing; /* in training */
    bool       ignore;          /* positions with the target ignore_index do not count */
    int        ignore_index;
    float      cap; /* logits z become cap tanh(z / cap), as in Gemma 2; 0: no cap */
} ls_linear_cross_entropy_args;
#define ls_linear_cross_entropy(...) LS_APPLY(linear_cross_entropy, ls_linear_cross_entropy_args, __VA_ARGS__)

/* loss = sum over the elements of a sample of (x - target)^2       x, target: B x ...   loss: B
 * A run reports the mean over all elements: PyTorch's mse_loss(reduction='mean'). */
typedef struct ls_mse_args {
    ls_tensor *x, *target;
} ls_mse_args;
#define ls_mse(...) LS_APPLY(mse, ls_mse_args, __VA_ARGS__)

/* loss = sum over the elements of a sample of |x - target|      loss: B
 * Its mean over all elements is what a run reports: PyTorch's l1_loss(reduction='mean'). */
typedef struct ls_mae_args {
    ls_tensor *x, *target;
} ls_mae_args;
#define ls_mae(...) LS_APPLY(mae, ls_mae_args, __VA_ARGS__)

/* y = x as float32 or bfloat16                                     type: LS_F32 or LS_BF16 */
typedef struct ls_cast_args {
    ls_tensor *x;
    ls_dtype   type;
} ls_cast_args;
#define ls_cast(...) LS_APPLY(cast, ls_cast_args, __VA_ARGS__)

/* z = [x, y] along the last dim                     x: B x ... x M, y: B x ... x N  ->  z: B x ... x (M + N)
 * With `channels`, along the first dim of a sample:  x: B x M x ..., y: B x N x ...  ->  z: B x (M + N) x ... */
typedef struct ls_concat_args {
    ls_tensor *x, *y;
    bool       channels;
} ls_concat_args;
#define ls_concat(...) LS_APPLY(concat, ls_concat_args, __VA_ARGS__)

/* y = [w; x]: rows of a parameter before those of each sample      x: B x T x C   w: N x C   y: B x (N + T) x C */
typedef struct ls_prepend_args {
    ls_tensor *x, *w;
} ls_prepend_args;
#define ls_prepend(...) LS_APPLY(prepend, ls_prepend_args, __VA_ARGS__)

/* y = x[index]                                                     x: B x T x ...   y: B x ... */
typedef struct ls_select_args {
    ls_tensor *x;
    int64_t    index; /* negative: from the end, -1 is the last */
    bool       each;  /* of ls_loop_step: the index is that of the step */
} ls_select_args;
#define ls_select(...) LS_APPLY(select, ls_select_args, __VA_ARGS__)

/* The ops of ls_loop_stack, B x ... -> B x T x ..., and of carried values, y = x or zeros of B x width. */
typedef struct ls_carry_args {
    ls_tensor *x;
    int64_t    width;
} ls_carry_args;

#endif
