/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention backward: recomputes the weights, tile by tile, from the scores and their saved log-sum-exp (Dao et al.
 * 2022).
 *
 *     p = exp(scale q k^T + mask - log_sum)      w = p m, with m the dropout mask
 *     dv = w^T dy      dp = (dy v^T) m           ds = p (dp - delta), delta_t = dy_t . y_t
 *                                                with a cap: times 1 - (score / cap)^2, of the score after the cap
 *     dq = scale ds k  dk = scale ds^T q
 *
 * One thread processes all heads of a sample that share keys and values, one tile of queries after another.  dq of a
 * tile is summed in workspace, dk and dv in place, in a fixed order.
 */
#include <omp.h>

#include "core/cpu/vector/softmax_rows.h"
#include "core/ops/attention_backward.h"

enum { PARALLEL = 1 << 16 }; /* multiply-adds from which starting threads pays off */

/* Workspace of one thread.  q_columns and q_rows hold q times scale. */
typedef struct workspace {
    float *q_columns, *dy_columns; /* panels of D x LS_NR */
    float *q_rows, *dy_rows;       /* panels of queries x LS_NR  */
    float *k_rows;                 /* panels of keys x LS_NR     */
    float *weights, *ds;           /* keys x queries             */
    float *dq;                     /* queries x D, rows of whole panels */
    float *mask;                   /* keys x LS_NR               */
    float *log_sum, *delta;
} workspace;

/* Operands and gradients of one head.  Rows of a gradient lie like those of its operand; NULL: not needed. */
typedef struct head_backward {
    ls_att_head  h;
    const float *y, *dy, *log_sum;
    int64_t      y_row;
    float       *dq, *dk, *dv;
    bool         add_q; /* add to dq; dk and dv are always added to */
} head_backward;

/* Returns the floats of a workspace; sets its pointers unless `at` is NULL. */
static size_t divide(const ls_att_shape *shape, float *at, workspace *s)
{
    const size_t d = (size_t)shape->d, wide = (size_t)ls__att_padded(shape->d), q = LS_ATT_QUERIES, k = LS_ATT_KEYS;
    const size_t count[] = {q * d, q * d, q * wide, q * wide, k * wide, k * q, k * q, q * wide, k * LS_NR, q, q};
    float      **part[]  = {&s->q_columns, &s->dy_columns, &s->q_rows, &s->dy_rows, &s->k_rows, &s->weights,
                            &s->ds,        &s->dq,         &s->mask,   &s->log_sum, &s->delta};
    size_t       total   = 0;
    for (size_t i = 0; i < sizeof count / sizeof *count; total += count[i], i++) *part[i] = at ? at + total : NULL;
    return total;
}

size_t ls__att_backward_scratch(const ls_att_shape *shape)
{
    workspace s;
    return divide(shape, NULL, &s) * sizeof(float);
}

/* Returns ds through the cap; `score` is the score after it, -inf for a hidden key.  inverse_cap 0: no cap. */
V_INLINE vf through_cap(vf ds, vf score, float inverse_cap)
{
    const vf t = score * inverse_cap;
    return inverse_cap == 0 ? ds : ds * v_max(v_set(0), 1.0f - t * t);
}

/* Replaces scores by w in `weights`, and dy v^T by ds in `ds`, for LS_V queries. */
V_INLINE void softmax_gradient(int64_t keys, float *weights, float *ds, vf log_sum, vf delta, float inverse_cap)
{
    for (int64_t r = 0; r < keys; r++, weights += LS_ATT_QUERIES, ds += LS_ATT_QUERIES) {
        const vf score = v_load(weights), p = v_exp_flush(score - log_sum);
        v_store(weights, p);
        v_store(ds, through_cap(p * (v_load(ds) - delta), score, inverse_cap));
    }
}

/* softmax_gradient with dropout, for keys from `first` on and queries from t on. */
V_INLINE void softmax_gradient_dropout(const ls_att_head *h, int64_t t, int64_t first, int64_t keys, float *weights,
                                       float *ds, vf log_sum, vf delta, float inverse_cap)
{
    for (int64_t r = 0; r < keys; r += 4) {
        vu bits[4];
        v_philox(h->key, h->sample, h->quad + (uint32_t)((first + r) / 4), (uint32_t)t, bits);
        for (int64_t i = 0; i < 4 && r + i < keys; i++, weights += LS_ATT_QUERIES, ds += LS_ATT_QUERIES) {
            const vf score = v_load(weights), p = v_exp_flush(score - log_sum), m = v_keep(bits[i], h->dropout);
            v_store(weights, p * m);
            v_store(ds, through_cap(p * (v_load(ds) * m - delta), score, inverse_cap));
        }
    }
}

