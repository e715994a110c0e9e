/* SPDX-License-Identifier: Apache-2.0
 * core/nn/transformer_block.c: PyTorch's values and gradients with PyTorch's parameters, with fused attention and with
 * separate ops; positional encodings. */
#include "core/graph/graph.h"
#include "dist/dist.h"
#include "tests/golden.h"
#include "tests/unit.h"

enum { B = 2, T = 5, S = 7, E = 8 };

/* The inputs of a case. */
typedef struct data {
    float    x[B * T * E], memory[B * S * E], dy[B * T * E];
    int32_t  padding[B * T], memory_padding[B * S];
    ls_batch batch;
} data;

static void pad(const char *name, int64_t length, int32_t *x)
{
    golden_labels(name, B * length, 2, x);
    for (int i = 0; i < B; i++) x[i * length] = 0;
}

static void data_fill(data *d)
{
    golden_fill("x", B * T * E, 2, d->x);
    golden_fill("memory", B * S * E, 2, d->memory);
    golden_fill("dy", B * T * E, 2, d->dy);
    pad("padding", T, d->padding);
    pad("memory_padding", S, d->memory_padding);
    d->batch = (ls_batch){.inputs      = 5,
                          .name        = {"x", "dy", "memory", "padding", "memory_padding"},
                          .data        = {d->x, d->dy, d->memory, d->padding, d->memory_padding},
                          .rows        = B,
                          .global_rows = B};
}

static ls_tensor *build(const golden *c, ls_graph *g, bool textbook)
{
    return ls_transformer(
        g, "block", ls_input(g, "x", LS_F32, T, E),
        .memory         = golden_number(c, "decoder", 0) != 0 ? ls_input(g, "memory", LS_F32, S, E) : NULL,
        .key_padding    = golden_number(c, "key_padding", 0) != 0 ? ls_input(g, "padding", LS_I32, T) : NULL,
        .memory_padding = golden_number(c, "memory_padding", 0) != 0 ? ls_input(g, "memory_padding", LS_I32, S) : NULL,
        .heads = 2, .hidden = 12, .causal = golden_number(c, "causal", 0) != 0,
        .norm_first = golden_number(c, "norm_first", 0) != 0,
        .activation = golden_number(c, "gelu", 0) != 0 ? LS_GELU : LS_RELU, .textbook = textbook);
}

static const char *short_name(const char *name) { return name + strlen("block."); }

static void fill(ls_params *params, float *before[])
{
    for (int i = 0; i < ls_params_count(params); i++) {
        const char    *name;
        const int64_t *dim;
        int            rank;
        int64_t        count = 1;
        float         *w     = ls_params_get(params, i, &name, &rank, &dim);
        for (int d = 0; d < rank; d++) count *= dim[d];
        golden_fill(short_name(name), count, 1, w);
        for (int64_t k = 0; k < count && strstr(name, "norm") && strstr(name, ".weight"); k++) w[k] += 1;
        before[i] = malloc((size_t)count * sizeof *w);
        memcpy(before[i], w, (size_t)count * sizeof *w);
    }
}

static void compare_values(const golden *c, const data *d, bool textbook)
{
    ls_graph  *g = ls_graph_new();
    ls_tensor *y = build(c, g, textbook);
    ls_params *params;
    ls_model  *m;
    float     *before[32];
    assert_ok(ls_params_new(&params, g, 1));
    fill(params, before);
    assert_ok(ls_model_new(&m, g, params, &y, 1, B));
    assert_ok(ls_model_run(m, &d->batch));
    golden_close_to(c, "y", B * T * E, ls_model_output(m, 0), golden_get(c, "y")->f32, 1e-5, 2e-6);
    for (int i = 0; i < ls_params_count(params); i++) free(before[i]);
    ls_model_free(m);
    ls_params_free(params);
    ls_graph_free(g);
}

