/* SPDX-License-Identifier: Apache-2.0 */
/* labels: io mpi */
/* timeout: 900 */
/* A language model from text files to its scores: equal digests for any number of ranks and threads, and after kill -9
 * within an epoch. */
#include "tests/launch/words.h"

/* ---- scores ------------------------------------------------------------------------------------------------------ */

static void scores_are_of_text(void **state)
{
    make_reference();
    json_t *all = events_of("reference"), *event, *end = json_array_get(all, json_array_size(all) - 1);
    size_t  i;
    int     evals = 0;
    json_array_foreach(all, i, event)
    {
        if (!strcmp(string(event, "event"), "step"))
            assert_true(json_is_number(json_object_get(event, "tokens_per_s")) &&
                        json_is_number(json_object_get(event, "samples_per_s")));
        if (strcmp(string(event, "event"), "eval") != 0) continue;
        double loss = json_number_value(json_object_get(event, "loss"));
        assert_string_equal(string(event, "split"), "valid");
        assert_true(json_is_null(json_object_get(event, "accuracy")));
        assert_true(fabs(json_number_value(json_object_get(event, "perplexity")) - exp(loss)) < 1e-6 * exp(loss));
        assert_true(fabs(json_number_value(json_object_get(event, "bits_per_byte")) - loss / log(2)) <
                    1e-6); /* one token per byte */
        assert_int_equal(json_integer_value(json_object_get(event, "step")), 10 * ++evals);
    }
    assert_int_equal(evals, 3);
    assert_true(json_is_null(json_object_get(end, "accuracy")));
    assert_true(json_number_value(json_object_get(end, "loss")) <
                log(21) + 0.1); /* better than a uniform guess among 21 tokens */
    json_decref(all);
    assert_true(exists("reference/tokenizer.json"));
    assert_non_null(strstr(text_of("reference/data.json"), "\"vocabulary\": 21"));
    const char *report = text_of("reference/report.html");
    assert_non_null(strstr(report, "Bits per byte"));
    assert_non_null(strstr(report, "Tokens per second"));
    assert_null(strstr(report, "ccuracy"));
}

static void other_commands_read_text(void **state)
{
    char *one;
    make_reference();
    assert_int_equal(run("eval reference"), 0);
    one = strdup(text_of("out"));
    assert_non_null(strstr(one, "valid loss"));
    assert_non_null(strstr(one, "perplexity per token"));
    assert_null(strstr(one, "per word"));
    assert_non_null(strstr(one, "bits per byte"));
    assert_non_null(strstr(one, "tokens         288"));
    assert_null(strstr(one, "accuracy"));
    assert_int_equal(run("eval reference --split valid", .ranks = 3), 0);
    assert_string_equal(text_of("out"), one);
    free(one);
    assert_int_equal(run("eval reference eval.samples=7 eval.batch=4", .ranks = 2),
                     0); /* two full batches of samples of 16 tokens */
    assert_non_null(strstr(text_of("out"), "tokens         128"));
    assert_int_equal(run("eval reference --split train"), 0);
    assert_non_null(strstr(text_of("out"), "train loss"));
    assert_int_equal(run("eval reference --split test"), 3);
    assert_non_null(strstr(text_of("err"), "has no test.h5; splits found: train, valid"));
    assert_int_equal(run("explain ./tiny.yaml data.path=words"), 0);
    assert_non_null(strstr(text_of("out"), "167 + 18 windows of 16 tokens, a vocabulary of 21"));
    assert_int_equal(run("bench step ./tiny.yaml data.path=words --steps 2"), 0);
    assert_non_null(strstr(text_of("out"), "tokens "));
    assert_int_equal(system("tr ' ' '\\n' <words.txt >lines.txt"), 0);
    assert_int_equal(run("data import text lines.txt by-word --tokenizer words"), 0);
    assert_int_equal(run("train lstm-words data.path=by-word model.options.hidden=8 model.options.context=4 "
                         "train.batch=4 train.epochs=0 train.max_steps=2 eval.batch=2 run.dir=of-words",
                         .ranks = 2),
                     0);
    assert_non_null(strstr(text_of("out"), "perplexity per word "));
    assert_int_equal(run("ckpt ls reference"), 0);
    assert_int_equal(run("predict reference words.txt"), 2);
    assert_non_null(strstr(text_of("err"), "lockstep generate"));
    assert_int_equal(run("data verify words"), 0);
    assert_int_equal(run("data inspect words"), 0);
    assert_non_null(strstr(text_of("out"), "chars, vocabulary of 21"));
}

/* ---- equal digests ----------------------------------------------------------------------------------------------- */

