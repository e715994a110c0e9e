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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(states_that_do_not_fit),
                                       cmocka_unit_test(parameters_of_another_graph),
                                       cmocka_unit_test(parameters_that_do_not_fit), cmocka_unit_test(too_many_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
