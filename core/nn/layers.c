/* SPDX-License-Identifier: Apache-2.0
 * Layers with parameters of their own: linear, convolutions, embedding, norms. */
#include "core/base/enum_text.h"
#include "core/nn/layer_table.h"

#include <stdio.h>
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

enum { KERNEL_DIMS = 3 };

/* A convolution's channels and kernel. */
typedef struct kernel {
    int64_t     out;
    int         dims, size[KERNEL_DIMS], groups; /* size: depth, height, width, the last `dims` of them */
    bool        transposed; /* the weight is C x out/groups x kernel, not out x C/groups x kernel */
    bool        no_bias;
    ls_init     weight_init, bias_init;
    const char *layer; /* conv2d or conv_transpose2d, for messages */
} kernel;

/* Creates the weight and the bias (NULL if no_bias) of a convolution of x.  Returns false after an error. */
static bool conv_params(ls_graph *g, const char *name, const ls_tensor *x, kernel k, ls_where where, ls_tensor **w,
                        ls_tensor **b)
{
    static const char *const inputs[] = {"", "W", "H x W", "D x H x W"}, *const ones[] = {"", "1", "1 x 1",
                                                                                          "1 x 1 x 1"};
    const int *size     = k.size + KERNEL_DIMS - k.dims;
    ls_dims    dims     = {.rank = 2 + k.dims};
    int64_t    taps     = 1;
    bool       positive = true;
    char       text[48] = "";
    if (k.groups == 0) k.groups = 1;
    for (int i = 0; i < k.dims; i++) {
        positive        = positive && size[i] >= 1;
        dims.dim[2 + i] = size[i];
        taps *= size[i];
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d", i ? " x " : "", size[i]);
    }
    if (x->rank != 1 + k.dims || k.groups < 1 || x->dim[0] % k.groups != 0 || k.out % k.groups != 0 || !positive) {
        ls__graph_fail(g, where,
                       "%s '%s': expected an input B x C x %s with C and out multiples of groups and a kernel of at "
                       "least %s, found the input %s, out %lld, kernel %s, groups %d" LS_HINT "set .kernel",
                       k.layer, name, inputs[k.dims], ones[k.dims], ls__shape(x), (long long)k.out, text, k.groups);
        return false;
    }
    dims.dim[0]        = k.transposed ? x->dim[0] : k.out;
    dims.dim[1]        = (k.transposed ? k.out : x->dim[0]) / k.groups;
    const ls_init bias = bias_default(k.bias_init, dims.dim[1] * taps);
    *w                 = named_param(g, name, "weight", k.weight_init, where, dims);
    *b                 = k.no_bias ? NULL : named_param(g, name, "bias", bias, where, LS_DIMS(k.out));
    return *w && (*b || k.no_bias);
}

/* The kernel of the layer struct l, with `depth` its size along the depth. */
#define KERNEL_OF(l, n, depth, ...)                                                                                    \
    (kernel)                                                                                                           \
    {                                                                                                                  \
        .out = (l).out, .dims = n,                                                                                     \
        .size   = {depth, (l).kernel_h ? (l).kernel_h : (l).kernel, (l).kernel_w ? (l).kernel_w : (l).kernel},         \
        .groups = (l).groups, .no_bias = (l).no_bias, .weight_init = (l).weight_init, .bias_init = (l).bias_init,      \
        __VA_ARGS__                                                                                                    \
    }

/* The attributes that all convolutions have in their layer struct and their op's args. */
#define CONV_ARGS(l)                                                                                                   \
    .x = (l).x, .w = w, .b = b, .stride = (l).stride, .stride_h = (l).stride_h, .stride_w = (l).stride_w,              \
    .padding = (l).padding, .padding_h = (l).padding_h, .padding_w = (l).padding_w, .pad_top = (l).pad_top,            \
    .pad_bottom = (l).pad_bottom, .pad_left = (l).pad_left, .pad_right = (l).pad_right, .dilation = (l).dilation,      \
    .dilation_h = (l).dilation_h, .dilation_w = (l).dilation_w, .groups = (l).groups

