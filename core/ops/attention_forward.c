/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention forward, by online softmax (Milakov and Gimelshein 2018): a tile of queries visits the tiles of keys in
 * order and keeps for each query
 *
 *     m = max score so far      l = sum of exp(score - m)      o = sum of exp(score - m) v
 *
 * A score above m rescales l and o.  In the end y = o / l and log_sum = m + log l.  Keys hidden from a query add exact
 * zeros to l and o and leave m alone, so the bits of a query do not depend on the other queries of its tile.
 */
#include <omp.h>

#include "core/ops/attention_forward.h"
#include "core/ops/kv_cache.h"

enum { PARALLEL = 1 << 16 }; /* multiply-adds from which starting threads pays off */

/* Workspace of one thread. */
typedef struct workspace {
    float *queries; /* panels of D x LS_NR               */
    float *scores;  /* keys x queries                    */
    float *values;  /* panels of keys x LS_NR            */
    float *out;     /* queries x D, rows of whole panels */
    float *mask;    /* keys x LS_NR                      */
    float *m, *l, *rescale;
} workspace;

/* Returns the floats of a workspace; sets its pointers unless `at` is NULL. */
static size_t divide(const ls_att_shape *shape, float *at, workspace *s)
{
    const int64_t d = shape->d, wide = ls__att_padded(d);
    const size_t  count[] = {(size_t)(LS_ATT_QUERIES * d),
                             LS_ATT_KEYS * LS_ATT_QUERIES,
                             (size_t)(LS_ATT_KEYS * wide),
                             (size_t)(LS_ATT_QUERIES * wide),
                             LS_ATT_KEYS * LS_NR,
                             LS_ATT_QUERIES,
                             LS_ATT_QUERIES,
                             LS_ATT_QUERIES};
    float       **part[]  = {&s->queries, &s->scores, &s->values, &s->out, &s->mask, &s->m, &s->l, &s->rescale};
    size_t        total   = 0;
    for (size_t i = 0; i < sizeof count / sizeof *count; total += count[i], i++) *part[i] = at ? at + total : NULL;
    return total;
}

size_t ls__att_forward_scratch(const ls_att_shape *shape)
{
    workspace s;
    return divide(shape, NULL, &s) * sizeof(float);
}

/* Replaces scores by exp(score - m) and updates m, l and rescale, for LS_V queries. */
V_INLINE void update_softmax(int64_t keys, float *scores, float *m, float *l, float *rescale)
{
    const vf lowest = v_set(-__builtin_inff()), before = v_load(m);
    vf       most[2] = {before, before}, sum[2] = {{0}};
    int64_t  r = 0;
    for (; r + 2 <= keys; r += 2)
        for (int i = 0; i < 2; i++) most[i] = v_max(v_load(scores + (r + i) * LS_ATT_QUERIES), most[i]);
    if (r < keys) most[0] = v_max(v_load(scores + r * LS_ATT_QUERIES), most[0]);
    most[0]   = v_max(most[1], most[0]);
    vf origin = v_select(most[0] == lowest, v_set(0),
                         most[0]); /* no visible key yet: exp(-inf - 0) is 0, exp(-inf + inf) is NaN */
    for (r = 0; r + 2 <= keys; r += 2)
        for (int i = 0; i < 2; i++) {
            float *score = scores + (r + i) * LS_ATT_QUERIES;
            vf     e     = v_exp_flush(v_load(score) - origin);
            v_store(score, e);
            sum[i] += e;
        }
    if (r < keys) {
        vf e = v_exp_flush(v_load(scores + r * LS_ATT_QUERIES) - origin);
        v_store(scores + r * LS_ATT_QUERIES, e);
        sum[0] += e;
    }
    vf factor = v_exp_flush(before - origin);
    v_store(l, v_fma(v_load(l), factor, sum[0] + sum[1]));
    v_store(m, most[0]);
    v_store(rescale, factor);
}

/* Applies dropout to the weights of LS_V queries from t on and of `keys` keys from `first` on. */
static void apply_dropout(const ls_att_head *h, int64_t t, int64_t first, int64_t keys, float *weights)
{
    for (int64_t r = 0; r < keys; r += 4) {
        vu bits[4];
        v_philox(h->key, h->sample, h->quad + (uint32_t)((first + r) / 4), (uint32_t)t, bits);
        for (int64_t i = 0; i < 4 && r + i < keys; i++) {
            float *weight = weights + (r + i) * LS_ATT_QUERIES;
            v_store(weight, v_load(weight) * v_keep(bits[i], h->dropout));
        }
    }
}

