/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    int64_t numel = ls__numel(r->node->in[0]);
    for (int64_t b = 0; b < r->rows; b++) {
        r->y[0][b] = 0;
        r->y[1][b] = (double)numel;
        for (int64_t i = b * numel; i < (b + 1) * numel; i++) r->y[0][b] += fabs(r->x[0][i] - r->x[1][i]);
    }
}

CHECK_OP(mae, reference, {.in = {{.std = 1}, {.std = 1}}, .scalar = true},
         {.in = {{.dims = {1}}, {.dims = {1}}}, .scalar = true},
         {.in = {{.dims = {7, 33}}, {.dims = {7, 33}}}, .scalar = true},
         {.in = {{.dims = {2100}}, {.dims = {2100}}}, .scalar = true})

static void test_weight(void **state)
{
    ls_graph  *g    = ls_graph_new();
    ls_tensor *loss = ls_mae(ls_input(g, "x", LS_F32, 3), ls_input(g, "t", LS_F32, 3));
    assert_true(loss->weight == loss->node->out[1]);
    ls_graph_free(g);
}

static void test_refused(void **state)
{
    CHECK_REFUSED(mae, "one shape", {.in = {{.dims = {3}}, {.dims = {4}}}});
    CHECK_REFUSED(mae, "expected float32", {.in = {{.dims = {3}}, {.dims = {3}, .type = LS_I32}}});
}

CHECK_MAIN(cmocka_unit_test(check_mae), cmocka_unit_test(test_weight), cmocka_unit_test(test_refused))
