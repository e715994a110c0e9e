/* SPDX-License-Identifier: Apache-2.0
 *
 * Kills a training run repeatedly at random moments and resumes it on another number of ranks until it completes, then
 * begins the next run.  A kill is SIGKILL to one rank, or to mpirun and all ranks; half of the kills happen while a
 * checkpoint is written.
 *
 * After each kill every checkpoint must be valid in every byte, the newest must be no older than before, and each step
 * in metrics.jsonl must have the digest of an undisturbed run.  A run that is not killed must complete.
 */
#ifndef LS_TESTS_LAUNCH_RUN_KILLS_H
#define LS_TESTS_LAUNCH_RUN_KILLS_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <time.h>

#include "core/base/clock.h"
#include "dist/dist.h"
#include "tests/launch/run_program.h"

#define KILLS_RUN                                                                                                      \
    "train mlp-mnist data.path=digits data.train_count=160 data.test_count=20 train.batch=16 train.shards=4 "          \
    "train.epochs=6 "                                                                                                  \
    "model.options={hidden: 24, layers: 2} log.every=1 checkpoint.every=2 checkpoint.writers=3 "                       \
    "checkpoint.keep_last=2 "
enum { KILLS_STEPS = 60, KILLS_RANKS = 4 };

typedef struct kills {
    char     digest[KILLS_STEPS + 1][17]; /* of each step of an undisturbed run */
    double   seconds[KILLS_RANKS + 1];    /* duration of such a run, by number of ranks */
    char     dir[32];                     /* directory of the current run */
    int64_t  newest;                      /* step of its newest checkpoint; -1: none */
    int      kills, of_one, of_all, writing, finished, stuck;
    unsigned seed;
} kills;

static double kills_random(kills *k) { return (double)rand_r(&k->seed) / RAND_MAX; }

/* ---- starting and ending ----------------------------------------------------------------------------------------- */

/* Starts the run; each rank writes its process number to the file pid.RANK.  Returns the process to wait for. */
static pid_t kills_start(const kills *k, int ranks)
{
    char command[2048], launcher[256] = "";
    for (int r = 0; r < KILLS_RANKS; r++) {
        snprintf(command, sizeof command, "pid.%d", r);
        unlink(command);
    }
    if (ranks > 1) snprintf(launcher, sizeof launcher, "exec " MPIRUN " -np %d ", ranks);
    const char *shell = "sh -c 'echo $$ > pid.${OMPI_COMM_WORLD_RANK:-0}; exec \"$@\"' rank";
    snprintf(command, sizeof command, "%s%s%s %s %s", launcher, ranks > 1 ? "" : "exec ", shell, LOCKSTEP_PROGRAM,
             KILLS_RUN);
    /* quotes the option whose value has braces and a comma */
    char *options = strstr(command, "model.options="), quoted[2048];
    char *end     = strchr(options, '}') + 1;
    snprintf(quoted, sizeof quoted, "%.*s'%.*s'%s run.dir=%s > out 2>> err < /dev/null", (int)(options - command),
             command, (int)(end - options), options, end, k->dir);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setpgid(0, 0);
        execl("/bin/sh", "sh", "-c", quoted, (char *)NULL);
        _exit(127);
    }
    return child;
}

static pid_t kills_rank(int rank)
{
    char name[16];
    int  pid = 0;
    snprintf(name, sizeof name, "pid.%d", rank);
    FILE *f = fopen(name, "r");
    if (f && fscanf(f, "%d", &pid) != 1) pid = 0;
    if (f) fclose(f);
    return pid;
}

/* Waits for `child`; returns false when it has not ended in time.  Counts polls instead of reading a clock, so that a
 * suspended machine does not count. */
static bool kills_wait(pid_t child, int seconds, int *status)
{
    for (int i = 0; i < 2000 * seconds; i++, usleep(500))
        if (waitpid(child, status, WNOHANG) == child) return true;
    return false;
}

/* True while the process runs; a zombie does not. */
static bool kills_alive(pid_t pid)
{
    char path[32], line[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f) return false;
    if (!fgets(line, sizeof line, f)) line[0] = 0;
    fclose(f);
    const char *end = strrchr(line, ')');
    return end && end[1] && end[2] != 'Z' && end[2] != 'X';
}

