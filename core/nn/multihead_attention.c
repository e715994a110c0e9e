/* SPDX-License-Identifier: Apache-2.0
 * Multi-head attention (Vaswani 2017) with the parameters of PyTorch's nn.MultiheadAttention. */
#include "core/nn/layer_table.h"

#include <math.h>

typedef ls_multihead_attention_layer layer;

static ls_tensor *param(const layer *l, const char *part, ls_init init, ls_where where, ls_dims dims)
{
    return ls__param(l->g, ls_arena_printf(l->g->arena, "%s.%s", l->name, part), init, where, dims);
}

static ls_status check(const layer *l)
{
    const ls_tensor *inputs[] = {l->q, l->k, l->v};
    LS_CHECK(!l->k == !l->v, LS_ERR_USAGE, "multihead_attention '%s': %s" LS_HINT "give both or neither", l->name,
             l->k ? "keys are given without values" : "values are given without keys");
    for (int i = 0; i < 3; i++)
        LS_CHECK(
            !inputs[i] || (inputs[i]->rank == 2 && inputs[i]->dim[1] == l->q->dim[1]), LS_ERR_USAGE,
            "multihead_attention '%s': expected queries B x T x E and keys and values B x S x E, found '%s' of %s and "
            "'%s' of %s",
            l->name, l->q->name, ls__shape(l->q), inputs[i]->name, ls__shape(inputs[i]));
    LS_CHECK(!l->cached || (!l->k && !l->textbook && !l->key_padding && !l->mask), LS_ERR_USAGE,
             "multihead_attention '%s': a cache is for self-attention without masks", l->name);
    LS_CHECK(!l->lengths || !l->textbook || l->key_padding, LS_ERR_USAGE,
             "multihead_attention '%s': textbook takes key_padding, not lengths", l->name);
    LS_CHECK(l->heads >= 1 && (l->head_width > 0 || l->q->dim[1] % l->heads == 0), LS_ERR_USAGE,
             "multihead_attention '%s': expected a last dim that is a multiple of %d heads, found '%s' of %s", l->name,
             l->heads, l->q->name, ls__shape(l->q));
    LS_CHECK(l->kv_heads >= 1 && l->heads % l->kv_heads == 0, LS_ERR_USAGE,
             "multihead_attention '%s': expected heads that are a multiple of kv_heads, found %d and %d", l->name,
             l->heads, l->kv_heads);
    LS_CHECK(!l->textbook || l->kv_heads == l->heads, LS_ERR_USAGE,
             "multihead_attention '%s': textbook attention has as many kv_heads as heads", l->name);
    LS_CHECK(!l->k || (l->kv_heads == l->heads && !l->rope && !l->qk_norm), LS_ERR_USAGE,
             "multihead_attention '%s': kv_heads, rope and qk_norm are for self-attention", l->name);
    return LS_OK;
}

/* B x T x E  ->  B x heads x T x E/heads */
static ls_tensor *split_heads(const layer *l, ls_tensor *x, ls_where where)
{
    x = ls__apply(LS_OP_reshape, &(ls_reshape_args){.x = x, .dims = LS_DIMS(-1, l->heads, x->dim[1] / l->heads)},
                  where);
    return ls__apply(LS_OP_permute, &(ls_permute_args){.x = x, .order = LS_DIMS(1, 0, 2)}, where);
}

/* B x heads x T x E/heads  ->  B x T x E */
static ls_tensor *join_heads(ls_tensor *x, ls_where where)
{
    const int64_t e = x->dim[0] * x->dim[2];
    x               = ls__apply(LS_OP_permute, &(ls_permute_args){.x = x, .order = LS_DIMS(1, 0, 2)}, where);
    return ls__apply(LS_OP_reshape, &(ls_reshape_args){.x = x, .dims = LS_DIMS(-1, e)}, where);
}

/* The softmax weights as separate ops: B x heads x T x S.  q and k: B x heads x T x E/heads. */
static ls_tensor *weights(const layer *l, ls_tensor *q, ls_tensor *k, float scale, ls_where where)
{
    ls_tensor *x = ls__apply(LS_OP_matmul, &(ls_matmul_args){.x = q, .y = k, .transpose_y = true}, where);
    x = ls__apply(LS_OP_scale, &(ls_scale_args){.x = x, .factor = l->cap > 0 ? scale / l->cap : scale}, where);
    if (l->cap > 0) {
        x = ls__apply(LS_OP_tanh, &(ls_unary_args){.x = x}, where);
        x = ls__apply(LS_OP_scale, &(ls_scale_args){.x = x, .factor = l->cap}, where);
    }
    if (l->key_padding || l->mask || l->causal)
        x = ls__apply(
            LS_OP_mask,
            &(ls_mask_args){
                .x = x, .key_padding = l->key_padding, .mask = l->mask, .causal = l->causal, .window = l->window},
            where);
    x = ls__apply(LS_OP_softmax, &(ls_unary_args){.x = x}, where);
    if (x) x->name = ls_arena_printf(l->g->arena, "%s%s%s.weights", l->g->scope, l->g->scope[0] ? "." : "", l->name);
    return x;
}

