/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi
 * timeout: 600
 * One digest for every two of: ranks, threads, ZeRO, accumulation, buckets, overlap, place; each row continues the one
 * before. */
#include "tests/launch/run/matrix.h"

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

/* In bfloat16 the number of hosts decides bits, which here each rank is by itself; and nothing else does. */
static void with_bfloat16(void **state)
{
    static const char *const with[] = {"train.wire=float32", "train.wire=bfloat16",
                                       "train.wire=bfloat16 train.bucket_bytes=65536",
                                       "train.wire=bfloat16 train.zero=1 train.overlap=thread",
                                       "train.wire=bfloat16 train.zero=2 train.bucket_bytes=16384 train.overlap=off"};
    char                     digest[5][17];
    for (int i = 0; i < 5; i++) {
        char line[1024];
        snprintf(line, sizeof line, "train " GPT " train.max_steps=6 train.window=off run.dir=half --fresh %s",
                 with[i]);
        if (run(line, .ranks = 4) != 0) fail_msg("%s: %s", with[i], text_of("err"));
        last_digest("half", digest[i]);
    }
    assert_string_not_equal(digest[0], digest[1]);
    for (int i = 2; i < 5; i++)
        if (strcmp(digest[i], digest[1]) != 0) fail_msg("%s: digest %s, expected %s", with[i], digest[i], digest[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(of_lenet5), cmocka_unit_test(of_a_gpt),
                                       cmocka_unit_test(with_bfloat16)};
    return cmocka_run_group_tests(tests, prepare, finish);
}