/* A step of SGD with learning rate 1 subtracts the gradient from each parameter. */
static void compare_gradients(const golden *c, const data *d, bool textbook)
{
    ls_graph   *g = ls_graph_new();
    ls_tensor  *y = build(c, g, textbook), *loss = ls_sum(ls_mul(y, ls_input(g, "dy", LS_F32, T, E)));
    ls_trainer *t;
    ls_metrics  metrics;
    float      *before[32];
    assert_ok(ls_trainer_new(&t, g, loss, .batch = B, .optim = ls_sgd(.lr = 1)));
    ls_params *params = ls_trainer_params(t);
    fill(params, before);
    assert_ok(ls_trainer_step(t, &d->batch, &metrics));
    assert_int_equal(ls_params_count(params), c->arrays - 1);
    for (int i = 0; i < ls_params_count(params); i++) {
        const char         *name;
        const float        *w    = ls_params_get(params, i, &name, NULL, NULL);
        const golden_array *want = golden_get(c, short_name(name));
        for (int64_t k = 0; k < want->count; k++) before[i][k] -= w[k];
        golden_close_to(c, name, want->count, before[i], want->f32, 1e-5, 1e-5);
        free(before[i]);
    }
    ls_trainer_free(t);
    ls_graph_free(g);
}

static void blocks_as_pytorch(void **state)
{
    static data d;
    golden      file  = golden_open("values/transformer.txt");
    int         cases = 0;
    data_fill(&d);
    for (; golden_next(&file); cases++)
        for (int textbook = 0; textbook < 2; textbook++) {
            compare_values(&file, &d, textbook);
            compare_gradients(&file, &d, textbook);
        }
    assert_int_equal(cases, 5);
    golden_close(&file);
}

static void encodings(void **state)
{
    ls_graph  *g = ls_graph_new();
    ls_tensor *x = ls_input(g, "x", LS_F32, T, E), *start = ls_input(g, "start", LS_I32), *y[4];
    for (int kind = 0; kind < 4; kind++)
        y[kind] = ls_positional_encoding(g, "position", x, .kind = (ls_encoding)kind, .context = 9, .scaled = true,
                                         .start = start);
    assert_ok(ls_graph_status(g));
    assert_true(y[LS_ENCODING_ROTARY] == x && y[LS_ENCODING_NONE] == x);
    ls_params *params;
    ls_model  *m;
    data       d;
    assert_ok(ls_params_new(&params, g, 1));
    assert_int_equal(ls_params_total(params), 9 * E);
    assert_int_equal(ls_params_find(params, "position.weight"), 0);
    const float *w = ls_params_get(params, 0, NULL, NULL, NULL);
    data_fill(&d);
    assert_ok(ls_model_new(&m, g, params, y, 2, 1));
    assert_ok(ls_model_run(
        m,
        &(ls_batch){.inputs = 2, .name = {"x", "start"}, .data = {d.x, &(int32_t){3}}, .rows = 1, .global_rows = 1}));
    for (int t = 0; t < T; t++)
        for (int k = 0; k < E; k++) {
            const double angle = (3 + t) * pow(10000, -(k / 2 * 2) / (double)E), wave = k % 2 ? cos(angle) : sin(angle);
            const float  in = d.x[t * E + k];
            assert_true(fabs((double)ls_model_output(m, 0)[t * E + k] - (double)(in + w[(3 + t) * E + k])) < 1e-6);
            assert_true(fabs((double)ls_model_output(m, 1)[t * E + k] - ((double)in * sqrt(E) + wave)) < 1e-5);
        }
    ls_model_free(m);
    ls_params_free(params);
    ls_graph_free(g);
}

static void mistakes_are_named(void **state)
{
    ls_graph *g = ls_graph_new();
    assert_null(
        ls_transformer(g, "block", ls_input(g, "x", LS_F32, T, E), .memory_padding = ls_input(g, "p", LS_I32, S)));
    assert_fails(ls_graph_status(g), LS_ERR_USAGE, "transformer 'block': memory_padding is given without memory");
    ls_graph_free(g);
    g = ls_graph_new();
    assert_null(ls_transformer(g, "block", ls_input(g, "x", LS_F32, T, E), .heads = 3));
    assert_fails(ls_graph_status(g), LS_ERR_USAGE, "a multiple of 3 heads");
    ls_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(blocks_as_pytorch), cmocka_unit_test(encodings),
                                       cmocka_unit_test(mistakes_are_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
