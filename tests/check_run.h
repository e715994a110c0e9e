/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs one op once, forward and backward, between guard pages; the base of tests/check_op.h. */
#ifndef LS_TESTS_CHECK_RUN_H
#define LS_TESTS_CHECK_RUN_H

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/philox.h"
#include "core/cpu/isa_table.h"
#include "core/graph/graph.h"
#include "tests/check_buffer.h"
#include "tests/round_bf16.h"

enum { CHECK_SHARDS = 8, CHECK_DIFFERENCES = 160, CHECK_KEY = 0x5eed };

typedef struct check_in {
    int64_t  dims[LS_MAX_DIMS + 1]; /* dims of one sample, ended by 0; none: a scalar */
    bool     param;                 /* not batched */
    bool     state;                 /* a state, kept from run to run */
    bool     absent;                /* optional input that is not given */
    ls_dtype type;                  /* LS_F32: normally distributed; LS_I32: uniform in [low, high) */
    float    mean, std;             /* std 0: 1 */
    int      low, high;
} check_in;

typedef struct check_case {
    check_in    in[LS_MAX_IN];
    const void *args;                 /* the op's args struct, for the attributes; NULL: defaults       */
    int64_t     out[LS_MAX_DIMS + 1]; /* expected dims of one sample, ended by 0; none: as input 0      */
    bool        scalar;               /* expected: one number a sample                                  */
    double      tol, tol_grad;        /* relative to the largest value of a tensor; 0: 2e-6, 2e-5       */
    bool        inference;            /* forward with training off, and nothing else                    */
} check_case;

/* The arguments of a reference.  It sets y[0], and those other outputs that are to be compared. */
typedef struct check_ref {
    const ls_node *node;
    const void    *args;
    int64_t        rows;
    const double  *x[LS_MAX_IN]; /* values, integers as double; NULL: not given */
    double        *y[LS_MAX_OUT];
    bool           training;
    uint64_t       key;
    int64_t        first_sample;
} check_ref;
typedef void check_reference(const check_ref *r);

/* Number of elements of a tensor, for all samples. */
static inline int64_t check_numel(const check_ref *r, int i)
{
    return ls__numel(r->node->in[i]) * (r->node->in[i]->batched ? r->rows : 1);
}

/* One case at one level with one number of samples: values common to all runs. */
typedef struct check_setup {
    char              what[160];
    ls_dtype          precision; /* of the graph */
    const check_case *cs;
    check_reference  *reference;
    ls_arena         *arena;
    ls_graph         *g;
    ls_node          *n;
    const ls_op      *op;
    int64_t           rows;
    /* Values as float32, those of bfloat16 tensors too; check_values converts them. */
    float  *x[LS_MAX_IN];    /* int32 inputs are stored as int32 */
    float  *dy[LS_MAX_OUT];  /* of the results */
    float  *base[LS_MAX_IN]; /* earlier values to which gradients are added */
    int64_t shard[CHECK_SHARDS + 1];
} check_setup;

/* Options of a run: samples [first, first + rows), and settings that must not change a bit of the results. */
typedef struct check_how {
    int64_t        first, rows;
    int            shards, groups, threads;
    const int64_t *bound;               /* shard bounds of the whole batch; NULL: one shard */
    int            group[CHECK_SHARDS]; /* shards of each group */
    unsigned       skip;                /* bit i: dx[i] is not wanted */
    bool           add, group_add, inplace, inplace_backward, nothing; /* nothing: no samples */
} check_how;

typedef struct check_result {
    float *y[LS_MAX_OUT];
    float *dx[LS_MAX_IN]; /* of a parameter: one gradient per group, one after the other */
} check_result;

static inline bool check_has_grad(const check_setup *s, int i)
{
    const ls_tensor *x = s->n->in[i];
    return x && (x->type == LS_F32 || x->type == LS_BF16) && !(s->op->no_grad & 1u << i);
}

static inline int64_t check_elements(const ls_tensor *x, int64_t rows)
{
    return ls__numel(x) * (x->batched ? rows : 1);
}

