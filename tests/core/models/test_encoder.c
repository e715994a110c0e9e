/* SPDX-License-Identifier: Apache-2.0
 * core/models/encoder.c: the number of parameters of BERT-base, and arguments that are refused.  Values are compared
 * with transformers in tests/dist/trainer/test_encoder_training.c. */
#include "core/graph/graph.h"
#include "tests/unit.h"

/* Builds an encoder with the inputs that its kind needs; `lacks` leaves one out. */
static ls_tensor *build(ls_encoder_args a, const char *lacks)
{
    a.x      = ls_input(a.g, "tokens", LS_I32, 8);
    a.length = strcmp(lacks, "length") ? ls_input(a.g, "length", LS_I32) : NULL;
    if (a.kind != LS_DISTILBERT && strcmp(lacks, "type")) a.type = ls_input(a.g, "type", LS_I32, 8);
    return ls__encoder(a);
}

static void published_size(void **state)
{
    ls_graph *g = ls_graph_new();
    int64_t   n = 0;
    build((ls_encoder_args){.g = g, .layers = 12, .heads = 12, .width = 768, .classes = 2}, "");
    assert_ok(ls_graph_status(g));
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->role == LS_ROLE_PARAM) n += ls__numel(g->tensor[i]);
    assert_int_equal(n, 109482240 + 2 * 768 + 2);
    ls_graph_free(g);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        ls_encoder_args args;
        const char     *lacks, *says;
    } table[] = {{{.heads = 3}, "", "a width that is a multiple of heads, found layers 4, heads 3, width 256"},
                 {{.layers = -1}, "", "found layers -1"},
                 {{.context = 7}, "", "expected at most 7 positions, found the input 'tokens'"},
                 {{.kind = LS_ROBERTA, .context = 9}, "", "expected at most 7 positions"},
                 {{.layers = 1}, "length", "expected lengths, and types for bert and roberta"},
                 {{.layers = 1}, "type", "expected lengths, and types for bert and roberta"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_encoder_args a = table[i].args;
        a.g               = ls_graph_new();
        assert_null(build(a, table[i].lacks));
        assert_fails(ls_graph_status(a.g), LS_ERR_USAGE, table[i].says);
        ls_graph_free(a.g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(published_size), cmocka_unit_test(mistakes_are_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
