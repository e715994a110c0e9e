/* SPDX-License-Identifier: Apache-2.0
 * The rows of the table in dist/health/hang_diagnosis.c.  Each test changes the states of four ranks that all wait in
 * the first bucket, and compares the diagnosis. */
#include "dist/health/hang_diagnosis.h"

#include <signal.h>

#include "tests/unit.h"

enum { RANKS = 4 };
#define BUCKET "all-reduce 0 (fc.weight .. conv1.bias)"

static ls_rank_state ranks[RANKS];

static void set_collective(ls_rank_state *s, int i, uint64_t number, uint64_t chain, const char *name, uint64_t count)
{
    s->called[i].number = number;
    s->called[i].chain  = chain;
    s->called[i].count  = count;
    snprintf(s->called[i].name, sizeof s->called[i].name, "%s", name);
}

static void set_phase(ls_rank_state *s, ls_phase phase, const char *what, double age_s)
{
    s->phase = phase;
    s->age_s = age_s;
    snprintf(s->what, sizeof s->what, "%s", what);
    snprintf(s->whole, sizeof s->whole, "%s", what);
}

/* Four ranks on two hosts wait for `age_s` seconds in the first bucket of step 412. */
static void all_wait(double age_s)
{
    memset(ranks, 0, sizeof ranks);
    for (int r = 0; r < RANKS; r++) {
        ls_rank_state *s = &ranks[r];
        *s               = (ls_rank_state){.rank       = r,
                                           .process    = 1000 + r,
                                           .life       = LS_LIFE_RUNNING,
                                           .state      = 'S',
                                           .step       = 412,
                                           .deadline_s = 60,
                                           .calls      = 57};
        snprintf(s->host, sizeof s->host, "node%d", r / 2 + 1);
        set_phase(s, LS_PHASE_REDUCE, BUCKET, age_s);
        set_collective(s, 0, 57, 0x57, BUCKET, 100);
        set_collective(s, 1, 56, 0x56, "all-gather", 8);
    }
}

static void expect(ls_cause cause, const char *text, int rank, int code)
{
    ls_diagnosis d;
    if (!ls__diagnose_hang(ranks, RANKS, 10, &d)) fail_msg("no diagnosis, expected: %s", text);
    assert_string_equal(d.text, text);
    assert_int_equal(d.cause, cause);
    assert_int_equal(d.rank, rank);
    assert_int_equal(d.code, code);
}

static void expect_none(void)
{
    ls_diagnosis d;
    if (ls__diagnose_hang(ranks, RANKS, 10, &d)) fail_msg("expected no diagnosis, found: %s", d.text);
    assert_int_equal(d.cause, LS_CAUSE_NONE);
}

static void test_none_within_deadlines(void **state)
{
    all_wait(59);
    expect_none();
    set_phase(&ranks[3], LS_PHASE_DATA, "next batch", 60);
    for (int r = 0; r < 3; r++) ranks[r].age_s = 1000; /* waiting is not the cause */
    expect_none();
    set_phase(&ranks[3], LS_PHASE_NONE, "", 60);
    expect_none();
    ranks[3].life = LS_LIFE_TRACED;
    set_phase(&ranks[3], LS_PHASE_FORWARD, "conv1 (conv2d)", 1000);
    expect_none();
    ranks[3].life = LS_LIFE_UNKNOWN;
    expect_none();
}

static void test_late(void **state)
{
    all_wait(61);
    set_phase(&ranks[3], LS_PHASE_DATA, "next batch", 61);
    expect(LS_CAUSE_LATE,
           "rank 3 on node2 has been in `data` next batch for 61 s at step 412 (sleeping); the others wait in " BUCKET,
           3, LS_ERR_ENV);
    ranks[3].state = 'D';
    expect(LS_CAUSE_LATE,
           "rank 3 on node2 has been in `data` next batch for 61 s at step 412 (waiting for a disk or a file server); "
           "the others wait in " BUCKET,
           3, LS_ERR_ENV);
    set_phase(&ranks[3], LS_PHASE_BACKWARD, "conv2 (conv2d)", 61);
    ranks[3].state = 'R';
    expect(LS_CAUSE_LATE,
           "rank 3 on node2 has been in `backward` conv2 (conv2d) for 61 s at step 412 (computing); the others wait "
           "in " BUCKET,
           3, LS_ERR_ENV);
    set_phase(&ranks[1], LS_PHASE_BACKWARD, "conv1 (conv2d)", 62);
    expect(LS_CAUSE_LATE,
           "rank 1 on node1 (and 1 more rank) has been in `backward` conv1 (conv2d) for 62 s at step 412 (sleeping); "
           "2 of the others wait in " BUCKET,
           1, LS_ERR_ENV);
    all_wait(61);
    set_phase(&ranks[2], LS_PHASE_NONE, "", 301);
    expect(LS_CAUSE_LATE,
           "rank 2 on node2 has been between two instructions for 301 s at step 412 (sleeping); the others wait "
           "in " BUCKET,
           2, LS_ERR_ENV);
}

