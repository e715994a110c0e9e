/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static double by_tanh(double x) { return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }

static void reference(const check_ref *r)
{
    bool approximate = ((const ls_gelu_args *)r->args)->tanh;
    for (int64_t i = 0; i < check_numel(r, 0); i++) {
        double x   = r->x[0][i];
        r->y[0][i] = approximate ? by_tanh(x) : x / 2 * (1 + erf(x / sqrt(2)));
    }
}

CHECK_OP(gelu, reference, {.in = {{.dims = {1}}}}, {.in = {{.dims = {7, 33}, .std = 3}}},
         {.in = {{.dims = {1}}}, .args = &(ls_gelu_args){.tanh = true}},
         {.in = {{.dims = {7, 33}, .std = 3}}, .args = &(ls_gelu_args){.tanh = true}})

CHECK_MAIN(cmocka_unit_test(check_gelu))
