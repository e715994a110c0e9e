/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * Decoders that Hugging Face's transformers has written (tests/golden/make_decoders.py): config.json gives the options,
 * and the number of parameters, logits, greedy tokens with a KV cache, and twenty losses equal transformers' values.
 * Saved again, config.json and weights give the same model. */
#include <jansson.h>

#include "core/graph/graph.h"
#include "dist/dist.h"
#include "dist/interop/architecture.h"
#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/golden.h"
#include "tests/unit.h"

enum { SAMPLES = 3, T = 16, PROMPT = 5, EVERY = 5, KEPT = (T + EVERY - 1) / EVERY, MOST_TOKENS = 64 };

static int32_t tokens[SAMPLES * T], target[SAMPLES * T];

static ls_decoder_args args_of(const char *folder)
{
    char            path[4200];
    ls_decoder_args a;
    json_error_t    error;
    snprintf(path, sizeof path, "%s/config.json", folder);
    json_t *config = json_load_file(path, 0, &error);
    if (!config) fail_msg("%s: %s", path, error.text);
    assert_ok(ls__arch_decoder.read(path, config, &a));
    json_decref(config);
    return a;
}

typedef struct decoder {
    ls_graph *g;
    ls_model *m;
    int64_t   vocab;
} decoder;

/* A model without a loss. */
static decoder decoder_new(ls_decoder_args a, int64_t rows, int64_t length, ls_params *params, int64_t cached)
{
    decoder d = {.g = ls_graph_new(), .vocab = a.vocab};
    a.g       = d.g;
    a.x       = ls_input(d.g, "tokens", LS_I32, length);
    a.cached  = cached;
    if (cached) a.start = ls_input(d.g, "start", LS_I32);
    ls_tensor *logits = ls__decoder(a);
    assert_ok(ls_graph_status(d.g));
    assert_ok(ls_model_new(&d.m, d.g, params, &logits, 1, (int)rows));
    return d;
}

static const float *decoder_run(decoder *d, int64_t rows, const int32_t *input, const int32_t *start)
{
    const ls_batch batch = {.inputs      = start ? 2 : 1,
                            .name        = {"tokens", "start"},
                            .data        = {input, start},
                            .rows        = rows,
                            .global_rows = rows};
    assert_ok(ls_model_run(d->m, &batch));
    return ls_model_output(d->m, 0);
}

static void decoder_free(decoder *d)
{
    ls_model_free(d->m);
    ls_graph_free(d->g);
}

static void check_logits(const golden *file, const ls_decoder_args *a, ls_params *params)
{
    decoder      d = decoder_new(*a, SAMPLES, T, params, 0);
    const float *y = decoder_run(&d, SAMPLES, tokens, NULL);
    float        kept[SAMPLES * KEPT * MOST_TOKENS];
    for (int i = 0; i < SAMPLES * KEPT; i++)
        memcpy(kept + i * a->vocab, y + (i / KEPT * T + i % KEPT * EVERY) * a->vocab, (size_t)a->vocab * sizeof *kept);
    golden_close_to(file, "logits", SAMPLES * KEPT * a->vocab, kept, golden_get(file, "logits")->f32, 1e-4, 1e-4);
    decoder_free(&d);
}

static int32_t largest(const float *logits, int64_t vocab)
{
    int64_t index = 0;
    for (int64_t v = 1; v < vocab; v++)
        if (logits[v] > logits[index]) index = v;
    return (int32_t)index;
}

