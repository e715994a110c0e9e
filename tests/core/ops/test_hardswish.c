/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

/* The rounded value selects the branch, so that central differences at a kink have the gradient of one side. */
static void reference(const check_ref *r)
{
    for (int64_t i = 0; i < check_numel(r, 0); i++) {
        const double exact = r->x[0][i];
        const float  x     = check_rounded((float)exact, r->node->in[0]->type);
        r->y[0][i]         = x <= -3 ? 0 : x >= 3 ? exact : exact * (exact + 3) / 6;
    }
}

CHECK_OP(hardswish, reference, {.in = {{.dims = {1}}}}, {.in = {{.dims = {7, 33}, .std = 3}}},
         {.in = {{.dims = {6, 14, 14}, .std = 2}}}, {.in = {{.std = 1}}, .scalar = true})

/* The gradients at the two kinks, as in PyTorch 2.15, and large values. */
static void test_bounds(void **state)
{
    float      x[5] = {-3, 3, -1e30f, 1e30f, NAN}, y[5], dy[5] = {1, 1, 1, 1, 1}, dx[5];
    ls_graph  *g = ls_graph_new();
    ls_tensor *t = ls_hardswish(ls_input(g, "x", LS_F32, 5));
    ls_call    c = {.node = t->node, .args = t->node->args, .rows = 1, .x = {x}, .y = {y}, .dy = {dy}, .dx = {dx}};
    ls__op(t->node)->forward[LS_CPU](&c);
    ls__op(t->node)->backward[LS_CPU](&c);
    assert_true(y[0] == 0 && y[1] == 3 && y[2] == 0 && fabsf(y[3] / 1e30f - 1) < 1e-6f && isnan(y[4]));
    assert_true(dx[0] == 0 && dx[1] == 1 && dx[2] == 0 && dx[3] == 1 && isnan(dx[4]));
    ls_graph_free(g);
}

CHECK_MAIN(cmocka_unit_test(check_hardswish), cmocka_unit_test(test_bounds))
