/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoders of texts of Hugging Face's transformers that core/models/encoder.c computes: BERT (MiniLM), RoBERTa and
 * DistilBERT, alone, with the head for classes of texts, or with those of pretraining.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/nn/layer_table.h"
#include "dist/interop/architecture.h"
#include "dist/interop/config_keys.h"
#include "dist/interop/json_file.h"

typedef ls_encoder_args args;

/* Keys of encoders that change nothing that is computed here. */
static const char *const harmless[] = {"gradient_checkpointing", "classifier_dropout", "qa_dropout",
                                       "seq_classif_dropout",    "tie_weights_",       "tie_word_embeddings",
                                       "finetuning_task",        "num_labels",         NULL};

/* Keys that other models set to true. */
static const char *const always_false[] = {"is_decoder", "add_cross_attention", "sinusoidal_pos_embds",
                                           "is_encoder_decoder", NULL};

/* Names of the keys, which DistilBERT has of its own. */
typedef struct keys {
    const char *width, *layers, *heads, *hidden, *activation, *dropout, *attention_dropout;
} keys;
static const keys bert_keys = {"hidden_size", "num_hidden_layers",   "num_attention_heads",         "intermediate_size",
                               "hidden_act",  "hidden_dropout_prob", "attention_probs_dropout_prob"},
                  distilbert_keys = {"dim",        "n_layers", "n_heads",          "hidden_dim",
                                     "activation", "dropout",  "attention_dropout"};

