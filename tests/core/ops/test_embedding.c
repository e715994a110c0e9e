/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    int64_t cols = r->node->in[1]->dim[1];
    for (int64_t p = 0; p < check_numel(r, 0); p++)
        for (int64_t i = 0; i < cols; i++) r->y[0][p * cols + i] = r->x[1][(int64_t)r->x[0][p] * cols + i];
}

#define INDEX(v, ...)                                                                                                  \
    {                                                                                                                  \
        .dims = {__VA_ARGS__}, .type = LS_I32, .high = (v)                                                             \
    }
#define TABLE(...)                                                                                                     \
    {                                                                                                                  \
        .dims = {__VA_ARGS__}, .param = true                                                                           \
    }

CHECK_OP(embedding, reference, {.in = {INDEX(1, 0), TABLE(1, 1)}, .out = {1}},
         {.in = {INDEX(7, 0), TABLE(7, 33)}, .out = {33}},
         {.in = {INDEX(3, 33), TABLE(5, 7)}, .out = {33, 7}}, /* few table rows, most used often, some unused */
         {.in = {INDEX(1031, 2, 5), TABLE(1031, 10)}, .out = {2, 5, 10}},
         {.in = {INDEX(40, 6), TABLE(300, 300)}, .out = {6, 300}})

/* Runs the op for one sample of three positions and a table of 2 x 2. */
static void run(const int32_t index[3], float y[6], float dw[4], bool add)
{
    float      w[4] = {1, 2, 3, 4}, dy[6] = {-0.0f, 0.25f, 0.5f, 1, 2, 4};
    int64_t    scratch[8];
    ls_graph  *g = ls_graph_new();
    ls_tensor *t = ls_embedding(g, "wte", ls_input(g, "x", LS_I32, 3), 2, 2);
    assert_non_null(t);
    ls_group group = {.shards = 1};
    ls_call  c     = {.node    = t->node,
                      .args    = t->node->args,
                      .rows    = 1,
                      .shards  = 1,
                      .bound   = (int64_t[]){0, 1},
                      .x       = {(void *)index, w},
                      .y       = {y},
                      .dy      = {dy},
                      .dx      = {NULL, dw},
                      .add     = {false, add},
                      .groups  = 1,
                      .group   = &group,
                      .scratch = scratch};
    assert_true(ls__op(t->node)->scratch(t->node, 1, 1, 1, true) <= sizeof scratch);
    ls__op(t->node)->forward[LS_CPU](&c);
    ls__op(t->node)->backward[LS_CPU](&c);
    ls_graph_free(g);
}

static void test_out_of_range(void **state)
{
    float y[6], dw[4];
    run((int32_t[]){2, 1, -1}, y, dw, false);
    assert_true(isnan(y[0]) && isnan(y[1]) && isnan(y[4]) && isnan(y[5]) && y[2] == 3 && y[3] == 4);
    assert_true(dw[0] == 0 && dw[1] == 0 && dw[2] == 0.5f && dw[3] == 1);
}

static void test_add_keeps_other_rows(void **state)
{
    float y[6], dw[4] = {NAN, -0.0f, 8, 8};
    run((int32_t[]){1, 1, 1}, y, dw, true);
    assert_true(isnan(dw[0]) && signbit(dw[1]) && dw[2] == 10.5f && dw[3] == 13.25f);
}

/* A partial sum is never -0, so the tree may skip shards in which a row does not occur. */
static void test_negative_zeros(void **state)
{
    float y[6], dw[4];
    run((int32_t[]){0, 1, 1}, y, dw, false);
    assert_true(dw[0] == 0 && !signbit(dw[0]) && dw[1] == 0.25f);
}

static void test_refused(void **state)
{
    CHECK_REFUSED(embedding, "samples of int32", {.in = {{.dims = {3}}, TABLE(4, 2)}});
    CHECK_REFUSED(embedding, "expected a parameter of 2 dims", {.in = {INDEX(4, 3), TABLE(4)}});
    CHECK_REFUSED(embedding, "expected a parameter of 2 dims", {.in = {INDEX(4, 3), {.dims = {4, 2}}}});
    CHECK_REFUSED(embedding, "too many dims", {.in = {INDEX(4, 1, 1, 1, 1, 1, 1), TABLE(4, 2)}});
}

CHECK_MAIN(cmocka_unit_test(check_embedding), cmocka_unit_test(test_out_of_range),
           cmocka_unit_test(test_add_keeps_other_rows), cmocka_unit_test(test_negative_zeros),
           cmocka_unit_test(test_refused))
