/* SPDX-License-Identifier: Apache-2.0
 * What a watchdog makes of a table of ranks: each row is a change to four ranks of which three wait for the first
 * bucket. */
#include "dist/health/hang_diagnosis.h"

#include <signal.h>

#include "tests/unit.h"

enum { RANKS = 4 };
#define BUCKET "all-reduce 0 (fc.weight .. conv1.bias)"

static ls_rank_view view[RANKS];

static void call(ls_rank_view *v, int m, uint64_t number, uint64_t chain, const char *what, uint64_t count)
{
    v->mark[m].number = number;
    v->mark[m].chain  = chain;
    v->mark[m].count  = count;
    snprintf(v->mark[m].what, sizeof v->mark[m].what, "%s", what);
}

static void in(ls_rank_view *v, ls_phase phase, const char *what, double age)
{
    v->phase = phase;
    v->age_s = age;
    snprintf(v->what, sizeof v->what, "%s", what);
    snprintf(v->whole, sizeof v->whole, "%s", what);
}

static void all_wait(double age)
{
    memset(view, 0, sizeof view);
    for (int r = 0; r < RANKS; r++) {
        ls_rank_view *v = &view[r];
        *v              = (ls_rank_view){.rank       = r,
                                         .process    = 1000 + r,
                                         .life       = LS_LIFE_RUNS,
                                         .state      = 'S',
                                         .step       = 412,
                                         .deadline_s = 60,
                                         .calls      = 57};
        snprintf(v->host, sizeof v->host, "node%d", r / 2 + 1);
        in(v, LS_PHASE_REDUCE, BUCKET, age);
        call(v, 0, 57, 0x57, BUCKET, 100);
        call(v, 1, 56, 0x56, "all-gather", 8);
    }
}

static void expect(const char *text, int rank, int code)
{
    ls_diagnosis v;
    bool         any = ls__diagnose_hang(view, RANKS, 10, &v);
    if (!text) {
        if (any) fail_msg("no verdict was expected, but: %s", v.text);
        return;
    }
    if (!any) fail_msg("no verdict, expected: %s", text);
    assert_string_equal(v.text, text);
    assert_int_equal(v.rank, rank);
    assert_int_equal(v.code, code);
}

static void who_has_time_is_not_late(void **state)
{
    all_wait(59);
    expect(NULL, 0, 0);
    in(&view[3], LS_PHASE_DATA, "next batch", 60);
    for (int r = 0; r < 3; r++) view[r].age_s = 1000; /* who waits is not to blame */
    expect(NULL, 0, 0);
    in(&view[3], LS_PHASE_NONE, "", 60);
    expect(NULL, 0, 0);
    view[3].life = LS_LIFE_TRACED; /* somebody looks at it with a debugger */
    in(&view[3], LS_PHASE_FORWARD, "conv1 (conv2d)", 1000);
    expect(NULL, 0, 0);
    view[3].life = LS_LIFE_UNKNOWN;
    expect(NULL, 0, 0);
}

static void who_is_late_is_named(void **state)
{
    all_wait(61);
    in(&view[3], LS_PHASE_DATA, "next batch", 61);
    expect("rank 3 on node2 has been in `data` next batch for 61 s at step 412 (it sleeps); the others wait in " BUCKET,
           3, LS_ERR_ENV);
    view[3].state = 'D';
    expect("rank 3 on node2 has been in `data` next batch for 61 s at step 412 (it waits for a disk or a file server); "
           "the others wait in " BUCKET,
           3, LS_ERR_ENV);
    in(&view[3], LS_PHASE_BACKWARD, "conv2 (conv2d)", 61);
    view[3].state = 'R';
    in(&view[1], LS_PHASE_BACKWARD, "conv1 (conv2d)", 62);
    expect("rank 1 on node1 (and 1 more rank) has been in `backward` conv1 (conv2d) for 62 s at step 412 (it sleeps); "
           "2 of the others wait in " BUCKET,
           1, LS_ERR_ENV);
    all_wait(61);
    in(&view[2], LS_PHASE_NONE, "", 301);
    expect("rank 2 on node2 has been between two instructions for 301 s at step 412 (it sleeps); the others wait "
           "in " BUCKET,
           2, LS_ERR_ENV);
}

static void a_rank_that_is_stopped(void **state)
{
    all_wait(3);
    view[0].life       = LS_LIFE_STOPPED;
    view[0].state      = 'T';
    view[0].deadline_s = 2;
    view[0].age_s      = 2.5; /* in a collective; nothing comes of that as long as it is stopped */
    expect("rank 0 on node1 has been stopped (SIGSTOP) for 2.5 s in " BUCKET
           " at step 412 (kill -CONT 1000 there lets it go on); the others wait in " BUCKET,
           0, LS_ERR_ENV);
}