static ls_status read(const char *path, const json_t *config, void *out)
{
    const char    *type       = json_string_value(json_object_get(config, "model_type"));
    const bool     distilbert = type && !strcmp(type, "distilbert"), roberta = type && !strcmp(type, "roberta");
    const keys    *key = distilbert ? &distilbert_keys : &bert_keys;
    ls_config_keys k;
    args           a = {.kind = distilbert ? LS_DISTILBERT : roberta ? LS_ROBERTA : LS_BERT};
    ls__keys_open(&k, path, config);
    a.vocab   = ls__key_int(&k, "vocab_size", 0);
    a.width   = ls__key_int(&k, key->width, 0);
    a.layers  = (int)ls__key_int(&k, key->layers, 0);
    a.heads   = (int)ls__key_int(&k, key->heads, 0);
    a.hidden  = ls__key_int(&k, key->hidden, 0);
    a.context = ls__key_int(&k, "max_position_embeddings", 512);
    a.eps     = distilbert ? 1e-12f : (float)ls__key_real(&k, "layer_norm_eps", 1e-12);
    a.types   = distilbert ? 0 : ls__key_int(&k, "type_vocab_size", 2);
    a.dropout = (float)ls__key_real(&k, key->dropout, 0.1);
    ls__key_real(&k, key->attention_dropout, 0.1);
    a.activation = ls__key_activation(&k, key->activation, LS_GELU);
    if (strcmp(ls__key_text(&k, "position_embedding_type", "absolute"), "absolute") != 0)
        ls__key_fails(&k, "position_embedding_type", "absolute");
    for (const char *const *f = always_false; *f; f++)
        if (ls__key_bool(&k, *f, false)) ls__key_fails(&k, *f, "false");
    *(args *)out = a;
    return ls__keys_close(&k, harmless);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* The names below the prefix P.  Models with a head have one, bare encoders have none. */
#define BERT(P) P "encoder.layer.*."
#define BERT_NAMES(P)                                                                                                  \
    {"word.weight", {P "embeddings.word_embeddings.weight"}},                                                          \
        {"type.weight", {P "embeddings.token_type_embeddings.weight"}},                                                \
        {"position.weight", {P "embeddings.position_embeddings.weight"}},                                              \
        {"norm.weight", {P "embeddings.LayerNorm.weight"}}, {"norm.bias", {P "embeddings.LayerNorm.bias"}},            \
        {"layers.*.self_attn.in_proj_weight",                                                                          \
         {BERT(P) "attention.self.query.weight", BERT(P) "attention.self.key.weight",                                  \
          BERT(P) "attention.self.value.weight"}},                                                                     \
        {"layers.*.self_attn.in_proj_bias",                                                                            \
         {BERT(P) "attention.self.query.bias", BERT(P) "attention.self.key.bias",                                      \
          BERT(P) "attention.self.value.bias"}},                                                                       \
        {"layers.*.self_attn.out_proj.weight", {BERT(P) "attention.output.dense.weight"}},                             \
        {"layers.*.self_attn.out_proj.bias", {BERT(P) "attention.output.dense.bias"}},                                 \
        {"layers.*.norm1.weight", {BERT(P) "attention.output.LayerNorm.weight"}},                                      \
        {"layers.*.norm1.bias", {BERT(P) "attention.output.LayerNorm.bias"}},                                          \
        {"layers.*.linear1.weight", {BERT(P) "intermediate.dense.weight"}},                                            \
        {"layers.*.linear1.bias", {BERT(P) "intermediate.dense.bias"}},                                                \
        {"layers.*.linear2.weight", {BERT(P) "output.dense.weight"}},                                                  \
        {"layers.*.linear2.bias", {BERT(P) "output.dense.bias"}},                                                      \
        {"layers.*.norm2.weight", {BERT(P) "output.LayerNorm.weight"}},                                                \
    {                                                                                                                  \
        "layers.*.norm2.bias", { BERT(P) "output.LayerNorm.bias" }                                                     \
    }
#define DISTIL(P) P "transformer.layer.*."
#define DISTIL_NAMES(P)                                                                                                \
    {"word.weight", {P "embeddings.word_embeddings.weight"}},                                                          \
        {"position.weight", {P "embeddings.position_embeddings.weight"}},                                              \
        {"norm.weight", {P "embeddings.LayerNorm.weight"}}, {"norm.bias", {P "embeddings.LayerNorm.bias"}},            \
        {"layers.*.self_attn.in_proj_weight",                                                                          \
         {DISTIL(P) "attention.q_lin.weight", DISTIL(P) "attention.k_lin.weight",                                      \
          DISTIL(P) "attention.v_lin.weight"}},                                                                        \
        {"layers.*.self_attn.in_proj_bias",                                                                            \
         {DISTIL(P) "attention.q_lin.bias", DISTIL(P) "attention.k_lin.bias", DISTIL(P) "attention.v_lin.bias"}},      \
        {"layers.*.self_attn.out_proj.weight", {DISTIL(P) "attention.out_lin.weight"}},                                \
        {"layers.*.self_attn.out_proj.bias", {DISTIL(P) "attention.out_lin.bias"}},                                    \
        {"layers.*.norm1.weight", {DISTIL(P) "sa_layer_norm.weight"}},                                                 \
        {"layers.*.norm1.bias", {DISTIL(P) "sa_layer_norm.bias"}},                                                     \
        {"layers.*.linear1.weight", {DISTIL(P) "ffn.lin1.weight"}},                                                    \
        {"layers.*.linear1.bias", {DISTIL(P) "ffn.lin1.bias"}},                                                        \
        {"layers.*.linear2.weight", {DISTIL(P) "ffn.lin2.weight"}},                                                    \
        {"layers.*.linear2.bias", {DISTIL(P) "ffn.lin2.bias"}},                                                        \
        {"layers.*.norm2.weight", {DISTIL(P) "output_layer_norm.weight"}},                                             \
    {                                                                                                                  \
        "layers.*.norm2.bias", { DISTIL(P) "output_layer_norm.bias" }                                                  \
    }
#define HEAD(param, name)                                                                                              \
    {param ".weight", {name ".weight"}, .head = true}, { param ".bias", {name ".bias"}, .head = true }

/* The names of a kind: of the encoder alone, with the head of *ForSequenceClassification, and with the heads of
 * pretraining. */
enum { BARE, CLASSIFIER, PRETRAINING, FORMS, MOST_ROWS = 28 };
#define MASKED(transform, norm, masked)                                                                                \
    HEAD("transform", transform), HEAD("transform_norm", norm), { "masked.bias", {masked}, .head = true }
static const ls_name_row encoder_names[][FORMS][MOST_ROWS] = {
    [LS_BERT]       = {{BERT_NAMES("")},
                       {BERT_NAMES("bert."), HEAD("pooler", "bert.pooler.dense"), HEAD("classifier", "classifier")},
                       {BERT_NAMES("bert."), HEAD("pooler", "bert.pooler.dense"),
                        MASKED("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm",
                               "cls.predictions.bias"),
                        HEAD("next", "cls.seq_relationship")}},
    [LS_ROBERTA]    = {{BERT_NAMES("")},
                       {BERT_NAMES("roberta."), HEAD("pooler", "classifier.dense"),
                        HEAD("classifier", "classifier.out_proj")},
                       {BERT_NAMES("roberta."), MASKED("lm_head.dense", "lm_head.layer_norm", "lm_head.bias")}},
    [LS_DISTILBERT] = {
        {DISTIL_NAMES("")},
        {DISTIL_NAMES("distilbert."), HEAD("pooler", "pre_classifier"), HEAD("classifier", "classifier")},
        {DISTIL_NAMES("distilbert."), MASKED("vocab_transform", "vocab_layer_norm", "vocab_projector.bias")}}};

static const ls_name_row *names_of(const void *model)
{
    const args *a = model;
    return encoder_names[a->kind][a->target ? PRETRAINING : a->classes ? CLASSIFIER : BARE];
}

static void qkv_rows(const void *model, int64_t rows[LS_PARTS])
{
    rows[0] = rows[1] = rows[2] = ((const args *)model)->width;
}

/* ---- config.json of a model -------------------------------------------------------------------------------------- */

static json_t *write(const void *model)
{
    static const char *const type[] = {[LS_BERT] = "bert", [LS_ROBERTA] = "roberta", [LS_DISTILBERT] = "distilbert"},
                             *const name[] = {
                                 [LS_BERT] = "Bert", [LS_ROBERTA] = "Roberta", [LS_DISTILBERT] = "DistilBert"};
    const args *a      = model;
    const bool  distil = a->kind == LS_DISTILBERT;
    const keys *key    = distil ? &distilbert_keys : &bert_keys;
    char        class_name[64];
    /* Transformers has no class with a head on the first token or on the mean. */
    const char *form = a->target                            ? a->kind == LS_BERT ? "ForPreTraining" : "ForMaskedLM"
                       : a->classes && a->pool == LS_POOLER ? "ForSequenceClassification"
                                                            : "Model";
    snprintf(class_name, sizeof class_name, "%s%s", name[a->kind], form);
    json_t *config = json_pack("{s:s, s:[s], s:I, s:I, s:i, s:i, s:I, s:I, s:s, s:f, s:f}", "model_type", type[a->kind],
                               "architectures", class_name, "vocab_size", (json_int_t)a->vocab, key->width,
                               (json_int_t)a->width, key->layers, a->layers, key->heads, a->heads, key->hidden,
                               (json_int_t)a->hidden, "max_position_embeddings", (json_int_t)a->context,
                               key->activation, ls__activation_name(a->activation), key->dropout,
                               ls__shortest(a->dropout), key->attention_dropout, ls__shortest(a->dropout));
    if (!distil) json_object_set_new(config, "type_vocab_size", json_integer(a->types));
    if (!distil) json_object_set_new(config, "layer_norm_eps", json_real(ls__shortest(a->eps)));
    if (a->classes) json_object_set_new(config, "num_labels", json_integer(a->classes));
    return config;
}

#define WORDS "embeddings.word_embeddings.weight"
const ls_architecture ls__arch_encoder = {
    .model       = "encoder",
    .model_types = (const char *const[]){"bert", "roberta", "distilbert", NULL},
    .prefix      = "",
    .transposed  = (const char *const[]){NULL},
    .tied        = (const ls_tied_tensor[]){{NULL, NULL}},
    .buffers     = (const ls_buffer_tensor[]){{"embeddings.position_ids", WORDS},
                                              {"embeddings.token_type_ids", WORDS},
                                              {"pooler.dense.weight", WORDS},
                                              {"pooler.dense.bias", WORDS},
                                              {"cls.predictions.bias", "bert." WORDS},
                                              {"cls.predictions.transform.dense.weight", "bert." WORDS},
                                              {"cls.predictions.transform.dense.bias", "bert." WORDS},
                                              {"cls.predictions.transform.LayerNorm.weight", "bert." WORDS},
                                              {"cls.predictions.transform.LayerNorm.bias", "bert." WORDS},
                                              {"cls.predictions.decoder.weight", "bert." WORDS},
                                              {"cls.predictions.decoder.bias", "bert." WORDS},
                                              {"cls.seq_relationship.weight", "bert." WORDS},
                                              {"cls.seq_relationship.bias", "bert." WORDS},
                                              {"classifier.weight", "bert." WORDS},
                                              {"classifier.bias", "bert." WORDS},
                                              {"lm_head.bias", "roberta." WORDS},
                                              {"lm_head.dense.weight", "roberta." WORDS},
                                              {"lm_head.dense.bias", "roberta." WORDS},
                                              {"lm_head.layer_norm.weight", "roberta." WORDS},
                                              {"lm_head.layer_norm.bias", "roberta." WORDS},
                                              {"lm_head.decoder.weight", "roberta." WORDS},
                                              {"lm_head.decoder.bias", "roberta." WORDS},
                                              {"vocab_transform.weight", "distilbert." WORDS},
                                              {"vocab_transform.bias", "distilbert." WORDS},
                                              {"vocab_layer_norm.weight", "distilbert." WORDS},
                                              {"vocab_layer_norm.bias", "distilbert." WORDS},
                                              {"vocab_projector.weight", "distilbert." WORDS},
                                              {"vocab_projector.bias", "distilbert." WORDS},
                                              {NULL, NULL}},
    .read        = read,
    .write       = write,
    .names       = names_of,
    .qkv_rows    = qkv_rows,
};
