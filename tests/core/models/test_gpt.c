/* SPDX-License-Identifier: Apache-2.0
 * core/models/gpt.c: numbers of parameters, names, initial values, options, and mistakes.
 * tests/dist/trainer/test_gpt_training.c has its values. */
#include <math.h>

#include "core/models/model_table.h"
#include "dist/dist.h"
#include "tests/unit.h"

static int64_t scalars(const ls_graph *g)
{
    int64_t sum = 0;
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->role == LS_ROLE_PARAM) sum += ls__numel(g->tensor[i]);
    return sum;
}

static const ls_model_entry *entry(const char *name)
{
    const ls_model_entry *m = ls__model_table;
    while (m->name && strcmp(m->name, name) != 0) m++;
    if (!m->name) fail_msg("there is no model '%s'", name);
    return m;
}

/* Every language model returns logits, and the loss if it has a target. */
static void language_models(void **state)
{
    static const struct {
        const char *name;
        int64_t     parameters; /* with a vocabulary of 50,257 */
    } published[] = {
        {"gpt2-small", 124439808}, {"gpt2-medium", 354823168}, {"gpt2-large", 774030080}, {"gpt2-xl", 1557611200}};
    size_t found = 0;
    for (const ls_model_entry *m = ls__model_table; m->name; m++) {
        if (m->kind != LS_LANGUAGE_MODEL) continue;
        for (int with_target = 0; with_target < 2; with_target++) {
            ls_graph *g = ls_graph_new();
            union {
                ls_language_head head;
                char             bytes[1024];
            } args = {.bytes = {0}};
            assert_true(m->args_bytes <= sizeof args);
            if (m->defaults) memcpy(&args, m->defaults, m->args_bytes);
            args.head.g       = g;
            args.head.x       = ls_input(g, "tokens", LS_I32, 8);
            args.head.classes = 50257;
            if (with_target) args.head.target = ls_input(g, "target", LS_I32, 8);
            const ls_tensor *y = m->build(&args);
            assert_ok(ls_graph_status(g));
            assert_string_equal(ls__shape(y), with_target ? "B" : "B x 8 x 50257");
            for (size_t i = 0; i < sizeof published / sizeof *published; i++)
                if (!strcmp(published[i].name, m->name)) {
                    assert_int_equal(scalars(g), published[i].parameters);
                    found++;
                }
            ls_graph_free(g);
        }
    }
    assert_int_equal(found, 8);
    ls_graph   *g    = ls_graph_new(); /* an option takes precedence over the published value */
    ls_gpt_args args = {.g = g, .x = ls_input(g, "tokens", LS_I32, 8), .vocab = 50257, .layers = 1};
    entry("gpt2-small")->build(&args);
    assert_int_equal(scalars(g), 124439808 - 11 * 7087872);
    ls_graph_free(g);
}

static void names_and_shapes_of_hugging_face(void **state)
{
    static const struct {
        const char *name, *shape;
        float       mean, std;
    } layout[] = {{"transformer.wte.weight", "31 x 64", 0, 0.02f},
                  {"transformer.wpe.weight", "24 x 64", 0, 0.02f},
                  {"transformer.h.0.ln_1.weight", "64", 1, 0},
                  {"transformer.h.0.ln_1.bias", "64", 0, 0},
                  {"transformer.h.0.attn.c_attn.weight", "192 x 64", 0, 0.02f},
                  {"transformer.h.0.attn.c_attn.bias", "192", 0, 0},
                  {"transformer.h.0.attn.c_proj.weight", "64 x 64", 0, 0.01f},
                  {"transformer.h.0.attn.c_proj.bias", "64", 0, 0},
                  {"transformer.h.0.ln_2.weight", "64", 1, 0},
                  {"transformer.h.0.ln_2.bias", "64", 0, 0},
                  {"transformer.h.0.mlp.c_fc.weight", "256 x 64", 0, 0.02f},
                  {"transformer.h.0.mlp.c_fc.bias", "256", 0, 0},
                  {"transformer.h.0.mlp.c_proj.weight", "64 x 256", 0, 0.01f},
                  {"transformer.h.0.mlp.c_proj.bias", "64", 0, 0},
                  {"transformer.h.1.ln_1.weight", "64", 1, 0}};
    enum { LAYOUT = sizeof layout / sizeof *layout };
    ls_graph  *g = ls_graph_new();
    ls_params *params;
    ls_gpt(g, ls_input(g, "tokens", LS_I32, 8), 31, .layers = 2, .heads = 2, .width = 64, .context = 24);
    assert_ok(ls_params_new(&params, g, 1));
    assert_int_equal(ls_params_count(params), 2 + 2 * 12 + 2);
    for (int i = 0; i < LAYOUT; i++) {
        const char  *name;
        const float *values = ls_params_get(params, i, &name, NULL, NULL);
        double       sum = 0, squares = 0;
        int          t = 0;
        assert_string_equal(name, layout[i].name);
        while (strcmp(g->tensor[t]->name, name) != 0 || g->tensor[t]->role != LS_ROLE_PARAM) t++;
        assert_string_equal(ls__shape(g->tensor[t]), layout[i].shape);
        const int64_t n = ls__numel(g->tensor[t]);
        for (int64_t k = 0; k < n; k++) sum += (double)values[k], squares += (double)values[k] * (double)values[k];
        const double mean = sum / (double)n, std = sqrt(squares / (double)n - mean * mean);
        assert_true(fabs(mean - (double)layout[i].mean) <= 0.1 * (double)layout[i].std);
        assert_true(fabs(std - (double)layout[i].std) <= 0.1 * (double)layout[i].std);
    }
    ls_params_free(params);
    ls_graph_free(g);
}

