/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const int64_t times = r->node->in[0]->dim[0], cols = r->node->in[0]->dim[1];
    for (int64_t k = 0; k < r->rows * cols; k++) {
        const int64_t b = k / cols, length = (int64_t)r->x[1][b], n = length < 0 ? 0 : length < times ? length : times;
        double        sum = 0;
        for (int64_t t = 0; t < n; t++) sum += r->x[0][(b * times + t) * cols + k % cols];
        r->y[0][k] = n ? sum / (double)n : 0;
    }
}

#define LENGTHS(t)                                                                                                     \
    {                                                                                                                  \
        .type = LS_I32, .low = -1, .high = (t) + 2                                                                     \
    }

CHECK_OP(sequence_mean, reference, {.in = {{.dims = {1, 1}}, LENGTHS(1)}, .out = {1}},
         {.in = {{.dims = {3, 7}}, LENGTHS(3)}, .out = {7}}, {.in = {{.dims = {17, 33}}, LENGTHS(17)}, .out = {33}},
         {.in = {{.dims = {5, 600}}, LENGTHS(5)}, .out = {600}})

static void test_refused(void **state)
{
    CHECK_REFUSED(sequence_mean, "expected B x T x C", {.in = {{.dims = {7}}, LENGTHS(7)}});
    CHECK_REFUSED(sequence_mean, "expected one int32 per sample",
                  {.in = {{.dims = {3, 7}}, {.dims = {3}, .type = LS_I32, .high = 2}}});
}

CHECK_MAIN(cmocka_unit_test(check_sequence_mean), cmocka_unit_test(test_refused))
