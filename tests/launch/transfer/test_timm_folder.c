/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi
 * A folder of timm: prediction with its model, preprocessing and class names; fine-tuning from it; bad config.json. */
#include <math.h>

#include "core/core.h"
#include "datasets/datasets.h"
#include "dist/dist.h"
#include "tests/launch/run_program.h"

enum { SIDE = 32, IMAGE = 48, CLASSES = 3, PIXELS = 3 * SIDE * SIDE };

#define CONFIG(architecture, classes, cfg, names)                                                                      \
    "{\"architecture\": \"" architecture "\", \"num_classes\": " classes ", \"pretrained_cfg\": " cfg names "}"
#define CFG                                                                                                            \
    "{\"input_size\": [3, 32, 32], \"interpolation\": \"bicubic\", \"crop_pct\": 0.8, \"mean\": [0.5, 0.4, 0.3], "     \
    "\"std\": [0.25, 0.5, 0.2]}"
#define NAMES ", \"label_names\": [\"ant\", \"bee\", \"cow\"]"

static void write_config(const char *text)
{
    FILE *f = fopen("timm/config.json", "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static ls_graph  *graph;
static ls_tensor *logits;
static ls_params *params;

/* The folder `timm`, with random parameters, and the image `image.png`. */
static int prepare(void **state)
{
    static uint8_t pixels[IMAGE * IMAGE * 3];
    folder_enter();
    assert_int_equal(mkdir("timm", 0755), 0);
    graph        = ls_graph_new();
    ls_tensor *x = ls_input(graph, "image", LS_F32, 3, SIDE, SIDE);
    logits       = ls_resnet(graph, x, .classes = CLASSES);
    assert_int_equal(ls_params_new(&params, graph, 3), LS_OK);
    assert_int_equal(ls_safetensors_save("timm/model.safetensors", params, NULL), LS_OK);
    for (int i = 0; i < IMAGE * IMAGE * 3; i++) pixels[i] = (uint8_t)(i * 7 + i * i / 50);
    assert_int_equal(ls_image_write("image.png", 3, IMAGE, IMAGE, pixels), LS_OK);
    write_config(CONFIG("resnet18", "3", CFG, NAMES));
    return 0;
}

static int tear_down(void **state)
{
    ls_params_free(params);
    ls_graph_free(graph);
    folder_leave();
    return 0;
}

/* The probabilities of the model for image.png, resized to 40 (32 / 0.8) and cut out: [4, 36) of 40. */
static void expect(double probability[CLASSES])
{
    enum { WHOLE = 40, EDGE = (WHOLE - SIDE) / 2 };
    static const float mean[] = {0.5f, 0.4f, 0.3f}, std[] = {0.25f, 0.5f, 0.2f};
    static uint8_t     pixels[3 * WHOLE * WHOLE];
    static float       image[PIXELS];
    ls_image_options   o = {.interpolation = LS_BICUBIC};
    ls_model          *m;
    double             sum = 0;
    assert_int_equal(ls_image_read("image.png", &o, 3, WHOLE, WHOLE, pixels), LS_OK);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++)
                image[(c * SIDE + y) * SIDE + x] =
                    ((float)pixels[(c * WHOLE + y + EDGE) * WHOLE + x + EDGE] / 255.0f - mean[c]) / std[c];
    ls_batch batch = {.inputs = 1, .name = {"image"}, .data = {image}, .rows = 1, .global_rows = 1};
    assert_int_equal(ls_model_new(&m, graph, params, &logits, 1, 1), LS_OK);
    assert_int_equal(ls_model_run(m, &batch), LS_OK);
    for (int k = 0; k < CLASSES; k++) sum += exp(ls_model_output(m, 0)[k]);
    for (int k = 0; k < CLASSES; k++) probability[k] = exp(ls_model_output(m, 0)[k]) / sum;
    ls_model_free(m);
}

static void predictions_are_those_of_the_model(void **state)
{
    static const char *const names[CLASSES] = {"ant", "bee", "cow"};
    double                   probability[CLASSES];
    expect(probability);
    for (int ranks = 0; ranks <= 2; ranks += 2) {
        assert_int_equal(run("predict timm image.png", .ranks = ranks), 0);
        for (int k = 0; k < CLASSES; k++) {
            char figure[16];
            snprintf(figure, sizeof figure, "%.2f %%", 100 * probability[k]);
            if (!strstr(text_of("out"), names[k]) || !strstr(text_of("out"), figure))
                fail_msg("expected %s with %s, found: %s", names[k], figure, text_of("out"));
        }
    }
    write_config(CONFIG("resnet18", "3", CFG, ""));
    assert_int_equal(run("predict timm image.png"), 0);
    assert_non_null(strstr(text_of("out"), "class 2"));
}

/* A run takes size and normalisation from the folder: three means do not fit digits, which have one channel. */
static void a_run_takes_the_input_of_the_folder(void **state)
{
    FILE *f = fopen("r.yaml", "w");
    assert_non_null(f);
    fputs("data: {path: digits, train_count: 64, test_count: 32, classes: ['0', '1']}\n"
          "model: {name: resnet18, pretrained: timm}\ntrain: {batch: 32, epochs: 1}\n"
          "optim: {name: momentum, lr: 0.001}\n",
          f);
    fclose(f);
    assert_int_equal(run("train ./r.yaml run.dir=r"), 2);
    assert_non_null(strstr(text_of("err"), "expected one number each for each of the 1 channels"));
}

static const struct {
    const char *config;
    const char *message;
} bad[] = {
    {CONFIG("resnet19", "3", CFG, NAMES), "architecture: expected one of resnet18"},
    {CONFIG("resnet18", "0", CFG, NAMES), "num_classes: expected a whole number of at least 1"},
    {CONFIG("resnet18", "4", CFG, NAMES), "label_names: expected 4 names, found 3"},
    {CONFIG("resnet18", "4", CFG, ""), "'fc.weight' is 3 x 512, the model's is 4 x 512"},
    {CONFIG("resnet18", "3", "{\"input_size\": [3, 32]}", NAMES), "pretrained_cfg: expected input_size"},
    {CONFIG("resnet18", "3", "{\"input_size\": [3, 32, 32], \"mean\": [0, 0, 0], \"std\": [1, 0, 1]}", NAMES),
     "pretrained_cfg: expected input_size"},
    {CONFIG("resnet18", "3", CFG, ", \"label_names\": [1, 2, 3]"), "and label_names as texts"},
    {"{\"architecture\": \"resnet18\", \"num_classes\": 3}", "expected pretrained_cfg"},
    {"{\"architecture\": ", "config.json"},
};

static void bad_configs_are_refused(void **state)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_config(bad[i].config);
        int code = run("predict timm image.png", .ranks = i % 2 ? 2 : 0);
        if (code != 3 || !strstr(text_of("err"), bad[i].message))
            fail_msg("%s: exit code %d, expected 3 and '%s': %s", bad[i].config, code, bad[i].message, text_of("err"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(predictions_are_those_of_the_model),
                                       cmocka_unit_test(a_run_takes_the_input_of_the_folder),
                                       cmocka_unit_test(bad_configs_are_refused)};
    return cmocka_run_group_tests(tests, prepare, tear_down);
}