/* Kills all ranks and waits for their ends, so that none of them writes any more. */
static void kills_sweep(int ranks)
{
    for (int r = 0; r < ranks; r++) {
        pid_t pid = kills_rank(r);
        if (pid > 0) kill(pid, SIGKILL);
        for (int i = 0; pid > 0 && i < 20000 && kills_alive(pid); i++) usleep(500);
    }
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static void kills_check_checkpoint(const ls_checkpoint_info *info, void *data)
{
    kills *k = data;
    if (info->problem)
        fail_msg("kill %d: expected a valid checkpoint, found %s: %s", k->kills, info->path, info->problem);
    k->newest = info->progress.step;
}

/* True while a checkpoint is written. */
static bool kills_is_writing(const kills *k)
{
    char path[64];
    bool found = false;
    snprintf(path, sizeof path, "%s/checkpoints", k->dir);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) found |= strncmp(e->d_name, ".tmp-step-", 10) == 0;
    if (dir) closedir(dir);
    return found;
}

/* Compares the digest of each step in metrics.jsonl with the undisturbed run; returns the number of steps. */
static int kills_compare(kills *k)
{
    char line[4096], path[64];
    int  steps = 0;
    snprintf(path, sizeof path, "%s/metrics.jsonl", k->dir);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        json_t     *event  = json_loads(line, 0, NULL);
        const char *digest = json_string_value(json_object_get(event, "digest"));
        int         step   = (int)json_integer_value(json_object_get(event, "step"));
        if (digest && strcmp(json_string_value(json_object_get(event, "event")), "step") == 0) {
            if (step < 1 || step > KILLS_STEPS || strcmp(digest, k->digest[step]) != 0)
                fail_msg("kill %d: step %d has the digest %s, expected %s", k->kills, step, digest,
                         step >= 1 && step <= KILLS_STEPS ? k->digest[step] : "none");
            steps++;
        }
        json_decref(event);
    }
    if (f) fclose(f);
    return steps;
}

static void kills_check(kills *k)
{
    char    path[64];
    int64_t before = k->newest;
    snprintf(path, sizeof path, "%s/checkpoints", k->dir);
    k->newest = -1;
    if (exists(path)) assert_int_equal(ls_checkpoint_list(path, true, kills_check_checkpoint, k), LS_OK);
    if (k->newest < before)
        fail_msg("kill %d: newest checkpoint: expected step %d or later, found step %d", k->kills, (int)before,
                 (int)k->newest);
    if (strstr(text_of("err"), "damaged")) fail_msg("kill %d: %s", k->kills, text_of("err"));
    kills_compare(k);
}

/* ---- a kill ------------------------------------------------------------------------------------------------------ */

static void kills_new_run(kills *k, const char *dir)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
    snprintf(k->dir, sizeof k->dir, "%s", dir);
    k->newest = -1;
}

/* Measures an undisturbed run on `ranks` ranks and stores its digests. */
static void kills_measure(kills *k, int ranks)
{
    int    status;
    double began = ls__clock_s();
    kills_new_run(k, "reference");
    pid_t child = kills_start(k, ranks);
    if (!kills_wait(child, 120, &status) || !WIFEXITED(status) || WEXITSTATUS(status))
        fail_msg("a run on %d ranks: %s", ranks, text_of("err"));
    k->seconds[ranks] = ls__clock_s() - began;
    char  line[4096];
    FILE *f = fopen("reference/metrics.jsonl", "r");
    assert_non_null(f);
    for (int step = 1; fgets(line, sizeof line, f);) {
        json_t *event = json_loads(line, 0, NULL);
        if (strstr(line, "\"event\":\"step\"") && step <= KILLS_STEPS)
            snprintf(k->digest[step++], sizeof k->digest[0], "%s", json_string_value(json_object_get(event, "digest")));
        json_decref(event);
    }
    fclose(f);
    assert_int_equal(kills_compare(k), KILLS_STEPS);
}

/* Waits for the moment of the kill: while a checkpoint is written, or a random time.  Returns false when the run has
 * ended before. */
