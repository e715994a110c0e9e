/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known without MPI: the launcher put each rank's number into its environment, and the ranks of a host are
 * children of the same process.  Those that wait here, too, have a thread of a name that tells.  A rank that was there
 * and is gone should end the job by way of the launcher; where that does not, the others do. */
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

#include "core/base/flight_recorder.h"
#include "core/base/status.h"
#include "dist/comm/launcher.h"
#include "dist/comm/process_state.h"
#include "dist/comm/rank_state.h"

/* A launcher ends a job within this time of a rank's end. */
enum { TICK_MS = 200, LAUNCHER_S = 3, TURN_MS = 1200, TURNS = 4, MOST = 1024, PACE_MS = 10 };
#define NS 1e-9
#define WAITER "lockstep start" /* at most 15 characters */

/* A rank of this host. */
typedef struct sibling {
    int     process, rank;
    int64_t started;
} sibling;

static struct {
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    pthread_t       thread;
    int             depth;
    bool            over;
    double          limit_s;
    int64_t         began_ns, gone_ns; /* gone: since when one is missed that was there; 0: none is */
    sibling         sibling[MOST];     /* besides this rank                                          */
    int             siblings;
} start = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- what the launcher says -------------------------------------------------------------------------------------- */

static int own_rank(void) { return ls__launcher().rank; }

/* Returns the number of ranks on this host, `fallback` if the launcher does not announce it. */
static int local_ranks(int fallback)
{
    const int n = ls__launcher().local_size;
    return n ? n : fallback;
}

ls_status ls__mpi_start_guard_memory(void)
{
    enum {
        NEED_MB      = 288,
        NEED_RANK_MB = 4
    }; /* Open MPI 4.1: libraries, a thread or two, and what each rank of a host shows the others */
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
                   need >> 20, limited ? ", and there is a limit on this process's memory (ulimit -v)" : "",
                   limited ? "ulimit -v unlimited" : "fewer ranks on this host");
}

/* ---- the ranks of this host -------------------------------------------------------------------------------------- */

static ssize_t read_file(char *to, size_t room, const char *path)
{
    int     file = open(path, O_RDONLY | O_CLOEXEC);
    size_t  used = 0;
    ssize_t n    = 0;
    while (file >= 0 && used < room - 1 && (n = read(file, to + used, room - 1 - used)) > 0) used += (size_t)n;
    if (file >= 0) close(file);
    to[used] = 0;
    return file < 0 ? -1 : (ssize_t)used;
}

/* As the launcher has numbered it; -1: it is no rank. */
static int rank_of(int process)
{
    static char text[1 << 17];
    char        path[64];
    snprintf(path, sizeof path, "/proc/%d/environ", process);
    ssize_t n = read_file(text, sizeof text, path);
    return ls__launcher_rank_in(text, n > 0 ? (size_t)n : 0);
}

static void meet(int process)
{
    char    state;
    int64_t started;
    for (int i = 0; i < start.siblings; i++)
        if (start.sibling[i].process == process) return;
    if (process == getpid() || start.siblings == MOST || !ls__process_state(process, &state, &started)) return;
    int rank = rank_of(process);
    if (rank >= 0 && rank != own_rank()) start.sibling[start.siblings++] = (sibling){process, rank, started};
}

/* The children of the process that started this one. */
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
            meet((int)process);
            end += *end == ' ';
        }
    }
    if (tasks) closedir(tasks);
}

/* Whether it is in here, too. */
static bool waits(int process)
{
    char path[320], name[64];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/task", process);
    DIR *tasks = opendir(path);
    for (const struct dirent *t; tasks && !found && (t = readdir(tasks));) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/comm", process, t->d_name);
        found = t->d_name[0] != '.' && read_file(name, sizeof name, path) > 0 && !strncmp(name, WAITER, strlen(WAITER));
    }
    if (tasks) closedir(tasks);
    return found;
}

typedef enum how { HERE, ABSENT, STOPPED, GONE } how; /* from the vaguest to the surest */

