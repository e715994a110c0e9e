/* SPDX-License-Identifier: Apache-2.0 */
/* labels: mpi */
/* `lockstep bench allreduce`: prints a row for each method and size, with exact sums; refuses wrong command lines. */
#include "tests/launch/run_program.h"

static void sums_are_right(void **state)
{
    for (int ranks = 2; ranks <= 3; ranks++) {
        assert_int_equal(
            run(ranks == 2 ? "bench allreduce --bytes 4-16K --repeat 2" : "bench allreduce --bytes 4K --repeat 1",
                .ranks = ranks),
            0);
        const char *out   = text_of("out");
        int         sizes = ranks == 2 ? 7 : 1; /* 4, 16, 64, 256, 1K, 4K, 16K */
        assert_int_equal(count_of(out, " shared memory "), sizes);
        assert_int_equal(count_of(out, " messages "), sizes);
        assert_int_equal(count_of(out, " MPI_Allreduce "), sizes);
    }
}

static void wrong_command_lines(void **state)
{
    static const char *const sizes[] = {"0", "3", "6", "64X", "1M-4K", "4K-", "-4K", "9G", "K"};
    assert_int_equal(run("bench allreduce"), 2);
    assert_non_null(strstr(text_of("err"), "expected at least 2 ranks"));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char line[64];
        snprintf(line, sizeof line, "bench allreduce --bytes %s", sizes[i]);
        assert_int_equal(run(line), 2);
        if (!strstr(text_of("err"), "--bytes")) fail_msg("%s: %s", sizes[i], text_of("err"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums_are_right), cmocka_unit_test(wrong_command_lines)};
    folder_enter();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    folder_leave();
    return failed;
}
