/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const ls_local_response_norm_args *a = r->args;
    const ls_tensor                   *x = r->node->in[0];
    const int64_t                      C = x->dim[0], S = ls__numel(x) / C;
    for (int64_t b = 0; b < r->rows; b++)
        for (int64_t c = 0; c < C; c++)
            for (int64_t i = 0; i < S; i++) {
                double sum = 0;
                for (int64_t j = c - a->size / 2; j < c - a->size / 2 + a->size; j++)
                    if (j >= 0 && j < C) sum += r->x[0][(b * C + j) * S + i] * r->x[0][(b * C + j) * S + i];
                const int64_t at = (b * C + c) * S + i;
                r->y[0][at]      = r->x[0][at] * pow((double)a->k + (double)a->alpha / a->size * sum, -(double)a->beta);
            }
}

#define ARGS(...)                                                                                                      \
    &(ls_local_response_norm_args) { __VA_ARGS__ }

/* AlexNet's constants, large values so that the norm matters, an even size, a size above the channels, another beta. */
CHECK_OP(local_response_norm, reference, {.in = {{.dims = {12, 9, 9}}}, .args = ARGS(.size = 5, .k = 2)},
         {.in = {{.dims = {9, 7, 11}, .std = 50}}, .args = ARGS(.size = 5, .alpha = 1e-2f)},
         {.in = {{.dims = {7, 33}, .std = 3}}, .args = ARGS(.size = 4, .alpha = 0.5f), .tol = 4e-6},
         {.in = {{.dims = {3, 70}, .std = 3}}, .args = ARGS(.size = 9, .alpha = 1, .beta = 0.5f), .tol = 4e-6},
         {.in = {{.dims = {5, 65}, .std = 2}}, .args = ARGS(.size = 1, .alpha = 1, .beta = 1), .tol = 4e-6},
         {.in = {{.dims = {17}}}, .args = ARGS(.size = 2, .alpha = 0.1f)})

static void test_refused(void **state)
{
    CHECK_REFUSED(local_response_norm, "size must be at least 1", {.in = {{.dims = {6, 4}}}});
    CHECK_REFUSED(local_response_norm, "must be positive",
                  {.in = {{.dims = {6, 4}}}, .args = ARGS(.size = 3, .beta = -1)});
}

CHECK_MAIN(cmocka_unit_test(check_local_response_norm), cmocka_unit_test(test_refused))
