/* SPDX-License-Identifier: Apache-2.0
 * Views of eval.augment: the mean logits of a small model against views that the test makes itself, and the bits of an
 * image alone and in a batch. */
#include "launch/vision/views.h"

#include <math.h>

#include "tests/unit.h"

enum { C = 2, H = 5, W = 7, CLASSES = 3, ROWS = 3, PIXELS = C * H * W };

static float pixel_at(const float *image, int c, int i, int j)
{
    if (i < 0) i = -i;
    if (j < 0) j = -j;
    if (i > H - 1) i = 2 * (H - 1) - i;
    if (j > W - 1) j = 2 * (W - 1) - j;
    return image[(c * H + i) * W + j];
}

typedef struct classifier {
    ls_run     run;
    ls_recipe *recipe;
    ls_params *params;
    ls_model  *model;
} classifier;

static void open_classifier(classifier *c, const char *augment)
{
    static const char text[] = "{data: {path: digits}, model: {name: mlp}}";
    char              key[64];
    snprintf(key, sizeof key, "eval.augment=%s", augment);
    *c = (classifier){0};
    assert_ok(ls_recipe_parse(&c->recipe, text, strlen(text), "test", 1, (char *[]){key}));
    c->run.recipe = c->recipe;
    c->run.data   = (ls_dataset_info){.kind = LS_DATA_IMAGES, .channels = C, .height = H, .width = W};
    c->run.graph  = ls_graph_new();
    c->run.logits =
        ls_linear(c->run.graph, "fc", ls_flatten(ls_input(c->run.graph, "image", LS_F32, C, H, W)), CLASSES);
    assert_ok(ls_graph_status(c->run.graph));
    assert_ok(ls_params_new(&c->params, c->run.graph, 3));
    assert_ok(ls_model_new(&c->model, c->run.graph, c->params, &c->run.logits, 1, ROWS));
}

static void close_classifier(classifier *c)
{
    ls_model_free(c->model);
    ls_params_free(c->params);
    ls_graph_free(c->run.graph);
    ls_recipe_free(c->recipe);
}

static void logits_of(const classifier *c, ls_views *views, const float *image, int rows, float *logits)
{
    const ls_batch batch = {.inputs = 1, .name = {"image"}, .data = {image}, .rows = rows, .global_rows = rows};
    const float   *mean;
    assert_ok(ls_views_run(views, c->model, &batch, &mean));
    memcpy(logits, mean, (size_t)(rows * CLASSES) * sizeof *logits);
}

/* Adds the logits of the images, shifted and mirrored. */
static void add_view(const classifier *c, const float *image, int shift, int mirrored, double weight, double *sum)
{
    float seen[ROWS * PIXELS], logits[ROWS * CLASSES];
    for (int k = 0; k < ROWS * PIXELS; k++) {
        const int j = k % W, i = k / W % H, plane = k / W / H;
        seen[k] = pixel_at(image, plane, i - shift, (mirrored ? W - 1 - j : j) - shift);
    }
    logits_of(c, NULL, seen, ROWS, logits);
    for (int k = 0; k < ROWS * CLASSES; k++) sum[k] += weight * (double)logits[k];
}

static void mean_logits(void **state)
{
    static const char *const augment[] = {"none", "flip", "flip+shift"};
    float                    image[ROWS * PIXELS], found[ROWS * CLASSES], alone[CLASSES];
    for (int i = 0; i < ROWS * PIXELS; i++) image[i] = sinf((float)(i * i % 101));
    for (int kind = 0; kind < 3; kind++) {
        classifier c;
        ls_views  *views;
        double     expected[ROWS * CLASSES] = {0};
        open_classifier(&c, augment[kind]);
        assert_ok(ls_views_new(&views, &c.run, ROWS));
        assert_true((views == NULL) == (kind == 0));
        for (int mirrored = 0; mirrored <= (kind > 0); mirrored++)
            for (int shift = -(kind == 2); shift <= (kind == 2); shift++)
                add_view(&c, image, shift, mirrored, kind == 0 ? 1 : kind == 1 ? 0.5 : shift ? 0.125 : 0.25, expected);
        logits_of(&c, views, image, ROWS, found);
        for (int k = 0; k < ROWS * CLASSES; k++) assert_true(fabs(found[k] - expected[k]) < 1e-6);
        for (int row = 0; row < ROWS; row++) {
            logits_of(&c, views, image + row * PIXELS, 1, alone);
            assert_memory_equal(alone, found + row * CLASSES, sizeof alone);
        }
        ls_views_free(views);
        close_classifier(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mean_logits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
