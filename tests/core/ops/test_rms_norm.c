/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    int64_t n   = ls__cols(r->node->in[0]);
    double  eps = (double)((const ls_rms_norm_args *)r->args)->eps,
           one  = ((const ls_rms_norm_args *)r->args)->plus_one ? 1 : 0;
    for (int64_t at = 0; at < check_numel(r, 0); at += n) {
        const double *x      = r->x[0] + at;
        double        square = 0;
        for (int64_t i = 0; i < n; i++) square += x[i] * x[i] / (double)n;
        for (int64_t i = 0; i < n; i++) r->y[0][at + i] = x[i] / sqrt(square + eps) * (r->x[1] ? r->x[1][i] + one : 1);
    }
}

#define ROW(n)                                                                                                         \
    {                                                                                                                  \
        .dims = {n}, .param = true, .mean = 0.5f                                                                       \
    }
#define NONE                                                                                                           \
    {                                                                                                                  \
        .absent = true                                                                                                 \
    }

CHECK_OP(rms_norm, reference, {.in = {{.dims = {1}, .mean = 3}, ROW(1)}, .args = &(ls_rms_norm_args){.eps = 0.5f}},
         {.in = {{.dims = {7}}, ROW(7)}}, {.in = {{.dims = {67, 2, 10}}, ROW(10)}}, /* more rows than LS_NORM_PIECE */
         {.in = {{.dims = {3, 1031}, .mean = 1}, ROW(1031)}, .args = &(ls_rms_norm_args){.eps = 1e-5f}},
         {.in = {{.dims = {8, 33}, .std = 0.01f}, NONE}, .args = &(ls_rms_norm_args){.eps = 1e-3f}},
         {.in = {{.dims = {37, 20}}, ROW(20)}, .args = &(ls_rms_norm_args){.plus_one = true, .eps = 1e-6f}})

static void test_refused(void **state)
{
    CHECK_REFUSED(rms_norm, "last dims differ", {.in = {{.dims = {3, 4}}, ROW(3)}});
    CHECK_REFUSED(rms_norm, "expected a parameter of 1 dim", {.in = {{.dims = {3, 4}}, {.dims = {4}}}});
    CHECK_REFUSED(rms_norm, "at least one dim", {.in = {{.std = 1}, NONE}});
    CHECK_REFUSED(rms_norm, "without a weight",
                  {.in = {{.dims = {4}}, NONE}, .args = &(ls_rms_norm_args){.plus_one = true}});
    CHECK_REFUSED(rms_norm, "eps is -1", {.in = {{.dims = {4}}, NONE}, .args = &(ls_rms_norm_args){.eps = -1}});
}

CHECK_MAIN(cmocka_unit_test(check_rms_norm), cmocka_unit_test(test_refused))
