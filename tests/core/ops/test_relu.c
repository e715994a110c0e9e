/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    for (int64_t i = 0; i < check_numel(r, 0); i++) r->y[0][i] = r->x[0][i] > 0 ? r->x[0][i] : 0;
}

CHECK_OP(relu, reference, {.in = {{.dims = {1}}}}, {.in = {{.dims = {7, 33}}}}, {.in = {{.dims = {6, 14, 14}}}},
         {.in = {{.std = 1}}, .scalar = true})

static void test_nan(void **state)
{
    float      x[3] = {NAN, -1, INFINITY}, y[3];
    ls_graph  *g    = ls_graph_new();
    ls_tensor *t    = ls_relu(ls_input(g, "x", LS_F32, 3));
    ls_call    c    = {.node = t->node, .args = t->node->args, .rows = 1, .x = {x}, .y = {y}};
    ls__op(t->node)->forward[LS_CPU](&c);
    assert_true(isnan(y[0]) && y[1] == 0 && y[2] == INFINITY);
    ls_graph_free(g);
}

CHECK_MAIN(cmocka_unit_test(check_relu), cmocka_unit_test(test_nan))
