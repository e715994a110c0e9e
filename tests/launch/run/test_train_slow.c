/* SPDX-License-Identifier: Apache-2.0 */
/* labels: mpi slow */
/* timeout: 1800 */
/* The checks of test_train.c, repeated many times. */
#include "tests/launch/train_runs.h"

/* 20 repetitions, with kills at arbitrary moments. */
static void survives_kill_9_at_any_moment(void **state)
{
    static const int after[] = {1, 2, 3, 4, 8};
    make_reference();
    for (int i = 0; i < 20; i++) {
        kill_at(1 + rand() % 21, i % 4, "KILL");
        continue_on(after[i % 5]);
        assert_int_equal(system("rm -rf killed"), 0);
    }
    assert_true(interrupted >= 10);
}

/* At each instruction-set level the digests are equal for any number of ranks and threads.  From v3 on all levels have
 * one digest. */
static void each_instruction_set_keeps_its_bits(void **state)
{
    static const char *const sets[] = {"v2", "v3", "v4", "v4_bf16", "amx"};
    char                    *v3     = NULL;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        char before[64];
        snprintf(before, sizeof before, "export LOCKSTEP_ISA=%s;", sets[i]);
        int code = run(RUN "run.dir=one --fresh", .before = before);
        if (code == 4 && strstr(text_of("err"), "processor")) continue; /* not supported by this processor */
        assert_int_equal(code, 0);
        char *one = digests_of("one");
        if (v3) assert_string_equal(one, v3);
        if (i == 1) v3 = strdup(one);
        for (int ranks = 2; ranks <= 4; ranks++) {
            assert_int_equal(
                run(RUN "run.dir=many --fresh", .before = before, .ranks = ranks, .threads = 5 - ranks, .seconds = 200),
                0);
            char *many = digests_of("many");
            assert_string_equal(many, one);
            free(many);
        }
        free(one);
    }
    free(v3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_kill_9_at_any_moment),
        cmocka_unit_test(each_instruction_set_keeps_its_bits),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
