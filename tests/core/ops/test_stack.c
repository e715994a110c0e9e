/* SPDX-License-Identifier: Apache-2.0 */
/* Outside of a loop; tests/core/graph/test_loop.c has loops. */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    for (int64_t i = 0; i < check_numel(r, 0); i++) r->y[0][i] = r->x[0][i];
}

CHECK_OP(stack, reference, {.in = {{.dims = {7}}}, .out = {1, 7}}, {.in = {{.dims = {3, 33}}}, .out = {1, 3, 33}})

static void test_refused(void **state)
{
    CHECK_REFUSED(stack, "at most 5 dims", {.in = {{.dims = {1, 2, 3, 4, 5, 6}}}});
}

CHECK_MAIN(cmocka_unit_test(check_stack), cmocka_unit_test(test_refused))
