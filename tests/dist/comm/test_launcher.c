/* SPDX-License-Identifier: Apache-2.0
 * Launcher detection: the environments that real launchers make, and the end of a job from each source. */
#include "dist/comm/launcher.h"

#include <math.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit.h"

/* Replaces the launcher's part of the environment by "NAME=value NAME=value ...". */
static void set_environment(const char *text)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK",
                                        "OMPI_COMM_WORLD_SIZE",
                                        "OMPI_COMM_WORLD_LOCAL_SIZE",
                                        "PMI_RANK",
                                        "PMI_SIZE",
                                        "MPI_LOCALNRANKS",
                                        "PMIX_RANK",
                                        "SLURM_PROCID",
                                        "SLURM_STEP_ID",
                                        "SLURM_STEP_NUM_TASKS",
                                        "SLURM_NTASKS",
                                        "SLURM_NODEID",
                                        "SLURM_STEP_TASKS_PER_NODE",
                                        "SLURM_CPUS_ON_NODE",
                                        "SLURM_CPUS_PER_TASK",
                                        "SLURM_JOB_ID",
                                        "SLURM_JOB_END_TIME",
                                        "LOCKSTEP_END",
                                        "PBS_JOBID",
                                        "LSB_JOBID"};
    char                     copy[1024], *rest = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(word, '=');
        *value++    = 0;
        assert_int_equal(setenv(word, value, 1), 0);
    }
}

static const struct {
    const char *environment;
    ls_launcher expected;
} launchers[] = {
    {"", {LS_LAUNCHER_NONE, "none", NULL, "", -1, 0, 0, 0, false, true}},
    {"OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_SIZE=2 PMIX_RANK=2",
     {LS_LAUNCHER_OPEN_MPI, "mpirun", NULL, "", 2, 4, 2, 0, false, true}},
    /* mpirun inside a Slurm job: the SLURM_ variables describe the daemon of the host, which srun started. */
    {"OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_LOCAL_SIZE=1 PMIX_RANK=2 SLURM_PROCID=1 "
     "SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_NODEID=1 SLURM_STEP_TASKS_PER_NODE=1(x2) SLURM_CPUS_ON_NODE=1 "
     "SLURM_JOB_ID=4",
     {LS_LAUNCHER_OPEN_MPI, "mpirun", "Slurm", "4", 2, 3, 1, 0, false, true}},
    {"PMI_RANK=1 PMI_SIZE=8 MPI_LOCALNRANKS=4", {LS_LAUNCHER_HYDRA, "mpiexec", NULL, "", 1, 8, 4, 0, false, true}},
    {"PMI_RANK=5 PMI_SIZE=8 MPI_LOCALNRANKS=4 SLURM_PROCID=1 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_JOB_ID=9",
     {LS_LAUNCHER_HYDRA, "mpiexec", "Slurm", "9", 5, 8, 4, 0, false, true}},
    {"SLURM_PROCID=2 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=3 SLURM_NTASKS=3 SLURM_NODEID=1 "
     "SLURM_STEP_TASKS_PER_NODE=2,1 SLURM_CPUS_ON_NODE=1 SLURM_JOB_ID=1 PMIX_RANK=2",
     {LS_LAUNCHER_SRUN, "srun", "Slurm", "1", 2, 3, 1, 1, false, true}},
    {"SLURM_PROCID=7 SLURM_STEP_ID=1 SLURM_STEP_NUM_TASKS=8 SLURM_NODEID=3 SLURM_STEP_TASKS_PER_NODE=2(x4) "
     "SLURM_CPUS_ON_NODE=8 SLURM_CPUS_PER_TASK=3 SLURM_JOB_ID=1 PMI_RANK=7 PMI_SIZE=8",
     {LS_LAUNCHER_SRUN, "srun", "Slurm", "1", 7, 8, 2, 3, true, true}},
    {"SLURM_PROCID=0 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=4 SLURM_NODEID=0 SLURM_STEP_TASKS_PER_NODE=4 SLURM_JOB_ID=2",
     {LS_LAUNCHER_SRUN, "srun", "Slurm", "2", 0, 4, 4, 0, false, false}},
    /* A batch script, which is no rank. */
    {"SLURM_PROCID=0 SLURM_NTASKS=4 SLURM_CPUS_PER_TASK=2 SLURM_JOB_ID=5",
     {LS_LAUNCHER_NONE, "none", "Slurm", "5", -1, 0, 0, 0, false, true}},
    {"PMIX_RANK=3", {LS_LAUNCHER_PMIX, "the PMIx launcher", NULL, "", 3, 0, 0, 0, false, true}},
    {"PBS_JOBID=17.head", {LS_LAUNCHER_NONE, "none", "PBS", "17.head", -1, 0, 0, 0, false, true}},
};

