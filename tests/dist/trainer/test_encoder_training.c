/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * Encoders of texts and images that Hugging Face's transformers and timm have written (tests/golden/make_encoders.py):
 * config.json gives the options, and rows of texts, logits of images and twenty losses equal PyTorch's values.  A text
 * has rows of the same bits alone. */
#include <jansson.h>

#include "core/graph/graph.h"
#include "dist/dist.h"
#include "dist/interop/architecture.h"
#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/golden.h"
#include "tests/unit.h"

enum { VOCAB = 41, SAMPLES = 4, T = 9, WIDTH = 18, SIDE = 12, PIXELS = 3 * SIDE * SIDE, CLASSES = 5 };

static int32_t tokens[SAMPLES * T], types[SAMPLES * T], lengths[SAMPLES], label[SAMPLES];

static void read_args(const ls_architecture *a, const char *folder, void *args)
{
    char         path[4200];
    json_error_t error;
    snprintf(path, sizeof path, "%s/config.json", folder);
    json_t *config = json_load_file(path, 0, &error);
    if (!config) fail_msg("%s: %s", path, error.text);
    assert_ok(a->read(path, config, args));
    json_decref(config);
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

/* Rows [first, first + rows) of the texts, cut to a width. */
static ls_batch text_batch(const ls_encoder_args *a, int64_t first, int64_t rows, int64_t width)
{
    static int32_t token[SAMPLES * T], type[SAMPLES * T];
    ls_batch       b = {.rows = rows, .global_rows = rows};
    for (int64_t i = 0; i < rows * width; i++) {
        token[i] = tokens[(first + i / width) * T + i % width];
        type[i]  = types[(first + i / width) * T + i % width];
    }
    const struct {
        const char *name;
        const void *data;
        bool        given, wide;
    } in[] = {{"tokens", token, true, true},
              {"length", lengths + first, true, false},
              {"type", type, a->types > 0, true},
              {"label", label + first, a->classes > 0, false}};
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        if (!in[i].given) continue;
        b.name[b.inputs]   = in[i].name;
        b.data[b.inputs]   = in[i].data;
        b.dim0[b.inputs++] = in[i].wide ? width : 0;
    }
    return b;
}

static const float *run_rows(ls_model *m, const ls_encoder_args *a, int64_t first, int64_t rows, int64_t width)
{
    const ls_batch b = text_batch(a, first, rows, width);
    assert_ok(ls_model_run(m, &b));
    return ls_model_output(m, 0);
}

static ls_tensor *build_text(const char *folder, ls_graph *g, int classes, ls_encoder_args *a)
{
    read_args(&ls__arch_encoder, folder, a);
    a->dropout = 0;
    a->g       = g;
    a->x       = ls_input(g, "tokens", LS_I32, T);
    a->length  = ls_input(g, "length", LS_I32);
    a->classes = classes;
    if (a->types) a->type = ls_input(g, "type", LS_I32, T);
    return ls__encoder(*a);
}

/* Twenty losses of the folder's encoder below a head, which the folder may lack, for classes of texts. */
static void check_classes(const golden *file, const char *folder)
{
    static const char *const head[] = {"pooler.weight", "pooler.bias", "classifier.weight", "classifier.bias"};
    const golden_array      *want   = golden_get(file, "losses");
    ls_graph                *g      = ls_graph_new();
    ls_encoder_args          a;
    ls_trainer              *t;
    ls_tensor               *y    = build_text(folder, g, CLASSES, &a);
    ls_tensor               *loss = ls_cross_entropy(y, ls_input(g, "label", LS_I32));
    golden_labels("label", SAMPLES, CLASSES, label);
    assert_ok(ls_trainer_new(&t, g, loss, .batch = SAMPLES, .seed = 1,
                             .optim = ls_adamw(.lr = 0.003f, .weight_decay = 0.01f)));
    ls_params                  *params  = ls_trainer_params(t);
    const ls_pretrained_options options = {.head = {"classifier.weight", "classifier.bias"}};
    assert_ok(ls_pretrained_load(folder, params, &options));
    for (int i = 0; i < 4; i++) {
        const int64_t *dim;
        int            rank;
        float         *values = ls_params_get(params, ls_params_find(params, head[i]), NULL, &rank, &dim);
        golden_fill(head[i], dim[0] * (rank > 1 ? dim[1] : 1), 1, values);
    }
    const ls_batch batch = text_batch(&a, 0, SAMPLES, T);
    for (int step = 0; step < want->count; step++) {
        ls_metrics metrics;
        assert_ok(ls_trainer_step(t, &batch, &metrics));
        const float value = (float)metrics.loss;
        golden_close_to(file, "loss", 1, &value, want->f32 + step, 1e-3, 1e-4);
    }
    ls_trainer_free(t);
    ls_graph_free(g);
}

