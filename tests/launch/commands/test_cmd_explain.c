/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * `lockstep explain`: sizes of windows and the cost of all steps. */
#include <math.h>

#include "tests/launch/run_program.h"

static int set_up(void **state)
{
    folder_enter();
    return 0;
}

static int tear_down(void **state)
{
    folder_leave();
    return 0;
}

/* Returns the number before `unit` in the output. */
static double number_before(const char *unit)
{
    const char *text = text_of("out"), *at = strstr(text, unit);
    if (!at) fail_msg("'%s' is not in: %s", unit, text);
    while (at > text && at[-1] != ' ' && at[-1] != '\n') at--;
    return strtod(at, NULL);
}

static void prints_the_windows(void **state)
{
    assert_int_equal(run("explain lenet5-digits"), 0);
    assert_non_null(strstr(text_of("out"), "conv1        28 = floor((28 + 2*2 - 1*(5 - 1) - 1) / 1) + 1"));
    assert_non_null(strstr(text_of("out"), "conv2        10 = floor((14 + 2*0 - 1*(5 - 1) - 1) / 1) + 1"));
    assert_int_equal(run("explain lenet5-digits model.name=mlp"), 0);
    assert_null(strstr(text_of("out"), "Windows of convolutions"));
}

/* Forward and backward take three times the operations of forward, and those of the loss, which are few. */
static void prints_the_cost(void **state)
{
    assert_int_equal(run("explain lenet5-digits data.train_count=1000 train.batch=64 train.epochs=3"), 0);
    const double sample = 1e9 * number_before(" GFLOP per sample");
    assert_true(sample > 2.9 * 845.9e3 && sample < 3.1 * 845.9e3);
    assert_true(number_before(" samples, without evaluations") == 3000);
    assert_true(fabs(1e12 * number_before(" TFLOP for ") / (3000 * sample) - 1) < 0.01);
    const double rate = number_before(" GFLOP/s in float32");
    assert_true(rate > 1);
    assert_int_equal(run("explain lenet5-digits data.train_count=1000 train.max_steps=10"), 0);
    assert_true(number_before(" samples, without evaluations") == 640);
    assert_int_equal(run("explain lenet5-digits --ranks 3"), 0);
    assert_non_null(strstr(text_of("out"), "at the peak of 3 ranks x 1 thread"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(prints_the_windows), cmocka_unit_test(prints_the_cost)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
