/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const ls_scale_args *a = r->args;
    for (int64_t i = 0; i < check_numel(r, 0); i++) {
        double x   = r->x[0][i];
        r->y[0][i] = (a->factor != 0 ? (double)a->factor : 1) * x + (double)a->term;
    }
}

CHECK_OP(scale, reference, {.in = {{.dims = {1}}}},
         {.in = {{.dims = {7, 33}}}, .args = &(ls_scale_args){.factor = 0.125f}},
         {.in = {{.dims = {33}}}, .args = &(ls_scale_args){.factor = -2, .term = 0.5f}})

CHECK_MAIN(cmocka_unit_test(check_scale))
