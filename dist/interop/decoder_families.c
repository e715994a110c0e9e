/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoders of Hugging Face's transformers that core/models/decoder.c computes: Llama, Mistral, Qwen 2 and 3, SmolLM 3,
 * Gemma, Gemma 2 and Gemma 3 (text).  One row per model_type: which keys of config.json it has beside those of all, and
 * the values of absent keys.
 *
 * A key that is in no list is an error, because it may change what the model computes.
 */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "core/nn/layer_table.h"
#include "dist/interop/architecture.h"
#include "dist/interop/config_keys.h"
#include "dist/interop/model_options.h"

typedef ls_decoder_args args;

/* Keys that a family has besides those of all. */
enum {
    HAS_HEAD_DIM    = 1 << 0,
    HAS_BIAS        = 1 << 1, /* attention_bias */
    HAS_MLP_BIAS    = 1 << 2,
    HAS_WINDOW      = 1 << 3, /* sliding_window */
    HAS_WINDOW_FLAG = 1 << 4, /* use_sliding_window, without which sliding_window has no effect */
    HAS_NO_ROPE     = 1 << 5, /* no_rope_layers, no_rope_layer_interval */
    HAS_SCALAR      = 1 << 6, /* query_pre_attn_scalar */
    HAS_CAPS        = 1 << 7, /* attn_logit_softcapping, final_logit_softcapping */
    HAS_LOCAL       = 1 << 8, /* rope_local_base_freq */
};

typedef struct family {
    const char *type, *architecture;
    unsigned    has;
    args        base;              /* options of all models of the family, and values of absent keys */
    double      scalar;            /* query_pre_attn_scalar where it is absent */
    bool        hidden_activation; /* the key of the activation, instead of hidden_act */
} family;

#define GEMMA .norm = LS_NORM_RMS_PLUS_ONE, .activation = LS_GELU_TANH, .scaled = true, .tied = true, .head_width = 256
#define COMMON .norm = LS_NORM_RMS, .activation = LS_SILU
static const family families[] = {
    {"llama", "LlamaForCausalLM", HAS_HEAD_DIM | HAS_BIAS | HAS_MLP_BIAS, {COMMON, .context = 2048}},
    {"mistral",
     "MistralForCausalLM",
     HAS_HEAD_DIM | HAS_WINDOW,
     {COMMON, .kv_heads = 8, .context = 131072, .window = 4096}},
    {"qwen2",
     "Qwen2ForCausalLM",
     HAS_WINDOW | HAS_WINDOW_FLAG,
     {COMMON, .kv_heads = 32, .context = 32768, .bias = LS_BIAS_QKV, .window = 4096}},
    {"qwen3",
     "Qwen3ForCausalLM",
     HAS_HEAD_DIM | HAS_BIAS | HAS_WINDOW | HAS_WINDOW_FLAG,
     {COMMON, .kv_heads = 32, .head_width = 128, .context = 32768, .qk_norm = true, .window = 4096}},
    {"smollm3",
     "SmolLM3ForCausalLM",
     HAS_BIAS | HAS_MLP_BIAS | HAS_WINDOW | HAS_WINDOW_FLAG | HAS_NO_ROPE,
     {COMMON, .kv_heads = 4, .context = 32768, .theta = 2e6f, .no_rope_every = 4, .tied = true}},
    {"gemma", "GemmaForCausalLM", HAS_HEAD_DIM | HAS_BIAS, {GEMMA, .kv_heads = 16, .context = 8192}},
    {"gemma2",
     "Gemma2ForCausalLM",
     HAS_HEAD_DIM | HAS_BIAS | HAS_WINDOW | HAS_SCALAR | HAS_CAPS,
     {GEMMA, .kv_heads = 4, .context = 8192, .sandwich = true, .window = 4096, .full_every = 2, .attention_cap = 50,
      .final_cap = 30},
     .scalar            = 256,
     .hidden_activation = true},
    {"gemma3_text",
     "Gemma3ForCausalLM",
     HAS_HEAD_DIM | HAS_BIAS | HAS_WINDOW | HAS_SCALAR | HAS_CAPS | HAS_LOCAL,
     {GEMMA, .kv_heads = 4, .context = 131072, .sandwich = true, .qk_norm = true, .window = 4096, .full_every = 6,
      .theta = 1e6f, .theta_local = 1e4f},
     .scalar            = 256,
     .hidden_activation = true},
};
enum { FAMILIES = sizeof families / sizeof *families };

static const family *family_of(const char *type)
{
    for (int i = 0; i < FAMILIES; i++)
        if (strcmp(families[i].type, type) == 0) return &families[i];
    return NULL;
}

