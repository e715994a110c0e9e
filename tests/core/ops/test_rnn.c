/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/ops/recurrent_reference.h"

static void cell(const ls_recurrent_args *args, int64_t units, const double *x, const double *p, double *h, double *c)
{
    (void)c;
    for (int64_t i = 0; i < units; i++) h[i] = args->relu ? fmax(x[i] + p[i], 0) : tanh(x[i] + p[i]);
}

static void reference(const check_ref *r) { recurrence(r, 1, cell, false); }

CHECK_OP(rnn, reference, {.in = {GATES(1, 1, 1), WEIGHT(1, 1), NONE, NONE, NONE, NONE, NONE, NONE}, .out = {1, 1}},
         {.in = {GATES(2, 1, 7), WEIGHT(1, 7), BIAS(1, 7), NONE, STATE(7), NONE, NONE, NONE}, .out = {2, 7}},
         {.in = {GATES(5, 1, 7), WEIGHT(1, 7), BIAS(1, 7), LENGTHS(5), STATE(7), NONE, NONE, NONE}, .out = {5, 7}},
         {.in   = {GATES(5, 1, 7), WEIGHT(1, 7), BIAS(1, 7), LENGTHS(5), STATE(7), NONE, NONE, NONE},
          .out  = {5, 7},
          .args = &(ls_recurrent_args){.reverse = true}},
         {.in   = {GATES(3, 1, 33), WEIGHT(1, 33), NONE, NONE, NONE, NONE, NONE, NONE},
          .out  = {3, 33},
          .args = &(ls_recurrent_args){.reverse = true}},
         {.in = {GATES(3, 1, 7), WEIGHT(1, 7), BIAS(1, 7), NONE, NONE, NONE, START, KEPT(7)}, .out = {3, 7}},
         {.in   = {GATES(4, 1, 5), WEIGHT(1, 5), BIAS(1, 5), LENGTHS(4), STATE(5), NONE, NONE, NONE},
          .out  = {4, 5},
          .args = &(ls_recurrent_args){.relu = true}},
         {.in       = {GATES(17, 1, 16), WEIGHT(1, 16), BIAS(1, 16), LENGTHS(17), NONE, NONE, NONE, NONE},
          .out      = {17, 16},
          .tol      = 4e-6,
          .tol_grad = 4e-5})

static void test_refused(void **state)
{
    (void)state;
    CHECK_REFUSED(rnn, "expected 1 gates x 7 units",
                  {.in = {GATES(2, 1, 7), {.dims = {9, 7}, .param = true}, NONE, NONE, NONE, NONE, NONE, NONE}});
    CHECK_REFUSED(rnn, "a linear layer computes the gates",
                  {.in = {GATES(2, 1, 6), WEIGHT(1, 7), NONE, NONE, NONE, NONE, NONE, NONE}});
    CHECK_REFUSED(rnn, "expected length",
                  {.in = {GATES(2, 1, 7), WEIGHT(1, 7), {.dims = {5}, .param = true}, NONE, NONE, NONE, NONE, NONE}});
    CHECK_REFUSED(rnn, "expected one int32 per sample",
                  {.in = {GATES(2, 1, 7), WEIGHT(1, 7), NONE, {.dims = {2}, .type = LS_I32}, NONE, NONE, NONE, NONE}});
    CHECK_REFUSED(rnn, "the initial state",
                  {.in = {GATES(2, 1, 7), WEIGHT(1, 7), NONE, NONE, STATE(6), NONE, NONE, NONE}});
    CHECK_REFUSED(rnn, "a start is given without a state",
                  {.in = {GATES(2, 1, 7), WEIGHT(1, 7), NONE, NONE, NONE, NONE, START, NONE}});
    CHECK_REFUSED(rnn, "expected B x", {.in = {GATES(2, 1, 7), WEIGHT(1, 7), NONE, NONE, NONE, NONE, START, KEPT(6)}});
    CHECK_REFUSED(rnn, "exclude each other",
                  {.in = {GATES(2, 1, 7), WEIGHT(1, 7), NONE, NONE, STATE(7), NONE, START, KEPT(7)}});
    CHECK_REFUSED(rnn, "lstm alone has one",
                  {.in = {GATES(2, 1, 7), WEIGHT(1, 7), NONE, NONE, NONE, STATE(7), NONE, NONE}});
}

CHECK_MAIN(cmocka_unit_test(check_rnn), cmocka_unit_test(test_refused))
