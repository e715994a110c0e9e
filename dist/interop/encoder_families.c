/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoders of texts of Hugging Face's transformers that core/models/encoder.c computes: BERT (MiniLM), RoBERTa and
 * DistilBERT.  Heads of a file are not loaded.
 */
#include <jansson.h>
#include <string.h>

#include "core/nn/layer_table.h"
#include "dist/interop/architecture.h"
#include "dist/interop/config_keys.h"

typedef ls_encoder_args args;

/* Keys of encoders that change nothing that is computed here. */
static const char *const harmless[] = {
    "gradient_checkpointing", "classifier_dropout",  "qa_dropout",      "seq_classif_dropout",
    "tie_weights_",           "tie_word_embeddings", "finetuning_task", NULL};

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

#define BERT "encoder.layer.*."
static const ls_name_row bert_names[] = {
    {"word.weight", {"embeddings.word_embeddings.weight"}},
    {"type.weight", {"embeddings.token_type_embeddings.weight"}},
    {"position.weight", {"embeddings.position_embeddings.weight"}},
    {"norm.weight", {"embeddings.LayerNorm.weight"}},
    {"norm.bias", {"embeddings.LayerNorm.bias"}},
    {"layers.*.self_attn.in_proj_weight",
     {BERT "attention.self.query.weight", BERT "attention.self.key.weight", BERT "attention.self.value.weight"}},
    {"layers.*.self_attn.in_proj_bias",
     {BERT "attention.self.query.bias", BERT "attention.self.key.bias", BERT "attention.self.value.bias"}},
    {"layers.*.self_attn.out_proj.weight", {BERT "attention.output.dense.weight"}},
    {"layers.*.self_attn.out_proj.bias", {BERT "attention.output.dense.bias"}},
    {"layers.*.norm1.weight", {BERT "attention.output.LayerNorm.weight"}},
    {"layers.*.norm1.bias", {BERT "attention.output.LayerNorm.bias"}},
    {"layers.*.linear1.weight", {BERT "intermediate.dense.weight"}},
    {"layers.*.linear1.bias", {BERT "intermediate.dense.bias"}},
    {"layers.*.linear2.weight", {BERT "output.dense.weight"}},
    {"layers.*.linear2.bias", {BERT "output.dense.bias"}},
    {"layers.*.norm2.weight", {BERT "output.LayerNorm.weight"}},
    {"layers.*.norm2.bias", {BERT "output.LayerNorm.bias"}},
    {NULL, {NULL}}};

#define DISTIL "transformer.layer.*."
static const ls_name_row distilbert_names[] = {
    {"word.weight", {"embeddings.word_embeddings.weight"}},
    {"position.weight", {"embeddings.position_embeddings.weight"}},
    {"norm.weight", {"embeddings.LayerNorm.weight"}},
    {"norm.bias", {"embeddings.LayerNorm.bias"}},
    {"layers.*.self_attn.in_proj_weight",
     {DISTIL "attention.q_lin.weight", DISTIL "attention.k_lin.weight", DISTIL "attention.v_lin.weight"}},
    {"layers.*.self_attn.in_proj_bias",
     {DISTIL "attention.q_lin.bias", DISTIL "attention.k_lin.bias", DISTIL "attention.v_lin.bias"}},
    {"layers.*.self_attn.out_proj.weight", {DISTIL "attention.out_lin.weight"}},
    {"layers.*.self_attn.out_proj.bias", {DISTIL "attention.out_lin.bias"}},
    {"layers.*.norm1.weight", {DISTIL "sa_layer_norm.weight"}},
    {"layers.*.norm1.bias", {DISTIL "sa_layer_norm.bias"}},
    {"layers.*.linear1.weight", {DISTIL "ffn.lin1.weight"}},
    {"layers.*.linear1.bias", {DISTIL "ffn.lin1.bias"}},
    {"layers.*.linear2.weight", {DISTIL "ffn.lin2.weight"}},
    {"layers.*.linear2.bias", {DISTIL "ffn.lin2.bias"}},
    {"layers.*.norm2.weight", {DISTIL "output_layer_norm.weight"}},
    {"layers.*.norm2.bias", {DISTIL "output_layer_norm.bias"}},
    {NULL, {NULL}}};

static const ls_name_row *names_of(const void *model)
{
    return ((const args *)model)->kind == LS_DISTILBERT ? distilbert_names : bert_names;
}

static void qkv_rows(const void *model, int64_t rows[LS_PARTS])
{
    rows[0] = rows[1] = rows[2] = ((const args *)model)->width;
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
    .names       = names_of,
    .qkv_rows    = qkv_rows,
};