/* Keys of decoders that change nothing that is computed here. */
static const char *const harmless[] = {
    "pretraining_tp",   "max_window_layers",      "cache_implementation", "is_llama_config",
    "rope_interleaved", "transformers.js_config", "tokenizer_class",      NULL};

/* Keys that other models set to true. */
static const char *const always_false[] = {"use_bidirectional_attention", "is_encoder_decoder", "add_cross_attention",
                                           NULL};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void read_activation(ls_config_keys *k, const family *f, args *a)
{
    const char *key = f->hidden_activation && ls__key_has(k, "hidden_activation") ? "hidden_activation" : "hidden_act";
    if (!strcmp(key, "hidden_activation")) ls__key_has(k, "hidden_act"); /* transformers reads the other key */
    a->activation = ls__key_activation(k, key, a->activation);
}

static void read_bias(ls_config_keys *k, const family *f, args *a)
{
    const bool attention = (f->has & HAS_BIAS) && ls__key_bool(k, "attention_bias", false);
    const bool mlp       = (f->has & HAS_MLP_BIAS) && ls__key_bool(k, "mlp_bias", false);
    if (mlp && !attention) ls__key_fails(k, "mlp_bias", "false without attention_bias");
    if (attention) a->bias = mlp ? LS_BIAS_ALL : LS_BIAS_ATTENTION;
}

/* Reads the scaling of positions from an object of rope_parameters or rope_scaling. */
static void read_scaling(ls_config_keys *k, args *a)
{
    const char *type = ls__key_text(k, "rope_type", NULL);
    if (!type) type = ls__key_text(k, "type", "default");
    a->theta      = (float)ls__key_real(k, "rope_theta", (double)a->theta);
    a->rope_share = (float)ls__key_real(k, "partial_rotary_factor", (double)a->rope_share);
    if (strcmp(type, "default") == 0) return;
    a->rope_factor   = (float)ls__key_real(k, "factor", 1);
    a->rope_original = ls__key_int(k, "original_max_position_embeddings", a->context);
    if (strcmp(type, "linear") == 0) {
        a->rope_scaling  = LS_ROPE_LINEAR;
        a->rope_original = 0;
    } else if (strcmp(type, "llama3") == 0) {
        a->rope_scaling = LS_ROPE_LLAMA3;
        a->rope_low     = (float)ls__key_real(k, "low_freq_factor", 1);
        a->rope_high    = (float)ls__key_real(k, "high_freq_factor", 4);
    } else if (strcmp(type, "yarn") == 0) {
        a->rope_scaling      = LS_ROPE_YARN;
        a->rope_low          = (float)ls__key_real(k, "beta_slow", 1);
        a->rope_high         = (float)ls__key_real(k, "beta_fast", 32);
        const double usual   = 0.1 * log((double)a->rope_factor) + 1;
        const double applied = ls__key_real(k, "attention_factor", usual);
        if (fabs(applied - usual) > 1e-4) ls__key_fails(k, "attention_factor", "0.1 log(factor) + 1");
        if (!ls__key_bool(k, "truncate", true)) ls__key_fails(k, "truncate", "true");
    } else {
        ls__key_fails(k, ls__key_has(k, "rope_type") ? "rope_type" : "type", "default, linear, llama3 or yarn");
    }
}

/* Reads rope_parameters, as transformers 5 writes it, or rope_theta, rope_scaling and rope_local_base_freq. */
static void read_rope(ls_config_keys *k, const family *f, args *a)
{
    ls_config_keys in;
    a->theta = (float)ls__key_real(k, "rope_theta", a->theta > 0 ? (double)a->theta : 10000);
    if (f->has & HAS_LOCAL) a->theta_local = (float)ls__key_real(k, "rope_local_base_freq", (double)a->theta_local);
    a->rope_share = (float)ls__key_real(k, "partial_rotary_factor", (double)a->rope_share);
    if (ls__key_object(k, "rope_scaling", &in)) {
        read_scaling(&in, a);
        ls__keys_close(&in, NULL);
    }
    if (!ls__key_object(k, "rope_parameters", &in)) return;
    ls_config_keys full, sliding;
    if (ls__key_object(&in, "full_attention", &full)) {
        read_scaling(&full, a);
        ls__keys_close(&full, NULL);
        if (ls__key_object(&in, "sliding_attention", &sliding)) {
            args local = {.theta = a->theta_local > 0 ? a->theta_local : a->theta};
            read_scaling(&sliding, &local);
            if (local.rope_scaling != LS_ROPE_NONE) ls__key_fails(&sliding, "rope_type", "default");
            a->theta_local = local.theta;
            ls__keys_close(&sliding, NULL);
        }
    } else {
        read_scaling(&in, a);
    }
    ls__keys_close(&in, NULL);
}

