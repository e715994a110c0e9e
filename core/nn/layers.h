/* SPDX-License-Identifier: Apache-2.0
 * Layers own parameters and compose ops; they have no backward of their own.  Part of core/core.h. */
#ifndef LS_CORE_NN_LAYERS_H
#define LS_CORE_NN_LAYERS_H

/* The layers that recipes can name.  One row makes the layer's row in core/nn/layer_table.c from its struct below
 * (ls_linear_layer), its function (ls__linear) and its attributes (ls__linear_fields), which its file defines. */
#define LS_LAYER_LIST(X)                                                                                               \
    X(linear)                                                                                                          \
    X(conv1d)                                                                                                          \
    X(conv2d)                                                                                                          \
    X(conv3d)                                                                                                          \
    X(conv_transpose2d)                                                                                                \
    X(embedding)                                                                                                       \
    X(layer_norm)                                                                                                      \
    X(batch_norm)                                                                                                      \
    X(group_norm)                                                                                                      \
    X(rms_norm)                                                                                                        \
    X(rnn)                                                                                                             \
    X(lstm)                                                                                                            \
    X(gru)                                                                                                             \
    X(multihead_attention)                                                                                             \
    X(positional_encoding)                                                                                             \
    X(transformer)

/* Fully connected: y = x w^T + b.  Parameters NAME.weight (out x in) and NAME.bias (out).  Default initialisers as
 * PyTorch's nn.Linear: uniform +- 1/sqrt(in) for both. */
typedef struct ls_linear_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x;   /* B x ... x in */
    int64_t     out; /* number of output features */
    bool        no_bias;
    ls_init     weight_init, bias_init;
} ls_linear_layer;
#define ls_linear(...) ls__linear((ls_linear_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__linear(ls_linear_layer layer, ls_where where);

/* Convolution in one, two and three dims, as PyTorch's nn.Conv1d, nn.Conv2d and nn.Conv3d: y[o] = b[o] + sum over c of
 * w[o, c] * x[c].  Parameters NAME.weight (out x C/groups x KD x KH x KW, conv2d without KD, conv1d without KH as well)
 * and NAME.bias (out); both uniform +- 1/sqrt(C/groups KD KH KW) by default.  Of kernel, stride (default 1), padding
 * (default 0) and dilation (default 1), the value for one dim takes precedence over the value for all, and padding of a
 * side (pad_top) over that of its dim.  `same` computes the padding. */
typedef struct ls_conv_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x;   /* B x C x D x H x W; conv2d: B x C x H x W; conv1d: B x C x W */
    int64_t     out; /* number of output channels */
    int         kernel, kernel_d, kernel_h, kernel_w;
    int         stride, stride_d, stride_h, stride_w;
    int         padding, padding_d, padding_h, padding_w;
    int         pad_front, pad_back, pad_top, pad_bottom, pad_left, pad_right;
    ls_same     same;
    int         dilation, dilation_d, dilation_h, dilation_w;
    int         groups; /* 0: 1 */
    bool        no_bias;
    ls_init     weight_init, bias_init;
} ls_conv_layer;
typedef ls_conv_layer ls_conv1d_layer, ls_conv2d_layer, ls_conv3d_layer;
#define ls_conv1d(...) ls__conv1d((ls_conv1d_layer){__VA_ARGS__}, LS_HERE)
#define ls_conv2d(...) ls__conv2d((ls_conv2d_layer){__VA_ARGS__}, LS_HERE)
#define ls_conv3d(...) ls__conv3d((ls_conv3d_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__conv1d(ls_conv1d_layer layer, ls_where where);
ls_tensor *ls__conv2d(ls_conv2d_layer layer, ls_where where);
ls_tensor *ls__conv3d(ls_conv3d_layer layer, ls_where where);

/* Transposed convolution in two dims, as PyTorch's nn.ConvTranspose2d.  Parameters NAME.weight (C x out/groups x KH x
 * KW) and NAME.bias (out); both uniform +- 1/sqrt(out/groups KH KW) by default.  Attributes as in conv2d.
 * output_padding adds rows below and columns to the right. */
