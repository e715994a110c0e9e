/* SPDX-License-Identifier: Apache-2.0 */
/* labels: mpi slow */
/* timeout: 1800 */
/* The checks of test_text.c for all numbers of ranks and threads: a GPT with dropout has the same digest
 * after each step. */
#include "tests/launch/words.h"

static void all_ranks_and_threads_give_the_same_bits(void **state)
{
    make_reference();
    for (int ranks = 1; ranks <= 4; ranks++)
        for (int threads = 1; threads <= 3; threads++) {
            char what[64];
            snprintf(what, sizeof what, "%d ranks x %d threads", ranks, threads);
            int code = run(RUN "run.dir=other --fresh", .ranks = ranks, .threads = threads, .seconds = 200);
            if (code) fail_msg("%s: exit code %d\n%s", what, code, text_of("err"));
            must_be_like_reference("other", what);
        }
}

/* With 14 steps per epoch and a checkpoint every 4, the run continues within an epoch, on every other number of
 * ranks. */
static void survives_kill_9_in_mid_epoch_on_other_ranks(void **state)
{
    make_reference();
    for (int before = 1; before <= 4; before++)
        for (int after = 1; after <= 4; after++) {
            if (before == after) continue;
            kill_at(5 + 2 * before + 3 * after, before, "KILL");
            continue_on(after);
            assert_int_equal(system("rm -rf killed"), 0);
        }
    assert_true(interrupted >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_ranks_and_threads_give_the_same_bits),
        cmocka_unit_test(survives_kill_9_in_mid_epoch_on_other_ranks),
    };
    return cmocka_run_group_tests(tests, make_words, tear_down);
}
