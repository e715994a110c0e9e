/* SPDX-License-Identifier: Apache-2.0
 * Models given as blocks of layers: ResNet-18 from blocks equals the model of that name, and paths whose shapes differ
 * give a message with their place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/graph/graph.h"
#include "launch/recipe/recipe.h"

#define INIT "no_bias: true, weight_init: {kind: kaiming_normal, fan_out: true}"
#define CONV(name, out, kernel, padding, stride)                                                                       \
    "{conv2d: {name: " name ", out: " out ", kernel: " kernel ", padding: " padding ", stride: " stride ", " INIT "}}"
#define NORM(name) "{batch_norm: {name: " name "}}"
#define PATH(out, stride)                                                                                              \
    "layers: [" CONV("conv1", out, "3", "1", stride) ", " NORM("bn1") ", relu, " CONV("conv2", out, "3", "1",          \
                                                                                      "1") ", " NORM("bn2") "]"
/* A stage whose first block halves the size. */
#define STAGE(name, out)                                                                                               \
    "    - residual: {name: " name ".0, " PATH(out, "2") ", shortcut: [" CONV(                                         \
        "downsample.0", out, "1", "0", "2") ", " NORM("downsample.1") "]}\n    - relu\n    - residual: {name: " name   \
                                                                      ".1, " PATH(out, "1") "}\n    - relu\n"

static const char by_blocks[] = "model:\n  layers:\n    - " CONV("conv1", "64", "7", "3", "2") "\n    - " NORM(
    "bn1") "\n    - relu\n    - max_pool2d: {kernel: 3, stride: 2, padding: 1}\n"
           "    - repeat: {name: layer1, times: 2, layers: [{residual: {" PATH("64", "1") "}}, relu]}\n" STAGE(
               "layer2", "128") STAGE("layer3", "256")
               STAGE("layer4",
                     "512") "    - avg_pool2d: {kernel: 2}\n    - flatten\n    - linear: {name: fc, out: 10}\n";

static ls_graph *build(const char *text, ls_status expected)
{
    ls_recipe *r;
    ls_graph  *g = ls_graph_new();
    ls_tensor *x = ls_input(g, "x", LS_F32, 3, 64, 64), *logits;
    assert_int_equal(ls_recipe_parse(&r, text, strlen(text), "r.yaml", 0, NULL), LS_OK);
    const ls_status status =
        ls_recipe_build(r, g, x, &(ls_recipe_output){.count = 10, .unit = "class", .data = "images"}, &logits);
    if (status != expected) fail_msg("%s", ls_error_message());
    ls_recipe_free(r);
    return g;
}

static void test_resnet18(void **state)
{
    ls_graph *named = build("model:\n  name: resnet18\n", LS_OK), *blocks = build(by_blocks, LS_OK);
    assert_int_equal(named->nodes, blocks->nodes);
    for (int i = 0; i < named->nodes; i++) assert_int_equal(named->node[i]->op, blocks->node[i]->op);
    assert_int_equal(named->tensors, blocks->tensors);
    for (int i = 0; i < named->tensors; i++) {
        const ls_tensor *a = named->tensor[i], *b = blocks->tensor[i];
        assert_int_equal(a->role, b->role);
        assert_string_equal(ls__shape(a), ls__shape(b));
        if (a->role != LS_ROLE_PARAM) continue;
        assert_string_equal(a->name, b->name);
        assert_memory_equal(&a->init, &b->init, sizeof a->init);
    }
    ls_graph_free(named);
    ls_graph_free(blocks);
}

#define UNNAMED(out) "conv2d: {out: " out ", kernel: 1, no_bias: true}"

static const char unnamed[] =
    "model:\n  layers:\n"
    "    - " UNNAMED(
        "3") "\n"
             "    - repeat: {times: 2, layers: [{" UNNAMED("3") "}, {residual: {name: a, layers: [{" UNNAMED(
                 "3") "}]}}]}\n"
                      "    - branch: {join: add, paths: [[{" UNNAMED("4") "}], [{" UNNAMED(
                          "4") "}]]}\n"
                               "    - flatten\n"
                               "    - linear: {out: 10, no_bias: true}\n";

/* Layers without a name are numbered within their scope, and each repetition has its own parameters. */
static void test_names(void **state)
{
    static const char *const expected[] = {"conv2d1.weight",
                                           "repeat1.0.conv2d1.weight",
                                           "repeat1.0.a.conv2d1.weight",
                                           "repeat1.1.conv2d1.weight",
                                           "repeat1.1.a.conv2d1.weight",
                                           "conv2d2.weight",
                                           "conv2d3.weight",
                                           "linear1.weight"};
    ls_graph                *g          = build(unnamed, LS_OK);
    size_t                   n          = 0;
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->role == LS_ROLE_PARAM) assert_string_equal(g->tensor[i]->name, expected[n++]);
    assert_int_equal(n, sizeof expected / sizeof *expected);
    ls_graph_free(g);
}

/* A branch of three paths has the channels of the first, the second and the third in this order. */
static void test_concat_shape(void **state)
{
    ls_graph *g = build("model:\n  layers:\n    - branch: {paths: [[], [{conv2d: {out: 5, kernel: 3, padding: 1}}], "
                        "[{max_pool2d: {kernel: 3, stride: 1, padding: 1}}]]}\n"
                        "    - adaptive_avg_pool2d: {size: 1}\n    - flatten\n    - linear: {name: fc, out: 10}\n",
                        LS_OK);
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->name && !strcmp(g->tensor[i]->name, "fc.weight")) assert_int_equal(g->tensor[i]->dim[1], 11);
    ls_graph_free(g);
}

static void expect_message(const char *layers, const char *part)
{
    char text[512];
    snprintf(text, sizeof text, "model:\n  layers:\n    - %s\n    - flatten\n    - linear: {out: 10}\n", layers);
    ls_graph_free(build(text, LS_ERR_USAGE));
    if (!strstr(ls_error_message(), part)) fail_msg("expected '%s' in: %s", part, ls_error_message());
}

static void test_messages(void **state)
{
    expect_message("residual: {layers: [conv2d: {out: 8, kernel: 3, padding: 1}]}",
                   "r.yaml:3:7: residual: expected paths of one shape, found B x 8 x 64 x 64 and B x 3 x 64 x 64");
    assert_non_null(strstr(ls_error_message(), "shortcut: [conv2d"));
    expect_message("branch: {paths: [[max_pool2d: {kernel: 2}], []]}",
                   "r.yaml:3:7: branch: expected paths of one shape but for the first dim, found B x 3 x 32 x 32 and "
                   "B x 3 x 64 x 64");
    expect_message("branch: {join: add, paths: [[flatten], []]}", "found B x 12288 and B x 3 x 64 x 64");
    expect_message("repeat: {times: 8, layers: [max_pool2d: {kernel: 2}]}", "max_pool2d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resnet18),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_concat_shape),
        cmocka_unit_test(test_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