typedef struct ls_conv_transpose2d_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x;   /* B x C x H x W */
    int64_t     out; /* number of output channels */
    int         kernel, kernel_h, kernel_w;
    int         stride, stride_h, stride_w;
    int         padding, padding_h, padding_w;
    int         pad_top, pad_bottom, pad_left, pad_right;
    int         output_padding, output_padding_h, output_padding_w;
    int         dilation, dilation_h, dilation_w;
    int         groups; /* 0: 1 */
    bool        no_bias;
    ls_init     weight_init, bias_init;
} ls_conv_transpose2d_layer;
#define ls_conv_transpose2d(...) ls__conv_transpose2d((ls_conv_transpose2d_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__conv_transpose2d(ls_conv_transpose2d_layer layer, ls_where where);

/* Embedding, as PyTorch's nn.Embedding: row x of a table.  Parameter NAME.weight (vocab x width), N(0, 1) by default.
 */
typedef struct ls_embedding_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x;     /* B x ... of int32, each in 0..vocab-1  ->  B x ... x width */
    int64_t     vocab; /* rows of the table */
    int64_t     width; /* columns of the table */
    ls_init     init;
} ls_embedding_layer;
#define ls_embedding(...) ls__embedding((ls_embedding_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__embedding(ls_embedding_layer layer, ls_where where);

/* Layer normalisation over the last dim, as PyTorch's nn.LayerNorm.  Parameters NAME.weight (ones) and NAME.bias
 * (zeros). */
typedef struct ls_layer_norm_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x;   /* B x ... x C */
    float       eps; /* added to the variance; 0: 1e-5 */
    bool        no_bias;
    ls_init     weight_init, bias_init;
} ls_layer_norm_layer;
#define ls_layer_norm(...) ls__layer_norm((ls_layer_norm_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__layer_norm(ls_layer_norm_layer layer, ls_where where);

/* Batch normalisation of each channel, the first dim after the batch, over the global batch of all ranks, as PyTorch's
 * nn.SyncBatchNorm, or over groups of samples.  Parameters NAME.weight (ones) and NAME.bias (zeros); NAME.running_mean
 * (zeros) and NAME.running_var (ones) have no gradient, and training renews them. */
typedef struct ls_batch_norm_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x;        /* B x C x ... */
    float       eps;      /* added to the variance; 0: 1e-5 */
    float       momentum; /* share of a batch in the running statistics; 0: 0.1 */
    bool        frozen;   /* use the running statistics in training as well, and do not renew them */
    bool        no_affine;
    bool        no_weight; /* a bias, and a weight of ones that is no parameter */
    ls_init     weight_init, bias_init;
    int64_t     over; /* samples of a group; LS_OVER_BATCH: global batch; 0: see ls_graph_norm_over */
} ls_batch_norm_layer;
#define ls_batch_norm(...) ls__batch_norm((ls_batch_norm_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__batch_norm(ls_batch_norm_layer layer, ls_where where);

/* Group normalisation, as PyTorch's nn.GroupNorm: over each of `groups` groups of channels of a sample.  Parameters
 * NAME.weight (ones) and NAME.bias (zeros), of C values. */
typedef struct ls_group_norm_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x;      /* B x C x ... */
    int         groups; /* a divisor of C; 0: 1 */
    float       eps;    /* added to the variance; 0: 1e-5 */
    bool        no_bias;
    ls_init     weight_init, bias_init;
} ls_group_norm_layer;
#define ls_group_norm(...) ls__group_norm((ls_group_norm_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__group_norm(ls_group_norm_layer layer, ls_where where);

/* Root mean square normalisation over the last dim, as PyTorch's nn.RMSNorm.  Parameter NAME.weight (ones; with
 * plus_one zeros). */
typedef struct ls_rms_norm_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x;        /* B x ... x C */
    float       eps;      /* added to the mean square; 0: 2^-23 */
    bool        plus_one; /* the factor is 1 + weight, as in Gemma */
    ls_init     weight_init;
} ls_rms_norm_layer;
#define ls_rms_norm(...) ls__rms_norm((ls_rms_norm_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__rms_norm(ls_rms_norm_layer layer, ls_where where);