static void rescale_rows(int64_t n, int64_t wide, const float *rescale, float *out)
{
    for (int64_t i = 0; i < n; i++, out += wide)
        if (rescale[i] != 1) V_MAP(wide, V_PUT(out, V_GET(out) * rescale[i]));
}

/* Computes the weights of a tile of k keys from `first` on, before the division by their sum. */
static void compute_weights(const ls_att_head *h, int64_t t, int64_t n, int64_t first, int64_t k, workspace *s)
{
    int64_t visible[LS_ATT_PANELS];
    for (int p = 0; p < LS_ATT_PANELS; p++) visible[p] = ls__att_visible(h, t, p, first, k);
    ls__att_scores(h->k + first * h->kv_row, h->kv_row, h->d, s->queries, n, visible, s->scores);
    if (h->cap > 0) ls__att_cap(h, n, visible, s->scores);
    for (int64_t q = 0, p = 0; q < n; q += LS_NR, p++) {
        const int64_t lanes = n - q < LS_NR ? n - q : LS_NR;
        float        *panel = s->scores + q;
        ls__att_mask(h, t + q, lanes, first, visible[p], panel, s->mask);
        for (int64_t v = 0; v < lanes; v += LS_V) {
            update_softmax(visible[p], panel + v, s->m + q + v, s->l + q + v, s->rescale + q + v);
            if (h->dropout > 0) apply_dropout(h, t + q + v, first, visible[p], panel + v);
        }
        /* zero the scores after the visible keys, because a product reads LS_MR queries of several panels together */
        for (int64_t r = visible[p]; r < k && r < visible[p] + LS_MR; r++)
            for (int v = 0; v < LS_NR; v += LS_V) v_store(panel + r * LS_ATT_QUERIES + v, v_set(0));
    }
}

/* Writes out = o / l and log_sum = m + log l.  A query without visible keys gets zeros, and log_sum = inf, which makes
 * its weights zero in backward. */
static void finish(const ls_att_head *h, int64_t t, int64_t n, const workspace *s, float *out, int64_t out_row,
                   float *log_sum)
{
    const int64_t wide = ls__att_padded(h->d);
    for (int64_t i = 0; i < n; i++) {
        const float *o = s->out + i * wide;
        float       *y = out + (t + i) * out_row, factor = 1 / s->l[i];
        if (s->l[i] == 0)
            V_MAP(h->d, V_PUT(y, v_set(0)));
        else
            V_MAP(h->d, V_PUT(y, V_GET(o) * factor));
    }
    V_MAP(n,
          V_PUT(log_sum + t, v_select(V_GET(s->l) == 0.0f, v_set(__builtin_inff()), V_GET(s->m) + v_log(V_GET(s->l)))));
}

static void forward_tile(const ls_att_head *h, int64_t t, int64_t n, workspace *s, float *out, int64_t out_row,
                         float *log_sum)
{
    const int64_t wide = ls__att_padded(h->d), begin = ls__att_first_tile(h, t, n);
    int64_t       keys = h->s;
    if (h->causal && h->from + t + n < keys) keys = h->from + t + n;
    for (int v = 0; v < LS_ATT_QUERIES; v += LS_V) {
        v_store(s->m + v, v_set(-__builtin_inff()));
        v_store(s->l + v, v_set(0));
    }
    ls__att_pack_queries(h->q + t * h->q_row, h->q_row, n, h->d, h->scale, s->queries);
    for (int64_t first = begin; first < keys; first += LS_ATT_KEYS) {
        const int64_t k = keys - first < LS_ATT_KEYS ? keys - first : LS_ATT_KEYS;
        compute_weights(h, t, n, first, k, s);
        ls__att_pack_rows(h->v + first * h->kv_row, h->kv_row, k, h->d, 1, LS_ATT_KEYS, s->values);
        if (first > begin) rescale_rows(n, wide, s->rescale, s->out);
        ls__att_product(&(ls_att_product){.m            = n,
                                          .n            = h->d,
                                          .k            = k,
                                          .x            = s->scores,
                                          .x_row        = 1,
                                          .x_col        = LS_ATT_QUERIES,
                                          .w            = s->values,
                                          .w_panel_rows = LS_ATT_KEYS,
                                          .y            = s->out,
                                          .y_row        = wide,
                                          .add          = first > begin,
                                          .lower        = LS_ATT_ALL,
                                          .upper        = h->causal ? h->from + t - first : LS_ATT_ALL});
    }
    finish(h, t, n, s, out, out_row, log_sum);
}

