/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const ls_reduce_args *a = r->args;
    const ls_tensor      *x = r->node->in[0];
    int64_t               n = ls__numel(x), inner = 1;
    if (a->axis) {
        n = x->dim[a->axis - 1];
        for (int i = a->axis; i < x->rank; i++) inner *= x->dim[i];
    }
    for (int64_t k = 0; k < check_numel(r, 0) / n; k++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += r->x[0][(k / inner * n + i) * inner + k % inner];
        r->y[0][k] = sum;
    }
}

CHECK_OP(sum, reference, {.in = {{.std = 1}}, .scalar = true}, {.in = {{.dims = {7}}}, .scalar = true},
         {.in = {{.dims = {3, 7, 33}}}, .scalar = true},
         {.in = {{.dims = {3, 7, 33}}}, .out = {7, 33}, .args = &(ls_reduce_args){.axis = 1}},
         {.in = {{.dims = {3, 7, 33}}}, .out = {3, 33}, .args = &(ls_reduce_args){.axis = -2}},
         {.in = {{.dims = {3, 7, 33}}}, .out = {3, 7, 1}, .args = &(ls_reduce_args){.axis = 3, .keep = true}},
         {.in = {{.dims = {4500}}}, .scalar = true, .tol = 1e-5},
         {.in = {{.dims = {2, 3, 2100}}}, .out = {2, 2100}, .args = &(ls_reduce_args){.axis = 2}},
         {.in = {{.dims = {3, 7}}}, .out = {1, 1}, .args = &(ls_reduce_args){.keep = true}})

static void test_refused(void **state)
{
    CHECK_REFUSED(sum, "axis is 3", {.in = {{.dims = {3, 4}}}, .args = &(ls_reduce_args){.axis = 3}});
    CHECK_REFUSED(sum, "axis is -3", {.in = {{.dims = {3, 4}}}, .args = &(ls_reduce_args){.axis = -3}});
}

CHECK_MAIN(cmocka_unit_test(check_sum), cmocka_unit_test(test_refused))
