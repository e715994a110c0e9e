/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const ls_group_norm_args *a = r->args;
    const ls_tensor          *x = r->node->in[0];
    const int64_t             C = x->dim[0], S = ls__numel(x) / C, n = C / a->groups * S;
    for (int64_t k = 0; k < r->rows * a->groups; k++) {
        const double *from = r->x[0] + k * n;
        double        mean = 0, var = 0;
        for (int64_t i = 0; i < n; i++) mean += from[i] / (double)n;
        for (int64_t i = 0; i < n; i++) var += (from[i] - mean) * (from[i] - mean) / (double)n;
        for (int64_t i = 0; i < n; i++) {
            const int64_t c = (k % a->groups * n + i) / S;
            r->y[0][k * n + i] =
                (from[i] - mean) / sqrt(var + (double)a->eps) * (r->x[1] ? r->x[1][c] : 1) + (r->x[2] ? r->x[2][c] : 0);
        }
    }
}

#define ARGS(...)                                                                                                      \
    &(ls_group_norm_args) { __VA_ARGS__ }
#define P(n)                                                                                                           \
    {                                                                                                                  \
        .dims = {n}, .param = true                                                                                     \
    }
#define NONE                                                                                                           \
    {                                                                                                                  \
        .absent = true                                                                                                 \
    }

/* One group (layer norm over all dims), a group per channel (instance norm), means far from zero, planes of one
 * element, without weight or bias. */
CHECK_OP(group_norm, reference, {.in = {{.dims = {8, 7, 5}}, P(8), P(8)}, .args = ARGS(.groups = 4)},
         {.in = {{.dims = {6, 4, 4}}, P(6), P(6)}, .args = ARGS(.groups = 1)},
         {.in = {{.dims = {6, 9, 11}}, P(6), P(6)}, .args = ARGS(.groups = 6)},
         {.in = {{.dims = {12, 33}, .mean = 30}, P(12), NONE}, .args = ARGS(.groups = 3, .eps = 1e-3f), .tol = 2e-5},
         {.in = {{.dims = {32}}, NONE, P(32)}, .args = ARGS(.groups = 4)},
         {.in = {{.dims = {4, 3, 2, 5}}, NONE, NONE}, .args = ARGS(.groups = 2)})

static void test_refused(void **state)
{
    CHECK_REFUSED(group_norm, "expected a divisor of the channels",
                  {.in = {{.dims = {6, 4}}, NONE, NONE}, .args = ARGS(.groups = 4)});
    CHECK_REFUSED(group_norm, "expected one value for each channel",
                  {.in = {{.dims = {6, 4}}, P(4), NONE}, .args = ARGS(.groups = 2)});
    CHECK_REFUSED(group_norm, "eps is -1",
                  {.in = {{.dims = {6, 4}}, NONE, NONE}, .args = ARGS(.groups = 2, .eps = -1)});
}

CHECK_MAIN(cmocka_unit_test(check_group_norm), cmocka_unit_test(test_refused))