/* A stopped rank is late even in a collective. */
static void test_late_stopped(void **state)
{
    all_wait(3);
    ranks[0].life       = LS_LIFE_STOPPED;
    ranks[0].state      = 'T';
    ranks[0].deadline_s = 2;
    ranks[0].age_s      = 2.5;
    expect(LS_CAUSE_LATE,
           "rank 0 on node1 has been stopped (SIGSTOP) for 2.5 s in " BUCKET
           " at step 412 (`kill -CONT 1000` on that host resumes it); the others wait in " BUCKET,
           0, LS_ERR_ENV);
}

static void test_dead(void **state)
{
    all_wait(0.1);
    set_phase(&ranks[2], LS_PHASE_FORWARD, "conv1 (conv2d)", 0.1);
    ranks[2].life   = LS_LIFE_DEAD;
    ranks[2].dead_s = 0.1;
    expect(
        LS_CAUSE_DEAD,
        "rank 2 on node2 was killed, process 1002, in `forward` conv1 (conv2d) at step 412; the others wait in " BUCKET,
        2, LS_ERR_ENV);
    ranks[2].memory_short = true;
    expect(LS_CAUSE_DEAD,
           "rank 2 on node2 was killed (the host has run out of memory), process 1002, in `forward` conv1 (conv2d) at "
           "step 412; the others wait in " BUCKET,
           2, LS_ERR_ENV);
    ranks[2].signal = SIGSEGV;
    expect(LS_CAUSE_DEAD,
           "rank 2 on node2 crashed (SIGSEGV, invalid address), process 1002, in `forward` conv1 (conv2d) at step 412; "
           "the others wait in " BUCKET,
           2, LS_ERR_ENV);
    set_phase(&ranks[1], LS_PHASE_DATA, "next batch", 100); /* late as well, but not the cause */
    expect(LS_CAUSE_DEAD,
           "rank 2 on node2 crashed (SIGSEGV, invalid address), process 1002, in `forward` conv1 (conv2d) at step 412; "
           "2 of the others wait in " BUCKET,
           2, LS_ERR_ENV);
}

static int diagnosed_rank(void)
{
    ls_diagnosis d;
    return ls__diagnose_hang(ranks, RANKS, 10, &d) ? d.rank : -2;
}

/* A launcher that has noticed one death kills the other ranks: the first death is the cause. */
static void test_dead_first_of_several(void **state)
{
    all_wait(0.1);
    for (int r = 0; r < 3; r++) ranks[r].life = LS_LIFE_DEAD;
    ranks[0].dead_s = 0.1;
    ranks[1].dead_s = 0.3;
    ranks[2].dead_s = 0.2;
    assert_int_equal(diagnosed_rank(), 1);
    ranks[2].dead_s = 0.3;
    ranks[2].signal = SIGSEGV; /* of two deaths seen together, the crash is the cause */
    assert_int_equal(diagnosed_rank(), 2);
    ranks[3].life = LS_LIFE_FAILED; /* an MPI error that follows from the death */
    assert_int_equal(diagnosed_rank(), 2);
}

/* The end of a rank that follows a diagnosis is not diagnosed, whatever is seen of the rank. */
static void test_none_for_leaving_ranks(void **state)
{
    all_wait(0.1);
    for (int r = 1; r < RANKS; r++) {
        ranks[r].life     = LS_LIFE_LEAVING;
        ranks[r].silent_s = 1000;
        ranks[r].dead_s   = 1000;
        set_phase(&ranks[r], LS_PHASE_FORWARD, "conv1 (conv2d)", 1000);
    }
    expect_none();
    ranks[0].age_s = 1000;
    expect_none();
}

static void test_failed(void **state)
{
    all_wait(0.1);
    ranks[1].life   = LS_LIFE_FAILED;
    ranks[1].status = LS_ERR_DATA;
    strcpy(ranks[1].message, "the file is damaged");
    expect(LS_CAUSE_FAILED, "rank 1 on node1: the file is damaged", 1, LS_ERR_DATA);
}

