/* SPDX-License-Identifier: Apache-2.0 */
/* Outside of a loop; tests/core/graph/test_loop.c has loops. */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    for (int64_t i = 0; i < check_numel(r, 0); i++) r->y[0][i] = r->x[0][i];
}

CHECK_OP(carry, reference, {.in = {{.dims = {7}}}}, {.in = {{.dims = {3, 33}}}})

static void test_refused(void **state) { CHECK_REFUSED(carry, "no batch dim", {.in = {{.dims = {3}, .param = true}}}); }

CHECK_MAIN(cmocka_unit_test(check_carry), cmocka_unit_test(test_refused))
