/* SPDX-License-Identifier: Apache-2.0
 *
 * Tiles of attention: shapes, packing, scores, masks and products.
 */
#include "core/ops/attention_tile.h"

#include "core/base/integer.h"

ls_att_shape ls__att_shape(const ls_node *n)
{
    const ls_attention_args *a = n->args;
    const ls_tensor         *q = n->in[LS_ATT_Q], *k = n->in[LS_ATT_K], *cache = n->in[LS_ATT_CACHE];
    ls_att_shape h = {.t = q->dim[0], .heads = a->heads, .kv_heads = a->kv_heads, .group = a->heads / a->kv_heads};
    h.d            = q->dim[1] / (k ? h.heads : h.heads + 2 * h.kv_heads);
    h.q_row        = q->dim[1];
    h.o_row        = h.heads * h.d;
    h.s            = k ? k->dim[0] : h.t;
    h.kv_row       = k ? h.kv_heads * h.d : h.q_row;
    h.k_in         = k ? LS_ATT_K : LS_ATT_Q;
    h.v_in         = k ? LS_ATT_V : LS_ATT_Q;
    h.k_first      = k ? 0 : h.heads * h.d;
    h.v_first      = k ? 0 : (h.heads + h.kv_heads) * h.d;
    if (cache) {
        h.s       = cache->dim[0];
        h.kv_row  = cache->dim[1];
        h.k_in    = LS_ATT_CACHE;
        h.v_in    = LS_ATT_CACHE;
        h.k_first = 0;
        h.v_first = h.kv_heads * h.d;
    }
    return h;
}

ls_att_head ls__att_head(const ls_call *c, const ls_att_shape *shape, int64_t sample, int64_t head)
{
    const ls_attention_args *a    = c->args;
    const ls_tensor         *mask = c->node->in[LS_ATT_MASK];
    const int32_t *padding = c->x[LS_ATT_PADDING], *start = c->x[LS_ATT_START], *length = c->x[LS_ATT_LENGTHS],
                  *first = c->x[LS_ATT_FIRST];
    const int64_t s = shape->s, shared = head / shape->group * shape->d;
    const float  *k = c->x[shape->k_in], *v = c->x[shape->v_in];
    ls_att_head   h = {.q_row = shape->q_row, .kv_row = shape->kv_row, .t = shape->t, .s = s, .d = shape->d};
    h.q             = (const float *)c->x[LS_ATT_Q] + sample * shape->t * shape->q_row + head * shape->d;
    h.k             = k + sample * s * shape->kv_row + shape->k_first + shared;
    h.v             = v + sample * s * shape->kv_row + shape->v_first + shared;
    h.from          = start && c->node->in[LS_ATT_CACHE] ? start[sample] : 0;
    h.causal        = a->causal;
    h.window        = ls__min(a->window, INT32_MAX);
    h.first_key     = first ? first + sample * shape->t : NULL;
    h.scale         = a->scale;
    h.cap           = a->cap;
    if (length) h.s = ls__max(0, ls__min(s, length[sample]));
    if (padding) {
        h.padding = padding + sample * s;
        while (h.s > 0 && h.padding[h.s - 1]) h.s--;
    }
    if (mask) {
        int64_t maps = mask->rank == 3 ? shape->heads : 1;
        h.mask       = (const float *)c->x[LS_ATT_MASK] +
                 ((mask->batched ? sample * maps : 0) + (maps > 1 ? head : 0)) * shape->t * s;
        h.mask_row = s;
    }
    h.dropout = c->training ? a->dropout : 0;
    h.key     = c->key;
    h.sample  = (uint64_t)(c->first_sample + sample);
    h.quad    = (uint32_t)(head * ((s + 3) / 4));
    return h;
}

void ls__att_pack_rows(const float *x, int64_t row, int64_t rows, int64_t d, float scale, int64_t panel_rows,
                       float *panels)
{
    for (int64_t c = 0; c < d; c += LS_NR) {
        float       *to   = panels + c * panel_rows;
        const float *from = x + c;
        if (c + LS_NR <= d) {
            for (int64_t r = 0; r < rows; r++, from += row, to += LS_NR) {
                v_store(to, v_load(from) * scale);
                v_store(to + LS_V, v_load(from + LS_V) * scale);
            }
            continue;
        }
        for (int64_t r = 0; r < rows; r++, from += row, to += LS_NR) V_MAP(d - c, V_PUT(to, V_GET(from) * scale));
    }
}

void ls__att_pack_queries(const float *x, int64_t row, int64_t n, int64_t d, float scale, float *panels)
{
    for (int64_t c = 0; c < n; c += LS_NR) {
        float *panel = panels + c * d;
        ls__gemm_pack_w(x + c * row, 1, row, d, ls__min(LS_NR, n - c), panel);
        if (scale != 1) V_MAP(d * LS_NR, V_PUT(panel, V_GET(panel) * scale));
    }
}