/* Recurrent layers, as PyTorch's nn.RNN, nn.LSTM and nn.GRU with batch_first.  Parameters NAME.weight_ih_l0 (gates of
 * hidden rows x I), NAME.weight_hh_l0, NAME.bias_ih_l0 and NAME.bias_hh_l0; those of the other direction end with
 * _reverse, of the second layer with _l1; all uniform +- 1/sqrt(hidden).  Lengths are as in PyTorch's
 * pack_padded_sequence: the output is zero from the length of a sample on. */
typedef struct ls_recurrent_layer {
    ls_graph         *g;
    const char       *name;
    ls_tensor        *x;      /* B x T x I  ->  B x T x hidden, or x 2 hidden if bidirectional */
    int64_t           hidden; /* units of a layer and direction */
    int               layers; /* 0: 1 */
    bool              bidirectional;
    float             dropout; /* probability, of the output of each layer but the last */
    bool              reverse; /* each layer reads from the last position of a sample to the first */
    bool              no_bias;
    bool              last;           /* the result is the last state of the last layer, B x hidden or B x 2 hidden */
    bool              relu;           /* rnn: max(x, 0) instead of tanh */
    bool              reset_before;   /* gru: as published (ls_recurrent_args) */
    bool              cached;         /* generation: each layer begins with its state after the run before */
    ls_tensor        *start;          /* with cached: B of int32, 0 for samples that begin with zeros */
    ls_tensor        *lengths;        /* B of int32; NULL: T */
    ls_tensor *const *h0, *const *c0; /* initial states, B x hidden, of each layer and direction; NULL: zeros */
    ls_tensor **last_h, **last_c;     /* receive the last states of each layer and direction; NULL: not wanted */
} ls_recurrent_layer;
typedef ls_recurrent_layer ls_rnn_layer;
typedef ls_recurrent_layer ls_lstm_layer;
typedef ls_recurrent_layer ls_gru_layer;
#define ls_rnn(...) ls__rnn((ls_recurrent_layer){__VA_ARGS__}, LS_HERE)
#define ls_lstm(...) ls__lstm((ls_recurrent_layer){__VA_ARGS__}, LS_HERE)
#define ls_gru(...) ls__gru((ls_recurrent_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__rnn(ls_recurrent_layer layer, ls_where where);
ls_tensor *ls__lstm(ls_recurrent_layer layer, ls_where where);
ls_tensor *ls__gru(ls_recurrent_layer layer, ls_where where);

/* One position of such a layer, for the body of a loop (ls_loop_begin) and for single steps.  The parameters are those
 * of layer `layer`: NAME.weight_ih_l0, ... */
typedef struct ls_cell_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x; /* B x I  ->  the state h after the position, B x hidden */
    int64_t     hidden;
    ls_tensor  *h; /* state before it, B x hidden */
    ls_tensor **c; /* lstm: c before the position, replaced by c after it */
    int         layer;
    bool        no_bias;
    bool        relu, reset_before; /* as in ls_recurrent_layer */
} ls_cell_layer;
#define ls_rnn_cell(...) ls__rnn_cell((ls_cell_layer){__VA_ARGS__}, LS_HERE)
#define ls_lstm_cell(...) ls__lstm_cell((ls_cell_layer){__VA_ARGS__}, LS_HERE)
#define ls_gru_cell(...) ls__gru_cell((ls_cell_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__rnn_cell(ls_cell_layer layer, ls_where where);
ls_tensor *ls__lstm_cell(ls_cell_layer layer, ls_where where);
ls_tensor *ls__gru_cell(ls_cell_layer layer, ls_where where);

/* Kinds of norms over the last dim. */
#define LS_NORM_LIST(X)                                                                                                \
    X(LS_NORM_LAYER, "layer")                                                                                          \
    X(LS_NORM_RMS, "rms")                   /* Zhang & Sennrich 2019 */                                                \
    X(LS_NORM_RMS_PLUS_ONE, "rms_plus_one") /* rms, times 1 + weight, as Gemma */
typedef enum ls_norm { LS_ENUMERATORS(LS_NORM_LIST) } ls_norm;

/* Rotation of queries and keys by their positions (Su 2021): the arguments of ls_rotary. */
typedef struct ls_rope {
    float           base;    /* theta; 0: 10,000 */
    int             columns; /* elements of each head that are rotated, the first; 0: all */
    ls_rope_scaling scaling; /* for contexts that are longer than the original */
    float           factor, low, high;
    int64_t         original;
} ls_rope;

