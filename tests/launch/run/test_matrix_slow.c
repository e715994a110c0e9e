/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi slow
 * timeout: 14400
 * Equal digests for every row of the matrix of tests/launch/run/matrix.h: more than a thousand runs per model. */
#include "tests/launch/run/matrix.h"

static row all[MOST_ROWS];

static void lenet5_digests(void **state) { check_rows(LENET, all, all_rows(all)); }

static void gpt_digests(void **state) { check_rows(GPT, all, all_rows(all)); }

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lenet5_digests), cmocka_unit_test(gpt_digests)};
    return cmocka_run_group_tests(tests, prepare, finish);
}
