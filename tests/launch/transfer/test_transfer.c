/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi
 * timeout: 600
 * Transfer learning from the command line: a model of seven classes of digits serves three others. */
#include "tests/launch/run_program.h"

#define DATA "lenet5-digits data.train_count=2000 data.test_count=300 train.batch=32 "
#define OTHERS DATA "data.classes=[7,8,9] data.train_per_class=15 data.test_per_class=25 optim.lr=0.02 "

static int prepare(void **state)
{
    folder_enter();
    assert_int_equal(run("train " DATA "train.epochs=3 data.classes=[0,1,2,3,4,5,6] run.dir=first", .ranks = 2), 0);
    return 0;
}

static int tear_down(void **state)
{
    folder_leave();
    return 0;
}

/* The figures of a row of the table, without the time; freed by the caller. */
static char *row_of(const char *name)
{
    const char *at = strstr(text_of("out"), name), *end = at ? strchr(at, '\n') : NULL;
    assert_non_null(end);
    while (end[-1] != ' ') end--;
    while (end[-1] == ' ') end--;
    return strndup(at, (size_t)(end - at));
}

static double mean_of(const char *row)
{
    double mean;
    assert_int_equal(sscanf(row, "%*s %lf", &mean), 1);
    return mean;
}

static void the_table_is_that_of_any_ranks(void **state)
{
    char       *scratch = NULL, *probe = NULL, *tuned = NULL;
    const char *line = "transfer " OTHERS "train.epochs=2 model.pretrained=first --seeds 2 --dir ";
    for (int ranks = 1; ranks <= 3; ranks++) {
        char command[512];
        snprintf(command, sizeof command, "%sT%d", line, ranks);
        assert_int_equal(run(command, .ranks = ranks, .seconds = 200), 0);
        char *row[] = {row_of("scratch "), row_of("probe "), row_of("fine-tune ")};
        if (ranks == 1) {
            scratch = row[0], probe = row[1], tuned = row[2];
            continue;
        }
        assert_string_equal(row[0], scratch);
        assert_string_equal(row[1], probe);
        assert_string_equal(row[2], tuned);
        for (int i = 0; i < 3; i++) free(row[i]);
    }
    assert_true(mean_of(probe) >= mean_of(scratch) + 10);
    assert_true(mean_of(tuned) >= mean_of(scratch) + 10);
    assert_non_null(strstr(text_of("out"), "75 held-out samples"));
    assert_non_null(strstr(text_of("first/report.html"), "Confusion matrix"));
    assert_non_null(strstr(text_of("T1/fine-tune-1/report.html"), "Accuracy on held-out"));
    assert_null(strstr(text_of("T1/fine-tune-1/report.html"), "Confusion matrix"));
    free(scratch), free(probe), free(tuned);
    /* A repetition trains nothing and computes no features. */
    assert_int_equal(run("transfer " OTHERS "train.epochs=2 model.pretrained=first --seeds 2 --dir T1", .ranks = 2), 0);
    assert_non_null(strstr(text_of("err"), "features from the cache"));
    assert_null(strstr(text_of("err"), "epoch 1"));
}

static void verdicts_on_the_tensors(void **state)
{
    assert_int_equal(run("train " OTHERS "train.epochs=1 model.pretrained=first model.freeze=[body] run.dir=tuned"), 0);
    assert_non_null(strstr(text_of("err"), "model.pretrained: 10 tensors: 8 loaded, 2 initial values"));
    const char *table = text_of("tuned/pretrained.tsv");
    assert_non_null(strstr(table, "conv1.weight\tloaded\tconv1.weight\n"));
    assert_non_null(strstr(table, "fc3.weight\tinitial values\tfc3.weight\n"));
    /* Frozen: the body of the run is that of the pretrained model. */
    assert_int_equal(run("transfer " OTHERS "model.pretrained=tuned --methods probe --seeds 1 --dir P"), 0);
    assert_int_equal(run("transfer " OTHERS "model.pretrained=first --methods probe --seeds 1 --dir P"), 0);
    assert_non_null(strstr(text_of("err"), "features from the cache"));
    /* Two of the classes are those of the pretrained model. */
    assert_int_equal(run("train " DATA "data.classes=[5,6,7] train.epochs=1 model.pretrained=first run.dir=mixed"), 0);
    assert_non_null(strstr(text_of("err"), "10 tensors: 8 loaded, 2 rows by class"));
    /* The model states its classes and normalisation, and evaluation uses them. */
    assert_int_equal(run("eval tuned", .ranks = 2), 0);
    assert_non_null(strstr(text_of("out"), "samples        75"));
}

static const struct {
    const char *arguments;
    int         code;
    const char *message;
} refused[] = {
    {"train " OTHERS "model.freeze=[conv7.*]", 2, "model.freeze: 'conv7.*': expected a glob that matches a parameter"},
    {"train " OTHERS "data.classes=[7,17]", 2, "data.classes: expected names of classes in digits, found '17'"},
    {"train " DATA "data.classes=[7]", 2, "data.classes: expected at least two names, found one"},
    {"train " DATA "data.mean=[0.5,0.5] data.std=[1,1]", 2, "expected one number each for each of the 1 channels"},
    {"train " DATA "data.mean=[0.5]", 2, "found 1 and 0"},
    {"train " DATA "data.std=[0.5] data.mean=[x]", 2, "expected a list of 1 to 4 numbers"},
    {"train " DATA "data.size=-1", 2, "data.size=-1: expected a whole number from 0 to 16384"},
    {"transfer " OTHERS, 2, "transfer: model.pretrained: expected a file or folder with parameters, found none"},
    {"transfer " OTHERS "model.pretrained=first --methods tune", 2, "expected names from scratch,probe,fine-tune"},
    {"transfer " OTHERS "model.pretrained=first --methods fine-tune", 2, "expected probe with fine-tune"},
    {"transfer " OTHERS "model.pretrained=first --seeds 0", 2, "--seeds"},
    {"transfer " OTHERS "model.pretrained=none", 3, "model.pretrained: cannot read none"},
};

static void bad_requests_are_refused(void **state)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        for (int ranks = 0; ranks <= 2; ranks += 2) {
            int code = run(refused[i].arguments, .ranks = ranks);
            if (code != refused[i].code || !strstr(text_of("err"), refused[i].message))
                fail_msg("%s: exit code %d, expected %d: %s", refused[i].arguments, code, refused[i].code,
                         text_of("err"));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_table_is_that_of_any_ranks),
                                       cmocka_unit_test(verdicts_on_the_tensors),
                                       cmocka_unit_test(bad_requests_are_refused)};
    return cmocka_run_group_tests(tests, prepare, tear_down);
}
