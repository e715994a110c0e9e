/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const ls_tensor *x = r->node->in[0], *y = r->node->out[0];
    const int64_t   *order = ((const ls_permute_args *)r->args)->order.dim;
    int64_t          numel = ls__numel(x);
    for (int64_t k = 0; k < check_numel(r, 0); k++) {
        int64_t at[LS_MAX_DIMS], rest = k % numel, to = 0;
        for (int i = x->rank - 1; i >= 0; i--) at[i] = rest % x->dim[i], rest /= x->dim[i];
        for (int i = 0; i < x->rank; i++) to = to * y->dim[i] + at[order[i]];
        r->y[0][k / numel * numel + to] = r->x[0][k];
    }
}

#define ORDER(...)                                                                                                     \
    &(ls_permute_args) { .order = LS_DIMS(__VA_ARGS__) }

CHECK_OP(permute, reference, {.in = {{.dims = {7}}}, .args = ORDER(0)},
         {.in = {{.dims = {33, 7}}}, .out = {7, 33}, .args = ORDER(1, 0)},
         {.in = {{.dims = {5, 7, 33}}}, .out = {7, 33, 5}, .args = ORDER(1, 2, 0)},
         {.in = {{.dims = {5, 7, 33}}}, .out = {7, 5, 33}, .args = ORDER(1, 0, 2)},
         {.in = {{.dims = {5, 7, 33}}}, .out = {33, 7, 5}, .args = ORDER(2, 1, 0)},
         {.in = {{.dims = {2, 3, 1, 5, 4}}}, .out = {5, 2, 4, 1, 3}, .args = ORDER(3, 0, 4, 2, 1)},
         {.in = {{.dims = {1, 1}}}, .out = {1, 1}, .args = ORDER(1, 0)},
         {.in = {{.dims = {2, 2100}}}, .out = {2, 2100}, .args = ORDER(0, 1)})

static void test_refused(void **state)
{
    CHECK_REFUSED(permute, "each of 0 to 1 once", {.in = {{.dims = {3, 4}}}, .args = ORDER(1, 1)});
    CHECK_REFUSED(permute, "each of 0 to 1 once", {.in = {{.dims = {3, 4}}}, .args = ORDER(0, 2)});
    CHECK_REFUSED(permute, "stays first", {.in = {{.dims = {3, 4}}}, .args = ORDER(0, 1, 2)});
}

CHECK_MAIN(cmocka_unit_test(check_permute), cmocka_unit_test(test_refused))
