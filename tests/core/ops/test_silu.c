/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    for (int64_t i = 0; i < check_numel(r, 0); i++) r->y[0][i] = r->x[0][i] / (1 + exp(-r->x[0][i]));
}

CHECK_OP(silu, reference, {.in = {{.dims = {1}}}}, {.in = {{.dims = {7, 33}}}}, {.in = {{.dims = {257}, .std = 20}}})

/* Values for which the exponential overflows or underflows. */
static void test_large(void **state)
{
    float      x[3] = {-1e4f, 1e4f, NAN}, y[3], dy[3] = {1, 1, 1}, dx[3];
    ls_graph  *g = ls_graph_new();
    ls_tensor *t = ls_silu(ls_input(g, "x", LS_F32, 3));
    ls_call    c = {.node = t->node, .args = t->node->args, .rows = 1, .x = {x}, .y = {y}, .dy = {dy}, .dx = {dx}};
    ls__op(t->node)->forward[LS_CPU](&c);
    ls__op(t->node)->backward[LS_CPU](&c);
    assert_true(y[0] == 0 && y[1] == 1e4f && isnan(y[2]));
    assert_true(dx[0] == 0 && dx[1] == 1 && isnan(dx[2]));
    ls_graph_free(g);
}

CHECK_MAIN(cmocka_unit_test(check_silu), cmocka_unit_test(test_large))
