/* SPDX-License-Identifier: Apache-2.0
 *
 * Crash reports: a file per rank that a watchdog writes when it ends a run, and signal handlers that record the signal
 * of a crash.  Uses only system calls and the stack, because the main thread may hold any lock. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "dist/comm/heartbeat.h"
#include "dist/health/watchdog.h"

/* Reads the first line of /proc/PROCESS/task/TASK/NAME; "" when it cannot be read. */
static void read_line(char *to, size_t room, int process, const char *task, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "/proc/%d/task/%s/%s", process, task, name);
    int     file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n    = file < 0 ? 0 : read(file, to, room - 1);
    if (file >= 0) close(file);
    to[n < 0 ? 0 : n]     = 0;
    to[strcspn(to, "\n")] = 0;
}

static void write_threads(int file, int process)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", process);
    DIR *tasks = opendir(path);
    if (!tasks) {
        dprintf(file, "\nThreads: none, the process has ended\n");
        return;
    }
    dprintf(file, "\nThreads: number, name, state (R running, S sleeping, D waiting for a device, T stopped), kernel "
                  "function, system call\n");
    for (const struct dirent *t; (t = readdir(tasks));) {
        char name[64], stat[512], place[128], call[256];
        if (t->d_name[0] == '.') continue;
        read_line(name, sizeof name, process, t->d_name, "comm");
        read_line(stat, sizeof stat, process, t->d_name, "stat");
        read_line(place, sizeof place, process, t->d_name, "wchan");
        read_line(call, sizeof call, process, t->d_name, "syscall");
        const char *state = strrchr(stat, ')');
        dprintf(file, "  %-8s %-16s %c  %-28s %.60s\n", t->d_name, name, state && state[1] ? state[2] : '?',
                strcmp(place, "0") ? place : "-", call);
    }
    closedir(tasks);
}

static void write_records(int file, const ls_flight_log *log, int64_t now)
{
    uint64_t last = atomic_load(&log->records);
    dprintf(file,
            "\nLast instructions, newest first: number, seconds since it began, duration in seconds (+: not over)\n");
    for (uint64_t n = last; n > 0 && n + LS_FLIGHT_RECORDS > last; n--) {
        ls_flight_record r;
        if (!ls__flight_record(log, n, &r)) continue;
        dprintf(file, "  %-9llu %12.6f  %10.6f%s  step %-7lld micro %-3d %-11s %s", (unsigned long long)n,
                (double)(now - r.begin_ns) * 1e-9, (double)((r.end_ns ? r.end_ns : now) - r.begin_ns) * 1e-9,
                r.end_ns ? " " : "+", (long long)r.step, r.micro, ls__phase_name(r.phase), r.what);
        if (r.call)
            dprintf(file, "  [collective %llu of %llu]", (unsigned long long)r.call, (unsigned long long)r.count);
        dprintf(file, "\n");
    }
}

static void write_calls(int file, const ls_flight_log *log)
{
    uint64_t last = atomic_load(&log->calls);
    dprintf(file,
            "\nLast collectives, newest first: number, size, hash of all up to this one (equal on ranks in step)\n");
    for (uint64_t n = last; n > 0 && n + LS_FLIGHT_CALLS > last; n--) {
        ls_flight_call c;
        if (ls__flight_call(log, n, &c))
            dprintf(file, "  %-9llu %12llu  %016llx  %s\n", (unsigned long long)n, (unsigned long long)c.count,
                    (unsigned long long)c.chain, c.what);
    }
}

bool ls__crash_report_write(const ls_heartbeat *hb, int member, const char *folder, const char *diagnosis)
{
    const ls_rank_identity *id    = &hb->identity[hb->member[member]];
    const ls_rank_block    *block = hb->block[member];
    char                    path[4200], date[64];
    struct tm               tm;
    time_t                  at  = time(NULL);
    int64_t                 now = ls__clock_ns();
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) return false;
    snprintf(path, sizeof path, "%s/crash-rank%d.txt", folder, id->rank);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0) return false;
    strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S %z", localtime_r(&at, &tm));
    dprintf(file, "%s\n\nrank %d of %d, process %d on %s, %s\n", diagnosis, id->rank, hb->ranks, id->process, id->host,
            date);
    write_threads(file, id->process);
    write_records(file, &block->log, now);
    write_calls(file, &block->log);
    return close(file) == 0;
}

/* ---- crashes ----------------------------------------------------------------------------------------------------- */

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

enum { CRASH_SIGNALS = sizeof crash_signals / sizeof *crash_signals };
static _Atomic int32_t *crash_signal;                     /* receives the signal of a crash                      */
static bool             crash_prints;                     /* no other rank can report the crash                  */
static struct sigaction previous_handlers[CRASH_SIGNALS]; /* of MPI, a sanitizer, or the default                 */

/* Records the signal, then restores the previous handler and lets it act: a faulting instruction faults again after the
 * return, and a signal that was sent is sent again. */
static void handle_crash(int number, siginfo_t *info, void *context)
{
    (void)context;
    static const char line[] = "lockstep: error: the program crashed: a defect, or too little memory (ulimit -v)\n";
    if (crash_signal) *crash_signal = number;
    if (crash_prints && write(STDERR_FILENO, line, sizeof line - 1) < 0) {
        /* stderr is closed; the signal ends the process all the same */
    }
    for (size_t i = 0; i < CRASH_SIGNALS; i++)
        if (crash_signals[i] == number) sigaction(number, &previous_handlers[i], NULL);
    if (info->si_code <= 0) raise(number);
}

/* The handler has a stack of its own on this thread: a stack overflow is a crash as well. */
void ls__crash_report_install(_Atomic int32_t *signal, bool print)
{
    static char stack[1 << 16];
    stack_t     current;
    if (crash_signal) return;
    crash_signal = signal;
    crash_prints = print;
    if (sigaltstack(NULL, &current) == 0 && current.ss_flags & SS_DISABLE)
        sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
    for (size_t i = 0; i < CRASH_SIGNALS; i++) {
        struct sigaction action = {.sa_sigaction = handle_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
        sigaction(crash_signals[i], &action, &previous_handlers[i]);
    }
}

void ls__crash_report_uninstall(const _Atomic int32_t *signal)
{
    if (crash_signal != signal) return;
    crash_signal = NULL;
    for (size_t i = 0; i < CRASH_SIGNALS; i++) {
        struct sigaction now;
        if (sigaction(crash_signals[i], NULL, &now) == 0 && now.sa_sigaction == handle_crash)
            sigaction(crash_signals[i], &previous_handlers[i], NULL);
    }
}