static void each_launcher_is_detected(void **state)
{
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
        const ls_launcher *want = &launchers[i].expected;
        set_environment(launchers[i].environment);
        const ls_launcher found = ls__launcher();
        if (found.kind != want->kind || strcmp(found.name, want->name) != 0 || found.rank != want->rank ||
            found.size != want->size || found.local_size != want->local_size || found.cores != want->cores ||
            found.cores_set != want->cores_set || found.wired != want->wired || strcmp(found.job, want->job) != 0 ||
            !found.scheduler != !want->scheduler || (found.scheduler && strcmp(found.scheduler, want->scheduler) != 0))
            fail_msg("'%s': found %s, rank %d of %d, %d local, %d cores (set: %d), wired %d, %s job '%s'",
                     launchers[i].environment, found.name, found.rank, found.size, found.local_size, found.cores,
                     found.cores_set, found.wired, found.scheduler ? found.scheduler : "no", found.job);
        assert_int_equal(ls__launcher_is_root(), want->rank <= 0);
    }
}

static void rank_of_another_process(void **state)
{
    static const char mpirun[]  = "HOME=/\0SLURM_PROCID=1\0PMIX_RANK=2\0OMPI_COMM_WORLD_RANK=3";
    static const char srun[]    = "SLURM_PROCID=1\0HOME=/";
    static const char none[]    = "MY_PMI_RANK=3\0PMI_RANK=x\0PMI_RANKS=4\0SLURM_PROCID";
    static const char clipped[] = {'P', 'M', 'I', '_', 'R', 'A', 'N', 'K', '='};
    assert_int_equal(ls__launcher_rank_in(mpirun, sizeof mpirun), 3);
    assert_int_equal(ls__launcher_rank_in(srun, sizeof srun), 1);
    assert_int_equal(ls__launcher_rank_in(none, sizeof none), -1);
    assert_int_equal(ls__launcher_rank_in(clipped, sizeof clipped), -1);
    assert_int_equal(ls__launcher_rank_in(none, 0), -1);
}

static void ranks_without_a_connection_are_an_error(void **state)
{
    set_environment("SLURM_PROCID=0 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=4 SLURM_JOB_ID=2");
    assert_fails(ls__launcher_check(0), LS_ERR_ENV, "srun --mpi=pmix");
    assert_true(ls__launcher_check_failed());
    set_environment("SLURM_PROCID=0 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=4 SLURM_JOB_ID=2 PMIX_RANK=0");
    assert_ok(ls__launcher_check(0));
    assert_ok(ls__launcher_check(4));
    assert_false(ls__launcher_check_failed());
    assert_fails(ls__launcher_check(1), LS_ERR_ENV, "srun: started 4 ranks");
    set_environment("PMI_RANK=0 PMI_SIZE=2");
    assert_fails(ls__launcher_check(1), LS_ERR_ENV, "mpiexec: started 2 ranks");
    set_environment("SLURM_PROCID=0 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=1 SLURM_JOB_ID=2");
    assert_ok(ls__launcher_check(0));
    assert_ok(ls__launcher_check(1));
    set_environment("");
    assert_ok(ls__launcher_check(1));
}

/* ---- end of the job ---------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/lockstep-test-XXXXXX", *old_path;

/* Puts a program "squeue" with this text in front of PATH. */
static void make_squeue(const char *script)
{
    char name[64];
    snprintf(name, sizeof name, "%s/squeue", folder);
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", script);
    fclose(f);
    assert_int_equal(chmod(name, 0755), 0);
}

static int make_folder(void **state)
{
    char path[4096];
    old_path = strdup(getenv("PATH"));
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s:%s", folder, old_path);
    return setenv("PATH", path, 1);
}