/* Computes w and ds of a tile of k keys from `first` on. */
static void compute_weights(const head_backward *j, int64_t t, int64_t n, int64_t first, int64_t k, workspace *s)
{
    const ls_att_head *h           = &j->h;
    const float        inverse_cap = h->cap > 0 ? 1 / h->cap : 0;
    int64_t            visible[LS_ATT_PANELS];
    for (int p = 0; p < LS_ATT_PANELS; p++) visible[p] = ls__att_visible(h, t, p, first, k);
    ls__att_scores(h->k + first * h->kv_row, h->kv_row, h->d, s->q_columns, n, visible, s->weights);
    if (h->cap > 0) ls__att_cap(h, n, visible, s->weights);
    ls__att_scores(h->v + first * h->kv_row, h->kv_row, h->d, s->dy_columns, n, visible, s->ds);
    for (int64_t q = 0, p = 0; q < n; q += LS_NR, p++) {
        const int64_t lanes = n - q < LS_NR ? n - q : LS_NR;
        ls__att_mask(h, t + q, lanes, first, visible[p], s->weights + q, s->mask);
        for (int64_t v = q; v < q + lanes; v += LS_V) {
            vf log_sum = v_load(s->log_sum + v), delta = v_load(s->delta + v);
            if (h->dropout > 0)
                softmax_gradient_dropout(h, t + v, first, visible[p], s->weights + v, s->ds + v, log_sum, delta,
                                         inverse_cap);
            else if (inverse_cap > 0)
                softmax_gradient(visible[p], s->weights + v, s->ds + v, log_sum, delta, inverse_cap);
            else
                softmax_gradient(visible[p], s->weights + v, s->ds + v, log_sum, delta, 0);
        }
        /* zero the weights after the visible keys: a product reads LS_MR queries or keys of several panels together */
        for (int64_t r = visible[p]; r < k && r < visible[p] + LS_MR; r++)
            for (int64_t v = q; v < q + LS_NR; v += LS_V) {
                v_store(s->weights + r * LS_ATT_QUERIES + v, v_set(0));
                v_store(s->ds + r * LS_ATT_QUERIES + v, v_set(0));
            }
    }
}

/* Adds the contribution of a tile of keys to dq, dk and dv; add_q false: writes dq. */
static void add_products(const head_backward *j, int64_t t, int64_t n, int64_t first, int64_t k, bool add_q,
                         workspace *s)
{
    const ls_att_head *h        = &j->h;
    const int64_t      diagonal = h->causal ? h->from + t - first : LS_ATT_ALL;
    ls_att_product     keys     = {.m            = k,
                                   .n            = h->d,
                                   .k            = n,
                                   .x_row        = LS_ATT_QUERIES,
                                   .x_col        = 1,
                                   .w_panel_rows = LS_ATT_QUERIES,
                                   .y_row        = h->kv_row,
                                   .add          = true,
                                   .lower        = diagonal,
                                   .upper        = LS_ATT_ALL};
    if (j->dv) {
        keys.x = s->weights;
        keys.w = s->dy_rows;
        keys.y = j->dv + first * h->kv_row;
        ls__att_product(&keys);
    }
    if (j->dk) {
        keys.x = s->ds;
        keys.w = s->q_rows;
        keys.y = j->dk + first * h->kv_row;
        ls__att_product(&keys);
    }
    if (!j->dq) return;
    ls__att_pack_rows(h->k + first * h->kv_row, h->kv_row, k, h->d, 1, LS_ATT_KEYS, s->k_rows);
    ls__att_product(&(ls_att_product){.m            = n,
                                      .n            = h->d,
                                      .k            = k,
                                      .x            = s->ds,
                                      .x_row        = 1,
                                      .x_col        = LS_ATT_QUERIES,
                                      .w            = s->k_rows,
                                      .w_panel_rows = LS_ATT_KEYS,
                                      .y            = s->dq,
                                      .y_row        = ls__att_padded(h->d),
                                      .add          = add_q,
                                      .lower        = LS_ATT_ALL,
                                      .upper        = diagonal});
}

