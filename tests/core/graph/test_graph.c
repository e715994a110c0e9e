/* SPDX-License-Identifier: Apache-2.0 */
/* Building graphs: shapes, names, and the first error with its place in the source. */
#include "tests/unit.h"

#include "core/graph/graph.h"

static void shapes_are_inferred(void **state)
{
    ls_graph  *g = ls_graph_new();
    ls_tensor *x = ls_input(g, "image", LS_F32, 3, 4);
    int64_t    dims[LS_MAX_DIMS];
    ls_tensor *y = ls_linear(g, "fc", x, 7);
    assert_ok(ls_graph_status(g));
    assert_int_equal(ls_tensor_dims(y, dims), 2);
    assert_int_equal(dims[0], 3);
    assert_int_equal(dims[1], 7);
    assert_true(ls_tensor_batched(y));
    assert_string_equal(ls__shape(y), "B x 3 x 7");
    assert_string_equal(g->tensor[1]->name, "fc.weight");
    ls_graph_free(g);
}

static void the_first_error_is_kept(void **state)
{
    ls_graph  *g = ls_graph_new();
    ls_tensor *x = ls_input(g, "image", LS_F32, 3);
    ls_tensor *w = ls_param(g, "w", (ls_init){0}, 5, 4);
    ls_tensor *y = ls_linear_op(x, w); /* x has 3 columns, w has 4 */
    assert_null(y);
    assert_null(ls_relu(y));
    assert_null(ls_linear(g, "more", y, 3));
    assert_fails(ls_graph_status(g), LS_ERR_USAGE, "test_graph.c:");
    assert_fails(ls_graph_status(g), LS_ERR_USAGE, "linear");
    ls_graph_free(g);
}

static void names(void **state)
{
    ls_graph *g = ls_graph_new();
    ls_scope(g, "block0");
    ls_scope(g, "attn");
    ls_tensor *p = ls_param(g, "w", (ls_init){0}, 2);
    ls_scope_end(g);
    ls_scope_end(g);
    ls_tensor *q = ls_param(g, "w", (ls_init){0}, 2);
    assert_string_equal(ls_tensor_name(p), "block0.attn.w");
    assert_string_equal(ls_tensor_name(q), "w");
    assert_ptr_equal(q, ls_param(g, "w", (ls_init){0}, 2));
    assert_null(ls_param(g, "w", (ls_init){0}, 3));
    assert_fails(ls_graph_status(g), LS_ERR_USAGE, "exists with the shape 2");
    ls_graph_free(g);
}

static void states_are_batched_and_have_no_gradient(void **state)
{
    ls_graph *g = ls_graph_new();
    ls_scope(g, "block0");
    ls_tensor *s = ls_state(g, "cache", LS_F32, 4, 3);
    ls_scope_end(g);
    assert_string_equal(ls_tensor_name(s), "block0.cache");
    assert_string_equal(ls__shape(s), "B x 4 x 3");
    assert_int_equal(s->role, LS_ROLE_STATE);
    assert_false(s->needs_grad);
    assert_non_null(ls_state(g, "cache", LS_I32));
    assert_null(ls_state(g, "cache", LS_I32));
    assert_fails(ls_graph_status(g), LS_ERR_USAGE, "state 'cache': already exists");
    ls_graph_free(g);
    g = ls_graph_new();
    assert_null(ls_state(g, "cache", LS_F32, 4, -1));
    assert_fails(ls_graph_status(g), LS_ERR_USAGE, "state 'cache': dim 1 is -1");
    ls_graph_free(g);
}

static void inputs_are_checked(void **state)
{
    ls_graph *g = ls_graph_new();
    assert_non_null(ls_input(g, "x", LS_F32));
    assert_null(ls_input(g, "x", LS_F32));
    assert_fails(ls_graph_status(g), LS_ERR_USAGE, "already exists");
    ls_graph_free(g);
    g = ls_graph_new();
    assert_null(ls_input(g, "x", LS_F32, 3, -1));
    assert_fails(ls_graph_status(g), LS_ERR_USAGE, "dim 1 is -1");
    ls_graph_free(g);
    g = ls_graph_new();
    assert_null(ls_input(g, "x", LS_F32, 3, 0, 5));
    assert_fails(ls_graph_status(g), LS_ERR_USAGE, "input 'x'");
    ls_graph_free(g);
}

/* Sizes that overflow int64_t, or exceed any memory. */
static void sizes_beyond_any_memory(void **state)
{
    const int64_t huge = (int64_t)1 << 31;
    ls_graph     *g    = ls_graph_new();
    ls_params    *params;
    assert_null(ls_input(g, "x", LS_F32, huge, huge, huge));
    assert_fails(ls_graph_status(g), LS_ERR_USAGE, "input 'x'");
    ls_graph_free(g);
    g = ls_graph_new();
    assert_null(ls_linear(g, "fc", ls_input(g, "x", LS_F32, huge), huge));
    assert_fails(ls_graph_status(g), LS_ERR_USAGE, "parameter 'fc.weight' (test_graph.c:");
    ls_graph_free(g);
    g = ls_graph_new();
    assert_null(ls_linear(g, "fc", ls_input(g, "x", LS_F32, huge, 1), huge)); /* a small weight and a huge result */
    assert_fails(ls_graph_status(g), LS_ERR_USAGE, "linear (test_graph.c:");
    ls_graph_free(g);
    g            = ls_graph_new();
    ls_tensor *x = ls_input(g, "x", LS_F32, huge);
    for (int i = 0; i < 3; i++)
        assert_non_null(ls_linear(g,
                                  i == 0   ? "a"
                                  : i == 1 ? "b"
                                           : "c",
                                  x, 1000)); /* each has half of the allowed number of parameters */
    assert_fails(ls_params_new(&params, g, 1), LS_ERR_USAGE, "the model has more than");
    ls_graph_free(g);
}

static void globs(void **state)
{
    assert_true(ls__glob("*.bias", "fc1.bias"));
    assert_false(ls__glob("*.bias", "fc1.weight"));
    assert_true(ls__glob("fc?.*", "fc1.weight"));
    assert_true(ls__glob("**", ""));
    assert_false(ls__glob("", "x"));
    assert_false(ls__glob("a*b", "ac"));
    assert_true(ls__glob("a*b*", "axxbb"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes_are_inferred),
                                       cmocka_unit_test(the_first_error_is_kept),
                                       cmocka_unit_test(names),
                                       cmocka_unit_test(states_are_batched_and_have_no_gradient),
                                       cmocka_unit_test(inputs_are_checked),
                                       cmocka_unit_test(sizes_beyond_any_memory),
                                       cmocka_unit_test(globs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
