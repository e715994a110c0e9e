/* SPDX-License-Identifier: Apache-2.0 */
/* labels: mpi */
/* timeout: 900 */
/* Complete runs of the program: equal digests for any number of ranks and threads, and after any interruption. */
#include "datasets/datasets.h"
#include "tests/launch/train_runs.h"

static void writes_all_files(void **state)
{
    static const char *const end_keys[]  = {"status",        "step",          "loss",
                                            "accuracy",      "digest",        "wall_s",
                                            "samples_per_s", "planned_bytes", "resident_peak_bytes",
                                            "ranks",         "threads",       "isa"};
    static const char *const step_keys[] = {"step", "epoch", "loss", "lr", "samples_per_s", "digest"};
    static const char *const files[] = {"reference/recipe.yaml", "reference/report.html", "reference/model.safetensors",
                                        "reference/checkpoints/step-00000022"};
    make_reference();
    json_t *all = events_of("reference"), *event;
    size_t  i, n = json_array_size(all);
    int     evals = 0;
    assert_string_equal(string(json_array_get(all, 0), "event"), "start");
    event = json_array_get(all, n - 1);
    assert_string_equal(string(event, "event"), "end");
    assert_string_equal(string(event, "status"), "finished");
    for (i = 0; i < sizeof end_keys / sizeof *end_keys; i++)
        if (!json_object_get(event, end_keys[i])) fail_msg("no %s in the last line", end_keys[i]);
    assert_true(json_integer_value(json_object_get(event, "planned_bytes")) >=
                json_integer_value(json_object_get(event, "resident_peak_bytes")));
    json_array_foreach(all, i, event)
    {
        if (!strcmp(string(event, "event"), "eval")) evals++;
        for (size_t k = 0; !strcmp(string(event, "event"), "step") && k < sizeof step_keys / sizeof *step_keys; k++)
            if (!json_object_get(event, step_keys[k])) fail_msg("no %s in a step", step_keys[k]);
    }
    assert_int_equal(evals, 2);
    json_decref(all);
    for (i = 0; i < sizeof files / sizeof *files; i++)
        if (!exists(files[i])) fail_msg("%s is missing", files[i]);
}

/* A run uses the memory that `lockstep explain` announces. */
static void uses_the_announced_memory(void **state)
{
    make_reference();
    assert_int_equal(run("explain ./reference/recipe.yaml"), 0);
    const char *line = strstr(text_of("out"), "Memory of rank 0"), *all = line ? strstr(line, "\n  all ") : NULL;
    json_t     *events = events_of("reference");
    long long   planned =
        json_integer_value(json_object_get(json_array_get(events, json_array_size(events) - 1), "planned_bytes"));
    assert_non_null(all);
    assert_true(planned > 0);
    assert_int_equal(strtoll(all + 6, NULL, 10), planned);
    json_decref(events);
}

static void any_ranks_and_threads_give_the_same_bits(void **state)
{
    static const int ranks[] = {1, 2, 3, 4, 8}, threads[] = {1, 2, 3};
    make_reference();
    for (size_t r = 0; r < sizeof ranks / sizeof *ranks; r++)
        for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
            char what[64];
            if (ranks[r] > 2 && threads[t] == 2) continue; /* 12 of the 15 combinations */
            snprintf(what, sizeof what, "%d ranks x %d threads", ranks[r], threads[t]);
            int code = run(RUN "run.dir=other --fresh", .ranks = ranks[r], .threads = threads[t], .seconds = 200);
            if (code) fail_msg("%s: exit code %d\n%s", what, code, text_of("err"));
            must_be_like_reference("other", what);
        }
}

/* Settings that change how a step is computed, but not its result: the digests are equal. */
static void buckets_and_micro_batches_keep_the_bits(void **state)
{
    make_reference();
    assert_int_equal(
        run(RUN "run.dir=other --fresh train.accumulate=4 train.bucket_bytes=4096 checkpoint.every=0 eval.batch=37",
            .ranks = 2),
        0);
    must_be_like_reference("other", "4 micro-steps, small buckets");
}

