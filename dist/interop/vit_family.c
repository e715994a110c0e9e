/* SPDX-License-Identifier: Apache-2.0
 *
 * ViT and DeiT (core/models/vit.c): config.json of Hugging Face's transformers, and the names of parameters there and
 * in timm.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/nn/layer_table.h"
#include "dist/interop/architecture.h"
#include "dist/interop/config_keys.h"

typedef ls_vit_args args;

/* Keys of ViT that change nothing that is computed here. */
static const char *const harmless[] = {"is_encoder_decoder", "encoder_stride", "pooler_act", "pooler_output_size",
                                       "num_channels",       "image_size",     NULL};

static ls_status read(const char *path, const json_t *config, void *out)
{
    const char    *type = json_string_value(json_object_get(config, "model_type"));
    const json_t  *of   = json_array_get(json_object_get(config, "architectures"), 0);
    const char    *name = json_is_string(of) ? json_string_value(of) : "";
    ls_config_keys k, labels;
    args           a = {.distilled = type && !strcmp(type, "deit")};
    a.one_head       = a.distilled && !strstr(name, "WithTeacher");
    ls__keys_open(&k, path, config);
    a.width   = ls__key_int(&k, "hidden_size", 768);
    a.layers  = (int)ls__key_int(&k, "num_hidden_layers", 12);
    a.heads   = (int)ls__key_int(&k, "num_attention_heads", 12);
    a.hidden  = ls__key_int(&k, "intermediate_size", 3072);
    a.patch   = (int)ls__key_int(&k, "patch_size", 16);
    a.eps     = (float)ls__key_real(&k, "layer_norm_eps", 1e-12);
    a.dropout = (float)ls__key_real(&k, "hidden_dropout_prob", 0);
    ls__key_real(&k, "attention_probs_dropout_prob", 0);
    if (strcmp(ls__key_text(&k, "hidden_act", "gelu"), "gelu") != 0) ls__key_fails(&k, "hidden_act", "gelu");
    if (!ls__key_bool(&k, "qkv_bias", true)) ls__key_fails(&k, "qkv_bias", "true");
    a.classes = 2; /* transformers' default */
    if (ls__key_object(&k, "id2label", &labels)) {
        a.classes = (int64_t)json_object_size(labels.object);
        json_decref(labels.seen);
    }
    *(args *)out = a;
    return ls__keys_close(&k, harmless);
}

/* Names in transformers, where M is "vit." or "deit.", and the name in timm. */
#define SHARED_NAMES(M)                                                                                                \
    {"patch.weight", {M "embeddings.patch_embeddings.projection.weight"}, "patch_embed.proj.weight"},                  \
        {"patch.bias", {M "embeddings.patch_embeddings.projection.bias"}, "patch_embed.proj.bias"},                    \
        {"position.weight", {M "embeddings.position_embeddings"}, "pos_embed", .ones = 1},                             \
        {"layers.*.norm1.weight", {M "encoder.layer.*.layernorm_before.weight"}, "blocks.*.norm1.weight"},             \
        {"layers.*.norm1.bias", {M "encoder.layer.*.layernorm_before.bias"}, "blocks.*.norm1.bias"},                   \
        {"layers.*.self_attn.in_proj_weight",                                                                          \
         {M "encoder.layer.*.attention.attention.query.weight", M "encoder.layer.*.attention.attention.key.weight",    \
          M "encoder.layer.*.attention.attention.value.weight"},                                                       \
         "blocks.*.attn.qkv.weight"},                                                                                  \
        {"layers.*.self_attn.in_proj_bias",                                                                            \
         {M "encoder.layer.*.attention.attention.query.bias", M "encoder.layer.*.attention.attention.key.bias",        \
          M "encoder.layer.*.attention.attention.value.bias"},                                                         \
         "blocks.*.attn.qkv.bias"},                                                                                    \
        {"layers.*.self_attn.out_proj.weight",                                                                         \
         {M "encoder.layer.*.attention.output.dense.weight"},                                                          \
         "blocks.*.attn.proj.weight"},                                                                                 \
        {"layers.*.self_attn.out_proj.bias",                                                                           \
         {M "encoder.layer.*.attention.output.dense.bias"},                                                            \
         "blocks.*.attn.proj.bias"},                                                                                   \
        {"layers.*.norm2.weight", {M "encoder.layer.*.layernorm_after.weight"}, "blocks.*.norm2.weight"},              \
        {"layers.*.norm2.bias", {M "encoder.layer.*.layernorm_after.bias"}, "blocks.*.norm2.bias"},                    \
        {"layers.*.linear1.weight", {M "encoder.layer.*.intermediate.dense.weight"}, "blocks.*.mlp.fc1.weight"},       \
        {"layers.*.linear1.bias", {M "encoder.layer.*.intermediate.dense.bias"}, "blocks.*.mlp.fc1.bias"},             \
        {"layers.*.linear2.weight", {M "encoder.layer.*.output.dense.weight"}, "blocks.*.mlp.fc2.weight"},             \
        {"layers.*.linear2.bias", {M "encoder.layer.*.output.dense.bias"}, "blocks.*.mlp.fc2.bias"},                   \
        {"norm.weight", {M "layernorm.weight"}, "norm.weight"},                                                        \
    {                                                                                                                  \
        "norm.bias", {M "layernorm.bias"}, "norm.bias"                                                                 \
    }

