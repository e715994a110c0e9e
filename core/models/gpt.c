/* SPDX-License-Identifier: Apache-2.0
 * GPT-2 (Radford, Wu, Child, Luan, Amodei & Sutskever 2019), as Hugging Face's GPT2LMHeadModel.
 *
 *     x      = wte[tokens] + wpe[position]
 *     x      = x + attention(norm(x)),  x = x + mlp(norm(x))      once per layer
 *     logits = norm(x) wte^T
 *     mlp    = linear width -> 4 width, gelu with tanh, linear 4 width -> width
 *
 * Weights start as N(0, 0.02) and biases as 0.  The two projections that a block adds to the residual path start as
 * N(0, 0.02 / sqrt(2 layers)), so that the variance of x does not grow with the number of layers.
 */
#include <math.h>

#include "core/base/enum_text.h"
#include "core/nn/layer_table.h"

#define STD 0.02f /* standard deviation of initial weights */
enum { MAX_LAYERS = 1000 };

typedef struct block {
    const ls_gpt_args *a;
    ls_init            init;          /* of weights */
    ls_init            residual_init; /* of the projections that are added to x */
} block;

static ls_tensor *linear(const block *b, const char *name, ls_tensor *x, int64_t out, bool residual)
{
    return ls_linear(b->a->g, name, x, out, .no_bias = b->a->no_bias,
                     .weight_init = residual ? b->residual_init : b->init, .bias_init = {.kind = LS_INIT_ZEROS});
}

static ls_tensor *norm(const ls_gpt_args *a, const char *name, ls_tensor *x)
{
    return ls__norm_layer(a->g, a->norm, name, x, a->eps, a->no_bias, LS_HERE);
}

/* Attention as separate ops, with queries, keys and values as separate tensors.  They use rows of the one parameter
 * that otherwise computes all three. */
static ls_tensor *textbook(const block *b, ls_tensor *x)
{
    const ls_gpt_args *a = b->a;
    ls_tensor         *w = ls_param(a->g, "attn.c_attn.weight", b->init, 3 * a->width, a->width), *part[3];
    ls_tensor         *bias =
        a->no_bias ? NULL : ls_param(a->g, "attn.c_attn.bias", ((ls_init){.kind = LS_INIT_ZEROS}), 3 * a->width);
    if (!w || (!bias && !a->no_bias)) return NULL;
    for (int i = 0; i < 3; i++) {
        part[i] = ls_linear_op(x, w, bias, .first = i * a->width, .rows = a->width);
        if (a->position == LS_ENCODING_ROTARY && i < 2) part[i] = ls_rotary(part[i], a->start, .heads = a->heads);
    }
    return ls__textbook_attention(&(ls_multihead_attention_layer){.g       = a->g,
                                                                  .name    = "attn",
                                                                  .heads   = a->heads,
                                                                  .causal  = true,
                                                                  .dropout = a->dropout,
                                                                  .scale   = a->attention_scale},
                                  part[0], part[1], part[2], LS_HERE);
}

static ls_tensor *attention(const block *b, ls_tensor *x)
{
    const ls_gpt_args *a = b->a;
    if (a->textbook) return linear(b, "attn.c_proj", textbook(b, x), a->width, true);
    ls_tensor *y = linear(b, "attn.c_attn", x, 3 * a->width, false), *cache = NULL;
    if (a->position == LS_ENCODING_ROTARY) y = ls_rotary(y, a->start, .heads = 3 * a->heads, .rotate = 2 * a->heads);
    if (a->cached) cache = ls_state(a->g, "attn.cache", LS_F32, a->cached, 2 * a->width);
    y = ls_attention(y, .start = a->start, .cache = cache, .heads = a->heads, .causal = true,
                     .scale = a->attention_scale, .dropout = a->dropout);
    return linear(b, "attn.c_proj", y, a->width, true);
}

