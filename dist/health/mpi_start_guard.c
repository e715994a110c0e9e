/* SPDX-License-Identifier: Apache-2.0
 *
 * The start guard.  Sources of information that do not need MPI: the launcher's environment variables give the number
 * of each rank; the ranks of a host are children of one process; and a rank that waits in MPI_Init has a thread named
 * WAITER_NAME.  A rank that ends before MPI has started should make the launcher end the job; when the launcher does
 * not, the waiting ranks end themselves. */
#include "dist/health/mpi_start_guard.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/flight_recorder.h"
#include "dist/comm/launcher.h"
#include "dist/comm/process_state.h"
#include "dist/comm/rank_state.h"

enum {
    TICK_MS         = 200,  /* between two checks                                                              */
    TICK_SIBLING_MS = 10,   /* added to it for each sibling                                                    */
    LAUNCHER_S      = 3,    /* time in which a launcher ends the job after the end of a rank                   */
    TURN_MS         = 1200, /* between the ends of two ranks of a host, and between hosts                      */
    MAX_TURNS       = 4,
    MAX_SIBLINGS    = 1024
};
#define S_PER_NS 1e-9
#define WAITER_NAME "lockstep start" /* at most 15 characters */

/* Another rank of this host. */
typedef struct sibling {
    int     process, rank;
    int64_t started; /* start time of the process, see process_state.h */
} sibling;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    pthread_t       thread;
    int             depth; /* of nested begins                                          */
    bool            over;  /* MPI has started                                           */
    double          limit_s;
    int64_t         began_ns;
    int64_t         ended_ns; /* when a sibling was first seen to have ended; 0: none has  */
    sibling         sibling[MAX_SIBLINGS];
    int             siblings;
} start = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- ranks of this host ------------------------------------------------------------------------------------------ */

static int own_rank(void) { return ls__launcher().rank; }

/* Returns the number of ranks on this host; `fallback` when the launcher does not announce it. */
static int local_ranks(int fallback)
{
    const int n = ls__launcher().local_size;
    return n ? n : fallback;
}

/* Reads a file as text; returns its length, -1 when it cannot be opened. */
static ssize_t read_file(char *to, size_t room, const char *path)
{
    int     file = open(path, O_RDONLY | O_CLOEXEC);
    size_t  used = 0;
    ssize_t n    = 1;
    while (file >= 0 && used < room - 1 && n > 0) {
        n = read(file, to + used, room - 1 - used);
        if (n > 0) used += (size_t)n;
    }
    if (file >= 0) close(file);
    to[used] = 0;
    return file < 0 ? -1 : (ssize_t)used;
}

/* Returns the rank that the launcher has given to a process; -1: the process is not a rank. */
static int rank_of(int process)
{
    static char text[1 << 17];
    char        path[64];
    snprintf(path, sizeof path, "/proc/%d/environ", process);
    ssize_t n = read_file(text, sizeof text, path);
    return ls__launcher_rank_in(text, n > 0 ? (size_t)n : 0);
}

/* Adds a process to the siblings when it is a rank and not known yet. */
static void add_sibling(int process)
{
    char    state;
    int64_t started;
    for (int i = 0; i < start.siblings; i++)
        if (start.sibling[i].process == process) return;
    if (process == getpid() || start.siblings == MAX_SIBLINGS || !ls__process_state(process, &state, &started)) return;
    int rank = rank_of(process);
    if (rank >= 0 && rank != own_rank()) start.sibling[start.siblings++] = (sibling){process, rank, started};
}

/* Adds the children of this process's parent. */
static void find_siblings(void)
{
    static char text[1 << 16];
    char        path[320];
    snprintf(path, sizeof path, "/proc/%d/task", (int)getppid());
    DIR *tasks = opendir(path);
    for (const struct dirent *t; tasks && (t = readdir(tasks));) {
        if (!isdigit((unsigned char)t->d_name[0])) continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)getppid(), t->d_name);
        if (read_file(text, sizeof text, path) <= 0) continue;
        for (char *p = text, *end; *p; p = end) {
            long process = strtol(p, &end, 10);
            if (end == p) break;
            add_sibling((int)process);
            end += *end == ' ';
        }
    }
    if (tasks) closedir(tasks);
}

