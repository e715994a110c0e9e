/* SPDX-License-Identifier: Apache-2.0
 * labels: mpi
 * timeout: 300
 * `lockstep ckpt`; runs that stop at a time limit, save within a budget, and continue when saving fails. */
#include "tests/launch/train_runs.h"

#define HAS(text, part)                                                                                                \
    do {                                                                                                               \
        if (!strstr((text), (part))) fail_msg("expected '%s' in\n%s", (part), (text));                                 \
    } while (0)

static void make_run(void)
{
    if (!exists("reference"))
        assert_int_equal(run(RUN "run.dir=reference checkpoint.keep_last=0 checkpoint.writers=2", .ranks = 2), 0);
}

static void lists(void **state)
{
    make_run();
    assert_int_equal(run("ckpt ls reference"), 0);
    const char *out = text_of("out");
    assert_int_equal(count_of(out, "\n"), 8); /* a heading, and the steps 4, 8, 11, 12, 16, 20, 22 */
    assert_int_equal(count_of(out, "  latest"), 1);
    assert_int_equal(count_of(out, "  best"), 1);
    HAS(strstr(out, "step-00000022"), "  latest");
    assert_int_equal(run("ckpt inspect reference/checkpoints/best"), 0);
    HAS(text_of("out"), "momentum_buffer");
    assert_int_equal(run("ckpt ls nowhere"), 2);
    assert_int_equal(run("eval reference/checkpoints/step-00000011"), 0);
    assert_int_equal(run("eval reference/checkpoints/latest"), 0);
}

static void verifies(void **state)
{
    make_run();
    assert_int_equal(run("ckpt verify reference"), 0);
    assert_int_equal(count_of(text_of("out"), "  ok"), 14);
    assert_int_equal(
        system("cp -r reference hurt && cd hurt/checkpoints && printf x | dd of=step-00000016/part-0001.h5 bs=1 "
               "seek=9000 conv=notrunc status=none && rm step-00000020/part-0000.h5 "
               "&& truncate -s 20 step-00000012/manifest.xxh64"),
        0);
    assert_int_equal(run("ckpt verify hurt"), 3);
    const char *out = text_of("out");
    assert_int_equal(count_of(out, "damaged: "), 3);
    HAS(out, "step-00000016/part-0001.h5   damaged: ");
    HAS(out, "step-00000020/part-0000.h5   damaged: ");
    HAS(out, "step-00000020/part-0000.h5: cannot be read");
    HAS(out, "step-00000012 ");
    HAS(text_of("err"), "3 damaged");
    assert_int_equal(run("ckpt verify hurt/checkpoints/step-00000022"), 0);
    assert_int_equal(run("ckpt verify hurt/checkpoints/step-00000016"), 3);
    assert_int_equal(run("ckpt ls hurt"), 0);
    assert_int_equal(count_of(text_of("out"), "damaged: "), 3);
    assert_int_equal(run("ckpt diff hurt/checkpoints/step-00000016 reference"), 3);
}

static void compares(void **state)
{
    make_run();
    assert_int_equal(run(RUN "run.dir=other checkpoint.keep_last=0"), 0);
    assert_int_equal(run("ckpt diff reference/checkpoints/step-00000016 other/checkpoints/step-00000016"), 0);
    HAS(text_of("out"), "20 arrays, the same in every bit"); /* files of 2 ranks and of 1 rank */
    assert_int_equal(run("ckpt diff reference/checkpoints/step-00000016 reference"), 0);
    HAS(text_of("out"), "20 of 20 arrays differ");
    HAS(text_of("out"), "fc3.bias                     momentum_buffer  10                             10 ");
    assert_int_equal(run(RUN "run.dir=sgd optim.name=sgd optim.momentum=0"), 0);
    assert_int_equal(run("ckpt diff sgd reference"), 0);
    HAS(text_of("out"), "only in the second");
}

static void prunes(void **state)
{
    make_run();
    assert_int_equal(system("cp -r reference pruned && ln -sfn step-00000004 pruned/checkpoints/best"), 0);
    assert_int_equal(run("ckpt prune pruned --keep-last 2 --keep-every 8 --dry-run"), 0);
    assert_int_equal(count_of(text_of("out"), "would remove "), 2);
    assert_int_equal(run("ckpt prune pruned --keep-last 2 --keep-every 8"), 0);
    assert_int_equal(count_of(text_of("out"), "removed "), 2);
    assert_false(exists("pruned/checkpoints/step-00000011") || exists("pruned/checkpoints/step-00000012"));
    assert_true(exists("pruned/checkpoints/step-00000004") && exists("pruned/checkpoints/step-00000008") &&
                exists("pruned/checkpoints/step-00000016"));
    assert_int_equal(run("ckpt prune pruned --no-best"), 0);
    assert_false(exists("pruned/checkpoints/step-00000004") || exists("pruned/checkpoints/step-00000020"));
    assert_true(exists("pruned/checkpoints/step-00000022"));
    assert_int_equal(system("truncate -s 0 pruned/checkpoints/step-00000022/part-0000.h5"), 0);
    assert_int_equal(run("ckpt prune pruned"), 3);
    HAS(text_of("err"), "none is removed");
    assert_true(exists("pruned/checkpoints/step-00000022"));
}

/* ---- time limits ------------------------------------------------------------------------------------------------- */

#define LONG RUN "run.dir=timed train.epochs=100000 checkpoint.every=0 "

