/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * Ends of layers in graphs of known models, and Grad-CAM against the class activation map (Zhou 2016), to which it is
 * equal when a mean over pixels and a linear layer follow the activation. */
#include "launch/vision/activations.h"

#include <math.h>

#include "launch/lockstep.h"
#include "launch/recipe/recipe.h"
#include "launch/run/train_loop.h"
#include "tests/unit.h"

static ls_tensor *last_layer(ls_graph *g)
{
    for (int i = g->nodes - 1; i >= 0; i--)
        if (ls_is_conv(g->node[i])) return ls_layer_end(g->node[i]);
    return NULL;
}

static void a_layer_ends_after_its_nonlinearity(void **state)
{
    ls_graph        *g    = ls_graph_new();
    const ls_tensor *x    = ls_lenet5(g, ls_input(g, "image", LS_F32, 1, 28, 28), .classes = 10);
    const ls_tensor *last = last_layer(g);
    assert_non_null(x);
    assert_string_equal(ls__op(last->node)->name, "relu");
    assert_int_equal(last->dim[0], 16);
    assert_int_equal(last->dim[1], 10);
    ls_graph_free(g);
}

/* Of a residual block, the last convolution's layer ends after the sum and the relu that follow it; the first one's
 * layer ends at its own relu. */
static void a_residual_block_ends_after_the_sum(void **state)
{
    ls_graph  *g = ls_graph_new();
    ls_tensor *x = ls_relu(ls_conv2d(g, "conv0", ls_input(g, "image", LS_F32, 3, 8, 8), 4, .kernel = 3, .padding = 1));
    ls_tensor *a = ls_relu(ls_batch_norm(g, "bn1", ls_conv2d(g, "conv1", x, 4, .kernel = 3, .padding = 1)));
    ls_tensor *b = ls_batch_norm(g, "bn2", ls_conv2d(g, "conv2", a, 4, .kernel = 3, .padding = 1));
    ls_tensor *y = ls_relu(ls_add(b, x)), *end[3];
    int        n = 0;
    ls_linear(g, "fc", ls_flatten(ls_adaptive_avg_pool2d(y)), 5);
    assert_ok(ls_graph_status(g));
    for (int i = 0; i < g->nodes; i++)
        if (ls_is_conv(g->node[i])) end[n++] = ls_layer_end(g->node[i]);
    assert_int_equal(n, 3);
    assert_ptr_equal(end[0], x); /* two ops read it */
    assert_ptr_equal(end[1], a);
    assert_ptr_equal(end[2], y);
    ls_graph_free(g);
}

/* ---- Grad-CAM ---------------------------------------------------------------------------------------------------- */

static const char pooled[] =
    "data: {path: digits, train_count: 64, test_count: 64}\n"
    "model: {layers: [{conv2d: {name: c1, out: 6, kernel: 5}}, {batch_norm: {name: n1}}, relu,\n"
    "                 {conv2d: {name: c2, out: 8, kernel: 3, stride: 2}}, relu,\n"
    "                 {adaptive_avg_pool2d: {size: 1}}, flatten, {dropout: {p: 0.5}},\n"
    "                 {linear: {name: fc, out: 10}}]}\n"
    "train: {batch: 32, epochs: 1, precision: PRECISION}\n";

static void open_run(ls_comm **comm, ls_run **run, const char *text)
{
    ls_recipe *recipe;
    assert_ok(ls_comm_self(comm));
    assert_ok(ls_recipe_parse(&recipe, text, strlen(text), "pooled", 0, NULL));
    assert_ok(ls_run_new(run, *comm, recipe));
}

/* The map by its definition: relu(sum_k W_ck A_k), divided by its maximum.  Returns the number of values that are
 * positive. */
