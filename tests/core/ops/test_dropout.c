/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const double p     = (double)((const ls_dropout_args *)r->args)->p;
    int64_t      numel = ls__numel(r->node->in[0]);
    for (int64_t k = 0; k < check_numel(r, 0); k++) {
        int64_t  i    = k % numel;
        uint32_t bits = ls_philox(r->key, (uint64_t)(r->first_sample + k / numel), (uint64_t)i / 4).v[i % 4];
        bool     kept = !r->training || (double)ls_uniform01(bits) >= p;
        r->y[0][k]    = kept ? r->x[0][k] / (r->training ? 1 - p : 1) : 0;
    }
}

#define P(value)                                                                                                       \
    &(ls_dropout_args) { .p = (value) }

CHECK_OP(dropout, reference, {.in = {{.dims = {1}}}, .args = P(0.5f)}, {.in = {{.dims = {7, 33}}}, .args = P(0.5f)},
         {.in = {{.dims = {2100}}}, .args = P(0.1f)}, {.in = {{.dims = {33}}}, .args = P(0)},
         {.in = {{.dims = {33}}}, .args = P(0.5f), .inference = true})

/* The fraction of zeros among 100,000 elements is close to p. */
static void test_rate(void **state)
{
    enum { N = 100000 };
    float    *x = calloc(N, sizeof *x), *y = calloc(N, sizeof *y);
    ls_graph *g       = ls_graph_new();
    int       dropped = 0;
    for (int i = 0; i < N; i++) x[i] = 1;
    ls_tensor *t = ls_dropout(ls_input(g, "x", LS_F32, N), .p = 0.3f);
    ls_call    c = {.node = t->node, .args = t->node->args, .rows = 1, .training = true, .x = {x}, .y = {y}, .key = 17};
    ls__op(t->node)->forward[LS_CPU](&c);
    for (int i = 0; i < N; i++) dropped += y[i] == 0;
    assert_in_range(dropped, 29500, 30500);
    ls_graph_free(g);
    free(x);
    free(y);
}

static void test_refused(void **state)
{
    CHECK_REFUSED(dropout, "p is 1", {.in = {{.dims = {3}}}, .args = P(1)});
    CHECK_REFUSED(dropout, "p is -0.1", {.in = {{.dims = {3}}}, .args = P(-0.1f)});
    CHECK_REFUSED(dropout, "expected 0 <= p", {.in = {{.dims = {3}}}, .args = P(NAN)});
}

CHECK_MAIN(cmocka_unit_test(check_dropout), cmocka_unit_test(test_rate), cmocka_unit_test(test_refused))
