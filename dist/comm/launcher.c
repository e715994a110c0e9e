/* SPDX-License-Identifier: Apache-2.0
 * Detects how this process was started, from the environment variables of launchers and schedulers. */
#include "dist/comm/launcher.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"

extern char **environ;

/* Seconds that squeue may take.  A Slurm controller under load answers within a second. */
enum { SQUEUE_S = 5 };

static bool check_failed;

/* ---- rank and size ----------------------------------------------------------------------------------------------- */

/* Returns the value of a variable that holds a number of at least 0, `fallback` if it is unset or something else. */
static int number_of(const char *name, int fallback)
{
    const char *text = getenv(name);
    return text && isdigit((unsigned char)*text) ? atoi(text) : fallback;
}

/* Returns element `node` of Slurm's list of task counts: "2(x3),1" stands for 2, 2, 2, 1.  0: malformed. */
static int tasks_of_node(const char *list, int node)
{
    while (list && isdigit((unsigned char)*list)) {
        char *end;
        long  tasks = strtol(list, &end, 10), nodes = 1;
        if (!strncmp(end, "(x", 2)) {
            nodes = strtol(end + 2, &end, 10);
            end += *end == ')';
        }
        if (node < nodes) return (int)tasks;
        node -= (int)nodes;
        list = *end == ',' ? end + 1 : NULL;
    }
    return 0;
}

static void read_scheduler(ls_launcher *l)
{
    static const char *const names[][2] = {{"Slurm", "SLURM_JOB_ID"}, {"PBS", "PBS_JOBID"}, {"LSF", "LSB_JOBID"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *job = getenv(names[i][1]);
        if (!job || !*job) continue;
        l->scheduler = names[i][0];
        snprintf(l->job, sizeof l->job, "%s", job);
        return;
    }
}

/* srun sets PMI_RANK and PMIX_RANK to its own SLURM_PROCID.  If they differ, SLURM_PROCID belongs to the daemon of
 * another launcher. */
static bool is_srun(void)
{
    const int rank = number_of("SLURM_PROCID", -1);
    if (rank < 0 || !getenv("SLURM_STEP_ID")) return false; /* a batch script has SLURM_PROCID=0 and no step */
    return number_of("PMI_RANK", rank) == rank && number_of("PMIX_RANK", rank) == rank;
}

static void read_srun(ls_launcher *l)
{
    l->kind       = LS_LAUNCHER_SRUN;
    l->name       = "srun";
    l->rank       = number_of("SLURM_PROCID", -1);
    l->size       = number_of("SLURM_STEP_NUM_TASKS", number_of("SLURM_NTASKS", 0));
    l->local_size = tasks_of_node(getenv("SLURM_STEP_TASKS_PER_NODE"), number_of("SLURM_NODEID", 0));
    l->wired      = getenv("PMIX_RANK") || getenv("PMI_RANK");
    if (l->local_size) l->cores = number_of("SLURM_CPUS_ON_NODE", 0) / l->local_size;
}

ls_launcher ls__launcher(void)
{
    ls_launcher l = {.kind = LS_LAUNCHER_NONE, .name = "none", .rank = -1, .wired = true};
    read_scheduler(&l);
    if (number_of("OMPI_COMM_WORLD_RANK", -1) >= 0) {
        l.kind       = LS_LAUNCHER_OPEN_MPI;
        l.name       = "mpirun";
        l.rank       = number_of("OMPI_COMM_WORLD_RANK", -1);
        l.size       = number_of("OMPI_COMM_WORLD_SIZE", 0);
        l.local_size = number_of("OMPI_COMM_WORLD_LOCAL_SIZE", 0);
    } else if (is_srun()) {
        read_srun(&l);
    } else if (number_of("PMI_RANK", -1) >= 0) {
        l.kind       = LS_LAUNCHER_HYDRA;
        l.name       = "mpiexec";
        l.rank       = number_of("PMI_RANK", -1);
        l.size       = number_of("PMI_SIZE", 0);
        l.local_size = number_of("MPI_LOCALNRANKS", 0);
    } else if (number_of("PMIX_RANK", -1) >= 0) {
        l.kind = LS_LAUNCHER_PMIX;
        l.name = "the PMIx launcher";
        l.rank = number_of("PMIX_RANK", -1);
    }
    /* mpirun inside a Slurm job inherits the job's --cpus-per-task. */
    const int asked = number_of("SLURM_CPUS_PER_TASK", 0);
    l.cores_set     = l.kind != LS_LAUNCHER_NONE && asked > 0;
    if (l.cores_set) l.cores = asked;
    return l;
}

bool ls__launcher_is_root(void) { return ls__launcher().rank <= 0; }

int ls__launcher_rank_in(const char *environment, size_t bytes)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t length = strlen(names[i]);
        for (const char *p = environment; p < environment + bytes;
             p += strnlen(p, (size_t)(environment + bytes - p)) + 1)
            if ((size_t)(environment + bytes - p) > length + 1 && !strncmp(p, names[i], length) && p[length] == '=' &&
                isdigit((unsigned char)p[length + 1]))
                return atoi(p + length + 1);
    }
    return -1;
}

