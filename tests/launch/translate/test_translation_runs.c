/* SPDX-License-Identifier: Apache-2.0 */
/* labels: io mpi */
/* timeout: 600 */
/* Models of translation by command line: equal digests for any number of ranks and threads, also with ZeRO, and after
 * kill -9 within an epoch on other ranks; BLEU in evaluations; translations with the same bytes for any batch and
 * ranks; messages. */
#define RUN "train ./tiny.yaml data.path=pairs log.every=1 checkpoint.every=4 "
#define STEPS 30
#include <math.h>

#include "tests/launch/train_runs.h"

static const char *const models[] = {
    "{name: transformer, options: {layers: 1, heads: 2, width: 16, hidden: 24, dropout: 0.1}}",
    "{name: seq2seq, options: {cell: gru, hidden: 16, bidirectional: true, attention: concat, input_feed: true, "
    "dropout: 0.1}}"};

/* Writes `n` lines of 1 to 9 letters, and their reversal in capital letters. */
static void write_pairs(const char *name, int n, unsigned x)
{
    char path[64];
    snprintf(path, sizeof path, "%s.src", name);
    FILE *source = fopen(path, "w");
    snprintf(path, sizeof path, "%s.tgt", name);
    FILE *target = fopen(path, "w");
    assert_non_null(source);
    assert_non_null(target);
    for (int i = 0; i < n; i++) {
        int letter[9], length = 1 + (int)((x = x * 1664525u + 1013904223u) >> 16) % 9;
        for (int k = 0; k < length; k++) letter[k] = (int)((x = x * 1664525u + 1013904223u) >> 16) % 8;
        for (int k = 0; k < length; k++) fprintf(source, "%s%c", k ? " " : "", 'a' + letter[k]);
        for (int k = length - 1; k >= 0; k--) fprintf(target, "%c%s", 'A' + letter[k], k ? " " : "");
        fputs("\n", source);
        fputs("\n", target);
    }
    fclose(source);
    fclose(target);
}

static void use_model(int m)
{
    FILE *f = fopen("tiny.yaml", "w");
    assert_non_null(f);
    fprintf(f,
            "model: %s\n"
            "train: {batch: 28, epochs: 0, max_steps: %d, label_smoothing: 0.1}\n"
            "optim: {name: adam, lr: 0.01, clip_norm: 1}\n"
            "eval: {split: valid, every: 0, every_steps: 15, translations: 20}\n",
            models[m], STEPS);
    fclose(f);
    free(reference);
    reference = NULL;
    assert_int_equal(system("rm -rf reference killed other"), 0);
    make_reference();
}

static int make_pairs(void **state)
{
    set_up(state);
    write_pairs("train", 500, 1);
    write_pairs("valid", 60, 2);
    write_pairs("test", 50, 3);
    assert_int_equal(
        run("data import pairs train.src train.tgt pairs --valid valid.src valid.tgt --test test.src test.tgt "
            "--tokenizer words"),
        0);
    return 0;
}

static void any_ranks_and_threads_give_the_same_bits(void **state)
{
    static const struct {
        int         ranks, threads;
        const char *options;
    } cases[] = {{1, 2, ""}, {2, 1, ""}, {3, 2, "train.zero=1 "}, {4, 1, "train.zero=2 "}};
    (void)state;
    for (int m = 0; m < 2; m++) {
        use_model(m);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            char command[512];
            snprintf(command, sizeof command, RUN "run.dir=other --fresh %s", cases[i].options);
            const int code = run(command, .ranks = cases[i].ranks, .threads = cases[i].threads, .seconds = 200);
            if (code) fail_msg("%d ranks: exit code %d\n%s", cases[i].ranks, code, text_of("err"));
            must_be_like_reference("other", cases[i].options);
        }
    }
}

static void survives_kill_9_in_mid_epoch(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++) {
        use_model(m);
        kill_at(9, 0, "KILL");
        continue_on(2);
        assert_int_equal(system("rm -rf killed"), 0);
        kill_at(22, 2, "KILL");
        continue_on(1);
    }
}

