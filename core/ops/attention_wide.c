/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention with bfloat16 operands: one head at a time is widened to float32.
 */
#include "core/ops/attention_tile.h"

static size_t rows_of(const ls_att_shape *s, bool backward)
{
    return (size_t)(backward ? 4 * s->t + 4 * s->s : 2 * s->t + 2 * s->s);
}

size_t ls__att_wide_scratch(const ls_att_shape *s, bool backward)
{
    return rows_of(s, backward) * (size_t)s->d * sizeof(float);
}

ls_att_wide ls__att_wide(const ls_att_shape *s, float *at)
{
    const int64_t queries = s->t * s->d, keys = s->s * s->d;
    ls_att_wide   w = {.q = at, .y = at + queries, .k = at + 2 * queries, .v = at + 2 * queries + keys};
    w.dy            = w.v + keys;
    w.dq            = w.dy + queries;
    w.dk            = w.dq + queries;
    w.dv            = w.dk + keys;
    return w;
}

void ls__att_widen_rows(ls_array x, int64_t row, int64_t rows, int64_t d, float *y)
{
    for (int64_t r = 0; r < rows; r++) ls__widen(d, (const uint16_t *)x.data + r * row, y + r * d);
}

void ls__att_narrow_rows(const float *x, int64_t rows, int64_t d, ls_array y, int64_t row, bool add)
{
    for (int64_t r = 0; r < rows; r++) {
        uint16_t *to = (uint16_t *)y.data + r * row;
        if (add)
            ls__add_narrow(d, x + r * d, to);
        else
            ls__narrow(d, x + r * d, to);
    }
}

void ls__att_widen(const ls_call *c, const ls_att_shape *shape, int64_t sample, int64_t head, const ls_att_wide *w,
                   ls_att_head *h)
{
    const int64_t  d = shape->d, shared = head / shape->group * d, keys = sample * shape->s * shape->kv_row;
    const ls_array q = ls__x(c, LS_ATT_Q), k = ls__x(c, shape->k_in), v = ls__x(c, shape->v_in);
    if (q.type == LS_BF16) {
        ls__att_widen_rows(ls__from(q, sample * shape->t * shape->q_row + head * d), shape->q_row, shape->t, d, w->q);
        h->q     = w->q;
        h->q_row = d;
    }
    if (k.type == LS_BF16) { /* a cache is float32 */
        ls__att_widen_rows(ls__from(k, keys + shape->k_first + shared), shape->kv_row, shape->s, d, w->k);
        ls__att_widen_rows(ls__from(v, keys + shape->v_first + shared), shape->kv_row, shape->s, d, w->v);
        h->k      = w->k;
        h->v      = w->v;
        h->kv_row = d;
    }
}