/* Two normal numbers from a counter (Box & Muller 1958). */
static inline float check_normal(uint64_t stream, int64_t i)
{
    ls_philox4 r = ls_philox(CHECK_KEY, stream, (uint64_t)i);
    double     u = (r.v[0] + 1.0) / 4294967296.0, v = r.v[1] / 4294967296.0;
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

/* ---- bfloat16 ---------------------------------------------------------------------------------------------------- */

static inline float check_rounded(float x, ls_dtype type) { return type == LS_BF16 ? widen_bf16(round_bf16(x)) : x; }

static inline size_t check_size(ls_dtype type) { return type == LS_BF16 ? sizeof(uint16_t) : sizeof(float); }

/* The type of the gradient of input i. */
static inline ls_dtype check_grad_type(const check_setup *s, int i)
{
    return s->n->in[i]->batched ? s->n->in[i]->type : LS_F32;
}

/* ---- setting up -------------------------------------------------------------------------------------------------- */

static inline int check_rank(const int64_t *dims)
{
    int rank = 0;
    while (rank < LS_MAX_DIMS && dims[rank]) rank++;
    return rank;
}

/* Adds the node of a case to a new graph; bf16: bits of the inputs that are bfloat16.  Returns its first output; NULL:
 * the graph has the error. */
static inline ls_tensor *check_apply(ls_graph *g, int id, const check_case *cs, unsigned bf16)
{
    const ls_op *op   = ls__op_by_id(id);
    ls_tensor  **args = calloc(1, op->args_bytes);
    if (cs->args) memcpy(args, cs->args, op->args_bytes);
    for (int i = 0; i < op->ins; i++) {
        const check_in *in = &cs->in[i];
        const int64_t  *d  = in->dims;
        char            name[16];
        snprintf(name, sizeof name, "in%d", i);
        ls_dims        dims = {check_rank(d), {d[0], d[1], d[2], d[3], d[4], d[5]}};
        const ls_dtype type = in->type == LS_F32 && bf16 & 1u << i ? g->precision : in->type;
        args[i]             = in->absent  ? NULL
                              : in->param ? ls__param(g, name, (ls_init){0}, LS_HERE, dims)
                              : in->state ? ls_state(g, name, in->type, d[0], d[1], d[2], d[3], d[4], d[5])
                                          : ls_input(g, name, type, d[0], d[1], d[2], d[3], d[4], d[5]);
    }
    ls_tensor *y = ls__apply(id, args, LS_HERE);
    free(args);
    return y;
}

static inline void check_fill(check_setup *s)
{
    for (int i = 0; i < s->n->ins; i++) {
        const ls_tensor *x  = s->n->in[i];
        const check_in  *in = &s->cs->in[i];
        if (!x) continue;
        int64_t n  = check_elements(x, s->rows);
        s->x[i]    = ls_arena_alloc(s->arena, (size_t)n * sizeof(float));
        s->base[i] = ls_arena_alloc(s->arena, (size_t)n * sizeof(float));
        for (int64_t k = 0; k < n; k++) {
            float   value = check_normal((uint64_t)i, k) * (in->std != 0 ? in->std : 1) + in->mean;
            int32_t index = in->low + (int32_t)(ls_philox(CHECK_KEY, 100 + (uint64_t)i, (uint64_t)k).v[0] %
                                                (uint32_t)(in->high > in->low ? in->high - in->low : 1));
            if (in->type == LS_I32)
                memcpy(&s->x[i][k], &index, sizeof index);
            else
                s->x[i][k] = check_rounded(value, ls__input_type(s->n, i));
            s->base[i][k] = check_rounded(check_normal(200 + (uint64_t)i, k), check_grad_type(s, i));
        }
    }
    for (int o = 0; o < ls__results(s->n); o++) {
        const int64_t n = check_elements(s->n->out[o], s->rows);
        s->dy[o]        = ls_arena_alloc(s->arena, (size_t)n * sizeof(float));
        for (int64_t k = 0; k < n; k++)
            s->dy[o][k] = check_rounded(check_normal(300 + (uint64_t)o, k), s->n->out[o]->type);
    }
    /* Uneven shards; the third and the last are empty if there are enough samples for the others. */
    static const double cut[CHECK_SHARDS + 1] = {0, 0.2, 0.3, 0.3, 0.45, 0.75, 0.8, 1, 1};
    for (int i = 0; i <= CHECK_SHARDS; i++) s->shard[i] = (int64_t)((double)s->rows * cut[i] + 0.5);
}

static inline void check_shape(const check_setup *s)
{
    const ls_tensor *y = s->n->out[0], *x = s->n->in[0];
    const int64_t   *dims = s->cs->out;
    int              rank = check_rank(dims);
    if (!rank && !s->cs->scalar) rank = x->rank, dims = x->dim;
    bool same = y->rank == rank && y->batched;
    for (int i = 0; same && i < rank; i++) same = y->dim[i] == dims[i];
    if (!same) fail_msg("%s: the output is %s", s->what, ls__shape(y));
}

static inline void check_setup_new(check_setup *s, int id, ls_isa isa, ls_dtype precision, unsigned bf16,
                                   const check_case *cs, check_reference *reference, int64_t rows)
{
    *s = (check_setup){
        .precision = precision, .cs = cs, .reference = reference, .rows = rows, .op = ls__isa_table_of(isa)->op[id]};
    assert_int_equal(ls_arena_new(&s->arena, "check"), LS_OK);
    s->g = ls_graph_new();
    ls_graph_precision(s->g, precision);
    ls_tensor *y = check_apply(s->g, id, cs, bf16);
    if (!y) fail_msg("%s: %s", s->op->name, ls_graph_status(s->g) ? ls_error_message() : "no output");
    s->n = y->node;
    if (!rows) { /* enough samples for several threads and all shards */
        int64_t numel = ls__numel(y) > ls__numel(s->n->in[0]) ? ls__numel(y) : ls__numel(s->n->in[0]);
        double  flops = s->op->flops ? s->op->flops(s->n) : 0;
        rows          = 300000 / numel + 1;
        if (flops * (double)rows > 5e7) rows = (int64_t)(5e7 / flops);
        s->rows = rows = rows < 11 ? 11 : rows > 1200 ? 1200 : rows;
    }
    snprintf(s->what, sizeof s->what, "%s of %s, %s, level %s, %lld samples", s->op->name, ls__shape(s->n->in[0]),
             ls__dtype_name(precision), ls_isa_name(isa), (long long)rows);
    check_fill(s);
}

static inline void check_setup_free(check_setup *s)
{
    ls_graph_free(s->g);
    ls_arena_free(s->arena);
}

/* ---- one run ----------------------------------------------------------------------------------------------------- */

typedef struct check_memory {
    check_buffer x[LS_MAX_IN], y[LS_MAX_OUT], dy[LS_MAX_OUT], dx[LS_MAX_IN], scratch;
    check_buffer params;           /* gradients of parameters: a block for each group, gaps of 3 floats between them */
    int64_t      param[LS_MAX_IN]; /* offset of each parameter in a block */
    int64_t      block;
    ls_group     group[CHECK_SHARDS];
    int64_t      bound[CHECK_SHARDS + 1];
    ls_call      call;
} check_memory;

static inline check_buffer check_values(const float *data, int64_t n, ls_dtype type)
{
    check_buffer b = check_buffer_new((size_t)n * check_size(type), check_size(type));
    if (data && type != LS_BF16) memcpy(b.data, data, b.bytes);
    for (int64_t i = 0; data && type == LS_BF16 && i < n; i++) ((uint16_t *)b.data)[i] = round_bf16(data[i]);
    return b;
}

static inline void check_memory_new(check_memory *m, const check_setup *s, const check_how *h)
{
    *m         = (check_memory){0};
    ls_call *c = &m->call;
    *c         = (ls_call){.node         = s->n,
                           .args         = s->n->args,
                           .rows         = h->rows,
                           .shards       = h->bound ? h->shards : 1,
                           .bound        = m->bound,
                           .training     = !s->cs->inference,
                           .key          = CHECK_KEY,
                           .first_sample = h->first,
                           .groups       = h->groups ? h->groups : 1,
                           .group        = m->group};
    for (int i = 0; i <= c->shards; i++) m->bound[i] = h->bound ? h->bound[i] - h->bound[0] : i * h->rows;
    for (int i = 0; i < s->n->ins; i++) {
        const ls_tensor *x = s->n->in[i];
        if (!x) continue;
        m->x[i] = check_values(s->x[i] + (x->batched ? h->first * ls__numel(x) : 0), check_elements(x, h->rows),
                               ls__input_type(s->n, i));
        c->x[i] = m->x[i].data;
    }
    for (int o = 0; o < s->n->outs; o++) {
        m->y[o] = check_values(NULL, check_elements(s->n->out[o], h->rows), s->n->out[o]->type);
        c->y[o] = m->y[o].data;
    }
    if (h->inplace) c->y[0] = c->x[0];
}

static inline void check_memory_backward(check_memory *m, const check_setup *s, const check_how *h)
{
    ls_call *c = &m->call;
    for (int o = 0; o < ls__results(s->n); o++) {
        const ls_tensor *y = s->n->out[o];
        m->dy[o]           = check_values(s->dy[o] + h->first * ls__numel(y), check_elements(y, h->rows), y->type);
        c->dy[o]           = (float *)m->dy[o].data;
    }
    for (int i = 0; i < s->n->ins; i++) {
        if (!check_has_grad(s, i) || s->n->in[i]->batched) continue;
        m->param[i] = m->block;
        m->block += ls__numel(s->n->in[i]) + 3;
    }
    m->params = check_values(NULL, m->block * c->groups, LS_F32);
    for (int k = 0, first = 0; k < c->groups; first += m->group[k].shards, k++)
        m->group[k] = (ls_group){.first  = first,
                                 .shards = h->groups ? h->group[k] : c->shards,
                                 .offset = (size_t)(k * m->block),
                                 .add    = h->group_add};
    for (int i = 0; i < s->n->ins; i++) {
        if (!check_has_grad(s, i) || (h->skip & 1u << i)) continue;
        const ls_tensor *x = s->n->in[i];
        int64_t          n = check_elements(x, h->rows);
        c->add[i]          = h->add;
        if (x->batched) {
            m->dx[i] = check_values(h->add ? s->base[i] + h->first * ls__numel(x) : NULL, n, x->type);
            c->dx[i] = (float *)m->dx[i].data;
        } else {
            c->dx[i] = (float *)m->params.data + m->param[i];
            for (int k = 0; (h->add || h->group_add) && k < c->groups; k++)
                memcpy(c->dx[i] + m->group[k].offset, s->base[i], (size_t)n * sizeof(float));
        }
    }
    if (h->inplace_backward) c->dx[0] = c->dy[0];
}

static inline void check_poison(check_buffer *b)
{
    if (b->map) memset(b->data, 0xFF, b->bytes);
}

static inline void check_call(check_memory *m, const check_setup *s, bool backward)
{
    int64_t largest = 0; /* workspace is planned for shards of equal size */
    for (int k = 0; k < m->call.shards; k++)
        if (m->bound[k + 1] - m->bound[k] > largest) largest = m->bound[k + 1] - m->bound[k];
    m->call.shard_rows = largest;
    const int shards = m->call.shards, threads = omp_get_max_threads();
    size_t    bytes = s->op->scratch ? s->op->scratch(s->n, largest * shards, shards, threads, backward) : 0;
    m->scratch      = check_buffer_new(bytes, 64);
    m->call.scratch = bytes ? m->scratch.data : NULL;
    check_poison(&m->scratch);
    (backward ? s->op->backward : s->op->forward)[LS_CPU](&m->call);
    check_buffer_verify(&m->scratch, "the workspace");
    check_buffer_free(&m->scratch);
}

static inline void check_unchanged(const check_setup *s, const check_buffer *b, const float *want, ls_dtype type,
                                   const char *what)
{
    bool same = true;
    if (!b->map || !want) return;
    if (type != LS_BF16) same = memcmp(b->data, want, b->bytes) == 0;
    for (size_t i = 0; type == LS_BF16 && i < b->bytes / sizeof(uint16_t); i++)
        same = same && ((const uint16_t *)b->data)[i] == round_bf16(want[i]);
    if (!same) fail_msg("%s: %s was changed", s->what, what);
}

/* A copy of n values as float32. */
static inline float *check_keep(const check_setup *s, const void *data, int64_t n, ls_dtype type)
{
    float *copy = ls_arena_alloc(s->arena, (size_t)n * sizeof(float) + 1);
    if (type != LS_BF16) memcpy(copy, data, (size_t)n * sizeof(float));
    for (int64_t i = 0; type == LS_BF16 && i < n; i++) copy[i] = widen_bf16(((const uint16_t *)data)[i]);
    return copy;
}

static inline void check_keep_gradients(check_memory *m, const check_setup *s, const check_how *h, check_result *r)
{
    for (int i = 0; i < s->n->ins; i++) {
        if (!m->call.dx[i]) continue;
        const ls_tensor *x = s->n->in[i];
        int64_t          n = check_elements(x, h->rows);
        check_buffer_verify(&m->dx[i], "a gradient");
        if (x->batched) {
            r->dx[i] = check_keep(s, m->call.dx[i], n, x->type);
            continue;
        }
        r->dx[i] = ls_arena_alloc(s->arena, (size_t)(n * m->call.groups) * sizeof(float));
        for (int k = 0; k < m->call.groups; k++) {
            float *from = m->call.dx[i] + m->group[k].offset;
            memcpy(r->dx[i] + k * n, from, (size_t)n * sizeof(float));
            memset(from, CHECK_PATTERN, (size_t)n * sizeof(float));
        }
    }
    check_buffer_verify(&m->params, "the gradients of parameters");
    if (check_pattern(m->params.data, m->params.bytes) < m->params.bytes)
        fail_msg("%s: written between the gradients of parameters", s->what);
}

/* Runs forward and backward with options `h`.  The results lie in the arena of the setup. */
static inline check_result check_run(const check_setup *s, check_how h)
{
    check_memory m;
    check_result r = {0};
    if (!h.rows && !h.nothing) h.rows = s->rows;
    omp_set_num_threads(h.threads ? h.threads : 1);
    check_memory_new(&m, s, &h);
    check_call(&m, s, false);
    for (int o = 0; o < s->n->outs; o++) {
        check_buffer_verify(&m.y[o], "an output");
        r.y[o] = check_keep(s, m.call.y[o], check_elements(s->n->out[o], h.rows), s->n->out[o]->type);
    }
    for (int i = 0; i < s->n->ins; i++) {
        if (!s->n->in[i] || (i == 0 && h.inplace)) continue;
        check_buffer_verify(&m.x[i], "an input");
        if (s->op->updates & 1u << i) continue;
        check_unchanged(s, &m.x[i], s->x[i] + (s->n->in[i]->batched ? h.first * ls__numel(s->n->in[i]) : 0),
                        ls__input_type(s->n, i), "an input");
    }
    if (s->op->backward[LS_CPU] && !s->cs->inference) {
        for (int i = 0; i < s->n->ins; i++)
            if (!(s->op->saves & LS_SAVES_IN(i)) && !(i == 0 && h.inplace)) check_poison(&m.x[i]);
        for (int o = 0; o < s->n->outs; o++)
            if (!(s->op->saves & LS_SAVES_OUT(o))) check_poison(&m.y[o]);
        check_memory_backward(&m, s, &h);
        check_call(&m, s, true);
        for (int o = 0; o < ls__results(s->n) && !h.inplace_backward; o++)
            check_unchanged(s, &m.dy[o], s->dy[o] + h.first * ls__numel(s->n->out[o]), s->n->out[o]->type, "dy");
        for (int i = 0; i < s->n->ins; i++)
            if ((s->op->saves & LS_SAVES_IN(i)) && s->x[i] && !(i == 0 && h.inplace))
                check_unchanged(s, &m.x[i], s->x[i] + (s->n->in[i]->batched ? h.first * ls__numel(s->n->in[i]) : 0),
                                ls__input_type(s->n, i), "a saved input");
        for (int o = 0; o < s->n->outs; o++)
            if ((s->op->saves & LS_SAVES_OUT(o) || s->op->loss_in_backward) && !(o == 0 && h.inplace))
                check_unchanged(s, &m.y[o], r.y[o], s->n->out[o]->type,
                                s->op->loss_in_backward ? "the loss that backward makes" : "a saved output");
        check_keep_gradients(&m, s, &h, &r);
    }
    for (int i = 0; i < LS_MAX_IN; i++) check_buffer_free(&m.x[i]), check_buffer_free(&m.dx[i]);
    for (int o = 0; o < LS_MAX_OUT; o++) check_buffer_free(&m.y[o]), check_buffer_free(&m.dy[o]);
    check_buffer_free(&m.params);
    omp_set_num_threads(1);
    return r;
}

#endif
