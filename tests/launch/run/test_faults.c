/* SPDX-License-Identifier: Apache-2.0 */
/* labels: io mpi */
/* timeout: 900 */
/* One fault of each kind.  tests/launch/run/test_faults_slow.c tries the other places and several hosts. */
#include "tests/launch/run/faults.h"

#define WAIT_IN_BUCKET "the others wait in all-reduce 0 (fc3.weight .. conv1.bias)"

static const fault table[] = {
    {"rank=1,step=5,at=backward,do=kill",
     128 + SIGKILL,
     {"rank 1 on ", " was killed, process ", "in `backward` cross_entropy at step 5; " WAIT_IN_BUCKET},
     true},
    {"rank=0,step=5,at=forward,do=stop",
     4,
     {"rank 0 on ", "has been stopped (SIGSTOP) for 3.", "in `forward` conv1 (conv2d) at step 5 (`kill -CONT "}},
    {"rank=1,step=6,at=data,do=hang",
     4,
     {"rank 1 on ", "has been in `data` next batch for 3.", "at step 6 (sleeping); the others wait in "},
     true},
    {"rank=2,step=5,at=forward,do=spin",
     4,
     {"rank 2 on ", "has been in `forward` conv1 (conv2d) for 3.", "at step 5 (computing); " WAIT_IN_BUCKET}},
    {"rank=2,step=5,at=data,do=extra",
     1,
     {"rank 2 on ", "is out of step with the others since collective ",
      "at step 5: rank 2 called barrier, the others called "}},
    {"rank=1,step=4,at=checkpoint,do=shape",
     1,
     {"rank 1 on ", "is out of step with the others since collective ",
      "at step 4: rank 1 called all-gather of 64, the others called all-gather of 4"}},
    {"rank=1,step=3,at=backward,do=slow,ms=10",
     0,
     {"lockstep: a fault is configured for rank 1", "rank 1 on ", " was the slowest of epoch 1: "}},
};

static void test_each_fault(void **state) { try_faults(table, sizeof table / sizeof *table); }

static const fault clocks[] = {
    {"", 0, {0}, .before = CLOCK_JUMPS},
    {"rank=1,step=6,at=data,do=hang",
     4,
     {"rank 1 on ", "has been in `data` next batch for 3.", "at step 6 (sleeping); the others wait in "},
     .before = CLOCK_JUMPS},
    {"rank=2,step=6,at=data,do=kill",
     128 + SIGKILL,
     {"rank 2 on ", " was killed, process ", "in `data` next batch at step 6"},
     .before = CLOCK_JUMPS},
};

static void test_jumping_clock(void **state) { try_faults(clocks, sizeof clocks / sizeof *clocks); }

/* ---- disks and checkpoints --------------------------------------------------------------------------------------- */

static const fault disks[] = {
    {"rank=0,step=4,at=forward,do=fill",
     0,
     {"warning: the checkpoint of step 4 could not be written; training continues, no checkpoint exists yet: ",
      "No space left on device", "the checkpoint of step 8 could be written again"},
     .before = SMALL_DISK},
};

static void test_full_disk(void **state)
{
    if (system(MOUNTS "mount -t tmpfs tmpfs /mnt 2> why") == 0)
        try_faults(disks, sizeof disks / sizeof *disks);
    else
        print_message("skipped, cannot mount a disk: %s", text_of("why"));
}

static void expect_one_error(const char *text)
{
    const char *err = text_of("err");
    if (count_of(err, "lockstep: error: ") != 1 || !strstr(err, text))
        fail_msg("expected one error with '%s':\n%s", text, err);
}

