/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/ops/recurrent_reference.h"

static void reference(const check_ref *r)
{
    const int64_t h = r->node->in[2]->dim[0];
    for (int64_t k = 0; k < r->rows * h; k++) {
        const double *x = r->x[0] + k / h * 3 * h + k % h, *p = r->x[1] + k / h * 3 * h + k % h;
        const double  z = sigmoid(x[h] + p[h]), n = tanh(x[2 * h] + sigmoid(x[0] + p[0]) * p[2 * h]);
        r->y[0][k] = (1 - z) * n + z * r->x[2][k];
    }
}

CHECK_OP(gru_cell, reference, {.in = {STATE(3), STATE(3), STATE(1)}, .out = {1}},
         {.in = {STATE(21), STATE(21), STATE(7)}, .out = {7}}, {.in = {STATE(99), STATE(99), STATE(33)}, .out = {33}})

static void test_refused(void **state)
{
    CHECK_REFUSED(gru_cell, "3 gates of 7 units", {.in = {STATE(28), STATE(21), STATE(7)}});
}

CHECK_MAIN(cmocka_unit_test(check_gru_cell), cmocka_unit_test(test_refused))
