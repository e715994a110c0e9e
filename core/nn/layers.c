/* SPDX-License-Identifier: Apache-2.0
 * Layers: parameters, and the ops that use them. */
#include "core/nn/registry.h"

#include <string.h>

/* PyTorch's default for a bias: uniform +- 1/sqrt(fan_in of the weight). */
static ls_init bias_default(ls_init given, int64_t fan_in)
{
    return given.kind == LS_INIT_DEFAULT ? (ls_init){.kind = LS_INIT_UNIFORM, .fan = fan_in} : given;
}

static ls_tensor *named_param(ls_graph *g, const char *layer, const char *part, ls_init init, ls_where where,
                              ls_dims dims)
{
    return g ? ls__param(g, ls_arena_printf(g->arena, "%s.%s", layer, part), init, where, dims) : NULL;
}

ls_tensor *ls__linear_rows(ls_tensor *x, ls_tensor *w, ls_tensor *b, int64_t first, int64_t rows, ls_where where)
{
    return ls__apply(LS_OP_linear, &(ls_linear_args){.x = x, .w = w, .b = b, .first = first, .rows = rows}, where);
}

ls_tensor *ls__linear(ls_linear_layer l, ls_where where)
{
    if (!l.x) return NULL;
    int64_t    in = ls__cols(l.x);
    ls_tensor *w  = named_param(l.g, l.name, "weight", l.weight_init, where, LS_DIMS(l.out, in));
    ls_tensor *b =
        l.no_bias ? NULL : named_param(l.g, l.name, "bias", bias_default(l.bias_init, in), where, LS_DIMS(l.out));
    if (!w || (!b && !l.no_bias)) return NULL;
    return ls__linear_rows(l.x, w, b, 0, 0, where);
}

ls_tensor *ls__conv2d(ls_conv2d_layer l, ls_where where)
{
    if (!l.x) return NULL;
    int groups = l.groups ? l.groups : 1, kh = l.kernel_h ? l.kernel_h : l.kernel,
        kw = l.kernel_w ? l.kernel_w : l.kernel;
    if (l.x->rank != 3 || groups < 1 || l.x->dim[0] % groups != 0 || kh < 1 || kw < 1)
        return ls__graph_fail(l.g, where,
                              "conv2d '%s': the input is %s, the kernel %d x %d, groups %d" LS_HINT
                              "the input must be B x C x H x W with C a multiple of groups; set .kernel",
                              l.name, ls__shape(l.x), kh, kw, groups);
    int64_t    in = l.x->dim[0] / groups;
    ls_tensor *w  = named_param(l.g, l.name, "weight", l.weight_init, where, LS_DIMS(l.out, in, kh, kw));
    ls_tensor *b =
        l.no_bias ? NULL
                  : named_param(l.g, l.name, "bias", bias_default(l.bias_init, in * kh * kw), where, LS_DIMS(l.out));
    if (!w || (!b && !l.no_bias)) return NULL;
    return ls__apply(LS_OP_conv2d,
                     &(ls_conv2d_args){.x          = l.x,
                                       .w          = w,
                                       .b          = b,
                                       .stride     = l.stride,
                                       .stride_h   = l.stride_h,
                                       .stride_w   = l.stride_w,
                                       .padding    = l.padding,
                                       .padding_h  = l.padding_h,
                                       .padding_w  = l.padding_w,
                                       .dilation   = l.dilation,
                                       .dilation_h = l.dilation_h,
                                       .dilation_w = l.dilation_w,
                                       .groups     = l.groups},
                     where);
}

ls_tensor *ls__embedding(ls_embedding_layer l, ls_where where)
{
    if (!l.x) return NULL;
    ls_init    init = l.init.kind == LS_INIT_DEFAULT ? (ls_init){.kind = LS_INIT_NORMAL} : l.init;
    ls_tensor *w    = named_param(l.g, l.name, "weight", init, where, LS_DIMS(l.vocab, l.width));
    return w ? ls__apply(LS_OP_embedding, &(ls_embedding_args){.x = l.x, .w = w}, where) : NULL;
}

static ls_init or_constant(ls_init given, float value)
{
    return given.kind == LS_INIT_DEFAULT ? (ls_init){.kind = LS_INIT_CONSTANT, .value = value} : given;
}

ls_tensor *ls__layer_norm(ls_layer_norm_layer l, ls_where where)
{
    if (!l.x) return NULL;
    ls_tensor *w = named_param(l.g, l.name, "weight", or_constant(l.weight_init, 1), where, LS_DIMS(ls__cols(l.x)));
    ls_tensor *b =
        l.no_bias ? NULL : named_param(l.g, l.name, "bias", or_constant(l.bias_init, 0), where, LS_DIMS(ls__cols(l.x)));
    if (!w || (!b && !l.no_bias)) return NULL;
    return ls__apply(LS_OP_layer_norm, &(ls_layer_norm_args){.x = l.x, .w = w, .b = b, .eps = l.eps}, where);
}

ls_tensor *ls__rms_norm(ls_rms_norm_layer l, ls_where where)
{
    if (!l.x) return NULL;
    ls_tensor *w = named_param(l.g, l.name, "weight", or_constant(l.weight_init, 1), where, LS_DIMS(ls__cols(l.x)));
    return w ? ls__apply(LS_OP_rms_norm, &(ls_rms_norm_args){.x = l.x, .w = w, .eps = l.eps}, where) : NULL;
}

