/* SPDX-License-Identifier: Apache-2.0
 *
 * Training runs on three ranks with a fault on one of them (LOCKSTEP_FAULT, dist/health/fault_injection.c).  Each run
 * must end by itself within a second of the deadline, with one diagnosis that names rank, place and cause, the right
 * exit code, crash files, and no process left.  Each row of a table is one fault. */
#ifndef LS_TESTS_LAUNCH_RUN_FAULTS_H
#define LS_TESTS_LAUNCH_RUN_FAULTS_H

#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <time.h>

#include "core/base/clock.h"
#include "tests/launch/run_program.h"

#define FAULTY                                                                                                         \
    "train lenet5-digits data.train_count=600 data.test_count=100 train.batch=60 train.epochs=1 log.every=1 "          \
    "checkpoint.every=4 watchdog.floor_s=3 run.dir="

enum { DIGEST = 16 };

typedef struct fault {
    const char *fault;      /* value of LOCKSTEP_FAULT                                                          */
    int         code;       /* expected exit code of mpirun; 0: the run completes                               */
    const char *text[3];    /* expected parts of the diagnosis (code 0: of stderr)                              */
    bool        resumes;    /* true: the same command without the fault resumes, and gives the reference digest */
    const char *before;     /* shell commands before mpirun                                                     */
    double      deadline_s; /* expected time from fault to diagnosis; 0: FLOOR_S, or 0 for a death              */
} fault;

enum { FLOOR_S = 3 }; /* as in FAULTY */
/* A run ends at most END_S after its deadline; LATE_S more is allowed for a loaded machine. */
#define END_S 1.0
#define LATE_S 2.5

static inline int set_up(void **state)
{
    folder_enter();
    return 0;
}

static inline int tear_down(void **state)
{
    folder_leave();
    return 0;
}

/* Number of other processes with `word` in their command line. */
static inline int processes_with(const char *word)
{
    int  n   = 0;
    DIR *dir = opendir("/proc");
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        char path[300], text[4096];
        if (!isdigit((unsigned char)entry->d_name[0]) || atoi(entry->d_name) == getpid()) continue;
        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        FILE *f = fopen(path, "r");
        if (!f) continue;
        size_t length = fread(text, 1, sizeof text - 1, f);
        fclose(f);
        for (size_t i = 0; i < length; i++)
            if (!text[i]) text[i] = ' ';
        text[length] = 0;
        n += strstr(text, word) != NULL;
    }
    closedir(dir);
    return n;
}

static inline void expect_no_process(const char *word, const char *what)
{
    for (int tries = 0; tries < 50; tries++) {
        if (!processes_with(word)) return;
        usleep(100000);
    }
    fail_msg("%s: expected no process left, found %d", what, processes_with(word));
}

/* Runs a shell command that writes its stderr to the file `err`.  Returns its exit code; *seconds: time from the
 * appearance of `marker` in `err` to the end of the command; NaN if it has not appeared. */
static inline int run_timed(const char *command, const char *marker, double *seconds)
{
    int    status;
    double at    = NAN;
    pid_t  child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (isnan(at) && strstr(text_of("err"), marker)) at = ls__clock_s();
        usleep(2000);
    }
    *seconds = ls__clock_s() - at;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static double after_fault_s; /* time from the fault to the end of the last run; NaN without a fault */

/* Trains on three ranks with a fault (NULL: none) in the run directory `name`; returns the exit code of mpirun. */
static inline int run_ranks(const char *injected, const char *before, const char *name)
{
    char command[2048];
    unlink("err");
    snprintf(command, sizeof command,
             "export OMP_NUM_THREADS=1 LOCKSTEP_FAULT='%s'; %s timeout -k 5 %d " MPIRUN " -np 3 %s " FAULTY
             "%s > out 2> err < /dev/null",
             injected ? injected : "", before ? before : "", 100 * SLOWNESS, LOCKSTEP_PROGRAM, name);
    return run_timed(command, "injecting the configured fault", &after_fault_s);
}

/* Preloads a wall clock that jumps by days, into mpirun as well (tests/launch/clock_jump.c). */
#define CLOCK_JUMPS                                                                                                    \
    "export ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0; LD_PRELOAD=$(dirname " LOCKSTEP_PROGRAM              \
    ")/tests/libclock_jump.so"