/* True when the process waits in MPI_Init: it has a start guard as well. */
static bool waits_in_start(int process)
{
    char path[320], name[64];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/task", process);
    DIR *tasks = opendir(path);
    for (const struct dirent *t; tasks && !found && (t = readdir(tasks));) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/comm", process, t->d_name);
        found = t->d_name[0] != '.' && read_file(name, sizeof name, path) > 0 &&
                !strncmp(name, WAITER_NAME, strlen(WAITER_NAME));
    }
    if (tasks) closedir(tasks);
    return found;
}

/* State of a sibling, from the least to the most certain cause of a stuck start. */
typedef enum presence { WAITING, ABSENT, STOPPED, ENDED } presence;

static presence presence_of(const sibling *s)
{
    char state;
    if (!ls__process_runs(s->process, s->started, &state)) return ENDED;
    if (state == 'T') return STOPPED;
    return waits_in_start(s->process) || state == 't' ? WAITING : ABSENT;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* NEED_MB covers libraries and threads of Open MPI 4.1, NEED_RANK_MB the memory that it shares for each local rank. */
ls_status ls__mpi_start_guard_memory(void)
{
    enum { NEED_MB = 288, NEED_RANK_MB = 4 };
    const size_t  need = (size_t)(NEED_MB + NEED_RANK_MB * local_ranks(1)) << 20;
    struct rlimit limit;
    char          host[LS_HOST_NAME] = "";
    void         *room               = mmap(NULL, need, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room != MAP_FAILED) {
        munmap(room, need);
        return LS_OK;
    }
    gethostname(host, sizeof host - 1);
    const bool limited = getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    return LS_FAIL(LS_ERR_ENV, "rank %d on %s: no memory: MPI needs %zu MB to start%s" LS_HINT "%s", own_rank(), host,
                   need >> 20, limited ? ", and the memory of this process is limited (ulimit -v)" : "",
                   limited ? "ulimit -v unlimited" : "fewer ranks on this host");
}

/* ---- the end of the process -------------------------------------------------------------------------------------- */

/* Writes the error for the case that all known siblings wait. */
static void describe_all_waiting(char *line, size_t room, const char *host, double s)
{
    const int here = start.siblings + 1, expected = local_ranks(here), missing = expected - here;
    if (missing > 0) {
        snprintf(line, room,
                 "%s: MPI has not started after %.0f s: %d of the %d ranks of this host %s missing" LS_HINT
                 "do all ranks run the same program?",
                 host, s, missing, expected, missing == 1 ? "is" : "are");
        return;
    }
    snprintf(line, room,
             "%s: MPI has not started after %.0f s: the %d rank%s of this host wait%s for other hosts or for the "
             "launcher" LS_HINT "does `mpirun hostname` work on these hosts? does a firewall between them block TCP? "
             "LOCKSTEP_START_S=N allows N seconds",
             host, s, here, here == 1 ? "" : "s", here == 1 ? "s" : "");
}

/* Writes the error for a sibling that does not wait in MPI_Init. */
static void describe_sibling(char *line, size_t room, const char *host, presence is, const sibling *it, double s)
{
    static const char *const text[] = {
        [ABSENT] = "has not come to MPI_Init", [STOPPED] = "has been stopped (SIGSTOP)", [ENDED] = "has ended"};
    char name[64] = "", path[64], detail[128] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", it->process);
    (void)read_file(name, sizeof name, path);
    name[strcspn(name, "\n")] = 0;
    if (is == ABSENT) snprintf(detail, sizeof detail, " (`%s`)", name);
    if (is == STOPPED) snprintf(detail, sizeof detail, " (`kill -CONT %d` on that host resumes it)", it->process);
    snprintf(line, room, "rank %d on %s %s in start-up, process %d%s; rank %d has been waiting for %.0f s", it->rank,
             host, text[is], it->process, detail, own_rank(), s);
}

/* Prints the error and ends the process.  When all ranks of this host wait, first gives other hosts a turn to name a
 * rank.  Returns when MPI has started meanwhile.  The caller holds the lock. */
static void end_process(int64_t now)
{
    const double s                  = (double)(now - start.began_ns) * S_PER_NS;
    char         host[LS_HOST_NAME] = "", line[1024], text[1280];
    int          worst              = -1;
    presence     is                 = WAITING;
    for (int i = 0; i < start.siblings; i++) {
        presence its = presence_of(&start.sibling[i]);
        if (its <= is) continue;
        is    = its;
        worst = i;
    }
    gethostname(host, sizeof host - 1);
    if (worst < 0)
        describe_all_waiting(line, sizeof line, host, s);
    else
        describe_sibling(line, sizeof line, host, is, &start.sibling[worst], s);
    pthread_mutex_unlock(&start.lock);
    if (is == WAITING) usleep(TURN_MS * 1000);
    pthread_mutex_lock(&start.lock);
    if (start.over) return;
    int n = snprintf(text, sizeof text, "lockstep: error: %s\n", line);
    if (write(STDERR_FILENO, text, (size_t)n) != n) {
        /* stderr is closed; the exit code remains */
    }
    _exit(LS_ERR_ENV);
}

/* Additional delay of this rank: the ranks of a host end one after the other, so that the launcher has ended the job
 * after the first error and only one is printed. */
static double turn_s(void)
{
    int lower = 0;
    for (int i = 0; i < start.siblings; i++) lower += start.sibling[i].rank < own_rank();
    return 1e-3 * TURN_MS * (lower < MAX_TURNS ? lower : MAX_TURNS);
}

/* True when a sibling has ended and the launcher has not ended the job in LAUNCHER_S. */
static bool launcher_ignores_end(int64_t now)
{
    bool ended = false;
    for (int i = 0; i < start.siblings; i++) ended |= presence_of(&start.sibling[i]) == ENDED;
    if (!ended)
        start.ended_ns = 0;
    else if (!start.ended_ns)
        start.ended_ns = now;
    return ended && (double)(now - start.ended_ns) * S_PER_NS > LAUNCHER_S + turn_s();
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static void *watch(void *context)
{
    (void)context;
    pthread_mutex_lock(&start.lock);
    for (int64_t last = ls__clock_ns(); !start.over;) {
        const long      sibling_ms = TICK_SIBLING_MS * (long)start.siblings;
        struct timespec at = ls__clock_timespec(ls__clock_ns() + (TICK_MS + sibling_ms) * (int64_t)LS_NS_PER_MS);
        if (pthread_cond_timedwait(&start.changed, &start.lock, &at) != ETIMEDOUT) continue;
        int64_t now = ls__clock_ns();
        /* After a suspension of this process or the machine, the time of the suspension does not count. */
        if (now - last > (5 * TICK_MS + sibling_ms) * INT64_C(1000000)) start.began_ns += now - last;
        last = now;
        find_siblings();
        const bool ignored = launcher_ignores_end(now);
        const bool expired = (double)(now - start.began_ns) * S_PER_NS > start.limit_s + turn_s();
        if (ignored || (!start.ended_ns && expired)) end_process(now);
    }
    pthread_mutex_unlock(&start.lock);
    return NULL;
}

void ls__mpi_start_guard_begin(void)
{
    sigset_t           all, before;
    pthread_condattr_t monotonic;
    const char        *limit = getenv("LOCKSTEP_START_S");
    if (start.depth++ || ls__launcher().size < 2) return;
    start.limit_s = limit && *limit ? atof(limit) : LS_MPI_START_S;
    if (start.limit_s <= 0) return;
    start.over     = false;
    start.began_ns = ls__clock_ns();
    start.ended_ns = 0;
    start.siblings = 0;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&start.changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&start.thread, NULL, watch, NULL) != 0) start.limit_s = 0; /* continues without a limit */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (start.limit_s > 0) (void)pthread_setname_np(start.thread, WAITER_NAME);
}

void ls__mpi_start_guard_end(void)
{
    if (--start.depth || start.limit_s <= 0) return;
    pthread_mutex_lock(&start.lock);
    start.over = true;
    pthread_cond_broadcast(&start.changed);
    pthread_mutex_unlock(&start.lock);
    pthread_join(start.thread, NULL);
    pthread_cond_destroy(&start.changed);
    start.limit_s = 0;
}
