/* SPDX-License-Identifier: Apache-2.0 */
/* Layers: their parameters have PyTorch's names and shapes, and errors name the line of the model. */
#include "tests/unit.h"

#include "core/models/model_table.h"
#include "core/nn/layer_table.h"

static const ls_tensor *param(const ls_graph *g, const char *name)
{
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->role == LS_ROLE_PARAM && strcmp(g->tensor[i]->name, name) == 0) return g->tensor[i];
    fail_msg("there is no parameter '%s'", name);
    return NULL;
}

static void parameters_have_pytorchs_names_and_layouts(void **state)
{
    ls_graph  *g = ls_graph_new();
    ls_tensor *x = ls_conv2d(g, "conv", ls_input(g, "image", LS_F32, 4, 9, 11), 6, .kernel_h = 3, .kernel_w = 5,
                             .stride = 2, .padding = 1, .groups = 2);
    ls_tensor *z = ls_conv_transpose2d(g, "up", x, 8, .kernel = 4, .stride = 2, .padding = 1, .groups = 2);
    ls_tensor *y = ls_linear(g, "fc", ls_flatten(x), 10, .no_bias = true);
    ls_tensor *s = ls_conv1d(g, "sequence", ls_input(g, "signal", LS_F32, 4, 20), 6, .kernel = 5, .groups = 2);
    ls_tensor *v = ls_conv3d(g, "volume", ls_input(g, "field", LS_F32, 2, 5, 6, 7), 8, .kernel = 3, .kernel_d = 2,
                             .stride_d = 2, .padding = 1);
    assert_ok(ls_graph_status(g));
    assert_string_equal(ls__shape(param(g, "conv.weight")), "6 x 2 x 3 x 5");
    assert_string_equal(ls__shape(param(g, "conv.bias")), "6");
    assert_string_equal(ls__shape(x), "B x 6 x 5 x 5");
    assert_string_equal(ls__shape(param(g, "up.weight")), "6 x 4 x 4 x 4");
    assert_string_equal(ls__shape(param(g, "up.bias")), "8");
    assert_int_equal(param(g, "up.bias")->init.fan, 4 * 4 * 4);
    assert_string_equal(ls__shape(z), "B x 8 x 10 x 10");
    assert_string_equal(ls__shape(param(g, "sequence.weight")), "6 x 2 x 5");
    assert_string_equal(ls__shape(s), "B x 6 x 16");
    assert_string_equal(ls__shape(param(g, "volume.weight")), "8 x 2 x 2 x 3 x 3");
    assert_int_equal(param(g, "volume.bias")->init.fan, 2 * 2 * 3 * 3);
    assert_string_equal(ls__shape(v), "B x 8 x 3 x 6 x 7");
    assert_string_equal(ls__shape(param(g, "fc.weight")), "10 x 150");
    assert_string_equal(ls__shape(y), "B x 10");
    for (int i = 0; i < g->tensors; i++) assert_string_not_equal(g->tensor[i]->name, "fc.bias");
    assert_int_equal(param(g, "conv.bias")->init.fan, 2 * 3 * 5);
    ls_graph_free(g);
}

static void a_transformers_layers_have_pytorchs_names_and_layouts(void **state)
{
    ls_graph  *g = ls_graph_new();
    ls_tensor *x = ls_embedding(g, "wte", ls_input(g, "tokens", LS_I32, 7), 50, 6);
    ls_layer_norm(g, "ln", x);
    ls_rms_norm(g, "rms", x);
    ls_group_norm(g, "gn", ls_input(g, "image", LS_F32, 8, 3, 3), 4);
    assert_ok(ls_graph_status(g));
    assert_string_equal(ls__shape(param(g, "wte.weight")), "50 x 6");
    assert_string_equal(ls__shape(x), "B x 7 x 6");
    assert_int_equal(param(g, "wte.weight")->init.kind, LS_INIT_NORMAL);
    assert_string_equal(ls__shape(param(g, "ln.weight")), "6");
    assert_string_equal(ls__shape(param(g, "ln.bias")), "6");
    assert_string_equal(ls__shape(param(g, "rms.weight")), "6");
    assert_string_equal(ls__shape(param(g, "gn.weight")), "8");
    assert_true(param(g, "gn.weight")->init.value == 1 && param(g, "gn.bias")->init.value == 0);
    assert_true(param(g, "rms.weight")->init.value == 1);
    assert_true(param(g, "ln.weight")->init.value == 1 && param(g, "ln.bias")->init.value == 0);
    ls_graph_free(g);
}

static void mistakes_are_named(void **state)
{
    const struct {
        int64_t     c, h, w; /* of the input; 0: none */
        int         kernel, groups;
        const char *says;
    } table[] = {{4, 9, 9, 0, 0, "set .kernel"},
                 {4, 9, 9, 3, 3, "multiples of groups"},
                 {4, 0, 0, 3, 0, "C x H x W"},
                 {4, 9, 9, 12, 0, "conv2d"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_graph  *g = ls_graph_new();
        ls_tensor *x = ls_input(g, "image", LS_F32, table[i].c, table[i].h, table[i].w);
        assert_null(ls_conv2d(g, "conv", x, 6, .kernel = table[i].kernel, .groups = table[i].groups));
        assert_fails(ls_graph_status(g), LS_ERR_USAGE, table[i].says);
        assert_fails(ls_graph_status(g), LS_ERR_USAGE, "test_layers.c:");
        ls_graph_free(g);
    }
}

static void every_layer_of_the_table_can_be_built(void **state)
{
    for (const ls_layer *l = ls__layer_table; l->name; l++) {
        assert_true(l->args_bytes >= sizeof(ls_layer_head));
        for (const ls_field *f = l->fields; f && f->name; f++) assert_true(f->offset < l->args_bytes);
    }
    for (const ls_model_entry *m = ls__model_table; m->name; m++) {
        if (m->kind != LS_MODEL_OF_SAMPLES) continue;
        ls_graph      *g       = ls_graph_new();
        unsigned char *args    = calloc(1, m->args_bytes);
        *(ls_model_head *)args = (ls_model_head){.g = g, .x = ls_input(g, "image", LS_F32, 3, 64, 64), .classes = 7};
        ls_tensor *logits      = m->build(args);
        assert_ok(ls_graph_status(g));
        assert_string_equal(ls__shape(logits), "B x 7");
        free(args);
        ls_graph_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parameters_have_pytorchs_names_and_layouts),
                                       cmocka_unit_test(a_transformers_layers_have_pytorchs_names_and_layouts),
                                       cmocka_unit_test(mistakes_are_named),
                                       cmocka_unit_test(every_layer_of_the_table_can_be_built)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
