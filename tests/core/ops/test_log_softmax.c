/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    int64_t v = ls__cols(r->node->in[0]);
    for (int64_t first = 0; first < check_numel(r, 0); first += v) {
        const double *x   = r->x[0] + first;
        double        sum = 0;
        for (int64_t i = 0; i < v; i++) sum += exp(x[i] - x[0]);
        for (int64_t i = 0; i < v; i++) r->y[0][first + i] = x[i] - x[0] - log(sum);
    }
}

CHECK_OP(log_softmax, reference, {.in = {{.dims = {1}}}}, {.in = {{.dims = {7}}}}, {.in = {{.dims = {3, 5, 10}}}},
         {.in = {{.dims = {33}, .std = 4, .mean = 1000}}}, {.in = {{.dims = {1031}}}})

CHECK_MAIN(cmocka_unit_test(check_log_softmax))
