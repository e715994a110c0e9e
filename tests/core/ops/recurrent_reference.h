/* SPDX-License-Identifier: Apache-2.0
 * The loops of the recurrences in float64, for their tests (core/ops/recurrent.h). */
#ifndef LS_TESTS_CORE_OPS_RECURRENT_REFERENCE_H
#define LS_TESTS_CORE_OPS_RECURRENT_REFERENCE_H

#include "tests/check_op.h"

enum { UNITS_MAX = 64 };

static inline double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* Replaces the state h, c by the one after a position; x, p: the gates of H values each. */
typedef void cell_reference(const ls_recurrent_args *args, int64_t units, const double *x, const double *p, double *h,
                            double *c);

/* The state of sample b before its first position: part 0 is h, part 1 of `parts` is c. */
static inline void initial_state(const check_ref *r, int part, int parts, int64_t b, int64_t units, double *state)
{
    const double *from = r->x[4 + part];
    for (int64_t i = 0; i < units; i++) state[i] = from ? from[b * units + i] : 0;
    for (int64_t i = 0; r->x[7] && r->x[6][b] != 0 && i < units; i++)
        state[i] = r->x[7][(b * parts + part) * units + i];
}

static inline void recurrence(const check_ref *r, int gates, cell_reference *cell, bool memory)
{
    const ls_recurrent_args *args = r->args;
    const int64_t            t = r->node->in[0]->dim[0], units = r->node->in[1]->dim[1], wide = gates * units;
    for (int64_t b = 0; b < r->rows; b++) {
        double        h[UNITS_MAX], c[UNITS_MAX] = {0}, p[4 * UNITS_MAX];
        const int64_t length = r->x[3] ? (int64_t)fmin(fmax(r->x[3][b], 0), (double)t) : t;
        initial_state(r, 0, memory ? 2 : 1, b, units, h);
        if (memory) initial_state(r, 1, 2, b, units, c);
        for (int64_t i = 0; i < t * units; i++) r->y[0][b * t * units + i] = 0;
        for (int64_t step = 0; step < length; step++) {
            const int64_t at = b * t + (args->reverse ? length - 1 - step : step);
            for (int64_t k = 0; k < wide; k++) {
                p[k] = r->x[2] ? r->x[2][k] : 0;
                for (int64_t i = 0; i < units; i++) p[k] += r->x[1][k * units + i] * h[i];
            }
            cell(args, units, r->x[0] + at * wide, p, h, c);
            for (int64_t i = 0; i < units; i++) r->y[0][at * units + i] = h[i];
        }
        for (int64_t i = 0; i < units; i++) {
            r->y[1][b * units + i] = h[i];
            if (memory) r->y[2][b * units + i] = c[i];
        }
    }
}

/* clang-format off */
#define GATES(t, gates, units) {.dims = {t, (gates) * (units)}}
#define WEIGHT(gates, units) {.dims = {(gates) * (units), units}, .param = true, .std = 0.3f}
#define BIAS(gates, units) {.dims = {(gates) * (units)}, .param = true, .std = 0.3f}
#define LENGTHS(t) {.type = LS_I32, .low = -1, .high = (t) + 2}
#define START {.type = LS_I32, .low = 0, .high = 2}
#define KEPT(values) {.dims = {values}, .state = true}
#define STATE(units) {.dims = {units}}
#define NONE {.absent = true}
/* clang-format on */

#endif
