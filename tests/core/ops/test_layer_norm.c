/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    int64_t n   = ls__cols(r->node->in[0]);
    double  eps = (double)((const ls_layer_norm_args *)r->args)->eps;
    for (int64_t at = 0; at < check_numel(r, 0); at += n) {
        const double *x    = r->x[0] + at;
        double        mean = 0, var = 0;
        for (int64_t i = 0; i < n; i++) mean += x[i] / (double)n;
        for (int64_t i = 0; i < n; i++) var += (x[i] - mean) * (x[i] - mean) / (double)n;
        for (int64_t i = 0; i < n; i++)
            r->y[0][at + i] = (x[i] - mean) / sqrt(var + eps) * (r->x[1] ? r->x[1][i] : 1) + (r->x[2] ? r->x[2][i] : 0);
    }
}

#define ROW(n)                                                                                                         \
    {                                                                                                                  \
        .dims = {n}, .param = true, .mean = 0.5f                                                                       \
    }

CHECK_OP(layer_norm, reference, {.in = {{.dims = {1}}, ROW(1), ROW(1)}}, {.in = {{.dims = {7}}, ROW(7), ROW(7)}},
         {.in = {{.dims = {5, 33}, .mean = 10}, ROW(33), ROW(33)}, .tol = 1e-5, .tol_grad = 1e-4},
         {.in = {{.dims = {67, 2, 10}}, ROW(10), {.absent = true}}}, /* more rows than LS_NORM_PIECE */
         {.in = {{.dims = {3, 1031}}, {.absent = true}, ROW(1031)}},
         {.in   = {{.dims = {8, 16}, .std = 0.01f}, {.absent = true}, {.absent = true}},
          .args = &(ls_layer_norm_args){.eps = 1e-3f}})

static void test_refused(void **state)
{
    CHECK_REFUSED(layer_norm, "last dims differ", {.in = {{.dims = {3, 4}}, ROW(3), ROW(4)}});
    CHECK_REFUSED(layer_norm, "last dims differ", {.in = {{.dims = {3, 4}}, ROW(4), ROW(3)}});
    CHECK_REFUSED(layer_norm, "expected a parameter of 1 dim",
                  {.in = {{.dims = {3, 4}}, {.dims = {4}}, {.absent = true}}});
    CHECK_REFUSED(layer_norm, "at least one dim", {.in = {{.std = 1}, {.absent = true}, {.absent = true}}});
    CHECK_REFUSED(
        layer_norm, "eps is -1",
        {.in = {{.dims = {4}}, {.absent = true}, {.absent = true}}, .args = &(ls_layer_norm_args){.eps = -1}});
}

CHECK_MAIN(cmocka_unit_test(check_layer_norm), cmocka_unit_test(test_refused))
