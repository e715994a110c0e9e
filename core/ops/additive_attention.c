/* SPDX-License-Identifier: Apache-2.0
 *
 * Additive attention (Bahdanau 2014).
 *      q: B x T x A   k: B x S x A   v: A   values: B x S x C   lengths: B of int32 or none
 *      ->  y: B x T x C   a: B x T x S;   also without T, for one query
 *
 * Forward     e_tj = v . tanh(q_t + k_j)  for the keys j < length,  a_t = softmax(e_t),  y_t = sum_j a_tj values_j
 * Backward    da_tj = dy_t . values_j, plus the gradient of a itself
 *             de_tj = a_tj (da_tj - sum_i a_ti da_ti)
 *             dvalues_j = sum_t a_tj dy_t,  dv = sum over b, t and j of de_tj tanh(q_t + k_j)
 *             dq_t = sum_j g_tj,  dk_j = sum_t g_tj  with  g_tj = de_tj v (1 - tanh(q_t + k_j)^2)
 *
 * The tanh of all pairs is A times as large as a.  It is never stored: backward computes it again.  Keys from `length`
 * on have the weight zero and are not read.  A sample of length 0 gives zeros.  The bits of a sample depend on its
 * length, not on S.
 */
#include <omp.h>

#include "core/base/integer.h"
#include "core/cpu/vector/column_sum.h"
#include "core/cpu/vector/softmax_rows.h"
#include "core/ops/infer.h"

enum { Q, K, V, VALUES, LENGTHS, INS };
enum { Y, WEIGHTS };

static ls_status infer(ls_node *n)
{
    const ls_tensor *q = n->in[Q], *k = n->in[K], *v = n->in[V], *values = n->in[VALUES], *lengths = n->in[LENGTHS];
    LS_TRY(ls__expect_samples(n, Q));
    LS_TRY(ls__expect_samples(n, K));
    LS_TRY(ls__expect_samples(n, VALUES));
    LS_TRY(ls__expect_param(n, V, 1));
    LS_NODE_CHECK(n, (q->rank == 1 || q->rank == 2) && ls__cols(q) == v->dim[0],
                  "the queries '%s' are %s, expected B x T x %lld or B x %lld" LS_HINT
                  "as many values as '%s' has; a linear layer projects the queries",
                  q->name, ls__shape(q), (long long)v->dim[0], (long long)v->dim[0], v->name);
    LS_NODE_CHECK(n, k->rank == 2 && k->dim[1] == v->dim[0], "the keys '%s' are %s, expected B x S x %lld", k->name,
                  ls__shape(k), (long long)v->dim[0]);
    LS_NODE_CHECK(n, values->rank == 2 && values->dim[0] == k->dim[0],
                  "the values '%s' are %s, expected B x %lld x C: one row for each key", values->name,
                  ls__shape(values), (long long)k->dim[0]);
    LS_NODE_CHECK(n, ls__root(q) != ls__root(k) && ls__root(q) != ls__root(values),
                  "'%s' has the queries and the keys or values" LS_HINT "project them by different layers", q->name);
    LS_NODE_CHECK(n, !lengths || (lengths->type == LS_I32 && lengths->batched && lengths->rank == 0),
                  "the lengths '%s' are %s of %s, expected one int32 per sample", lengths->name, ls__shape(lengths),
                  ls__dtype_name(lengths->type));
    int64_t dim[2] = {q->dim[0], values->dim[1]};
    ls__out(n, Y, LS_F32, true, q->rank, q->rank == 2 ? dim : dim + 1);
    dim[1] = k->dim[0];
    ls__out(n, WEIGHTS, LS_F32, true, q->rank, q->rank == 2 ? dim : dim + 1);
    return LS_OK;
}

typedef struct shape {
    int64_t t, s, a, c;
} shape;

static shape shape_of(const ls_node *n)
{
    return (shape){ls__rows(n->in[Q]), n->in[K]->dim[0], n->in[V]->dim[0], n->in[VALUES]->dim[1]};
}

/* The keys that sample b sees. */
static int64_t length_of(const ls_call *c, const shape *z, int64_t b)
{
    const int32_t *length = c->x[LENGTHS];
    return length ? ls__max(0, ls__min(z->s, length[b])) : z->s;
}