/* Multi-head attention, with the parameters and initialisers of PyTorch's nn.MultiheadAttention (batch first):
 *     y = concat over h of softmax(q_h k_h^T / sqrt(D) + mask) v_h, times out_proj^T + bias
 * q_h are the columns of head h of q in_proj^T + bias, D = E / heads.  Parameters NAME.in_proj_weight (3 E x E:
 * queries, keys, values), NAME.in_proj_bias (3 E), NAME.out_proj.weight (E x E) and NAME.out_proj.bias (E). */
typedef struct ls_multihead_attention_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *q;           /* B x T x E */
    ls_tensor  *k, *v;       /* B x S x E; NULL: self-attention, both are q */
    ls_tensor  *key_padding; /* B x S of int32: nonzero hides the key; NULL: none */
    ls_tensor  *mask;        /* (B x) (heads x) T x S, added to the scores; NULL: none */
    int         heads;       /* divides E; 0: 1 */
    bool        causal;      /* query t attends to keys 0 .. t */
    int64_t     window;      /* causal: query t attends to keys t - window + 1 .. t; 0: no window */
    float       cap;         /* a score s becomes cap tanh(s / cap); 0: no cap; excludes `mask` */
    float       dropout;     /* probability of dropping an attention weight in training */
    bool        no_bias;
    bool        textbook; /* compose matmul, mask and softmax; the tensor NAME.weights has the weights, B x H x T x S */
    float       scale;    /* of the scores; 0: 1 / sqrt(E / heads) */
    ls_tensor  *lengths;  /* number of keys of each sample, B of int32; NULL: S */
    bool        projected; /* k and v are keys and values already (ls__project_memory) */
    ls_tensor **weights;   /* set to the mean of the heads' weights, B x T x S; with keys of their own.  NULL: not */
    ls_tensor  *weights_padding; /* with weights: keys that they leave out, B x S of int32; NULL: none */
    /* Generation, self-attention: the state NAME.cache has `cached` rows for keys and values of earlier runs, and
     * `start` is the position of each sample's first row, B of int32.  0: no cache. */
    int64_t    cached;
    ls_tensor *start;
    ls_init    in_init, out_init; /* of in_proj_weight, by default Glorot's uniform; of out_proj.weight, by default as
                                     nn.Linear */
    /* Later variants of self-attention.  in_proj_weight has the rows of the queries (heads D), of the keys and of the
     * values (kv_heads D each), and out_proj.weight is E x (heads D). */
    int            kv_heads;   /* heads of keys and values (Ainslie 2023), a divisor of heads; 0: heads */
    int64_t        head_width; /* D; 0: E / heads */
    const ls_rope *rope;       /* NULL: queries and keys are not rotated */
    bool           qk_norm;    /* a norm of each head of queries and keys, before the rotation: NAME.q_norm.weight and
                                  NAME.k_norm.weight, D each */
    ls_norm        norm;       /* the kind of this norm */
    float          eps;        /* of this norm */
    bool           qkv_bias, out_bias; /* with no_bias: the projections that have a bias all the same */
} ls_multihead_attention_layer;
#define ls_multihead_attention(...) ls__multihead_attention((ls_multihead_attention_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__multihead_attention(ls_multihead_attention_layer layer, ls_where where);

/* Encodings of positions. */
#define LS_ENCODING_LIST(X)                                                                                            \
    X(LS_ENCODING_LEARNED, "learned")       /* a table of parameters */                                                \
    X(LS_ENCODING_SINUSOIDAL, "sinusoidal") /* sines and cosines (Vaswani 2017) */                                     \
    X(LS_ENCODING_ROTARY, "rotary")         /* attention rotates queries and keys (Su 2021) */                         \
    X(LS_ENCODING_NONE, "none")
typedef enum ls_encoding { LS_ENUMERATORS(LS_ENCODING_LIST) } ls_encoding;

/* x + an encoding of each row's position, for the kinds learned and sinusoidal; x for the others.  Learned: parameter
 * NAME.weight (context x C), N(0, 1) by default as PyTorch's nn.Embedding. */
