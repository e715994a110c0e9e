/* SPDX-License-Identifier: Apache-2.0
 *
 * Crash files: what is known of a rank when a run is ended by its watchdogs.  Written with nothing but system calls and
 * the stack, as the main thread may have stopped anywhere.  And what a process leaves behind that crashes: the signal.
 */
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

#include "dist/comm/heartbeat.h"
#include "dist/health/watchdog.h"

/* The first line of a file below /proc; "" when it cannot be read. */
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
        dprintf(file, "\nThe process is gone.\n");
        return;
    }
    dprintf(
        file,
        "\nThreads (state: R runs, S sleeps, D waits for a device, T is stopped; where in the kernel; system call)\n");
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
    dprintf(file, "\nThe last instructions, newest first (seconds ago; seconds that it took, or that it is in it)\n");
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
    dprintf(
        file,
        "\nThe last collectives, newest first (number, size, what it and all before come to: alike on all ranks)\n");
    for (uint64_t n = last; n > 0 && n + LS_FLIGHT_CALLS > last; n--) {
        ls_flight_call c;
        if (ls__flight_call(log, n, &c))
            dprintf(file, "  %-9llu %12llu  %016llx  %s\n", (unsigned long long)n, (unsigned long long)c.count,
                    (unsigned long long)c.chain, c.what);
    }
}

bool ls__crash_report_write(const ls_heartbeat *c, int member, const char *folder, const char *verdict)
{
    const ls_peer *peer = &c->peer[c->member[member]];
    const ls_seat *seat = c->seat[member];
    char           path[4200], date[64];
    struct tm      tm;
    time_t         at  = time(NULL);
    int64_t        now = ls__flight_now();
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) return false;
    snprintf(path, sizeof path, "%s/crash-rank%d.txt", folder, peer->rank);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0) return false;
    strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S %z", localtime_r(&at, &tm));
    dprintf(file, "%s\n\nrank %d of %d, process %d on %s, %s\n", verdict, peer->rank, c->ranks, peer->process,
            peer->host, date);
    write_threads(file, peer->process);
    write_records(file, &seat->log, now);
    write_calls(file, &seat->log);
    return close(file) == 0;
}

/* ---- crashes ----------------------------------------------------------------------------------------------------- */

static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

enum { CRASHES = sizeof crashes / sizeof *crashes };
static _Atomic int32_t *crash_word;         /* where a crash leaves its signal */
static bool             alone;              /* and there is nobody to read it  */
static struct sigaction before_us[CRASHES]; /* whoever was told of it before: MPI, a sanitizer, nobody */

/* What is done in the end is theirs: the instruction that failed fails again, or the signal comes once more. */
static void note_crash(int number, siginfo_t *info, void *where)
{
    (void)where;
    static const char line[] =
        "lockstep: error: the program crashed: a fault of its own, or too little memory (ulimit -v)\n";
    if (crash_word) *crash_word = number;
    if (alone && write(STDERR_FILENO, line, sizeof line - 1) < 0) { /* of several ranks another one says so */
    }
    for (size_t i = 0; i < CRASHES; i++)
        if (crashes[i] == number) sigaction(number, &before_us[i], NULL);
    if (info->si_code <= 0) raise(number);
}

/* With a stack of its own for the thread that computes: one that could not grow is a crash, too. */
void ls__crash_report_install(_Atomic int32_t *word, bool nobody_else)
{
    static char stack[1 << 16];
    stack_t     has;
    crash_word = word;
    alone      = nobody_else;
    if (sigaltstack(NULL, &has) == 0 && has.ss_flags & SS_DISABLE)
        sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
    for (size_t i = 0; i < CRASHES; i++) {
        struct sigaction action = {.sa_sigaction = note_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
        sigaction(crashes[i], &action, &before_us[i]);
    }
}

void ls__crash_report_uninstall(void)
{
    if (!crash_word) return;
    crash_word = NULL;
    for (size_t i = 0; i < CRASHES; i++) {
        struct sigaction now;
        if (sigaction(crashes[i], NULL, &now) == 0 && now.sa_sigaction == note_crash)
            sigaction(crashes[i], &before_us[i], NULL);
    }
}