/* Checks that the run stopped for this reason, after at least one step, with a checkpoint of its last step. */
static void must_have_stopped(const char *reason)
{
    char path[64];
    HAS(text_of("err"), reason);
    json_t *all = events_of("timed"), *end = json_array_get(all, json_array_size(all) - 1);
    int     step = (int)json_integer_value(json_object_get(end, "step"));
    assert_string_equal(string(end, "status"), "stopped");
    assert_true(step >= 1);
    snprintf(path, sizeof path, "timed/checkpoints/step-%08d", step);
    assert_true(exists(path));
    json_decref(all);
}

static void stops_at_the_time_limit(void **state)
{
    assert_int_equal(run(LONG "--max-hours 0.0005", .ranks = 2), 75);
    must_have_stopped("stopped by train.max_hours after step");
    assert_int_equal(run(LONG "train.max_hours=0.000001"), 75); /* shorter than a checkpoint: at least one step */
    must_have_stopped("stopped by train.max_hours after step");
    HAS(text_of("err"), "continues after step");
    assert_int_equal(run(LONG "--max-hours soon"), 2);
    assert_int_equal(run(LONG "--max-hours -1"), 2);
    assert_int_equal(run(LONG "--fresh", .before = "export SLURM_JOB_END_TIME=$(($(date +%s) + 13));"), 75);
    must_have_stopped("stopped by the end of the job after step");
    assert_int_equal(run(LONG "--fresh train.max_steps=3", .before = "export SLURM_JOB_END_TIME=12:00;"), 0);
    HAS(text_of("err"), "SLURM_JOB_END_TIME: expected a time in seconds since 1970, found '12:00'");
    assert_int_equal(run(LONG "--fresh", .before = "export LOCKSTEP_END=$(($(date +%s) + 13));"), 75);
    must_have_stopped("stopped by the end of the job after step");
    assert_int_equal(run(LONG "--fresh train.max_steps=3", .before = "export LOCKSTEP_END=1000000000;"), 0);
    HAS(text_of("err"), "LOCKSTEP_END: expected a time in the future, found 1000000000");
}

static void the_second_interrupt_ends_it(void **state)
{
    int code = run_with(
        "",
        (run_options){.program =
                          "rm -rf timed; $P " LONG
                          "& p=$!; while ! grep -q '\"step\":3,' timed/metrics.jsonl 2>/dev/null; do sleep 0.01; done; "
                          "kill -STOP $p; kill -INT $p; kill -CONT $p; kill -INT $p; wait $p"});
    if (code != 130 && code != 75)
        fail_msg("expected exit code 130, or 75 if the run stopped first, found %d\n%s", code, text_of("err"));
}

/* ---- saving ------------------------------------------------------------------------------------------------------ */

/* The budget decides how often a run saves: more often with a larger budget, at the ends of epochs only with none.  The
 * bits do not depend on it. */
static void saves_within_a_budget(void **state)
{
    make_reference();
    assert_int_equal(
        run(RUN "run.dir=budget checkpoint.every=0 checkpoint.seconds=0 checkpoint.budget=1 checkpoint.keep_last=0"),
        0);
    must_be_like_reference("budget", "saved by a budget");
    assert_int_equal(run(RUN "run.dir=budget --fresh data.train_count=13000 train.epochs=1 checkpoint.every=0 "
                             "checkpoint.seconds=0 checkpoint.budget=1",
                         .ranks = 2),
                     0);
    assert_true(count_of(text_of("budget/metrics.jsonl"), "\"event\":\"checkpoint\"") >
                2); /* not only at the end of the epoch */
    assert_int_equal(
        run(RUN "run.dir=budget --fresh checkpoint.every=0 checkpoint.seconds=0 checkpoint.budget=0", .ranks = 2), 0);
    assert_int_equal(count_of(text_of("budget/metrics.jsonl"), "\"event\":\"checkpoint\""),
                     2); /* at the ends of the epochs */
    assert_int_equal(run(RUN "run.dir=budget --fresh checkpoint.background=false checkpoint.writers=2", .ranks = 3), 0);
    must_be_like_reference("budget", "saved in the foreground");
}

/* The folder of the checkpoints cannot be written for some steps.  The run prints one warning, continues, and ends with
 * the same result as an undisturbed run. */
static void continues_when_saving_fails(void **state)
{
    make_reference();
    const char *program = /* a slow run, so that the shell script keeps up */
        "LOCKSTEP_FAULT=at=data,do=slow,ms=3 $P " RUN
        "run.dir=full checkpoint.every=1 & p=$!; while ! grep -q '\"step\":5,\"epoch\"' full/metrics.jsonl "
        "2>/dev/null; do sleep 0.002; done; kill -STOP $p; "
        "mv full/checkpoints full/away; touch full/checkpoints; kill -CONT $p; while ! grep -q '\"step\":14,\"epoch\"' "
        "full/metrics.jsonl; do sleep 0.002; done; kill -STOP $p; "
        "rm full/checkpoints; mv full/away full/checkpoints; kill -CONT $p; wait $p";
    int code = run_with("", (run_options){.program = program});
    if (code) fail_msg("exit code %d\n%s", code, text_of("err"));
    assert_int_equal(count_of(text_of("err"), "could not be written; training continues, the newest is that of step"),
                     1);
    HAS(text_of("err"), "Not a directory");
    assert_int_equal(count_of(text_of("err"), "could be written again"), 1);
    must_be_like_reference("full", "while checkpoints could not be written");
    assert_int_equal(run("ckpt verify full"), 0);
    assert_null(strstr(text_of("out"), ".tmp"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(verifies),
        cmocka_unit_test(compares),
        cmocka_unit_test(prunes),
        cmocka_unit_test(stops_at_the_time_limit),
        cmocka_unit_test(the_second_interrupt_ends_it),
        cmocka_unit_test(saves_within_a_budget),
        cmocka_unit_test(continues_when_saving_fails),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
