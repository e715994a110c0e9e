/* SPDX-License-Identifier: Apache-2.0
 *
 * Scaled dot-product attention with several heads (Vaswani 2017), in tiles: the T x S weights are never stored.
 *      q: B x T x (H D)   k, v: B x S x (KVH D)   ->  y: B x T x (H D)   log_sum: B x H x T
 *
 * Forward     y = softmax(scale q k^T + mask) v,  log_sum = log sum_s exp(scale q k_s + mask_s),  for each head
 * Backward    core/ops/attention_backward.c, from the inputs, y and log_sum
 *
 * This is FlashAttention (Dao et al. 2022): memory is linear in T and S in both directions.  Heads are read with a
 * stride, so q, k and v may lie side by side in one tensor, as one linear layer writes them.  H / KVH neighbouring
 * query heads share keys and values (Ainslie et al. 2023).  The mask is added to the scores; -inf hides a key.  Keys
 * from the length of a sample on are hidden and not read.  A query without visible keys gives zeros, where softmax
 * would give NaN.
 *
 * Causal attention may have a window of W positions: query t sees keys t - W + 1 ... t (Beltagy et al. 2020).  It may
 * also have a first key for each query, so that packed samples do not see each other.  Tiles of keys that no query of a
 * tile sees are skipped.  With a cap, a score s becomes cap tanh(s / cap) (Gemma 2).
 *
 * With a cache, the op writes the keys and values of the call into rows start ... start + T - 1 of the cache, and query
 * t attends to rows 0 ... start + t.  The bits of a row are the same for queries given one by one or all at once.  A
 * sample whose rows do not fit into the cache gives NaN, because an invalid start must not read other memory.
 *
 * Dropout of weight (t, s) of head h is Philox number s mod 4 at counter (h ceil(S/4) + s/4, t), keyed by the call and
 * the sample: it is independent of tiles and threads, and backward draws the same numbers again.
 */
#include "core/ops/attention_backward.h"
#include "core/ops/attention_forward.h"
#include "core/ops/infer.h"
#include "core/ops/kv_cache.h"

/* Checks q and the numbers of heads; sets the default scale. */
static ls_status infer_heads(ls_node *n)
{
    ls_attention_args *a = n->args;
    const ls_tensor   *q = n->in[LS_ATT_Q], *k = n->in[LS_ATT_K], *v = n->in[LS_ATT_V];
    LS_TRY(ls__expect_samples(n, LS_ATT_Q));
    LS_NODE_CHECK(n, q->rank == 2, "the queries '%s' are %s, expected B x T x (heads D)", q->name, ls__shape(q));
    LS_NODE_CHECK(n, !k == !v,
                  "%s are given without %s" LS_HINT
                  "give both, or neither: then q holds queries, keys and values side by side",
                  k ? "keys" : "values", k ? "values" : "keys");
    if (a->heads == 0) a->heads = 1;
    if (a->kv_heads == 0) a->kv_heads = a->heads;
    LS_NODE_CHECK(n, a->heads > 0 && a->kv_heads > 0 && a->heads % a->kv_heads == 0,
                  "heads is %d, expected a multiple of kv_heads, which is %d", a->heads, a->kv_heads);
    const int64_t parts = k ? a->heads : a->heads + 2 * (int64_t)a->kv_heads;
    LS_NODE_CHECK(n, q->dim[1] % parts == 0,
                  "'%s' is %s: its last dim must be a multiple of %lld, the number of heads%s", q->name, ls__shape(q),
                  (long long)parts, k ? "" : " of queries, keys and values together");
    if (a->scale == 0) a->scale = 1 / sqrtf((float)(q->dim[1] / parts));
    return LS_OK;
}

