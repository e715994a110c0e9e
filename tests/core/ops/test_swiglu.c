/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    int64_t n = ls__cols(r->node->out[0]), elements = r->rows * ls__numel(r->node->out[0]);
    for (int64_t k = 0; k < elements; k++) {
        double x   = r->x[1] ? r->x[0][k] : r->x[0][k / n * 2 * n + k % n],
               y   = r->x[1] ? r->x[1][k] : r->x[0][k / n * 2 * n + n + k % n];
        r->y[0][k] = x / (1 + exp(-x)) * y;
    }
}

#define NONE                                                                                                           \
    {                                                                                                                  \
        .absent = true                                                                                                 \
    }

CHECK_OP(swiglu, reference, {.in = {{.dims = {1}}, {.dims = {1}}}}, {.in = {{.dims = {7, 33}}, {.dims = {7, 33}}}},
         {.in = {{.dims = {4100}, .std = 5}, {.dims = {4100}}}}, {.in = {{.dims = {2}}, NONE}, .out = {1}},
         {.in = {{.dims = {5, 66}}, NONE}, .out = {5, 33}}, {.in = {{.dims = {4200}}, NONE}, .out = {2100}})

static void test_refused(void **state)
{
    CHECK_REFUSED(swiglu, "even last dim", {.in = {{.dims = {4, 3}}, NONE}});
    CHECK_REFUSED(swiglu, "expected one shape", {.in = {{.dims = {4, 3}}, {.dims = {3}}}});
    CHECK_REFUSED(swiglu, "no batch dim", {.in = {{.dims = {4, 3}}, {.dims = {3}, .param = true}}});
}

CHECK_MAIN(cmocka_unit_test(check_swiglu), cmocka_unit_test(test_refused))