/* Twenty losses of masked language modelling, and for BERT of next sentence, from the folder's encoder. */
static void check_pretraining(const golden *file, const char *folder)
{
    static const char *const head[] = {"transform.weight",    "transform.bias", "transform_norm.weight",
                                       "transform_norm.bias", "masked.bias",    "pooler.weight",
                                       "pooler.bias",         "next.weight",    "next.bias"};
    static int32_t           target[SAMPLES * T], next[SAMPLES];
    static float             scale[SAMPLES];
    const golden_array      *want = golden_get(file, "pretraining");
    ls_graph                *g    = ls_graph_new();
    ls_encoder_args          a;
    ls_trainer              *t;
    int                      masked = 0;
    read_args(&ls__arch_encoder, folder, &a);
    a.dropout = 0;
    a.g       = g;
    a.x       = ls_input(g, "tokens", LS_I32, T);
    a.length  = ls_input(g, "length", LS_I32);
    a.target  = ls_input(g, "target", LS_I32, T);
    a.scale   = ls_input(g, "scale", LS_F32);
    if (a.types) a.type = ls_input(g, "type", LS_I32, T);
    if (a.kind == LS_BERT) a.next = ls_input(g, "next", LS_I32);
    ls_tensor *loss = ls__encoder(a);
    golden_labels("masked", SAMPLES * T, VOCAB, target);
    golden_labels("next", SAMPLES, 2, next);
    for (int i = 0; i < SAMPLES * T; i++) {
        const bool counts = (i % T + i / T) % 3 == 0 && i % T < lengths[i / T];
        if (!counts) target[i] = -1;
        masked += counts;
    }
    for (int b = 0; b < SAMPLES; b++) scale[b] = (float)SAMPLES / (float)masked;
    assert_ok(ls_trainer_new(&t, g, loss, .batch = SAMPLES, .seed = 1,
                             .optim = ls_adamw(.lr = 0.003f, .weight_decay = 0.01f)));
    ls_params                  *params  = ls_trainer_params(t);
    const ls_pretrained_options options = {.head = {"next.weight", "next.bias"}};
    assert_ok(ls_pretrained_load(folder, params, &options));
    for (int i = 0; i < (a.kind == LS_BERT ? 9 : 5); i++) {
        const int64_t *dim;
        int            rank;
        float         *values = ls_params_get(params, ls_params_find(params, head[i]), NULL, &rank, &dim);
        golden_fill(head[i], dim[0] * (rank > 1 ? dim[1] : 1), 1, values);
    }
    ls_batch batch = text_batch(&a, 0, SAMPLES, T);
    const struct {
        const char *name;
        const void *data;
        int64_t     dim0;
    } more[] = {{"target", target, T}, {"scale", scale, 0}, {"next", next, 0}};
    for (int i = 0; i < (a.kind == LS_BERT ? 3 : 2); i++) {
        batch.name[batch.inputs]   = more[i].name;
        batch.data[batch.inputs]   = more[i].data;
        batch.dim0[batch.inputs++] = more[i].dim0;
    }
    for (int step = 0; step < want->count; step++) {
        ls_metrics metrics;
        assert_ok(ls_trainer_step(t, &batch, &metrics));
        const float value = (float)metrics.loss;
        golden_close_to(file, "pretraining", 1, &value, want->f32 + step, 1e-3, 1e-4);
    }
    ls_trainer_free(t);
    ls_graph_free(g);
}

static void check_text(const golden *file, const char *folder)
{
    ls_graph       *g = ls_graph_new();
    ls_encoder_args a;
    ls_params      *params;
    ls_model       *m;
    float           rows[SAMPLES * T * WIDTH] = {0};
    ls_tensor      *y                         = build_text(folder, g, 0, &a);
    assert_ok(ls_graph_status(g));
    assert_ok(ls_params_new(&params, g, 1));
    assert_ok(ls_pretrained_load(folder, params, NULL));
    assert_ok(ls_model_new(&m, g, params, &y, 1, SAMPLES));
    for (int i = 0; i < SAMPLES * T; i++) types[i] = a.kind == LS_BERT ? types[i] : 0;
    for (int i = 0; i < SAMPLES * T && a.kind == LS_ROBERTA; i++) tokens[i] = tokens[i] == 1 ? 2 : tokens[i];
    const float *got = run_rows(m, &a, 0, SAMPLES, T);
    for (int b = 0; b < SAMPLES; b++)
        memcpy(rows + b * T * WIDTH, got + b * T * WIDTH, (size_t)lengths[b] * WIDTH * sizeof *rows);
    golden_close_to(file, "rows", SAMPLES * T * WIDTH, rows, golden_get(file, "rows")->f32, 1e-4, 1e-5);
    for (int b = 0; b < SAMPLES; b++)
        assert_memory_equal(run_rows(m, &a, b, 1, lengths[b]), rows + b * T * WIDTH,
                            (size_t)lengths[b] * WIDTH * sizeof *rows);
    ls_model_free(m);
    ls_params_free(params);
    ls_graph_free(g);
}

