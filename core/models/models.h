/* SPDX-License-Identifier: Apache-2.0
 * Models: functions from an input tensor to logits; language models with a target return the loss instead.  Part of
 * core/core.h. */
#ifndef LS_CORE_MODELS_MODELS_H
#define LS_CORE_MODELS_MODELS_H

/* A perceptron: `layers` hidden layers (linear, relu) of `hidden` units each, then `classes` logits.  With `params`,
 * `hidden` is the number of units that gives the nearest number of parameters. */
typedef struct ls_mlp_args {
    ls_graph  *g;
    ls_tensor *x;       /* B x any shape, flattened */
    int64_t    classes; /* 0: 10 */
    int64_t    hidden;  /* units of a hidden layer; 0: 256, or by params */
    int        layers;  /* hidden layers; 0: 2, -1: none */
    int64_t    params;  /* number of parameters of the model, to 1 %; 0: by hidden */
} ls_mlp_args;
#define ls_mlp(...) ls__mlp((ls_mlp_args){__VA_ARGS__})
ls_tensor *ls__mlp(ls_mlp_args args);

/* LeNet-5 (LeCun 1998): two convolutions, three linear layers; 61,706 parameters on 1 x 28 x 28. */
typedef struct ls_lenet5_args {
    ls_graph  *g;
    ls_tensor *x;       /* B x C x H x W, at least 12 x 12 */
    int64_t    classes; /* 0: 10 */
} ls_lenet5_args;
#define ls_lenet5(...) ls__lenet5((ls_lenet5_args){__VA_ARGS__})
ls_tensor *ls__lenet5(ls_lenet5_args args);

/* A residual network (He 2015) with torchvision's names: resnet18 has 11,689,512 parameters, resnet50 25,557,032. */
typedef struct ls_resnet_args {
    ls_graph  *g;
    ls_tensor *x;       /* B x 3 x H x W, at least 32 x 32 */
    int64_t    classes; /* 0: 1,000 */
    int        depth;   /* 18, 34, 50, 101 or 152; 0: 18 */
} ls_resnet_args;
#define ls_resnet(...) ls__resnet((ls_resnet_args){__VA_ARGS__})
ls_tensor *ls__resnet(ls_resnet_args args);

/* A residual network for images of 32 x 32 (He 2015, section 4.2), with a shortcut without parameters where the shape
 * changes: depth 20 has 269,722 parameters. */
typedef struct ls_resnet_cifar_args {
    ls_graph  *g;
    ls_tensor *x;       /* B x 3 x H x W */
    int64_t    classes; /* 0: 10 */
    int        depth;   /* 6 n + 2: 20, 32, 44, 56, 110; 0: 20 */
} ls_resnet_cifar_args;
#define ls_resnet_cifar(...) ls__resnet_cifar((ls_resnet_cifar_args){__VA_ARGS__})
ls_tensor *ls__resnet_cifar(ls_resnet_cifar_args args);

/* AlexNet.  torchvision: 61,100,840 parameters; original: with groups and response norm (Krizhevsky 2012), 60,965,224
 * parameters for images of 224 x 224. */
#define LS_ALEXNET_LIST(X) X(LS_ALEXNET_TORCHVISION, "torchvision") X(LS_ALEXNET_ORIGINAL, "original")
typedef enum ls_alexnet_variant { LS_ENUMERATORS(LS_ALEXNET_LIST) } ls_alexnet_variant;
typedef struct ls_alexnet_args {
    ls_graph          *g;
    ls_tensor         *x;       /* B x 3 x H x W, at least 63 x 63 */
    int64_t            classes; /* 0: 1,000 */
    ls_alexnet_variant variant;
    float              dropout; /* probability; 0: 0.5, negative: no dropout */
} ls_alexnet_args;
#define ls_alexnet(...) ls__alexnet((ls_alexnet_args){__VA_ARGS__})
ls_tensor *ls__alexnet(ls_alexnet_args args);

