/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi
 * timeout: 300
 * The section about the results of a classifier in report.html: its bytes for any number of ranks and threads, its
 * contents, and runs that have none. */
#include "tests/launch/train_runs.h"

#define EXAMINED                                                                                                       \
    "train lenet5-digits data.train_count=650 data.test_count=333 train.batch=60 train.epochs=1 eval.batch=50 "

/* The section, or "" if the report has none. */
static char *section_of(const char *report)
{
    char       *text  = strdup(text_of(report));
    const char *begin = strstr(text, "<b>Confusion matrix</b>"), *end = begin ? strstr(begin, "</section>") : NULL;
    char       *own = begin ? strndup(begin, (size_t)(end - begin)) : strdup("");
    free(text);
    return own;
}

static void the_same_bytes_on_any_ranks(void **state)
{
    static const struct {
        int ranks, threads;
    } cases[] = {{2, 1}, {3, 1}, {0, 3}};
    assert_int_equal(run(EXAMINED "run.dir=one"), 0);
    char *expected = section_of("one/report.html");
    assert_true(strlen(expected) > 10000);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(run(EXAMINED "run.dir=other --fresh", .ranks = cases[i].ranks, .threads = cases[i].threads),
                         0);
        char *found = section_of("other/report.html");
        if (strcmp(found, expected) != 0) fail_msg("%d ranks: another section", cases[i].ranks);
        free(found);
    }
    assert_int_equal(count_of(expected, "alt=\"Grad-CAM\""), 12);
    assert_int_equal(count_of(expected, "alt=\"image\""), 12);
    free(expected);
}

static void the_average_is_examined(void **state)
{
    assert_int_equal(run(EXAMINED "run.dir=average optim.ema=0.9"), 0);
    assert_int_equal(run("eval average"), 0);
    static const char key[]    = "<i class=\"b0\"></i>accuracy <em>";
    const char       *accuracy = strstr(text_of("average/report.html"), key);
    assert_non_null(accuracy);
    char expected[64];
    snprintf(expected, sizeof expected, "test accuracy  %.*s", (int)strcspn(accuracy + strlen(key), "<"),
             accuracy + strlen(key));
    if (!strstr(text_of("out"), expected)) fail_msg("'%s' is not in: %s", expected, text_of("out"));
}

/* eval.augment: an evaluation has other scores, the same on any ranks and in the report. */
static void several_views(void **state)
{
    assert_int_equal(run("eval one"), 0);
    char *plain = strdup(text_of("out"));
    assert_int_equal(run("eval one eval.augment=flip+shift"), 0);
    char *views = strdup(text_of("out"));
    assert_string_not_equal(plain, views);
    assert_non_null(strstr(views, "samples        333 of 333"));
    for (int ranks = 2; ranks <= 3; ranks++) {
        assert_int_equal(run("eval one eval.augment=flip+shift", .ranks = ranks), 0);
        assert_string_equal(text_of("out"), views);
    }
    assert_int_equal(run(EXAMINED "run.dir=views eval.augment=flip+shift", .ranks = 2), 0);
    char accuracy[64] = "";
    snprintf(accuracy, sizeof accuracy, "%.*s", (int)strcspn(strstr(views, "test accuracy"), "\n"),
             strstr(views, "test accuracy"));
    assert_non_null(strstr(text_of("out"), accuracy));
    assert_non_null(strstr(text_of("views/report.html"), accuracy + strlen("test accuracy  ")));
    assert_int_equal(system("cmp one/model.safetensors views/model.safetensors"), 0);
    assert_int_equal(run("eval one eval.augment=mirror"), 2);
    assert_non_null(strstr(text_of("err"), "expected one of none, flip, flip+shift"));
    assert_int_equal(run("eval one eval.augment=flip data.shuffle_pixels=true"), 2);
    assert_non_null(strstr(text_of("err"), "leaves no neighbours"));
    free(plain);
    free(views);
}

static void the_scores_have_an_interval(void **state)
{
    assert_int_equal(run(EXAMINED "run.dir=scores", .ranks = 2), 0);
    assert_int_equal(count_of(text_of("out"), "95 % interval  "), 1);
    assert_non_null(strstr(text_of("scores/report.html"), "333 of 333 samples</small>"));
    assert_int_equal(run("eval scores", .ranks = 2), 0);
    assert_int_equal(count_of(text_of("out"), "95 % interval  "), 1);
    assert_non_null(strstr(text_of("out"), "samples        333 of 333\n"));
    assert_int_equal(run("eval scores eval.samples=100"), 0);
    assert_non_null(strstr(text_of("out"), "samples        100 of 333\n"));
    json_t *all = events_of("scores"), *event;
    size_t  i;
    int     evaluations = 0;
    json_array_foreach(all, i, event)
    {
        if (strcmp(string(event, "event"), "eval") != 0 && strcmp(string(event, "event"), "end") != 0) continue;
        evaluations++;
        assert_int_equal(json_integer_value(json_object_get(event, "samples")), 333);
        assert_true(json_is_real(json_object_get(event, "accuracy")));
    }
    assert_int_equal(evaluations, 2);
    json_decref(all);
}

/* A perceptron has no Grad-CAM. */
static void a_model_without_convolutions(void **state)
{
    assert_int_equal(run(EXAMINED "run.dir=mlp model.name=mlp"), 0);
    char *found = section_of("mlp/report.html");
    assert_int_equal(count_of(found, "alt=\"Grad-CAM\""), 0);
    assert_int_equal(count_of(found, "alt=\"image\""), 12);
    free(found);
}

/* The report of a run that was stopped has no section; the finished run has that of an uninterrupted one. */
static void a_continued_run(void **state)
{
    assert_int_equal(run(EXAMINED "run.dir=whole"), 0);
    assert_int_equal(run(EXAMINED "run.dir=part train.max_hours=0.0000001"), 75);
    char *expected = section_of("whole/report.html"), *found = section_of("part/report.html");
    assert_string_equal(found, "");
    free(found);
    assert_int_equal(run(EXAMINED "run.dir=part", .ranks = 2), 0);
    found = section_of("part/report.html");
    assert_true(strcmp(found, expected) == 0);
    free(found);
    free(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bytes_on_any_ranks),  cmocka_unit_test(several_views),
        cmocka_unit_test(the_average_is_examined),      cmocka_unit_test(the_scores_have_an_interval),
        cmocka_unit_test(a_model_without_convolutions), cmocka_unit_test(a_continued_run),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
