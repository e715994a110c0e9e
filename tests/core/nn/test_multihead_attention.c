/* SPDX-License-Identifier: Apache-2.0
 * core/nn/multihead_attention.c: values and gradients of PyTorch's nn.MultiheadAttention, fused and as separate ops,
 * and the growth of memory with the number of positions. */
#include "core/graph/program.h"
#include "dist/trainer/trainer.h"
#include "tests/golden.h"
#include "tests/unit.h"

enum { WIDTH = 12, HEADS = 3, SAMPLES = 2, QUERIES = 5, KEYS = 7, MOST = SAMPLES * KEYS * WIDTH };

/* One case of tests/golden/make_multihead_attention.py. */
typedef struct attention {
    ls_graph  *g;
    int64_t    keys;
    ls_tensor *y, *weights, *loss;
    float      role[3][MOST], dy[MOST];
    int32_t    padding[SAMPLES * KEYS];
    ls_batch   batch;
} attention;

static const char *const roles[] = {"q", "k", "v"};

static void give(attention *a, const char *name, const void *data)
{
    a->batch.name[a->batch.inputs]   = name;
    a->batch.data[a->batch.inputs++] = data;
}

/* Adds an array of zeros to the samples: its gradient is the sum of the samples' gradients. */
static ls_tensor *role(attention *a, int i)
{
    const int64_t rows = i == 0 ? QUERIES : a->keys;
    golden_fill(roles[i], SAMPLES * rows * WIDTH, 2, a->role[i]);
    give(a, roles[i], a->role[i]);
    ls_tensor *x = ls_input(a->g, roles[i], LS_F32, rows, WIDTH);
    return ls_add(x, ls_param(a->g, roles[i], ((ls_init){.kind = LS_INIT_ZEROS}), rows, WIDTH));
}

static void build(attention *a, const golden *file, bool textbook)
{
    const bool cross    = golden_number(file, "cross", 0) != 0;
    const int  additive = (int)golden_number(file, "additive", 0);
    *a                  = (attention){.g = ls_graph_new(), .keys = cross ? KEYS : QUERIES};
    a->batch.rows = a->batch.global_rows = SAMPLES;
    ls_tensor *q = role(a, 0), *k = cross ? role(a, 1) : NULL, *v = cross ? role(a, 2) : NULL, *padding = NULL,
              *mask = NULL;
    if (golden_number(file, "padding", 0) != 0) {
        golden_labels("padding", SAMPLES * a->keys, 2, a->padding);
        for (int b = 0; b < SAMPLES; b++) a->padding[b * a->keys] = 0;
        give(a, "padding", a->padding);
        padding = ls_input(a->g, "padding", LS_I32, a->keys);
    }
    if (additive == 2) mask = ls_param(a->g, "mask", (ls_init){0}, QUERIES, a->keys);
    if (additive == 3) mask = ls_param(a->g, "mask", (ls_init){0}, HEADS, QUERIES, a->keys);
    if (mask) assert_int_equal(ls_freeze(a->g, "mask"), 1);
    a->y = ls_multihead_attention(
        a->g, "mha", q, k, v, padding, mask, .heads = HEADS, .causal = golden_number(file, "causal", 0) != 0,
        .window = (int64_t)golden_number(file, "window", 0), .cap = (float)golden_number(file, "cap", 0),
        .no_bias = golden_number(file, "no_bias", 0) != 0, .textbook = textbook);
    golden_fill("dy", SAMPLES * QUERIES * WIDTH, 2, a->dy);
    give(a, "dy", a->dy);
    a->loss = ls_sum(ls_mul(a->y, ls_input(a->g, "dy", LS_F32, QUERIES, WIDTH)));
    assert_ok(ls_graph_status(a->g));
    for (int i = 0; i < a->g->tensors; i++)
        if (strcmp(a->g->tensor[i]->name, "mha.weights") == 0) a->weights = a->g->tensor[i];
    assert_true((a->weights != NULL) == textbook);
}