static ls_tensor *mlp(const block *b, ls_tensor *x)
{
    x = ls_gelu(linear(b, "mlp.c_fc", x, 4 * b->a->width, false), .tanh = true);
    return linear(b, "mlp.c_proj", x, b->a->width, true);
}

static ls_tensor *add(const block *b, ls_tensor *x, ls_tensor *y)
{
    return ls_add(x, b->a->dropout > 0 ? ls_dropout(y, .p = b->a->dropout) : y);
}

static ls_tensor *add_block(const block *b, ls_tensor *x)
{
    x = add(b, x, attention(b, norm(b->a, "ln_1", x)));
    return add(b, x, mlp(b, norm(b->a, "ln_2", x)));
}

static ls_tensor *embed(const ls_gpt_args *a, ls_tensor *wte)
{
    ls_tensor *x =
        ls_positional_encoding(a->g, "wpe", ls_embedding_op(a->x, wte), a->position, a->context, .scaled = true,
                               .init = {.kind = LS_INIT_NORMAL, .std = STD}, .start = a->start);
    return a->dropout > 0 ? ls_dropout(x, .p = a->dropout) : x;
}

/* Checks the arguments.  Returns NULL if one is wrong. */
static ls_tensor *check_args(const ls_gpt_args *a)
{
    const ls_tensor *x = a->x;
    if (x->type != LS_I32 || x->rank != 1 || !x->batched)
        return ls__graph_fail(a->g, LS_HERE, "gpt: expected tokens, B x T of int32, found the input '%s', %s of %s",
                              x->name, ls__shape(x), ls__dtype_name(x->type));
    if (a->layers < 1 || a->layers > MAX_LAYERS || a->heads < 1 || a->width < 1 || a->width % a->heads != 0)
        return ls__graph_fail(
            a->g, LS_HERE,
            "gpt: expected 1 to %d layers, at least 1 head, and a width that is a multiple of heads, found "
            "layers %d, heads %d, width %lld",
            MAX_LAYERS, a->layers, a->heads, (long long)a->width);
    if (x->dim[0] > a->context)
        return ls__graph_fail(a->g, LS_HERE,
                              "gpt: expected at most %lld positions, the context, found the input '%s', %s" LS_HINT
                              "raise context or shorten the samples",
                              (long long)a->context, x->name, ls__shape(x));
    if (a->cached && a->textbook) return ls__graph_fail(a->g, LS_HERE, "gpt: cached and textbook exclude each other");
    if (a->cached && a->target) return ls__graph_fail(a->g, LS_HERE, "gpt: cached and a target exclude each other");
    return a->x;
}

ls_tensor *ls__gpt(ls_gpt_args a)
{
    ls_graph *g = a.g;
    if (!g || !a.x) return NULL;
    if (!a.vocab) a.vocab = 50257;
    if (!a.layers) a.layers = 4;
    if (!a.heads) a.heads = 4;
    if (!a.width) a.width = 128;
    if (!a.context) a.context = 1024;
    if (!(a.eps > 0)) a.eps = 1e-5f;
    if (!check_args(&a)) return NULL;
    const block b = {.a             = &a,
                     .init          = {.kind = LS_INIT_NORMAL, .std = STD},
                     .residual_init = {.kind = LS_INIT_NORMAL, .std = STD / sqrtf(2 * (float)a.layers)}};
    ls_scope(g, "transformer");
    ls_tensor *wte = ls_param(g, "wte.weight", b.init, a.vocab, a.width), *x = embed(&a, wte);
    ls_scope(g, "h");
    for (int i = 0; i < a.layers; i++) {
        ls_scope(g, ls_arena_printf(g->arena, "%d", i));
        x = add_block(&b, x);
        ls_scope_end(g);
    }
    ls_scope_end(g);
    x = norm(&a, "ln_f", x);
    ls_scope_end(g);
    ls__graph_model(g, "gpt", &a, sizeof a);
    return a.target ? ls_linear_cross_entropy(x, wte, a.target) : ls_linear_op(x, wte);
}
