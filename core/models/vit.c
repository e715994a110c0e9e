/* SPDX-License-Identifier: Apache-2.0
 * The Vision Transformer (Dosovitskiy et al. 2021), and DeiT's form with a second token (Touvron et al. 2021).
 *
 *     x      = patches of the image, each a linear map of its pixels: B x N x width
 *     x      = [token; x] + position                               token: one row, or two rows with `distilled`
 *     x      = x + attention(norm(x)),  x = x + perceptron(norm(x))              once per layer
 *     logits = head(norm(x)[0]);  distilled: the mean of head(norm(x)[0]) and head_dist(norm(x)[1])
 *
 * Weights start as N(0, 0.02), biases and tokens as 0; the patch layer as nn.Conv2d.
 */
#include "core/nn/layer_table.h"

typedef ls_vit_args args;

static const ls_init init = {.kind = LS_INIT_NORMAL, .std = 0.02f}, zeros = {.kind = LS_INIT_ZEROS};

/* The patches as a sequence: B x N x width. */
static ls_tensor *patches(const args *a)
{
    ls_tensor *x = ls_conv2d(a->g, "patch", a->x, a->width, .kernel = a->patch, .stride = a->patch);
    return x ? ls_permute(ls_reshape(x, a->width, -1), 1, 0) : NULL;
}

static ls_tensor *add_block(const args *a, int layer, ls_tensor *x)
{
    const float drop = a->layers > 1 ? a->drop_path * (float)layer / (float)(a->layers - 1) : 0;
    return ls_transformer(a->g, ls_arena_printf(a->g->arena, "layers.%d", layer), x, .heads = a->heads,
                          .hidden = a->hidden, .dropout = a->dropout, .eps = a->eps, .norm_first = true,
                          .activation = LS_GELU, .weight_init = init, .in_init = init, .drop_path = drop);
}

static ls_tensor *head(const args *a, const char *name, ls_tensor *x, int token)
{
    return ls_linear(a->g, name, ls_select(x, token), a->classes, .weight_init = init, .bias_init = zeros);
}

/* Checks the arguments.  Returns NULL if one is wrong. */
static ls_tensor *check(const args *a)
{
    const ls_tensor *x = a->x;
    if (x->rank != 3 || a->patch < 1 || x->dim[1] % a->patch || x->dim[2] % a->patch)
        return ls__graph_fail(a->g, LS_HERE,
                              "vit: expected images B x C x H x W, with H and W multiples of the patch, %d, found "
                              "the input '%s', %s" LS_HINT "set the option patch, or data.size",
                              a->patch, x->name, ls__shape(x));
    if (a->layers < 1 || a->heads < 1 || a->width < 1 || a->width % a->heads)
        return ls__graph_fail(
            a->g, LS_HERE,
            "vit: expected at least one layer, and a width that is a multiple of heads, found layers %d, heads %d, "
            "width %lld",
            a->layers, a->heads, (long long)a->width);
    return a->x;
}

ls_tensor *ls__vit(args a)
{
    ls_graph *g = a.g;
    if (!g || !a.x) return NULL;
    if (!a.classes) a.classes = 1000;
    if (!a.patch) a.patch = 16;
    if (!a.layers) a.layers = 12;
    if (!a.heads) a.heads = 3;
    if (!a.width) a.width = 192;
    if (!a.hidden) a.hidden = 4 * a.width;
    if (!(a.eps > 0)) a.eps = 1e-6f;
    if (!check(&a)) return NULL;
    ls_tensor *x = ls_prepend(patches(&a), ls_param(g, "token", zeros, a.distilled ? 2 : 1, a.width));
    x            = ls_positional_encoding(g, "position", x, LS_ENCODING_LEARNED, .init = init);
    if (a.dropout > 0) x = ls_dropout(x, .p = a.dropout);
    for (int i = 0; i < a.layers; i++) x = add_block(&a, i, x);
    x                 = ls_layer_norm(g, "norm", x, .eps = a.eps);
    ls_tensor *logits = head(&a, "head", x, 0);
    if (a.distilled && !a.one_head) logits = ls_scale(ls_add(logits, head(&a, "head_dist", x, 1)), .factor = 0.5f);
    ls__graph_model(g, "vit", &a, sizeof a);
    return logits;
}