/* Replaces window and full_every by what the list of the kinds of all layers says. */
static void read_layer_types(ls_config_keys *k, args *a)
{
    const json_t *list = ls__key_list(k, "layer_types", a->layers);
    int           full = 0, first = 0;
    if (!list) return;
    for (int i = 0; i < a->layers; i++) {
        const char *kind = json_string_value(json_array_get(list, (size_t)i));
        const bool  all  = kind && !strcmp(kind, "full_attention");
        if (!all && !(kind && !strcmp(kind, "sliding_attention")))
            ls__key_fails(k, "layer_types", "full_attention and sliding_attention");
        if (all && !full++) first = i + 1;
    }
    a->full_every = first;
    if (full == a->layers) a->window = a->full_every = 0;
    for (int i = 0; i < a->layers && a->window; i++) {
        const char *kind = json_string_value(json_array_get(list, (size_t)i));
        const bool  all  = first && (i + 1) % first == 0;
        if (kind && all != !strcmp(kind, "full_attention"))
            ls__key_fails(k, "layer_types", "full_attention for each n-th layer");
    }
}

static void read_window(ls_config_keys *k, const family *f, args *a)
{
    if (f->has & HAS_WINDOW) a->window = ls__key_int_or_none(k, "sliding_window", a->window);
    if (f->has & HAS_LOCAL) a->full_every = (int)ls__key_int(k, "sliding_window_pattern", a->full_every);
    if (f->has & HAS_WINDOW_FLAG && !ls__key_bool(k, "use_sliding_window", false)) a->window = 0;
    if (f->has & HAS_WINDOW_FLAG && a->window && !ls__key_has(k, "layer_types"))
        ls__key_fails(k, "use_sliding_window", "false, or a list layer_types");
    read_layer_types(k, a);
    if (!a->window) a->full_every = 0, a->theta_local = 0;
    if (a->window >= a->context && !(f->has & HAS_LOCAL)) a->window = 0, a->full_every = 0;
}

static void read_no_rope(ls_config_keys *k, args *a)
{
    a->no_rope_every   = (int)ls__key_int(k, "no_rope_layer_interval", a->no_rope_every);
    const json_t *list = ls__key_list(k, "no_rope_layers", a->layers);
    for (int i = 0; list && i < a->layers; i++) {
        const bool has = json_integer_value(json_array_get(list, (size_t)i)) != 0;
        if (has != ((i + 1) % a->no_rope_every != 0))
            ls__key_fails(k, "no_rope_layers", "0 for each no_rope_layer_interval-th layer, and 1 for the others");
    }
}