static const ls_name_row vit_names[] = {SHARED_NAMES("vit."),
                                        {"token", {"vit.embeddings.cls_token"}, "cls_token", .ones = 1},
                                        {"head.weight", {"classifier.weight"}, "head.weight"},
                                        {"head.bias", {"classifier.bias"}, "head.bias"},
                                        {NULL, {NULL}}};
#define DEIT_NAMES                                                                                                     \
    SHARED_NAMES("deit."), { "token", {"deit.embeddings.cls_token", "deit.embeddings.distillation_token"}, .ones = 1 }
static const ls_name_row deit_names[]     = {DEIT_NAMES,
                                             {"head.weight", {"cls_classifier.weight"}},
                                             {"head.bias", {"cls_classifier.bias"}},
                                             {"head_dist.weight", {"distillation_classifier.weight"}},
                                             {"head_dist.bias", {"distillation_classifier.bias"}},
                                             {NULL, {NULL}}};
static const ls_name_row one_head_names[] = {
    DEIT_NAMES, {"head.weight", {"classifier.weight"}}, {"head.bias", {"classifier.bias"}}, {NULL, {NULL}}};

static const ls_name_row *names_of(const void *model)
{
    const args *a = model;
    return a->one_head ? one_head_names : a->distilled ? deit_names : vit_names;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static json_t *write(const void *model)
{
    const args *a = model;
    if (a->x->dim[1] != a->x->dim[2]) return NULL; /* transformers has square images only */
    char    eps[32];
    json_t *labels = json_object();
    snprintf(eps, sizeof eps, "%.6g", (double)a->eps); /* 1e-06 instead of the digits of float32 */
    for (int64_t i = 0; i < a->classes; i++) {
        char number[24], label[32];
        snprintf(number, sizeof number, "%lld", (long long)i);
        snprintf(label, sizeof label, "LABEL_%lld", (long long)i);
        json_object_set_new(labels, number, json_string(label));
    }
    return json_pack("{s:s, s:[s], s:I, s:i, s:i, s:I, s:i, s:I, s:I, s:f, s:f, s:f, s:s, s:b, s:o}", "model_type",
                     a->distilled ? "deit" : "vit", "architectures",
                     a->one_head    ? "DeiTForImageClassification"
                     : a->distilled ? "DeiTForImageClassificationWithTeacher"
                                    : "ViTForImageClassification",
                     "hidden_size", (json_int_t)a->width, "num_hidden_layers", a->layers, "num_attention_heads",
                     a->heads, "intermediate_size", (json_int_t)a->hidden, "patch_size", a->patch, "image_size",
                     (json_int_t)a->x->dim[1], "num_channels", (json_int_t)a->x->dim[0], "layer_norm_eps",
                     strtod(eps, NULL), "hidden_dropout_prob", 0.0, "attention_probs_dropout_prob", 0.0, "hidden_act",
                     "gelu", "qkv_bias", 1, "id2label", labels);
}

static void qkv_rows(const void *model, int64_t rows[LS_PARTS])
{
    rows[0] = rows[1] = rows[2] = ((const args *)model)->width;
}

const ls_architecture ls__arch_vit = {
    .model       = "vit",
    .model_types = (const char *const[]){"vit", "deit", NULL},
    .prefix      = "vit.",
    .transposed  = (const char *const[]){NULL},
    .tied        = (const ls_tied_tensor[]){{NULL, NULL}},
    .buffers     = (const ls_buffer_tensor[]){{"pooler.dense.weight", "embeddings.cls_token"},
                                              {"pooler.dense.bias", "embeddings.cls_token"},
                                              {NULL, NULL}},
    .read        = read,
    .write       = write,
    .names       = names_of,
    .qkv_rows    = qkv_rows,
    .images      = true,
};