static void test_out_of_step(void **state)
{
    all_wait(0.1);
    set_collective(&ranks[1], 0, 57, 0x99, "barrier", 0);
    expect(LS_CAUSE_OUT_OF_STEP,
           "rank 1 on node1 is out of step with the others since collective 57 at step 412: rank 1 called barrier, the "
           "others called " BUCKET,
           1, LS_ERR_FAILED);
    set_collective(&ranks[1], 0, 57, 0x99, BUCKET, 50);
    expect(LS_CAUSE_OUT_OF_STEP,
           "rank 1 on node1 is out of step with the others since collective 57 at step 412: rank 1 called " BUCKET
           " of 50, the others called " BUCKET " of 100",
           1, LS_ERR_FAILED);
    /* A rank that is one collective ahead with the same history is in step. */
    all_wait(0.1);
    set_collective(&ranks[1], 1, 57, 0x57, BUCKET, 100);
    set_collective(&ranks[1], 0, 58, 0x58, "all-gather", 8);
    expect_none();
    /* A difference long ago: the ranks have only records of multiples of 16 in common. */
    all_wait(0.1);
    for (int r = 0; r < RANKS; r++)
        set_collective(&ranks[r], LS_RECENT_COLLECTIVES, 48, r == 2 ? 0x11 : 0x48, "all-gather", 8);
    set_collective(&ranks[2], 0, 59, 0x59, "barrier", 0);
    set_collective(&ranks[2], 1, 58, 0x58, "barrier", 0);
    expect(LS_CAUSE_OUT_OF_STEP,
           "rank 2 on node2 is out of step with the others since collective 48 at step 412 or earlier, when rank 2 "
           "called other collectives",
           2, LS_ERR_FAILED);
}

/* Of two ranks neither is the odd one out. */
static void test_out_of_step_pair(void **state)
{
    ls_diagnosis d;
    all_wait(0.1);
    set_collective(&ranks[1], 0, 57, 0x99, "barrier", 0);
    assert_true(ls__diagnose_hang(ranks, 2, 10, &d));
    assert_string_equal(d.text, "rank 1 on node1 and rank 0 on node1 are out of step since collective 57 at step 412: "
                                "rank 1 called barrier, rank 0 called " BUCKET);
    assert_int_equal(d.rank, -1);
}

static void test_silent(void **state)
{
    all_wait(5);
    ranks[2].silent_s = ranks[3].silent_s = 9;
    expect_none();
    ranks[2].silent_s = ranks[3].silent_s = 11;
    expect(LS_CAUSE_SILENT,
           "host node2 (rank 2 and 1 more): no heartbeat for 11 s: the host is down, or the network to it is cut; "
           "last seen in " BUCKET " at step 412; the others wait in " BUCKET,
           2, LS_ERR_ENV);
}

static void test_lost(void **state)
{
    all_wait(61);
    ranks[2].age_s = 70;
    expect(LS_CAUSE_LOST,
           "all 4 ranks have been waiting for each other for 61 s in " BUCKET
           " at step 412: a message between them is lost; is the network down?",
           -1, LS_ERR_ENV);
    ranks[1].age_s = 3; /* has only begun to wait */
    expect_none();
}

static void test_uncalled(void **state)
{
    all_wait(61);
    ranks[0].calls = 58;
    set_phase(&ranks[0], LS_PHASE_WAIT, "barrier", 65);
    expect(LS_CAUSE_UNCALLED,
           "rank 0 on node1 is out of step with the others: it waits in barrier at step 412, which the others have not "
           "called; rank 1 waits in " BUCKET,
           0, LS_ERR_FAILED);
    all_wait(61);
    ranks[3].calls = 56;
    set_phase(&ranks[3], LS_PHASE_WAIT, "the barrier of the host", 65);
    expect(LS_CAUSE_UNCALLED,
           "rank 3 on node2 is out of step with the others: it waits in the barrier of the host at step 412 and has "
           "not called the collective of the others; rank 0 waits in " BUCKET,
           3, LS_ERR_FAILED);
}

static void test_left(void **state)
{
    all_wait(61);
    ranks[2].life = LS_LIFE_FINISHED;
    expect(LS_CAUSE_LEFT, "rank 2 on node2 has left the run at step 412; the others wait in " BUCKET, 2, LS_ERR_ENV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none_within_deadlines),
        cmocka_unit_test(test_out_of_step),
        cmocka_unit_test(test_out_of_step_pair),
        cmocka_unit_test(test_dead),
        cmocka_unit_test(test_dead_first_of_several),
        cmocka_unit_test(test_none_for_leaving_ranks),
        cmocka_unit_test(test_failed),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_late_stopped),
        cmocka_unit_test(test_silent),
        cmocka_unit_test(test_left),
        cmocka_unit_test(test_uncalled),
        cmocka_unit_test(test_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
