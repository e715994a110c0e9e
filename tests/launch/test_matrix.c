/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi
 * timeout: 600
 * One digest for every two of: ranks, threads, ZeRO, accumulation, buckets, overlap, place; each row continues the one before. */
#include "tests/launch/matrix.h"

static row all[MOST_ROWS], some[MOST_ROWS];

static void of_lenet5(void **state)
{
    int n = covering_rows(all, all_rows(all), some);
    assert_true(n >= 15);
    check_rows(LENET, some, n);
}

static void of_a_gpt(void **state)
{
    int n = covering_rows(all, all_rows(all), some);
    check_rows(GPT, some, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(of_lenet5), cmocka_unit_test(of_a_gpt)};
    return cmocka_run_group_tests(tests, prepare, finish);
}
