/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

/* The rounded value selects the branch, so that central differences at a kink have the gradient of one side. */
static void reference(const check_ref *r)
{
    for (int64_t i = 0; i < check_numel(r, 0); i++) {
        const float x = check_rounded((float)r->x[0][i], r->node->in[0]->type);
        r->y[0][i]    = x <= 0 ? 0 : x >= 6 ? 6 : r->x[0][i];
    }
}

CHECK_OP(relu6, reference, {.in = {{.dims = {1}}}}, {.in = {{.dims = {7, 33}, .std = 5}}},
         {.in = {{.dims = {6, 14, 14}, .mean = 3, .std = 4}}}, {.in = {{.std = 1}}, .scalar = true})

/* NaN stays NaN; the gradient is zero at both bounds, as in PyTorch. */
static void test_bounds(void **state)
{
    float      x[5] = {NAN, -INFINITY, INFINITY, 0, 6}, y[5], dy[5] = {1, 1, 1, 1, 1}, dx[5];
    ls_graph  *g = ls_graph_new();
    ls_tensor *t = ls_relu6(ls_input(g, "x", LS_F32, 5));
    ls_call    c = {.node = t->node, .args = t->node->args, .rows = 1, .x = {x}, .y = {y}, .dy = {dy}, .dx = {dx}};
    ls__op(t->node)->forward[LS_CPU](&c);
    ls__op(t->node)->backward[LS_CPU](&c);
    assert_true(isnan(y[0]) && y[1] == 0 && y[2] == 6 && y[3] == 0 && y[4] == 6);
    for (int i = 1; i < 5; i++) assert_true(dx[i] == 0);
    ls_graph_free(g);
}

CHECK_MAIN(cmocka_unit_test(check_relu6), cmocka_unit_test(test_bounds))