/* The sum of the numbers of pairs in the table of scores by length: 1 to 5 words and 6 to 10. */
static long pairs_by_length(const char *report)
{
    static const char *const row[] = {"<td>1 to 5</td><td class=\"n\">", "<td>6 to 10</td><td class=\"n\">"};
    long                     sum   = 0;
    for (int i = 0; i < 2; i++) {
        const char *at = strstr(report, row[i]);
        assert_non_null(at);
        sum += strtol(at + strlen(row[i]), NULL, 10);
    }
    return sum;
}

/* A model of made pairs learns; its score is the share of whole sequences, and BLEU is not printed. */
static void made_pairs_are_learned(void **state)
{
    (void)state;
    assert_int_equal(run("train reverse-digits data.max_length=6 train.epochs=1 run.dir=reverse", .ranks = 2), 0);
    const char *share = strstr(text_of("out"), "valid sequence accuracy ");
    assert_non_null(share);
    assert_true(strtod(share + strlen("valid sequence accuracy "), NULL) >= 90);
    assert_null(strstr(text_of("out"), "BLEU"));
    assert_int_equal(count_of(text_of("reverse/metrics.jsonl"), "\"sequence_accuracy\":"), 2);
    assert_int_equal(count_of(text_of("reverse/metrics.jsonl"), "\"bleu\":null"), 2);
    assert_int_equal(system("printf '3 1 4\\n5 9 2 6\\n' >digits"), 0);
    assert_int_equal(run("translate reverse digits"), 0);
    assert_string_equal(text_of("out"), "4 1 3\n6 2 9 5\n");
    /* The report has translations and alignments; `explain --align` draws one more. */
    char *report = strdup(text_of("reverse/report.html"));
    assert_non_null(strstr(report, "<b>Translations</b>"));
    assert_int_equal(count_of(report, "alt=\"Alignment\""), 4);
    assert_non_null(strstr(report, "<b>Right sequences by length of the source</b>"));
    assert_int_equal(pairs_by_length(report), 1000);
    free(report);
    assert_int_equal(run("explain reverse --align '3 1 4'"), 0);
    assert_non_null(strstr(text_of("out"), "translation  4 1 3\n"));
    assert_non_null(strstr(text_of("out"), "alignment    2-0 1-1 0-2\n"));
    assert_non_null(strstr(text_of("out"), "\n    4     ██  \n    1   ██    \n    3 ██      \n"));
    assert_non_null(strstr(text_of("out"), "reverse/alignment.png, also in report.html"));
    assert_int_equal(count_of(text_of("reverse/report.html"), "alt=\"Alignment\""), 5);
    assert_int_equal(run("explain reverse --align ''"), 2);
    assert_non_null(strstr(text_of("err"), "--align: expected a sentence, found nothing"));
    assert_int_equal(run("train reverse-digits model.options.attention=none model.options.input_feed=false "
                         "train.epochs=0 train.max_steps=1 schedule.warmup=0 run.dir=none"),
                     0);
    assert_null(strstr(text_of("none/report.html"), "alt=\"Alignment\""));
    assert_int_equal(run("translate none digits --align"), 2);
    assert_non_null(strstr(text_of("err"), "the model has no attention"));
    assert_int_equal(run("train reverse-digits train.epochs=0 train.max_steps=2 schedule.warmup=1 run.dir=untrained"),
                     0);
    assert_non_null(strstr(text_of("out"), "valid sequence accuracy 0.00 %"));
}

/* Runs a command; its output must equal that of the first call after `*expected` was NULL. */
static void same_output(const char *command, int ranks, char **expected)
{
    const int code = run(command, .ranks = ranks, .threads = 1 + ranks % 2);
    if (code) fail_msg("%s: exit code %d\n%s", command, code, text_of("err"));
    if (!*expected) *expected = strdup(text_of("out"));
    if (strcmp(text_of("out"), *expected))
        fail_msg("%s, %d ranks: found\n%s\nexpected\n%s", command, ranks, text_of("out"), *expected);
}

