/* SPDX-License-Identifier: Apache-2.0
 * The table of models by name. */
#include "core/base/enum_text.h"
#include "core/models/model_table.h"
#include "core/nn/layer_table.h"

static ls_tensor *build_lenet5(const void *args) { return ls__lenet5(*(const ls_lenet5_args *)args); }
static ls_tensor *build_mlp(const void *args) { return ls__mlp(*(const ls_mlp_args *)args); }

/* Recipes start from these values, so that a dropout of 0 is one that the recipe asks for. */
static const ls_alexnet_args alexnet_defaults = {.dropout = 0.5f};
static const ls_vgg_args     vgg_defaults     = {.dropout = 0.5f};

static float asked_dropout(float dropout) { return dropout > 0 ? dropout : -1; }

static ls_tensor *build_alexnet(const void *args)
{
    ls_alexnet_args a = *(const ls_alexnet_args *)args;
    a.dropout         = asked_dropout(a.dropout);
    return ls__alexnet(a);
}

static ls_tensor *build_vgg(const void *args)
{
    ls_vgg_args a = *(const ls_vgg_args *)args;
    a.dropout     = asked_dropout(a.dropout);
    return ls__vgg(a);
}

static ls_tensor *build_efficientnet_lite0(const void *args)
{
    return ls__efficientnet_lite0(*(const ls_efficientnet_args *)args);
}
static ls_tensor *build_fast_cifar(const void *args) { return ls__fast_cifar(*(const ls_fast_cifar_args *)args); }
static ls_tensor *build_resnet_cifar(const void *args) { return ls__resnet_cifar(*(const ls_resnet_cifar_args *)args); }

/* A residual network of a published depth. */
static ls_tensor *build_resnet(const void *args, int depth)
{
    ls_resnet_args a = *(const ls_resnet_args *)args;
    a.depth          = depth;
    return ls__resnet(a);
}
static ls_tensor *build_resnet18(const void *args) { return build_resnet(args, 18); }
static ls_tensor *build_resnet34(const void *args) { return build_resnet(args, 34); }
static ls_tensor *build_resnet50(const void *args) { return build_resnet(args, 50); }
static ls_tensor *build_resnet101(const void *args) { return build_resnet(args, 101); }
static ls_tensor *build_resnet152(const void *args) { return build_resnet(args, 152); }

static const ls_field resnet_fields[] = {LS_FIELD(INT64, ls_resnet_args, classes), {0}};
static ls_tensor     *build_vit(const void *args) { return ls__vit(*(const ls_vit_args *)args); }

#define VIT(kind, member) LS_FIELD(kind, ls_vit_args, member)
static const ls_field vit_fields[] = {VIT(INT64, classes),  VIT(INT, patch),     VIT(INT, layers),
                                      VIT(INT, heads),      VIT(INT64, width),   VIT(INT64, hidden),
                                      VIT(FLOAT, eps),      VIT(FLOAT, dropout), VIT(FLOAT, drop_path),
                                      VIT(BOOL, distilled), VIT(BOOL, one_head), {0}};

#define RESNET_ENTRY(depth, text)                                                                                      \
    {                                                                                                                  \
        "resnet" #depth, "residual network (He 2015): " text, sizeof(ls_resnet_args), resnet_fields,                   \
            build_resnet##depth                                                                                        \
    }

/* ---- language models --------------------------------------------------------------------------------------------- */

static ls_tensor *build_rnn_lm(const void *args) { return ls__rnn_lm(*(const ls_rnn_lm_args *)args); }

#define RNN_LM(kind, member) LS_FIELD(kind, ls_rnn_lm_args, member)
static const ls_field rnn_lm_fields[] = {{"classes", LS_FIELD_INT64, offsetof(ls_rnn_lm_args, vocab)},
                                         LS_FIELD_OF(ls__rnn_cells, ls_rnn_lm_args, cell),
                                         RNN_LM(INT, layers),
                                         RNN_LM(INT64, hidden),
                                         RNN_LM(INT64, embedding),
                                         RNN_LM(INT64, context),
                                         RNN_LM(FLOAT, dropout),
                                         RNN_LM(BOOL, tied),
                                         {0}};

static ls_tensor *build_gpt(const void *args) { return ls__gpt(*(const ls_gpt_args *)args); }

