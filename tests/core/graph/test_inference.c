/* SPDX-License-Identifier: Apache-2.0 */
/* Models without a loss: several graphs over the same parameters. */
#include <math.h>

#include "core/graph/graph.h"
#include "tests/unit.h"

static ls_tensor *layers(ls_graph *g, ls_tensor *x, int n)
{
    for (int i = 1; i <= n; i++) x = ls_linear(g, i == 1 ? "fc1" : "fc2", x, i == 1 ? 5 : 2);
    return x;
}

/* A model on the parameters of another graph: its graph has some of the parameters only, at other tensor indices. */
static void parameters_of_another_graph(void **state)
{
    static const float data[6] = {1, -2, 3, 0.5f, 4, -1};
    ls_graph          *g = ls_graph_new(), *h = ls_graph_new();
    ls_tensor         *y = layers(g, ls_input(g, "x", LS_F32, 3), 2), *hidden = y->node->in[0];
    ls_tensor         *z = layers(h, ls_scale(ls_scale(ls_input(h, "x", LS_F32, 3), .term = 100), .term = -100), 1);
    ls_params         *params;
    ls_model          *one, *two;
    assert_ok(ls_params_new(&params, g, 1));
    assert_ok(ls_model_new(&one, g, params, &hidden, 1, 2));
    assert_ok(ls_model_new(&two, h, params, &z, 1, 2));
    const ls_batch batch = {.inputs = 1, .name = {"x"}, .data = {data}, .rows = 2, .global_rows = 2};
    for (int round = 0; round < 2; round++) {
        assert_ok(ls_model_run(one, &batch));
        assert_ok(ls_model_run(two, &batch));
        for (int i = 0; i < 10; i++)
            assert_true(fabsf(ls_model_output(one, 0)[i] - ls_model_output(two, 0)[i]) < 1e-4f);
        ls_params_get(params, 1, NULL, NULL, NULL)[0] += 1; /* not copied: both models use the changed value */
    }
    ls_model_free(two);
    ls_model_free(one);
    ls_params_free(params);
    ls_graph_free(h);
    ls_graph_free(g);
}

static void parameters_that_do_not_fit(void **state)
{
    ls_graph  *g = ls_graph_new(), *h = ls_graph_new(), *k = ls_graph_new();
    ls_tensor *y = layers(g, ls_input(g, "x", LS_F32, 3), 1), *z = layers(h, ls_input(h, "x", LS_F32, 3), 2),
              *w = layers(k, ls_input(k, "x", LS_F32, 4), 1);
    ls_params *params;
    ls_model  *m;
    assert_non_null(y);
    assert_ok(ls_params_new(&params, g, 1));
    assert_fails(ls_model_new(&m, h, params, &z, 1, 2), LS_ERR_USAGE,
                 "parameter 'fc2.weight' (2 x 5): the given parameters");
    assert_fails(ls_model_new(&m, k, params, &w, 1, 2), LS_ERR_USAGE,
                 "parameter 'fc1.weight': expected the shape 5 x 4, found 5 x 3");
    ls_params_free(params);
    ls_graph_free(k);
    ls_graph_free(h);
    ls_graph_free(g);
}

/* A number of rows whose bytes overflow size_t. */
static void too_many_rows(void **state)
{
    ls_graph  *g = ls_graph_new();
    ls_tensor *y = ls_scale(ls_input(g, "x", LS_F32, (int64_t)1 << 40), .factor = 2);
    ls_params *params;
    ls_model  *m;
    assert_ok(ls_params_new(&params, g, 1));
    assert_fails(ls_model_new(&m, g, params, &y, 1, 1 << 22), LS_ERR_ENV, "of this machine");
    ls_params_free(params);
    ls_graph_free(g);
}

static ls_model *with_state(ls_graph *g, const char *name, int64_t width, ls_params **params)
{
    ls_tensor *y = ls_add(ls_linear(g, "fc1", ls_input(g, "x", LS_F32, 3), width), ls_state(g, name, LS_F32, width));
    ls_model  *m = NULL;
    assert_ok(ls_params_new(params, g, 1));
    assert_ok(ls_model_new(&m, g, *params, &y, 1, 1));
    return m;
}

