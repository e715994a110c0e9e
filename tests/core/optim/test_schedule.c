/* SPDX-License-Identifier: Apache-2.0
 * Learning-rate schedules: 100 rates of each are those of PyTorch; warm-up, last steps, decays, and checks of the
 * settings. */
#include "core/base/enum_text.h"
#include "tests/golden.h"

static const char *const kinds[] = LS_ENUM_TEXTS(LS_SCHEDULE_LIST);

/* Returns the schedule of a golden case. */
static ls_schedule schedule_of(const golden *g)
{
    int k = 0;
    while (strcmp(kinds[k], g->name) != 0) assert_true(++k < LS_ENUM_COUNT(LS_SCHEDULE_LIST));
    ls_schedule s      = ls_schedule_default((ls_schedule_kind)k);
    s.warmup           = (int64_t)golden_number(g, "warmup", (float)s.warmup);
    s.start_factor     = golden_number(g, "start_factor", s.start_factor);
    s.total_steps      = (int64_t)golden_number(g, "total_steps", (float)s.total_steps);
    s.end_factor       = golden_number(g, "end_factor", s.end_factor);
    s.step_size        = (int64_t)golden_number(g, "step_size", (float)s.step_size);
    s.gamma            = golden_number(g, "gamma", s.gamma);
    s.pct_start        = golden_number(g, "pct_start", s.pct_start);
    s.div_factor       = golden_number(g, "div_factor", s.div_factor);
    s.final_div_factor = golden_number(g, "final_div_factor", s.final_div_factor);
    char *at           = (char *)golden_text(g, "milestones");
    for (int i = 0; at && *at; i++, at += *at == ',') s.milestones[i] = strtoll(at, &at, 10);
    return s;
}

