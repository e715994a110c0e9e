/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

/* One random number for each channel. */
static void reference(const check_ref *r)
{
    const double     p = (double)((const ls_dropout_args *)r->args)->p;
    const ls_tensor *x = r->node->in[0];
    for (int64_t k = 0; k < check_numel(r, 0); k++) {
        const int64_t  i = k % ls__numel(x) / (ls__numel(x) / x->dim[0]);
        const uint32_t bits =
            ls_philox(r->key, (uint64_t)(r->first_sample + k / ls__numel(x)), (uint64_t)i / 4).v[i % 4];
        const bool kept = !r->training || (double)ls_uniform01(bits) >= p;
        r->y[0][k]      = kept ? r->x[0][k] / (r->training ? 1 - p : 1) : 0;
    }
}

#define P(value)                                                                                                       \
    &(ls_dropout_args) { .p = (value) }

CHECK_OP(dropout2d, reference, {.in = {{.dims = {1, 1}}}, .args = P(0.5f)},
         {.in = {{.dims = {33, 7, 7}}}, .args = P(0.5f)}, {.in = {{.dims = {3, 40, 40}}}, .args = P(0.3f)},
         {.in = {{.dims = {131, 9}}}, .args = P(0.2f)}, {.in = {{.dims = {5, 3}}}, .args = P(0)},
         {.in = {{.dims = {5, 3}}}, .args = P(0.5f), .inference = true})

static void test_refused(void **state)
{
    CHECK_REFUSED(dropout2d, "expected 0 <= p < 1", {.in = {{.dims = {3, 2}}}, .args = P(1)});
    CHECK_REFUSED(dropout2d, "expected B x C x", {.in = {{.dims = {3}}}, .args = P(0.5f)});
}

CHECK_MAIN(cmocka_unit_test(check_dropout2d), cmocka_unit_test(test_refused))
