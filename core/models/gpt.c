/* SPDX-License-Identifier: Apache-2.0
 * GPT-2 (Radford, Wu, Child, Luan, Amodei & Sutskever 2019), as Hugging Face's GPT2LMHeadModel has it.
 *
 *     x      = wte[tokens] + wpe[position]
 *     x      = x + attention(norm(x)),  x = x + mlp(norm(x))      layers times; mlp: width -> 4 width -> width, gelu by
 * tanh logits = norm(x) wte^T
 *
 * Weights start as N(0, 0.02), biases as 0; the two projections that a block adds to x as N(0, 0.02 / sqrt(2 layers)),
 * so that the variance of x does not grow with the number of layers.
 */
#include <math.h>

#include "core/nn/registry.h"

#define STD 0.02f /* of every weight */
enum { MOST_LAYERS = 1000 };

typedef struct block {
    const ls_gpt_args *a;
    ls_init            init, add_init; /* of weights; of those whose product is added to x */
} block;

static ls_tensor *linear(const block *b, const char *name, ls_tensor *x, int64_t out, bool adds)
{
    return ls_linear(b->a->g, name, x, out, .no_bias = b->a->no_bias, .weight_init = adds ? b->add_init : b->init,
                     .bias_init = {.kind = LS_INIT_ZEROS});
}

static ls_tensor *norm(const ls_gpt_args *a, const char *name, ls_tensor *x)
{
    if (a->norm == LS_NORM_RMS) return ls_rms_norm(a->g, name, x, .eps = a->eps);
    return ls_layer_norm(a->g, name, x, .eps = a->eps, .no_bias = a->no_bias);
}

/* Queries, keys and values each as a tensor of its own, of the parameters that else make them in one. */
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
    if (a->cached) cache = ls_state(a->g, "attn.cache", LS_F32, a->context, 2 * a->width);
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

static ls_tensor *refuse(const ls_gpt_args *a)
{
    const ls_tensor *x = a->x;
    if (x->type != LS_I32 || x->rank != 1 || !x->batched)
        return ls__graph_fail(a->g, LS_HERE, "gpt: the input '%s' is %s of %s, expected tokens: B x T of int32",
                              x->name, ls__shape(x), ls__dtype_name(x->type));
    if (a->layers < 1 || a->layers > MOST_LAYERS || a->heads < 1 || a->width < 1 || a->width % a->heads != 0)
        return ls__graph_fail(a->g, LS_HERE,
                              "gpt: layers %d, heads %d, width %lld: expected at least 1 of each, at most %d layers, "
                              "and a width that is a multiple of heads",
                              a->layers, a->heads, (long long)a->width, MOST_LAYERS);
    if (x->dim[0] > a->context)
        return ls__graph_fail(a->g, LS_HERE,
                              "gpt: '%s' is %s, but the model's context is %lld positions" LS_HINT
                              "a larger context, or shorter samples",
                              x->name, ls__shape(x), (long long)a->context);
    if (a->cached && a->textbook) return ls__graph_fail(a->g, LS_HERE, "gpt: textbook attention keeps no cache");
    if (a->cached && a->target)
        return ls__graph_fail(a->g, LS_HERE, "gpt: with a cache it generates, and has no target");
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
    if (!refuse(&a)) return NULL;
    const block b = {.a        = &a,
                     .init     = {.kind = LS_INIT_NORMAL, .std = STD},
                     .add_init = {.kind = LS_INIT_NORMAL, .std = STD / sqrtf(2 * (float)a.layers)}};
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
