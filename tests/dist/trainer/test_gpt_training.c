/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * GPT-2 with weights from a folder written by Hugging Face's transformers, loaded as model.pretrained does.  The number
 * of parameters, logits, ten training losses, and greedy tokens with and without a KV cache equal transformers' values.
 * The argument FOLDER replaces tests/golden/gpt; it needs a gpt.txt made by tests/golden/make_gpt.py. */
#include "core/graph/graph.h"
#include "dist/dist.h"
#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/golden.h"

static const char *folder = LOCKSTEP_SOURCE "/tests/golden/gpt";
static char        given[4096];

static golden open_case(const char *name)
{
    golden file = *given ? golden_open_in(given, "gpt.txt") : golden_open("values/gpt.txt");
    while (golden_next(&file))
        if (!strcmp(file.name, name)) return file;
    fail_msg("%s: expected a case '%s'", file.path, name);
    return file;
}

static ls_gpt_args model_args(void)
{
    golden      file = open_case("model");
    ls_gpt_args a    = {.layers  = (int)golden_number(&file, "layers", 0),
                        .heads   = (int)golden_number(&file, "heads", 0),
                        .width   = (int64_t)golden_number(&file, "width", 0),
                        .vocab   = (int64_t)golden_number(&file, "vocab", 0),
                        .context = (int64_t)golden_number(&file, "context", 0)};
    golden_close(&file);
    return a;
}

static void check(ls_status status)
{
    if (status != LS_OK) fail_msg("%s", ls_error_message());
}

/* A model without a loss, with the parameters of the folder. */
typedef struct decoder {
    ls_graph  *g;
    ls_tensor *logits;
    ls_params *params;
    ls_model  *m;
} decoder;

static decoder decoder_new(int64_t rows, int64_t length, ls_params *params, bool cached)
{
    decoder     d = {.g = ls_graph_new()};
    ls_gpt_args a = model_args();
    a.g           = d.g;
    a.x           = ls_input(d.g, "tokens", LS_I32, length);
    a.cached      = cached ? a.context : 0;
    if (cached) a.start = ls_input(d.g, "start", LS_I32);
    d.logits = ls__gpt(a);
    check(ls_graph_status(d.g));
    if (!params) {
        check(ls_params_new(&d.params, d.g, 1));
        check(ls_safetensors_load(folder, d.params, false));
    }
    check(ls_model_new(&d.m, d.g, params ? params : d.params, &d.logits, 1, rows));
    return d;
}

static void decoder_free(decoder *d)
{
    ls_model_free(d->m);
    ls_params_free(d->params);
    ls_graph_free(d->g);
}

static const float *decoder_run(decoder *d, int64_t rows, const int32_t *tokens, const int32_t *start)
{
    ls_batch batch = {.inputs      = start ? 2 : 1,
                      .name        = {"tokens", "start"},
                      .data        = {tokens, start},
                      .rows        = rows,
                      .global_rows = rows};
    check(ls_model_run(d->m, &batch));
    return ls_model_output(d->m, 0);
}

static void parameters_load_and_save(void **state)
{
    char       saved[8192], scratch[FILES_PATH];
    bool       written;
    golden     file   = open_case("model");
    decoder    d      = decoder_new(1, 1, NULL, false);
    uint64_t   digest = ls_params_digest(d.params);
    ls_params *loaded;
    assert_int_equal(ls_params_total(d.params), atoll(golden_text(&file, "parameters")));
    folder_make(scratch);
    if (*given)
        snprintf(saved, sizeof saved, "%s/saved", given);
    else
        snprintf(saved, sizeof saved, "%s/saved", scratch);
    assert_int_equal(mkdir(saved, 0700), 0);
    char path[8300];
    snprintf(path, sizeof path, "%s/model.safetensors", saved);
    check(ls_safetensors_save(path, d.params, NULL));
    snprintf(path, sizeof path, "%s/config.json", saved);
    check(ls_hf_config_save(path, d.g, &written));
    check(ls_params_new(&loaded, d.g, 2));
    assert_true(ls_params_digest(loaded) != digest);
    check(ls_safetensors_load(saved, loaded, false));
    assert_true(ls_params_digest(loaded) == digest);
    ls_params_free(loaded);
    decoder_free(&d);
    folder_remove(scratch);
    golden_close(&file);
}

static void logits_equal_transformers(void **state)
{
    golden              file = open_case("logits");
    const golden_array *want = golden_get(&file, "logits");
    int64_t             rows = want->dim[0], length = want->dim[1], vocab = want->dim[2];
    int32_t            *tokens = malloc((size_t)(rows * length) * sizeof *tokens);
    decoder             d      = decoder_new(rows, length, NULL, false);
    golden_labels("tokens", rows * length, (uint32_t)vocab, tokens);
    golden_close_to(&file, "logits", want->count, decoder_run(&d, rows, tokens, NULL), want->f32, 1e-4, 1e-4);
    decoder_free(&d);
    free(tokens);
    golden_close(&file);
}

