/* SPDX-License-Identifier: Apache-2.0
 * core/optim/schedule.c: PyTorch's rates, and every schedule at its edges. */
#include "core/base/enum_text.h"
#include "tests/golden.h"

static const char *const kinds[] = LS_ENUM_TEXTS(LS_SCHEDULE_LIST);

static ls_schedule schedule_of(const golden *g)
{
    ls_schedule s = {.warmup  = (int64_t)golden_number(g, "warmup", 0),
                     .start   = golden_number(g, "start", 0),
                     .total   = (int64_t)golden_number(g, "total", 0),
                     .end     = golden_number(g, "end", 0),
                     .every   = (int64_t)golden_number(g, "every", 0),
                     .gamma   = golden_number(g, "gamma", 0),
                     .peak_at = golden_number(g, "peak_at", 0)};
    int         k = 0;
    while (strcmp(kinds[k], g->name) != 0) assert_true(++k < LS_ENUM_COUNT(LS_SCHEDULE_LIST));
    s.kind   = (ls_schedule_kind)k;
    char *at = (char *)golden_text(g, "milestone");
    for (int i = 0; at && *at; i++, at += *at == ',') s.milestone[i] = strtoll(at, &at, 10);
    return s;
}

static void same_hundred_rates(void **state)
{
    (void)state;
    golden g     = golden_open("schedules.txt");
    int    cases = 0;
    for (; golden_next(&g); cases++) {
        const golden_array *want = golden_get(&g, "rates");
        ls_optim            o    = ls_sgd(.lr = golden_number(&g, "lr", 0), .schedule = schedule_of(&g)), short_run;
        assert_int_equal(ls_optim_check(&o), LS_OK);
        short_run = o;
        if (o.schedule.total == want->count) short_run.schedule.total = 0;
        for (int64_t t = 0; t < want->count; t++) {
            float lr = ls_optim_lr(&o, t, 7), same = ls_optim_lr(&short_run, t, want->count);
            golden_close_to(&g, "rate", 1, &lr, want->f32 + t, 1e-6, 1e-9);
            assert_true(lr == same);
        }
    }
    assert_true(cases >= 12);
    golden_close(&g);
}

static float rate(ls_schedule s, int64_t step, int64_t run_steps)
{
    ls_optim o = ls_sgd(.lr = 1, .schedule = s);
    if (ls_optim_check(&o) != LS_OK) fail_msg("%s", ls_error_message());
    return ls_optim_lr(&o, step, run_steps);
}
#define RATE(step, run_steps, ...) ((double)rate((ls_schedule){__VA_ARGS__}, (step), (run_steps)))
#define NEAR(x, want) assert_true(fabs((x) - (want)) < 1e-6)

static void warm_up(void **state)
{
    (void)state;
    NEAR(RATE(0, 0, .warmup = 4), 0);
    NEAR(RATE(1, 0, .warmup = 4), 0.25);
    NEAR(RATE(3, 0, .warmup = 4), 0.75);
    NEAR(RATE(4, 0, .warmup = 4), 1);
    NEAR(RATE(0, 0, .warmup = 4, .start = 0.2f), 0.2);
    NEAR(RATE(0, 0, .warmup = 0), 1);
    NEAR(RATE(0, 0, .warmup = 1), 0);
    NEAR(RATE(1, 0, .warmup = 1), 1);
    /* Whatever comes after it starts from the full rate. */
    for (int k = LS_SCHEDULE_CONSTANT; k <= LS_SCHEDULE_INVERSE_SQRT; k++)
        if (k != LS_SCHEDULE_ONECYCLE)
            NEAR(RATE(10, 50, .kind = (ls_schedule_kind)k, .warmup = 10,
                      .milestone = {k == LS_SCHEDULE_MULTISTEP ? 20 : 0}),
                 1);
}

static void ends(void **state)
{
    (void)state;
    for (int64_t run = 30; run <= 60; run += 30) { /* `total` of the schedule, then of the run */
        int64_t total = run == 30 ? 30 : 0;
        int64_t end   = total ? total : run;
        for (int64_t t = end; t < end + 50; t += 7) {
            NEAR(RATE(t, run, .kind = LS_SCHEDULE_COSINE, .total = total, .warmup = 5, .end = 0.1f), 0.1);
            NEAR(RATE(t, run, .kind = LS_SCHEDULE_LINEAR, .total = total, .end = 0.25f), 0.25);
            NEAR(RATE(t, run, .kind = LS_SCHEDULE_LINEAR, .total = total), 0);
            NEAR(RATE(t, run, .kind = LS_SCHEDULE_ONECYCLE, .total = total, .end = 0.01f), 0.01);
        }
        assert_true(RATE(end - 1, run, .kind = LS_SCHEDULE_COSINE, .total = total) > 0);
        NEAR(RATE(end - 1, run, .kind = LS_SCHEDULE_ONECYCLE, .total = total), 0.04e-4);
    }
    /* A cycle too short to rise in starts at its peak, and never divides by zero. */
    NEAR(RATE(0, 1, .kind = LS_SCHEDULE_ONECYCLE), 1);
    NEAR(RATE(0, 2, .kind = LS_SCHEDULE_ONECYCLE), 1);
    NEAR(RATE(1, 2, .kind = LS_SCHEDULE_ONECYCLE), 0.04e-4);
    NEAR(RATE(0, 8, .kind = LS_SCHEDULE_ONECYCLE, .peak_at = 1), 0.04);
    NEAR(RATE(7, 8, .kind = LS_SCHEDULE_ONECYCLE, .peak_at = 1), 1);
}

