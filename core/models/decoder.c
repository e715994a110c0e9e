/* SPDX-License-Identifier: Apache-2.0
 * A decoder-only Transformer of the shape that Llama gave it (Touvron et al. 2023), with the options of its successors.
 *
 *     x      = embed_tokens[tokens]                                            times sqrt(width) if scaled
 *     x      = x + attention(norm(x)),  x = x + perceptron(norm(x))            once per layer
 *     logits = norm(x) w^T                                                     w: lm_head or, tied, embed_tokens
 *     perceptron = linear2(activation(a) b),  a, b = linear1(x)
 *
 * Attention rotates queries and keys (Su 2021), and several query heads share keys and values (Ainslie 2023).  Weights
 * start as N(0, 0.02), and biases as 0.
 */
#include <math.h>

#include "core/nn/layer_table.h"

enum { MAX_LAYERS = 1000, MAX_WIDTH = 1 << 20 };

static const ls_init init = {.kind = LS_INIT_NORMAL, .std = 0.02f};

static bool has_window(const ls_decoder_args *a, int layer)
{
    return a->window && !(a->full_every && (layer + 1) % a->full_every == 0);
}

/* Sets the rotation of a layer; returns false if the layer has none. */
static bool rope_of(const ls_decoder_args *a, int layer, ls_rope *rope)
{
    const float share = a->rope_share > 0 ? a->rope_share : 1;
    *rope             = (ls_rope){.base = a->theta, .columns = (int)lrintf(share * (float)a->head_width)};
    if (has_window(a, layer) && a->theta_local > 0) {
        rope->base = a->theta_local;
    } else {
        rope->scaling  = a->rope_scaling;
        rope->factor   = a->rope_factor;
        rope->low      = a->rope_low;
        rope->high     = a->rope_high;
        rope->original = a->rope_original;
    }
    return !(a->no_rope_every && (layer + 1) % a->no_rope_every == 0);
}

static ls_tensor *add_block(const ls_decoder_args *a, int layer, ls_tensor *x)
{
    ls_rope    rope;
    const bool rotates = rope_of(a, layer, &rope);
    return ls_transformer(
        a->g, ls_arena_printf(a->g->arena, "layers.%d", layer), x, .heads = a->heads, .hidden = a->hidden,
        .dropout = a->dropout, .eps = a->eps, .causal = true, .norm_first = true, .activation = a->activation,
        .no_bias = a->bias != LS_BIAS_ALL, .textbook = a->textbook, .cached = a->cached, .start = a->start,
        .weight_init = init, .in_init = init, .norm = a->norm, .sandwich = a->sandwich, .gated = !a->plain,
        .qkv_bias = a->bias == LS_BIAS_QKV || a->bias == LS_BIAS_ATTENTION, .out_bias = a->bias == LS_BIAS_ATTENTION,
        .kv_heads = a->kv_heads, .head_width = a->head_width, .rope = rotates ? &rope : NULL, .qk_norm = a->qk_norm,
        .window = has_window(a, layer) ? a->window : 0, .cap = a->attention_cap, .scale = a->attention_scale);
}

/* Checks the arguments.  Returns NULL if one is wrong. */
static ls_tensor *check_args(const ls_decoder_args *a)
{
    const ls_tensor *x = a->x;
    if (x->type != LS_I32 || x->rank != 1 || !x->batched)
        return ls__graph_fail(a->g, LS_HERE, "decoder: expected tokens, B x T of int32, found the input '%s', %s of %s",
                              x->name, ls__shape(x), ls__dtype_name(x->type));
    if (a->layers < 1 || a->layers > MAX_LAYERS || a->heads < 1 || a->kv_heads < 1 || a->heads % a->kv_heads ||
        a->heads > MAX_WIDTH || a->width < 1 || a->width > MAX_WIDTH || a->head_width < 2 ||
        a->head_width > MAX_WIDTH || a->head_width % 2 || a->hidden < 1 || a->hidden > MAX_WIDTH)
        return ls__graph_fail(a->g, LS_HERE,
                              "decoder: expected 1 to %d layers, heads that are a multiple of kv_heads, an even "
                              "head_width, and widths of at most %d, found layers %d, heads %d, kv_heads %d, width "
                              "%lld, head_width %lld, hidden %lld",
                              MAX_LAYERS, MAX_WIDTH, a->layers, a->heads, a->kv_heads, (long long)a->width,
                              (long long)a->head_width, (long long)a->hidden);
    if (x->dim[0] > a->context)
        return ls__graph_fail(a->g, LS_HERE,
                              "decoder: expected at most %lld positions, the context, found the input '%s', %s" LS_HINT
                              "raise context or shorten the samples",
                              (long long)a->context, x->name, ls__shape(x));
    if (!(a->rope_share >= 0 && a->rope_share <= 1))
        return ls__graph_fail(a->g, LS_HERE, "decoder: expected a rope_share from 0 to 1, found %g",
                              (double)a->rope_share);
    if (a->cached && a->textbook)
        return ls__graph_fail(a->g, LS_HERE, "decoder: cached and textbook exclude each other");
    if (a->cached && a->target) return ls__graph_fail(a->g, LS_HERE, "decoder: cached and a target exclude each other");
    return a->x;
}

/* The loss, or the logits without a target. */
static ls_tensor *output(const ls_decoder_args *a, ls_tensor *x, ls_tensor *w)
{
    if (a->target) return ls_linear_cross_entropy(x, w, a->target, .cap = a->final_cap);
    x = ls_linear_op(x, w);
    if (!(a->final_cap > 0)) return x;
    return ls_scale(ls_tanh(ls_scale(x, .factor = 1 / a->final_cap)), .factor = a->final_cap);
}

ls_tensor *ls__decoder(ls_decoder_args a)
{
    ls_graph *g = a.g;
    if (!g || !a.x) return NULL;
    if (!a.vocab) a.vocab = 49152;
    if (!a.layers) a.layers = 4;
    if (!a.heads) a.heads = 4;
    if (!a.kv_heads) a.kv_heads = a.heads;
    if (!a.width) a.width = 128;
    if (!a.head_width) a.head_width = a.width / a.heads;
    if (!a.hidden) a.hidden = 4 * a.width;
    if (!a.context) a.context = 1024;
    if (!(a.eps > 0)) a.eps = 1e-5f;
    if (!(a.theta > 0)) a.theta = 10000;
    if (!check_args(&a)) return NULL;
    ls_tensor *embedding = ls_param(g, "embed_tokens.weight", init, a.vocab, a.width);
    ls_tensor *x         = ls_embedding_op(a.x, embedding);
    if (a.scaled) x = ls_scale(x, .factor = sqrtf((float)a.width));
    if (a.dropout > 0) x = ls_dropout(x, .p = a.dropout);
    for (int i = 0; i < a.layers; i++) x = add_block(&a, i, x);
    x = ls__norm_layer(g, a.norm, "norm", x, a.eps, a.bias != LS_BIAS_ALL, LS_HERE);
    ls__graph_model(g, "decoder", &a, sizeof a);
    return output(&a, x, a.tied ? embedding : ls_param(g, "lm_head.weight", init, a.vocab, a.width));
}
