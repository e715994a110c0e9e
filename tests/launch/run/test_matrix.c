/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi
 * timeout: 600
 * Equal digests for every pair of values of: ranks, threads, ZeRO stage, micro-batches, bucket size, overlap, placement
 * of ranks.  Each row of the matrix continues the run of the row before. */
#include "tests/launch/run/matrix.h"

static row all[MOST_ROWS], some[MOST_ROWS];

static void lenet5_digests(void **state)
{
    int n = covering_rows(all, all_rows(all), some);
    assert_true(n >= 15);
    check_rows(LENET, some, n);
}

static void gpt_digests(void **state)
{
    int n = covering_rows(all, all_rows(all), some);
    check_rows(GPT, some, n);
}

/* With train.wire=bfloat16 the result depends on the number of hosts (here each rank is one) and on nothing else. */
static void bfloat16_digests(void **state)
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(lenet5_digests), cmocka_unit_test(gpt_digests),
                                       cmocka_unit_test(bfloat16_digests)};
    return cmocka_run_group_tests(tests, prepare, finish);
}
