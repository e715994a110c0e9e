/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const int64_t index = ((const ls_select_args *)r->args)->index, t = r->node->in[0]->dim[0],
                  n = ls__numel(r->node->out[0]), at = index < 0 ? index + t : index;
    for (int64_t i = 0; i < r->rows * n; i++) r->y[0][i] = r->x[0][(i / n * t + at) * n + i % n];
}

CHECK_OP(select, reference, {.in = {{.dims = {1}}}, .scalar = true},
         {.in = {{.dims = {3, 7}}}, .out = {7}, .args = &(ls_select_args){.index = 2}},
         {.in = {{.dims = {5, 3, 33}}}, .out = {3, 33}, .args = &(ls_select_args){.index = -4}})

static void test_refused(void **state)
{
    CHECK_REFUSED(select, "expected -3 to 2", {.in = {{.dims = {3, 7}}}, .args = &(ls_select_args){.index = 3}});
    CHECK_REFUSED(select, "expected B x T", {.in = {{.type = LS_F32}}});
}

CHECK_MAIN(cmocka_unit_test(check_select), cmocka_unit_test(test_refused))
