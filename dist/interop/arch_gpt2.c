/* SPDX-License-Identifier: Apache-2.0
 *
 * GPT-2: core/models/gpt.c as GPT2LMHeadModel of Hugging Face's transformers.
 *
 * transformers computes the same as this model when positions are learned, norms are layer norms and attention is
 * scaled by 1 / sqrt(head width) or not at all.  Other variants are written as model_type "lockstep_gpt" with
 * additional keys, which transformers does not know.
 */
#include <math.h>

#include "core/base/enum_text.h"
#include "core/nn/layer_table.h"
#include "dist/interop/architecture.h"

static int config(const void *args, ls_config_entry *entries)
{
    const ls_gpt_args *a        = args;
    const bool         scaled   = !(a->attention_scale != 0);
    const bool         unscaled = a->attention_scale == 1;
    const bool         gpt2 = a->position == LS_ENCODING_LEARNED && a->norm == LS_NORM_LAYER && (scaled || unscaled);
    const bool         openai =
        a->vocab == 50257; /* the tokenizer of GPT-2, whose last token ends a text; other models write null */
    const double          dropout = rint(1e6 * (double)a->dropout) * 1e-6, eps = rint(1e12 * (double)a->eps) * 1e-12;
    const ls_config_entry all[] = {
        {"model_type", LS_CONFIG_TEXT, gpt2 ? "gpt2" : "lockstep_gpt", .checked = true, .required = !gpt2},
        {"architectures", LS_CONFIG_LIST, gpt2 ? "GPT2LMHeadModel" : "LockstepGPT"},
        {"vocab_size", LS_CONFIG_INT, .whole = a->vocab, .checked = true, .required = true, .option = "classes"},
        {"n_layer", LS_CONFIG_INT, .whole = a->layers, .checked = true, .required = true, .option = "layers"},
        {"n_head", LS_CONFIG_INT, .whole = a->heads, .checked = true, .required = true, .option = "heads"},
        {"n_embd", LS_CONFIG_INT, .whole = a->width, .checked = true, .required = true, .option = "width"},
        {"n_positions", LS_CONFIG_INT, .whole = a->context, .checked = true, .required = true, .option = "context"},
        {"n_inner", LS_CONFIG_INT, .whole = 4 * a->width, .checked = true},
        {"activation_function", LS_CONFIG_TEXT, "gelu_new", "gelu_pytorch_tanh", .checked = true},
        {"layer_norm_epsilon", LS_CONFIG_REAL, .real = eps, .checked = true, .option = "eps"},
        {"embd_pdrop", LS_CONFIG_REAL, .real = dropout},
        {"attn_pdrop", LS_CONFIG_REAL, .real = dropout},
        {"resid_pdrop", LS_CONFIG_REAL, .real = dropout},
        {"initializer_range", LS_CONFIG_REAL, .real = 0.02},
        {"bos_token_id", openai ? LS_CONFIG_INT : LS_CONFIG_TEXT, .whole = 50256},
        {"eos_token_id", openai ? LS_CONFIG_INT : LS_CONFIG_TEXT, .whole = 50256},
        {"tie_word_embeddings", LS_CONFIG_BOOL, .whole = true, .checked = true},
        {"scale_attn_weights", LS_CONFIG_BOOL, .whole = !unscaled, .checked = true, .required = unscaled},
        {"scale_attn_by_inverse_layer_idx", LS_CONFIG_BOOL, .whole = false, .checked = true},
        {"add_cross_attention", LS_CONFIG_BOOL, .whole = false, .checked = true},
        {"bias", LS_CONFIG_BOOL, .whole = !a->no_bias, .checked = true, .required = a->no_bias, .option = "no_bias"},
        {"position", LS_CONFIG_TEXT, ls__encodings[a->position], .checked = true, .required = !gpt2,
         .option = "position"},
        {"norm", LS_CONFIG_TEXT, ls__norms[a->norm], .checked = true, .required = !gpt2, .option = "norm"},
        {"attention_scale", LS_CONFIG_REAL, .real = (double)a->attention_scale, .checked = true, .required = true,
         .option = "attention_scale"},
    };
    const int all_count = (int)(sizeof all / sizeof *all);
    _Static_assert(sizeof all / sizeof *all <= LS_CONFIG_ENTRIES, "raise LS_CONFIG_ENTRIES");
    const int count = all_count - (scaled || unscaled); /* only other scales have the last key */
    for (int i = 0; i < count; i++) entries[i] = all[i];
    return count;
}

const ls_architecture ls__arch_gpt2 = {
    .model       = "gpt",
    .model_types = (const char *const[]){"gpt2", "lockstep_gpt", NULL},
    .smallest    = &(const ls_gpt_args){.vocab = 8, .layers = 1, .heads = 1, .width = 8, .context = 8, .eps = 1e-5f},
    .prefix      = "transformer.",
    .transposed  = (const char *const[]){".attn.c_attn.weight", ".attn.c_proj.weight", ".mlp.c_fc.weight",
                                         ".mlp.c_proj.weight", NULL},
    .tied        = (const ls_tied_tensor[]){{"lm_head.weight", "transformer.wte.weight"}, {NULL, NULL}},
    .buffers     = (const ls_buffer_tensor[]){{".attn.bias", ".attn.c_attn.weight"},
                                              {".attn.masked_bias", ".attn.c_attn.weight"},
                                              {NULL, NULL}},
    .config      = config,
};
