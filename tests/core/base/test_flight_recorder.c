/* SPDX-License-Identifier: Apache-2.0
 * core/base/flight_recorder.c: nesting, the ring, the chain of collectives, percentiles, and concurrent reading. */
#include "core/base/flight_recorder.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit.h"

static ls_flight flight;

static int set_up(void **state)
{
    flight = (ls_flight){.log = calloc(1, sizeof *flight.log)};
    return flight.log ? 0 : -1;
}

static int tear_down(void **state)
{
    free(flight.log);
    return 0;
}

static void begin(ls_phase phase, const char *what, int64_t now)
{
    ls__flight_begin_at(&flight, &(ls_flight_note){.phase = phase, .what = what}, now);
}

static void the_state_is_the_innermost_open_record(void **state)
{
    ls_flight_state s;
    ls__flight_begin_at(&flight, &(ls_flight_note){.phase = LS_PHASE_CHECKPOINT, .what = "save", .step = 12}, 100);
    begin(LS_PHASE_WAIT, "all-gather", 150);
    assert_true(ls__flight_read(flight.log, &s));
    assert_string_equal(s.in.what, "all-gather");
    assert_string_equal(s.whole.what, "save");
    assert_int_equal(s.in.step, 12);
    assert_int_equal(s.since_ns, 150);
    ls__flight_end_at(&flight, 180);
    assert_true(ls__flight_read(flight.log, &s));
    assert_string_equal(s.in.what, "save");
    assert_int_equal(s.since_ns, 180); /* end of the nested record */
    ls__flight_end_at(&flight, 200);
    assert_true(ls__flight_read(flight.log, &s));
    assert_int_equal(s.in.phase, LS_PHASE_NONE);
    assert_int_equal(s.since_ns, 200);
    assert_int_equal(flight.log->spent_ns[LS_PHASE_CHECKPOINT], 70);
    assert_int_equal(flight.log->spent_ns[LS_PHASE_WAIT], 30);
}

static void the_last_1024_are_kept(void **state)
{
    ls_flight_record r;
    for (int i = 1; i <= 3000; i++) {
        char name[16];
        snprintf(name, sizeof name, "op %d", i);
        begin(LS_PHASE_FORWARD, name, i * 10);
        ls__flight_end_at(&flight, i * 10 + 5);
    }
    assert_false(ls__flight_record(flight.log, 0, &r));
    assert_false(ls__flight_record(flight.log, 3000 - LS_FLIGHT_RECORDS, &r));
    assert_true(ls__flight_record(flight.log, 3001 - LS_FLIGHT_RECORDS, &r));
    assert_string_equal(r.what, "op 1977");
    assert_true(ls__flight_record(flight.log, 3000, &r));
    assert_string_equal(r.what, "op 3000");
    assert_false(ls__flight_record(flight.log, 3001, &r));
}

static void nested_records_can_overwrite_the_outer_one(void **state)
{
    ls_flight_state s;
    begin(LS_PHASE_EVAL, "whole", 1);
    for (int i = 0; i < LS_FLIGHT_RECORDS; i++) {
        begin(LS_PHASE_FORWARD, "part", 2 + i);
        ls__flight_end_at(&flight, 3 + i);
    }
    ls__flight_end_at(&flight, 5000);
    assert_true(ls__flight_read(flight.log, &s));
    assert_int_equal(s.in.phase, LS_PHASE_NONE);
    assert_int_equal(s.since_ns, 5000);
}

static void chain_of(ls_flight_call last[3], const char *what, uint64_t count)
{
    memset(flight.log, 0, sizeof *flight.log);
    const ls_flight_note notes[] = {
        {LS_PHASE_WAIT, "first"}, {LS_PHASE_WAIT, what, .count = count}, {LS_PHASE_REDUCE, "last"}};
    for (size_t k = 0; k < 3; k++) {
        ls__flight_begin_at(&flight, &notes[k], 0);
        ls__flight_end_at(&flight, 1);
        assert_true(ls__flight_call(flight.log, k + 1, &last[k]));
    }
}

static void chains_differ_after_different_collectives(void **state)
{
    static const struct {
        const char *what;
        uint64_t    count;
        bool        alike;
    } cases[] = {{"barrier", 8, true}, {"barrier", 9, false}, {"all-gather", 8, false}};
    ls_flight_call a[3], b[3];
    chain_of(a, "barrier", 8);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        chain_of(b, cases[i].what, cases[i].count);
        assert_true(a[0].chain == b[0].chain);
        for (int k = 1; k < 3; k++) assert_int_equal(a[k].chain == b[k].chain, cases[i].alike);
        assert_true(a[2].hash == b[2].hash);
    }
    memset(flight.log, 0, sizeof *flight.log);
    begin(LS_PHASE_REDUCE, "bucket 0", 0);
    begin(LS_PHASE_WAIT, "exchange", 0);
    assert_int_equal(flight.log->calls, 1); /* a collective inside a collective is not numbered */
    memset(flight.log, 0, sizeof *flight.log);
    ls__flight_begin_at(&flight, &(ls_flight_note){.phase = LS_PHASE_WAIT, .what = "exchange", .apart = true}, 0);
    assert_int_equal(flight.log->calls, 0);
}

static void p99_is_near(void **state)
{
    assert_int_equal(ls__flight_p99(flight.log, LS_PHASE_DATA), 0);
    for (int i = 0; i < 1000; i++) {
        begin(LS_PHASE_DATA, "batch", 0);
        ls__flight_end_at(&flight, i < 989 ? 1000 : 1000000);
    }
    int64_t high = ls__flight_p99(flight.log, LS_PHASE_DATA);
    if (high < 1000000 || high > 1250000) fail_msg("the p99 of 1 %% of 1 ms and else 1 us is %lld ns", (long long)high);
    begin(LS_PHASE_UPDATE, "update", 0);
    ls__flight_end_at(&flight, 0);
    assert_in_range(ls__flight_p99(flight.log, LS_PHASE_UPDATE), 0, 8);
}

static _Atomic bool done;
static _Atomic int  reads;

static void *write_on(void *unused)
{
    char name[LS_FLIGHT_NAME];
    for (int i = 0; i < 300000 || !atomic_load(&reads); i++) { /* on a busy machine the reader may start late */
        memset(name, 'a' + i % 26, sizeof name);
        name[sizeof name - 1] = 0;
        ls__flight_begin_at(&flight, &(ls_flight_note){.phase = LS_PHASE_FORWARD, .what = name, .instr = i % 26}, i);
        ls__flight_end_at(&flight, i);
    }
    atomic_store(&done, true);
    return NULL;
}

/* A reader gets one consistent record, never parts of two. */
static void readers_get_consistent_records(void **state)
{
    pthread_t thread;
    done  = false;
    reads = 0;
    assert_int_equal(pthread_create(&thread, NULL, write_on, NULL), 0);
    while (!atomic_load(&done)) {
        ls_flight_record r;
        uint64_t         number = atomic_load(&flight.log->records);
        if (number < 2 || !ls__flight_record(flight.log, number - 1, &r)) continue;
        if (r.what[0] != 'a' + r.instr || r.what[LS_FLIGHT_NAME - 2] != 'a' + r.instr)
            fail_msg("record %d has the name %s", r.instr, r.what);
        reads++;
    }
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_state_is_the_innermost_open_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_last_1024_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nested_records_can_overwrite_the_outer_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(chains_differ_after_different_collectives, set_up, tear_down),
        cmocka_unit_test_setup_teardown(p99_is_near, set_up, tear_down),
        cmocka_unit_test_setup_teardown(readers_get_consistent_records, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