/* Counts the calls of the communicator in a run. */
static int calls_of(const char *arguments)
{
    int code = run(arguments, .ranks = 2, .before = "export LOCKSTEP_TRACE=comm;");
    if (code) fail_msg("exit code %d\n%s", code, text_of("err"));
    return count_of(text_of("err"), "comm rank ");
}

/* The flags of a step travel with the gradients, so that a step on one host has no other collective than the all-gather
 * of the gradient norm. */
static void steps_call_no_collective(void **state)
{
#define TRACED RUN "run.dir=traced --fresh checkpoint.every=0 checkpoint.budget=0 "
    assert_int_equal(calls_of(TRACED "train.max_steps=9"), calls_of(TRACED "train.max_steps=3"));
    assert_int_equal(calls_of(TRACED "train.max_steps=9 optim.clip_norm=1"),
                     calls_of(TRACED "train.max_steps=3 optim.clip_norm=1") + 2 * 6);
}

static void survives_kill_9(void **state)
{
    static const struct {
        int step, before, after;
    } cases[] = {{1, 0, 0}, {6, 2, 3}, {13, 0, 2}, {21, 3, 1}};
    make_reference();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kill_at(cases[i].step, cases[i].before, "KILL");
        continue_on(cases[i].after);
        assert_int_equal(system("rm -rf killed"), 0);
    }
    assert_true(interrupted >= 2); /* some runs may end before the kill, but not all */
}

/* A run continues after an incomplete last line of its log and damage to its newest checkpoint. */
static void survives_damage(void **state)
{
    make_reference();
    kill_at(14, 0, "KILL");
    assert_int_equal(system("printf '{\"event\":\"step\",\"st' >> killed/metrics.jsonl; newest=$(ls -d "
                            "killed/checkpoints/step-* | tail -1); truncate -s 1000 $newest/part-0000.h5"),
                     0);
    continue_on(2);
    assert_int_equal(system("rm -rf killed"), 0);
}

static void stops_on_a_signal(void **state)
{
    static const char *const signals[] = {"TERM", "USR1", "INT"};
    make_reference();
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        char program[512];
        snprintf(program, sizeof program,
                 "rm -f go.$$; $P " RUN "run.dir=killed train.epochs=200 & p=$!; while ! grep -q '\"step\":5,' "
                 "killed/metrics.jsonl 2>/dev/null; do sleep 0.01; done; "
                 "test ${OMPI_COMM_WORLD_RANK:-0} = 1 && kill -%s $p; wait $p",
                 signals[i]);
        int code = run_with("", (run_options){.ranks = 2, .program = program});
        if (code != 75) fail_msg("SIG%s: expected the exit code 75, found %d\n%s", signals[i], code, text_of("err"));
        assert_int_equal(count_of(text_of("err"), "stopped by"), 1);
        json_t *all = events_of("killed"), *end = json_array_get(all, json_array_size(all) - 1);
        assert_string_equal(string(end, "status"), "stopped");
        /* the checkpoint is that of the last step */
        char path[64];
        snprintf(path, sizeof path, "killed/checkpoints/step-%08d",
                 (int)json_integer_value(json_object_get(end, "step")));
        assert_true(exists(path));
        json_decref(all);
        assert_int_equal(system("rm -rf killed"), 0);
    }
}

static void finished_run_trains_no_step(void **state)
{
    make_reference();
    char *before = strdup(text_of("reference/metrics.jsonl"));
    assert_int_equal(run(RUN "run.dir=reference"), 0);
    assert_int_equal(count_of(text_of("err"), "finished"), 1);
    assert_int_equal(count_of(text_of("out"), "test accuracy"), 1);
    assert_string_equal(text_of("reference/metrics.jsonl"), before);
    free(before);
    /* another recipe in the same run directory is refused with the differing key; --fresh accepts it */
    assert_int_equal(run(RUN "run.dir=other --fresh train.max_steps=3"), 0);
    assert_int_equal(run(RUN "run.dir=other train.max_steps=3 train.seed=7"), 2);
    assert_non_null(strstr(text_of("err"), "train.seed"));
    assert_non_null(strstr(text_of("err"), "--fresh"));
    assert_int_equal(run(RUN "run.dir=other train.max_steps=3 train.seed=7 --fresh"), 0);
    /* a larger train.epochs prolongs the run */
    assert_int_equal(run(RUN "run.dir=other train.max_steps=5 train.seed=7"), 0);
    assert_non_null(strstr(text_of("err"), "continues after step 3"));
}