/* VGG (Simonyan & Zisserman 2014) with torchvision's names: depth 11 has 132,863,336 parameters. */
typedef struct ls_vgg_args {
    ls_graph  *g;
    ls_tensor *x;          /* B x 3 x H x W, at least 32 x 32 */
    int64_t    classes;    /* 0: 1,000 */
    int        depth;      /* 11, 13, 16 or 19; 0: 11 */
    bool       batch_norm; /* after each convolution */
    float      dropout;    /* probability; 0: 0.5, negative: no dropout */
} ls_vgg_args;
#define ls_vgg(...) ls__vgg((ls_vgg_args){__VA_ARGS__})
ls_tensor *ls__vgg(ls_vgg_args args);

/* EfficientNet-Lite0 (Tan & Le 2019) with timm's names: 4,652,008 parameters. */
typedef struct ls_efficientnet_args {
    ls_graph  *g;
    ls_tensor *x;          /* B x 3 x H x W */
    int64_t    classes;    /* 0: 1,000 */
    bool       tensorflow; /* timm's tf_efficientnet_lite0: TensorFlow's padding, and eps 1e-3 in the norms */
    float      dropout;    /* probability, before the last layer */
    float      drop_path;  /* probability that a sample skips a block, in the last block; from 0 in the first it rises
                              in equal steps */
} ls_efficientnet_args;
#define ls_efficientnet_lite0(...) ls__efficientnet_lite0((ls_efficientnet_args){__VA_ARGS__})
ls_tensor *ls__efficientnet_lite0(ls_efficientnet_args args);

/* A network that learns CIFAR-10 in few epochs, as github.com/KellerJordan/cifar10-airbench (Jordan 2024): its first
 * layer is a constant that whitens patches of CIFAR-10.  Widths of 64 and 128 are the published network of 93 %, 64 and
 * 256 that of 94 %. */
typedef struct ls_fast_cifar_args {
    ls_graph  *g;
    ls_tensor *x;          /* B x 3 x H x W, at least 10 x 10 */
    int64_t    classes;    /* 0: 10 */
    int64_t    width;      /* channels of the first block; 0: 64 */
    int64_t    last_width; /* of the second and third block; 0: 128 */
} ls_fast_cifar_args;
#define ls_fast_cifar(...) ls__fast_cifar((ls_fast_cifar_args){__VA_ARGS__})
ls_tensor *ls__fast_cifar(ls_fast_cifar_args args);

/* GPT-2 (Radford et al. 2019): a decoder-only Transformer with pre-norm blocks and an output layer tied to the token
 * embedding.  Parameters have the names of Hugging Face's GPT2LMHeadModel (transformer.h.0.attn.c_attn.weight, ...).
 * Without a target it returns logits, B x T x vocab; with a target the loss, B, without ever storing all logits.  With
 * layers = 12, heads = 12, width = 768 it is GPT-2 small: 124,439,808 parameters. */
typedef struct ls_gpt_args {
    ls_graph   *g;
    ls_tensor  *x;        /* tokens: B x T of int32 */
    int64_t     vocab;    /* 0: 50,257 */
    ls_tensor  *target;   /* next tokens: B x T of int32; NULL: none */
    ls_tensor  *start;    /* position of the first token of each sample: B of int32; NULL: 0 */
    int64_t     cached;   /* generation: positions of the cache, kept in states, of keys and values; 0: none */
    bool        textbook; /* attention as separate ops; its weights are the tensors transformer.h.N.attn.weights */
    int         layers;   /* 0: 4 */
    int         heads;    /* 0: 4 */
    int64_t     width;    /* a multiple of heads; 0: 128 */
    int64_t     context;  /* largest T, positions; 0: 1,024 */
    float       dropout;  /* probability, of embeddings, attention weights and residual branches */
    ls_encoding position; /* learned, as GPT-2; sinusoidal (Vaswani 2017: embeddings are scaled by sqrt(width)); rotary
                             (Su 2021); none */
    ls_norm     norm;     /* layer, as GPT-2 */
    bool        no_bias;  /* linear layers and norms without bias */
    float       eps;      /* of the norms; 0: 1e-5 */
    float       attention_scale; /* of the scores q k^T; 0: 1 / sqrt(width / heads) */
} ls_gpt_args;
#define ls_gpt(...) ls__gpt((ls_gpt_args){__VA_ARGS__})
ls_tensor *ls__gpt(ls_gpt_args args);

