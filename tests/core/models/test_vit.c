/* SPDX-License-Identifier: Apache-2.0
 * core/models/vit.c: the numbers of parameters of published models, and arguments that are refused.  Values are
 * compared with transformers and timm in tests/dist/trainer/test_encoder_training.c. */
#include "core/graph/graph.h"
#include "tests/unit.h"

static int64_t parameters(ls_vit_args a)
{
    int64_t n = 0;
    a.g       = ls_graph_new();
    a.x       = ls_input(a.g, "image", LS_F32, 3, 224, 224);
    ls__vit(a);
    assert_ok(ls_graph_status(a.g));
    for (int i = 0; i < a.g->tensors; i++)
        if (a.g->tensor[i]->role == LS_ROLE_PARAM) n += ls__numel(a.g->tensor[i]);
    ls_graph_free(a.g);
    return n;
}

static void published_sizes(void **state)
{
    assert_int_equal(parameters((ls_vit_args){0}), 5717416);                          /* ViT-Ti/16 */
    assert_int_equal(parameters((ls_vit_args){.width = 768, .heads = 12}), 86567656); /* ViT-B/16 */
}

static void mistakes_are_named(void **state)
{
    static const struct {
        ls_vit_args args;
        const char *says;
    } table[] = {{{.patch = 5}, "with H and W multiples of the patch, 5, found the input 'image', B x 3 x 32 x 32"},
                 {{.patch = -1}, "multiples of the patch, -1"},
                 {{.heads = 5}, "a width that is a multiple of heads, found layers 12, heads 5, width 192"},
                 {{.layers = -1}, "found layers -1"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_graph   *g = ls_graph_new();
        ls_vit_args a = table[i].args;
        a.g           = g;
        a.x           = ls_input(g, "image", LS_F32, 3, 32, 32);
        assert_null(ls__vit(a));
        assert_fails(ls_graph_status(g), LS_ERR_USAGE, table[i].says);
        ls_graph_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(published_sizes), cmocka_unit_test(mistakes_are_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