static void evaluations_have_bleu(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++) {
        char *expected = NULL;
        use_model(m);
        assert_int_equal(count_of(text_of("reference/metrics.jsonl"), "\"bleu\":"),
                         3); /* two evaluations and the end */
        same_output("eval reference --split test eval.beam=3 eval.translations=50", 0, &expected);
        assert_non_null(strstr(expected, "BLEU, lower-cased"));
        assert_non_null(strstr(expected, "pairs          50 of 50"));
        same_output("eval reference --split test eval.beam=3 eval.translations=50", 3, &expected);
        char *report = strdup(text_of("reference/report.html"));
        assert_non_null(strstr(report, "<b>BLEU by length of the source</b>"));
        assert_int_equal(pairs_by_length(report), 20); /* eval.translations */
        free(report);
        free(expected);
    }
}

/* The lines of `aligned` are those of `plain` with alignments, which have at most one link for each word. */
static void same_lines(const char *plain, const char *aligned)
{
    while (*plain) {
        const size_t n = strcspn(plain, "\n"), m = strcspn(aligned, "\n");
        int          words = n > 0, links = 0;
        assert_true(m >= n + 5 && !strncmp(plain, aligned, n) && !strncmp(aligned + n, " ||| ", 5));
        for (size_t i = 0; i < n; i++) words += plain[i] == ' ';
        for (size_t i = n + 5; i < m; i++) links += aligned[i] == '-';
        assert_true(links <= words);
        plain += n + 1;
        aligned += m + 1;
    }
    assert_string_equal(aligned, "");
}

static void translations_have_the_same_bytes(void **state)
{
    (void)state;
    assert_int_equal(
        system("{ cat test.src; printf '\\n   \\n'; cat valid.src; printf 'a\\r\\nunknown words here\\na b'; } >lines"),
        0);
    for (int m = 0; m < 2; m++) {
        char *best = NULL, *greedy = NULL, *several = NULL;
        use_model(m);
        same_output("translate reference lines", 0, &best);
        assert_int_equal(count_of(best, "\n"), 50 + 2 + 60 + 3);
        assert_null(strstr(best, " \n")); /* no space after the last word */
        same_output("translate reference lines --batch 1", 0, &best);
        same_output("translate reference lines --batch 7", 2, &best);
        same_output("translate reference lines", 3, &best);
        same_output("translate reference lines", 4, &best);
        same_output("translate reference lines --beam 1", 0, &greedy);
        same_output("translate reference lines --beam 1 --batch 3", 2, &greedy);
        same_output("translate reference lines --n-best 3 --gnmt --alpha 0.6", 0, &several);
        same_output("translate reference lines --n-best 3 --gnmt --alpha 0.6 --batch 5", 3, &several);
        char *links = NULL, *weights = NULL;
        same_output("translate reference lines --align", 0, &links);
        same_output("translate reference lines --align --batch 7", 3, &links);
        same_output("translate reference lines --align-weights --n-best 2 --batch 5", 2, &weights);
        same_output("translate reference lines --align-weights --n-best 2", 0, &weights);
        same_lines(best, links);
        char *covering = NULL, *replaced = NULL;
        same_output("translate reference lines --coverage 0.5 --scores", 0, &covering);
        same_output("translate reference lines --coverage 0.5 --scores --batch 3", 3, &covering);
        same_output("translate reference lines --replace-unknown", 0, &replaced);
        same_output("translate reference lines --replace-unknown --batch 1", 2, &replaced);
        assert_string_equal(replaced, best); /* the tokens of these translations are known */
        free(covering);
        free(replaced);
        free(links);
        free(weights);
        assert_true(strncmp(strstr(several, "\n50 |||"), "\n50 |||  ||| log_p= 0.000000 tokens= 0", 30) == 0);
        free(best);
        free(greedy);
        free(several);
    }
}