/* A decoder-only Transformer of the shape that Llama gave it: pre-norm blocks (core/nn/transformer_block.c), rotary
 * positions, a gated perceptron, and keys and values that several query heads share.  Its options cover Llama 2 and 3,
 * SmolLM, Qwen 2, 2.5 and 3, Mistral, Gemma 2 and Gemma 3 (text); dist/interop/decoder_families.c reads them from
 * config.json.  Parameters are embed_tokens.weight, layers.0.self_attn.in_proj_weight, ..., norm.weight and, unless
 * tied, lm_head.weight. */
#define LS_DECODER_BIAS_LIST(X)                                                                                        \
    X(LS_BIAS_NONE, "none")                                                                                            \
    X(LS_BIAS_QKV, "qkv")             /* of queries, keys and values */                                                \
    X(LS_BIAS_ATTENTION, "attention") /* of attention's output as well */                                              \
    X(LS_BIAS_ALL, "all")             /* of the perceptron and of layer norms as well */
typedef enum ls_decoder_bias { LS_ENUMERATORS(LS_DECODER_BIAS_LIST) } ls_decoder_bias;
typedef struct ls_decoder_args {
    ls_graph       *g;
    ls_tensor      *x;          /* tokens: B x T of int32 */
    int64_t         vocab;      /* 0: 49,152 */
    ls_tensor      *target;     /* next tokens: B x T of int32; NULL: the result is logits, B x T x vocab */
    ls_tensor      *start;      /* position of the first token of each sample: B of int32; NULL: 0 */
    int64_t         cached;     /* generation: positions of the cache of keys and values; 0: none */
    bool            textbook;   /* attention as separate ops */
    int             layers;     /* 0: 4 */
    int             heads;      /* of queries; 0: 4 */
    int             kv_heads;   /* of keys and values; 0: heads */
    int64_t         head_width; /* 0: width / heads */
    int64_t         width;      /* 0: 128 */
    int64_t         hidden;     /* units of the perceptron; 0: 4 width */
    int64_t         context;    /* largest T, positions; 0: 1,024 */
    float           dropout;    /* probability, of the embedding, attention weights, hidden units and branches */
    ls_norm         norm;       /* of all norms; recipes: rms unless given */
    float           eps;        /* of the norms; 0: 1e-5 */
    bool            sandwich;   /* a norm of the output of each branch as well (Gemma) */
    bool            qk_norm;    /* a norm of each head of queries and keys (Qwen 3, Gemma 3) */
    ls_decoder_bias bias;
    ls_activation   activation;   /* recipes: silu unless given */
    bool            plain;        /* perceptron without gate */
    float           theta;        /* base of the rotary positions; 0: 10,000 */
    ls_rope_scaling rope_scaling; /* of positions, for longer contexts, with the next four (ls_rotary) */
    float           rope_factor, rope_low, rope_high;
    int64_t         rope_original;
    float           rope_share;      /* share of each head that is rotated; 0: 1 */
    int             no_rope_every;   /* each so-many-th layer has no positions (SmolLM 3: 4); 0: none */
    int64_t         window;          /* a query sees itself and the window - 1 keys before it; 0: all keys */
    int             full_every;      /* with window: each so-many-th layer sees all keys (Gemma 2: 2); 0: none */
    float           theta_local;     /* base of the positions in layers with the window, not scaled; 0: theta */
    float           attention_scale; /* of the scores q k^T; 0: 1 / sqrt(head_width) */
    float           attention_cap, final_cap; /* limits scores and logits s to cap tanh(s / cap); 0: none */
    bool            scaled;                   /* embeddings times sqrt(width) (Gemma) */
    bool            tied;                     /* the output layer is the embedding */
} ls_decoder_args;
#define ls_decoder(...) ls__decoder((ls_decoder_args){__VA_ARGS__})
ls_tensor *ls__decoder(ls_decoder_args args);

