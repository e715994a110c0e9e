/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * timeout: 300
 * The path of the class token against the model's values, attention rollout, and `explain RUN --class-token`. */
#include "launch/vision/class_token.h"

#include <math.h>

#include "launch/lockstep.h"
#include "launch/run/train_loop.h"
#include "launch/vision/activations.h"
#include "launch/vision/image_input.h"
#include "tests/launch/train_runs.h"

#define SHORT                                                                                                          \
    "data.path=digits data.train_count=128 data.test_count=64 train.batch=64 train.epochs=1 schedule.warmup=0 "

/* Two heads over two tokens, whose mean is [[0.5, 0.5], [0.25, 0.75]]. */
static void rollout_of_two_layers(void **state)
{
    const float            weights[] = {1, 0, 0.5f, 0.5f, 0, 1, 0, 1};
    const ls_attention_map map       = {.heads = 2, .tokens = 2, .weights = weights};
    double                 r[4]      = {1, 0, 0, 1};
    const double           once[4] = {0.75, 0.25, 0.125, 0.875}, twice[4] = {0.59375, 0.40625, 0.203125, 0.796875};
    ls_arena              *memory;
    assert_int_equal(ls_arena_new(&memory, "test"), LS_OK);
    ls_attention_rollout(&map, r, memory);
    for (int i = 0; i < 4; i++) assert_true(fabs(r[i] - once[i]) < 1e-12);
    ls_attention_rollout(&map, r, memory);
    for (int i = 0; i < 4; i++) assert_true(fabs(r[i] - twice[i]) < 1e-12);
    ls_arena_free(memory);
}

static void the_last_class_is_that_of_the_model(void **state)
{
    ls_comm       *comm;
    ls_recipe     *r;
    ls_run        *opened;
    ls_class_token t;
    ls_graph      *g = ls_graph_new();
    ls_tensor     *input, *logits;
    ls_model      *m;
    float          image[28 * 28];
    double         probability[10], sum = 0;
    for (int i = 0; i < 28 * 28; i++) image[i] = sinf((float)i);
    assert_int_equal(ls_comm_self(&comm), LS_OK);
    assert_int_equal(ls_recipe_load(&r, "vit-mnist", 5,
                                    (char *[]){"data.path=digits", "data.train_count=64", "data.test_count=64",
                                               "model.options.layers=3", "schedule.warmup=0"}),
                     LS_OK);
    assert_int_equal(ls_run_new(&opened, comm, r), LS_OK);
    assert_true(ls_has_class_token(opened));
    assert_int_equal(ls_class_token_of(opened, image, opened->memory, &t), LS_OK);
    assert_true(t.layers == 3 && t.rows == 4 && t.columns == 4);
    assert_int_equal(ls_rebuild_classifier(opened, g, &input, &logits), LS_OK);
    assert_int_equal(ls_model_new(&m, g, ls_run_params(opened), &logits, 1, 1), LS_OK);
    assert_int_equal(
        ls_model_run(m, &(ls_batch){.inputs = 1, .name = {"image"}, .data = {image}, .rows = 1, .global_rows = 1}),
        LS_OK);
    ls_probabilities(ls_model_output(m, 0), 10, probability);
    assert_true(fabs(probability[t.layer[2].best] - t.layer[2].probability) < 1e-6);
    for (int i = 0; i < 10; i++) assert_true(probability[i] <= t.layer[2].probability + 1e-6);
    /* The first layer's rollout is half its attention; all weights but that for the token itself are for patches. */
    for (int i = 0; i < 16; i++) {
        assert_true(fabsf(t.layer[0].rollout[i] - t.layer[0].attention[i] / 2) < 1e-6f);
        sum += (double)t.layer[2].attention[i];
    }
    assert_true(sum > 0.5 && sum < 1);
    ls_model_free(m);
    ls_graph_free(g);
    ls_run_free(opened);
    ls_comm_free(comm);
}

static void explain_draws_it(void **state)
{
    uint8_t pixels[20 * 30];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 7);
    assert_int_equal(ls_image_write("photo.png", 1, 20, 30, pixels), LS_OK);
    assert_int_equal(run("train vit-mnist run.dir=vit " SHORT), 0);
    assert_int_equal(count_of(text_of("vit/report.html"), "alt=\"The path of the class token\""), 1);
    assert_int_equal(run("explain vit --class-token photo.png"), 0);
    assert_int_equal(count_of(text_of("out"), "after layer"), 4);
    assert_int_equal(count_of(text_of("vit/report.html"), "alt=\"The path of the class token\""), 2);
    assert_true(exists("vit/class-token.png"));
    assert_int_equal(run("train lenet5-digits run.dir=net " SHORT), 0);
    assert_int_equal(count_of(text_of("net/report.html"), "alt=\"The path of the class token\""), 0);
    assert_int_equal(run("explain net --class-token photo.png"), 2);
    assert_non_null(strstr(text_of("err"), "net: --class-token: expected a Vision Transformer, found another model"));
    assert_int_equal(run("explain vit --class-token none.png"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rollout_of_two_layers),
                                       cmocka_unit_test(the_last_class_is_that_of_the_model),
                                       cmocka_unit_test(explain_draws_it)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