static bool kills_pause(kills *k, pid_t child, int ranks, int *status)
{
    bool   write = kills_random(k) < 0.5;
    double wait = kills_random(k) * k->seconds[ranks], end = ls__clock_s() + (write ? 10 : wait);
    int    skip = (int)(kills_random(k) * 6);
    for (bool was = false; ls__clock_s() < end; usleep(write ? 100 : 500)) {
        bool is = write && kills_is_writing(k);
        if (waitpid(child, status, WNOHANG) == child) return false;
        if (is && !was && skip-- == 0) {
            usleep((useconds_t)(kills_random(k) * 600)); /* about the duration of a write, us */
            break;
        }
        was = is;
    }
    return true;
}

/* Starts the run on a random number of ranks and kills it, unless it completes before. */
static void kills_once(kills *k)
{
    int   ranks = kills_random(k) < 0.6 ? 1 : 2 + (int)(kills_random(k) * (KILLS_RANKS - 1.001)), status = 0;
    pid_t child = kills_start(k, ranks);
    if (kills_pause(k, child, ranks, &status)) {
        bool  one    = ranks > 1 && kills_random(k) < 0.6;
        pid_t victim = one ? kills_rank((int)(kills_random(k) * (ranks - 0.001))) : 0;
        k->kills++;
        k->writing += kills_is_writing(k);
        if (victim > 0) {
            k->of_one++;
            kill(victim, SIGKILL);
            /* mpirun may wait forever for a rank that was killed while it was being connected. */
            if (!kills_wait(child, 20, &status)) {
                if (strstr(text_of("err"), "parameters, "))
                    fail_msg("kill %d: expected the end of the run after the kill of one of %d ranks", k->kills, ranks);
                k->stuck++;
                kill(-child, SIGKILL);
                kills_sweep(ranks);
                assert_true(kills_wait(child, 20, &status));
            }
        } else {
            k->of_all++;
            kill(-child, SIGKILL);
            kills_sweep(ranks);
            assert_true(kills_wait(child, 20, &status));
        }
        kills_sweep(ranks);
    } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("kill %d: expected the run on %d ranks to complete, found exit code %d: %s", k->kills, ranks,
                 WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), text_of("err"));
    }
    kills_check(k);
    char model[64];
    snprintf(model, sizeof model, "%s/report.html", k->dir);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && exists(model)) {
        assert_int_equal(k->newest, KILLS_STEPS);
        if (kills_compare(k) != KILLS_STEPS)
            fail_msg("kill %d: expected all steps in the log of a completed run", k->kills);
        k->finished++;
        kills_new_run(k, "killed");
    }
    unlink("err");
}

/* Moves to a folder in memory: files outlive their process there as well, and a disk would only be slower. */
static void kills_into_memory(void)
{
    char memory[64] = "/dev/shm/lockstep-kills-XXXXXX";
    if (!mkdtemp(memory) || chdir(memory) != 0) return;
    rmdir(folder);
    strcpy(folder, memory);
}

static void kills_many(int n)
{
    kills  k     = {.seed = (unsigned)(getenv("LOCKSTEP_SEED") ? atoi(getenv("LOCKSTEP_SEED")) : 1)};
    double began = ls__clock_s();
    folder_enter();
    kills_into_memory();
    for (int ranks = KILLS_RANKS; ranks >= 1; ranks--) kills_measure(&k, ranks);
    for (int ranks = 1; ranks <= KILLS_RANKS; ranks++)
        printf("%d rank%s: %.2f s undisturbed\n", ranks, ranks == 1 ? "" : "s", k.seconds[ranks]);
    kills_new_run(&k, "killed");
    while (k.kills < n) {
        int before = k.kills;
        kills_once(&k);
        if (k.kills != before && k.kills % 100 == 0) {
            printf("%d kills, %.0f s\n", k.kills, ls__clock_s() - began);
            fflush(stdout);
        }
    }
    printf(
        "%d kills in %.0f s: %d of one rank, %d of all, %d while a checkpoint was written; %d runs completed; mpirun "
        "was stuck %d times\n"
        "0 invalid checkpoints, 0 lost runs, 0 digests that differ\n",
        k.kills, ls__clock_s() - began, k.of_one, k.of_all, k.writing, k.finished, k.stuck);
    folder_leave();
}

#endif