/* The fields of these attributes, for n dims. */
#define CONV_FIELDS(layer, n)                                                                                          \
    LS_FIELD(INT64, layer, out), LS_WINDOW_FIELDS_##n(layer, kernel), LS_WINDOW_FIELDS_##n(layer, stride),             \
        LS_WINDOW_FIELDS_##n(layer, padding), LS_SIDE_FIELDS_##n(layer), LS_WINDOW_FIELDS_##n(layer, dilation),        \
        LS_FIELD(INT, layer, groups), LS_FIELD(BOOL, layer, no_bias), LS_FIELD(INIT, layer, weight_init),              \
        LS_FIELD(INIT, layer, bias_init)

/* The convolution of n dims. */
static ls_tensor *conv(ls_conv_layer l, int op, int n, const char *layer, ls_where where)
{
    ls_tensor *w, *b;
    const int  depth = l.kernel_d ? l.kernel_d : l.kernel;
    if (!l.x || !conv_params(l.g, l.name, l.x, KERNEL_OF(l, n, depth, .layer = layer), where, &w, &b)) return NULL;
    return ls__apply(op,
                     &(ls_conv_args){CONV_ARGS(l), .stride_d = l.stride_d, .padding_d = l.padding_d,
                                     .pad_front = l.pad_front, .pad_back = l.pad_back, .dilation_d = l.dilation_d,
                                     .same = l.same},
                     where);
}

