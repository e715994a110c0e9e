/* SPDX-License-Identifier: Apache-2.0 */
/* labels: mpi */
/* timeout: 600 */
/* Training with augmentation, mixing and label smoothing: equal digests for any number of ranks and threads, and after
 * a kill; evaluation without any of them. */
#define PLAIN                                                                                                          \
    "train lenet5-digits data.train_count=650 data.test_count=100 train.batch=60 train.epochs=2 log.every=1 "          \
    "checkpoint.every=4 "
#define AUGMENTED                                                                                                      \
    "data.augment.crop=2 data.augment.flip=true data.augment.rotate=10 data.augment.erase=0.3 data.augment.mixup=0.4 " \
    "data.augment.cutmix=1 train.label_smoothing=0.1 "
#define RUN PLAIN AUGMENTED
#define STEPS 22
#include "tests/launch/train_runs.h"

static void ranks_and_threads_give_the_same_bits(void **state)
{
    make_reference();
    for (int ranks = 1; ranks <= 3; ranks++)
        for (int threads = 1; threads <= 2; threads++) {
            char what[64];
            if (ranks * threads == 1) continue;
            snprintf(what, sizeof what, "%d ranks x %d threads", ranks, threads);
            int code = run(RUN "run.dir=other --fresh", .ranks = ranks, .threads = threads, .seconds = 200);
            if (code) fail_msg("%s: exit code %d\n%s", what, code, text_of("err"));
            must_be_like_reference("other", what);
        }
    assert_int_equal(run(RUN "run.dir=other --fresh train.accumulate=4 train.zero=1", .ranks = 2), 0);
    must_be_like_reference("other", "micro-batches");
}

static void survives_kill_9(void **state)
{
    static const struct {
        int step, before, after;
    } cases[] = {{6, 2, 3}, {13, 0, 2}};
    make_reference();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kill_at(cases[i].step, cases[i].before, "KILL");
        continue_on(cases[i].after);
        assert_int_equal(system("rm -rf killed"), 0);
    }
    assert_true(interrupted >= 1); /* a run may end before the kill */
}

/* Each setting changes the bits from the first step on. */
static void every_setting_has_an_effect(void **state)
{
    static const char *const settings[] = {"",
                                           "data.augment.crop=2",
                                           "data.augment.crop=2 data.augment.crop_mode=reflect",
                                           "data.augment.flip=true",
                                           "data.augment.vertical_flip=true",
                                           "data.augment.resized_crop=[0.5,1]",
                                           "data.augment.rotate=10",
                                           "data.augment.shift=0.1",
                                           "data.augment.trivial=true",
                                           "data.augment.brightness=0.5",
                                           "data.augment.contrast=0.5",
                                           "data.augment.erase=0.5",
                                           "data.augment.mixup=0.2",
                                           "data.augment.cutmix=1",
                                           "train.label_smoothing=0.1"};
    enum { SETTINGS = sizeof settings / sizeof *settings };
    char *digest[SETTINGS];
    for (int i = 0; i < SETTINGS; i++) {
        char line[512];
        snprintf(line, sizeof line, PLAIN "run.dir=short --fresh train.max_steps=1 eval.every=0 %s", settings[i]);
        if (run(line)) fail_msg("%s: %s", line, text_of("err"));
        digest[i] = digests_of("short");
        for (int k = 0; k < i; k++)
            if (!strcmp(digest[i], digest[k])) fail_msg("'%s' and '%s': the same bits", settings[i], settings[k]);
    }
    for (int i = 0; i < SETTINGS; i++) free(digest[i]);
}

/* The same parameters give the same loss and accuracy whatever the recipe says about training images. */
static void evaluation_is_not_changed(void **state)
{
    make_reference();
    assert_int_equal(run("eval reference"), 0);
    char *with = strdup(text_of("out"));
    assert_non_null(strstr(with, "test accuracy"));
    assert_int_equal(run("eval reference train.label_smoothing=0 data.augment.mixup=0 data.augment.cutmix=0 "
                         "data.augment.crop=0 data.augment.erase=0",
                         .ranks = 2),
                     0);
    assert_string_equal(text_of("out"), with);
    free(with);
}

/* A run is continued with the same augmentation only. */
static void another_augmentation_is_another_recipe(void **state)
{
    assert_int_equal(run(RUN "run.dir=part train.max_steps=4"), 0);
    assert_int_equal(run(RUN "run.dir=part train.max_steps=8 data.augment.mixup=0.5"), 2);
    assert_non_null(strstr(text_of("err"), "data.augment.mixup"));
    assert_int_equal(run(RUN "run.dir=part train.max_steps=8"), 0);
}

static void explain_needs_no_data(void **state)
{
    assert_int_equal(run("explain lenet5-mnist data.augment.mixup=1", .before = "export XDG_CACHE_HOME=$PWD/none;"), 0);
    assert_non_null(strstr(text_of("out"), "partner_share"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ranks_and_threads_give_the_same_bits),
                                       cmocka_unit_test(survives_kill_9),
                                       cmocka_unit_test(every_setting_has_an_effect),
                                       cmocka_unit_test(evaluation_is_not_changed),
                                       cmocka_unit_test(another_augmentation_is_another_recipe),
                                       cmocka_unit_test(explain_needs_no_data)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
