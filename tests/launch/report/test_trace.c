/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi
 * --trace: the file has all ranks, rows and steps; the spans of a row are nested or disjoint; no rank's all-reduce ends
 * before the last rank's begins. */
#include "tests/launch/train_runs.h"

enum { RANKS = 3 };

static json_t *trace_of(const char *path)
{
    json_error_t error;
    json_t      *all = json_load_file(path, 0, &error);
    if (!all) fail_msg("%s: line %d: %s", path, error.line, error.text);
    json_t *events = json_object_get(all, "traceEvents");
    assert_true(json_is_array(events) && json_array_size(events) > 0);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(all, "otherData"), "ranks")), RANKS);
    json_incref(events);
    json_decref(all);
    return events;
}

static double real(const json_t *event, const char *key) { return json_number_value(json_object_get(event, key)); }
static int whole(const json_t *event, const char *key) { return (int)json_integer_value(json_object_get(event, key)); }

/* Returns the number of spans on a row of a rank with names that begin with `name`; *begin, *end: times of the last
 * one.
 */
static int spans(const json_t *events, int rank, int row, const char *name, double *begin, double *end)
{
    int     n = 0;
    size_t  i;
    json_t *e;
    json_array_foreach(events, i, e)
    {
        if (strcmp(string(e, "ph"), "X") != 0 || whole(e, "pid") != rank || whole(e, "tid") != row ||
            strncmp(string(e, "name"), name, strlen(name)) != 0)
            continue;
        *begin = real(e, "ts");
        *end   = *begin + real(e, "dur");
        n++;
    }
    return n;
}

static void spans_of_a_row_are_nested_or_disjoint(const json_t *events)
{
    size_t  i, k;
    json_t *x, *y;
    json_array_foreach(events, i, x) json_array_foreach(events, k, y)
    {
        if (k <= i || strcmp(string(x, "ph"), "X") != 0 || strcmp(string(y, "ph"), "X") != 0) continue;
        if (whole(x, "pid") != whole(y, "pid") || whole(x, "tid") != whole(y, "tid")) continue;
        double x0 = real(x, "ts"), x1 = x0 + real(x, "dur"), y0 = real(y, "ts"), y1 = y0 + real(y, "dur"), slack = 0.01;
        bool   apart = x1 <= y0 + slack || y1 <= x0 + slack,
             within  = (x0 <= y0 + slack && y1 <= x1 + slack) || (y0 <= x0 + slack && x1 <= y1 + slack);
        if (!apart && !within)
            fail_msg("%s from %.3f to %.3f and %s from %.3f to %.3f overlap", string(x, "name"), x0, x1,
                     string(y, "name"), y0, y1);
    }
}

static void all_ranks_in_some_steps(void **state)
{
    double begin, end, latest = 0, clock = 0;
    assert_int_equal(run(RUN "run.dir=t train.bucket_bytes=65536 --trace trace.json --trace-steps 4-6", .ranks = RANKS),
                     0);
    json_t *events = trace_of("trace.json"), *e;
    size_t  i;
    for (int r = 0; r < RANKS; r++) {
        for (int step = 4; step <= 6; step++) {
            char name[16];
            snprintf(name, sizeof name, "step %d", step);
            assert_int_equal(spans(events, r, 0, name, &begin, &end), 1);
        }
        assert_int_equal(spans(events, r, 0, "step 7", &begin, &end), 0);
        assert_int_equal(spans(events, r, 1, "update", &begin, &end) % 3, 0);
        assert_true(spans(events, r, 1, "update", &begin, &end) > 0);
        assert_true(spans(events, r, 2, "all-reduce 1 ", &begin, &end) == 3);
        if (begin > latest) latest = begin; /* in the last step */
    }
    json_array_foreach(events, i, e)
    {
        if (strcmp(string(e, "name"), "process_labels") != 0) continue;
        double within = 0;
        assert_int_equal(sscanf(string(json_object_get(e, "args"), "labels"), "clock within %lf us", &within), 1);
        if (within > clock) clock = within;
    }
    for (int r = 0; r < RANKS; r++) {
        spans(events, r, 1, "update", &begin, &end);
        if (begin + 2 * clock < latest)
            fail_msg("rank %d updates at %.1f, but an all-reduce begins at %.1f; error of the clocks %.1f", r, begin,
                     latest, clock);
    }
    spans_of_a_row_are_nested_or_disjoint(events);
    json_decref(events);
}

