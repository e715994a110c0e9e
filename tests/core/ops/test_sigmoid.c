/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    for (int64_t i = 0; i < check_numel(r, 0); i++) {
        double x   = r->x[0][i];
        r->y[0][i] = 1 / (1 + exp(-x));
    }
}

CHECK_OP(sigmoid, reference, {.in = {{.dims = {1}}}}, {.in = {{.dims = {7, 33}}}},
         {.in = {{.dims = {3, 5, 7}, .std = 3}}}, {.in = {{.std = 1}}, .scalar = true})

CHECK_MAIN(cmocka_unit_test(check_sigmoid))
