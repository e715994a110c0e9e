/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/ops/recurrent_reference.h"

static void cell(const ls_recurrent_args *args, int64_t units, const double *x, const double *p, double *h, double *c)
{
    (void)args;
    for (int64_t k = 0; k < units; k++) {
        const double i = sigmoid(x[k] + p[k]), f = sigmoid(x[units + k] + p[units + k]);
        const double g = tanh(x[2 * units + k] + p[2 * units + k]), o = sigmoid(x[3 * units + k] + p[3 * units + k]);
        c[k] = f * c[k] + i * g;
        h[k] = o * tanh(c[k]);
    }
}

static void reference(const check_ref *r) { recurrence(r, 4, cell, true); }

CHECK_OP(lstm, reference, {.in = {GATES(1, 4, 1), WEIGHT(4, 1), NONE, NONE, NONE, NONE, NONE, NONE}, .out = {1, 1}},
         {.in = {GATES(2, 4, 7), WEIGHT(4, 7), BIAS(4, 7), NONE, STATE(7), STATE(7), NONE, NONE}, .out = {2, 7}},
         {.in = {GATES(5, 4, 7), WEIGHT(4, 7), BIAS(4, 7), LENGTHS(5), STATE(7), STATE(7), NONE, NONE}, .out = {5, 7}},
         {.in   = {GATES(5, 4, 7), WEIGHT(4, 7), BIAS(4, 7), LENGTHS(5), STATE(7), STATE(7), NONE, NONE},
          .out  = {5, 7},
          .args = &(ls_recurrent_args){.reverse = true}},
         {.in   = {GATES(3, 4, 33), WEIGHT(4, 33), NONE, NONE, NONE, NONE, NONE, NONE},
          .out  = {3, 33},
          .args = &(ls_recurrent_args){.reverse = true}},
         {.in = {GATES(3, 4, 7), WEIGHT(4, 7), BIAS(4, 7), NONE, NONE, NONE, START, KEPT(14)}, .out = {3, 7}},
         {.in       = {GATES(17, 4, 16), WEIGHT(4, 16), BIAS(4, 16), LENGTHS(17), NONE, NONE, NONE, NONE},
          .out      = {17, 16},
          .tol      = 4e-6,
          .tol_grad = 4e-5})

static void test_refused(void **state)
{
    (void)state;
    CHECK_REFUSED(lstm, "expected 4 gates x 7 units",
                  {.in = {GATES(2, 4, 7), {.dims = {9, 7}, .param = true}, NONE, NONE, NONE, NONE, NONE, NONE}});
    CHECK_REFUSED(lstm, "a linear layer computes the gates",
                  {.in = {GATES(2, 4, 6), WEIGHT(4, 7), NONE, NONE, NONE, NONE, NONE, NONE}});
    CHECK_REFUSED(lstm, "expected length",
                  {.in = {GATES(2, 4, 7), WEIGHT(4, 7), {.dims = {5}, .param = true}, NONE, NONE, NONE, NONE, NONE}});
    CHECK_REFUSED(lstm, "expected one int32 per sample",
                  {.in = {GATES(2, 4, 7), WEIGHT(4, 7), NONE, {.dims = {2}, .type = LS_I32}, NONE, NONE, NONE, NONE}});
    CHECK_REFUSED(lstm, "the initial state",
                  {.in = {GATES(2, 4, 7), WEIGHT(4, 7), NONE, NONE, STATE(6), NONE, NONE, NONE}});
    CHECK_REFUSED(lstm, "a start is given without a state",
                  {.in = {GATES(2, 4, 7), WEIGHT(4, 7), NONE, NONE, NONE, NONE, START, NONE}});
    CHECK_REFUSED(lstm, "expected B x", {.in = {GATES(2, 4, 7), WEIGHT(4, 7), NONE, NONE, NONE, NONE, START, KEPT(6)}});
    CHECK_REFUSED(lstm, "exclude each other",
                  {.in = {GATES(2, 4, 7), WEIGHT(4, 7), NONE, NONE, STATE(7), NONE, START, KEPT(14)}});
}

CHECK_MAIN(cmocka_unit_test(check_lstm), cmocka_unit_test(test_refused))
