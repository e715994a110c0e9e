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

/* train.precision=bfloat16: every pair of values of ranks up to 4, threads, ZeRO stage and micro-batches, with and
 * without shared memory.  The bucket size and the overlap do not depend on the precision and stay at their first
 * value. */
static void precision_digests(void **state)
{
    int n = 0;
    for (int i = 0, rows = all_rows(all); i < rows; i++)
        if (atoi(value_of(&all[i], RANKS)) <= 4 && !all[i].value[BUCKET] && !all[i].value[OVERLAP] &&
            all[i].value[PLACE] < 2)
            all[n++] = all[i];
    n = covering_rows(all, n, some);
    assert_true(n >= 12);
    check_rows(GPT " train.precision=bfloat16", some, n);
}

/* Batch norm over the global batch, which needs the sums of all ranks in the middle of a step. */
static void batch_norm_digests(void **state)
{
    int n = 0;
    for (int i = 0, rows = all_rows(all); i < rows; i++)
        if (!all[i].value[ACCUMULATE] && all[i].value[BUCKET] < 2) all[n++] = all[i];
    n = covering_rows(all, n, some);
    assert_true(n >= 12);
    check_rows(CNN " train.batch=60", some, n);
}

/* Over groups of samples, which a step does not communicate.  The last batch of an epoch has 10 samples, fewer than
 * shards. */
static void group_norm_digests(void **state)
{
    int n = 0;
    for (int i = 0, rows = all_rows(all); i < rows; i++)
        if (all[i].value[BUCKET] < 2) all[n++] = all[i];
    n = covering_rows(all, n, some);
    assert_true(n >= 12);
    check_rows("./cnn.yaml train.shards=32 eval.every=0", some, n);
}

/* With train.wire=bfloat16 the result depends on the number of hosts (here each rank is one) and on nothing else. */
static void wire_digests(void **state)
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(lenet5_digests),     cmocka_unit_test(gpt_digests),
                                       cmocka_unit_test(precision_digests),  cmocka_unit_test(batch_norm_digests),
                                       cmocka_unit_test(group_norm_digests), cmocka_unit_test(wire_digests)};
    return cmocka_run_group_tests(tests, prepare, finish);
}