static void decays(void **state)
{
    (void)state;
    NEAR(RATE(9, 0, .kind = LS_SCHEDULE_STEP, .every = 10), 1);
    NEAR(RATE(10, 0, .kind = LS_SCHEDULE_STEP, .every = 10), 0.1);
    NEAR(RATE(12, 0, .kind = LS_SCHEDULE_STEP, .every = 10, .warmup = 3), 1);
    NEAR(RATE(13, 0, .kind = LS_SCHEDULE_STEP, .every = 10, .warmup = 3), 0.1);
    NEAR(RATE(20, 0, .kind = LS_SCHEDULE_EXPONENTIAL, .every = 10, .gamma = 0.5f), 0.25);
    NEAR(RATE(5, 0, .kind = LS_SCHEDULE_EXPONENTIAL, .every = 10, .gamma = 0.25f), 0.5);
    /* Milestones are steps of the run, with or without a warm-up; 16 of them fit. */
    NEAR(RATE(19, 0, .kind = LS_SCHEDULE_MULTISTEP, .milestone = {20}, .warmup = 5), 1);
    NEAR(RATE(20, 0, .kind = LS_SCHEDULE_MULTISTEP, .milestone = {20}, .warmup = 5), 0.1);
    NEAR(RATE(99, 0, .kind = LS_SCHEDULE_MULTISTEP, .gamma = 0.5f,
              .milestone = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}),
         1.0 / 65536);
    /* Vaswani: the peak is at the end of the warm-up. */
    NEAR(RATE(400, 0, .kind = LS_SCHEDULE_INVERSE_SQRT, .warmup = 100), 0.5);
    NEAR(RATE(50, 0, .kind = LS_SCHEDULE_INVERSE_SQRT, .warmup = 100), 0.5);
    NEAR(RATE(3, 0, .kind = LS_SCHEDULE_INVERSE_SQRT), 0.5);
    NEAR(RATE(0, 0, .kind = LS_SCHEDULE_INVERSE_SQRT), 1);
}

static void refuses_what_makes_no_sense(void **state)
{
    (void)state;
    const struct {
        ls_schedule s;
        const char *part;
    } wrong[] = {
        {{.kind = (ls_schedule_kind)99}, "schedule: expected a kind"},
        {{.warmup = -1}, "schedule.warmup: expected a number of steps that is not negative, found -1"},
        {{.start = 0.5f}, "schedule.start: expected none without a warm-up"},
        {{.warmup = 5, .start = 1.5f}, "schedule.start"},
        {{.gamma = 0.5f}, "'constant': schedule.gamma: expected none"},
        {{.total = 5}, "schedule.total: expected none"},
        {{.kind = LS_SCHEDULE_COSINE, .every = 3}, "schedule.every: expected none"},
        {{.kind = LS_SCHEDULE_COSINE, .total = 10, .warmup = 10}, "schedule.total: expected more than the 10 steps"},
        {{.kind = LS_SCHEDULE_COSINE, .total = -4}, "schedule.total"},
        {{.kind = LS_SCHEDULE_COSINE, .end = -0.1f}, "schedule.end"},
        {{.kind = LS_SCHEDULE_COSINE, .milestone = {3}}, "schedule.milestone: expected none"},
        {{.kind = LS_SCHEDULE_STEP, .every = -2}, "schedule.every"},
        {{.kind = LS_SCHEDULE_STEP, .gamma = NAN}, "schedule.gamma"},
        {{.kind = LS_SCHEDULE_ONECYCLE, .warmup = 5}, "schedule.warmup: expected none"},
        {{.kind = LS_SCHEDULE_ONECYCLE, .peak_at = 1.5f}, "schedule.peak_at"},
        {{.kind = LS_SCHEDULE_MULTISTEP}, "schedule.milestone: expected at least one"},
        {{.kind = LS_SCHEDULE_MULTISTEP, .milestone = {5, 3}},
         "schedule.milestone 1: expected increasing steps, found 3 after 5"},
        {{.kind = LS_SCHEDULE_MULTISTEP, .milestone = {5, 5}}, "schedule.milestone 1"},
        {{.kind = LS_SCHEDULE_MULTISTEP, .milestone = {5, 0, 7}}, "schedule.milestone 2"},
        {{.kind = LS_SCHEDULE_MULTISTEP, .milestone = {-5}}, "schedule.milestone"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ls_optim o = ls_sgd(.schedule = wrong[i].s);
        if (ls_optim_check(&o) != LS_ERR_USAGE) fail_msg("accepted, though it should say: %s", wrong[i].part);
        if (!strstr(ls_error_message(), wrong[i].part))
            fail_msg("expected '%s' in: %s", wrong[i].part, ls_error_message());
    }
}

static void wants_a_length(void **state)
{
    (void)state;
    ls_optim o = ls_sgd(.schedule = {.kind = LS_SCHEDULE_COSINE, .warmup = 10});
    assert_int_equal(ls_optim_check(&o), LS_OK);
    assert_int_equal(ls_optim_check_length(&o, 0), LS_ERR_USAGE);
    assert_int_equal(ls_optim_check_length(&o, 10), LS_ERR_USAGE);
    assert_int_equal(ls_optim_check_length(&o, 11), LS_OK);
    o.schedule.total = 20;
    assert_int_equal(ls_optim_check_length(&o, 0), LS_OK);
    o = ls_sgd(.schedule = {.kind = LS_SCHEDULE_STEP});
    assert_int_equal(ls_optim_check(&o), LS_OK);
    assert_int_equal(ls_optim_check_length(&o, 0), LS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_hundred_rates),
        cmocka_unit_test(warm_up),
        cmocka_unit_test(ends),
        cmocka_unit_test(decays),
        cmocka_unit_test(refuses_what_makes_no_sense),
        cmocka_unit_test(wants_a_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