/* A GPT-2 of a published size; options that are given replace the published values. */
static ls_tensor *build_gpt2(const void *args, int layers, int heads, int64_t width)
{
    ls_gpt_args a = *(const ls_gpt_args *)args;
    if (!a.layers) a.layers = layers;
    if (!a.heads) a.heads = heads;
    if (!a.width) a.width = width;
    return ls__gpt(a);
}
static ls_tensor *build_gpt2_small(const void *args) { return build_gpt2(args, 12, 12, 768); }
static ls_tensor *build_gpt2_medium(const void *args) { return build_gpt2(args, 24, 16, 1024); }
static ls_tensor *build_gpt2_large(const void *args) { return build_gpt2(args, 36, 20, 1280); }
static ls_tensor *build_gpt2_xl(const void *args) { return build_gpt2(args, 48, 25, 1600); }

#define GPT(kind, member) LS_FIELD(kind, ls_gpt_args, member)
static const ls_field gpt_fields[] = {{"classes", LS_FIELD_INT64, offsetof(ls_gpt_args, vocab)},
                                      GPT(INT, layers),
                                      GPT(INT, heads),
                                      GPT(INT64, width),
                                      GPT(INT64, context),
                                      GPT(FLOAT, dropout),
                                      LS_FIELD_OF(ls__encodings, ls_gpt_args, position),
                                      LS_FIELD_OF(ls__norms, ls_gpt_args, norm),
                                      GPT(BOOL, no_bias),
                                      GPT(FLOAT, eps),
                                      GPT(FLOAT, attention_scale),
                                      GPT(BOOL, textbook),
                                      {0}};
#define GPT_ENTRY(name, text, build)                                                                                   \
    {                                                                                                                  \
        name, text, sizeof(ls_gpt_args), gpt_fields, build, .kind = LS_LANGUAGE_MODEL                                  \
    }

static const char *const decoder_biases[] = LS_ENUM_TEXTS(LS_DECODER_BIAS_LIST);

static const ls_decoder_args decoder_defaults = {.norm = LS_NORM_RMS, .activation = LS_SILU, .tied = true};

static ls_tensor *build_decoder(const void *args) { return ls__decoder(*(const ls_decoder_args *)args); }

#define DECODER(kind, member) LS_FIELD(kind, ls_decoder_args, member)
static const ls_field decoder_fields[] = {{"classes", LS_FIELD_INT64, offsetof(ls_decoder_args, vocab)},
                                          DECODER(INT, layers),
                                          DECODER(INT, heads),
                                          DECODER(INT, kv_heads),
                                          DECODER(INT64, head_width),
                                          DECODER(INT64, width),
                                          DECODER(INT64, hidden),
                                          DECODER(INT64, context),
                                          DECODER(FLOAT, dropout),
                                          LS_FIELD_OF(ls__norms, ls_decoder_args, norm),
                                          DECODER(FLOAT, eps),
                                          DECODER(BOOL, sandwich),
                                          DECODER(BOOL, qk_norm),
                                          LS_FIELD_OF(decoder_biases, ls_decoder_args, bias),
                                          LS_FIELD_OF(ls__activations, ls_decoder_args, activation),
                                          DECODER(BOOL, plain),
                                          DECODER(FLOAT, theta),
                                          LS_FIELD_OF(ls__rope_names, ls_decoder_args, rope_scaling),
                                          DECODER(FLOAT, rope_factor),
                                          DECODER(FLOAT, rope_low),
                                          DECODER(FLOAT, rope_high),
                                          DECODER(INT64, rope_original),
                                          DECODER(FLOAT, rope_share),
                                          DECODER(INT, no_rope_every),
                                          DECODER(INT64, window),
                                          DECODER(INT, full_every),
                                          DECODER(FLOAT, theta_local),
                                          DECODER(FLOAT, attention_scale),
                                          DECODER(FLOAT, attention_cap),
                                          DECODER(FLOAT, final_cap),
                                          DECODER(BOOL, scaled),
                                          DECODER(BOOL, tied),
                                          DECODER(BOOL, textbook),
                                          {0}};

static ls_tensor *build_encoder(const void *args) { return ls__encoder(*(const ls_encoder_args *)args); }