void ls__att_scores(const float *x, int64_t x_row, int64_t d, const float *panels, int64_t n,
                    const int64_t visible[LS_ATT_PANELS], float *y)
{
    const int     count = (int)((n + LS_NR - 1) / LS_NR);
    const int64_t keys  = visible[count - 1]; /* the last panel sees the most keys */
    ls_tile       t     = {.x_row = x_row, .x_col = 1, .w_row = LS_NR, .pieces = 1, .len = &d, .y_row = LS_ATT_QUERIES};
    for (int64_t r = 0; r < keys; r += LS_MR) {
        const int64_t rows = ls__min(LS_MR, keys - r);
        int           p    = 0;
        t.x                = x + r * x_row;
        while (visible[p] <= r) p++;
        for (; p < count; p++) {
            t.w = panels + p * d * LS_NR;
            t.y = y + r * LS_ATT_QUERIES + p * LS_NR;
            ls__gemm_fma.tile[rows - 1][n - p * LS_NR > LS_V][0](&t);
        }
    }
}

/* Masks later keys.  Lane i of a vector of queries sees keys 0 ... last + i, so only rows from last + 1 on change. */
static void mask_later_keys(int64_t last, int64_t keys, float *scores)
{
    const vf masked = v_set(-__builtin_inff());
    for (int64_t r = ls__max(0, last + 1); r < keys; r++) {
        float *row = scores + r * LS_ATT_QUERIES;
        v_store(row, v_select(v_iota() < v_set_int((int32_t)ls__min(r - last, LS_V)), masked, v_load(row)));
    }
}

/* Masks earlier keys of LS_V queries from t on, which see keys from ls__att_first_key on. */
static void mask_earlier_keys(const ls_att_head *h, int64_t t, int64_t first, int64_t keys, float *scores)
{
    const vf masked      = v_set(-__builtin_inff());
    int32_t  begin[LS_V] = {0};
    int64_t  last        = 0;
    vi       begins;
    for (int64_t i = 0; i < LS_V && t + i < h->t; i++) {
        begin[i] = (int32_t)(ls__att_first_key(h, t + i) - first);
        last     = ls__max(last, begin[i]);
    }
    memcpy(&begins, begin, sizeof begins);
    for (int64_t r = 0; r < keys && r < last; r++) {
        float *row = scores + r * LS_ATT_QUERIES;
        v_store(row, v_select(v_set_int((int32_t)r) < begins, masked, v_load(row)));
    }
}

void ls__att_cap(const ls_att_head *h, int64_t n, const int64_t visible[LS_ATT_PANELS], float *scores)
{
    const float inverse = 1 / h->cap;
    for (int64_t q = 0; q < n; q += LS_V)
        for (int64_t r = 0; r < visible[q / LS_NR]; r++) {
            float *row = scores + r * LS_ATT_QUERIES + q;
            v_store(row, h->cap * v_tanh(v_load(row) * inverse));
        }
}

void ls__att_mask(const ls_att_head *h, int64_t t, int64_t n, int64_t first, int64_t keys, float *scores, float *packed)
{
    const vf masked = v_set(-__builtin_inff());
    if (h->mask) {
        ls__gemm_pack_w(h->mask + t * h->mask_row + first, 1, h->mask_row, keys, n, packed);
        for (int64_t r = 0; r < keys; r++)
            for (int v = 0; v < LS_NR; v += LS_V) {
                float *row = scores + r * LS_ATT_QUERIES + v;
                v_store(row, v_load(row) + v_load(packed + r * LS_NR + v));
            }
    }
    for (int64_t r = 0; h->padding && r < keys; r++)
        for (int v = 0; h->padding[first + r] && v < LS_NR; v += LS_V) v_store(scores + r * LS_ATT_QUERIES + v, masked);
    for (int v = 0; h->causal && v < LS_NR; v += LS_V) mask_later_keys(h->from + t + v - first, keys, scores + v);
    for (int v = 0; (h->window || h->first_key) && v < LS_NR; v += LS_V)
        mask_earlier_keys(h, t + v, first, keys, scores + v);
}

void ls__att_product(const ls_att_product *p)
{
    int64_t len;
    ls_tile t = {.x_row  = p->x_row,
                 .x_col  = p->x_col,
                 .w_row  = LS_NR,
                 .pieces = 1,
                 .len    = &len,
                 .y_row  = p->y_row,
                 .adds   = p->add};
    for (int64_t i = 0; i < p->m; i += LS_MR) {
        const int64_t rows = ls__min(LS_MR, p->m - i), from = ls__max(0, i - p->lower),
                      to = ls__min(p->k, i + rows + p->upper);
        t.x              = p->x + i * p->x_row + from * p->x_col;
        len              = ls__max(0, to - from);
        if (len == 0 && p->add) continue;
        for (int64_t j = 0; j < p->n; j += LS_NR) {
            t.w      = p->w + j * p->w_panel_rows + from * LS_NR;
            t.y      = p->y + i * p->y_row + j;
            t.n      = ls__min(LS_NR, p->n - j);
            t.add[0] = (ls_tile_add){t.y, p->y_row};
            ls__gemm_fma.tile[rows - 1][t.n > LS_V][t.n % LS_V != 0](&t);
        }
    }
}
