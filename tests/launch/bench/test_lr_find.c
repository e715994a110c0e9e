/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi
 * timeout: 300
 * `lockstep lr-find`: the same curve on any number of ranks, a suggestion in the range, a picture, and refused options.
 */
#include "tests/launch/run_program.h"

#define FIND "lr-find lenet5-digits data.train_count=640 data.test_count=64 train.batch=32 "

static int prepare(void **state)
{
    folder_enter();
    return 0;
}

static int finish(void **state)
{
    folder_leave();
    return 0;
}

static void the_same_on_any_ranks(void **state)
{
    assert_int_equal(run(FIND "--png a.png --from 1e-4 --to 10"), 0);
    char       *one  = strdup(text_of("out"));
    const char *line = strstr(one, "suggestion     optim.lr=");
    assert_non_null(line);
    const double rate = atof(strchr(line, '=') + 1);
    assert_true(rate >= 1e-3 && rate <= 2);
    assert_true(exists("a.png"));
    assert_false(exists("runs"));
    for (int ranks = 2; ranks <= 3; ranks++) {
        assert_int_equal(run(FIND "--png a.png --from 1e-4 --to 10", .ranks = ranks, .threads = ranks - 1), 0);
        assert_string_equal(text_of("out"), one);
    }
    free(one);
}

/* The first and the last line have the rates of the options; a loss that explodes ends the steps. */
static void the_rate_rises(void **state)
{
    double first, last = 0, rate, loss;
    assert_int_equal(run(FIND "--steps 20 --from 1e-6 --to 1e-5"), 0);
    const char *at = strchr(text_of("out"), '\n') + 1;
    assert_int_equal(sscanf(at, "%lf", &first), 1);
    for (int i = 0; i < 20 && sscanf(at, "%lf %lf", &rate, &loss) == 2; i++, at = strchr(at, '\n') + 1) last = rate;
    assert_true(first > 0.99e-6 && first < 1.01e-6 && last > 0.99e-5 && last < 1.01e-5);
    assert_int_equal(run(FIND "--steps 60 --from 1e-2 --to 1e6"), 0);
    for (at = strchr(text_of("out"), '\n') + 1; sscanf(at, "%lf %lf", &rate, &loss) == 2; at = strchr(at, '\n') + 1)
        last = rate;
    assert_true(last < 1e5);
}

static void refused(void **state)
{
    static const struct {
        const char *options, *part;
    } cases[] = {{"--from 0", "--from: expected a learning rate above 0"},
                 {"--to x", "--to: expected a learning rate above 0"},
                 {"--from 1 --to 1", "--to: expected more than --from"},
                 {"--steps 3", "--steps"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[256];
        snprintf(line, sizeof line, FIND "%s", cases[i].options);
        assert_int_equal(run(line), 2);
        assert_non_null(strstr(text_of("err"), cases[i].part));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_on_any_ranks), cmocka_unit_test(the_rate_rises),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, prepare, finish);
}