/* Runs mpirun on a disk of 6 MB, then verifies the checkpoints on it. */
#define MOUNTS "unshare $([ $(id -u) = 0 ] || echo -Ur) -m "
#define SMALL_DISK                                                                                                     \
    MOUNTS "sh -c 'mkdir -p disk && mount -t tmpfs -o size=6m tmpfs disk && cd disk && \"$@\" && "                     \
           "LOCKSTEP_FAULT= " LOCKSTEP_PROGRAM " ckpt verify faulty-*' sh"

/* The last line of a text that is not empty. */
static inline const char *last_line(const char *text)
{
    static char line[4096];
    const char *end = text + strlen(text), *begin;
    while (end > text && end[-1] == '\n') end--;
    for (begin = end; begin > text && begin[-1] != '\n';) begin--;
    snprintf(line, sizeof line, "%.*s", (int)(end - begin), begin);
    return line;
}

static inline void take_digest(char digest[DIGEST + 1], const char *what)
{
    const char *at = strstr(text_of("out"), "digest");
    if (!at || sscanf(at, "digest %16s", digest) != 1) fail_msg("%s: no digest on stdout\n%s", what, text_of("err"));
}

/* Runs one row of a table and checks all that it expects. */
static inline void try_fault(const fault *f, const char *reference)
{
    static int number;
    char       name[64], path[128], digest[DIGEST + 1];
    snprintf(name, sizeof name, "faulty-%d-%d", (int)getpid(), number++);
    int         code = run_ranks(f->fault, f->before, name);
    const char *err = text_of("err"), *line = last_line(err);
    double      took = after_fault_s, deadline = f->deadline_s > 0 ? f->deadline_s : f->code > 128 ? 0 : FLOOR_S;
    bool        survivor = f->code > 128 && code == 4; /* mpirun has noticed the end of another rank first */
    if (code != f->code && !survivor) fail_msg("%s: exit code %d, expected %d\n%s", f->fault, code, f->code, err);
    expect_no_process(name, f->fault);
    if (code) print_message("  %-48s ended %6.2f s after the fault, deadline %g s\n", f->fault, took, deadline);
    if (code && !(took <= deadline + END_S + LATE_S))
        fail_msg("%s: expected the end %g + %g s after the fault at most, found %.2f s\n%s", f->fault, deadline, END_S,
                 took, err);
    if (code) {
        if (strncmp(line, "lockstep: error: ", 17) != 0)
            fail_msg("%s: expected a diagnosis as the last line:\n%s", f->fault, err);
        if (count_of(err, "lockstep: error: ") != 1) fail_msg("%s: expected one diagnosis:\n%s", f->fault, err);
        for (size_t i = 0; i < sizeof f->text / sizeof *f->text && f->text[i]; i++)
            if (!strstr(line, f->text[i]))
                fail_msg("%s: expected '%s' in the diagnosis:\n%s", f->fault, f->text[i], err);
    } else {
        for (size_t i = 0; i < sizeof f->text / sizeof *f->text && f->text[i]; i++)
            if (!strstr(err, f->text[i])) fail_msg("%s: expected '%s' on stderr:\n%s", f->fault, f->text[i], err);
        take_digest(digest, f->fault);
        assert_string_equal(digest, reference);
    }
    snprintf(path, sizeof path, "%s/logs/crash-rank1.txt", name);
    if (code && !f->before && strstr(line, "crash files in") && !strstr(text_of(path), "Last instructions"))
        fail_msg("%s: expected a crash file of rank 1", f->fault);
    if (!f->resumes) return;
    if (run_ranks(NULL, NULL, name) != 0) fail_msg("%s: not resumed\n%s", f->fault, text_of("err"));
    take_digest(digest, f->fault);
    assert_string_equal(digest, reference);
}

static inline void try_faults(const fault *table, size_t n)
{
    char reference[DIGEST + 1];
    if (run_ranks(NULL, NULL, "reference") != 0) fail_msg("%s", text_of("err"));
    take_digest(reference, "the run without a fault");
    for (size_t i = 0; i < n; i++) try_fault(&table[i], reference);
}

#endif
