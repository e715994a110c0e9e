/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

/* reshape is a view without kernels, so it has no reference to compare with. */
CHECK_OP(reshape, NULL, {.in = {{.dims = {2, 3, 4}}}, .out = {24}, .args = &(ls_reshape_args){.dims = LS_DIMS(-1)}},
         {.in = {{.dims = {2, 3, 4}}}, .out = {4, 6}, .args = &(ls_reshape_args){.dims = LS_DIMS(4, 6)}},
         {.in = {{.dims = {2, 3, 4}}}, .out = {2, 1, 12}, .args = &(ls_reshape_args){.dims = LS_DIMS(2, 1, -1)}},
         {.in = {{.std = 1}}, .out = {1}, .args = &(ls_reshape_args){.dims = LS_DIMS(-1)}})

static void test_refused(void **state)
{
    CHECK_REFUSED(reshape, "do not fit", {.in = {{.dims = {2, 3}}}, .args = &(ls_reshape_args){.dims = LS_DIMS(5)}});
    CHECK_REFUSED(reshape, "do not fit",
                  {.in = {{.dims = {2, 3}}}, .args = &(ls_reshape_args){.dims = LS_DIMS(4, -1)}});
    CHECK_REFUSED(reshape, "both -1", {.in = {{.dims = {2, 3}}}, .args = &(ls_reshape_args){.dims = LS_DIMS(-1, -1)}});
    CHECK_REFUSED(reshape, "dim 0 is 0", {.in = {{.dims = {2, 3}}}, .args = &(ls_reshape_args){.dims = LS_DIMS(0, 6)}});
    CHECK_REFUSED(reshape, "do not fit",
                  {.in = {{.dims = {2, 3}}}, .args = &(ls_reshape_args){.dims = LS_DIMS(2, INT64_MAX, 4)}});
}

static void test_flatten(void **state)
{
    ls_graph  *g = ls_graph_new();
    ls_tensor *y = ls_flatten(ls_input(g, "x", LS_F32, 16, 5, 5));
    assert_true(y->rank == 1 && y->dim[0] == 400 && y->batched);
    ls_graph_free(g);
}

CHECK_MAIN(cmocka_unit_test(check_reshape), cmocka_unit_test(test_refused), cmocka_unit_test(test_flatten))
