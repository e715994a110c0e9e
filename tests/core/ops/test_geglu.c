/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static double gelu(double x, bool approximate)
{
    const double pi = 3.14159265358979323846;
    return 0.5 * x * (1 + (approximate ? tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x)) : erf(x / sqrt(2))));
}

static void reference(const check_ref *r)
{
    int64_t    n = ls__cols(r->node->out[0]), elements = r->rows * ls__numel(r->node->out[0]);
    const bool approximate = ((const ls_geglu_args *)r->args)->tanh;
    for (int64_t k = 0; k < elements; k++) {
        double x   = r->x[1] ? r->x[0][k] : r->x[0][k / n * 2 * n + k % n],
               y   = r->x[1] ? r->x[1][k] : r->x[0][k / n * 2 * n + n + k % n];
        r->y[0][k] = gelu(x, approximate) * y;
    }
}

#define NONE                                                                                                           \
    {                                                                                                                  \
        .absent = true                                                                                                 \
    }
#define TANH                                                                                                           \
    &(ls_geglu_args) { .tanh = true }

CHECK_OP(geglu, reference, {.in = {{.dims = {7, 33}}, {.dims = {7, 33}}}},
         {.in = {{.dims = {3}}, {.dims = {3}}}, .args = TANH}, {.in = {{.dims = {2}}, NONE}, .out = {1}},
         {.in = {{.dims = {5, 66}}, NONE}, .out = {5, 33}, .args = TANH})

CHECK_MAIN(cmocka_unit_test(check_geglu))