static void two_runs_do_not_share_a_folder(void **state)
{
    int code = run_with(
        "",
        (run_options){.program = "$P " RUN "run.dir=shared train.epochs=100 2> first & p=$!; while ! test -s "
                                 "shared/metrics.jsonl; do sleep 0.01; done; "
                                 "$P " RUN "run.dir=shared train.epochs=100; code=$?; kill $p; wait $p; exit $code"});
    assert_int_equal(code, 4);
    assert_non_null(strstr(text_of("err"), "another run is using"));
}

static void evaluates_and_predicts(void **state)
{
    make_reference();
    assert_int_equal(run("eval reference"), 0);
    char *one = strdup(text_of("out"));
    assert_int_equal(run("eval reference/checkpoints/step-00000022", .ranks = 3), 0);
    assert_string_equal(text_of("out"), one);
    json_t *all = events_of("reference");
    char    accuracy[64];
    snprintf(accuracy, sizeof accuracy, "test accuracy  %.2f %%",
             100 * json_number_value(json_object_get(json_array_get(all, json_array_size(all) - 1), "accuracy")));
    assert_non_null(strstr(one, accuracy));
    free(one);
    json_decref(all);
    /* the prediction for the inverted image is the same */
    ls_dataset *digits;
    uint8_t     pixels[28 * 28];
    int32_t     label;
    assert_int_equal(ls_dataset_digits(&digits, "train", 650, 1), LS_OK);
    assert_int_equal(ls_dataset_read(digits, 0, pixels, &label), LS_OK);
    assert_int_equal(ls_image_write("light.png", 1, 28, 28, pixels), LS_OK);
    for (int i = 0; i < 28 * 28; i++) pixels[i] = (uint8_t)(255 - pixels[i]);
    assert_int_equal(ls_image_write("dark.png", 1, 28, 28, pixels), LS_OK);
    ls_dataset_free(digits);
    assert_int_equal(run("predict reference light.png"), 0);
    assert_null(strstr(text_of("out"), "inverted"));
    char *light = strdup(strchr(text_of("out"), '\n'));
    assert_int_equal(run("predict reference dark.png", .ranks = 2), 0);
    assert_non_null(strstr(text_of("out"), "dark.png  (inverted: dark on light)"));
    assert_string_equal(strchr(text_of("out"), '\n'), light);
    assert_int_equal(count_of(light, "%"), 5);
    free(light);
    assert_int_equal(run("ckpt ls reference"), 0);
    assert_non_null(strstr(text_of("out"), "step-00000022"));
    assert_int_equal(run("ckpt inspect reference/model.safetensors"), 0);
    assert_non_null(strstr(text_of("out"), "61,706 numbers, 0 not finite"));
    assert_int_equal(run("ckpt inspect cut", .before = "head -c 100000 reference/model.safetensors > cut;"), 3);
    assert_non_null(strstr(text_of("err"), "cut: tensor '"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_all_files),
        cmocka_unit_test(uses_the_announced_memory),
        cmocka_unit_test(any_ranks_and_threads_give_the_same_bits),
        cmocka_unit_test(buckets_and_micro_batches_keep_the_bits),
        cmocka_unit_test(steps_call_no_collective),
        cmocka_unit_test(survives_kill_9),
        cmocka_unit_test(survives_damage),
        cmocka_unit_test(stops_on_a_signal),
        cmocka_unit_test(finished_run_trains_no_step),
        cmocka_unit_test(two_runs_do_not_share_a_folder),
        cmocka_unit_test(evaluates_and_predicts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
