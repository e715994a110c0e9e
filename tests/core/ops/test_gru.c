/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/ops/recurrent_reference.h"

static void cell(const ls_recurrent_args *args, int64_t units, const double *x, const double *p, double *h, double *c)
{
    (void)args, (void)c;
    for (int64_t k = 0; k < units; k++) {
        const double r = sigmoid(x[k] + p[k]), z = sigmoid(x[units + k] + p[units + k]);
        const double n = tanh(x[2 * units + k] + r * p[2 * units + k]);
        h[k]           = (1 - z) * n + z * h[k];
    }
}

/* The cell as published: the reset gate before the product, h' = (1 - z) h + z n. */
static void published(const check_ref *r)
{
    const int64_t t = r->node->in[0]->dim[0], u = r->node->in[1]->dim[1];
    for (int64_t b = 0; b < r->rows; b++) {
        double        h[UNITS_MAX], p[3 * UNITS_MAX];
        const int64_t length = r->x[3] ? (int64_t)fmin(fmax(r->x[3][b], 0), (double)t) : t;
        initial_state(r, 0, 1, b, u, h);
        for (int64_t i = 0; i < t * u; i++) r->y[0][b * t * u + i] = 0;
        for (int64_t step = 0; step < length; step++) {
            const int64_t at = b * t + (((const ls_recurrent_args *)r->args)->reverse ? length - 1 - step : step);
            for (int64_t k = 0; k < 3 * u; k++) { /* the gates r are complete before those of n */
                p[k] = r->x[0][at * 3 * u + k] + (r->x[2] ? r->x[2][k] : 0);
                for (int64_t i = 0; i < u; i++) p[k] += r->x[1][k * u + i] * h[i] * (k < 2 * u ? 1 : sigmoid(p[i]));
            }
            for (int64_t k = 0; k < u; k++) {
                const double z      = sigmoid(p[u + k]);
                r->y[0][at * u + k] = h[k] = (1 - z) * h[k] + z * tanh(p[2 * u + k]);
            }
        }
        for (int64_t i = 0; i < u; i++) r->y[1][b * u + i] = h[i];
    }
}

static void reference(const check_ref *r)
{
    if (((const ls_recurrent_args *)r->args)->reset_before)
        published(r);
    else
        recurrence(r, 3, cell, false);
}

CHECK_OP(gru, reference, {.in = {GATES(1, 3, 1), WEIGHT(3, 1), NONE, NONE, NONE, NONE, NONE, NONE}, .out = {1, 1}},
         {.in = {GATES(2, 3, 7), WEIGHT(3, 7), BIAS(3, 7), NONE, STATE(7), NONE, NONE, NONE}, .out = {2, 7}},
         {.in = {GATES(5, 3, 7), WEIGHT(3, 7), BIAS(3, 7), LENGTHS(5), STATE(7), NONE, NONE, NONE}, .out = {5, 7}},
         {.in   = {GATES(5, 3, 7), WEIGHT(3, 7), BIAS(3, 7), LENGTHS(5), STATE(7), NONE, NONE, NONE},
          .out  = {5, 7},
          .args = &(ls_recurrent_args){.reverse = true}},
         {.in   = {GATES(3, 3, 33), WEIGHT(3, 33), NONE, NONE, NONE, NONE, NONE, NONE},
          .out  = {3, 33},
          .args = &(ls_recurrent_args){.reverse = true}},
         {.in = {GATES(3, 3, 7), WEIGHT(3, 7), BIAS(3, 7), NONE, NONE, NONE, START, KEPT(7)}, .out = {3, 7}},
         {.in   = {GATES(1, 3, 1), WEIGHT(3, 1), NONE, NONE, NONE, NONE, NONE, NONE},
          .out  = {1, 1},
          .args = &(ls_recurrent_args){.reset_before = true}},
         {.in   = {GATES(5, 3, 7), WEIGHT(3, 7), BIAS(3, 7), LENGTHS(5), STATE(7), NONE, NONE, NONE},
          .out  = {5, 7},
          .args = &(ls_recurrent_args){.reset_before = true, .reverse = true}},
         {.in   = {GATES(3, 3, 33), WEIGHT(3, 33), BIAS(3, 33), NONE, NONE, NONE, START, KEPT(33)},
          .out  = {3, 33},
          .args = &(ls_recurrent_args){.reset_before = true}},
         {.in       = {GATES(17, 3, 16), WEIGHT(3, 16), BIAS(3, 16), LENGTHS(17), NONE, NONE, NONE, NONE},
          .out      = {17, 16},
          .tol      = 4e-6,
          .tol_grad = 4e-5})

static void test_refused(void **state)
{
    (void)state;
    CHECK_REFUSED(gru, "expected 3 gates x 7 units",
                  {.in = {GATES(2, 3, 7), {.dims = {9, 7}, .param = true}, NONE, NONE, NONE, NONE, NONE, NONE}});
    CHECK_REFUSED(gru, "a linear layer computes the gates",
                  {.in = {GATES(2, 3, 6), WEIGHT(3, 7), NONE, NONE, NONE, NONE, NONE, NONE}});
    CHECK_REFUSED(gru, "expected length",
                  {.in = {GATES(2, 3, 7), WEIGHT(3, 7), {.dims = {5}, .param = true}, NONE, NONE, NONE, NONE, NONE}});
    CHECK_REFUSED(gru, "expected one int32 per sample",
                  {.in = {GATES(2, 3, 7), WEIGHT(3, 7), NONE, {.dims = {2}, .type = LS_I32}, NONE, NONE, NONE, NONE}});
    CHECK_REFUSED(gru, "the initial state",
                  {.in = {GATES(2, 3, 7), WEIGHT(3, 7), NONE, NONE, STATE(6), NONE, NONE, NONE}});
    CHECK_REFUSED(gru, "a start is given without a state",
                  {.in = {GATES(2, 3, 7), WEIGHT(3, 7), NONE, NONE, NONE, NONE, START, NONE}});
    CHECK_REFUSED(gru, "expected B x", {.in = {GATES(2, 3, 7), WEIGHT(3, 7), NONE, NONE, NONE, NONE, START, KEPT(6)}});
    CHECK_REFUSED(gru, "exclude each other",
                  {.in = {GATES(2, 3, 7), WEIGHT(3, 7), NONE, NONE, STATE(7), NONE, START, KEPT(7)}});
    CHECK_REFUSED(gru, "lstm alone has one",
                  {.in = {GATES(2, 3, 7), WEIGHT(3, 7), NONE, NONE, NONE, STATE(7), NONE, NONE}});
}

CHECK_MAIN(cmocka_unit_test(check_gru), cmocka_unit_test(test_refused))