/* ---- images ------------------------------------------------------------------------------------------------------ */

static void check_logits(const golden *file, ls_vit_args a, ls_params *params, const float *images)
{
    ls_graph *g = ls_graph_new();
    ls_model *m;
    a.g          = g;
    a.x          = ls_input(g, "image", LS_F32, 3, SIDE, SIDE);
    ls_tensor *y = ls__vit(a);
    assert_ok(ls_model_new(&m, g, params, &y, 1, SAMPLES));
    assert_ok(ls_model_run(
        m, &(ls_batch){.inputs = 1, .name = {"image"}, .data = {images}, .rows = SAMPLES, .global_rows = SAMPLES}));
    golden_close_to(file, "logits", SAMPLES * CLASSES, ls_model_output(m, 0), golden_get(file, "logits")->f32, 1e-4,
                    1e-4);
    ls_model_free(m);
    ls_graph_free(g);
}

static void check_image(const golden *file, const char *folder)
{
    const golden_array *want = golden_get(file, "losses");
    ls_graph           *g    = ls_graph_new();
    ls_trainer         *t;
    ls_vit_args         a = {.patch = 4, .layers = 2, .heads = 3, .width = WIDTH, .hidden = 20, .classes = CLASSES};
    float               images[SAMPLES * PIXELS];
    char                path[4200];
    golden_fill("image", SAMPLES * PIXELS, 1, images);
    golden_labels("label", SAMPLES, CLASSES, label);
    snprintf(path, sizeof path, "%s/config.json", folder);
    if (access(path, F_OK) == 0) read_args(&ls__arch_vit, folder, &a); /* timm has sizes in the model's name alone */
    a.g          = g;
    a.x          = ls_input(g, "image", LS_F32, 3, SIDE, SIDE);
    ls_tensor *y = ls__vit(a);
    assert_ok(ls_trainer_new(&t, g, ls_cross_entropy(y, ls_input(g, "label", LS_I32)), .batch = SAMPLES, .seed = 1,
                             .optim = ls_adamw(.lr = 0.01f, .weight_decay = 0.01f)));
    assert_int_equal(ls_params_total(ls_trainer_params(t)), (int)golden_number(file, "parameters", 0));
    assert_ok(ls_pretrained_load(folder, ls_trainer_params(t), NULL));
    a.g = NULL;
    check_logits(file, a, ls_trainer_params(t), images);
    const ls_batch batch = {
        .inputs = 2, .name = {"image", "label"}, .data = {images, label}, .rows = SAMPLES, .global_rows = SAMPLES};
    for (int step = 0; step < want->count; step++) {
        ls_metrics metrics;
        assert_ok(ls_trainer_step(t, &batch, &metrics));
        const float loss = (float)metrics.loss;
        golden_close_to(file, "loss", 1, &loss, want->f32 + step, 1e-3, 1e-4);
    }
    ls_trainer_free(t);
    ls_graph_free(g);
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static void as_pytorch(void **state)
{
    int    cases = 0;
    golden file  = golden_open("values/encoders.txt");
    (void)state;
    for (; golden_next(&file); cases++) {
        char folder[512];
        snprintf(folder, sizeof folder, "%s/tests/golden/encoders/%s", LOCKSTEP_SOURCE, file.name);
        golden_labels("tokens", SAMPLES * T, VOCAB, tokens);
        golden_labels("types", SAMPLES * T, 2, types);
        golden_labels("lengths", SAMPLES, T, lengths);
        for (int b = 0; b < SAMPLES; b++) lengths[b]++;
        if (golden_number(&file, "parameters", 0) > 0)
            check_image(&file, folder);
        else
            check_text(&file, folder), check_classes(&file, folder), check_pretraining(&file, folder);
    }
    golden_close(&file);
    assert_int_equal(cases, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_pytorch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