/* The Vision Transformer (Dosovitskiy 2021), and DeiT (Touvron 2021).  Without options it is ViT-Ti/16, which has
 * 5,717,416 parameters for images of 224 x 224: patch.weight, token, position.weight, layers.0..., norm and head. */
typedef struct ls_vit_args {
    ls_graph  *g;
    ls_tensor *x;         /* B x C x H x W; H and W are multiples of the patch */
    int64_t    classes;   /* 0: 1,000 */
    int        patch;     /* side of a patch, pixels; 0: 16 */
    int        layers;    /* 0: 12 */
    int        heads;     /* 0: 3 */
    int64_t    width;     /* a multiple of heads; 0: 192 */
    int64_t    hidden;    /* units of the perceptron; 0: 4 width */
    float      eps;       /* of the norms; 0: 1e-6, as timm; Hugging Face: 1e-12 */
    float      dropout;   /* probability, of the embedding, attention weights, hidden units and branches */
    float      drop_path; /* probability that a sample skips a branch of the last layer; from 0 in the first it rises in
                             equal steps (Huang 2016) */
    bool       distilled; /* a second token with a head of its own; logits are the mean of both (Touvron 2021) */
    bool       one_head;  /* distilled: the second token has no head */
} ls_vit_args;
#define ls_vit(...) ls__vit((ls_vit_args){__VA_ARGS__})
ls_tensor *ls__vit(ls_vit_args args);

/* An encoder of texts. */
#define LS_ENCODER_KIND_LIST(X)                                                                                        \
    X(LS_BERT, "bert")             /* Devlin 2019 */                                                                   \
    X(LS_ROBERTA, "roberta")       /* Liu 2019: positions begin at 2 */                                                \
    X(LS_DISTILBERT, "distilbert") /* Sanh 2019: no types, no pooler */
typedef enum ls_encoder_kind { LS_ENUMERATORS(LS_ENCODER_KIND_LIST) } ls_encoder_kind;

/* The vector of a text, B x width. */
#define LS_POOL_LIST(X)                                                                                                \
    X(LS_POOLER, "pooler")  /* of the first token, through a linear layer and tanh, distilbert: relu */                \
    X(LS_POOL_CLS, "cls")   /* of the first token */                                                                   \
    X(LS_POOL_MEAN, "mean") /* mean over the tokens (Reimers 2019) */
typedef enum ls_pool { LS_ENUMERATORS(LS_POOL_LIST) } ls_pool;

/* BERT and its kin (core/models/encoder.c).  The result is logits, B x classes, or without classes the rows, B x T x
 * width.  Parameters are word.weight, type.weight, position.weight, norm, layers.0..., pooler and classifier.
 * BERT-base has 109,482,240 of them with the pooler, without a classifier. */
typedef struct ls_encoder_args {
    ls_graph       *g;
    ls_tensor      *x;       /* tokens: B x T of int32 */
    int64_t         classes; /* outputs of the head; 0: no head */
    ls_tensor      *length;  /* B of int32: tokens of each sample; those behind are not read */
    ls_tensor      *type;    /* B x T of int32: 0, or 1 for the second text of a pair; distilbert: NULL */
    int64_t         vocab;   /* 0: 30,522 */
    ls_tensor      *target;  /* pretraining: B x T of int32, tokens at masked positions, elsewhere -1; NULL: none.  The
                               result is then the loss, B: scale x the sum of the masked losses + next sentence's */
    ls_tensor      *next;    /* pretraining, bert: B of int32, 0 if the second part follows the first, else 1 */
    ls_tensor      *scale;   /* pretraining: B of float32 */
    ls_tensor     **scores;  /* (optional) pretraining: set to the sum of the masked losses, and of bert the two logits
                               of next: B x 1, B x 3 */
    ls_encoder_kind kind;
    ls_pool         pool;       /* input of the head */
    int             layers;     /* 0: 4 */
    int             heads;      /* 0: 4 */
    int64_t         width;      /* a multiple of heads; 0: 256 */
    int64_t         hidden;     /* units of the perceptron; 0: 4 width */
    int64_t         context;    /* positions of the table; 0: 512 */
    int64_t         types;      /* of texts; 0: 2, and 1 for roberta */
    float           eps;        /* of the norms; 0: 1e-12 */
    ls_activation   activation; /* recipes: gelu unless given */
    float           dropout;    /* probability, of embeddings, attention weights, branches and the head's input */
} ls_encoder_args;
#define ls_encoder(...) ls__encoder((ls_encoder_args){__VA_ARGS__})
ls_tensor *ls__encoder(ls_encoder_args args);