static void fill_nan(ls_array y, int64_t first, int64_t n)
{
    if (y.type == LS_F32)
        V_MAP(n, V_PUT((float *)y.data + first, v_set(__builtin_nanf(""))));
    else
        V_MAP(n, v_store_part_bf16((uint16_t *)y.data + first + v_at, v_set(__builtin_nanf("")), v_left));
}

/* Computes all queries of a head with bfloat16 operands. */
static void forward_wide(const ls_call *c, const ls_att_shape *shape, int64_t b, int64_t head, const ls_att_wide *w,
                         ls_att_head *h, workspace *s, float *log_sum)
{
    ls__att_widen(c, shape, b, head, w, h);
    for (int64_t t = 0; t < shape->t; t += LS_ATT_QUERIES)
        forward_tile(h, t, shape->t - t < LS_ATT_QUERIES ? shape->t - t : LS_ATT_QUERIES, s, w->y, shape->d, log_sum);
    ls__att_narrow_rows(w->y, shape->t, shape->d,
                        ls__from(ls__y(c, LS_ATT_OUT), b * shape->t * shape->o_row + head * shape->d), shape->o_row,
                        false);
}

void ls__att_forward(const ls_call *c)
{
    const ls_att_shape shape = ls__att_shape(c->node);
    const bool         wide  = ls__x(c, LS_ATT_Q).type == LS_BF16;
    const int64_t      tiles = wide ? 1 : (shape.t + LS_ATT_QUERIES - 1) / LS_ATT_QUERIES,
                  tasks      = c->rows * shape.heads * tiles;
    const size_t   bytes     = ls__att_forward_scratch(&shape) + (wide ? ls__att_wide_scratch(&shape, false) : 0);
    const ls_array out       = ls__y(c, LS_ATT_OUT);
    float         *log_sum   = c->y[LS_ATT_LOG_SUM];
    const bool     cached    = c->node->in[LS_ATT_CACHE] != NULL;
#pragma omp parallel if (c->rows * shape.heads * shape.t * shape.s * shape.d >= PARALLEL)
    {
        workspace s;
        float    *own = (float *)((char *)c->scratch + (size_t)omp_get_thread_num() * bytes);
        divide(&shape, own, &s);
        const ls_att_wide w = ls__att_wide(&shape, own + ls__att_forward_scratch(&shape) / sizeof(float));
        if (cached) {
#pragma omp for schedule(static)
            for (int64_t b = 0; b < c->rows; b++)
                if (!ls__kv_cache_write(c, &shape, b)) {
                    fill_nan(out, b * shape.t * shape.o_row, shape.t * shape.o_row);
                    fill_nan(ls__f32(log_sum), b * shape.heads * shape.t, shape.heads * shape.t);
                }
        }
#pragma omp for schedule(dynamic, 1)
        for (int64_t task = 0; task < tasks; task++) {
            const int64_t b = task / (shape.heads * tiles), head = task / tiles % shape.heads,
                          t  = task % tiles * LS_ATT_QUERIES;
            ls_att_head h    = ls__att_head(c, &shape, b, head);
            float      *sums = log_sum + (b * shape.heads + head) * shape.t;
            if (h.from < 0 || (cached && h.from > shape.s - shape.t)) continue;
            if (wide) {
                forward_wide(c, &shape, b, head, &w, &h, &s, sums);
                continue;
            }
            forward_tile(&h, t, shape.t - t < LS_ATT_QUERIES ? shape.t - t : LS_ATT_QUERIES, &s,
                         (float *)out.data + b * shape.t * shape.o_row + head * shape.d, shape.o_row, sums);
        }
    }
}
