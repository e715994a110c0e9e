/* SPDX-License-Identifier: Apache-2.0 */
/* timeout: 300 */
#include "tests/check_op.h"

enum { Q, K, V, PADDING, MASK, START, CACHE };

/* Shapes of a node, worked out here on its own. */
typedef struct shape {
    int64_t t, s, d, h, kvh;
    bool    packed;
} shape;

static shape shape_of(const ls_node *n)
{
    const ls_attention_args *a = n->args;
    shape                    s = {.h = a->heads ? a->heads : 1, .t = n->in[Q]->dim[0], .packed = !n->in[K]};
    s.kvh = a->kv_heads ? a->kv_heads : s.h;
    s.d   = n->in[Q]->dim[1] / (s.packed ? s.h + 2 * s.kvh : s.h);
    s.s   = n->in[CACHE] ? n->in[CACHE]->dim[0] : s.packed ? s.t : n->in[K]->dim[0];
    return s;
}

/* Rows of a head: where position 0 is, and how far apart positions are. */
typedef struct rows {
    const double *at;
    int64_t       row;
} rows;

static rows part(const check_ref *r, const shape *s, int64_t b, int which, int64_t head)
{
    const int64_t width = s->packed ? (s->h + 2 * s->kvh) * s->d : (which == Q ? s->h : s->kvh) * s->d;
    const int64_t first = s->packed && which != Q ? (s->h + (which == V ? s->kvh : 0)) * s->d : 0;
    const int64_t count = which == Q || s->packed || r->node->in[CACHE] ? s->t : s->s;
    return (rows){r->x[s->packed ? Q : which] + b * count * width + first + head * s->d, width};
}

/* Keys or values of position k: of the call, or with a cache what stands there then.  D of them. */
static const double *key_or_value(const check_ref *r, const shape *s, int64_t b, int which, int64_t shared, int64_t k)
{
    rows x = part(r, s, b, which, shared);
    if (!r->node->in[CACHE]) return x.at + k * x.row;
    int64_t at = k - (r->x[START] ? (int64_t)r->x[START][b] : 0);
    if (at >= 0 && at < s->t) return x.at + at * x.row;
    return r->x[CACHE] + (b * s->s + k) * 2 * s->kvh * s->d + (which == V ? s->kvh * s->d : 0) + shared * s->d;
}

static bool hidden(const check_ref *r, const shape *s, int64_t b, int64_t t, int64_t k)
{
    int64_t start = r->x[START] ? (int64_t)r->x[START][b] : 0;
    return (((const ls_attention_args *)r->args)->causal && k > start + t) || (r->x[PADDING] && r->x[PADDING][b * s->s + k] != 0);
}

static double kept(const check_ref *r, const shape *s, int64_t b, int64_t head, int64_t t, int64_t k)
{
    const double p = (double)((const ls_attention_args *)r->args)->dropout;
    if (!r->training || p == 0) return 1;
    uint64_t counter = (uint64_t)(head * ((s->s + 3) / 4) + k / 4) << 32 | (uint64_t)t;
    return (double)ls_uniform01(ls_philox(r->key, (uint64_t)(r->first_sample + b), counter).v[k % 4]) < p ? 0 : 1 / (1 - p);
}

/* The score of query t and key k; -inf: it is hidden. */
static double score(const check_ref *r, const shape *s, int64_t b, int64_t head, int64_t t, int64_t k)
{
    const ls_attention_args *a    = r->args;
    const ls_tensor         *mask = r->node->in[MASK];
    const int64_t            maps = mask && mask->rank == 3 ? s->h : 1;
    const rows               all  = part(r, s, b, Q, head);
    const double            *q = all.at + t * all.row, *key = key_or_value(r, s, b, K, head / (s->h / s->kvh), k);
    double                   sum = 0;
    if (hidden(r, s, b, t, k)) return -INFINITY;
    for (int64_t i = 0; i < s->d; i++) sum += q[i] * key[i];
    sum *= a->scale != 0 ? (double)a->scale : 1 / sqrt((double)s->d);
    return mask ? sum + r->x[MASK][((((mask->batched ? b * maps : 0) + (maps > 1 ? head : 0)) * s->t) + t) * s->s + k] : sum;
}