static int64_t count_of(int rank, const int64_t *dim)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++) count *= dim[i];
    return count;
}

static void fill_params(ls_params *params)
{
    for (int i = 0; i < ls_params_count(params); i++) {
        const char    *name;
        const int64_t *dim;
        int            rank;
        float         *values = ls_params_get(params, i, &name, &rank, &dim);
        if (strncmp(name, "mha.", 4) == 0) golden_fill(name + 4, count_of(rank, dim), 1.5, values);
        if (strcmp(name, "mask") == 0) golden_fill(name, count_of(rank, dim), 2, values);
    }
}

static void check_values(const attention *a, const golden *file, ls_params *params)
{
    ls_model  *m;
    ls_tensor *out[] = {a->y, a->weights};
    assert_ok(ls_model_new(&m, a->g, params, out, a->weights ? 2 : 1, SAMPLES));
    assert_ok(ls_model_run(m, &a->batch));
    golden_close_to(file, "y", SAMPLES * QUERIES * WIDTH, ls_model_output(m, 0), golden_get(file, "y")->f32, 1e-5,
                    1e-6);
    if (a->weights)
        golden_close_to(file, "weights", SAMPLES * HEADS * QUERIES * a->keys, ls_model_output(m, 1),
                        golden_get(file, "weights")->f32, 1e-5, 1e-7);
    ls_model_free(m);
}

/* With SGD at learning rate 1 a parameter changes by minus its gradient. */
static void check_gradients(const attention *a, const golden *file, ls_trainer *t)
{
    ls_params *params  = ls_trainer_params(t);
    float     *before  = malloc(params->floats * sizeof *before), gradient[3 * WIDTH * WIDTH];
    int        checked = 0;
    memcpy(before, params->block.data, params->floats * sizeof *before);
    assert_ok(ls_trainer_step(t, &a->batch, NULL));
    for (int i = 0; i < ls_params_count(params); i++) {
        const char         *name;
        const int64_t      *dim;
        int                 rank;
        const float        *values = ls_params_get(params, i, &name, &rank, &dim);
        const golden_array *want   = golden_find(file, name);
        if (!want) continue;
        assert_int_equal(want->count, count_of(rank, dim));
        for (int64_t k = 0; k < want->count; k++)
            gradient[k] = before[values - (const float *)params->block.data + k] - values[k];
        golden_close_to(file, name, want->count, gradient, want->f32, 1e-5, 2e-6);
        checked++;
    }
    assert_int_equal(checked, file->arrays - 2); /* all but y and weights */
    free(before);
}

static void as_pytorch(void **state)
{
    int cases = 0;
    for (int isa = 0; isa <= (int)ls_isa_best(); isa++)
        for (int textbook = 0; textbook < 2; textbook++) {
            assert_ok(ls_isa_set((ls_isa)isa));
            golden file = golden_open("values/multihead_attention.txt");
            for (; golden_next(&file); cases++) {
                attention   a;
                ls_trainer *t;
                build(&a, &file, textbook);
                assert_ok(ls_trainer_new(&t, a.g, a.loss, .batch = SAMPLES, .optim = ls_sgd(.lr = 1)));
                fill_params(ls_trainer_params(t));
                check_values(&a, &file, ls_trainer_params(t));
                check_gradients(&a, &file, t);
                ls_trainer_free(t);
                ls_graph_free(a.g);
            }
            golden_close(&file);
        }
    assert_true(cases >= 20);
}