typedef struct ls_positional_encoding_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x; /* B x T x C */
    ls_encoding kind;
    int64_t     context; /* learned: rows of the table, at least T; 0: T */
    bool        scaled;  /* sinusoidal: x sqrt(C) + encoding, as published */
    ls_init     init;
    ls_tensor  *start; /* position of each sample's first row, B of int32; NULL: 0 */
    int64_t     first; /* added to all positions; RoBERTa: 2 */
} ls_positional_encoding_layer;
#define ls_positional_encoding(...) ls__positional_encoding((ls_positional_encoding_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__positional_encoding(ls_positional_encoding_layer layer, ls_where where);

/* Functions between the two layers of a perceptron. */
#define LS_ACTIVATION_LIST(X) X(LS_RELU, "relu") X(LS_GELU, "gelu") X(LS_GELU_TANH, "gelu_tanh") X(LS_SILU, "silu")
typedef enum ls_activation { LS_ENUMERATORS(LS_ACTIVATION_LIST) } ls_activation;

/* A block of a Transformer: self-attention, cross-attention if there is a `memory`, and a perceptron, each with its
 * norm and a residual connection.  PyTorch's nn.TransformerEncoderLayer, or with a memory its
 * nn.TransformerDecoderLayer (batch first), with their parameters NAME.self_attn.in_proj_weight,
 * NAME.multihead_attn..., NAME.linear1.weight, NAME.norm1.weight, ... */
typedef struct ls_transformer_layer {
    ls_graph     *g;
    const char   *name;
    ls_tensor    *x;              /* B x T x E */
    ls_tensor    *memory;         /* output of an encoder, B x S x E; NULL: none */
    ls_tensor    *key_padding;    /* B x T of int32: nonzero hides the position; NULL: none */
    ls_tensor    *memory_padding; /* B x S of int32; NULL: none */
    ls_tensor    *mask;           /* (B x) (heads x) T x T, added to the scores of self-attention; NULL: none */
    int           heads;          /* 0: 1 */
    int64_t       hidden;         /* width of the perceptron; 0: 4 E */
    float         dropout;        /* probability, of attention weights, hidden units and residual branches */
    float         eps;            /* of the norms; 0: 1e-5 */
    bool          causal;         /* position t attends to positions 0 .. t */
    bool          norm_first;     /* pre-norm; false: post-norm, as published */
    ls_activation activation;
    bool          no_bias;
    bool          textbook; /* attention as separate ops: NAME.self_attn.weights, NAME.multihead_attn.weights */
    ls_tensor    *lengths, *memory_lengths; /* valid positions of x and of the memory, B of int32; NULL: all */
    ls_tensor    *memory_k, *memory_v;      /* instead of a memory: its keys and values, from ls__project_memory */
    int64_t       cached;                   /* generation: rows of the cache of self-attention; 0: none */
    ls_tensor    *start;                    /* with cached: position of each sample's first row, B of int32 */
    ls_init       weight_init;              /* of linear1, linear2 and the out_proj of attention */
    /* Later variants.  The options of self-attention are those of ls_multihead_attention_layer. */
    ls_init        in_init;      /* of the in_proj_weight of self-attention */
    ls_norm        norm;         /* kind of all norms */
    bool           keeps_hidden; /* no dropout of hidden units (BERT) */
    float          drop_path;    /* probability that a sample skips a branch (Huang 2016) */
    bool           sandwich;     /* with norm_first: a norm of the output of each branch as well (Gemma 2):
                                  NAME.norm1_out.weight, NAME.norm2_out.weight */
    bool           gated; /* perceptron: linear2(activation(a) b), where linear1 computes a, then b (Shazeer 2020) */
    bool           qkv_bias, out_bias;
    int            kv_heads;
    int64_t        head_width;
    const ls_rope *rope;
    bool           qk_norm;
    int64_t        window;
    float          cap, scale;
    ls_tensor    **weights, *weights_padding; /* of attention to the memory, as in ls_multihead_attention_layer */
} ls_transformer_layer;
#define ls_transformer(...) ls__transformer((ls_transformer_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__transformer(ls_transformer_layer layer, ls_where where);

#endif
