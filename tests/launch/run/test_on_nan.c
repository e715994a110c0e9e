/* SPDX-License-Identifier: Apache-2.0
 * labels: mpi
 * train.on_nan=abort, skip and rollback in a run: messages and exit codes. */
#include "tests/launch/run_program.h"

/* The learning rate makes the third step diverge. */
#define RUN                                                                                                            \
    "train lenet5-digits data.train_count=2000 data.test_count=100 train.epochs=1 optim.lr=1e6 schedule.warmup=0 "     \
    "checkpoint.every=1 run.dir="

static void abort_ends_the_run(void **state)
{
    assert_int_equal(run(RUN "abort"), 5);
    assert_non_null(strstr(text_of("err"), "step 3: the loss is"));
}

static void skip_leaves_out_steps(void **state)
{
    assert_int_equal(run(RUN "skip train.on_nan=skip", .ranks = 2), 5);
    assert_non_null(strstr(text_of("err"), "and so were those of the nine steps before"));
    assert_non_null(strstr(text_of("err"), "step 12: the loss is"));
}

static void rollback_happens_once(void **state)
{
    assert_int_equal(run(RUN "back train.on_nan=rollback", .ranks = 2), 5);
    assert_int_equal(count_of(text_of("err"), "back to the checkpoint of step 2"), 1);
    assert_non_null(strstr(text_of("err"), "step 4: the loss is"));
}

/* Checkpoints after step 2 cannot be written, so that the rollback loads an older one. */
static void rollback_to_an_older_checkpoint(void **state)
{
    assert_int_equal(run(RUN "older train.on_nan=rollback checkpoint.background=false", .ranks = 2,
                         .before = "export LOCKSTEP_FAULT=rank=0,step=2,at=forward,do=full;"),
                     5);
    assert_non_null(
        strstr(text_of("err"),
               "the checkpoint of step 2 could not be written; training continues, the newest is that of step 1"));
    assert_int_equal(count_of(text_of("err"), "back to the checkpoint of step 1"), 1);
    assert_non_null(strstr(text_of("err"), "step 5: the loss is"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(abort_ends_the_run), cmocka_unit_test(skip_leaves_out_steps),
                                       cmocka_unit_test(rollback_happens_once),
                                       cmocka_unit_test(rollback_to_an_older_checkpoint)};
    folder_enter();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    folder_leave();
    return failed;
}