static const char *const     encoder_kinds[]  = LS_ENUM_TEXTS(LS_ENCODER_KIND_LIST);
static const char *const     encoder_pools[]  = LS_ENUM_TEXTS(LS_POOL_LIST);
static const ls_encoder_args encoder_defaults = {.activation = LS_GELU};

#define ENCODER(kind, member) LS_FIELD(kind, ls_encoder_args, member)
static const ls_field encoder_fields[] = {ENCODER(INT64, classes),
                                          ENCODER(INT64, vocab),
                                          LS_FIELD_OF(encoder_kinds, ls_encoder_args, kind),
                                          LS_FIELD_OF(encoder_pools, ls_encoder_args, pool),
                                          ENCODER(INT, layers),
                                          ENCODER(INT, heads),
                                          ENCODER(INT64, width),
                                          ENCODER(INT64, hidden),
                                          ENCODER(INT64, context),
                                          ENCODER(INT64, types),
                                          ENCODER(FLOAT, eps),
                                          LS_FIELD_OF(ls__activations, ls_encoder_args, activation),
                                          ENCODER(FLOAT, dropout),
                                          {0}};

/* ---- translation ------------------------------------------------------------------------------------------------- */

static ls_tensor *build_transformer(const void *args)
{
    return ls__transformer_model(*(const ls_transformer_args *)args);
}
static ls_tensor *build_seq2seq(const void *args) { return ls__seq2seq(*(const ls_seq2seq_args *)args); }

#define TRANSFORMER(kind, member) LS_FIELD(kind, ls_transformer_args, member)
static const ls_field transformer_fields[] = {TRANSFORMER(INT, layers),      TRANSFORMER(INT, decoder_layers),
                                              TRANSFORMER(INT, heads),       TRANSFORMER(INT64, width),
                                              TRANSFORMER(INT64, hidden),    TRANSFORMER(FLOAT, dropout),
                                              TRANSFORMER(BOOL, norm_first), {0}};

#define SEQ2SEQ(kind, member) LS_FIELD(kind, ls_seq2seq_args, member)
static const ls_field seq2seq_fields[] = {LS_FIELD_OF(ls__rnn_cells, ls_seq2seq_args, cell),
                                          SEQ2SEQ(INT, layers),
                                          SEQ2SEQ(INT64, hidden),
                                          SEQ2SEQ(INT64, embedding),
                                          SEQ2SEQ(BOOL, bidirectional),
                                          SEQ2SEQ(BOOL, reverse),
                                          SEQ2SEQ(BOOL, reset_before),
                                          LS_FIELD_OF(ls__attention_scores, ls_seq2seq_args, attention),
                                          SEQ2SEQ(BOOL, input_feed),
                                          SEQ2SEQ(FLOAT, dropout),
                                          SEQ2SEQ(BOOL, tied),
                                          {0}};