/* Returns sum_i v_i tanh(q_i + k_i), computed in four chains. */
static float score(int64_t a, const float *q, const float *k, const float *v)
{
    vf sum[V_CHAINS(4)] = {{0}};
    V_MAP_SUM(a, V_CHAINS(4), sum[v_sum] = v_fma(V_GET(v), v_tanh(V_GET(q) + V_GET(k)), sum[v_sum]));
    return v_total(4, sum);
}

/* y_i = sum over j < rows of weight_j x_ji, in the order of j. */
static void weighted_sum(int64_t rows, const float *weight, const float *x, int64_t columns, float *y)
{
    enum { BLOCK = 4 };
    int64_t first = 0;
    for (; first + BLOCK * LS_V <= columns; first += BLOCK * LS_V) {
        vf sum[BLOCK] = {{0}};
        for (int64_t j = 0; j < rows; j++)
            for (int i = 0; i < BLOCK; i++)
                sum[i] = v_fma(v_set(weight[j]), v_load(x + j * columns + first + i * LS_V), sum[i]);
        for (int i = 0; i < BLOCK; i++) v_store(y + first + i * LS_V, sum[i]);
    }
    x += first, y += first;
    V_MAP(columns - first, vf sum = v_set(0);
          for (int64_t j = 0; j < rows; j++) sum = v_fma(v_set(weight[j]), V_GET(x + j * columns), sum); V_PUT(y, sum));
}

