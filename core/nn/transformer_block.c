/* SPDX-License-Identifier: Apache-2.0
 * A block of a Transformer (Vaswani 2017), and positional encodings.
 *
 *     post-norm    x = norm(x + f(x))       as published
 *     pre-norm     x = x + f(norm(x))       Xiong 2020: trains without warm-up, because the residual path has no norm
 *
 * f is self-attention, then cross-attention to an encoder's output (decoder only), then a perceptron of two layers.
 * Parameters are those of PyTorch's nn.TransformerEncoderLayer and nn.TransformerDecoderLayer.
 */
#include "core/base/enum_text.h"
#include "core/nn/layer_table.h"

#include <math.h>

typedef ls_transformer_layer layer;

/* "block0.self_attn": the name of a part of the layer. */
static const char *part(const layer *l, const char *name)
{
    return ls_arena_printf(l->g->arena, "%s.%s", l->name, name);
}

static ls_tensor *self_attention(const layer *l, ls_tensor *x, ls_where where)
{
    return ls__multihead_attention((ls_multihead_attention_layer){.g           = l->g,
                                                                  .name        = part(l, "self_attn"),
                                                                  .q           = x,
                                                                  .key_padding = l->key_padding,
                                                                  .mask        = l->mask,
                                                                  .lengths     = l->lengths,
                                                                  .cached      = l->cached,
                                                                  .start       = l->start,
                                                                  .heads       = l->heads,
                                                                  .causal      = l->causal,
                                                                  .in_init     = l->in_init,
                                                                  .out_init    = l->weight_init,
                                                                  .dropout     = l->dropout,
                                                                  .no_bias     = l->no_bias,
                                                                  .textbook    = l->textbook,
                                                                  .kv_heads    = l->kv_heads,
                                                                  .head_width  = l->head_width,
                                                                  .rope        = l->rope,
                                                                  .qk_norm     = l->qk_norm,
                                                                  .norm        = l->norm,
                                                                  .eps         = l->eps,
                                                                  .window      = l->window,
                                                                  .cap         = l->cap,
                                                                  .scale       = l->scale,
                                                                  .qkv_bias    = l->qkv_bias,
                                                                  .out_bias    = l->out_bias},
                                   where);
}

static ls_tensor *cross_attention(const layer *l, ls_tensor *x, ls_where where)
{
    return ls__multihead_attention((ls_multihead_attention_layer){.g           = l->g,
                                                                  .name        = part(l, "multihead_attn"),
                                                                  .q           = x,
                                                                  .k           = l->memory ? l->memory : l->memory_k,
                                                                  .v           = l->memory ? l->memory : l->memory_v,
                                                                  .projected   = !l->memory,
                                                                  .key_padding = l->memory_padding,
                                                                  .lengths     = l->memory_lengths,
                                                                  .out_init    = l->weight_init,
                                                                  .heads       = l->heads,
                                                                  .dropout     = l->dropout,
                                                                  .no_bias     = l->no_bias,
                                                                  .textbook    = l->textbook,
                                                                  .weights     = l->weights,
                                                                  .weights_padding = l->weights_padding},
                                   where);
}

static ls_tensor *maybe_dropout(const layer *l, ls_tensor *x, ls_where where)
{
    return l->dropout > 0 ? ls__apply(LS_OP_dropout, &(ls_dropout_args){.x = x, .p = l->dropout}, where) : x;
}

const char *const ls__activations[] = LS_ENUM_TEXTS(LS_ACTIVATION_LIST);

/* The activation of x, or of the first half of its columns times the second half. */
static ls_tensor *activated(const layer *l, ls_tensor *x, ls_where where)
{
    const bool tanh = l->activation == LS_GELU_TANH;
    if (l->gated && l->activation == LS_RELU)
        return ls__graph_fail(l->g, where, "transformer '%s': a gated perceptron has the activation silu or gelu",
                              l->name);
    switch (l->activation) {
    case LS_RELU:
        return ls__apply(LS_OP_relu, &(ls_unary_args){.x = x}, where);
    case LS_SILU:
        return l->gated ? ls__apply(LS_OP_swiglu, &(ls_binary_args){.x = x}, where)
                        : ls__apply(LS_OP_silu, &(ls_unary_args){.x = x}, where);
    case LS_GELU:
    case LS_GELU_TANH:
        return l->gated ? ls__apply(LS_OP_geglu, &(ls_geglu_args){.x = x, .tanh = tanh}, where)
                        : ls__apply(LS_OP_gelu, &(ls_gelu_args){.x = x, .tanh = tanh}, where);
    }
    return NULL;
}

static ls_tensor *linear(const layer *l, const char *name, ls_tensor *x, int64_t out, ls_where where)
{
    return ls__linear(
        (ls_linear_layer){
            .g = l->g, .name = part(l, name), .x = x, .out = out, .weight_init = l->weight_init, .no_bias = l->no_bias},
        where);
}