static void any_ranks_and_threads_give_the_same_bits(void **state)
{
    static const int cases[][2] = {{1, 2}, {2, 1}, {3, 1}, {3, 2}};
    make_reference();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char what[64];
        snprintf(what, sizeof what, "%d ranks x %d threads", cases[i][0], cases[i][1]);
        int code = run(RUN "run.dir=other --fresh", .ranks = cases[i][0], .threads = cases[i][1], .seconds = 200);
        if (code) fail_msg("%s: exit code %d\n%s", what, code, text_of("err"));
        must_be_like_reference("other", what);
    }
}

static void survives_kill_9_in_mid_epoch(void **state)
{
    static const struct {
        int step, before, after;
    } cases[] = {{6, 0, 3}, {18, 2, 1}, {21, 3, 2}};
    make_reference();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kill_at(cases[i].step, cases[i].before, "KILL");
        continue_on(cases[i].after);
        assert_int_equal(system("rm -rf killed"), 0);
    }
    assert_true(interrupted >= 1); /* some runs may end before the kill, but not all */
}

/* ---- bad tokens -------------------------------------------------------------------------------------------------- */

/* A token outside the vocabulary within an epoch: the run saves the steps before it, and continues after the file is
 * repaired. */
static void bad_tokens_lose_no_steps(void **state)
{
    make_reference();
    assert_int_equal(system("rm -rf harm && cp -r words harm && printf '\\377\\377\\377\\377' | dd of=harm/train.h5 "
                            "bs=1 seek=$(($(stat -c %s harm/train.h5) - 1800)) conv=notrunc 2> dd"),
                     0);
    assert_int_equal(run("train ./tiny.yaml data.path=harm log.every=1 run.dir=harmed", .ranks = 2), 3);
    assert_int_equal(count_of(text_of("err"), "lockstep: error:"), 1);
    assert_non_null(strstr(text_of("err"), "harm/train.h5: /tokens: token "));
    assert_non_null(strstr(text_of("err"), "is 65535; expected 0 to 20"));
    const char *kept = strstr(text_of("err"), " is saved; once the data are valid");
    assert_non_null(kept);
    assert_int_equal(run("ckpt ls harmed"), 0);
    assert_true(count_of(text_of("out"), "step-") >= 1);
    assert_int_equal(system("cp words/train.h5 harm/train.h5"), 0);
    assert_int_equal(run("train ./tiny.yaml data.path=harm log.every=1 run.dir=harmed", .ranks = 3), 0);
    char *ours = digests_of("harmed"), *whole = digests_of("reference");
    assert_string_equal(ours, whole);
    free(ours);
    free(whole);
}

/* ---- another vocabulary ------------------------------------------------------------------------------------------ */

static void another_vocabulary_is_refused(void **state)
{
    assert_int_equal(run(RUN "run.dir=mine train.max_steps=4"), 0);
    assert_int_equal(run("data import text other.txt words --tokenizer chars"), 0); /* replaces the dataset */
    assert_int_equal(run(RUN "run.dir=mine train.max_steps=8", .ranks = 2), 2);
    assert_int_equal(count_of(text_of("err"), "lockstep: error:"), 1);
    assert_int_equal(run("eval mine"), 2);
    assert_non_null(strstr(text_of("err"), "was begun with another vocabulary: 21 tokens"));
    /* a vocabulary of the same size with other tokens */
    assert_int_equal(run("data import text words.txt words --tokenizer bytes"), 0);
    assert_int_equal(run(RUN "run.dir=bytes train.max_steps=4"), 0);
    assert_int_equal(run("data import text words.txt words --tokenizer bpe --vocab 257"), 0);
    assert_int_equal(run(RUN "run.dir=bytes train.max_steps=8"), 2);
    assert_non_null(strstr(text_of("err"), "was begun with another vocabulary"));
    assert_non_null(strstr(text_of("err"), "--tokenizer bytes/tokenizer.json"));
    /* an import with the run's tokenizer restores the tokens */
    assert_int_equal(run("data import text other.txt words --tokenizer bytes/tokenizer.json"), 0);
    assert_int_equal(run("eval bytes"), 0);
    /* a character unknown to the tokenizer: the dataset is not changed */
    assert_int_equal(run("data import text other.txt made --tokenizer mine/tokenizer.json"), 3);
    assert_false(exists("made"));
    assert_int_equal(run("data import text small.txt made --tokenizer mine/tokenizer.json"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_of_text),
        cmocka_unit_test(other_commands_read_text),
        cmocka_unit_test(any_ranks_and_threads_give_the_same_bits),
        cmocka_unit_test(survives_kill_9_in_mid_epoch),
        cmocka_unit_test(bad_tokens_lose_no_steps),
        cmocka_unit_test(another_vocabulary_is_refused),
    };
    return cmocka_run_group_tests(tests, make_words, tear_down);
}
