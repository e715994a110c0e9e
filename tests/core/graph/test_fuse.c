/* SPDX-License-Identifier: Apache-2.0
 *
 * Fused nodes: which ops are fused, and that values and gradients have the bits of separate ops.  A program that keeps
 * all values does not fuse. */
#include <math.h>

#include "core/graph/graph.h"
#include "core/graph/program.h"
#include "tests/unit.h"

enum { CHANNELS = 3, HEIGHT = 5, WIDTH = 7, SIZE = CHANNELS * HEIGHT * WIDTH, ROWS = 11, SHARDS = 4, MOST = 4 };

typedef enum function { NONE, RELU, RELU6, GELU, HARDSWISH, TANH, SCALE, FUNCTIONS } function;

typedef struct kind {
    function    f;
    bool        add, twice, first; /* adds a tensor; which has another reader later; the sum's first operand is added */
    bool        input;             /* the batch norm reads the input, which has no gradient */
    int64_t     over;
    bool        frozen;
    const char *name; /* of the fused instruction */
} kind;

/* A graph, and its values that a fused program does not have. */
typedef struct model {
    ls_graph  *g;
    ls_tensor *loss, *inner[MOST];
    int        inners;
} model;

static ls_tensor *apply(function f, ls_tensor *x)
{
    switch (f) {
    case RELU:
        return ls_relu(x);
    case RELU6:
        return ls_relu6(x);
    case GELU:
        return ls_gelu(x);
    case HARDSWISH:
        return ls_hardswish(x);
    case TANH:
        return ls_tanh(x);
    case SCALE:
        return ls_scale(x, .factor = 0.7f);
    default:
        return x;
    }
}

static ls_tensor *weighted(ls_graph *g, const char *name, ls_tensor *x)
{
    const ls_init init = {.kind = LS_INIT_NORMAL, .std = 1};
    ls_tensor    *w    = ls_param(g, name, init, CHANNELS, HEIGHT, WIDTH);
    return ls_mul(x, w);
}

static model model_of(const kind *k)
{
    model      m = {.g = ls_graph_new()};
    ls_tensor *x = ls_input(m.g, "x", LS_F32, CHANNELS, HEIGHT, WIDTH), *s = weighted(m.g, "s", x);
    ls_tensor *y = ls_batch_norm(m.g, "bn", k->input ? x : weighted(m.g, "w", x), .over = k->over, .frozen = k->frozen);
    m.inner[m.inners++] = y;
    if (k->add) m.inner[m.inners++] = y = k->first ? ls_add(s, y) : ls_add(y, s);
    y = apply(k->f, y);
    if (k->twice) y = ls_add(weighted(m.g, "later", y), ls_tanh(s));
    m.loss = ls_sum(ls_reshape(weighted(m.g, "out", y), SIZE));
    assert_ok(ls_graph_status(m.g));
    return m;
}

static bool has_instr(const ls_program *p, ls_instr_kind which, const char *name)
{
    for (int i = 0; i < p->instrs; i++)
        if (p->instr[i].kind == which && !strcmp(p->instr[i].name, name)) return true;
    return false;
}

/* Runs a training step and returns the gradients, then the loss of each sample. */
static float *run(const kind *k, bool keep, const float *data, size_t *count)
{
    model        m = model_of(k);
    ls_params   *params;
    ls_program  *p;
    int64_t      bound[SHARDS + 1];
    ls_tensor   *output[MOST + 1] = {m.loss};
    const size_t outputs          = keep ? (size_t)m.inners + 1 : 1;
    for (int i = 0; i < m.inners; i++) output[i + 1] = m.inner[i];
    for (int i = 0; i <= SHARDS; i++) bound[i] = ROWS * i / SHARDS;
    assert_ok(ls_params_new(&params, m.g, 1));
    assert_ok(ls__program_new(
        &p, m.g, params,
        &(ls_program_options){
            .output = output, .outputs = (int)outputs, .loss = m.loss, .max_rows = ROWS, .max_shards = SHARDS}));
    assert_ok(ls__program_plan(p));
    assert_true(has_instr(p, LS_INSTR_FORWARD, keep ? "batch_norm" : k->name));
    assert_true(has_instr(p, LS_INSTR_BACKWARD, keep ? "batch_norm" : k->name));
    void  *arena = malloc(p->arena_bytes);
    float *found = calloc(params->grads + ROWS, sizeof *found);
    memset(arena, 0xFF, p->arena_bytes);
    assert_ok(ls__program_bind(p, arena));
    ls_batch       batch = {.inputs = 1, .name = {"x"}, .data = {data}, .rows = ROWS, .global_rows = ROWS};
    const ls_group group = {.first = 0, .shards = SHARDS};
    ls_execution   e     = {.batch    = &batch,
                            .rows     = ROWS,
                            .shards   = SHARDS,
                            .bound    = bound,
                            .groups   = 1,
                            .group    = &group,
                            .grads    = found,
                            .training = true};
    assert_ok(ls__program_run(p, &e));
    memcpy(found + params->grads, ls__program_value(p, &e, m.loss), ROWS * sizeof *found);
    *count = params->grads + ROWS;
    free(arena);
    ls__program_free(p);
    ls_params_free(params);
    ls_graph_free(m.g);
    return found;
}