/* Logits are equal for tokens one at a time with a cache, in parts, and all at once, for every positional encoding. */
static void positions(void **state)
{
    enum { T = 12, V = 31 };
    static const int32_t tokens[T] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 30};
    const int64_t        without[] = {[LS_ENCODING_LEARNED]    = 0,
                                      [LS_ENCODING_SINUSOIDAL] = 16 * 32,
                                      [LS_ENCODING_ROTARY]     = 16 * 32,
                                      [LS_ENCODING_NONE]       = 16 * 32};
    int64_t              learned   = 0;
    float                last[4][V];
    for (int e = LS_ENCODING_LEARNED; e <= LS_ENCODING_NONE; e++) {
        ls_graph   *g = ls_graph_new(), *h = ls_graph_new();
        ls_gpt_args a      = {.g        = g,
                              .x        = ls_input(g, "tokens", LS_I32, T),
                              .vocab    = V,
                              .layers   = 2,
                              .heads    = 2,
                              .width    = 32,
                              .context  = 16,
                              .position = (ls_encoding)e,
                              .norm     = e % 2 ? LS_NORM_RMS : LS_NORM_LAYER,
                              .no_bias  = e > 1};
        ls_tensor  *logits = ls__gpt(a), *some;
        ls_params  *params;
        ls_model   *whole, *part;
        a.g = h, a.x = ls_input(h, "tokens", LS_I32, 4), a.start = ls_input(h, "start", LS_I32), a.cached = a.context;
        some = ls__gpt(a);
        assert_ok(ls_params_new(&params, g, 1));
        for (int i = 0; i < ls_params_count(params);
             i++) { /* Larger than initial values usually are: with those, positions hardly change the logits. */
            int            rank;
            const int64_t *dim;
            float         *w = ls_params_get(params, i, NULL, &rank, &dim);
            for (int64_t k = 0; rank == 2 && k < dim[0] * dim[1]; k++) w[k] *= 15;
        }
        if (e == LS_ENCODING_LEARNED)
            learned = scalars(g);
        else if (e == LS_ENCODING_SINUSOIDAL)
            assert_int_equal(scalars(g), learned - without[e] - 5 * 32 /* rms has no bias */);
        assert_ok(ls_model_new(&whole, g, params, &logits, 1, 1));
        assert_ok(ls_model_new(&part, h, params, &some, 1, 1));
        assert_ok(ls_model_run(
            whole, &(ls_batch){.inputs = 1, .name = {"tokens"}, .data = {tokens}, .rows = 1, .global_rows = 1}));
        for (int32_t start = 0; start < T; start += 4) {
            assert_ok(ls_model_run(part, &(ls_batch){.inputs      = 2,
                                                     .name        = {"tokens", "start"},
                                                     .data        = {tokens + start, &start},
                                                     .rows        = 1,
                                                     .global_rows = 1}));
            assert_memory_equal(ls_model_output(part, 0), ls_model_output(whole, 0) + start * V, 4 * V * sizeof(float));
        }
        memcpy(last[e], ls_model_output(whole, 0) + (T - 1) * V, sizeof last[e]);
        for (int i = 0; i < V; i++) assert_true(isfinite(last[e][i]));
        for (int other = 0; other < e; other++) assert_memory_not_equal(last[e], last[other], sizeof last[e]);
        ls_model_free(part);
        ls_model_free(whole);
        ls_params_free(params);
        ls_graph_free(h);
        ls_graph_free(g);
    }
}

/* Fused attention and separate ops give equal results from the same parameters; the weights have a name and sum to
 * 1. */