static void same_hundred_rates(void **state)
{
    (void)state;
    golden g     = golden_open("values/schedules.txt");
    int    cases = 0;
    for (; golden_next(&g); cases++) {
        const golden_array *want = golden_get(&g, "rates");
        ls_optim            o    = ls_sgd(.lr = golden_number(&g, "lr", 0), .schedule = schedule_of(&g)), short_run;
        assert_int_equal(ls_optim_check(&o), LS_OK);
        short_run = o;
        if (o.schedule.total_steps == want->count) short_run.schedule.total_steps = 0;
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
#define RATE(step, run_steps, ...) ((double)rate(__VA_ARGS__, (step), (run_steps)))
#define NEAR(x, want) assert_true(fabs((x) - (want)) < 1e-6)

static void warm_up(void **state)
{
    (void)state;
    NEAR(RATE(0, 0, ls_schedule_constant(.warmup = 4)), 0);
    NEAR(RATE(1, 0, ls_schedule_constant(.warmup = 4)), 0.25);
    NEAR(RATE(3, 0, ls_schedule_constant(.warmup = 4)), 0.75);
    NEAR(RATE(4, 0, ls_schedule_constant(.warmup = 4)), 1);
    NEAR(RATE(0, 0, ls_schedule_constant(.warmup = 4, .start_factor = 0.2f)), 0.2);
    NEAR(RATE(0, 0, ls_schedule_constant(.warmup = 0)), 1);
    NEAR(RATE(0, 0, ls_schedule_constant(.warmup = 1)), 0);
    NEAR(RATE(1, 0, ls_schedule_constant(.warmup = 1)), 1);
    /* After the warm-up every schedule starts from the base rate. */
    for (int k = LS_SCHEDULE_CONSTANT; k <= LS_SCHEDULE_INVERSE_SQRT; k++)
        if (k != LS_SCHEDULE_ONECYCLE) {
            ls_schedule schedule   = ls_schedule_default((ls_schedule_kind)k);
            schedule.warmup        = 10;
            schedule.milestones[0] = k == LS_SCHEDULE_MULTISTEP ? 20 : 0;
            NEAR(RATE(10, 50, schedule), 1);
        }
}

static void ends(void **state)
{
    (void)state;
    for (int64_t run = 30; run <= 60; run += 30) { /* first the schedule has a length, then only the run */
        int64_t total = run == 30 ? 30 : 0;
        int64_t end   = total ? total : run;
        for (int64_t t = end; t < end + 50; t += 7) {
            NEAR(RATE(t, run, ls_schedule_cosine(.total_steps = total, .warmup = 5, .end_factor = 0.1f)), 0.1);
            NEAR(RATE(t, run, ls_schedule_linear(.total_steps = total, .end_factor = 0.25f)), 0.25);
            NEAR(RATE(t, run, ls_schedule_linear(.total_steps = total)), 0);
            NEAR(RATE(t, run, ls_schedule_onecycle(.total_steps = total, .div_factor = 1, .final_div_factor = 100)),
                 0.01);
        }
        assert_true(RATE(end - 1, run, ls_schedule_cosine(.total_steps = total)) > 0);
        NEAR(RATE(end - 1, run, ls_schedule_onecycle(.total_steps = total)), 0.04e-4);
    }
    /* A cycle without a step in which to rise starts at its peak, without division by zero. */
    NEAR(RATE(0, 1, ls_schedule_onecycle()), 1);
    NEAR(RATE(0, 2, ls_schedule_onecycle()), 1);
    NEAR(RATE(1, 2, ls_schedule_onecycle()), 0.04e-4);
    NEAR(RATE(0, 8, ls_schedule_onecycle(.pct_start = 1)), 0.04);
    NEAR(RATE(7, 8, ls_schedule_onecycle(.pct_start = 1)), 1);
}

static void decays(void **state)
{
    (void)state;
    NEAR(RATE(9, 0, ls_schedule_step(.step_size = 10)), 1);
    NEAR(RATE(10, 0, ls_schedule_step(.step_size = 10)), 0.1);
    NEAR(RATE(12, 0, ls_schedule_step(.step_size = 10, .warmup = 3)), 1);
    NEAR(RATE(13, 0, ls_schedule_step(.step_size = 10, .warmup = 3)), 0.1);
    NEAR(RATE(20, 0, ls_schedule_exponential(.step_size = 10, .gamma = 0.5f)), 0.25);
    NEAR(RATE(5, 0, ls_schedule_exponential(.step_size = 10, .gamma = 0.25f)), 0.5);
    /* Milestones count from the start of the run, with or without a warm-up; up to 16 milestones are allowed. */
    NEAR(RATE(19, 0, ls_schedule_multistep(.milestones = {20}, .warmup = 5)), 1);
    NEAR(RATE(20, 0, ls_schedule_multistep(.milestones = {20}, .warmup = 5)), 0.1);
    NEAR(RATE(99, 0,
              ls_schedule_multistep(.gamma      = 0.5f,
                                    .milestones = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})),
         1.0 / 65536);
    /* inverse_sqrt: the peak is at the end of the warm-up. */
    NEAR(RATE(400, 0, ls_schedule_inverse_sqrt(.warmup = 100)), 0.5);
    NEAR(RATE(50, 0, ls_schedule_inverse_sqrt(.warmup = 100)), 0.5);
    NEAR(RATE(3, 0, ls_schedule_inverse_sqrt()), 0.5);
    NEAR(RATE(0, 0, ls_schedule_inverse_sqrt()), 1);
}

static void refuses_invalid_settings(void **state)
{
    (void)state;
    const struct {
        ls_schedule s;
        const char *part; /* expected part of the message */
    } wrong[] = {
        {{.kind = (ls_schedule_kind)99}, "schedule: expected a kind"},
        {ls_schedule_constant(.warmup = -1), "schedule.warmup: expected a number from 0"},
        {{.start_factor = 0.5f}, "schedule.start_factor: expected no value without a warm-up"},
        {{.warmup = 5, .start_factor = 1.5f}, "schedule.start_factor"},
        {{.gamma = 0.5f}, "'constant': schedule.gamma: expected no value"},
        {{.total_steps = 5}, "schedule.total_steps: expected no value"},
        {ls_schedule_cosine(.step_size = 3), "schedule.step_size: expected no value"},
        {ls_schedule_cosine(.total_steps = 10, .warmup = 10), "schedule.total_steps: expected more than the 10 steps"},
        {ls_schedule_cosine(.total_steps = -4), "schedule.total_steps"},
        {ls_schedule_cosine(.end_factor = -0.1f), "schedule.end_factor"},
        {ls_schedule_cosine(.milestones = {3}), "schedule.milestones: expected no value"},
        {ls_schedule_step(.step_size = -2), "schedule.step_size"},
        {ls_schedule_step(.gamma = NAN), "schedule.gamma"},
        {ls_schedule_onecycle(.warmup = 5), "schedule.warmup: expected no value"},
        {ls_schedule_onecycle(.pct_start = 1.5f), "schedule.pct_start"},
        {ls_schedule_multistep(), "schedule.milestones: expected a number from 1"},
        {ls_schedule_multistep(.milestones = {5, 3}),
         "schedule.milestones[1]: expected increasing steps, found 3 after 5"},
        {ls_schedule_multistep(.milestones = {5, 5}), "schedule.milestones[1]"},
        {ls_schedule_multistep(.milestones = {5, 0, 7}), "schedule.milestones[2]"},
        {ls_schedule_multistep(.milestones = {-5}), "schedule.milestones"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ls_optim o = ls_sgd(.schedule = wrong[i].s);
        if (ls_optim_check(&o) != LS_ERR_USAGE)
            fail_msg("case %zu: expected an error with '%s', found none", i, wrong[i].part);
        if (!strstr(ls_error_message(), wrong[i].part))
            fail_msg("case %zu: expected a message with '%s', found: %s", i, wrong[i].part, ls_error_message());
    }
}

static void requires_a_length(void **state)
{
    (void)state;
    ls_optim o = ls_sgd(.schedule = ls_schedule_cosine(.warmup = 10));
    assert_int_equal(ls_optim_check(&o), LS_OK);
    assert_int_equal(ls_optim_check_length(&o, 0), LS_ERR_USAGE);
    assert_int_equal(ls_optim_check_length(&o, 10), LS_ERR_USAGE);
    assert_int_equal(ls_optim_check_length(&o, 11), LS_OK);
    o.schedule.total_steps = 20;
    assert_int_equal(ls_optim_check_length(&o, 0), LS_OK);
    o = ls_sgd(.schedule = ls_schedule_step());
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
        cmocka_unit_test(refuses_invalid_settings),
        cmocka_unit_test(requires_a_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