static void bits_are_those_of_separate_ops(void **state)
{
    static const kind kinds[] = {
        {.f = RELU, .name = "batch_norm + relu"},
        {.f = RELU6, .name = "batch_norm + relu6"},
        {.f = GELU, .name = "batch_norm + gelu"},
        {.f = HARDSWISH, .name = "batch_norm + hardswish"},
        {.f = TANH, .name = "batch_norm + tanh"},
        {.f = SCALE, .name = "batch_norm + scale"},
        {.f = RELU, .input = true, .name = "batch_norm + relu"},
        {.f = RELU, .twice = true, .name = "batch_norm + relu"},
        {.f = NONE, .add = true, .name = "batch_norm + add"},
        {.f = RELU, .add = true, .name = "batch_norm + add + relu"},
        {.f = RELU6, .add = true, .first = true, .name = "batch_norm + add + relu6"},
        {.f = TANH, .add = true, .name = "batch_norm + add + tanh"},
        {.f = SCALE, .add = true, .name = "batch_norm + add + scale"},
        {.f = GELU, .add = true, .name = "batch_norm + add"},
        {.f = RELU, .add = true, .twice = true, .name = "batch_norm + add + relu"},
        {.f = NONE, .add = true, .twice = true, .name = "batch_norm + add"},
        {.f = RELU, .add = true, .input = true, .name = "batch_norm + add + relu"},
        {.f = RELU, .add = true, .input = true, .twice = true, .name = "batch_norm + add + relu"},
    };
    float data[ROWS * SIZE];
    for (int i = 0; i < ROWS * SIZE; i++) data[i] = 3 * sinf((float)i * 1.7f);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (int variant = 0; variant < 3; variant++) { /* over the batch, over groups, frozen */
            kind   k = kinds[i];
            size_t count, again;
            k.over       = variant == 1 ? 2 : 0;
            k.frozen     = variant == 2;
            float *fused = run(&k, false, data, &count), *want = run(&k, true, data, &again);
            double square = 0;
            assert_int_equal(count, again);
            for (size_t j = 0; j < count; j++) square += (double)want[j] * (double)want[j];
            assert_true(square > 1 && square < 1e9);
            if (memcmp(fused, want, count * sizeof *want) != 0)
                fail_msg("%s, variant %d of case %zu: other bits", k.name, variant, i);
            free(fused);
            free(want);
        }
}

/* A value in between that has another reader, or that the program keeps, prevents fusion. */
static void values_that_are_needed_are_not_fused(void **state)
{
    ls_graph   *g = ls_graph_new();
    ls_tensor  *x = ls_input(g, "x", LS_F32, CHANNELS, HEIGHT, WIDTH), *a = ls_batch_norm(g, "a", x);
    ls_tensor  *b = ls_batch_norm(g, "b", ls_relu(a)), *c = ls_add(b, a), *y = ls_relu(c);
    ls_tensor  *outputs[] = {y, c};
    ls_params  *params;
    ls_program *p;
    assert_ok(ls_params_new(&params, g, 1));
    for (int keep = 0; keep < 2; keep++) {
        const ls_program_options o = {.output = outputs, .outputs = 1 + keep, .max_rows = 1, .max_shards = 1};
        assert_ok(ls__program_new(&p, g, params, &o));
        assert_true(has_instr(p, LS_INSTR_FORWARD, "batch_norm")); /* a, which has two readers */
        assert_true(has_instr(p, LS_INSTR_FORWARD, keep ? "batch_norm + add" : "batch_norm + add + relu"));
        assert_int_equal(p->instrs, 3 + keep);
        ls__program_free(p);
    }
    ls_params_free(params);
    ls_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bits_are_those_of_separate_ops),
                                       cmocka_unit_test(values_that_are_needed_are_not_fused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