/* From step 7 to the end nothing can be written: the earlier checkpoint stays, and the run resumes from it later. */
static void test_disk_that_stays_full(void **state)
{
    char reference[DIGEST + 1], digest[DIGEST + 1];
    assert_int_equal(run_ranks(NULL, NULL, "reference"), 0);
    take_digest(reference, "reference");
    assert_int_equal(run_ranks("rank=0,step=7,at=forward,do=full", NULL, "full checkpoint.background=false"), 4);
    expect_one_error("File too large");
    if (!exists("full/checkpoints/step-00000004")) fail_msg("expected the checkpoint of step 4\n%s", text_of("err"));
    if (run_ranks(NULL, NULL, "full") != 0 || !strstr(text_of("err"), "continues after step 4"))
        fail_msg("%s", text_of("err"));
    take_digest(digest, "full");
    assert_string_equal(digest, reference);
}

#define OF_8 "cd damaged/checkpoints/step-00000008; "
#define FLIP "printf '\\377\\377\\377\\377' | dd of=part-0000.h5 bs=1 seek=60000 conv=notrunc 2> /dev/null"

/* When the newest checkpoint is damaged, the run resumes from the one before and reaches the reference digest. */
static void test_damaged_checkpoints(void **state)
{
    static const char *const damage[] = {OF_8 FLIP,
                                         OF_8 "truncate -s -100 part-0000.h5",
                                         OF_8 ": > part-0000.h5",
                                         OF_8 "rm part-0000.h5",
                                         OF_8 "truncate -s 7 manifest.xxh64",
                                         OF_8 "rm manifest.xxh64"};
    char                     reference[DIGEST + 1], digest[DIGEST + 1];
    assert_int_equal(run_ranks(NULL, NULL, "reference"), 0);
    take_digest(reference, "reference");
    assert_int_not_equal(run_ranks("rank=1,step=10,at=backward,do=kill", NULL, "whole checkpoint.background=false"), 0);
    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        assert_int_equal(system("rm -rf damaged; cp -a whole damaged"), 0);
        assert_int_equal(system(damage[i]), 0);
        if (run_ranks(NULL, NULL, "damaged") != 0) fail_msg("%s: %s", damage[i], text_of("err"));
        if (count_of(text_of("err"), "skipping a damaged checkpoint: ") != 1 ||
            !strstr(text_of("err"), "continues after step 4"))
            fail_msg("%s: %s", damage[i], text_of("err"));
        take_digest(digest, damage[i]);
        assert_string_equal(digest, reference);
    }
    assert_int_equal(system("rm -rf damaged; cp -a whole damaged; " OF_8 FLIP
                            "; cd ../step-00000004; truncate -s 5000 part-0000.h5"),
                     0);
    assert_int_equal(run_ranks(NULL, NULL, "damaged"), 3);
    expect_one_error("damaged/checkpoints: none of the 2 checkpoints can be read");
}

/* ---- start-up ---------------------------------------------------------------------------------------------------- */

/* Runs three ranks; rank 1 executes the shell command `what` first.  limit: LOCKSTEP_START_S; *seconds: duration. */
static int run_with_rank_1(const char *what, const char *limit, double *seconds)
{
    char command[2048];
    unlink("err");
    snprintf(command, sizeof command,
             "export OMP_NUM_THREADS=2 LOCKSTEP_START_S=%s; timeout -k 5 %d " MPIRUN
             " -np 3 sh -c 'test $OMPI_COMM_WORLD_RANK = 1 && { %s\n}; exec \"$@\"' rank %s " FAULTY
             "start --fresh > out 2> err < /dev/null",
             limit, 100 * SLOWNESS, what, LOCKSTEP_PROGRAM);
    return run_timed(command, "", seconds);
}

static void test_missing_ranks(void **state)
{
    static const struct {
        const char *what, *text;
    } rows[] = {{"exec sleep 97.1351", "rank 1 on %s has not come to MPI_Init in start-up, process "},
                {"kill -STOP $$", "rank 1 on %s has been stopped (SIGSTOP) in start-up, process "}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char   host[64] = "", text[256];
        double s;
        gethostname(host, sizeof host - 1);
        snprintf(text, sizeof text, rows[i].text, host);
        int code = run_with_rank_1(rows[i].what, "3", &s);
        if (code != 4) fail_msg("%s: exit code %d\n%s", rows[i].what, code, text_of("err"));
        expect_one_error(text);
        print_message("  %-48s ended after %6.2f s, deadline 3 s\n", rows[i].what, s);
        if (s > 3 + END_S + 2 * LATE_S) fail_msg("%s: ended after %.2f s\n%s", rows[i].what, s, text_of("err"));
        expect_no_process("sleep 97.1351", rows[i].what);
    }
}

