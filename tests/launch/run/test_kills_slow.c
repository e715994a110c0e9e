/* SPDX-License-Identifier: Apache-2.0 */
/* labels: mpi slow */
/* timeout: 3600 */
/* Runs that are killed.  A thousand times; with an argument, so many. */
#include "tests/launch/run/kills.h"

static int wanted = 1000;

static void survives_kills(void **state) { kills_many(wanted); }

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(survives_kills)};
    if (argc > 1) wanted = atoi(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