#define CONV(n)                                                                                                        \
    ls_tensor *ls__conv##n##d(ls_conv##n##d_layer l, ls_where where)                                                   \
    {                                                                                                                  \
        return conv(l, LS_OP_conv##n##d, n, "conv" #n "d", where);                                                     \
    }                                                                                                                  \
    LS_LAYER_FIELDS(conv##n##d) = {                                                                                    \
        CONV_FIELDS(ls_conv_layer, n), LS_FIELD_OF(ls__same_names, ls_conv_layer, same), {0}};
CONV(1)
CONV(2)
CONV(3)

ls_tensor *ls__conv_transpose2d(ls_conv_transpose2d_layer l, ls_where where)
{
    ls_tensor *w, *b;
    if (!l.x || !conv_params(l.g, l.name, l.x, KERNEL_OF(l, 2, 1, .transposed = true, .layer = "conv_transpose2d"),
                             where, &w, &b))
        return NULL;
    return ls__apply(LS_OP_conv_transpose2d,
                     &(ls_conv_transpose2d_args){CONV_ARGS(l), .output_padding = l.output_padding,
                                                 .output_padding_h = l.output_padding_h,
                                                 .output_padding_w = l.output_padding_w},
                     where);
}

LS_LAYER_FIELDS(conv_transpose2d) = {CONV_FIELDS(ls_conv_transpose2d_layer, 2),
                                     LS_FIELD(INT, ls_conv_transpose2d_layer, output_padding),
                                     LS_FIELD(INT, ls_conv_transpose2d_layer, output_padding_h),
                                     LS_FIELD(INT, ls_conv_transpose2d_layer, output_padding_w),
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

static ls_tensor *norm_weight(ls_graph *g, const char *name, ls_init init, int64_t n, ls_where where)
{
    return named_param(g, name, "weight", or_constant(init, 1), where, LS_DIMS(n));
}

static ls_tensor *norm_bias(ls_graph *g, const char *name, ls_init init, int64_t n, ls_where where)
{
    return named_param(g, name, "bias", or_constant(init, 0), where, LS_DIMS(n));
}

/* Creates the weight (ones) and the bias (zeros; NULL if no_bias) of a norm.  Returns false after an error. */
static bool norm_params(ls_graph *g, const char *name, ls_init weight_init, bool no_bias, ls_init bias_init, int64_t n,
                        ls_where where, ls_tensor **w, ls_tensor **b)
{
    *w = norm_weight(g, name, weight_init, n, where);
    *b = no_bias ? NULL : norm_bias(g, name, bias_init, n, where);
    return *w && (*b || no_bias);
}

ls_tensor *ls__layer_norm(ls_layer_norm_layer l, ls_where where)
{
    if (!l.x) return NULL;
    ls_tensor *w, *b;
    if (!norm_params(l.g, l.name, l.weight_init, l.no_bias, l.bias_init, ls__cols(l.x), where, &w, &b)) return NULL;
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
    const int64_t n = l.x->dim[0];
    ls_tensor    *w = NULL, *b = NULL;
    if (!l.no_affine && !l.no_weight && !(w = norm_weight(l.g, l.name, l.weight_init, n, where))) return NULL;
    if (!l.no_affine && !(b = norm_bias(l.g, l.name, l.bias_init, n, where))) return NULL;
    ls_tensor *mean = statistic(&l, "running_mean", 0, where), *var = statistic(&l, "running_var", 1, where);
    if (!mean || !var) return NULL;
    return ls__apply(LS_OP_batch_norm,
                     &(ls_batch_norm_args){.x        = l.x,
                                           .w        = w,
                                           .b        = b,
                                           .mean     = mean,
                                           .var      = var,
                                           .eps      = l.eps,
                                           .momentum = l.momentum,
                                           .frozen   = l.frozen,
                                           .over     = l.over},
                     where);
}

LS_LAYER_FIELDS(batch_norm) = {LS_FIELD(FLOAT, ls_batch_norm_layer, eps),
                               LS_FIELD(FLOAT, ls_batch_norm_layer, momentum),
                               LS_FIELD(BOOL, ls_batch_norm_layer, frozen),
                               LS_FIELD(BOOL, ls_batch_norm_layer, no_affine),
                               LS_FIELD(BOOL, ls_batch_norm_layer, no_weight),
                               LS_FIELD(INIT, ls_batch_norm_layer, weight_init),
                               LS_FIELD(INIT, ls_batch_norm_layer, bias_init),
                               LS_FIELD_NAMED(ls__over_names, ls_batch_norm_layer, over),
                               {0}};

ls_tensor *ls__group_norm(ls_group_norm_layer l, ls_where where)
{
    if (!l.x) return NULL;
    if (l.x->rank < 1)
        return ls__graph_fail(l.g, where, "group_norm '%s': expected an input B x C x ..., found %s", l.name,
                              ls__shape(l.x));
    ls_tensor *w, *b;
    if (!norm_params(l.g, l.name, l.weight_init, l.no_bias, l.bias_init, l.x->dim[0], where, &w, &b)) return NULL;
    return ls__apply(LS_OP_group_norm,
                     &(ls_group_norm_args){.x = l.x, .w = w, .b = b, .groups = l.groups, .eps = l.eps}, where);
}

LS_LAYER_FIELDS(group_norm) = {
    LS_FIELD(INT, ls_group_norm_layer, groups),     LS_FIELD(FLOAT, ls_group_norm_layer, eps),
    LS_FIELD(BOOL, ls_group_norm_layer, no_bias),   LS_FIELD(INIT, ls_group_norm_layer, weight_init),
    LS_FIELD(INIT, ls_group_norm_layer, bias_init), {0}};

ls_tensor *ls__rms_norm(ls_rms_norm_layer l, ls_where where)
{
    if (!l.x) return NULL;
    const ls_init init = or_constant(l.weight_init, l.plus_one ? 0 : 1);
    ls_tensor    *w    = named_param(l.g, l.name, "weight", init, where, LS_DIMS(ls__cols(l.x)));
    if (!w) return NULL;
    return ls__apply(LS_OP_rms_norm, &(ls_rms_norm_args){.x = l.x, .w = w, .eps = l.eps, .plus_one = l.plus_one},
                     where);
}

LS_LAYER_FIELDS(rms_norm) = {LS_FIELD(FLOAT, ls_rms_norm_layer, eps),
                             LS_FIELD(BOOL, ls_rms_norm_layer, plus_one),
                             LS_FIELD(INIT, ls_rms_norm_layer, weight_init),
                             {0}};

/* ---- norms by kind ----------------------------------------------------------------------------------------------- */

const char *const ls__norms[] = LS_ENUM_TEXTS(LS_NORM_LIST);

ls_tensor *ls__norm_layer(ls_graph *g, ls_norm kind, const char *name, ls_tensor *x, float eps, bool no_bias,
                          ls_where where)
{
    if (kind == LS_NORM_LAYER)
        return ls__layer_norm((ls_layer_norm_layer){.g = g, .name = name, .x = x, .eps = eps, .no_bias = no_bias},
                              where);
    return ls__rms_norm(
        (ls_rms_norm_layer){.g = g, .name = name, .x = x, .eps = eps, .plus_one = kind == LS_NORM_RMS_PLUS_ONE}, where);
}