/* An error of one rank at the start ends all ranks, and is the last line. */
static void test_failed_starts(void **state)
{
    static const struct {
        const char *what;
        int         code;
        const char *text;
    } rows[] = {{"set -- \"$@\" train.batch=0", 2, "rank 1: command line: train.batch=0: expected"},
                {"set -- \"$@\" train.seed=7", 4, "the ranks do not agree on recipe"},
                {"export LOCKSTEP_ISA=v9", 4, "rank 1: LOCKSTEP_ISA=v9"},
                {"export LOCKSTEP_FAULT=rank=1,at=start-up,do=kill", 128 + SIGKILL, "was killed, process "}};
    enum { END_ALL_S = 5 };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double s;
        int    code = run_with_rank_1(rows[i].what, "20", &s);
        if (code != rows[i].code && !(rows[i].code > 128 && code == 4))
            fail_msg("%s: exit code %d\n%s", rows[i].what, code, text_of("err"));
        expect_one_error(rows[i].text);
        const char *line = last_line(text_of("err"));
        if (strncmp(line, "lockstep: error: ", 17) != 0 && strncmp(line, "  hint: ", 8) != 0)
            fail_msg("%s: expected an error of lockstep as the last line:\n%s", rows[i].what, text_of("err"));
        print_message("  %-48s ended after %6.2f s\n", rows[i].what, s);
        if (s > END_ALL_S + LATE_S) fail_msg("%s: ended after %.2f s\n%s", rows[i].what, s, text_of("err"));
    }
}

/* Whichever allocation of rank 1 fails, one error names the rank. */
static __attribute__((unused)) void test_ranks_without_memory(void **state)
{
    static const int enough      = 2000,
                     megabytes[] = {100, 200, 300, 330, 344, 348, 352, 356, 360, 364, 368, 376, 384, 400, enough};
    for (size_t i = 0; i < sizeof megabytes / sizeof *megabytes; i++) {
        char   limit[64];
        double s;
        snprintf(limit, sizeof limit, "ulimit -v %d", megabytes[i] * 1024);
        int code = run_with_rank_1(limit, "10", &s);
        print_message("  %-48s exit code %d after %.1f s: %.150s\n", limit, code, s,
                      code ? strstr(text_of("err"), "error: ") : "");
        if (code == 0 && megabytes[i] >= 340) continue;
        if (code == 0 || megabytes[i] == enough) fail_msg("%s: exit code %d\n%s", limit, code, text_of("err"));
        expect_one_error("lockstep: error: rank 1");
        if (s > 15) fail_msg("%s: ended after %.1f s\n%s", limit, s, text_of("err"));
    }
}

static void test_malformed_faults(void **state)
{
    static const char *const bad[] = {"do=nothing", "rank=1", "rank=x,do=kill", "at=nowhere,do=kill",
                                      "do=kill,when=now"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int code = run_ranks(bad[i], NULL, "bad");
        if (code != 2 || !strstr(text_of("err"), "LOCKSTEP_FAULT: expected "))
            fail_msg("%s: exit code %d\n%s", bad[i], code, text_of("err"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_fault, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jumping_clock, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_disk_that_stays_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_checkpoints, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_missing_ranks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failed_starts, set_up, tear_down),
#ifndef __SANITIZE_ADDRESS__ /* AddressSanitizer reserves more addresses than the limits allow */
        cmocka_unit_test_setup_teardown(test_ranks_without_memory, set_up, tear_down),
#endif
        cmocka_unit_test_setup_teardown(test_malformed_faults, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
