/* SPDX-License-Identifier: Apache-2.0 */
/* labels: mpi */
/* timeout: 300 */
/* Kills training runs 20 times, or N times: build/release/tests/launch.run.test_kills N */
#include "tests/launch/run/kills.h"

static int wanted = 20;

static void test_kills(void **state) { kills_many(wanted); }

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kills)};
    if (argc > 1) wanted = atoi(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
