/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * timeout: 300
 * Feature maps against the model's values, and `lockstep explain RUN --maps`. */
#include "launch/vision/feature_maps.h"

#include <math.h>

#include "launch/lockstep.h"
#include "launch/run/train_loop.h"
#include "launch/vision/activations.h"
#include "tests/launch/train_runs.h"

#define MAPS "data.train_count=128 data.test_count=64 train.batch=64 train.epochs=1 "

static ls_run *open_run(ls_comm **comm, const char *recipe, const char *model)
{
    ls_recipe *r;
    ls_run    *opened;
    assert_int_equal(ls_comm_self(comm), LS_OK);
    assert_int_equal(
        ls_recipe_load(&r, recipe, 3, (char *[]){"data.train_count=64", "data.test_count=64", (char *)model}), LS_OK);
    assert_int_equal(ls_run_new(&opened, *comm, r), LS_OK);
    return opened;
}

static void layers_have_the_values_of_the_model(void **state)
{
    ls_comm        *comm;
    ls_run         *opened = open_run(&comm, "lenet5-digits", "train.seed=3");
    ls_feature_maps maps;
    float           image[28 * 28];
    ls_graph       *g = ls_graph_new();
    ls_tensor      *input, *logits, *relu = NULL;
    ls_model       *m;
    for (int i = 0; i < 28 * 28; i++) image[i] = sinf((float)i);
    assert_int_equal(ls_feature_maps_of(opened, image, opened->memory, &maps), LS_OK);
    assert_int_equal(maps.layers, 4);
    assert_int_equal(maps.left_out, 0);
    assert_string_equal(maps.layer[0].name, "conv1");
    assert_string_equal(maps.layer[0].ops, "conv2d, relu");
    assert_string_equal(maps.layer[1].name, "max_pool2d");
    assert_null(maps.layer[1].ops);
    assert_string_equal(maps.layer[2].name, "conv2");
    assert_int_equal(maps.layer[2].channels, 16);
    assert_int_equal(maps.layer[2].height, 10);
    assert_int_equal(maps.layer[3].width, 5);
    assert_string_equal(ls_tensor_name(maps.filters), "conv1.weight");
    assert_int_equal(ls_rebuild_classifier(opened, g, &input, &logits), LS_OK);
    for (int i = 0; i < g->nodes && !relu; i++)
        if (g->node[i]->out[0]->rank == 3 && !strcmp(ls__op(g->node[i])->name, "relu")) relu = g->node[i]->out[0];
    assert_int_equal(ls_model_new(&m, g, ls_run_params(opened), (ls_tensor *[]){relu, logits}, 2, 1), LS_OK);
    assert_int_equal(
        ls_model_run(m, &(ls_batch){.inputs = 1, .name = {"image"}, .data = {image}, .rows = 1, .global_rows = 1}),
        LS_OK);
    assert_memory_equal(maps.layer[0].value, ls_model_output(m, 0), 6 * 28 * 28 * sizeof(float));
    for (int i = 0; i < 10; i++) assert_true(ls_model_output(m, 1)[i] <= ls_model_output(m, 1)[maps.best]);
    assert_true(maps.probability > 0.1 && maps.probability <= 1);
    ls_model_free(m);
    ls_graph_free(g);
    ls_run_free(opened);
    ls_comm_free(comm);
}

/* More than 16 layers: the first and the last one are shown. */
static void many_layers(void **state)
{
    ls_comm        *comm;
    ls_run         *opened = open_run(&comm, "lenet5-digits", "model.name=resnet_cifar");
    ls_feature_maps maps;
    ls_png         *plot;
    float           image[28 * 28]  = {1};
    uint8_t         pixels[28 * 28] = {9};
    assert_int_equal(ls_feature_maps_of(opened, image, opened->memory, &maps), LS_OK);
    assert_int_equal(maps.layers, 16);
    assert_true(maps.left_out >= 3);
    assert_string_equal(maps.layer[0].name, "conv1");
    assert_string_equal(maps.layer[0].ops, "conv2d, batch_norm, relu");
    assert_string_equal(maps.layer[15].name, "layer3.2.conv2");
    assert_string_equal(maps.layer[15].ops, "conv2d, batch_norm, add, relu");
    assert_int_equal(ls_feature_maps_draw(opened, &maps, pixels, "a test", &plot), LS_OK);
    ls_png_free(plot);
    ls_run_free(opened);
    ls_comm_free(comm);
}

static void explain_draws_them(void **state)
{
    uint8_t pixels[3 * 20 * 30];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 7);
    assert_int_equal(ls_image_write("photo.png", 3, 20, 30, pixels), LS_OK);
    assert_int_equal(run("train lenet5-digits run.dir=net " MAPS), 0);
    assert_non_null(strstr(text_of("net/report.html"), "alt=\"Filters and feature maps\""));
    assert_int_equal(run("explain net --maps photo.png"), 0);
    assert_string_equal(text_of("out"), "net/maps.png, also in report.html\n");
    assert_int_equal(count_of(text_of("net/report.html"), "alt=\"Filters and feature maps\""), 2);
    assert_int_equal(run("explain net --maps photo.png --png other.png"), 0);
    assert_int_equal(system("cmp -s net/maps.png other.png"), 0);
    assert_int_equal(run("train lenet5-digits run.dir=net --fresh " MAPS), 0); /* removes the picture */
    assert_false(exists("net/maps.png"));
}

static void maps_are_refused(void **state)
{
    static const struct {
        const char *arguments, *message;
        int         code;
    } cases[] = {
        {"explain net --maps none.png", "none.png", 3},
        {"explain net --maps photo.png train.batch=3", "--maps: expected no key=value, found 'train.batch=3'", 2},
        {"explain net --maps photo.png --scores", "--maps", 2},
        {"explain perceptron --maps photo.png", "expected a model with convolutions, found none", 2},
        {"explain net --maps photo.png --ranks 2", "--ranks: expected without", 2},
    };
    uint8_t pixels[100] = {1};
    assert_int_equal(ls_image_write("photo.png", 1, 10, 10, pixels), LS_OK);
    assert_int_equal(run("train lenet5-digits run.dir=net " MAPS), 0);
    assert_int_equal(run("train lenet5-digits model.name=mlp run.dir=perceptron " MAPS), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(run(cases[i].arguments), cases[i].code);
        if (!strstr(text_of("err"), cases[i].message)) fail_msg("'%s' is not in: %s", cases[i].message, text_of("err"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_have_the_values_of_the_model),
        cmocka_unit_test(many_layers),
        cmocka_unit_test(explain_draws_them),
        cmocka_unit_test(maps_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