/* The scores of the translations of `translate --scores` are those that it prints. */
static void scores_are_those_of_the_search(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++) {
        char *best = NULL, *scores = NULL, *tokens = NULL;
        use_model(m);
        same_output("translate reference test.src --beam 3 --scores", 0, &best);
        assert_int_equal(run("translate reference test.src --beam 3"), 0);
        assert_int_equal(system("cp out hypothesis"), 0);
        same_output("score reference test.src hypothesis", 0, &scores);
        same_output("score reference test.src hypothesis", 3, &scores);
        same_output("score reference test.src hypothesis --tokens", 2, &tokens);
        const char *x = best, *y = scores, *z = tokens;
        for (int i = 0; i < 50; i++) {
            double sum = 0, searched = strtod(strstr(x, "log_p= ") + 7, NULL), log_p = strtod(y, (char **)&y);
            long   n = strtol(y, (char **)&y, 10);
            assert_true(fabs(searched - log_p) < 1e-3);
            assert_true(fabs(strtod(z, (char **)&z) - log_p) < 1e-5);
            assert_int_equal(strtol(z, (char **)&z, 10), n);
            for (long k = 0; k < n; k++) sum += strtod(z, (char **)&z);
            assert_true(fabs(sum - log_p) < 1e-4);
            x = strchr(x, '\n') + 1;
        }
        free(best);
        free(scores);
        free(tokens);
    }
}

static void messages(void **state)
{
    static const struct {
        const char *command, *message;
        int         code;
    } table[] = {
        {"translate reference lines --beam 0", "--beam: expected", 2},
        {"translate reference lines --n-best 6", "--n-best: expected at most --beam, 5, found 6", 2},
        {"translate reference lines --align --align-weights", "expected one of --align and --align-weights", 2},
        {"score reference lines zero", "zero: line 2: expected text, found a zero byte", 3},
        {"score reference lines test.tgt", "test.tgt: expected 1 lines, as many as lines has, found 50", 3},
        {"translate reference missing", "missing: No such file", 2},
        {"translate reference zero", "line 2: expected text, found a zero byte", 3},
        {"translate reference long", "line 1: expected fewer than 1024 tokens", 3},
        {"generate reference", "expected the run of a language model", 2},
        {"eval reference --split none", "none", 3},
        {"train reverse-digits data.path=made:none", "data.path: made:none: expected made:copy", 2},
        {"train reverse-digits data.min_length=9 data.max_length=8", "found 9 to 8", 2},
        {"train reverse-digits eval.split=dev", "has no split 'dev'", 3},
        {"train lenet5-digits data.path=pairs run.dir=none", "lenet5 is a model of single samples", 2},
        {"train lenet5-digits model.name=transformer", "transformer is a model of translation", 2},
        {"train ./tiny.yaml data.path=pairs model.options.heads=3 run.dir=none", "multiple of heads", 2},
        {"explain none --align 'a b'", "expected 1 rank", 2}};
    (void)state;
    use_model(0);
    assert_int_equal(system("printf 'a b\\na\\0b\\n' >zero; yes a | head -1100 | tr '\\n' ' ' >long; echo a >lines"),
                     0);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const int code = run(table[i].command, .ranks = 2);
        if (code != table[i].code || !strstr(text_of("err"), table[i].message) ||
            count_of(text_of("err"), "lockstep: error:") != 1)
            fail_msg("%s: exit code %d, expected %d and '%s', found\n%s", table[i].command, code, table[i].code,
                     table[i].message, text_of("err"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_ranks_and_threads_give_the_same_bits),
        cmocka_unit_test(survives_kill_9_in_mid_epoch),
        cmocka_unit_test(evaluations_have_bleu),
        cmocka_unit_test(made_pairs_are_learned),
        cmocka_unit_test(translations_have_the_same_bytes),
        cmocka_unit_test(scores_are_those_of_the_search),
        cmocka_unit_test(messages),
    };
    return cmocka_run_group_tests(tests, make_pairs, tear_down);
}