static void textbook(void **state)
{
    enum { T = 8, V = 31 };
    static const int32_t tokens[2 * T] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 30, 29, 7, 0, 3};
    for (int e = LS_ENCODING_LEARNED; e <= LS_ENCODING_ROTARY; e += LS_ENCODING_ROTARY) {
        ls_graph   *g = ls_graph_new(), *h = ls_graph_new();
        ls_gpt_args a      = {.g        = g,
                              .x        = ls_input(g, "tokens", LS_I32, T),
                              .vocab    = V,
                              .layers   = 2,
                              .heads    = 2,
                              .width    = 32,
                              .context  = 16,
                              .position = (ls_encoding)e};
        ls_tensor  *logits = ls__gpt(a), *outputs[2] = {NULL, NULL};
        ls_params  *params;
        ls_model   *fused, *parts;
        a.g = h, a.x = ls_input(h, "tokens", LS_I32, T), a.textbook = true;
        outputs[0] = ls__gpt(a);
        assert_ok(ls_graph_status(h));
        for (int i = 0; i < h->tensors; i++)
            if (!strcmp(h->tensor[i]->name, "transformer.h.1.attn.weights")) outputs[1] = h->tensor[i];
        assert_string_equal(ls__shape(outputs[1]), "B x 2 x 8 x 8");
        assert_ok(ls_params_new(&params, g, 1));
        for (int64_t k = 0; k < 96 * 32; k++)
            ls_params_get(params, ls_params_find(params, "transformer.h.1.attn.c_attn.weight"), NULL, NULL, NULL)[k] *=
                15;
        assert_ok(ls_model_new(&fused, g, params, &logits, 1, 2));
        assert_ok(ls_model_new(&parts, h, params, outputs, 2, 2));
        const ls_batch batch = {.inputs = 1, .name = {"tokens"}, .data = {tokens}, .rows = 2, .global_rows = 2};
        assert_ok(ls_model_run(fused, &batch));
        assert_ok(ls_model_run(parts, &batch));
        for (int i = 0; i < 2 * T * V; i++)
            assert_true(fabsf(ls_model_output(fused, 0)[i] - ls_model_output(parts, 0)[i]) < 1e-5f);
        for (int row = 0; row < 2 * 2 * T; row++) {
            const float *w   = ls_model_output(parts, 1) + row * T;
            float        sum = 0;
            for (int s = 0; s < T; s++) sum += w[s];
            assert_true(fabsf(sum - 1) < 1e-5f && (row % T == T - 1 || w[row % T + 1] == 0));
        }
        ls_model_free(parts);
        ls_model_free(fused);
        ls_params_free(params);
        ls_graph_free(h);
        ls_graph_free(g);
    }
}

/* Planned bytes of training with samples of T tokens. */
static double planned(int64_t t, bool textbook)
{
    ls_graph   *g    = ls_graph_new();
    ls_tensor  *loss = ls_gpt(g, ls_input(g, "tokens", LS_I32, t), 31, ls_input(g, "target", LS_I32, t), .layers = 2,
                              .heads = 4, .width = 32, .context = 4096, .textbook = textbook);
    ls_trainer *trainer;
    assert_ok(ls_trainer_new(&trainer, g, loss, .batch = 1, .optim = ls_adamw(.lr = 1e-3f)));
    const double bytes = (double)ls_trainer_planned_bytes(trainer);
    ls_trainer_free(trainer);
    ls_graph_free(g);
    return bytes;
}

/* Linear within a tolerance: the instruction with the peak differs between short and long samples, and for long ones
 * some values are recomputed. */
static void memory_is_linear_in_the_tokens(void **state)
{
    const double few = planned(256, false), more = planned(1024, false), many = planned(4096, false);
    const double growth = (many - more) / (more - few);
    if (growth < 3 || growth > 4.2)
        fail_msg("planned bytes for 256, 1,024 and 4,096 tokens: %.0f, %.0f, %.0f", few, more, many);
    assert_true(planned(4096, true) > 4 * many); /* attention weights as tensors: 2 x 4 x 4096 x 4096 */
}

static void mistakes_are_named(void **state)
{
    static const struct {
        int64_t     width, context;
        int         heads, layers;
        ls_dtype    type;
        bool        cached;
        const char *says;
    } table[] = {
        {30, 16, 4, 2, LS_I32, false,
         "expected 1 to 1000 layers, at least 1 head, and a width that is a multiple of heads, found layers 2, heads "
         "4, "
         "width 30"},
        {32, 16, 4, -1, LS_I32, false, "layers -1"},
        {32, 7, 4, 2, LS_I32, false, "expected at most 7 positions, the context, found the input 'tokens', B x 8"},
        {32, 16, 4, 2, LS_F32, false, "expected tokens, B x T of int32"},
        {32, 16, 4, 2, LS_I32, true, "cached and a target exclude each other"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_graph *g = ls_graph_new();
        assert_null(ls_gpt(g, ls_input(g, "tokens", table[i].type, 8), 31, ls_input(g, "target", LS_I32, 8),
                           .layers = table[i].layers, .heads = table[i].heads, .width = table[i].width,
                           .context = table[i].context, .cached = table[i].cached));
        assert_fails(ls_graph_status(g), LS_ERR_USAGE, table[i].says);
        ls_graph_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(language_models),
                                       cmocka_unit_test(names_and_shapes_of_hugging_face),
                                       cmocka_unit_test(positions),
                                       cmocka_unit_test(textbook),
                                       cmocka_unit_test(memory_is_linear_in_the_tokens),
                                       cmocka_unit_test(mistakes_are_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