static ls_status infer_keys(const ls_node *n, int64_t width)
{
    const ls_tensor *q = n->in[LS_ATT_Q], *k = n->in[LS_ATT_K], *v = n->in[LS_ATT_V];
    if (!k) return LS_OK;
    LS_TRY(ls__expect_samples(n, LS_ATT_K));
    LS_TRY(ls__expect_samples(n, LS_ATT_V));
    LS_NODE_CHECK(n, k->rank == 2 && k->dim[1] == width, "the keys '%s' are %s, expected B x S x %lld", k->name,
                  ls__shape(k), (long long)width);
    LS_NODE_CHECK(n, v->rank == 2 && v->dim[0] == k->dim[0] && v->dim[1] == width,
                  "the keys '%s' are %s and the values '%s' are %s, expected the same dims", k->name, ls__shape(k),
                  v->name, ls__shape(v));
    bool alike = q->dim[0] == k->dim[0] && q->dim[1] == k->dim[1];
    LS_NODE_CHECK(n, alike || (ls__root(q) != ls__root(k) && ls__root(q) != ls__root(v)),
                  "'%s' and '%s' are one tensor with different dims", q->name, k->name);
    return LS_OK;
}

static ls_status infer_masks(const ls_node *n, const ls_att_shape *shape)
{
    const ls_tensor *padding = n->in[LS_ATT_PADDING], *mask = n->in[LS_ATT_MASK], *lengths = n->in[LS_ATT_LENGTHS],
                    *first     = n->in[LS_ATT_FIRST];
    const ls_attention_args *a = n->args;
    LS_NODE_CHECK(n, !lengths || (lengths->type == LS_I32 && lengths->batched && lengths->rank == 0),
                  "the lengths '%s' are %s of %s, expected one int32 per sample", lengths->name, ls__shape(lengths),
                  ls__dtype_name(lengths->type));
    LS_NODE_CHECK(n, !lengths || !n->in[LS_ATT_CACHE],
                  "lengths and a cache exclude each other" LS_HINT "the start says how many rows a query sees");
    LS_NODE_CHECK(n,
                  !first || (first->type == LS_I32 && first->batched && first->rank == 1 && first->dim[0] == shape->t),
                  "the first keys '%s' are %s of %s, expected B x %lld of int32", first->name, ls__shape(first),
                  ls__dtype_name(first->type), (long long)shape->t);
    LS_NODE_CHECK(n, !first || (a->causal && !n->in[LS_ATT_CACHE]),
                  "first keys need causal attention without a cache" LS_HINT "set .causal = true");
    LS_NODE_CHECK(n, a->window == 0 || (a->window > 0 && a->causal),
                  "window is %lld, expected 0, or a positive number with causal attention" LS_HINT "set .causal = true",
                  (long long)a->window);
    LS_NODE_CHECK(n, a->cap >= 0 && a->cap < INFINITY, "cap is %g, expected at least 0", (double)a->cap);
    LS_NODE_CHECK(n, a->cap == 0 || !mask,
                  "a cap and an additive mask exclude each other" LS_HINT "hide keys with key_padding or lengths");
    if (padding)
        LS_NODE_CHECK(n,
                      padding->type == LS_I32 && padding->batched && padding->rank == 1 && padding->dim[0] == shape->s,
                      "the key padding '%s' is %s of %s, expected B x %lld of int32", padding->name, ls__shape(padding),
                      ls__dtype_name(padding->type), (long long)shape->s);
    if (!mask) return LS_OK;
    const int64_t *dim = mask->dim + (mask->rank == 3);
    LS_NODE_CHECK(n,
                  mask->type == LS_F32 && (mask->rank == 2 || (mask->rank == 3 && mask->dim[0] == shape->heads)) &&
                      dim[0] == shape->t && dim[1] == shape->s,
                  "the mask '%s' is %s of %s, expected %lld x %lld, or that for each of %lld heads, of float32",
                  mask->name, ls__shape(mask), ls__dtype_name(mask->type), (long long)shape->t, (long long)shape->s,
                  (long long)shape->heads);
    return LS_OK;
}