static ls_tensor *build_linear(const void *args, ls_where where)
{
    return ls__linear(*(const ls_linear_layer *)args, where);
}
static ls_tensor *build_conv2d(const void *args, ls_where where)
{
    return ls__conv2d(*(const ls_conv2d_layer *)args, where);
}

static ls_tensor *build_embedding(const void *args, ls_where where)
{
    return ls__embedding(*(const ls_embedding_layer *)args, where);
}
static ls_tensor *build_layer_norm(const void *args, ls_where where)
{
    return ls__layer_norm(*(const ls_layer_norm_layer *)args, where);
}
static ls_tensor *build_rms_norm(const void *args, ls_where where)
{
    return ls__rms_norm(*(const ls_rms_norm_layer *)args, where);
}

static ls_tensor *build_multihead_attention(const void *args, ls_where where)
{
    return ls__multihead_attention(*(const ls_multihead_attention_layer *)args, where);
}

static ls_tensor *build_positional_encoding(const void *args, ls_where where)
{
    return ls__positional_encoding(*(const ls_positional_encoding_layer *)args, where);
}

static ls_tensor *build_transformer(const void *args, ls_where where)
{
    return ls__transformer(*(const ls_transformer_layer *)args, where);
}

static ls_tensor *build_flatten(const void *args, ls_where where)
{
    return ls__apply(LS_OP_reshape, &(ls_reshape_args){.x = ((const ls_layer_head *)args)->x, .dims = LS_DIMS(-1)},
                     where);
}

#define HEADS(kind, member) LS_FIELD(kind, ls_multihead_attention_layer, member)
#define BLOCK(kind, member) LS_FIELD(kind, ls_transformer_layer, member)
#define CONV(kind, member) LS_FIELD(kind, ls_conv2d_layer, member)

const ls_layer ls__layer_table[] = {
    {"linear", sizeof(ls_linear_layer),
     LS_FIELDS(LS_FIELD(INT64, ls_linear_layer, out), LS_FIELD(BOOL, ls_linear_layer, no_bias),
               LS_FIELD(INIT, ls_linear_layer, weight_init), LS_FIELD(INIT, ls_linear_layer, bias_init)),
     build_linear},
    {"conv2d", sizeof(ls_conv2d_layer),
     LS_FIELDS(CONV(INT64, out), CONV(INT, kernel), CONV(INT, kernel_h), CONV(INT, kernel_w), CONV(INT, stride),
               CONV(INT, stride_h), CONV(INT, stride_w), CONV(INT, padding), CONV(INT, padding_h), CONV(INT, padding_w),
               CONV(INT, dilation), CONV(INT, dilation_h), CONV(INT, dilation_w), CONV(INT, groups),
               CONV(BOOL, no_bias), CONV(INIT, weight_init), CONV(INIT, bias_init)),
     build_conv2d},
    {"embedding", sizeof(ls_embedding_layer),
     LS_FIELDS(LS_FIELD(INT64, ls_embedding_layer, vocab), LS_FIELD(INT64, ls_embedding_layer, width),
               LS_FIELD(INIT, ls_embedding_layer, init)),
     build_embedding},
    {"layer_norm", sizeof(ls_layer_norm_layer),
     LS_FIELDS(LS_FIELD(FLOAT, ls_layer_norm_layer, eps), LS_FIELD(BOOL, ls_layer_norm_layer, no_bias),
               LS_FIELD(INIT, ls_layer_norm_layer, weight_init), LS_FIELD(INIT, ls_layer_norm_layer, bias_init)),
     build_layer_norm},
    {"rms_norm", sizeof(ls_rms_norm_layer),
     LS_FIELDS(LS_FIELD(FLOAT, ls_rms_norm_layer, eps), LS_FIELD(INIT, ls_rms_norm_layer, weight_init)),
     build_rms_norm},
    {"multihead_attention", sizeof(ls_multihead_attention_layer),
     LS_FIELDS(HEADS(INT, heads), HEADS(BOOL, causal), HEADS(FLOAT, dropout), HEADS(BOOL, no_bias),
               HEADS(BOOL, textbook)),
     build_multihead_attention},
    {"positional_encoding", sizeof(ls_positional_encoding_layer),
     LS_FIELDS(LS_FIELD_OF(ls__encodings, ls_positional_encoding_layer, kind),
               LS_FIELD(INT64, ls_positional_encoding_layer, context),
               LS_FIELD(BOOL, ls_positional_encoding_layer, scaled),
               LS_FIELD(INIT, ls_positional_encoding_layer, init)),
     build_positional_encoding},
    {"transformer", sizeof(ls_transformer_layer),
     LS_FIELDS(BLOCK(INT, heads), BLOCK(INT64, hidden), BLOCK(FLOAT, dropout), BLOCK(FLOAT, eps), BLOCK(BOOL, causal),
               BLOCK(BOOL, norm_first), BLOCK(BOOL, gelu), BLOCK(BOOL, no_bias), BLOCK(BOOL, textbook)),
     build_transformer},
    {"flatten", sizeof(ls_layer_head), NULL, build_flatten},
    {0},
};