static int class_activation_map(ls_run *run, const float *image, int class, float *map)
{
    ls_graph  *g = ls_graph_new();
    ls_tensor *input, *logits, *activation;
    ls_model  *m;
    int        positive = 0;
    assert_ok(ls_rebuild_classifier(run, g, &input, &logits));
    activation = last_layer(g);
    assert_ok(ls_model_new(&m, g, ls_run_params(run), &activation, 1, 1));
    assert_ok(
        ls_model_run(m, &(ls_batch){.inputs = 1, .name = {"image"}, .data = {image}, .rows = 1, .global_rows = 1}));
    const float *a   = ls_model_output(m, 0),
                *w   = ls_params_get(ls_run_params(run), ls_params_find(ls_run_params(run), "fc.weight"), NULL, NULL,
                                     NULL);
    const int pixels = (int)(activation->dim[1] * activation->dim[2]);
    double    most   = 0;
    for (int i = 0; i < pixels; i++) {
        double sum = 0;
        for (int k = 0; k < 8; k++) sum += (double)w[class * 8 + k] * (double)a[k * pixels + i];
        map[i] = (float)fmax(sum, 0);
        most   = fmax(most, sum);
        positive += sum > 0;
    }
    for (int i = 0; i < pixels && most > 0; i++) map[i] /= (float)most;
    ls_model_free(m);
    ls_graph_free(g);
    return positive;
}

static void is_the_class_activation_map(void **state)
{
    ls_comm     *comm;
    ls_run      *run;
    ls_grad_cam *cam;
    float        image[28 * 28], map[11 * 11], expected[11 * 11];
    uint8_t      pixels[28 * 28];
    int32_t      label;
    int          positive = 0, zero = 0;
    char        *text = strdup(pooled);
    memcpy(strstr(text, "PRECISION"), "float32  ", 9);
    open_run(&comm, &run, text);
    assert_ok(ls_grad_cam_new(&cam, run));
    assert_non_null(cam);
    assert_int_equal(ls_grad_cam_height(cam), 11);
    assert_int_equal(ls_grad_cam_width(cam), 11);
    assert_string_equal(ls_grad_cam_layer(cam), "c2, B x 8 x 11 x 11");
    for (int class = 0; class < 10; class ++) {
        assert_ok(ls_dataset_read(run->test, class, pixels, &label));
        for (int i = 0; i < 28 * 28; i++) image[i] = (float)pixels[i] / 255 - 0.2f;
        assert_ok(ls_grad_cam_map(cam, image, class, map));
        const int n = class_activation_map(run, image, class, expected);
        positive += n;
        zero += 121 - n;
        for (int i = 0; i < 121; i++)
            if (fabsf(map[i] - expected[i]) > 2e-5f)
                fail_msg("class %d, value %d: %g, expected %g", class, i, (double)map[i], (double)expected[i]);
    }
    assert_true(positive > 100 && zero > 100);
    ls_grad_cam_free(cam);
    ls_run_free(run);
    ls_comm_free(comm);
    free(text);
}

/* A model without convolutions has no map; one in bfloat16 has maps in float32. */
static void which_models_have_maps(void **state)
{
    ls_comm     *comm;
    ls_run      *run;
    ls_recipe   *recipe;
    ls_grad_cam *cam;
    float        image[28 * 28] = {1}, map[121];
    char        *text           = strdup(pooled);
    memcpy(strstr(text, "PRECISION"), "bfloat16 ", 9);
    open_run(&comm, &run, text);
    assert_ok(ls_grad_cam_new(&cam, run));
    assert_ok(ls_grad_cam_map(cam, image, 3, map));
    for (int i = 0; i < 121; i++) assert_true(map[i] >= 0 && map[i] <= 1);
    ls_grad_cam_free(cam);
    ls_run_free(run);
    assert_ok(ls_recipe_load(&recipe, "lenet5-digits", 3,
                             (char *[]){"model.name=mlp", "data.train_count=64", "data.test_count=64"}));
    assert_ok(ls_run_new(&run, comm, recipe));
    assert_ok(ls_grad_cam_new(&cam, run));
    assert_null(cam);
    ls_run_free(run);
    ls_comm_free(comm);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layer_ends_after_its_nonlinearity),
        cmocka_unit_test(a_residual_block_ends_after_the_sum),
        cmocka_unit_test(is_the_class_activation_map),
        cmocka_unit_test(which_models_have_maps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