static int32_t largest(const float *logits, int64_t vocab)
{
    int64_t index = 0;
    for (int64_t v = 1; v < vocab; v++)
        if (logits[v] > logits[index]) index = v;
    return (int32_t)index;
}

static void greedy_tokens_with_and_without_cache(void **state)
{
    golden              file   = open_case("greedy");
    const golden_array *want   = golden_get(&file, "generated");
    int64_t             prompt = (int64_t)golden_number(&file, "length", 0), length = prompt + want->count,
            vocab  = model_args().vocab;
    int32_t *whole = calloc((size_t)length, sizeof *whole), *step = calloc((size_t)length, sizeof *step);
    decoder  full = decoder_new(1, length, NULL, false), cached = decoder_new(1, 1, full.params, true);
    golden_labels("prompt", prompt, (uint32_t)vocab, whole);
    memcpy(step, whole, (size_t)prompt * sizeof *step);
    for (int64_t t = prompt; t < length; t++)
        whole[t] = largest(decoder_run(&full, 1, whole, NULL) + (t - 1) * vocab, vocab);
    for (int64_t t = 0; t + 1 < length; t++) {
        const float *logits = decoder_run(&cached, 1, &step[t], &(int32_t){(int32_t)t});
        if (t + 1 >= prompt) step[t + 1] = largest(logits, vocab);
    }
    for (int64_t t = prompt; t < length; t++) {
        if (whole[t] != want->i32[t - prompt])
            fail_msg("token %lld: expected %d as transformers, found %d", (long long)(t - prompt),
                     want->i32[t - prompt], whole[t]);
        assert_int_equal(step[t], whole[t]);
    }
    /* The last row of logits has the same bits with and without the cache. */
    const float *one = decoder_run(&cached, 1, &step[length - 1], &(int32_t){(int32_t)(length - 1)}),
                *all = decoder_run(&full, 1, whole, NULL);
    assert_memory_equal(one, all + (length - 1) * vocab, (size_t)vocab * sizeof *one);
    decoder_free(&cached);
    decoder_free(&full);
    free(whole);
    free(step);
    golden_close(&file);
}

/* Compares the losses of a case with those of ten steps of an optimizer that has the settings of the case. */
static void check_losses(const char *name_of_case, ls_optim optim)
{
    golden              file = open_case(name_of_case);
    const golden_array *want = golden_get(&file, "losses");
    int64_t     rows = (int64_t)golden_number(&file, "rows", 0), length = (int64_t)golden_number(&file, "length", 0);
    ls_graph   *g = ls_graph_new();
    ls_gpt_args a = model_args();
    ls_trainer *t;
    int32_t    *data[2][2];
    a.g                = g;
    a.x                = ls_input(g, "tokens", LS_I32, length);
    a.target           = ls_input(g, "target", LS_I32, length);
    optim.lr           = golden_number(&file, "lr", 0);
    optim.adamw_lr     = golden_number(&file, "adamw_lr", 0);
    optim.weight_decay = golden_number(&file, "weight_decay", 0);
    check(ls_trainer_new(&t, g, ls__gpt(a), .batch = rows, .seed = 1, .optim = optim));
    check(ls_safetensors_load(folder, ls_trainer_params(t), false));
    for (int k = 0; k < 4; k++) {
        char name[24];
        snprintf(name, sizeof name, "%s%d", k % 2 ? "target" : "tokens", k / 2);
        data[k / 2][k % 2] = malloc((size_t)(rows * length) * sizeof(int32_t));
        golden_labels(name, rows * length, (uint32_t)a.vocab, data[k / 2][k % 2]);
    }
    assert_int_equal(want->count, 10);
    for (int step = 0; step < 10; step++) {
        ls_batch   batch = {.inputs      = 2,
                            .name        = {"tokens", "target"},
                            .data        = {data[step % 2][0], data[step % 2][1]},
                            .rows        = rows,
                            .global_rows = rows};
        ls_metrics metrics;
        check(ls_trainer_step(t, &batch, &metrics));
        float loss = (float)metrics.loss;
        golden_close_to(&file, "loss", 1, &loss, want->f32 + step, 0, *given ? 1e-3 : 1e-4);
        if (*given)
            printf("loss of step %d: %.6f, transformers has %.6f\n", step + 1, (double)loss, (double)want->f32[step]);
    }
    for (int k = 0; k < 4; k++) free(data[k / 2][k % 2]);
    ls_trainer_free(t);
    ls_graph_free(g);
    golden_close(&file);
}

static void losses_equal_transformers(void **state) { check_losses("losses", ls_adamw()); }
static void losses_of_muon_equal_pytorch(void **state) { check_losses("muon", ls_muon()); }

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_load_and_save), cmocka_unit_test(logits_equal_transformers),
        cmocka_unit_test(greedy_tokens_with_and_without_cache), cmocka_unit_test(losses_equal_transformers),
        cmocka_unit_test(losses_of_muon_equal_pytorch)};
    if (argc > 1) snprintf(given, sizeof given, "%s", argv[1]);
    if (*given) folder = given;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
