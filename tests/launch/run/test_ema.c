/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi
 * timeout: 300
 * optim.ema and optim.lookahead: evaluations and the written model use the average, or the slow weights.  Their bits do
 * not depend on ranks, ZeRO and restarts. */
#include "tests/launch/run_program.h"
#include "tests/launch/train_runs.h"

#define EMA                                                                                                            \
    "train lenet5-digits data.train_count=960 data.test_count=200 train.epochs=2 train.batch=64 train.shards=16 "      \
    "schedule.name=constant optim.ema=0.95 "

/* 30 steps, so that the last steps of the slow weights are two steps before the end, and one run stops between two. */
#define LOOKAHEAD                                                                                                      \
    "train lenet5-digits data.train_count=960 data.test_count=200 train.epochs=2 train.batch=64 train.shards=16 "      \
    "schedule.name=constant optim.lookahead=0.4 optim.lookahead_steps=7 "

static int prepare(void **state)
{
    folder_enter();
    assert_int_equal(run(EMA "run.dir=one"), 0);
    return 0;
}

/* The lines of loss, accuracy and digest of the last command. */
static char *results(void)
{
    const char *out = text_of("out"), *digest = strstr(out, "digest");
    assert_non_null(digest);
    char *text = NULL;
    assert_true(asprintf(&text, "%.*s %.31s", (int)(strstr(out, "steps") - out), out, digest) > 0);
    return text;
}

static void equal_on_any_ranks(void **state)
{
    static const struct {
        int         ranks;
        const char *keys;
    } cases[] = {
        {2, ""}, {3, "train.zero=1 train.window=off"}, {2, "train.zero=2 train.window=off"}, {4, "train.zero=1"}};
    assert_int_equal(run(EMA "run.dir=again"), 0);
    char *expected = results();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[512];
        snprintf(line, sizeof line, EMA "run.dir=r%zu %s", i, cases[i].keys);
        assert_int_equal(run(line, .ranks = cases[i].ranks), 0);
        char *found = results();
        assert_string_equal(found, expected);
        free(found);
        snprintf(line, sizeof line, "cmp one/model.safetensors r%zu/model.safetensors", i);
        assert_int_equal(system(line), 0);
    }
    free(expected);
}

static void continued_on_other_ranks(void **state)
{
    assert_int_equal(run(EMA "run.dir=stopped train.max_steps=11", .ranks = 2), 0);
    assert_int_equal(run(EMA "run.dir=stopped", .ranks = 3), 0);
    assert_int_equal(system("cmp one/model.safetensors stopped/model.safetensors"), 0);
}

static void the_average_is_evaluated(void **state)
{
    assert_int_equal(run(EMA "run.dir=one"), 0); /* finished: prints the results again */
    char *loss = strstr(strdup(text_of("out")), "test loss");
    assert_non_null(loss);
    loss[strcspn(loss, "\n")] = 0;
    assert_int_equal(run("eval one", .ranks = 2), 0); /* from the checkpoint */
    assert_non_null(strstr(text_of("out"), loss));
    assert_int_equal(system("mv one/checkpoints one/moved"), 0);
    assert_int_equal(run("eval one"), 0); /* from model.safetensors */
    assert_non_null(strstr(text_of("out"), loss));
    assert_int_equal(system("mv one/moved one/checkpoints"), 0);
    assert_int_equal(run(EMA "optim.ema=0 run.dir=none"), 0);
    assert_null(strstr(text_of("out"), loss));
    assert_int_not_equal(system("cmp -s one/model.safetensors none/model.safetensors"), 0);
}

static void slow_weights_are_evaluated_and_continued(void **state)
{
    assert_int_equal(run(LOOKAHEAD "run.dir=slow"), 0);
    char *loss                = strdup(strstr(text_of("out"), "test loss"));
    loss[strcspn(loss, "\n")] = 0;
    assert_int_equal(run(LOOKAHEAD "run.dir=divided train.max_steps=11 train.zero=1 train.window=off", .ranks = 2), 0);
    assert_int_equal(run(LOOKAHEAD "run.dir=divided train.zero=2 train.window=off", .ranks = 3), 0);
    assert_int_equal(system("cmp slow/model.safetensors divided/model.safetensors"), 0);
    assert_int_equal(run("eval slow", .ranks = 2), 0); /* from the checkpoint */
    assert_non_null(strstr(text_of("out"), loss));
    assert_int_equal(system("rm -r slow/checkpoints"), 0);
    assert_int_equal(run("eval slow"), 0); /* from model.safetensors */
    assert_non_null(strstr(text_of("out"), loss));
    free(loss);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(equal_on_any_ranks), cmocka_unit_test(continued_on_other_ranks),
                                       cmocka_unit_test(the_average_is_evaluated),
                                       cmocka_unit_test(slow_weights_are_evaluated_and_continued)};
    return cmocka_run_group_tests(tests, prepare, tear_down);
}