#define LS_RNN_CELL_LIST(X)                                                                                            \
    X(LS_RNN_LSTM, "lstm") X(LS_RNN_GRU, "gru") X(LS_RNN_TANH, "rnn_tanh") X(LS_RNN_RELU, "rnn_relu")
typedef enum ls_rnn_cell { LS_ENUMERATORS(LS_RNN_CELL_LIST) } ls_rnn_cell;

/* A recurrent language model (Mikolov 2010, Zaremba 2014) with the parameters of PyTorch's example word_language_model
 * (encoder.weight, rnn.weight_ih_l0, ..., decoder.weight, decoder.bias).  Without a target it returns logits, B x T x
 * vocab; with a target the loss, B.  Each sample begins with a state of zeros, unless the model is cached. */
typedef struct ls_rnn_lm_args {
    ls_graph   *g;
    ls_tensor  *x;        /* tokens: B x T of int32 */
    int64_t     vocab;    /* 0: 50,257 */
    ls_tensor  *target;   /* next tokens: B x T of int32; NULL: none */
    ls_tensor  *start;    /* position of the first token of each sample: B of int32; NULL: 0 */
    int64_t     cached;   /* not 0: begin with the state after the run before, where start is not 0: in generation, and
                             in training on streams of text */
    bool        textbook; /* not available */
    ls_rnn_cell cell;
    int         layers;    /* 0: 2 */
    int64_t     hidden;    /* units of a layer; 0: 200 */
    int64_t     embedding; /* width of the embedding; 0: hidden */
    int64_t     context;   /* positions of a sample, for recipes */
    float       dropout;   /* probability, of the embedding and of the output of each layer */
    bool        tied;      /* the output layer has the weight of the embedding */
} ls_rnn_lm_args;
#define ls_rnn_lm(...) ls__rnn_lm((ls_rnn_lm_args){__VA_ARGS__})
ls_tensor *ls__rnn_lm(ls_rnn_lm_args args);

/* ---- translation -------------------------------------------------------------------------------------------------
 * An encoder reads the source, a decoder computes the next target token from the target tokens before it.  A model of
 * translation is built as a whole, which training needs, or as one of its two parts, with which translations are
 * generated. */
typedef enum ls_translation_part { LS_WHOLE_TRANSLATION, LS_ENCODER, LS_DECODER } ls_translation_part;

/* The values between the parts, each B x ...  As the part LS_ENCODER a model sets the memories, which the decoder reads
 * at each position, and the carries: values that the decoder hands from one position to the next, here their first
 * values, NULL for zeros.  As the part LS_DECODER it has an input "memory0", "carry0", ... for each of them, and sets
 * `next`, the carries after a position.  It may have states as well (ls_state), which begin with zeros. */
enum { LS_MAX_MEMORIES = 24, LS_MAX_CARRIES = 20 };
typedef struct ls_encoder_output {
    int        memories, carries;
    ls_tensor *memory[LS_MAX_MEMORIES];
    ls_tensor *carry[LS_MAX_CARRIES], *next[LS_MAX_CARRIES];
    ls_tensor *weights; /* of the decoder alone: weights of attention, B x S, if it has source_padding; NULL: none */
} ls_encoder_output;