/* Decodes token by token with a cache; at the end the cache gives the bits of a run over the whole text. */
static void check_greedy(const golden *file, const ls_decoder_args *a, ls_params *params)
{
    const golden_array *want   = golden_get(file, "greedy");
    const int64_t       length = PROMPT + want->dim[1];
    decoder             d      = decoder_new(*a, SAMPLES, 1, params, length);
    int32_t             text[SAMPLES * MOST_TOKENS], next[SAMPLES], start[SAMPLES];
    float               last[SAMPLES * MOST_TOKENS];
    for (int b = 0; b < SAMPLES; b++) memcpy(text + b * length, tokens + b * T, PROMPT * sizeof *text);
    for (int64_t t = 0; t < length; t++) {
        for (int b = 0; b < SAMPLES; b++) {
            next[b]  = text[b * length + t];
            start[b] = (int32_t)t;
        }
        const float *y = decoder_run(&d, SAMPLES, next, start);
        for (int b = 0; b < SAMPLES && t + 1 >= PROMPT && t + 1 < length; b++) {
            text[b * length + t + 1] = largest(y + b * a->vocab, a->vocab);
            assert_int_equal(text[b * length + t + 1], want->i32[b * want->dim[1] + t + 1 - PROMPT]);
        }
        memcpy(last, y, (size_t)(SAMPLES * a->vocab) * sizeof *last);
    }
    decoder_free(&d);
    d              = decoder_new(*a, SAMPLES, length, params, 0);
    const float *y = decoder_run(&d, SAMPLES, text, NULL);
    for (int b = 0; b < SAMPLES; b++)
        assert_memory_equal(last + b * a->vocab, y + ((b + 1) * length - 1) * a->vocab,
                            (size_t)a->vocab * sizeof *last);
    decoder_free(&d);
}

static void check_saving(ls_trainer *t, const ls_graph *g)
{
    char           folder[FILES_PATH], path[FILES_PATH + 32];
    bool           written;
    const uint64_t digest = ls_params_digest(ls_trainer_params(t));
    folder_make(folder);
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_ok(ls_hf_config_save(path, g, &written));
    assert_true(written);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_ok(ls_safetensors_save(path, ls_trainer_params(t), NULL));
    golden_fill_params(ls_trainer_params(t), 1);
    assert_true(ls_params_digest(ls_trainer_params(t)) != digest);
    assert_ok(ls_pretrained_load(folder, ls_trainer_params(t), NULL));
    assert_true(ls_params_digest(ls_trainer_params(t)) == digest);
    folder_remove(folder);
}

static void check_family(const golden *file, const char *folder)
{
    const golden_array *want = golden_get(file, "losses");
    ls_graph           *g    = ls_graph_new();
    ls_decoder_args     a    = args_of(folder), b;
    ls_trainer         *t;
    b        = a;
    b.g      = g;
    b.x      = ls_input(g, "tokens", LS_I32, T);
    b.target = ls_input(g, "target", LS_I32, T);
    assert_ok(ls_trainer_new(&t, g, ls__decoder(b), .batch = SAMPLES, .seed = 1,
                             .optim = ls_adamw(.lr = 0.01f, .weight_decay = 0.01f)));
    assert_int_equal(ls_params_total(ls_trainer_params(t)), (int)golden_number(file, "parameters", 0));
    assert_ok(ls_pretrained_load(folder, ls_trainer_params(t), NULL));
    check_logits(file, &a, ls_trainer_params(t));
    check_greedy(file, &a, ls_trainer_params(t));
    check_saving(t, g);
    const ls_batch batch = {
        .inputs = 2, .name = {"tokens", "target"}, .data = {tokens, target}, .rows = SAMPLES, .global_rows = SAMPLES};
    for (int step = 0; step < want->count; step++) {
        ls_metrics metrics;
        assert_ok(ls_trainer_step(t, &batch, &metrics));
        const float loss = (float)metrics.loss;
        golden_close_to(file, "loss", 1, &loss, want->f32 + step, 1e-3, 1e-4);
    }
    ls_trainer_free(t);
    ls_graph_free(g);
}

static void as_transformers(void **state)
{
    int    cases = 0;
    golden file  = golden_open("values/decoders.txt");
    (void)state;
    for (; golden_next(&file); cases++) {
        char                folder[512];
        const golden_array *logits = golden_get(&file, "logits");
        snprintf(folder, sizeof folder, "%s/tests/golden/decoders/%s", LOCKSTEP_SOURCE, file.name);
        golden_labels("tokens", SAMPLES * T, (uint32_t)logits->dim[2], tokens);
        golden_labels("target", SAMPLES * T, (uint32_t)logits->dim[2], target);
        check_family(&file, folder);
    }
    golden_close(&file);
    assert_int_equal(cases, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_transformers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
