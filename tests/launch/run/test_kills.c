/* SPDX-License-Identifier: Apache-2.0 */
/* labels: mpi */
/* timeout: 300 */
/* Runs that are killed.  With an argument, so many times: build/release/tests/launch.test_kills 1000 */
#include "tests/launch/run/kills.h"

static int wanted = 20;

static void survives_kills(void **state) { kills_many(wanted); }

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(survives_kills)};
    if (argc > 1) wanted = atoi(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
