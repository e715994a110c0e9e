/* SPDX-License-Identifier: Apache-2.0
 * */
/* dist/interop/architecture.h: the architecture of a model, and the matrices of GPT-2 that are stored transposed. */
#include "core/graph/params.h"
#include "dist/interop/architecture.h"
#include "tests/unit.h"

static ls_graph *make_gpt(void)
{
    ls_graph *g = ls_graph_new();
    ls_gpt(.g = g, .x = ls_input(g, "tokens", LS_I32, 8), .vocab = 9, .layers = 1, .heads = 2, .width = 8,
           .context = 8);
    assert_ok(ls_graph_status(g));
    return g;
}

static void the_graph_names_its_architecture(void **state)
{
    ls_graph *g = make_gpt();
    assert_ptr_equal(ls__architecture_of(g), &ls__arch_gpt2);
    ls_graph_free(g);
    g = ls_graph_new();
    ls_mlp(.g = g, .x = ls_input(g, "image", LS_F32, 8));
    assert_null(ls__architecture_of(g));
    ls_graph_free(g);
}

static void a_model_type_names_its_architecture(void **state)
{
    char known[256];
    assert_ptr_equal(ls__architecture_of_type("gpt2", known), &ls__arch_gpt2);
    assert_ptr_equal(ls__architecture_of_type("lockstep_gpt", known), &ls__arch_gpt2);
    assert_ptr_equal(ls__architecture_of_type("qwen3", known), &ls__arch_decoder);
    assert_null(ls__architecture_of_type("mamba", known));
    assert_string_equal(known, "gpt2, lockstep_gpt, llama, mistral, qwen2, qwen3, smollm3, gemma, gemma2, gemma3_text, "
                               "bert, roberta, distilbert, vit, deit");
}

static void conv1d_matrices_of_gpt2_are_transposed(void **state)
{
    static const char *const transposed[] = {"transformer.h.0.attn.c_attn.weight", "transformer.h.0.attn.c_proj.weight",
                                             "transformer.h.0.mlp.c_fc.weight", "transformer.h.0.mlp.c_proj.weight"};
    ls_graph                *g            = make_gpt();
    int                      found        = 0;
    for (int i = 0; i < g->tensors; i++) {
        const ls_tensor *t = g->tensor[i];
        if (t->role != LS_ROLE_PARAM) continue;
        bool expected = false;
        for (size_t k = 0; k < sizeof transposed / sizeof *transposed; k++) expected |= !strcmp(t->name, transposed[k]);
        if (ls__is_stored_transposed(&ls__arch_gpt2, t) != expected) fail_msg("%s", t->name);
        assert_false(ls__is_stored_transposed(NULL, t));
        found += expected;
    }
    assert_int_equal(found, 4);
    ls_graph_free(g);
}

static void the_smallest_model_has_all_required_keys(void **state)
{
    ls_config_entry entries[LS_CONFIG_ENTRIES];
    int             count = ls__arch_gpt2.config(ls__arch_gpt2.smallest, entries), required = 0;
    assert_in_range(count, 20, LS_CONFIG_ENTRIES);
    for (int i = 0; i < count; i++) required += entries[i].required && entries[i].option;
    assert_int_equal(required, 5); /* vocabulary, layers, heads, width, context */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_graph_names_its_architecture),
        cmocka_unit_test(a_model_type_names_its_architecture),
        cmocka_unit_test(conv1d_matrices_of_gpt2_are_transposed),
        cmocka_unit_test(the_smallest_model_has_all_required_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