/* One query, by the definition; y: D. */
static void attend(const check_ref *r, const shape *s, int64_t b, int64_t head, int64_t t, double *y)
{
    double w[512], most = -INFINITY, sum = 0;
    for (int64_t k = 0; k < s->s; k++) {
        w[k] = score(r, s, b, head, t, k);
        most = fmax(most, w[k]);
    }
    for (int64_t k = 0; k < s->s; k++) sum += w[k] = most == -INFINITY ? 0 : exp(w[k] - most);
    for (int64_t i = 0; i < s->d; i++) y[i] = 0;
    for (int64_t k = 0; sum > 0 && k < s->s; k++) {
        const double *value = key_or_value(r, s, b, V, head / (s->h / s->kvh), k), weight = w[k] / sum * kept(r, s, b, head, t, k);
        for (int64_t i = 0; weight != 0 && i < s->d; i++) y[i] += weight * value[i];
    }
    r->y[1][(b * s->h + head) * s->t + t] = sum > 0 ? most + log(sum) : CHECK_UNSET;
}

static void reference(const check_ref *r)
{
    const shape s = shape_of(r->node);
    for (int64_t b = 0; b < r->rows; b++)
        for (int64_t head = 0; head < s.h; head++)
            for (int64_t t = 0; t < s.t; t++) attend(r, &s, b, head, t, r->y[0] + (b * s.t + t) * s.h * s.d + head * s.d);
}

#define ARGS(...) &(ls_attention_args){__VA_ARGS__}
#define IN(...) {.dims = {__VA_ARGS__}}
#define NONE {.absent = true}
#define NO_MORE NONE, NONE, NONE, NONE                     /* no padding, mask, start, cache */
#define NO_CACHE NONE, NONE
#define PADS(s) {.dims = {s}, .type = LS_I32, .low = 0, .high = 2}
#define INDEX(below) {.type = LS_I32, .low = 0, .high = (below)}
#define KEPT(n, c) {.dims = {n, c}, .state = true}

