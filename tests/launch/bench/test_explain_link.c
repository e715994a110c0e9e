/* SPDX-License-Identifier: Apache-2.0
 * labels: mpi
 * `lockstep explain --link` and `bench step --link`: the parts add up to the step, slower links take longer, and wrong
 * options are refused.  `lockstep explain`: gradients that ranks partition (train.zero=2). */
#include "tests/launch/run_program.h"

#define EXPLAIN "explain lenet5-digits data.train_count=200 --ranks 4 --steps 3 "

static double number_after(const char *text, const char *mark)
{
    const char *at = strstr(text, mark);
    if (!at) fail_msg("no '%s' in\n%s", mark, text);
    return atof(at + strlen(mark));
}

/* Returns the step's time, ms; fails unless the parts add up to it. */
static double step_of(const char *says)
{
    static const char *const parts[] = {"  forward   ", "  backward  ", "  all-reduce   ", "  update    ",
                                        "  waiting   "};
    double                   sum = 0, step = number_after(says, "  step   ");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) sum += number_after(says, parts[i]);
    if (sum < step - 0.005 || sum > step + 0.005) fail_msg("the parts are %.3f ms, the step %.3f\n%s", sum, step, says);
    return step;
}

#if defined(__SANITIZE_ADDRESS__)
#define LEAST_PART 0.0 /* additions take any time */
#else
#define LEAST_PART 0.95
#endif

static void a_step(void **state)
{
    assert_int_equal(run(EXPLAIN "--link 100Mbit,1ms train.overlap=off"), 0);
    const char *says = text_of("out");
    /* The waiting time is that of the sent bytes at 11.77 bytes per us (100 Mbit/s less headers), shorter by additions
     * in the meantime, longer by the latency of the first and the last message. */
    double waits = number_after(says, "  waiting   "), sent = number_after(says, "a rank sends ") * 1024,
           least = sent / (100e6 / 8 * 1448 / 1538) * 1e3;
    assert_true(sent > 1.5 * 61706 * 4);
    if (waits < LEAST_PART * least || waits > 1.2 * least + 8)
        fail_msg("waiting time %.3f ms, expected a little more than %.3f", waits, least);
    assert_true(step_of(says) > waits);
    assert_int_equal(run(EXPLAIN "--link 100Mbit,1ms --png steps.png"), 0);
    says = text_of("out");
    assert_non_null(strstr(says, "SIMULATED"));
    assert_true(step_of(says) > 0.95 * least); /* part of the transfer overlaps with computation */
    assert_int_equal(count_of(says, "Weak scaling"), 1);
    for (int ranks = 8; ranks <= 1024; ranks *= 2) {
        char row[64];
        snprintf(row, sizeof row, "\n  %8d ", ranks);
        if (!strstr(says, row)) fail_msg("no row of %d ranks", ranks);
    }
    assert_true(exists("steps.png"));
    assert_int_equal(run(EXPLAIN "--link 1Tbit,0us,0us"), 0);
    assert_true(step_of(text_of("out")) > 0);
    assert_true(number_after(text_of("out"), "  waiting   ") < 0.01);
    assert_int_equal(run(EXPLAIN "--link 100Mbit,1ms,5us,999MB"), 0); /* all messages fit into the burst */
    assert_true(number_after(text_of("out"), "  waiting   ") < 8);
}

static void simulated_beside_real_steps(void **state)
{
    assert_int_equal(
        run("bench step lenet5-digits data.train_count=200 train.window=off --steps 3 --link 1Gbit,20us", .ranks = 2),
        0);
    assert_int_equal(count_of(text_of("out"), "alternating, "), 2);
}

/* With train.zero=2 buckets reuse memory where that saves some; elsewhere the gradients are whole, and `explain` and
 * `train` print why. */
static void divided_gradients(void **state)
{
    static const char *const line = "explain ./deep.yaml --ranks 4 train.bucket_bytes=65536 train.zero=";
    char                     command[256];
    FILE                    *recipe = fopen("deep.yaml", "w");
    assert_non_null(recipe);
    fputs("data: {path: digits, train_count: 640, test_count: 64}\noptim: {name: adamw}\nmodel:\n  layers:\n    - "
          "flatten\n",
          recipe);
    for (int i = 0; i < 16; i++) fprintf(recipe, "    - linear: {name: hidden%d, out: 128}\n    - relu\n", i);
    fputs("    - linear: {name: out, out: 10}\n", recipe);
    fclose(recipe);
    double bytes[3];
    for (int zero = 0; zero < 3; zero++) {
        snprintf(command, sizeof command, "%s%d", line, zero);
        assert_int_equal(run(command), 0);
        bytes[zero] = number_after(text_of("out"), "\n  gradients     ");
        assert_int_equal(strstr(text_of("out"), "wait for all-reduce 0 ") != NULL, zero == 2);
        assert_int_equal(strstr(text_of("out"), "this rank's partition of the sum") != NULL, zero == 2);
    }
    assert_true(bytes[0] == bytes[1] && 1.5 * bytes[2] < bytes[1]);
    snprintf(command, sizeof command, "%s2 train.accumulate=2", line);
    assert_int_equal(run(command), 0);
    assert_non_null(strstr(text_of("out"), "gradients are not partitioned: with train.accumulate"));
    assert_int_equal(
        run("train lenet5-digits data.train_count=128 data.test_count=64 train.epochs=1 train.zero=2", .ranks = 2), 0);
    assert_int_equal(count_of(text_of("err"), "gradients are not partitioned: the largest buckets"), 1);
    assert_int_equal(run("explain ./deep.yaml --ranks 4 train.zero=2 --link 1Gbit,20us --steps 3"), 0);
    assert_true(step_of(text_of("out")) > 0);
}

static void wrong_command_lines(void **state)
{
    static const char *const links[] = {"fast",       "10Gbit",    "10Gbit,",      "10,20us",           "-1Gbit,20us",
                                        "0Gbit,20us", "10Gbit,20", "10Gbit,20us,", "10Gbit,20us,1us,2", "10Gbit,20usx"};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        char line[256];
        snprintf(line, sizeof line, EXPLAIN "--link %s", links[i]);
        assert_int_equal(run(line), 2);
        if (!strstr(text_of("err"), "--link: expected RATE,LATENCY")) fail_msg("%s: %s", links[i], text_of("err"));
    }
    static const struct {
        const char *line, *says;
    } wrong[] = {{"explain lenet5-digits --steps 3", "--slower and --steps: expected together with --link"},
                 {EXPLAIN "--link 1Gbit,1us --slower 0", "--slower: expected a factor"},
                 {EXPLAIN "--link 1Gbit,1us --positions", "found more"},
                 {"explain lenet5-digits --ranks 5000 --link 1Gbit,1us", "--ranks"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(run(wrong[i].line), 2);
        if (!strstr(text_of("err"), wrong[i].says)) fail_msg("%s: %s", wrong[i].line, text_of("err"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_step), cmocka_unit_test(simulated_beside_real_steps),
                                       cmocka_unit_test(divided_gradients), cmocka_unit_test(wrong_command_lines)};
    folder_enter();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    folder_leave();
    return failed;
}