ls_status ls__launcher_check(int mpi_size)
{
    const ls_launcher l = ls__launcher();
    check_failed        = l.size > 1 && (mpi_size ? mpi_size == 1 : !l.wired);
    if (!check_failed) return LS_OK;
    const char *hint = l.kind == LS_LAUNCHER_SRUN ? "srun --mpi=pmix (`srun --mpi=list` shows what this Slurm has)"
                                                  : "start the ranks by the mpirun of the MPI library that lockstep is "
                                                    "built with; `lockstep doctor` names it";
    return LS_FAIL(LS_ERR_ENV,
                   "%s: started %d ranks, but each of them is alone in MPI (MPI_COMM_WORLD has 1 rank)" LS_HINT "%s",
                   l.name, l.size, hint);
}

bool ls__launcher_check_failed(void) { return check_failed; }

/* ---- end of the job ---------------------------------------------------------------------------------------------- */

/* Reads what a child process writes, until end of file or SQUEUE_S have passed. */
static bool read_child(int file, char *text, size_t room)
{
    const int64_t end  = ls__clock_ns() + (int64_t)SQUEUE_S * LS_NS_PER_S;
    size_t        used = 0;
    ssize_t       n    = 1;
    while (n > 0 && used + 1 < room) {
        const int64_t left_ms = (end - ls__clock_ns()) / LS_NS_PER_MS;
        struct pollfd p       = {.fd = file, .events = POLLIN};
        if (left_ms <= 0) return false;
        if (poll(&p, 1, (int)left_ms) < 0 && errno != EINTR) return false;
        if (!p.revents) continue;
        n = read(file, text + used, room - 1 - used);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            used += (size_t)n;
    }
    text[used] = 0;
    return n == 0 || used + 1 >= room;
}

/* Copies the environment of this process for squeue, with times as Unix seconds and without the user's own formats. */
static char **squeue_environment(void)
{
    static char time_format[] = "SLURM_TIME_FORMAT=%s";
    size_t      n             = 0;
    while (environ[n]) n++;
    char **copy = malloc((n + 2) * sizeof *copy);
    if (!copy) return NULL;
    size_t used = 0;
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "SLURM_TIME_FORMAT=", 18) != 0 && strncmp(environ[i], "SQUEUE_", 7) != 0)
            copy[used++] = environ[i];
    copy[used++] = time_format;
    copy[used]   = NULL;
    return copy;
}

/* Starts squeue without a shell, with its output in *output.  Returns -1 if that fails. */
static pid_t start_squeue(char *job, int *output)
{
    static char squeue[] = "squeue", no_header[] = "-h", jobs[] = "-j", format[] = "-O", fields[] = "JobID,EndTime";
    char *const argv[] = {squeue, no_header, jobs, job, format, fields, NULL};
    posix_spawn_file_actions_t files;
    int                        ends[2];
    pid_t                      child = -1;
    char                     **env   = squeue_environment();
    if (!env) return -1;
    if (pipe2(ends, O_CLOEXEC) == 0) {
        posix_spawn_file_actions_init(&files);
        posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
        posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        if (posix_spawnp(&child, squeue, &files, NULL, argv, env) != 0) child = -1;
        posix_spawn_file_actions_destroy(&files);
        close(ends[1]);
        *output = ends[0];
        if (child < 0) close(ends[0]);
    }
    free(env);
    return child;
}

/* Asks squeue for the end of a Slurm job.  Returns 0 for a job without time limit (squeue prints NONE), -1 if squeue
 * fails.  For the job that has the id of its array, squeue lists the other jobs of the array as well. */
static double squeue_end(char *job)
{
    char   text[1 << 16], *rest = NULL;
    double end    = -1;
    int    output = -1;
    if (!*job || job[strspn(job, "0123456789")]) return -1;
    const pid_t child = start_squeue(job, &output);
    if (child < 0) return -1;
    const bool complete = read_child(output, text, sizeof text);
    close(output);
    if (!complete) kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    for (char *line = complete ? strtok_r(text, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest)) {
        char id[32], time[32];
        if (sscanf(line, "%31s %31s", id, time) == 2 && !strcmp(id, job)) end = fmax(strtod(time, NULL), 0);
    }
    return end;
}

ls_status ls__launcher_job_end(double *left, const char **source)
{
    static const char *const names[] = {"LOCKSTEP_END", "SLURM_JOB_END_TIME"};
    const ls_launcher        l       = ls__launcher();
    double                   end     = 0;
    *left                            = INFINITY;
    *source                          = "";
    for (size_t i = 0; i < sizeof names / sizeof *names && !**source; i++) {
        const char *text = getenv(names[i]);
        char       *rest;
        if (!text || !*text) continue;
        *source = names[i];
        end     = strtod(text, &rest);
        LS_CHECK(!*rest && isfinite(end) && end > 0, LS_ERR_ENV,
                 "%s: expected a time in seconds since 1970, found '%s'", names[i], text);
    }
    if (!**source && l.scheduler && !strcmp(l.scheduler, "Slurm")) {
        char job[sizeof l.job];
        memcpy(job, l.job, sizeof job);
        *source = "squeue";
        end     = squeue_end(job);
        LS_CHECK(end >= 0, LS_ERR_ENV, "squeue: expected the end of Slurm job %s, found none", job);
    }
    if (end <= 0) return LS_OK;
    const double seconds = end - (double)time(NULL);
    LS_CHECK(seconds > 0, LS_ERR_ENV, "%s: expected a time in the future, found %.0f, which is %.0f s ago", *source,
             end, -seconds);
    *left = seconds;
    return LS_OK;
}
