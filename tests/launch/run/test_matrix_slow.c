/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi slow
 * timeout: 14400
 * The same with every row: more than a thousand runs of each model. */
#include "tests/launch/run/matrix.h"

static row all[MOST_ROWS];

static void of_lenet5(void **state) { check_rows(LENET, all, all_rows(all)); }

static void of_a_gpt(void **state) { check_rows(GPT, all, all_rows(all)); }

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(of_lenet5), cmocka_unit_test(of_a_gpt)};
    return cmocka_run_group_tests(tests, prepare, finish);
}
