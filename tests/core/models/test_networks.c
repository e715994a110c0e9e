/* SPDX-License-Identifier: Apache-2.0
 * core/models/resnet.c: numbers of parameters as torchvision's, which do not count running statistics, and names. */
#include "core/graph/graph.h"
#include "tests/unit.h"

static const struct {
    int     depth;
    int64_t parameters;
} sizes[] = {{18, 11689512}, {34, 21797672}, {50, 25557032}, {101, 44549160}, {152, 60192808}};

static void parameters(void **state)
{
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        ls_graph  *g     = ls_graph_new();
        ls_tensor *y     = ls_resnet(g, ls_input(g, "image", LS_F32, 3, 64, 64), .depth = sizes[s].depth);
        int64_t    total = 0;
        bool       found = false;
        assert_ok(ls_graph_status(g));
        assert_int_equal(y->dim[0], 1000);
        for (int i = 0; i < g->tensors; i++) {
            const ls_tensor *t = g->tensor[i];
            if (t->role == LS_ROLE_PARAM && !t->frozen) total += ls__numel(t);
            found |= strcmp(t->name, "layer4.1.bn2.running_var") == 0 && t->frozen;
        }
        assert_int_equal(total, sizes[s].parameters);
        assert_true(found);
        ls_graph_free(g);
    }
}

static void unknown_depths_are_refused(void **state)
{
    ls_graph *g = ls_graph_new();
    assert_null(ls_resnet(g, ls_input(g, "image", LS_F32, 3, 64, 64), .depth = 20));
    assert_fails(ls_graph_status(g), LS_ERR_USAGE, "found 20");
    ls_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parameters), cmocka_unit_test(unknown_depths_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