/* PyTorch's names, order, layouts and initialisers. */
static void parameters(void **state)
{
    static const struct {
        const char  *name, *shape;
        ls_init_kind init;
    } want[] = {{"block.mha.in_proj_weight", "36 x 12", LS_INIT_XAVIER_UNIFORM},
                {"block.mha.in_proj_bias", "36", LS_INIT_ZEROS},
                {"block.mha.out_proj.weight", "12 x 12", LS_INIT_DEFAULT},
                {"block.mha.out_proj.bias", "12", LS_INIT_ZEROS}};
    for (int textbook = 0; textbook < 2; textbook++) {
        ls_graph *g     = ls_graph_new();
        int       found = 0;
        ls_scope(g, "block");
        ls_multihead_attention(g, "mha", ls_input(g, "x", LS_F32, QUERIES, WIDTH), .heads = HEADS,
                               .textbook = textbook);
        ls_scope_end(g);
        assert_ok(ls_graph_status(g));
        for (int i = 0; i < g->tensors; i++) {
            const ls_tensor *t = g->tensor[i];
            if (strcmp(t->name, "block.mha.weights") == 0) assert_true(textbook);
            if (t->role != LS_ROLE_PARAM) continue;
            assert_true(found < 4);
            assert_string_equal(t->name, want[found].name);
            assert_string_equal(ls__shape(t), want[found].shape);
            assert_int_equal(t->init.kind, want[found].init);
            found++;
        }
        assert_int_equal(found, 4);
        ls_graph_free(g);
    }
}

static size_t planned(int64_t t, bool textbook)
{
    ls_graph   *g = ls_graph_new();
    ls_params  *params;
    ls_program *p;
    ls_tensor  *y = ls_multihead_attention(g, "mha", ls_input(g, "x", LS_F32, t, 32), .heads = 4, .causal = true,
                                           .dropout = 0.1f, .textbook = textbook);
    assert_ok(ls_params_new(&params, g, 1));
    assert_ok(ls__program_new(&p, g, params,
                              &(ls_program_options){.loss = ls_sum(ls_mul(y, y)), .max_rows = 2, .max_shards = 1}));
    assert_ok(ls__program_plan(p));
    size_t bytes = p->arena_bytes;
    ls__program_free(p);
    ls_params_free(params);
    ls_graph_free(g);
    return bytes;
}

static void memory_is_linear_in_time(void **state)
{
    const double small = (double)planned(256, false), medium = (double)planned(1024, false),
                 large = (double)planned(4096, false);
    const double slope = (large - medium) / (medium - small); /* 4 if linear, 16 if quadratic */
    if (!(slope > 3.99 && slope < 4.01) || large > 16 * small)
        fail_msg("planned bytes of a step at T = 256, 1024 and 4096 are %.0f, %.0f and %.0f", small, medium, large);
    assert_true((double)planned(1024, true) > 12 * (double)planned(256, true));
}

static void mistakes_are_named(void **state)
{
    static const struct {
        int64_t     width, key_width, value_width; /* 0: not given */
        int         heads;
        const char *says;
    } table[] = {{12, 0, 0, 5, "a multiple of 5 heads"},
                 {12, 0, 0, -1, "a multiple of -1 heads"},
                 {12, 12, 0, 3, "keys are given without values"},
                 {12, 0, 12, 3, "values are given without keys"},
                 {12, 9, 12, 3, "and 'k' of B x 7 x 9"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_graph  *g = ls_graph_new();
        ls_tensor *q = ls_input(g, "q", LS_F32, QUERIES, table[i].width);
        ls_tensor *k = table[i].key_width ? ls_input(g, "k", LS_F32, KEYS, table[i].key_width) : NULL;
        ls_tensor *v = table[i].value_width ? ls_input(g, "v", LS_F32, KEYS, table[i].value_width) : NULL;
        assert_null(ls_multihead_attention(g, "mha", q, k, v, .heads = table[i].heads));
        assert_fails(ls_graph_status(g), LS_ERR_USAGE, table[i].says);
        assert_fails(ls_graph_status(g), LS_ERR_USAGE, "test_multihead_attention.c:");
        ls_graph_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_pytorch), cmocka_unit_test(parameters),
                                       cmocka_unit_test(memory_is_linear_in_time),
                                       cmocka_unit_test(mistakes_are_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