static ls_status infer(ls_node *n)
{
    ls_attention_args *a = n->args;
    LS_TRY(infer_heads(n));
    const int64_t width =
        n->in[LS_ATT_Q]->dim[1] / (n->in[LS_ATT_K] ? a->heads : a->heads + 2 * a->kv_heads) * a->kv_heads;
    LS_TRY(infer_keys(n, width));
    LS_TRY(ls__kv_cache_infer(n, width));
    const ls_att_shape shape = ls__att_shape(n);
    LS_TRY(infer_masks(n, &shape));
    LS_NODE_CHECK(n, a->scale > 0 && a->scale < INFINITY, "scale is %g, expected a positive number", (double)a->scale);
    LS_NODE_CHECK(n, a->dropout >= 0 && a->dropout < 1, "dropout is %g, expected 0 <= dropout < 1", (double)a->dropout);
    LS_NODE_CHECK(n, shape.heads * ((shape.s + 3) / 4) <= UINT32_MAX && shape.t <= INT32_MAX && shape.s <= INT32_MAX,
                  "%lld heads of %lld x %lld weights are too many", (long long)shape.heads, (long long)shape.t,
                  (long long)shape.s);
    ls__out(n, LS_ATT_OUT, n->graph->precision, true, 2, (const int64_t[]){shape.t, shape.o_row});
    ls__out(n, LS_ATT_LOG_SUM, LS_F32, true, 2, (const int64_t[]){shape.heads, shape.t});
    return LS_OK;
}

static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    const ls_att_shape shape = ls__att_shape(n);
    (void)rows;
    (void)shards;
    const size_t wide = n->in[LS_ATT_Q]->type == LS_BF16 ? ls__att_wide_scratch(&shape, backward) : 0;
    return (size_t)threads * (wide + (backward ? ls__att_backward_scratch(&shape) : ls__att_forward_scratch(&shape)));
}

/* Counts two products, and the visible keys of causal attention alone: the mean over the queries.  Without a cache the
 * first queries see less than the window. */
static double flops(const ls_node *n)
{
    const ls_attention_args *a      = n->args;
    const ls_att_shape       s      = ls__att_shape(n);
    const double             window = (double)(a->window && a->window < s.s ? a->window : s.s);
    const double             hidden = a->causal && s.t == s.s ? 0.5 * window * (window - 1) / (double)s.t : 0;
    return 4.0 * (double)s.o_row * (double)s.t * (window - hidden);
}

LS_OP(attention) = {
    .name       = "attention",
    .args_bytes = sizeof(ls_attention_args),
    .ins        = LS_ATT_INS,
    .outs       = 2,
    .optional   = 1u << LS_ATT_K | 1u << LS_ATT_V | 1u << LS_ATT_PADDING | 1u << LS_ATT_MASK | 1u << LS_ATT_START |
                1u << LS_ATT_CACHE | 1u << LS_ATT_LENGTHS | 1u << LS_ATT_FIRST,
    .saves = LS_SAVES_IN(LS_ATT_Q) | LS_SAVES_IN(LS_ATT_K) | LS_SAVES_IN(LS_ATT_V) | LS_SAVES_IN(LS_ATT_PADDING) |
             LS_SAVES_IN(LS_ATT_MASK) | LS_SAVES_IN(LS_ATT_LENGTHS) | LS_SAVES_IN(LS_ATT_FIRST) |
             LS_SAVES_OUT(LS_ATT_OUT) | LS_SAVES_OUT(LS_ATT_LOG_SUM),
    .random  = true,
    .narrow  = 1u << LS_ATT_Q | 1u << LS_ATT_K | 1u << LS_ATT_V,
    .no_grad = 1u << LS_ATT_PADDING | 1u << LS_ATT_MASK | 1u << LS_ATT_START | 1u << LS_ATT_CACHE |
               1u << LS_ATT_LENGTHS | 1u << LS_ATT_FIRST,
    .updates  = 1u << LS_ATT_CACHE,
    .fields   = LS_FIELDS(LS_FIELD(INT, ls_attention_args, heads), LS_FIELD(INT, ls_attention_args, kv_heads),
                          LS_FIELD(BOOL, ls_attention_args, causal), LS_FIELD(FLOAT, ls_attention_args, scale),
                          LS_FIELD(FLOAT, ls_attention_args, dropout), LS_FIELD(INT64, ls_attention_args, window),
                          LS_FIELD(FLOAT, ls_attention_args, cap)),
    .infer    = infer,
    .forward  = {[LS_CPU] = ls__att_forward},
    .backward = {[LS_CPU] = ls__att_backward},
    .scratch  = scratch,
    .flops    = flops,
};