static void backward_tile(const head_backward *j, int64_t t, int64_t n, workspace *s)
{
    const ls_att_head *h    = &j->h;
    const int64_t      wide = ls__att_padded(h->d), begin = ls__att_first_tile(h, t, n);
    const float       *q = h->q + t * h->q_row, *dy = j->dy + t * j->y_row, *y = j->y + t * j->y_row;
    int64_t            keys = h->s;
    if (h->causal && h->from + t + n < keys) keys = h->from + t + n;
    ls__att_pack_queries(q, h->q_row, n, h->d, h->scale, s->q_columns);
    ls__att_pack_queries(dy, j->y_row, n, h->d, 1, s->dy_columns);
    if (j->dk) ls__att_pack_rows(q, h->q_row, n, h->d, h->scale, LS_ATT_QUERIES, s->q_rows);
    if (j->dv) ls__att_pack_rows(dy, j->y_row, n, h->d, 1, LS_ATT_QUERIES, s->dy_rows);
    for (int64_t i = 0; i < LS_ATT_QUERIES; i++) {
        s->log_sum[i] = i < n ? j->log_sum[t + i] : 0;
        s->delta[i]   = i < n ? ls__row_dot(h->d, dy + i * j->y_row, y + i * j->y_row) : 0;
    }
    for (int64_t first = begin; first < keys; first += LS_ATT_KEYS) {
        const int64_t k = keys - first < LS_ATT_KEYS ? keys - first : LS_ATT_KEYS;
        compute_weights(j, t, n, first, k, s);
        add_products(j, t, n, first, k, first > begin, s);
    }
    for (int64_t i = 0; j->dq && i < n; i++) {
        float *from = s->dq + i * wide, *to = j->dq + (t + i) * h->q_row;
        if (begin >= keys) V_MAP(h->d, V_PUT(from, v_set(0)));
        if (j->add_q)
            V_MAP(h->d, V_PUT(to, v_fma(V_GET(from), v_set(h->scale), V_GET(to))));
        else
            V_MAP(h->d, V_PUT(to, V_GET(from) * h->scale));
    }
}

static void clear(float *x, int64_t rows, int64_t row, int64_t d)
{
    for (int64_t i = 0; i < rows; i++, x += row) V_MAP(d, V_PUT(x, v_set(0)));
}

/* Processes all heads of a sample that share the key and value head `shared`. */
static void backward_group(const ls_call *c, const ls_att_shape *shape, int64_t sample, int64_t shared, workspace *s)
{
    const bool    packed = shape->k_in == LS_ATT_Q;
    float *const *dx     = c->dx;
    const bool    same =
        dx[LS_ATT_Q] && (dx[LS_ATT_Q] == dx[LS_ATT_K] || dx[LS_ATT_Q] == dx[LS_ATT_V]); /* q is also k or v */
    const int64_t rows = sample * shape->s, kv_row = shape->kv_row;
    float        *dk = NULL, *dv = NULL;
    if (packed || dx[LS_ATT_K]) dk = dx[shape->k_in] + rows * kv_row + shape->k_first + shared * shape->d;
    if (packed || dx[LS_ATT_V]) dv = dx[shape->v_in] + rows * kv_row + shape->v_first + shared * shape->d;
    for (int64_t head = shared * shape->group; same && !c->add[LS_ATT_Q] && head < (shared + 1) * shape->group; head++)
        clear(dx[LS_ATT_Q] + sample * shape->t * shape->q_row + head * shape->d, shape->t, shape->q_row, shape->d);
    if (dk && !c->add[shape->k_in]) clear(dk, shape->s, kv_row, shape->d);
    if (dv && !c->add[shape->v_in]) clear(dv, shape->s, kv_row, shape->d);
    for (int64_t head = shared * shape->group; head < (shared + 1) * shape->group; head++) {
        const int64_t first = sample * shape->t * shape->o_row + head * shape->d;
        head_backward j     = {.h     = ls__att_head(c, shape, sample, head),
                               .y     = (const float *)c->y[LS_ATT_OUT] + first,
                               .dy    = c->dy[LS_ATT_OUT] + first,
                               .y_row = shape->o_row,
                               .dk    = dk,
                               .dv    = dv,
                               .add_q = c->add[LS_ATT_Q] || same};
        j.log_sum           = (const float *)c->y[LS_ATT_LOG_SUM] + (sample * shape->heads + head) * shape->t;
        if (dx[LS_ATT_Q]) j.dq = dx[LS_ATT_Q] + sample * shape->t * shape->q_row + head * shape->d;
        for (int64_t t = 0; t < shape->t; t += LS_ATT_QUERIES)
            backward_tile(&j, t, shape->t - t < LS_ATT_QUERIES ? shape->t - t : LS_ATT_QUERIES, s);
    }
}

