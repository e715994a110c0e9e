/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

/* One random number for each sample. */
static void reference(const check_ref *r)
{
    const double     p = (double)((const ls_dropout_args *)r->args)->p;
    const ls_tensor *x = r->node->in[0];
    for (int64_t k = 0; k < check_numel(r, 0); k++) {
        const int64_t  i = k % ls__numel(x) / (ls__numel(x));
        const uint32_t bits =
            ls_philox(r->key, (uint64_t)(r->first_sample + k / ls__numel(x)), (uint64_t)i / 4).v[i % 4];
        const bool kept = !r->training || (double)ls_uniform01(bits) >= p;
        r->y[0][k]      = kept ? r->x[0][k] / (r->training ? 1 - p : 1) : 0;
    }
}

#define P(value)                                                                                                       \
    &(ls_dropout_args) { .p = (value) }

CHECK_OP(drop_path, reference, {.in = {{.dims = {1}}}, .args = P(0.5f)}, {.in = {{.dims = {7, 33}}}, .args = P(0.5f)},
         {.in = {{.dims = {3, 20, 40}}}, .args = P(0.2f)}, {.in = {{.dims = {33}}}, .args = P(0)},
         {.in = {{.dims = {33}}}, .args = P(0.5f), .inference = true})

static void test_refused(void **state)
{
    CHECK_REFUSED(drop_path, "expected 0 <= p < 1", {.in = {{.dims = {3}}}, .args = P(1)});
}

CHECK_MAIN(cmocka_unit_test(check_drop_path), cmocka_unit_test(test_refused))
