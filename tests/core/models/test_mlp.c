/* SPDX-License-Identifier: Apache-2.0
 * core/models/mlp.c: hidden units by the number of parameters. */
#include "core/graph/graph.h"
#include "tests/unit.h"

static int64_t total(const ls_graph *g)
{
    int64_t sum = 0;
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->role == LS_ROLE_PARAM) sum += ls__numel(g->tensor[i]);
    return sum;
}

/* The nearest number: 71 and 72 hidden units give 61,567 and 62,506 parameters. */
static void params_give_the_hidden_units(void **state)
{
    static const struct {
        int     layers;
        int64_t params, found;
    } table[] = {{0, 61706, 61567}, {1, 61706, 62020}, {1, 7960, 7960}, {3, 269722, 270475}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_graph  *g = ls_graph_new();
        ls_tensor *x = ls_input(g, "image", LS_F32, 1, 28, 28);
        assert_non_null(ls_mlp(g, x, .layers = table[i].layers, .params = table[i].params));
        assert_ok(ls_graph_status(g));
        assert_int_equal(total(g), table[i].found);
        ls_graph_free(g);
    }
}

static void impossible_numbers_are_refused(void **state)
{
    static const struct {
        ls_mlp_args args;
        const char *says;
    } table[] = {{{.params = 100}, "1 hidden units give 807"},
                 {{.params = 2000, .layers = 1}, "within 1 %"},
                 {{.params = 61706, .hidden = 7}, "hidden 7"},
                 {{.params = 61706, .layers = -1}, "layers 0"},
                 {{.params = -1}, "params -1"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_graph   *g    = ls_graph_new();
        ls_mlp_args args = table[i].args;
        args.g           = g;
        args.x           = ls_input(g, "image", LS_F32, 1, 28, 28);
        assert_null(ls__mlp(args));
        assert_fails(ls_graph_status(g), LS_ERR_USAGE, table[i].says);
        ls_graph_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(params_give_the_hidden_units),
                                       cmocka_unit_test(impossible_numbers_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
