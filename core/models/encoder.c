/* SPDX-License-Identifier: Apache-2.0
 * An encoder of texts: BERT (Devlin et al. 2019), and RoBERTa, DistilBERT and MiniLM as options of it.
 *
 *     x      = word[tokens] + type[types] + position                  types only where the model has them
 *     x      = norm(x)
 *     x      = norm(x + attention(x)),  x = norm(x + perceptron(x))   once per layer
 *
 *     p      = tanh(pooler(x[0]))                              pool: pooler; cls: x[0]; mean: mean over the tokens
 *     logits = classifier(p)                                   with classes
 *
 *     masked = cross entropy of norm(gelu(transform(x))) word^T + masked.bias at the masked positions       pretraining
 *     next   = cross entropy of next(tanh(pooler(x[0])))                                              of bert alone
 *
 * Without classes the result is x, B x T x width.  Weights start as N(0, 0.02), and biases as 0.
 */
#include "core/models/model_table.h"
#include "core/nn/layer_table.h"

enum { ROBERTA_FIRST = 2 }; /* first position of a text in the table */

typedef ls_encoder_args args;

static const ls_init init = {.kind = LS_INIT_NORMAL, .std = 0.02f}, zeros = {.kind = LS_INIT_ZEROS};

static int64_t first_of(const args *a) { return a->kind == LS_ROBERTA ? ROBERTA_FIRST : 0; }

static ls_tensor *embed(const args *a, ls_tensor **word)
{
    ls_graph *g  = a->g;
    *word        = ls_param(g, "word.weight", init, a->vocab, a->width);
    ls_tensor *x = ls_embedding_op(a->x, *word);
    if (a->types) x = ls_add(x, ls_embedding(g, "type", a->type, a->types, a->width, .init = init));
    x = ls_positional_encoding(g, "position", x, LS_ENCODING_LEARNED, a->context, .init = init, .first = first_of(a));
    x = ls_layer_norm(g, "norm", x, .eps = a->eps);
    return a->dropout > 0 ? ls_dropout(x, .p = a->dropout) : x;
}

static ls_tensor *add_block(const args *a, int layer, ls_tensor *x)
{
    return ls_transformer(a->g, ls_arena_printf(a->g->arena, "layers.%d", layer), x, .heads = a->heads,
                          .hidden = a->hidden, .dropout = a->dropout, .keeps_hidden = true, .eps = a->eps,
                          .activation = a->activation, .lengths = a->length, .weight_init = init, .in_init = init);
}

static ls_tensor *pool_first(const args *a, ls_tensor *x)
{
    x = ls_linear(a->g, "pooler", ls_select(x, 0), a->width, .weight_init = init, .bias_init = zeros);
    return a->kind == LS_DISTILBERT ? ls_relu(x) : ls_tanh(x);
}

static ls_tensor *activate(const args *a, ls_tensor *x)
{
    if (a->activation == LS_RELU) return ls_relu(x);
    if (a->activation == LS_SILU) return ls_silu(x);
    return ls_gelu(x, .tanh = a->activation == LS_GELU_TANH);
}

/* B x T x width  ->  B, the loss of masked language modelling and next sentence */
static ls_tensor *pretrain(const args *a, ls_tensor *x, ls_tensor *word)
{
    ls_graph  *g      = a->g;
    ls_tensor *h      = ls_linear(g, "transform", x, a->width, .weight_init = init, .bias_init = zeros);
    h                 = ls_layer_norm(g, "transform_norm", activate(a, h), .eps = a->eps);
    ls_tensor *masked = ls_linear_cross_entropy(h, word, a->target, ls_param(g, "masked.bias", zeros, a->vocab),
                                                .ignore = true, .ignore_index = -1);
    ls_tensor *loss = ls_mul(masked, a->scale), *scores = ls_reshape(masked, 1);
    if (a->next) {
        ls_tensor *logits = ls_linear(g, "next", pool_first(a, x), 2, .weight_init = init, .bias_init = zeros);
        loss              = ls_add(loss, ls_cross_entropy(logits, a->next));
        scores            = ls_concat(scores, logits);
    }
    if (a->scores) *a->scores = scores;
    return loss;
}

/* B x T x width  ->  B x classes */
static ls_tensor *head(const args *a, ls_tensor *x)
{
    x = a->pool == LS_POOLER     ? pool_first(a, x)
        : a->pool == LS_POOL_CLS ? ls_select(x, 0)
                                 : ls_sequence_mean(x, a->length);
    if (a->dropout > 0) x = ls_dropout(x, .p = a->dropout);
    return ls_linear(a->g, "classifier", x, a->classes, .weight_init = init, .bias_init = zeros);
}

/* Checks the arguments.  Returns NULL if one is wrong. */
static ls_tensor *check(const args *a)
{
    const ls_tensor *x = a->x;
    if (x->type != LS_I32 || x->rank != 1 || !x->batched)
        return ls__graph_fail(a->g, LS_HERE, "encoder: expected tokens, B x T of int32, found the input '%s', %s of %s",
                              x->name, ls__shape(x), ls__dtype_name(x->type));
    if (a->layers < 1 || a->heads < 1 || a->width < 1 || a->width % a->heads)
        return ls__graph_fail(
            a->g, LS_HERE,
            "encoder: expected at least one layer, and a width that is a multiple of heads, found layers %d, heads %d, "
            "width %lld",
            a->layers, a->heads, (long long)a->width);
    const int64_t first = first_of(a);
    if (x->dim[0] + first > a->context)
        return ls__graph_fail(a->g, LS_HERE, "encoder: expected at most %lld positions, found the input '%s', %s",
                              (long long)(a->context - first), x->name, ls__shape(x));
    if (!a->length || !a->type != !a->types)
        return ls__graph_fail(a->g, LS_HERE, "encoder: expected lengths, and types for bert and roberta");
    if (!a->target != !a->scale || (a->next && (!a->target || a->kind != LS_BERT)))
        return ls__graph_fail(a->g, LS_HERE, "encoder: expected a target with a scale, and next for bert alone");
    return a->x;
}

int64_t ls__encoder_types(const args *a)
{
    return a->types ? a->types : a->kind == LS_BERT ? 2 : a->kind == LS_ROBERTA ? 1 : 0;
}

ls_tensor *ls__encoder(args a)
{
    ls_graph *g = a.g;
    if (!g || !a.x) return NULL;
    if (!a.vocab) a.vocab = 30522;
    if (!a.layers) a.layers = 4;
    if (!a.heads) a.heads = 4;
    if (!a.width) a.width = 256;
    if (!a.hidden) a.hidden = 4 * a.width;
    if (!a.context) a.context = 512;
    if (!(a.eps > 0)) a.eps = 1e-12f;
    a.types = ls__encoder_types(&a);
    if (!check(&a)) return NULL;
    ls_tensor *word, *x = embed(&a, &word);
    for (int i = 0; i < a.layers; i++) x = add_block(&a, i, x);
    if (a.target)
        x = pretrain(&a, x, word);
    else if (a.classes)
        x = head(&a, x);
    ls__graph_model(g, "encoder", &a, sizeof a);
    return x;
}
