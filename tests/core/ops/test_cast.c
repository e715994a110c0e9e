/* SPDX-License-Identifier: Apache-2.0
 * Conversion between float32 and bfloat16. */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const bool narrow = ((const ls_cast_args *)r->args)->type == LS_BF16;
    for (int64_t i = 0; i < check_numel(r, 0); i++)
        r->y[0][i] = narrow ? (double)check_rounded((float)r->x[0][i], LS_BF16) : r->x[0][i];
}

CHECK_OP(cast, reference, {.in = {{.dims = {1}}}}, {.in = {{.dims = {7, 33}}}, .args = &(ls_cast_args){.type = LS_F32}})

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(check_cast)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