static float scale_of(const layer *l, const ls_tensor *q)
{
    return l->scale != 0 ? l->scale : 1 / sqrtf((float)(q->dim[1] / l->heads));
}

ls_tensor *ls__attention_weights(const layer *l, ls_tensor *q, ls_tensor *k, ls_where where)
{
    if (!q || !k) return NULL;
    const float scale = scale_of(l, q);
    q                 = split_heads(l, q, where);
    k                 = split_heads(l, k, where);
    ls_tensor *x      = weights(l, q, k, scale, where);
    return ls__apply(LS_OP_mean, &(ls_reduce_args){.x = x, .axis = 1}, where);
}

ls_tensor *ls__textbook_attention(const layer *l, ls_tensor *q, ls_tensor *k, ls_tensor *v, ls_where where)
{
    if (!q || !k || !v) return NULL;
    const float scale = scale_of(l, q);
    q                 = split_heads(l, q, where);
    k                 = split_heads(l, k, where);
    v                 = split_heads(l, v, where);
    ls_tensor *x      = weights(l, q, k, scale, where);
    if (!x) return NULL;
    if (l->dropout > 0) x = ls__apply(LS_OP_dropout, &(ls_dropout_args){.x = x, .p = l->dropout}, where);
    x = ls__apply(LS_OP_matmul, &(ls_matmul_args){.x = x, .y = v}, where);
    return x ? join_heads(x, where) : NULL;
}

/* Creates in_proj_weight and in_proj_bias (NULL: none), of rows for queries, keys and values. */
static bool in_proj(const layer *l, int64_t e, int64_t rows, ls_tensor **w, ls_tensor **b, ls_where where)
{
    const ls_init xavier = {.kind = LS_INIT_XAVIER_UNIFORM}, zeros = {.kind = LS_INIT_ZEROS};
    const bool    bias = !l->no_bias || l->qkv_bias;
    *w = param(l, "in_proj_weight", l->in_init.kind == LS_INIT_DEFAULT ? xavier : l->in_init, where, LS_DIMS(rows, e));
    *b = bias ? param(l, "in_proj_bias", zeros, where, LS_DIMS(rows)) : NULL;
    return *w && (*b || !bias);
}

ls_tensor *ls__project_memory(const ls_transformer_layer *block, ls_tensor *memory, int part, ls_where where)
{
    if (!memory) return NULL;
    const layer   l = {.g       = block->g,
                       .name    = ls_arena_printf(block->g->arena, "%s.multihead_attn", block->name),
                       .no_bias = block->no_bias};
    ls_tensor    *w, *b;
    const int64_t e = ls__cols(memory);
    return in_proj(&l, e, 3 * e, &w, &b, where) ? ls__linear_rows(memory, w, b, part * e, e, where) : NULL;
}

/* Rotates the first `rotate` of the heads of x. */
static ls_tensor *rotated(const layer *l, ls_tensor *x, int heads, int rotate, ls_where where)
{
    const ls_rope *r = l->rope;
    if (!r) return x;
    return ls__apply(LS_OP_rotary,
                     &(ls_rotary_args){.x        = x,
                                       .start    = l->start,
                                       .heads    = heads,
                                       .rotate   = rotate,
                                       .base     = r->base,
                                       .columns  = r->columns,
                                       .scaling  = r->scaling,
                                       .factor   = r->factor,
                                       .low      = r->low,
                                       .high     = r->high,
                                       .original = r->original},
                     where);
}

