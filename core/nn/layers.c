/* SPDX-License-Identifier: Apache-2.0
 * Layers with parameters of their own: linear, conv2d, embedding, layer_norm, batch_norm, rms_norm. */
#include "core/nn/layer_table.h"

#include <string.h>

/* The initialiser of a bias; by default PyTorch's, uniform +- 1/sqrt(fan_in of the weight). */
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

LS_LAYER_FIELDS(linear) = {LS_FIELD(INT64, ls_linear_layer, out),
                           LS_FIELD(BOOL, ls_linear_layer, no_bias),
                           LS_FIELD(INIT, ls_linear_layer, weight_init),
                           LS_FIELD(INIT, ls_linear_layer, bias_init),
                           {0}};

ls_tensor *ls__conv2d(ls_conv2d_layer l, ls_where where)
{
    if (!l.x) return NULL;
    int groups = l.groups ? l.groups : 1, kh = l.kernel_h ? l.kernel_h : l.kernel,
        kw = l.kernel_w ? l.kernel_w : l.kernel;
    if (l.x->rank != 3 || groups < 1 || l.x->dim[0] % groups != 0 || kh < 1 || kw < 1)
        return ls__graph_fail(
            l.g, where,
            "conv2d '%s': expected an input B x C x H x W with C a multiple of groups and a kernel of at "
            "least 1 x 1, found the input %s, kernel %d x %d, groups %d" LS_HINT "set .kernel",
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
                                       .pad_top    = l.pad_top,
                                       .pad_bottom = l.pad_bottom,
                                       .pad_left   = l.pad_left,
                                       .pad_right  = l.pad_right,
                                       .same       = l.same,
                                       .dilation   = l.dilation,
                                       .dilation_h = l.dilation_h,
                                       .dilation_w = l.dilation_w,
                                       .groups     = l.groups},
                     where);
}

#define INT_FIELD(member) LS_FIELD(INT, ls_conv2d_layer, member)
LS_LAYER_FIELDS(conv2d) = {LS_FIELD(INT64, ls_conv2d_layer, out),
                           INT_FIELD(kernel),
                           INT_FIELD(kernel_h),
                           INT_FIELD(kernel_w),
                           INT_FIELD(stride),
                           INT_FIELD(stride_h),
                           INT_FIELD(stride_w),
                           INT_FIELD(padding),
                           INT_FIELD(padding_h),
                           INT_FIELD(padding_w),
                           INT_FIELD(pad_top),
                           INT_FIELD(pad_bottom),
                           INT_FIELD(pad_left),
                           INT_FIELD(pad_right),
                           LS_FIELD_OF(ls__same_names, ls_conv2d_layer, same),
                           INT_FIELD(dilation),
                           INT_FIELD(dilation_h),
                           INT_FIELD(dilation_w),
                           INT_FIELD(groups),
                           LS_FIELD(BOOL, ls_conv2d_layer, no_bias),
                           LS_FIELD(INIT, ls_conv2d_layer, weight_init),
                           LS_FIELD(INIT, ls_conv2d_layer, bias_init),
                           {0}};

ls_tensor *ls__embedding(ls_embedding_layer l, ls_where where)
{
    if (!l.x) return NULL;
    ls_init    init = l.init.kind == LS_INIT_DEFAULT ? (ls_init){.kind = LS_INIT_NORMAL} : l.init;
    ls_tensor *w    = named_param(l.g, l.name, "weight", init, where, LS_DIMS(l.vocab, l.width));
    return w ? ls__apply(LS_OP_embedding, &(ls_embedding_args){.x = l.x, .w = w}, where) : NULL;
}

LS_LAYER_FIELDS(embedding) = {LS_FIELD(INT64, ls_embedding_layer, vocab),
                              LS_FIELD(INT64, ls_embedding_layer, width),
                              LS_FIELD(INIT, ls_embedding_layer, init),
                              {0}};

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

LS_LAYER_FIELDS(layer_norm) = {LS_FIELD(FLOAT, ls_layer_norm_layer, eps),
                               LS_FIELD(BOOL, ls_layer_norm_layer, no_bias),
                               LS_FIELD(INIT, ls_layer_norm_layer, weight_init),
                               LS_FIELD(INIT, ls_layer_norm_layer, bias_init),
                               {0}};

/* A running statistic: a parameter without gradient. */
static ls_tensor *statistic(const ls_batch_norm_layer *l, const char *part, float value, ls_where where)
{
    ls_tensor *t = named_param(l->g, l->name, part, (ls_init){.kind = LS_INIT_CONSTANT, .value = value}, where,
                               LS_DIMS(l->x->dim[0]));
    if (!t) return NULL;
    t->frozen     = true;
    t->needs_grad = false;
    return t;
}

ls_tensor *ls__batch_norm(ls_batch_norm_layer l, ls_where where)
{
    if (!l.x) return NULL;
    if (l.x->rank < 1)
        return ls__graph_fail(l.g, where, "batch_norm '%s': expected an input B x channels x ..., found %s", l.name,
                              ls__shape(l.x));
    ls_tensor *w = l.no_affine
                       ? NULL
                       : named_param(l.g, l.name, "weight", or_constant(l.weight_init, 1), where, LS_DIMS(l.x->dim[0]));
    ls_tensor *b =
        l.no_affine ? NULL : named_param(l.g, l.name, "bias", or_constant(l.bias_init, 0), where, LS_DIMS(l.x->dim[0]));
    ls_tensor *mean = statistic(&l, "running_mean", 0, where), *var = statistic(&l, "running_var", 1, where);
    if (!mean || !var || (!l.no_affine && (!w || !b))) return NULL;
    return ls__apply(LS_OP_batch_norm,
                     &(ls_batch_norm_args){.x        = l.x,
                                           .w        = w,
                                           .b        = b,
                                           .mean     = mean,
                                           .var      = var,
                                           .eps      = l.eps,
                                           .momentum = l.momentum,
                                           .frozen   = l.frozen},
                     where);
}

LS_LAYER_FIELDS(batch_norm) = {LS_FIELD(FLOAT, ls_batch_norm_layer, eps),
                               LS_FIELD(FLOAT, ls_batch_norm_layer, momentum),
                               LS_FIELD(BOOL, ls_batch_norm_layer, frozen),
                               LS_FIELD(BOOL, ls_batch_norm_layer, no_affine),
                               LS_FIELD(INIT, ls_batch_norm_layer, weight_init),
                               LS_FIELD(INIT, ls_batch_norm_layer, bias_init),
                               {0}};

ls_tensor *ls__rms_norm(ls_rms_norm_layer l, ls_where where)
{
    if (!l.x) return NULL;
    ls_tensor *w = named_param(l.g, l.name, "weight", or_constant(l.weight_init, 1), where, LS_DIMS(ls__cols(l.x)));
    return w ? ls__apply(LS_OP_rms_norm, &(ls_rms_norm_args){.x = l.x, .w = w, .eps = l.eps}, where) : NULL;
}

LS_LAYER_FIELDS(rms_norm) = {
    LS_FIELD(FLOAT, ls_rms_norm_layer, eps), LS_FIELD(INIT, ls_rms_norm_layer, weight_init), {0}};