/* The arguments that all models of translation begin with.  Tokens are B x T of int32, lengths B of int32. */
typedef struct ls_translation_inputs {
    ls_graph           *g;
    ls_tensor          *source;  /* B x S; the decoder alone: NULL */
    int64_t             classes; /* vocabulary of the target */
    int64_t             source_classes;
    bool                joint;         /* source and target share one vocabulary and one embedding */
    ls_tensor          *source_length; /* B: tokens of each source */
    ls_tensor          *previous;      /* B x T: the target, one position later; the encoder alone: NULL */
    ls_tensor          *target;        /* B x T: -1 is ignored; NULL: the result is logits, B x T x classes */
    float               label_smoothing;
    ls_translation_part part;
    ls_encoder_output  *encoded;      /* for a part */
    int64_t             source_width; /* of the decoder alone: S */
    int64_t             target_width; /* of the decoder alone: most tokens of a translation */
    ls_tensor          *start;        /* of the decoder alone: position of the previous token, B */
    ls_tensor *source_padding; /* of the decoder alone: B x S of int32, not 0 after the source; asks for the weights of
                                  attention.  NULL: they are not computed */
} ls_translation_inputs;

/* The Transformer (Vaswani 2017) with the parameters of PyTorch's nn.Transformer: encoder.layers.0.self_attn...,
 * decoder.layers.0..., encoder.norm, decoder.norm; embeddings embedding.weight, or source.weight and target.weight.
 * Embeddings are scaled by sqrt(width), positions are sinusoids, and the output layer is the target's embedding. */
typedef struct ls_transformer_args {
    ls_translation_inputs in;
    int                   layers;         /* of encoder and decoder; 0: 3 */
    int                   decoder_layers; /* 0: layers */
    int                   heads;          /* 0: 8 */
    int64_t               width;          /* a multiple of heads; 0: 256 */
    int64_t               hidden;         /* units of the perceptron; 0: 4 width */
    float                 dropout;        /* probability, of embeddings, attention weights, hidden units and sums */
    bool                  norm_first;     /* pre-norm (Xiong 2020); false: post-norm, as published */
} ls_transformer_args;
ls_tensor *ls__transformer_model(ls_transformer_args args);

#define LS_ATTENTION_SCORE_LIST(X)                                                                                     \
    X(LS_ATTENTION_NONE, "none")         /* no attention (Sutskever 2014) */                                           \
    X(LS_ATTENTION_ADDITIVE, "additive") /* Bahdanau 2014: v . tanh(W_a s + U_a m), s the state before */              \
    X(LS_ATTENTION_DOT, "dot")           /* Luong 2015: h . m */                                                       \
    X(LS_ATTENTION_GENERAL, "general")   /* Luong 2015: h . W m */                                                     \
    X(LS_ATTENTION_CONCAT, "concat")     /* Luong 2015: v . tanh(W [h; m]) */
typedef enum ls_attention_score { LS_ENUMERATORS(LS_ATTENTION_SCORE_LIST) } ls_attention_score;

/* A recurrent encoder and decoder; core/models/seq2seq.c has the equations.  With dot, general and concat the decoder
 * attends to the encoder's outputs after each step (Luong 2015), with additive before it (Bahdanau 2014). */
typedef struct ls_seq2seq_args {
    ls_translation_inputs in;
    ls_rnn_cell           cell;
    int                   layers;        /* of encoder and decoder; 0: 1 */
    int64_t               hidden;        /* units of a layer of the decoder, and of the encoder: of both directions
                                            together; 0: 512 */
    int64_t               embedding;     /* 0: hidden */
    bool                  bidirectional; /* encoder */
    bool                  reverse;       /* the encoder reads from the last token to the first (Sutskever 2014) */
    bool                  reset_before;  /* gru: as published (ls_recurrent_args) */
    ls_attention_score    attention;
    bool                  input_feed; /* dot, general, concat: the decoder also reads h' of the position before */
    float                 dropout;    /* probability, of embeddings, between layers and of the outputs */
    bool                  tied;       /* the output layer is the target's embedding, which is as wide as the outputs */
} ls_seq2seq_args;
ls_tensor *ls__seq2seq(ls_seq2seq_args args);

#endif