/* Applies a norm to each head of x: B x T x (heads D). */
static ls_tensor *normed(const layer *l, const char *name, ls_tensor *x, int heads, ls_where where)
{
    if (!x || !l->qk_norm) return x;
    const int64_t width = x->dim[1];
    name                = ls_arena_printf(l->g->arena, "%s.%s", l->name, name);
    x = ls__apply(LS_OP_reshape, &(ls_reshape_args){.x = x, .dims = LS_DIMS(-1, heads, width / heads)}, where);
    x = ls__norm_layer(l->g, l->norm, name, x, l->eps, l->no_bias, where);
    return x ? ls__apply(LS_OP_reshape, &(ls_reshape_args){.x = x, .dims = LS_DIMS(-1, width)}, where) : NULL;
}

/* Computes queries, keys and values; with in[1] NULL, in[0] has all three side by side. */
static void project(const layer *l, ls_tensor *w, ls_tensor *b, ls_tensor *in[3], ls_where where)
{
    const int64_t d = l->head_width, rows[3] = {l->heads * d, l->kv_heads * d, l->kv_heads * d};
    if (!l->k && !l->textbook && !l->qk_norm) {
        in[0] = ls__linear_rows(l->q, w, b, 0, 0, where);
        in[0] = rotated(l, in[0], l->heads + 2 * l->kv_heads, l->heads + l->kv_heads, where);
        return;
    }
    int64_t first = 0;
    for (int i = 0; i < (l->projected ? 1 : 3); first += rows[i], i++)
        in[i] = ls__linear_rows(in[i] ? in[i] : l->q, w, b, first, rows[i], where);
    if (l->k) return;
    in[0] = rotated(l, normed(l, "q_norm", in[0], l->heads, where), l->heads, l->heads, where);
    in[1] = rotated(l, normed(l, "k_norm", in[1], l->kv_heads, where), l->kv_heads, l->kv_heads, where);
}

ls_tensor *ls__multihead_attention(ls_multihead_attention_layer l, ls_where where)
{
    ls_tensor *in[3] = {l.q, l.k, l.v}, *x, *w, *b, *cache = NULL;
    if (!l.g || l.g->status != LS_OK || !l.q) return NULL;
    if (!l.heads) l.heads = 1;
    if (!l.kv_heads) l.kv_heads = l.heads;
    if (check(&l) != LS_OK) return ls__graph_fail(l.g, where, "%s", ls_error_message());
    const int64_t e = l.q->dim[1];
    if (!l.head_width) l.head_width = e / l.heads;
    if (!in_proj(&l, e, (l.heads + 2 * l.kv_heads) * l.head_width, &w, &b, where)) return NULL;
    if (l.cached)
        cache = ls_state(l.g, ls_arena_printf(l.g->arena, "%s.cache", l.name), LS_F32, l.cached,
                         2 * l.kv_heads * l.head_width);
    project(&l, w, b, in, where);
    if (l.weights) {
        layer shown       = l;
        shown.key_padding = l.weights_padding;
        *l.weights        = ls__attention_weights(&shown, in[0], in[1], where);
    }
    if (l.textbook)
        x = ls__textbook_attention(&l, in[0], in[1], in[2], where);
    else
        x = ls__apply(LS_OP_attention,
                      &(ls_attention_args){.q           = in[0],
                                           .k           = in[1],
                                           .v           = in[2],
                                           .key_padding = l.key_padding,
                                           .mask        = l.mask,
                                           .lengths     = l.lengths,
                                           .start       = l.start,
                                           .cache       = cache,
                                           .heads       = l.heads,
                                           .kv_heads    = l.kv_heads,
                                           .causal      = l.causal,
                                           .scale       = l.scale,
                                           .window      = l.window,
                                           .cap         = l.cap,
                                           .dropout     = l.dropout},
                      where);
    if (!x) return NULL;
    return ls__linear((ls_linear_layer){.g           = l.g,
                                        .name        = ls_arena_printf(l.g->arena, "%s.out_proj", l.name),
                                        .x           = x,
                                        .out         = e,
                                        .no_bias     = l.no_bias && !l.out_bias,
                                        .weight_init = l.out_init,
                                        .bias_init   = {.kind = LS_INIT_ZEROS}},
                      where);
}

LS_LAYER_FIELDS(multihead_attention) = {
    LS_FIELD(INT, ls_multihead_attention_layer, heads),     LS_FIELD(BOOL, ls_multihead_attention_layer, causal),
    LS_FIELD(FLOAT, ls_multihead_attention_layer, dropout), LS_FIELD(BOOL, ls_multihead_attention_layer, no_bias),
    LS_FIELD(BOOL, ls_multihead_attention_layer, textbook), LS_FIELD(INT64, ls_multihead_attention_layer, window),
    LS_FIELD(FLOAT, ls_multihead_attention_layer, cap),     {0}};
