/* SPDX-License-Identifier: Apache-2.0
 *
 * The cache of keys and values of the op attention: B x N x 2 W, W = kv_heads * D, keys and values side by side.  Not
 * public.
 *
 * A call writes its T keys and values into rows start ... start + T - 1, and its queries then attend to rows 0 ... of
 * the cache.  Generation thus computes each token once.  The model owns the cache as a state (ls_state).
 */
#ifndef LS_CORE_OPS_KV_CACHE_H
#define LS_CORE_OPS_KV_CACHE_H

#include <string.h>

#include "core/ops/attention_tile.h"
#include "core/ops/infer.h"

/* Checks the inputs `start` and `cache` of a node; width: columns of the keys. */
static inline ls_status ls__kv_cache_infer(const ls_node *n, int64_t width)
{
    const ls_attention_args *a = n->args;
    const ls_tensor         *q = n->in[LS_ATT_Q], *k = n->in[LS_ATT_K], *start = n->in[LS_ATT_START],
                    *cache = n->in[LS_ATT_CACHE];
    LS_NODE_CHECK(n, cache || !start,
                  "a start is given without a cache" LS_HINT
                  "give a cache as well: start is the first row of the cache that is written");
    if (!cache) return LS_OK;
    LS_NODE_CHECK(n, cache->type == LS_F32 && cache->batched && cache->rank == 2 && cache->dim[1] == 2 * width,
                  "the cache '%s' is %s of %s, expected B x N x %lld of float32: keys and values side by side",
                  cache->name, ls__shape(cache), ls__dtype_name(cache->type), (long long)(2 * width));
    LS_NODE_CHECK(n, a->causal,
                  "a cache needs causal attention, because it holds no later keys" LS_HINT "set .causal = true");
    LS_NODE_CHECK(n, (k ? k->dim[0] : q->dim[0]) == q->dim[0],
                  "the keys '%s' are %s and the queries '%s' are %s, expected equal lengths with a cache", k->name,
                  ls__shape(k), q->name, ls__shape(q));
    LS_NODE_CHECK(n, q->dim[0] <= cache->dim[0], "%lld positions do not fit into the cache '%s', which is %s",
                  (long long)q->dim[0], cache->name, ls__shape(cache));
    LS_NODE_CHECK(n, !start || (start->type == LS_I32 && start->batched && start->rank == 0),
                  "the start '%s' is %s of %s, expected B of int32", start->name, ls__shape(start),
                  ls__dtype_name(start->type));
    return LS_OK;
}

/* Copies the keys and values of the call into rows start ... of the cache.  Returns false if they do not fit. */
static inline bool ls__kv_cache_write(const ls_call *c, const ls_att_shape *shape, int64_t sample)
{
    const ls_tensor *k     = c->node->in[LS_ATT_K];
    const int32_t   *start = c->x[LS_ATT_START];
    const int64_t    from = start ? start[sample] : 0, width = shape->kv_heads * shape->d;
    const int64_t    row = k ? width : shape->q_row, first = sample * shape->t * row;
    const ls_array   keys = k ? ls__from(ls__x(c, LS_ATT_K), first)
                              : ls__from(ls__x(c, LS_ATT_Q), first + shape->heads * shape->d),
                   values = k ? ls__from(ls__x(c, LS_ATT_V), first) : ls__from(keys, width);
    float *to             = (float *)c->x[LS_ATT_CACHE] + (sample * shape->s + from) * shape->kv_row;
    if (from < 0 || from > shape->s - shape->t) return false;
    for (int64_t t = 0; t < shape->t; t++, to += shape->kv_row) {
        const float *key = ls__read(keys, t * row, width, to), *value = ls__read(values, t * row, width, to + width);
        if (key != to) memcpy(to, key, (size_t)width * sizeof *to);
        if (value != to + width) memcpy(to + width, value, (size_t)width * sizeof *to);
    }
    return true;
}

#endif