const ls_model_entry ls__model_table[] = {
    {"lenet5", "LeNet-5 (LeCun 1998), for images of about 28 x 28", sizeof(ls_lenet5_args),
     LS_FIELDS(LS_FIELD(INT64, ls_lenet5_args, classes)), build_lenet5},
    {"mlp", "perceptron: hidden layers of linear and relu", sizeof(ls_mlp_args),
     LS_FIELDS(LS_FIELD(INT64, ls_mlp_args, classes), LS_FIELD(INT64, ls_mlp_args, hidden),
               LS_FIELD(INT, ls_mlp_args, layers), LS_FIELD(INT64, ls_mlp_args, params)),
     build_mlp},
    RESNET_ENTRY(18, "11.7 million parameters with 1,000 classes"),
    RESNET_ENTRY(34, "21.8 million"),
    RESNET_ENTRY(50, "25.6 million"),
    RESNET_ENTRY(101, "44.5 million"),
    RESNET_ENTRY(152, "60.2 million"),
    {"resnet_cifar", "residual network for images of 32 x 32 (He 2015), of depth 20, 32, 44, 56, ...",
     sizeof(ls_resnet_cifar_args),
     LS_FIELDS(LS_FIELD(INT64, ls_resnet_cifar_args, classes), LS_FIELD(INT, ls_resnet_cifar_args, depth)),
     build_resnet_cifar},
    {"fast_cifar", "learns CIFAR-10 in few epochs (Jordan 2024); its first layer whitens patches of CIFAR-10",
     sizeof(ls_fast_cifar_args),
     LS_FIELDS(LS_FIELD(INT64, ls_fast_cifar_args, classes), LS_FIELD(INT64, ls_fast_cifar_args, width),
               LS_FIELD(INT64, ls_fast_cifar_args, last_width)),
     build_fast_cifar},
    {"alexnet", "AlexNet (Krizhevsky 2012): torchvision's, or the original with groups and response norm",
     sizeof(ls_alexnet_args),
     LS_FIELDS(LS_FIELD(INT64, ls_alexnet_args, classes), LS_FIELD_OF(ls__alexnet_variants, ls_alexnet_args, variant),
               LS_FIELD(FLOAT, ls_alexnet_args, dropout)),
     build_alexnet, .defaults = &alexnet_defaults},
    {"vgg", "VGG (Simonyan & Zisserman 2014) of depth 11, 13, 16 or 19, with or without batch norm",
     sizeof(ls_vgg_args),
     LS_FIELDS(LS_FIELD(INT64, ls_vgg_args, classes), LS_FIELD(INT, ls_vgg_args, depth),
               LS_FIELD(BOOL, ls_vgg_args, batch_norm), LS_FIELD(FLOAT, ls_vgg_args, dropout)),
     build_vgg, .defaults = &vgg_defaults},
    {"efficientnet_lite0", "EfficientNet-Lite0 (Tan & Le 2019): 4.7 million parameters with 1,000 classes",
     sizeof(ls_efficientnet_args),
     LS_FIELDS(LS_FIELD(INT64, ls_efficientnet_args, classes), LS_FIELD(BOOL, ls_efficientnet_args, tensorflow),
               LS_FIELD(FLOAT, ls_efficientnet_args, dropout), LS_FIELD(FLOAT, ls_efficientnet_args, drop_path)),
     build_efficientnet_lite0},
    {"vit", "Vision Transformer (Dosovitskiy 2021): patch, layers, heads, width", sizeof(ls_vit_args), vit_fields,
     build_vit},
    {"rnn_lm", "recurrent language model of rnn, lstm or gru (Zaremba 2014)", sizeof(ls_rnn_lm_args), rnn_lm_fields,
     build_rnn_lm, .kind = LS_LANGUAGE_MODEL, .carries = true},
    GPT_ENTRY("gpt", "GPT-2 architecture (Radford 2019) of any size: layers, heads, width, context", build_gpt),
    GPT_ENTRY("gpt2-small", "GPT-2, 124 million parameters: 12 layers, 12 heads, 768 wide", build_gpt2_small),
    GPT_ENTRY("gpt2-medium", "GPT-2, 355 million: 24 layers, 16 heads, 1,024 wide", build_gpt2_medium),
    GPT_ENTRY("gpt2-large", "GPT-2, 774 million: 36 layers, 20 heads, 1,280 wide", build_gpt2_large),
    GPT_ENTRY("gpt2-xl", "GPT-2, 1,558 million: 48 layers, 25 heads, 1,600 wide", build_gpt2_xl),
    {"decoder", "Llama's architecture and its successors (Touvron 2023): Qwen, Mistral, Gemma, SmolLM",
     sizeof(ls_decoder_args), decoder_fields, build_decoder, .kind = LS_LANGUAGE_MODEL, .defaults = &decoder_defaults},
    {"encoder", "BERT and its kin (Devlin 2019), for classification of texts and `lockstep embed`",
     sizeof(ls_encoder_args), encoder_fields, build_encoder, .kind = LS_TEXT_ENCODER, .defaults = &encoder_defaults},
    {"transformer", "encoder-decoder for translation (Vaswani 2017)", sizeof(ls_transformer_args), transformer_fields,
     build_transformer, .kind = LS_TRANSLATION_MODEL},
    {"seq2seq",
     "recurrent encoder-decoder for translation (Sutskever 2014), with attention (Bahdanau 2014, Luong 2015)",
     sizeof(ls_seq2seq_args), seq2seq_fields, build_seq2seq, .kind = LS_TRANSLATION_MODEL},
    {0},
};