static ls_status read(const char *path, const json_t *config, void *out)
{
    const char    *type = json_string_value(json_object_get(config, "model_type"));
    const family  *f    = type ? family_of(type) : NULL;
    ls_config_keys k;
    args           a;
    LS_CHECK(f, LS_ERR_DATA, "%s: model_type: expected the name of a decoder, found '%.40s'", path, type ? type : "");
    a = f->base;
    ls__keys_open(&k, path, config);
    a.vocab      = ls__key_int(&k, "vocab_size", 0);
    a.width      = ls__key_int(&k, "hidden_size", 0);
    a.hidden     = ls__key_int(&k, "intermediate_size", 0);
    a.layers     = (int)ls__key_int(&k, "num_hidden_layers", 0);
    a.heads      = (int)ls__key_int(&k, "num_attention_heads", 0);
    a.kv_heads   = (int)ls__key_int_or_none(&k, "num_key_value_heads", a.kv_heads);
    a.context    = ls__key_int(&k, "max_position_embeddings", a.context);
    a.eps        = (float)ls__key_real(&k, "rms_norm_eps", 1e-6);
    a.tied       = ls__key_bool(&k, "tie_word_embeddings", a.tied);
    a.head_width = f->has & HAS_HEAD_DIM ? ls__key_int_or_none(&k, "head_dim", a.head_width) : 0;
    if (!a.kv_heads) a.kv_heads = a.heads;
    if (!a.head_width && a.heads > 0) a.head_width = a.width / a.heads;
    if (ls__key_real(&k, "attention_dropout", 0) > 0) ls__key_fails(&k, "attention_dropout", "0");
    for (const char *const *key = always_false; *key; key++)
        if (ls__key_bool(&k, *key, false)) ls__key_fails(&k, *key, "false");
    read_activation(&k, f, &a);
    read_bias(&k, f, &a);
    read_rope(&k, f, &a);
    read_window(&k, f, &a);
    if (f->has & HAS_NO_ROPE) read_no_rope(&k, &a);
    if (f->has & HAS_SCALAR) {
        const double scalar = ls__key_real(&k, "query_pre_attn_scalar", f->scalar);
        if (!(scalar > 0)) ls__key_fails(&k, "query_pre_attn_scalar", "a positive number");
        a.attention_scale = scalar == (double)a.head_width ? 0 : (float)(1 / sqrt(scalar)); /* 0: the usual scale */
    }
    if (f->has & HAS_CAPS) {
        a.attention_cap = (float)ls__key_real_or_none(&k, "attn_logit_softcapping", (double)a.attention_cap);
        a.final_cap     = (float)ls__key_real_or_none(&k, "final_logit_softcapping", (double)a.final_cap);
    }
    *(args *)out = a;
    return ls__keys_close(&k, harmless);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void set(json_t *o, const char *key, json_t *value) { json_object_set_new(o, key, value); }

/* rope_scaling, as transformers 4 and 5 read it; NULL: none. */
static json_t *scaling_of(const args *a)
{
    static const char *const types[] = {
        [LS_ROPE_LINEAR] = "linear", [LS_ROPE_LLAMA3] = "llama3", [LS_ROPE_YARN] = "yarn"};
    if (a->rope_scaling == LS_ROPE_NONE) return json_null();
    json_t *o = json_pack("{s:s, s:f}", "rope_type", types[a->rope_scaling], "factor", (double)a->rope_factor);
    if (a->rope_scaling == LS_ROPE_LINEAR) return o;
    const bool yarn = a->rope_scaling == LS_ROPE_YARN;
    set(o, yarn ? "beta_slow" : "low_freq_factor", json_real((double)a->rope_low));
    set(o, yarn ? "beta_fast" : "high_freq_factor", json_real((double)a->rope_high));
    set(o, "original_max_position_embeddings", json_integer(a->rope_original));
    return o;
}

static json_t *layer_types(const args *a)
{
    json_t *list = json_array();
    for (int i = 0; i < a->layers; i++) {
        const bool full = !a->window || (a->full_every && (i + 1) % a->full_every == 0);
        json_array_append_new(list, json_string(full ? "full_attention" : "sliding_attention"));
    }
    return list;
}

/* Returns config.json of a model as a model of the family. */
static json_t *config_as(const family *f, const args *a)
{
    json_t *o =
        json_pack("{s:s, s:[s], s:I, s:I, s:I, s:i, s:i, s:i, s:I, s:f, s:b, s:f, s:o, s:s}", "model_type", f->type,
                  "architectures", f->architecture, "vocab_size", (json_int_t)a->vocab, "hidden_size",
                  (json_int_t)a->width, "intermediate_size", (json_int_t)a->hidden, "num_hidden_layers", a->layers,
                  "num_attention_heads", a->heads, "num_key_value_heads", a->kv_heads, "max_position_embeddings",
                  (json_int_t)a->context, "rms_norm_eps", rint(1e12 * (double)a->eps) * 1e-12, "tie_word_embeddings",
                  a->tied, "rope_theta", (double)a->theta, "rope_scaling", scaling_of(a), "torch_dtype", "float32");
    if (!o) return NULL;
    set(o, f->hidden_activation ? "hidden_activation" : "hidden_act", json_string(ls__activation_name(a->activation)));
    if (f->has & HAS_HEAD_DIM) set(o, "head_dim", json_integer(a->head_width));
    if (f->has & HAS_BIAS) set(o, "attention_bias", json_boolean(a->bias >= LS_BIAS_ATTENTION));
    if (f->has & HAS_MLP_BIAS) set(o, "mlp_bias", json_boolean(a->bias == LS_BIAS_ALL));
    if (f->has & HAS_WINDOW) {
        set(o, "sliding_window", a->window ? json_integer(a->window) : json_null());
        if (a->full_every || f->has & (HAS_LOCAL | HAS_WINDOW_FLAG)) set(o, "layer_types", layer_types(a));
    }
    if (f->has & HAS_WINDOW_FLAG) set(o, "use_sliding_window", json_boolean(a->window != 0));
    if (f->has & HAS_NO_ROPE) set(o, "no_rope_layer_interval", json_integer(a->no_rope_every));
    if (f->has & HAS_SCALAR)
        set(o, "query_pre_attn_scalar",
            json_real(a->attention_scale > 0 ? 1 / ((double)a->attention_scale * (double)a->attention_scale)
                                             : (double)a->head_width));
    if (f->has & HAS_CAPS) {
        set(o, "attn_logit_softcapping", a->attention_cap > 0 ? json_real((double)a->attention_cap) : json_null());
        set(o, "final_logit_softcapping", a->final_cap > 0 ? json_real((double)a->final_cap) : json_null());
    }
    if (f->has & HAS_LOCAL && a->theta_local > 0) set(o, "rope_local_base_freq", json_real((double)a->theta_local));
    return o;
}

/* Tries the families in their order.  Returns the first config.json that gives the same arguments when it is read. */
static json_t *write(const void *model)
{
    const args *a = model;
    for (int i = 0; i < FAMILIES; i++) {
        args    again;
        json_t *o = config_as(&families[i], a);
        if (o && read("config.json", o, &again) == LS_OK && again.vocab == a->vocab &&
            ls__model_options_equal("decoder", a, &again))
            return o;
        json_decref(o);
    }
    return NULL;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

#define LAYER(rest) "model.layers.*." rest
#define SHARED_NAMES                                                                                                   \
    {"embed_tokens.weight", {"model.embed_tokens.weight"}}, {"norm.weight", {"model.norm.weight"}},                    \
        {"layers.*.norm1.weight", {LAYER("input_layernorm.weight")}},                                                  \
        {"layers.*.self_attn.in_proj_weight",                                                                          \
         {LAYER("self_attn.q_proj.weight"), LAYER("self_attn.k_proj.weight"), LAYER("self_attn.v_proj.weight")}},      \
        {"layers.*.self_attn.in_proj_bias",                                                                            \
         {LAYER("self_attn.q_proj.bias"), LAYER("self_attn.k_proj.bias"), LAYER("self_attn.v_proj.bias")}},            \
        {"layers.*.self_attn.out_proj.weight", {LAYER("self_attn.o_proj.weight")}},                                    \
        {"layers.*.self_attn.out_proj.bias", {LAYER("self_attn.o_proj.bias")}},                                        \
        {"layers.*.self_attn.q_norm.weight", {LAYER("self_attn.q_norm.weight")}},                                      \
        {"layers.*.self_attn.k_norm.weight", {LAYER("self_attn.k_norm.weight")}},                                      \
        {"layers.*.linear1.weight", {LAYER("mlp.gate_proj.weight"), LAYER("mlp.up_proj.weight")}},                     \
        {"layers.*.linear1.bias", {LAYER("mlp.gate_proj.bias"), LAYER("mlp.up_proj.bias")}},                           \
        {"layers.*.linear2.weight", {LAYER("mlp.down_proj.weight")}},                                                  \
    {                                                                                                                  \
        "layers.*.linear2.bias", { LAYER("mlp.down_proj.bias") }                                                       \
    }
static const ls_name_row names[] = {
    SHARED_NAMES, {"layers.*.norm2.weight", {LAYER("post_attention_layernorm.weight")}}, {NULL, {NULL}}};
static const ls_name_row sandwich_names[] = {
    SHARED_NAMES,
    {"layers.*.norm1_out.weight", {LAYER("post_attention_layernorm.weight")}},
    {"layers.*.norm2.weight", {LAYER("pre_feedforward_layernorm.weight")}},
    {"layers.*.norm2_out.weight", {LAYER("post_feedforward_layernorm.weight")}},
    {NULL, {NULL}}};

static const ls_name_row *names_of(const void *model)
{
    return ((const args *)model)->sandwich ? sandwich_names : names;
}

static void qkv_rows(const void *model, int64_t rows[LS_PARTS])
{
    const args *a = model;
    rows[0]       = a->heads * a->head_width;
    rows[1] = rows[2] = a->kv_heads * a->head_width;
}

const ls_architecture ls__arch_decoder = {
    .model = "decoder",
    .model_types =
        (const char *const[]){"llama", "mistral", "qwen2", "qwen3", "smollm3", "gemma", "gemma2", "gemma3_text", NULL},
    .prefix     = "model.",
    .transposed = (const char *const[]){NULL},
    .tied       = (const ls_tied_tensor[]){{"lm_head.weight", "embed_tokens.weight"}, {NULL, NULL}},
    .buffers    = (const ls_buffer_tensor[]){{".rotary_emb.inv_freq", ".q_proj.weight"}, {NULL, NULL}},
    .read       = read,
    .write      = write,
    .names      = names_of,
    .qkv_rows   = qkv_rows,
};
