/* SPDX-License-Identifier: Apache-2.0 */
/* labels: io mpi */
/* timeout: 600 */
/* A recurrent language model on streams of text, with states that are carried from step to step: equal digests for any
 * number of ranks and threads, also with ZeRO, and after kill -9 within an epoch on other ranks. */
#define MODEL "{name: rnn_lm, options: {hidden: 12, context: 8, dropout: 0.1}}"
#define RUN "train ./tiny.yaml data.path=words log.every=1 checkpoint.every=4 data.streams=true eval.batch=3 "
#include "tests/launch/words.h"

static void any_ranks_and_threads_give_the_same_bits(void **state)
{
    static const struct {
        int         ranks, threads;
        const char *options;
    } cases[] = {{1, 2, ""}, {2, 1, ""}, {3, 2, "train.zero=1 "}, {4, 1, "train.zero=2 "}};
    (void)state;
    make_reference();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char command[512];
        snprintf(command, sizeof command, RUN "run.dir=other --fresh %s", cases[i].options);
        int code = run(command, .ranks = cases[i].ranks, .threads = cases[i].threads, .seconds = 200);
        if (code) fail_msg("%d ranks: exit code %d\n%s", cases[i].ranks, code, text_of("err"));
        must_be_like_reference("other", cases[i].options);
    }
}

static void survives_kill_9_in_mid_epoch(void **state)
{
    (void)state;
    make_reference();
    kill_at(9, 0, "KILL");
    continue_on(2);
    assert_int_equal(system("rm -rf killed"), 0);
    kill_at(18, 2, "KILL");
    continue_on(1);
}

/* The held-out loss of a run, as eval prints it. */
static double loss_of(const char *command)
{
    assert_int_equal(run(command), 0);
    const char *loss = strstr(text_of("out"), "valid loss");
    assert_non_null(loss);
    return strtod(loss + strlen("valid loss"), NULL);
}

/* The 37 windows of the split as one stream have another loss than as 37 streams, which all begin with zeros. */
static void evaluation_carries_states(void **state)
{
    (void)state;
    make_reference();
    char *one;
    assert_true(loss_of("eval reference eval.batch=1") != loss_of("eval reference eval.batch=37"));
    assert_int_equal(run("eval reference"), 0);
    one = strdup(text_of("out"));
    assert_non_null(strstr(one, "tokens         288")); /* 12 windows of 8 tokens in each of 3 streams */
    assert_int_equal(run("eval reference", .ranks = 3), 0);
    assert_string_equal(text_of("out"), one);
    free(one);
    assert_int_equal(run("generate reference --prompt ab --max-tokens 12"), 0);
    one = strdup(text_of("out"));
    assert_int_equal(run("generate reference --prompt ab --max-tokens 12 --no-cache", .ranks = 2), 0);
    assert_string_equal(text_of("out"), one);
    free(one);
}

static void messages(void **state)
{
    static const struct {
        const char *command, *message;
        int         code;
    } table[] = {{"train gpt-shakespeare-char data.path=words data.streams=true eval.batch=1 ",
                  "data.streams: expected a recurrent model", 2},
                 {RUN "train.accumulate=2", "train.accumulate: expected 1, because the model carries states", 2},
                 {RUN "train.batch=400", "one at least for each of the streams", 3},
                 {RUN "eval.batch=64", "one at least for each of the streams", 3}};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char command[512];
        snprintf(command, sizeof command, "%s run.dir=none --fresh", table[i].command);
        assert_int_equal(run(command, .ranks = 2), table[i].code);
        assert_non_null(strstr(text_of("err"), table[i].message));
        assert_int_equal(count_of(text_of("err"), "lockstep: error:"), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_ranks_and_threads_give_the_same_bits),
        cmocka_unit_test(survives_kill_9_in_mid_epoch),
        cmocka_unit_test(evaluation_carries_states),
        cmocka_unit_test(messages),
    };
    return cmocka_run_group_tests(tests, make_words, tear_down);
}
