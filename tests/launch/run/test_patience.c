/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi
 * timeout: 600
 * train.patience: a run stops, goes back to its best parameters, and does so on any ranks and after a kill. */
#define RUN                                                                                                            \
    "train lenet5-digits data.train_count=300 data.test_count=100 train.batch=60 train.epochs=30 log.every=1 "         \
    "optim.lr=0.3 optim.momentum=0.95 schedule.name=constant train.patience=3 train.on_nan=skip "
#define STEPS 0
#include "tests/launch/train_runs.h"

#include <math.h>

static char   *results;
static int64_t best_step, last_step;

/* The lines of loss, accuracy and digest of the last command. */
static char *results_of(void)
{
    const char *out = text_of("out"), *digest = strstr(out, "digest");
    if (!digest) fail_msg("no digest: %s", text_of("err"));
    char *text = NULL;
    assert_true(asprintf(&text, "%.*s %.31s", (int)(strstr(out, "steps") - out), out, digest) > 0);
    return text;
}

static int prepare(void **state)
{
    json_t *event;
    size_t  i;
    double  least = INFINITY;
    folder_enter();
    if (run(RUN "run.dir=one")) fail_msg("%s", text_of("err"));
    results     = results_of();
    json_t *all = events_of("one");
    json_array_foreach(all, i, event)
    {
        const int64_t step = json_integer_value(json_object_get(event, "step"));
        const double  loss = json_number_value(json_object_get(event, "loss"));
        if (strcmp(string(event, "event"), "eval") != 0) continue;
        if (loss < least) {
            least     = loss;
            best_step = step;
        }
        last_step = step;
    }
    json_decref(all);
    return 0;
}

/* Three evaluations, one an epoch of 5 steps, after the best one. */
static void stops_after_three_evaluations(void **state)
{
    char line[256], digest[17];
    assert_int_equal(last_step, best_step + 15);
    assert_true(last_step < 150);
    /* The result is that of a run that ends at the best step. */
    snprintf(line, sizeof line, RUN "run.dir=short train.patience=0 train.max_steps=%d", (int)best_step);
    assert_int_equal(run(line), 0);
    assert_int_equal(sscanf(strstr(text_of("out"), "digest"), "digest %16s", digest), 1);
    assert_non_null(strstr(results, digest));
    assert_int_equal(system("cmp one/model.safetensors short/model.safetensors"), 0);
}

static void finished_and_evaluated(void **state)
{
    const char *loss = strstr(results, "test loss");
    char        line[64];
    assert_int_equal(run(RUN "run.dir=one"), 0);
    assert_non_null(strstr(text_of("err"), "the run is finished"));
    char *again = results_of();
    assert_string_equal(again, results);
    free(again);
    snprintf(line, sizeof line, "%.*s", (int)strcspn(loss, "\n"), loss);
    assert_int_equal(run("eval one"), 0);
    assert_non_null(strstr(text_of("out"), line));
}

static void equal_on_any_ranks(void **state)
{
    static const struct {
        int         ranks;
        const char *keys;
    } cases[] = {{2, ""}, {3, "train.zero=1 train.window=off"}, {4, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[512];
        snprintf(line, sizeof line, RUN "run.dir=other --fresh %s", cases[i].keys);
        if (run(line, .ranks = cases[i].ranks, .seconds = 200)) fail_msg("%s", text_of("err"));
        char *found = results_of();
        assert_string_equal(found, results);
        free(found);
    }
}

static void equal_after_a_kill(void **state)
{
    for (int64_t step = best_step + 6; step <= best_step + 11; step += 5) {
        kill_at((int)step, 2, "KILL");
        if (run(RUN "run.dir=killed", .ranks = 3, .seconds = 200)) fail_msg("%s", text_of("err"));
        char *found = results_of();
        assert_string_equal(found, results);
        free(found);
        assert_int_equal(system("rm -rf killed"), 0);
    }
}

static void refused(void **state)
{
    assert_int_equal(run(RUN "run.dir=refused checkpoint.best=false"), 2);
    assert_non_null(strstr(text_of("err"), "train.patience: expected checkpoint.best=true"));
    assert_int_equal(run(RUN "run.dir=refused eval.every=0"), 2);
    assert_non_null(strstr(text_of("err"), "train.patience: expected evaluations"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(stops_after_three_evaluations),
                                       cmocka_unit_test(finished_and_evaluated), cmocka_unit_test(equal_on_any_ranks),
                                       cmocka_unit_test(equal_after_a_kill), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, prepare, tear_down);
}