static int remove_folder(void **state)
{
    char name[64];
    snprintf(name, sizeof name, "%s/squeue", folder);
    unlink(name);
    setenv("PATH", old_path, 1);
    free(old_path);
    return rmdir(folder);
}

/* Sets a variable to a time that lies this many seconds ahead. */
static void set_time(const char *name, int seconds)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)time(NULL) + seconds);
    assert_int_equal(setenv(name, text, 1), 0);
}

/* Fails unless `left` is `seconds`, with a tolerance for the time that the test takes. */
static void assert_about(double left, double seconds)
{
    if (left > seconds + 2 || left < seconds - 30) fail_msg("%g s, expected %g s", left, seconds);
}

static void end_from_the_environment(void **state)
{
    double      left;
    const char *source;
    set_environment("");
    set_time("SLURM_JOB_END_TIME", 3600);
    assert_ok(ls__launcher_job_end(&left, &source));
    assert_about(left, 3600);
    assert_string_equal(source, "SLURM_JOB_END_TIME");
    set_time("LOCKSTEP_END", 600);
    assert_ok(ls__launcher_job_end(&left, &source));
    assert_about(left, 600);
    assert_string_equal(source, "LOCKSTEP_END");
    set_environment("LOCKSTEP_END=12:00");
    assert_fails(ls__launcher_job_end(&left, &source), LS_ERR_ENV, "LOCKSTEP_END: expected a time in seconds");
    assert_true(isinf(left));
    set_environment("LOCKSTEP_END=1000000000");
    assert_fails(ls__launcher_job_end(&left, &source), LS_ERR_ENV, "expected a time in the future, found 1000000000");
    assert_true(isinf(left));
    set_environment("PBS_JOBID=7");
    assert_ok(ls__launcher_job_end(&left, &source));
    assert_true(isinf(left));
    assert_string_equal(source, "");
}

static void end_from_squeue(void **state)
{
    double      left;
    const char *source;
    set_environment("SLURM_JOB_ID=6");
    setenv("SQUEUE_FORMAT", "%i", 1);
    setenv("SLURM_TIME_FORMAT", "relative", 1);
    make_squeue("[ \"$*\" = '-h -j 6 -O JobID,EndTime' ] && [ \"$SLURM_TIME_FORMAT\" = %s ] && [ -z \"$SQUEUE_FORMAT\" "
                "] || exit 1\nnow=$(date +%s)\n"
                "echo '61  1'; echo \"6                   $((now + 500))          \"; echo \"8      $((now + 900))\"");
    assert_ok(ls__launcher_job_end(&left, &source));
    assert_about(left, 500);
    assert_string_equal(source, "squeue");
    make_squeue("echo '6    NONE'"); /* no time limit */
    assert_ok(ls__launcher_job_end(&left, &source));
    assert_true(isinf(left));
    make_squeue("echo '61   1827530056'");
    assert_fails(ls__launcher_job_end(&left, &source), LS_ERR_ENV, "squeue: expected the end of Slurm job 6");
    assert_true(isinf(left));
    make_squeue("exit 1");
    assert_fails(ls__launcher_job_end(&left, &source), LS_ERR_ENV, "squeue");
    /* The id is no number: squeue is not started. */
    set_environment("SLURM_JOB_ID=6;echo");
    make_squeue("echo \"6;echo  $(($(date +%s) + 500))\"");
    assert_fails(ls__launcher_job_end(&left, &source), LS_ERR_ENV, "squeue");
}

static void a_squeue_that_hangs_is_killed(void **state)
{
    double       left;
    const char  *source;
    const time_t begin = time(NULL);
    set_environment("SLURM_JOB_ID=6");
    make_squeue("echo '6  1827530056'; exec sleep 100");
    assert_fails(ls__launcher_job_end(&left, &source), LS_ERR_ENV, "squeue");
    assert_true(time(NULL) - begin < 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_launcher_is_detected),
        cmocka_unit_test(rank_of_another_process),
        cmocka_unit_test(ranks_without_a_connection_are_an_error),
        cmocka_unit_test(end_from_the_environment),
        cmocka_unit_test(end_from_squeue),
        cmocka_unit_test(a_squeue_that_hangs_is_killed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