static void forward(const ls_call *c)
{
    const shape  z = shape_of(c->node);
    const float *v = c->x[V];
#pragma omp parallel for schedule(static) if (c->rows * z.t * z.s * z.a >= LS_ROWS_PARALLEL)
    for (int64_t r = 0; r < c->rows * z.t; r++) {
        const int64_t b = r / z.t, length = length_of(c, &z, b);
        const float  *q = (const float *)c->x[Q] + r * z.a, *k = (const float *)c->x[K] + b * z.s * z.a;
        float        *weight = (float *)c->y[WEIGHTS] + r * z.s;
        memset(weight + length, 0, (size_t)(z.s - length) * sizeof *weight);
        for (int64_t j = 0; j < length; j++) weight[j] = score(z.a, q, k + j * z.a, v);
        if (length > 0) {
            ls__row_exp(length, weight, ls__vmax(length, weight), weight);
            const float scale = 1 / ls__vsum(length, weight);
            V_MAP(length, V_PUT(weight, V_GET(weight) * scale));
        }
        weighted_sum(length, weight, (const float *)c->x[VALUES] + b * z.s * z.c, z.c, (float *)c->y[Y] + r * z.c);
    }
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

/* Workspace.  The first arrays have a row for each thread. */
typedef struct workspace {
    float *de;   /* S */
    float *dq;   /* A */
    float *dk;   /* A: a row of dk that is not wanted */
    float *dv;   /* B x A: the part of each sample */
    float *sums; /* partial sums of dv */
} workspace;

/* Divides the workspace at `base`, which may be NULL.  Returns its floats. */
static size_t divide(const shape *z, int64_t rows, int shards, int threads, float *base, workspace *w)
{
    const size_t count[] = {(size_t)(threads * z->s), (size_t)(threads * z->a), (size_t)(threads * z->a),
                            (size_t)(rows * z->a), ls__column_sums_scratch(z->a, shards)};
    float      **part[]  = {&w->de, &w->dq, &w->dk, &w->dv, &w->sums};
    size_t       total   = 0;
    for (size_t i = 0; i < sizeof count / sizeof *count; total += count[i], i++) *part[i] = base ? base + total : NULL;
    return total;
}

static size_t scratch(const ls_node *n, int64_t rows, int shards, int threads, bool backward)
{
    const shape z = shape_of(n);
    workspace   w;
    return backward ? divide(&z, rows, shards, threads, NULL, &w) * sizeof(float) : 0;
}

/* Zeroes the rows of sample b in a gradient, unless the call adds to it.  Returns them; NULL: not wanted. */
static float *rows_of_sample(const ls_call *c, int input, int64_t b)
{
    const int64_t n = ls__numel(c->node->in[input]);
    if (!c->dx[input]) return NULL;
    float *dx = c->dx[input] + b * n;
    if (!c->add[input]) memset(dx, 0, (size_t)n * sizeof *dx);
    return dx;
}

/* Writes the gradients of the scores of query r to de, and adds those of the values to dvalues, if it is not NULL. */
static void backward_weights(const ls_call *c, const shape *z, int64_t r, int64_t length, float *de, float *dvalues)
{
    const float *weight = (const float *)c->y[WEIGHTS] + r * z->s, *dy = c->dy[Y] ? c->dy[Y] + r * z->c : NULL;
    const float *dweight = c->dy[WEIGHTS] ? c->dy[WEIGHTS] + r * z->s : NULL,
                *values  = (const float *)c->x[VALUES] + r / z->t * z->s * z->c;
    for (int64_t j = 0; j < length; j++) {
        de[j] = dweight ? dweight[j] : 0;
        if (dy) de[j] += ls__row_dot(z->c, dy, values + j * z->c);
        if (!dy || !dvalues) continue;
        float *to = dvalues + j * z->c;
        V_MAP(z->c, V_PUT(to, v_fma(v_set(weight[j]), V_GET(dy), V_GET(to))));
    }
    const float mean = ls__row_dot(length, weight, de);
    V_MAP(length, V_PUT(de, V_GET(weight) * (V_GET(de) - mean)));
}

static void backward_sample(const ls_call *c, const shape *z, const workspace *w, int64_t b)
{
    const int64_t length = length_of(c, z, b), thread = omp_get_thread_num();
    const float  *v = c->x[V], *k = (const float *)c->x[K] + b * z->s * z->a;
    float        *de = w->de + thread * z->s, *dq = w->dq + thread * z->a, *spare = w->dk + thread * z->a;
    float        *dk = rows_of_sample(c, K, b), *dvalues = rows_of_sample(c, VALUES, b), *dv = w->dv + b * z->a;
    memset(dv, 0, (size_t)z->a * sizeof *dv);
    if (!dk) memset(spare, 0, (size_t)z->a * sizeof *spare);
    for (int64_t r = b * z->t; r < (b + 1) * z->t; r++) {
        const float *q = (const float *)c->x[Q] + r * z->a;
        backward_weights(c, z, r, length, de, dvalues);
        memset(dq, 0, (size_t)z->a * sizeof *dq);
        for (int64_t j = 0; j < length; j++) {
            const float *key  = k + j * z->a;
            float       *dkey = dk ? dk + j * z->a : spare;
            V_MAP(z->a, const vf th = v_tanh(V_GET(q) + V_GET(key)); const vf g = de[j] * V_GET(v) * (1.0f - th * th);
                  V_PUT(dq, V_GET(dq) + g); V_PUT(dkey, V_GET(dkey) + g);
                  V_PUT(dv, v_fma(v_set(de[j]), th, V_GET(dv))));
        }
        if (c->dx[Q]) ls__copy(z->a, ls__f32(dq), ls__f32(c->dx[Q] + r * z->a), c->add[Q]);
    }
}

static void backward(const ls_call *c)
{
    const shape z = shape_of(c->node);
    workspace   w;
    divide(&z, c->rows, c->shards, omp_get_max_threads(), c->scratch, &w);
#pragma omp parallel for schedule(static) if (c->rows * z.t * z.s * z.a >= LS_ROWS_PARALLEL)
    for (int64_t b = 0; b < c->rows; b++) backward_sample(c, &z, &w, b);
    if (c->dx[V]) ls__column_sums(c, V, 1, z.a, ls__f32(w.dv), (ls_array){0}, w.sums);
}

/* A tanh counts as ten operations. */
static double flops(const ls_node *n)
{
    const shape z = shape_of(n);
    return (double)(z.t * z.s) * (13.0 * (double)z.a + 2.0 * (double)z.c);
}

LS_OP(additive_attention) = {
    .name       = "additive_attention",
    .args_bytes = sizeof(ls_additive_attention_args),
    .ins        = INS,
    .outs       = 2,
    .results    = 2,
    .optional   = 1u << LENGTHS,
    .saves      = LS_SAVES_IN(Q) | LS_SAVES_IN(K) | LS_SAVES_IN(V) | LS_SAVES_IN(VALUES) | LS_SAVES_IN(LENGTHS) |
             LS_SAVES_OUT(WEIGHTS),
    .no_grad  = 1u << LENGTHS,
    .infer    = infer,
    .forward  = {[LS_CPU] = forward},
    .backward = {[LS_CPU] = backward},
    .scratch  = scratch,
    .flops    = flops,
};
