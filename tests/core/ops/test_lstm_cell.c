/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/ops/recurrent_reference.h"

static void reference(const check_ref *r)
{
    const int64_t h = r->node->in[2]->dim[0];
    for (int64_t k = 0; k < r->rows * h; k++) {
        const double *x = r->x[0] + k / h * 4 * h + k % h, *p = r->x[1] + k / h * 4 * h + k % h;
        const double  i = sigmoid(x[0] + p[0]), f = sigmoid(x[h] + p[h]), o = sigmoid(x[3 * h] + p[3 * h]);
        r->y[1][k] = f * r->x[2][k] + i * tanh(x[2 * h] + p[2 * h]);
        r->y[0][k] = o * tanh(r->y[1][k]);
    }
}

CHECK_OP(lstm_cell, reference, {.in = {STATE(4), STATE(4), STATE(1)}, .out = {1}},
         {.in = {STATE(28), STATE(28), STATE(7)}, .out = {7}}, {.in = {STATE(132), STATE(132), STATE(33)}, .out = {33}})

static void test_refused(void **state)
{
    CHECK_REFUSED(lstm_cell, "4 gates of 7 units", {.in = {STATE(28), STATE(21), STATE(7)}});
    CHECK_REFUSED(lstm_cell, "expected B x H", {.in = {STATE(28), STATE(28), {.dims = {1, 7}}}});
}

CHECK_MAIN(cmocka_unit_test(check_lstm_cell), cmocka_unit_test(test_refused))
