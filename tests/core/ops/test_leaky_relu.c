/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    double slope = (double)((const ls_leaky_relu_args *)r->args)->slope;
    for (int64_t i = 0; i < check_numel(r, 0); i++) {
        double x   = r->x[0][i];
        r->y[0][i] = x > 0 ? x : slope * x;
    }
}

CHECK_OP(leaky_relu, reference, {.in = {{.dims = {1}}}},
         {.in = {{.dims = {7, 33}}}, .args = &(ls_leaky_relu_args){.slope = 0.2f}})

static void test_default(void **state)
{
    ls_graph  *g = ls_graph_new();
    ls_tensor *y = ls_leaky_relu(ls_input(g, "x", LS_F32, 2));
    assert_float_equal(((ls_leaky_relu_args *)y->node->args)->slope, 0.01f, 0);
    ls_graph_free(g);
}

static void test_refused(void **state)
{
    CHECK_REFUSED(leaky_relu, "slope is -1", {.in = {{.dims = {2}}}, .args = &(ls_leaky_relu_args){.slope = -1}});
}

CHECK_MAIN(cmocka_unit_test(check_leaky_relu), cmocka_unit_test(test_default), cmocka_unit_test(test_refused))