/* In the trace, transfers between ranks without shared memory have rows of their own, parallel to computation. */
static void transfers_overlap_with_computation(void **state)
{
    double begin, end, last;
    size_t i;
    assert_int_equal(
        run(RUN "run.dir=m train.window=off train.bucket_bytes=65536 --trace m.json --trace-steps 4-6", .ranks = RANKS),
        0);
    json_t *events = trace_of("m.json"), *e;
    for (int r = 0; r < RANKS; r++) {
        int travels = 0, beside = 0;
        for (int lane = 4; lane < 20; lane++) travels += spans(events, r, lane, "all-reduce ", &begin, &end);
        assert_true(travels >= 3 * 2 * 2 && travels % 3 == 0);
        json_array_foreach(events, i, e)
        {
            if (strcmp(string(e, "cat"), "message") != 0 || whole(e, "pid") != r) continue;
            assert_true(whole(json_object_get(e, "args"), "step") >= 4 &&
                        whole(json_object_get(e, "args"), "step") <= 6);
            assert_true(real(e, "dur") >= 0);
            size_t  k;
            json_t *x;
            json_array_foreach(events, k, x) if (whole(x, "pid") == r && strcmp(string(x, "cat"), "backward") == 0)
                last = real(x, "ts"),
                beside += last > real(e, "ts") && last < real(e, "ts") + real(e, "dur");
        }
        assert_true(beside > 0);
    }
    spans_of_a_row_are_nested_or_disjoint(events);
    json_decref(events);
}

static void bench_step_writes_a_trace(void **state)
{
    assert_int_equal(
        run("bench step lenet5-digits data.train_count=200 --steps 2 --trace b.json --trace-steps 2-3", .ranks = RANKS),
        0);
    double  begin, end;
    json_t *events = trace_of("b.json");
    for (int r = 0; r < RANKS; r++)
        assert_true(spans(events, r, 1, "conv2d", &begin, &end) + spans(events, r, 1, "conv1", &begin, &end) > 0);
    json_decref(events);
}

static void a_shorter_run_writes_its_steps(void **state)
{
    assert_int_equal(run(RUN "run.dir=s train.max_steps=5 --trace s.json", .ranks = RANKS), 0);
    double  begin, end;
    json_t *events = trace_of("s.json");
    assert_int_equal(spans(events, 0, 0, "step 5", &begin, &end), 1);
    json_decref(events);
    assert_int_equal(run(RUN "run.dir=s2 train.max_steps=2 --trace s2.json"), 0);
    assert_false(exists("s2.json"));
    assert_non_null(strstr(text_of("err"), "s2.json: no trace: the run took 2 steps"));
}

static void wrong_command_lines(void **state)
{
    static const char *const steps[] = {"0-3", "5-2", "3-", "-3", "x", "3-4x", "1-5000"};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        char line[512];
        snprintf(line, sizeof line, RUN "run.dir=w --trace w.json --trace-steps %s", steps[i]);
        assert_int_equal(run(line), 2);
        if (!strstr(text_of("err"), "--trace-steps: expected steps A-B")) fail_msg("%s: %s", steps[i], text_of("err"));
    }
    assert_int_equal(run(RUN "run.dir=w --trace-steps 3-4"), 2);
    assert_int_equal(run(RUN "run.dir=w --trace nowhere/w.json", .ranks = 2), 4);
    assert_false(exists("w"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_ranks_in_some_steps), cmocka_unit_test(transfers_overlap_with_computation),
        cmocka_unit_test(bench_step_writes_a_trace), cmocka_unit_test(a_shorter_run_writes_its_steps),
        cmocka_unit_test(wrong_command_lines)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