static how how_is(const sibling *s)
{
    char    state;
    int64_t started;
    if (!ls__process_state(s->process, &state, &started) || started != s->started || state == 'Z' || state == 'X')
        return GONE;
    return state == 'T' ? STOPPED : waits(s->process) || state == 't' ? HERE : ABSENT;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void say(char *line, size_t room, how is, const sibling *it, double s)
{
    char host[LS_HOST_NAME] = "", name[64] = "", path[64];
    gethostname(host, sizeof host - 1);
    const int here = start.siblings + 1, placed = local_ranks(here);
    if (is == HERE && here < placed) {
        snprintf(line, room,
                 "MPI has not started after %.0f s: of the %d ranks of %s %d %s not there (any more)" LS_HINT
                 "do all ranks run the same program?",
                 s, placed, host, placed - here, placed - here == 1 ? "is" : "are");
        return;
    }
    if (is == HERE) {
        const bool one = here == 1;
        snprintf(line, room,
                 "MPI has not started after %.0f s: the %d rank%s of %s wait%s for those of other hosts, or for the "
                 "launcher" LS_HINT "does `mpirun hostname` work there? does a firewall stop TCP between the hosts? "
                 "LOCKSTEP_START_S=N allows N seconds",
                 s, here, one ? "" : "s", host, one ? "s" : "");
        return;
    }
    snprintf(path, sizeof path, "/proc/%d/comm", it->process);
    (void)read_file(name, sizeof name, path);
    name[strcspn(name, "\n")] = 0;
    const char *what          = is == GONE      ? "has ended"
                                : is == STOPPED ? "has been stopped (SIGSTOP)"
                                                : "has not come to MPI_Init";
    int used = snprintf(line, room, "rank %d on %s %s in start-up, process %d", it->rank, host, what, it->process);
    if (is == ABSENT) used += snprintf(line + used, room - (size_t)used, " (`%s`)", name);
    if (is == STOPPED)
        used += snprintf(line + used, room - (size_t)used, " (kill -CONT %d there lets it go on)", it->process);
    snprintf(line + used, room - (size_t)used, "; rank %d has been waiting for %.0f s", own_rank(), s);
}

/* Where all of a host wait, other hosts have their turn first.  Returns when all have come meanwhile. */
static void give_up(int64_t now)
{
    int worst = -1;
    how is    = HERE;
    for (int i = 0; i < start.siblings; i++) {
        how its = how_is(&start.sibling[i]);
        if (its <= is) continue;
        is    = its;
        worst = i;
    }
    char line[1024], text[1280];
    say(line, sizeof line, is, worst < 0 ? NULL : &start.sibling[worst], (double)(now - start.began_ns) * NS);
    pthread_mutex_unlock(&start.lock);
    if (is == HERE) usleep(TURN_MS * 1000);
    pthread_mutex_lock(&start.lock);
    if (start.over) return;
    int n = snprintf(text, sizeof text, "lockstep: error: %s\n", line);
    if (write(STDERR_FILENO, text, (size_t)n) != n) { /* nobody is left who could be told */
    }
    _exit(LS_ERR_ENV);
}

/* One rank of a host after the other, so that the first one's words, with which the launcher ends the job, are the only
 * ones. */
static double turn_s(void)
{
    int lower = 0;
    for (int i = 0; i < start.siblings; i++) lower += start.sibling[i].rank < own_rank();
    return 1e-3 * TURN_MS * (lower < TURNS ? lower : TURNS);
}

/* One that was there is not: the launcher has its chance first. */
static bool one_is_gone(int64_t now)
{
    bool gone = false;
    for (int i = 0; i < start.siblings; i++) gone |= how_is(&start.sibling[i]) == GONE;
    if (!gone)
        start.gone_ns = 0;
    else if (!start.gone_ns)
        start.gone_ns = now;
    return gone && (double)(now - start.gone_ns) * NS > LAUNCHER_S + turn_s();
}

static void *watch(void *context)
{
    (void)context;
    pthread_mutex_lock(&start.lock);
    for (int64_t last = ls__flight_now(); !start.over;) {
        struct timespec at;
        clock_gettime(CLOCK_MONOTONIC, &at);
        at.tv_nsec += (TICK_MS + PACE_MS * (long)start.siblings) * 1000000L;
        at.tv_sec += at.tv_nsec / 1000000000;
        at.tv_nsec %= 1000000000;
        if (pthread_cond_timedwait(&start.changed, &start.lock, &at) != ETIMEDOUT) continue;
        int64_t now = ls__flight_now();
        if (now - last > (5 * TICK_MS + PACE_MS * start.siblings) * INT64_C(1000000))
            start.began_ns += now - last; /* this process, or the whole machine, was stopped */
        last = now;
        find_siblings();
        const bool gone = one_is_gone(now);
        if (gone || (!start.gone_ns && (double)(now - start.began_ns) * NS > start.limit_s + turn_s())) give_up(now);
    }
    pthread_mutex_unlock(&start.lock);
    return NULL;
}

void ls__mpi_start_guard_begin(void)
{
    sigset_t           all, before;
    pthread_condattr_t monotonic;
    const char        *asked = getenv("LOCKSTEP_START_S");
    if (start.depth++ || ls__launcher().size < 2) return;
    start.limit_s = asked && *asked ? atof(asked) : LS_MPI_START_S;
    if (start.limit_s <= 0) return;
    start.over     = false;
    start.began_ns = ls__flight_now();
    start.gone_ns  = 0;
    start.siblings = 0;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&start.changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&start.thread, NULL, watch, NULL) != 0) start.limit_s = 0; /* then nobody watches */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (start.limit_s > 0) (void)pthread_setname_np(start.thread, WAITER);
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
