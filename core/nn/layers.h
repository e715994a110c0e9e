/* SPDX-License-Identifier: Apache-2.0
 * Layers own parameters and compose ops; they have no backward of their own.  Part of core/core.h. */
#ifndef LS_CORE_NN_LAYERS_H
#define LS_CORE_NN_LAYERS_H

/* Fully connected: y = x w^T + b.  Parameters NAME.weight (out x in) and NAME.bias (out).
 * Default initialisers as PyTorch's nn.Linear: uniform +- 1/sqrt(in) for both. */
typedef struct ls_linear_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x; /* B x ... x in */
    int64_t     out;
    bool        no_bias;
    ls_init     weight_init, bias_init;
} ls_linear_layer;
#define ls_linear(...) ls__linear((ls_linear_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__linear(ls_linear_layer layer, ls_where where);

/* Convolution in two dims: y[o] = b[o] + sum over c of w[o, c] * x[c], as PyTorch's nn.Conv2d.  Parameters NAME.weight
 * (out x C/groups x KH x KW) and NAME.bias (out); both uniform +- 1/sqrt(C/groups KH KW) by default.
 * Of kernel, stride (1), padding (0) and dilation (1), the one for a dim goes before the one for both. */
typedef struct ls_conv2d_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x; /* B x C x H x W */
    int64_t     out;
    int         kernel, kernel_h, kernel_w;
    int         stride, stride_h, stride_w;
    int         padding, padding_h, padding_w;
    int         dilation, dilation_h, dilation_w;
    int         groups;
    bool        no_bias;
    ls_init     weight_init, bias_init;
} ls_conv2d_layer;
#define ls_conv2d(...) ls__conv2d((ls_conv2d_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__conv2d(ls_conv2d_layer layer, ls_where where);

/* Embedding: row x of a table, as PyTorch's nn.Embedding.  Parameter NAME.weight (vocab x width), N(0, 1) by default.
 */
typedef struct ls_embedding_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x; /* B x ... of int32, each in 0..vocab-1 -> B x ... x width */
    int64_t     vocab, width;
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
    float       eps; /* 0: 1e-5     */
    bool        no_bias;
    ls_init     weight_init, bias_init;
} ls_layer_norm_layer;
#define ls_layer_norm(...) ls__layer_norm((ls_layer_norm_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__layer_norm(ls_layer_norm_layer layer, ls_where where);

/* Root mean square normalisation over the last dim, as PyTorch's nn.RMSNorm.  Parameter NAME.weight (ones). */
typedef struct ls_rms_norm_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x;   /* B x ... x C */
    float       eps; /* 0: 2^-23    */
    ls_init     weight_init;
} ls_rms_norm_layer;
#define ls_rms_norm(...) ls__rms_norm((ls_rms_norm_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__rms_norm(ls_rms_norm_layer layer, ls_where where);

/* Attention of many heads, as PyTorch's nn.MultiheadAttention (batch first), with its parameters and initialisers:
 *     y = concat over h of softmax(q_h k_h^T / sqrt(D) + mask) v_h, times out_proj^T + bias;      q_h: rows of q
 * in_proj_weight^T + bias NAME.in_proj_weight (3 E x E: of queries, keys and values) and NAME.in_proj_bias (3 E),
 * NAME.out_proj.weight (E x E) and NAME.out_proj.bias. `textbook` composes it of matmul, mask and softmax instead of
 * the fused op; then a tensor NAME.weights has the weights, B x H x T x S. */
typedef struct ls_multihead_attention_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *q;           /* B x T x E                                           */
    ls_tensor  *k, *v;       /* B x S x E; without them, self-attention: q          */
    ls_tensor  *key_padding; /* B x S of int32, not zero: hidden; or NULL           */
    ls_tensor  *mask;        /* (B x) (heads x) T x S, added to the scores; or NULL */
    int         heads;       /* 0: 1; E is a multiple of it                         */
    bool        causal;
    float       dropout; /* of the weights, in training                         */
    bool        no_bias;
    bool        textbook;
    float       scale; /* of the scores; 0: 1 / sqrt(E / heads)              */
} ls_multihead_attention_layer;
#define ls_multihead_attention(...) ls__multihead_attention((ls_multihead_attention_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__multihead_attention(ls_multihead_attention_layer layer, ls_where where);

/* What tells positions apart: a table of parameters; sines and cosines (Vaswani 2017); queries and keys turned by
 * angles (Su 2021), which is attention's business; or nothing. */
#define LS_ENCODING_LIST(X) X(LEARNED, "learned") X(SINUSOIDAL, "sinusoidal") X(ROTARY, "rotary") X(NONE, "none")
typedef enum ls_encoding {
#define X(name, text) LS_ENCODING_##name,
    LS_ENCODING_LIST(X)
#undef X
} ls_encoding;

/* x + an encoding of each row's position, of the kinds learned and sinusoidal; x itself of the others.  Learned:
 * parameter NAME.weight (context x C), N(0, 1) by default as PyTorch's nn.Embedding. */
typedef struct ls_positional_encoding_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x; /* B x T x C                                                        */
    ls_encoding kind;
    int64_t     context; /* rows of the table, at least T; 0: T                              */
    bool        scaled;  /* sinusoidal: x sqrt(C) + encoding, as published                   */
    ls_init     init;
    ls_tensor  *start; /* position of each sample's first row: B of int32; NULL: 0         */
} ls_positional_encoding_layer;
#define ls_positional_encoding(...) ls__positional_encoding((ls_positional_encoding_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__positional_encoding(ls_positional_encoding_layer layer, ls_where where);

/* A block of a Transformer: self-attention, attention to `memory` if there is one, and a perceptron; each with its
 * norm, each added to x.  PyTorch's nn.TransformerEncoderLayer, and with a memory its nn.TransformerDecoderLayer (batch
 * first), with their parameters NAME.self_attn.in_proj_weight, NAME.multihead_attn..., NAME.linear1.weight,
 * NAME.norm1.weight, ... */
typedef struct ls_transformer_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x;              /* B x T x E                                                                        */
    ls_tensor  *memory;         /* what an encoder made: B x S x E; NULL: none                                      */
    ls_tensor  *key_padding;    /* B x T of int32, not zero: hidden from all; or NULL                               */
    ls_tensor  *memory_padding; /* B x S of int32; or NULL                                                          */
    ls_tensor  *mask;           /* (B x) (heads x) T x T, added to the scores of self-attention; or NULL            */
    int         heads;          /* 0: 1                                                                             */
    int64_t     hidden;         /* of the perceptron; 0: 4 E                                                        */
    float       dropout;
    float       eps;        /* of the norms; 0: 1e-5                                                            */
    bool        causal;     /* position t sees positions 0 ... t                                                */
    bool        norm_first; /* pre-norm; else post-norm, as published                                           */
    bool        gelu;       /* instead of relu                                                                  */
    bool        no_bias;
    bool        textbook; /* attention as its separate ops: NAME.self_attn.weights, NAME.multihead_attn.weights */
} ls_transformer_layer;
#define ls_transformer(...) ls__transformer((ls_transformer_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__transformer(ls_transformer_layer layer, ls_where where);

#endif