CHECK_OP(attention, reference,
         /* shapes: one of everything; odd; wider than a vector; more keys and queries than a tile */
         {.in = {IN(1, 1), IN(1, 1), IN(1, 1), NO_MORE}, .tol_grad = 1e-3},
         {.in = {IN(7, 7), IN(7, 7), IN(7, 7), NO_MORE}},
         {.in = {IN(33, 2 * 7), IN(33, 2 * 7), IN(33, 2 * 7), NO_MORE}, .args = ARGS(.heads = 2)},
         {.in = {IN(7, 33), IN(1, 33), IN(1, 33), NO_MORE}, .tol_grad = 1e-3}, /* a softmax of one score: dq and dk are zero */
         {.in = {IN(1, 3 * 16), IN(33, 3 * 16), IN(33, 3 * 16), NO_MORE}, .args = ARGS(.heads = 3)},
         {.in = {IN(67, 32), IN(139, 32), IN(139, 32), NO_MORE}},
         {.in = {IN(7, 2 * 33), IN(261, 2 * 33), IN(261, 2 * 33), NO_MORE}, .args = ARGS(.heads = 2, .scale = 0.3f)},
         /* causal */
         {.in = {IN(33, 2 * 8), IN(33, 2 * 8), IN(33, 2 * 8), NO_MORE}, .args = ARGS(.heads = 2, .causal = true)},
         {.in = {IN(133, 33), IN(133, 33), IN(133, 33), NO_MORE}, .args = ARGS(.causal = true)},
         {.in = {IN(7, 7), IN(33, 7), IN(33, 7), NO_MORE}, .args = ARGS(.causal = true)},
         {.in = {IN(71, 7), IN(33, 7), IN(33, 7), NO_MORE}, .args = ARGS(.causal = true)},
         /* heads that share keys and values */
         {.in = {IN(33, 4 * 7), IN(7, 2 * 7), IN(7, 2 * 7), NO_MORE}, .args = ARGS(.heads = 4, .kv_heads = 2)},
         {.in = {IN(67, 3 * 16), IN(67, 16), IN(67, 16), NO_MORE}, .args = ARGS(.heads = 3, .kv_heads = 1, .causal = true)},
         /* queries, keys and values side by side */
         {.in = {IN(33, 3 * 2 * 7), NONE, NONE, NO_MORE}, .out = {33, 14}, .args = ARGS(.heads = 2)},
         {.in = {IN(67, 3 * 32), NONE, NONE, NO_MORE}, .out = {67, 32}, .args = ARGS(.causal = true)},
         {.in = {IN(33, (4 + 2 * 2) * 7), NONE, NONE, NO_MORE}, .out = {33, 28}, .args = ARGS(.heads = 4, .kv_heads = 2, .causal = true)},
         /* masks: by position, by head, of a sample; with hidden keys, and with all of them */
         {.in = {IN(7, 2 * 7), IN(33, 2 * 7), IN(33, 2 * 7), NONE, {.dims = {7, 33}, .param = true}, NO_CACHE}, .args = ARGS(.heads = 2)},
         {.in = {IN(33, 2 * 7), IN(7, 2 * 7), IN(7, 2 * 7), NONE, {.dims = {2, 33, 7}, .param = true}, NO_CACHE}, .args = ARGS(.heads = 2)},
         {.in = {IN(67, 2 * 7), IN(133, 2 * 7), IN(133, 2 * 7), NONE, IN(67, 133), NO_CACHE}, .args = ARGS(.heads = 2)},
         {.in = {IN(7, 2 * 7), IN(7, 2 * 7), IN(7, 2 * 7), PADS(7), IN(2, 7, 7), NO_CACHE}, .args = ARGS(.heads = 2, .causal = true)},
         {.in = {IN(33, 7), IN(33, 7), IN(33, 7), PADS(33), NONE, NO_CACHE}},
         {.in = {IN(7, 7), IN(133, 7), IN(133, 7), PADS(133), NONE, NO_CACHE}},
         {.in = {IN(33, 7), IN(2, 7), IN(2, 7), PADS(2), NONE, NO_CACHE}},
         {.in = {IN(7, 7), IN(2, 7), IN(2, 7), {.dims = {2}, .type = LS_I32, .low = 1, .high = 2}, NONE, NO_CACHE}},
         /* dropout */
         {.in = {IN(7, 2 * 7), IN(33, 2 * 7), IN(33, 2 * 7), NO_MORE}, .args = ARGS(.heads = 2, .dropout = 0.3f)},
         {.in = {IN(67, 3 * 2 * 8), NONE, NONE, NO_MORE}, .out = {67, 16}, .args = ARGS(.heads = 2, .causal = true, .dropout = 0.5f)},
         {.in = {IN(33, 7), IN(131, 7), IN(131, 7), PADS(131), NONE, NO_CACHE}, .args = ARGS(.dropout = 0.1f)},
         {.in = {IN(7, 7), IN(7, 7), IN(7, 7), NO_MORE}, .args = ARGS(.dropout = 0.5f), .inference = true},
         /* with a cache */
         {.in = {IN(1, 3 * 2 * 7), NONE, NONE, NONE, NONE, INDEX(33), KEPT(33, 28)}, .out = {1, 14}, .args = ARGS(.heads = 2, .causal = true), .inference = true},
         {.in = {IN(7, 2 * 7), IN(7, 7), IN(7, 7), NONE, NONE, INDEX(27), KEPT(33, 14)}, .args = ARGS(.heads = 2, .kv_heads = 1, .causal = true), .inference = true},
         {.in = {IN(67, 3 * 16), NONE, NONE, NONE, NONE, INDEX(90), KEPT(157, 32)}, .out = {67, 16}, .args = ARGS(.causal = true), .inference = true},
         {.in = {IN(7, 3 * 16), NONE, NONE, PADS(9), NONE, NONE, KEPT(9, 32)}, .out = {7, 16}, .args = ARGS(.causal = true), .inference = true})

CHECK_MAIN(cmocka_unit_test(check_attention))