/* The same with bfloat16 operands: widens them, computes the gradients in float32 and narrows these. */
static void backward_group_wide(const ls_call *c, const ls_att_shape *shape, int64_t sample, int64_t shared,
                                const ls_att_wide *w, workspace *s)
{
    const bool     packed = shape->k_in == LS_ATT_Q;
    const int64_t  d = shape->d, keys = sample * shape->s * shape->kv_row;
    const ls_array dk = packed || c->dx[LS_ATT_K] ? ls__dx(c, shape->k_in) : (ls_array){0},
                   dv = packed || c->dx[LS_ATT_V] ? ls__dx(c, shape->v_in) : (ls_array){0};
    clear(w->dk, shape->s, d, d);
    clear(w->dv, shape->s, d, d);
    for (int64_t head = shared * shape->group; head < (shared + 1) * shape->group; head++) {
        const int64_t queries = sample * shape->t * shape->q_row + head * d,
                      first   = sample * shape->t * shape->o_row + head * d;
        const ls_array dq     = ls__dx(c, LS_ATT_Q);
        head_backward  j      = {.h     = ls__att_head(c, shape, sample, head),
                                 .y     = w->y,
                                 .dy    = w->dy,
                                 .y_row = d,
                                 .dq    = dq.data ? w->dq : NULL,
                                 .dk    = dk.data ? w->dk : NULL,
                                 .dv    = dv.data ? w->dv : NULL};
        j.log_sum             = (const float *)c->y[LS_ATT_LOG_SUM] + (sample * shape->heads + head) * shape->t;
        ls__att_widen(c, shape, sample, head, w, &j.h);
        ls__att_widen_rows(ls__from(ls__y(c, LS_ATT_OUT), first), shape->o_row, shape->t, d, w->y);
        ls__att_widen_rows(ls__from(ls__dy(c, LS_ATT_OUT), first), shape->o_row, shape->t, d, w->dy);
        for (int64_t t = 0; t < shape->t; t += LS_ATT_QUERIES)
            backward_tile(&j, t, shape->t - t < LS_ATT_QUERIES ? shape->t - t : LS_ATT_QUERIES, s);
        if (dq.data) ls__att_narrow_rows(w->dq, shape->t, d, ls__from(dq, queries), shape->q_row, c->add[LS_ATT_Q]);
    }
    if (dk.data)
        ls__att_narrow_rows(w->dk, shape->s, d, ls__from(dk, keys + shape->k_first + shared * d), shape->kv_row,
                            c->add[shape->k_in]);
    if (dv.data)
        ls__att_narrow_rows(w->dv, shape->s, d, ls__from(dv, keys + shape->v_first + shared * d), shape->kv_row,
                            c->add[shape->v_in]);
}

void ls__att_backward(const ls_call *c)
{
    const ls_att_shape shape = ls__att_shape(c->node);
    const bool         wide  = ls__x(c, LS_ATT_Q).type == LS_BF16;
    const size_t       bytes = ls__att_backward_scratch(&shape) + (wide ? ls__att_wide_scratch(&shape, true) : 0);
#pragma omp parallel if (c->rows * shape.heads * shape.t * shape.s * shape.d >= PARALLEL)
    {
        workspace s;
        float    *own = (float *)((char *)c->scratch + (size_t)omp_get_thread_num() * bytes);
        divide(&shape, own, &s);
        const ls_att_wide w = ls__att_wide(&shape, own + ls__att_backward_scratch(&shape) / sizeof(float));
#pragma omp for schedule(dynamic, 1)
        for (int64_t task = 0; task < c->rows * shape.kv_heads; task++)
            if (wide)
                backward_group_wide(c, &shape, task / shape.kv_heads, task % shape.kv_heads, &w, &s);
            else
                backward_group(c, &shape, task / shape.kv_heads, task % shape.kv_heads, &s);
    }
}
