/* SPDX-License-Identifier: Apache-2.0 */
/* labels: io mpi */
/* `lockstep bench overlap`: prints every line for each kind of overlap; refuses a single rank. */
#include "tests/launch/run_program.h"

#define BENCH "bench overlap lenet5-digits data.train_count=200 --steps 2 "

static void every_line_is_printed(void **state)
{
    static const char *const lines[] = {"computation alone",
                                        "  backward ",
                                        "all-reduce alone",
                                        "MPI_Allreduce alone",
                                        "a step with MPI_Allreduce",
                                        "a step with the all-reduce",
                                        "hidden: "};
    static const char *const with[]  = {"", "train.window=off train.bucket_bytes=65536",
                                        "train.window=off train.overlap=thread", "train.window=off train.overlap=off"};
    for (size_t w = 0; w < sizeof with / sizeof *with; w++) {
        char command[512];
        snprintf(command, sizeof command, BENCH "%s", with[w]);
        if (run(command, .ranks = 2) != 0) fail_msg("%s: %s", with[w], text_of("err"));
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
            if (!strstr(text_of("out"), lines[i])) fail_msg("%s: '%s' is not in %s", with[w], lines[i], text_of("out"));
    }
}

static void one_rank_is_too_few(void **state)
{
    assert_int_equal(run(BENCH), 2);
    assert_non_null(strstr(text_of("err"), "expected at least 2 ranks"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_line_is_printed), cmocka_unit_test(one_rank_is_too_few)};
    folder_enter();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    folder_leave();
    return failed;
}
