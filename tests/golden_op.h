/* SPDX-License-Identifier: Apache-2.0
 *
 * An op's values and gradients against PyTorch's, at every instruction-set level:
 *
 *     static void as_pytorch(void **state) { golden_check_op("softmax"); }
 *
 * runs every case of tests/golden/ops/softmax.txt (tests/golden/make_ops.py makes it; tests/golden.h has the format).
 * A case's settings are attributes, by the names of the op's `fields`.  Input i is the array in<i> (the leading dim is
 * the batch) or param<i> (not batched), and is absent if there is neither; out<i>, dout0 and din<i> are outputs and
 * gradients.
 */
#ifndef LS_TESTS_GOLDEN_OP_H
#define LS_TESTS_GOLDEN_OP_H

#include "tests/check_run.h"
#include "tests/golden.h"

/* Writes an attribute; dims are "1,0,2". */
static inline void golden_set(const golden *g, const ls_field *f, char *args, const char *text)
{
    char   *at     = args + f->offset;
    float   number = strtof(text, NULL);
    bool    truth  = number != 0;
    int64_t whole  = strtoll(text, NULL, 10);
    ls_dims dims   = {0};
    switch (f->kind) {
    case LS_FIELD_FLOAT:
        memcpy(at, &number, sizeof number);
        return;
    case LS_FIELD_BOOL:
        memcpy(at, &truth, sizeof truth);
        return;
    case LS_FIELD_INT:
        memcpy(at, &(int){(int)whole}, sizeof(int));
        return;
    case LS_FIELD_INT64:
        memcpy(at, &whole, sizeof whole);
        return;
    case LS_FIELD_DIMS:
        for (char *rest = (char *)text; *rest; rest += *rest == ',') {
            assert_true(dims.rank < LS_MAX_DIMS);
            dims.dim[dims.rank++] = strtoll(rest, &rest, 10);
        }
        memcpy(at, &dims, sizeof dims);
        return;
    case LS_FIELD_CHOICE:
        assert_true(ls__enum_find(f->choices, text) >= 0);
        memcpy(at, &(int){ls__enum_find(f->choices, text)}, sizeof(int));
        return;
    default:
        fail_msg("%s: case %d: '%s' is not a number", g->path, g->number, f->name);
    }
}

static inline void golden_set_all(const golden *g, const ls_op *op, char *args)
{
    for (int i = 0; i < g->settings; i++) {
        const ls_field *f = op->fields;
        while (f && f->name && strcmp(f->name, g->key[i]) != 0) f++;
        if (!f || !f->name)
            fail_msg("%s: case %d: '%s' has no attribute '%s'", g->path, g->number, op->name, g->key[i]);
        golden_set(g, f, args, g->value[i]);
    }
}

/* Fills a case from the arrays.  Returns its number of samples. */
static inline int64_t golden_inputs(const golden *g, const ls_op *op, check_case *cs, const golden_array *in[LS_MAX_IN])
{
    int64_t rows = 0;
    for (int i = 0; i < op->ins; i++) {
        char name[24];
        snprintf(name, sizeof name, "in%d", i);
        in[i]        = golden_find(g, name);
        bool batched = in[i] != NULL;
        snprintf(name, sizeof name, "param%d", i);
        if (!batched) in[i] = golden_find(g, name);
        cs->in[i].absent = !in[i];
        if (!in[i]) continue;
        cs->in[i].param = !batched;
        cs->in[i].type  = in[i]->type;
        for (int d = batched; d < in[i]->rank; d++) cs->in[i].dims[d - batched] = in[i]->dim[d];
        if (batched) rows = in[i]->dim[0];
    }
    return rows;
}

/* Tolerance: relative to each value, plus a tenth of it relative to the largest value, for sums that cancel. */
static inline void golden_compare(const golden *g, const char *name, int64_t n, const float *got)
{
    const golden_array *want = golden_get(g, name);
    double              most = 0;
    for (int64_t i = 0; i < want->count; i++)
        most = isfinite(want->f32[i]) ? fmax(most, fabs((double)want->f32[i])) : most;
    if (n != want->count)
        fail_msg("%s: case %d: %s has %lld elements, PyTorch has %lld", g->path, g->number, name, (long long)n,
                 (long long)want->count);
    golden_close_to(g, name, n, got, want->f32, 1e-5, 1e-6 * most);
}

static inline void golden_check_case(const golden *g, int id, ls_isa isa)
{
    const ls_op        *op            = ls__isa_table_of(isa)->op[id];
    const golden_array *in[LS_MAX_IN] = {NULL};
    char               *args          = ls_arena_alloc(g->arena, op->args_bytes);
    check_case          cs            = {.args = args};
    check_setup         s;
    golden_set_all(g, op, args);
    int64_t rows = golden_inputs(g, op, &cs, in);
    check_setup_new(&s, id, isa, LS_F32, 0, &cs, NULL, rows);
    for (int i = 0; i < op->ins; i++)
        if (in[i])
            memcpy(s.x[i], in[i]->f32 ? (void *)in[i]->f32 : (void *)in[i]->i32, (size_t)in[i]->count * sizeof(float));
    char name[24];
    for (int o = 0; o < ls__results(s.n); o++) {
        snprintf(name, sizeof name, "dout%d", o);
        const golden_array *dy = golden_get(g, name);
        assert_int_equal(dy->count, check_elements(s.n->out[o], rows));
        memcpy(s.dy[o], dy->f32, (size_t)dy->count * sizeof(float));
    }
    check_result r = check_run(&s, (check_how){0});
    for (int o = 0; o < ls__results(s.n); o++) {
        snprintf(name, sizeof name, "out%d", o);
        golden_compare(g, name, check_elements(s.n->out[o], rows), r.y[o]);
    }
    for (int i = 0; i < op->ins; i++) {
        snprintf(name, sizeof name, "din%d", i);
        if (check_has_grad(&s, i)) golden_compare(g, name, check_elements(s.n->in[i], rows), r.dx[i]);
    }
    check_setup_free(&s);
}

static inline void golden_check_op(const char *name)
{
    int id = ls__op_find(name), cases = 0;
    if (id < 0) fail_msg("there is no op '%s'", name);
    char path[128];
    snprintf(path, sizeof path, "ops/%s.txt", name);
    for (int isa = 0; isa <= (int)ls_isa_best(); isa++) {
        assert_int_equal(ls_isa_set((ls_isa)isa), LS_OK);
        golden g = golden_open(path);
        for (; golden_next(&g); cases++) golden_check_case(&g, id, (ls_isa)isa);
        golden_close(&g);
    }
    assert_true(cases > 0);
}

#endif
