/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi
 * timeout: 300
 * `lockstep compare`: one table for any number of ranks, recipes with keys of their own, continuation, bad requests. */
#include "tests/launch/run_program.h"

#define SMALL "data.train_count=640 data.test_count=100 train.epochs=2 "
#define RECIPES "compare lenet5-digits mlp-mnist,data.path=digits lenet5-digits,data.shuffle_pixels=true " SMALL

static int prepare(void **state)
{
    folder_enter();
    return 0;
}

static int tear_down(void **state)
{
    folder_leave();
    return 0;
}

/* The table without its last column, the time. */
static char *table(void)
{
    const char *out  = text_of("out");
    char       *text = calloc(1, strlen(out) + 1), *to = text;
    const char *until = strstr(out, "\n\n");
    assert_non_null(until);
    for (const char *line = out; line < until;) {
        size_t length = strcspn(line, "\n"), kept = length;
        while (kept && line[kept - 1] != ' ') kept--;
        memcpy(to, line, kept);
        to += kept;
        *to++ = '\n';
        line += length + 1;
    }
    return text;
}

static void one_table_for_any_ranks(void **state)
{
    assert_int_equal(run(RECIPES "--seeds 2 --dir one"), 0);
    char *expected = table();
    assert_non_null(strstr(expected, "lenet5-digits                                  61,706 "));
    assert_non_null(strstr(expected, "lenet5-digits,data.shuffle_pixels=true         61,706 "));
    assert_non_null(strstr(expected, "mlp-mnist,data.path=digits"));
    assert_int_equal(run(RECIPES "--seeds 2 --dir two", .ranks = 2), 0);
    char *found = table();
    assert_string_equal(found, expected);
    free(found);
    assert_int_equal(system("test -s one/compare.png"), 0);
    /* A repetition trains nothing. */
    assert_int_equal(run(RECIPES "--seeds 2 --dir one", .ranks = 3), 0);
    assert_null(strstr(text_of("err"), "epoch 1"));
    found = table();
    assert_string_equal(found, expected);
    free(found);
    free(expected);
}

static const struct {
    const char *arguments;
    int         code;
    const char *message;
} refused[] = {
    {"compare lenet5-digits lenet5-digits " SMALL, 2, "expected different recipes, found this one twice"},
    {"compare lenet5-digits none " SMALL, 2, "none"},
    {"compare lenet5-digits lenet5-digits,model.nam=mlp " SMALL, 2, "unknown key 'model.nam'"},
    {"compare ./x.yaml " SMALL, 2, "expected the name of a built-in recipe"},
    {"compare lenet5-digits " SMALL "--seeds 0", 2, "--seeds"},
    {"compare", 2, "RECIPE"},
    {"predict one/lenet5-digits,data.shuffle_pixels=true-1 one/compare.png", 2, "trained with data.shuffle_pixels"},
};

static void bad_requests_are_refused(void **state)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        int code = run(refused[i].arguments, .ranks = i % 2 ? 2 : 0);
        if (code != refused[i].code || !strstr(text_of("err"), refused[i].message))
            fail_msg("%s: exit code %d, expected %d: %s", refused[i].arguments, code, refused[i].code, text_of("err"));
    }
}

/* The recipes of norms differ in their norms alone. */
static void norms(void **state)
{
    assert_int_equal(run("compare norm-batch norm-layer norm-none data.train_count=128 data.test_count=50 "
                         "train.epochs=1 train.batch=64 --seeds 1 --dir norms"),
                     0);
    char *found = table();
    assert_non_null(strstr(found, "norm-batch         18,594 "));
    assert_non_null(strstr(found, "norm-layer         18,594 "));
    assert_non_null(strstr(found, "norm-none          18,370 "));
    free(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(norms), cmocka_unit_test(one_table_for_any_ranks),
                                       cmocka_unit_test(bad_requests_are_refused)};
    return cmocka_run_group_tests(tests, prepare, tear_down);
}