static void a_rank_that_is_dead(void **state)
{
    all_wait(0.1);
    in(&view[2], LS_PHASE_FORWARD, "conv1 (conv2d)", 0.1);
    view[2].life = LS_LIFE_DEAD;
    expect(
        "rank 2 on node2 was killed, process 1002, in `forward` conv1 (conv2d) at step 412; the others wait in " BUCKET,
        2, LS_ERR_ENV);
    view[2].memory_short = true;
    expect("rank 2 on node2 was killed (the host has run out of memory), process 1002, in `forward` conv1 (conv2d) at "
           "step 412; the others wait in " BUCKET,
           2, LS_ERR_ENV);
    view[2].signal = SIGSEGV;
    expect("rank 2 on node2 crashed (SIGSEGV, a wrong address), process 1002, in `forward` conv1 (conv2d) at step 412; "
           "the others wait in " BUCKET,
           2, LS_ERR_ENV);
    in(&view[1], LS_PHASE_DATA, "next batch", 100); /* also late, but that is not the cause */
    expect("rank 2 on node2 crashed (SIGSEGV, a wrong address), process 1002, in `forward` conv1 (conv2d) at step 412; "
           "2 of the others wait in " BUCKET,
           2, LS_ERR_ENV);
}

static void a_rank_that_failed_has_the_word(void **state)
{
    all_wait(0.1);
    view[1].life   = LS_LIFE_FAILED;
    view[1].status = LS_ERR_DATA;
    strcpy(view[1].message, "the file is damaged");
    expect("rank 1 on node1: the file is damaged", 1, LS_ERR_DATA);
}

static void collectives_that_differ(void **state)
{
    all_wait(0.1);
    call(&view[1], 0, 57, 0x99, "barrier", 0);
    expect("rank 1 on node1 is out of step with the others since collective 57 at step 412: rank 1 called barrier, the "
           "others " BUCKET,
           1, LS_ERR_FAILED);
    call(&view[1], 0, 57, 0x99, BUCKET, 50);
    expect("rank 1 on node1 is out of step with the others since collective 57 at step 412: rank 1 called " BUCKET
           " of 50, the others " BUCKET " of 100",
           1, LS_ERR_FAILED);
    /* One ahead, with the same history, is in step. */
    all_wait(0.1);
    call(&view[1], 1, 57, 0x57, BUCKET, 100);
    call(&view[1], 0, 58, 0x58, "all-gather", 8);
    expect(NULL, 0, 0);
    /* Long ago: only the multiples of 16 are common. */
    all_wait(0.1);
    for (int r = 0; r < RANKS; r++) call(&view[r], LS_RECENT, 48, r == 2 ? 0x11 : 0x48, "all-gather", 8);
    call(&view[2], 0, 59, 0x59, "barrier", 0);
    call(&view[2], 1, 58, 0x58, "barrier", 0);
    expect("rank 2 on node2 is out of step with the others since collective 48 at step 412 or before that, when rank 2 "
           "called others",
           2, LS_ERR_FAILED);
}

static void two_ranks_accuse_each_other(void **state)
{
    ls_diagnosis v;
    all_wait(0.1);
    call(&view[1], 0, 57, 0x99, "barrier", 0);
    assert_true(ls__diagnose_hang(view, 2, 10, &v));
    assert_string_equal(v.text, "rank 1 on node1 and rank 0 on node1 are out of step since collective 57 at step 412: "
                                "rank 1 called barrier, rank 0 " BUCKET);
    assert_int_equal(v.rank, -1);
}

static void hosts_that_are_not_heard(void **state)
{
    all_wait(5);
    view[2].silent_s = view[3].silent_s = 9;
    expect(NULL, 0, 0);
    view[2].silent_s = view[3].silent_s = 11;
    expect("no word from node2 (rank 2 and 1 more) for 11 s: the host is down, or the network to it is cut; it was "
           "last seen in " BUCKET " at step 412; the others wait in " BUCKET,
           2, LS_ERR_ENV);
}

static void all_wait_for_each_other(void **state)
{
    all_wait(61);
    view[2].age_s = 70;
    expect("all 4 ranks have been waiting for each other for 61 s in " BUCKET
           " at step 412: a message between them is lost; is the network down?",
           -1, LS_ERR_ENV);
    view[0].calls = 58;
    in(&view[0], LS_PHASE_WAIT, "barrier", 65);
    expect("rank 0 on node1 is out of step with the others: it waits in barrier at step 412, a collective that the "
           "others have not called; rank 1 waits in " BUCKET,
           0, LS_ERR_FAILED);
    all_wait(61);
    view[3].calls = 56;
    in(&view[3], LS_PHASE_WAIT, "the barrier of the host", 65);
    expect("rank 3 on node2 is out of step with the others: it waits in the barrier of the host at step 412 and has "
           "not called the collective of the others; "
           "rank 0 waits in " BUCKET,
           3, LS_ERR_FAILED);
    all_wait(61);
    view[2].life = LS_LIFE_ENDED;
    expect("rank 2 on node2 has left the run at step 412; the others wait in " BUCKET, 2, LS_ERR_ENV);
    view[1].age_s = 3; /* it has only just begun to wait */
    expect(NULL, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_time_is_not_late),        cmocka_unit_test(who_is_late_is_named),
        cmocka_unit_test(a_rank_that_is_stopped),          cmocka_unit_test(a_rank_that_is_dead),
        cmocka_unit_test(a_rank_that_failed_has_the_word), cmocka_unit_test(collectives_that_differ),
        cmocka_unit_test(two_ranks_accuse_each_other),     cmocka_unit_test(hosts_that_are_not_heard),
        cmocka_unit_test(all_wait_for_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