/* Sharing states is an error unless both models have the same states. */
static void states_that_do_not_fit(void **state)
{
    static const struct {
        const char *name;
        int64_t     width;
    } other[] = {{"cache", 5}, {"cache", 40}, {"store", 5}};
    ls_graph  *g[4];
    ls_params *params[4];
    ls_model  *m[4];
    g[3] = ls_graph_new();
    m[3] = with_state(g[3], "cache", 5, &params[3]);
    for (int i = 0; i < 3; i++) m[i] = with_state(g[i] = ls_graph_new(), other[i].name, other[i].width, &params[i]);
    assert_ok(ls_model_share_state(m[0], m[3]));
    for (int i = 1; i < 3; i++) assert_fails(ls_model_share_state(m[i], m[3]), LS_ERR_USAGE, "must have the same ones");
    for (int i = 0; i < 4; i++) {
        ls_model_free(m[i]);
        ls_params_free(params[i]);
        ls_graph_free(g[i]);
    }
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

static ls_tensor *head(ls_graph *g, ls_tensor *x)
{
    x = ls_relu(ls_batch_norm(g, "bn", ls_conv2d(g, "conv2", x, 3, .kernel = 3, .padding = 1)));
    x = ls_dropout(ls_flatten(ls_max_pool2d(x, .kernel = 2)), .p = 0.5f);
    return ls_sum(ls_mul(ls_linear(g, "fc", x, 4), ls_input(g, "choice", LS_F32, 4)));
}

/* The gradient of a logit with respect to an activation, against central differences of the layers behind it. */
static void the_gradient_of_an_activation(void **state)
{
    enum { N = 2 * 4 * 4, ROWS = 2, OF_IMAGE = 6 * 6 };
    static const float choice[ROWS * 4] = {0, 0, 1, 0, 1, 0, 0, 0};
    float              image[ROWS * OF_IMAGE], moved[ROWS * N];
    ls_graph          *g = ls_graph_new(), *h = ls_graph_new();
    ls_tensor *a = ls_relu(ls_conv2d(g, "conv1", ls_input(g, "x", LS_F32, 1, 6, 6), 2, .kernel = 3)), *y = head(g, a),
              *z = head(h, ls_input(h, "a", LS_F32, 2, 4, 4));
    ls_params *params;
    ls_model  *whole, *part;
    int        different = 0;
    for (int i = 0; i < ROWS * OF_IMAGE; i++) image[i] = sinf((float)(i * i));
    assert_ok(ls_params_new(&params, g, 3));
    assert_ok(ls_model_new_gradient(&whole, g, params, y, a, ROWS));
    assert_ok(ls_model_new(&part, h, params, &z, 1, ROWS));
    const ls_batch
        batch = {.inputs = 2, .name = {"x", "choice"}, .data = {image, choice}, .rows = ROWS, .global_rows = ROWS},
        other = {.inputs = 2, .name = {"a", "choice"}, .data = {moved, choice}, .rows = ROWS, .global_rows = ROWS};
    for (int round = 0; round < 2; round++) { /* a second run has the same result */
        assert_ok(ls_model_run(whole, &batch));
        memcpy(moved, ls_model_output(whole, 1), sizeof moved);
        assert_ok(ls_model_run(part, &other));
        for (int r = 0; r < ROWS; r++)
            assert_true(fabsf(ls_model_output(part, 0)[r] - ls_model_output(whole, 0)[r]) < 1e-6f);
        for (int i = 0; i < ROWS * N; i++) {
            const float at = moved[i], step = 1e-3f;
            float       value[2];
            for (int side = 0; side < 2; side++) {
                moved[i] = side ? at + step : at - step;
                assert_ok(ls_model_run(part, &other));
                value[side] = ls_model_output(part, 0)[i / N];
            }
            moved[i]             = at;
            const float expected = (value[1] - value[0]) / (2 * step), found = ls_model_gradient(whole)[i];
            /* a step across a kink of relu or max_pool2d has a gradient between those of its sides */
            if (fabsf(found - expected) > 4e-3f) different++;
        }
    }
    assert_true(different <= 4);
    double sum = 0;
    for (int i = 0; i < ROWS * N; i++) sum += fabs((double)ls_model_gradient(whole)[i]);
    assert_true(sum > 0.1);
    ls_model_free(part);
    ls_model_free(whole);
    ls_params_free(params);
    ls_graph_free(h);
    ls_graph_free(g);
}

/* The gradient with respect to the input of a linear layer is its weight. */
static void the_gradient_of_an_input(void **state)
{
    static const float data[3] = {1, -2, 3};
    ls_graph          *g       = ls_graph_new();
    ls_tensor         *x = ls_input(g, "x", LS_F32, 3), *y = ls_linear(g, "fc1", x, 1);
    ls_params         *params;
    ls_model          *m;
    assert_ok(ls_params_new(&params, g, 1));
    assert_ok(ls_model_new_gradient(&m, g, params, y, x, 1));
    assert_ok(ls_model_run(m, &(ls_batch){.inputs = 1, .name = {"x"}, .data = {data}, .rows = 1, .global_rows = 1}));
    const float *weight = ls_params_get(params, ls_params_find(params, "fc1.weight"), NULL, NULL, NULL);
    for (int i = 0; i < 3; i++) assert_true(ls_model_gradient(m)[i] == weight[i]);
    ls_model_free(m);
    ls_params_free(params);
    ls_graph_free(g);
}

static void gradients_that_do_not_exist(void **state)
{
    ls_graph  *g = ls_graph_new();
    ls_tensor *x = ls_input(g, "x", LS_F32, 3), *y = ls_linear(g, "fc1", x, 2), *one = ls_sum(y),
              *other = ls_input(g, "z", LS_F32, 3);
    ls_params *params;
    ls_model  *m;
    assert_ok(ls_params_new(&params, g, 1));
    assert_fails(ls_model_new_gradient(&m, g, params, y, x, 1), LS_ERR_USAGE, "expected one float per sample");
    assert_fails(ls_model_new_gradient(&m, g, params, one, other, 1), LS_ERR_USAGE, "does not depend on 'z'");
    ls_params_free(params);
    ls_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_that_do_not_fit),        cmocka_unit_test(parameters_of_another_graph),
        cmocka_unit_test(parameters_that_do_not_fit),    cmocka_unit_test(too_many_rows),
        cmocka_unit_test(the_gradient_of_an_activation), cmocka_unit_test(the_gradient_of_an_input),
        cmocka_unit_test(gradients_that_do_not_exist)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