static ls_tensor *perceptron(const layer *l, ls_tensor *x, ls_where where)
{
    const int64_t width = ls__cols(x), hidden = l->hidden ? l->hidden : 4 * width;
    x = activated(l, linear(l, "linear1", x, l->gated ? 2 * hidden : hidden, where), where);
    if (!l->keeps_hidden) x = maybe_dropout(l, x, where);
    return linear(l, "linear2", x, width, where);
}

static ls_tensor *norm(const layer *l, const char *name, ls_tensor *x, ls_where where)
{
    return ls__norm_layer(l->g, l->norm, part(l, name), x, l->eps, l->no_bias, where);
}

ls_tensor *ls__transformer(ls_transformer_layer l, ls_where where)
{
    static const char *const norms[]                                    = {"norm1", "norm2", "norm3"};
    static const char *const out_norms[]                                = {"norm1_out", "norm2_out", "norm3_out"};
    ls_tensor *(*const encoder[])(const layer *, ls_tensor *, ls_where) = {self_attention, perceptron};
    ls_tensor *(*const decoder[])(const layer *, ls_tensor *, ls_where) = {self_attention, cross_attention, perceptron};
    ls_tensor *x                                                        = l.x;
    if (!l.g || !x) return NULL;
    const bool decodes = l.memory || l.memory_k;
    if (l.memory_padding && !decodes)
        return ls__graph_fail(l.g, where, "transformer '%s': memory_padding is given without memory", l.name);
    if (!l.memory_k != !l.memory_v || (l.memory && l.memory_k))
        return ls__graph_fail(l.g, where, "transformer '%s': expected a memory, or its keys and its values", l.name);
    for (int i = 0; i < (decodes ? 3 : 2) && x; i++) {
        ls_tensor *y = l.norm_first ? norm(&l, norms[i], x, where) : x;
        y            = (decodes ? decoder : encoder)[i](&l, y, where);
        if (y && l.sandwich) y = norm(&l, out_norms[i], y, where);
        y = maybe_dropout(&l, y, where);
        if (l.drop_path > 0) y = ls__apply(LS_OP_drop_path, &(ls_dropout_args){.x = y, .p = l.drop_path}, where);
        x = ls__apply(LS_OP_add, &(ls_binary_args){.x = x, .y = y}, where);
        if (!l.norm_first) x = norm(&l, norms[i], x, where);
    }
    return x;
}

LS_LAYER_FIELDS(transformer) = {LS_FIELD(INT, ls_transformer_layer, heads),
                                LS_FIELD(INT64, ls_transformer_layer, hidden),
                                LS_FIELD(FLOAT, ls_transformer_layer, dropout),
                                LS_FIELD(FLOAT, ls_transformer_layer, eps),
                                LS_FIELD(BOOL, ls_transformer_layer, causal),
                                LS_FIELD(BOOL, ls_transformer_layer, norm_first),
                                LS_FIELD_OF(ls__activations, ls_transformer_layer, activation),
                                LS_FIELD(BOOL, ls_transformer_layer, no_bias),
                                LS_FIELD(BOOL, ls_transformer_layer, textbook),
                                LS_FIELD_OF(ls__norms, ls_transformer_layer, norm),
                                LS_FIELD(BOOL, ls_transformer_layer, gated),
                                LS_FIELD(INT, ls_transformer_layer, kv_heads),
                                LS_FIELD(BOOL, ls_transformer_layer, qk_norm),
                                LS_FIELD(INT64, ls_transformer_layer, window),
                                {0}};

/* ---- positional encodings ---------------------------------------------------------------------------------------- */

const char *const ls__encodings[] = LS_ENUM_TEXTS(LS_ENCODING_LIST);

ls_tensor *ls__positional_encoding(ls_positional_encoding_layer l, ls_where where)
{
    ls_add_position_args add = {.x = l.x, .start = l.start, .first = l.first};
    if (!l.g || !l.x) return NULL;
    if (l.kind != LS_ENCODING_LEARNED && l.kind != LS_ENCODING_SINUSOIDAL) return l.x;
    if (l.kind == LS_ENCODING_LEARNED) {
        const int64_t context = l.context ? l.context : l.x->dim[0] + l.first;
        add.w                 = ls__param(l.g, ls_arena_printf(l.g->arena, "%s.weight", l.name), l.init, where,
                                          LS_DIMS(context, ls__cols(l.x)));
        if (!add.w) return NULL;
    } else if (l.scaled) {
        add.x = ls__apply(LS_OP_scale, &(ls_scale_args){.x = l.x, .factor = sqrtf((float)ls__cols(l.x))}, where);
    }
    return ls__apply(LS_OP_add_position, &add, where);
}

LS_LAYER_FIELDS(positional_encoding) = {LS_FIELD_OF(ls__encodings, ls_positional_encoding_layer, kind),
                                        LS_FIELD(INT64, ls_positional_encoding_layer, context),
                                        LS_FIELD(BOOL, ls_positional_encoding_layer, scaled),
                                        LS_FIELD(INIT, ls_positional_encoding_layer, init),
                                        {0}};
