/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    int64_t v = ls__cols(r->node->in[0]);
    for (int64_t first = 0; first < check_numel(r, 0); first += v) {
        const double *x = r->x[0] + first;
        double       *y = r->y[0] + first, sum = 0;
        for (int64_t i = 0; i < v; i++) sum += y[i] = exp(x[i]);
        for (int64_t i = 0; i < v; i++) y[i] /= sum;
    }
}

CHECK_OP(softmax, reference, {.in = {{.dims = {1}}}}, {.in = {{.dims = {7}}}}, {.in = {{.dims = {33}}}},
         {.in = {{.dims = {3, 5, 10}}}}, {.in = {{.dims = {1031}, .std = 4, .mean = 50}}})

/* Softmax is finite for large x, whose exponential is infinite. */
static void test_large(void **state)
{
    float      x[3]    = {1000, 999, -1000}, y[3];
    ls_graph  *g       = ls_graph_new();
    int64_t    bound[] = {0, 1};
    ls_tensor *t       = ls_softmax(ls_input(g, "x", LS_F32, 3));
    ls_call    c = {.node = t->node, .args = t->node->args, .rows = 1, .shards = 1, .bound = bound, .x = {x}, .y = {y}};
    ls__op(t->node)->forward[LS_CPU](&c);
    assert_float_equal(y[0], 0.7310586, 1e-6);
    assert_float_equal(y[1], 0.2689414, 1e-6);
    assert_true(y[2] == 0);
    ls_graph_free(g);
}

static void test_refused(void **state)
{
    CHECK_REFUSED(softmax, "expected float32", {.in = {{.dims = {3}, .type = LS_I32}}});
    CHECK_REFUSED(softmax, "no batch dim", {.in = {{.dims = {3}, .param = true}}});
}

CHECK_MAIN(cmocka_unit_test(check_softmax), cmocka_unit_test(test_large), cmocka_unit_test(test_refused))
