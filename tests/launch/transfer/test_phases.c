/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi
 * timeout: 600
 * train.phases: a sequence of runs with one digest on any ranks and after a kill; layer_decay; optimizer lars. */
#include <signal.h>

#include "tests/launch/run_program.h"

#define PLAIN "data.train_count=640 data.test_count=64 train.batch=60 log.every=1 checkpoint.every=4 "

static const char recipe[] = "data: {path: digits, train_count: 650, test_count: 64}\n"
                             "model: {name: lenet5}\n"
                             "train:\n"
                             "  batch: 60\n"
                             "  phases:\n"
                             "    - {model.freeze: [body], optim.lr: 0.1, train.epochs: 1}\n"
                             "    - optim: {lr: 0.05, layer_decay: 0.75}\n"
                             "      schedule: {name: cosine}\n"
                             "      model: {freeze: ['*', '!fc*']}\n"
                             "      train.epochs: 2\n"
                             "    - {optim.name: lars, optim.lr: 2, optim.weight_decay: 0.001, train.epochs: 1}\n"
                             "optim: {name: momentum, ema: 0.9}\n"
                             "checkpoint: {every: 4}\nlog: {every: 1}\n";

static char expected[17];

static void read_digest(char digest[17])
{
    const char *at = strstr(text_of("out"), "digest");
    if (!at || sscanf(at, "digest %16s", digest) != 1) fail_msg("no digest in the output: %s", text_of("err"));
}

static int prepare(void **state)
{
    folder_enter();
    save_text("phases.yaml", recipe);
    if (run("train ./phases.yaml run.dir=one")) fail_msg("%s", text_of("err"));
    read_digest(expected);
    return 0;
}

static int finish(void **state)
{
    folder_leave();
    return 0;
}

static void must_have_digest(const char *what)
{
    char digest[17];
    read_digest(digest);
    if (strcmp(digest, expected) != 0) fail_msg("%s: digest %s, expected %s", what, digest, expected);
}

static void one_digest_on_any_ranks(void **state)
{
    static const struct {
        int         ranks, threads;
        const char *keys;
    } cases[] = {
        {1, 2, ""}, {2, 1, "train.zero=1 train.window=off"}, {3, 2, ""}, {4, 1, "train.zero=2 train.window=off"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256];
        snprintf(line, sizeof line, "train ./phases.yaml run.dir=other --fresh %s", cases[i].keys);
        if (run(line, .ranks = cases[i].ranks, .threads = cases[i].threads)) fail_msg("%s", text_of("err"));
        must_have_digest(line);
    }
}

/* A run that is killed in its second phase continues there. */
static void one_digest_after_a_kill(void **state)
{
    run_with("", (run_options){.ranks   = 2,
                               .program = "$P train ./phases.yaml run.dir=killed & p=$!; while kill -0 $p 2>/dev/null "
                                          "&& ! grep -q '\"step\":9,' killed/phase-2/metrics.jsonl 2>/dev/null; do "
                                          "sleep 0.01; done; kill -KILL $p; wait $p"});
    assert_true(exists("killed/phase-1/model.safetensors"));
    assert_int_equal(run("train ./phases.yaml run.dir=killed", .ranks = 3), 0);
    must_have_digest("killed");
    assert_int_equal(run("train ./phases.yaml run.dir=killed"), 0); /* finished */
    must_have_digest("finished");
}

/* The first phase changes the last layer alone, and the others change more: as a run with the same keys does. */
static void a_phase_is_a_run(void **state)
{
    char digest[17];
    assert_int_equal(run("train ./phases.yaml train.phases=[] run.dir=plain model.freeze=[body] optim.lr=0.1 "
                         "train.epochs=1"),
                     0);
    assert_int_equal(system("cmp plain/model.safetensors one/phase-1/model.safetensors"), 0);
    assert_int_equal(run("train ./phases.yaml train.phases=[] run.dir=second model.pretrained=one/phase-1 train.seed=2 "
                         "optim.lr=0.05 optim.layer_decay=0.75 schedule.name=cosine 'model.freeze=[\"*\", \"!fc*\"]' "
                         "train.epochs=2"),
                     0);
    assert_int_equal(system("cmp second/model.safetensors one/phase-2/model.safetensors"), 0);
    read_digest(digest);
    assert_int_equal(run("train ./phases.yaml train.phases=[] run.dir=flat model.pretrained=one/phase-1 train.seed=2 "
                         "optim.lr=0.05 schedule.name=cosine 'model.freeze=[\"*\", \"!fc*\"]' train.epochs=2"),
                     0);
    assert_null(strstr(text_of("out"), digest)); /* layer_decay has an effect */
    assert_int_equal(run("eval one"), 0);
}

static void refused(void **state)
{
    static const struct {
        const char *phases, *part;
    } cases[] = {{"[{optim.lrr: 1}]", "did you mean optim.lr"},
                 {"[{optim.lr: -1}]", "train.phases=[{optim.lr: -1}][0]: optim.lr: expected a number of at least 0"},
                 {"[{run.dir: x}]", "expected a key that a phase can set, found run.dir"},
                 {"[{}]", "expected a map of keys"},
                 {"3", "expected a list"},
                 {"[{optim.name: sgd, optim.momentum: 0.9}]", "train.phases[0]: "}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256];
        snprintf(line, sizeof line, "train lenet5-digits " PLAIN "run.dir=refused 'train.phases=%s'", cases[i].phases);
        if (run(line) != 2 || !strstr(text_of("err"), cases[i].part))
            fail_msg("%s: expected '%s', found %s", cases[i].phases, cases[i].part, text_of("err"));
    }
    assert_int_equal(run("compare ./phases.yaml --seeds 1"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_digest_on_any_ranks),
                                       cmocka_unit_test(one_digest_after_a_kill), cmocka_unit_test(a_phase_is_a_run),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, prepare, finish);
}
