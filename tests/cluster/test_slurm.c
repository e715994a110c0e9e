/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi slow
 * timeout: 600
 * Lockstep under a real Slurm in the test bed (cluster/testbed --slurm): srun, sbatch, mpirun inside a job; equal bits,
 * messages, threads, and interruptions of a job.  Skipped (exit code 77) without root or without the packages of
 * tests/packages-slurm. */
#include "tests/launch/train_runs.h"

/* Runs a bash script on the head node of a Slurm cluster.  P is the program; its output is in the files out and err. */
static int slurm(int hosts, const char *rate, const char *script)
{
    char  line[512];
    FILE *f = fopen("script", "w");
    assert_non_null(f);
    fprintf(f, "export P=%s\n%s\n", LOCKSTEP_PROGRAM, script);
    fclose(f);
    snprintf(line, sizeof line, LOCKSTEP_SOURCE "/cluster/testbed --slurm --hosts %d --ranks 2%s%s -- bash ./script",
             hosts, *rate ? " --rate " : "", rate);
    return run_with("", (run_options){.program = line, .seconds = 250});
}

static void must_be(int found, int expected, const char *what)
{
    if (found != expected)
        fail_msg("%s: exit code %d, expected %d\n%s\n%s", what, found, expected, text_of("out"), text_of("err"));
}

/* One line of error, however many ranks have it. */
static void must_have_one_error(const char *part)
{
    if (count_of(text_of("err"), "lockstep: error:") != 1 || !strstr(text_of("err"), part))
        fail_msg("expected one error with '%s', found\n%s", part, text_of("err"));
}

/* ---- starting ranks ---------------------------------------------------------------------------------------------- */

/* Open MPI 4.1.4 under srun may crash in MPI_Init on a busy machine (a null callback in mca_btl_tcp), before Lockstep
 * runs: a command that ends by SIGSEGV is started once more. */
#define START_AGAIN_AFTER_SIGSEGV "again() { \"$@\" || { [ $? = 139 ] && \"$@\"; }; }\n"

static void the_same_bits_on_any_nodes_and_ranks(void **state)
{
    make_reference();
    must_be(slurm(4, "",
                  "set -e\n" START_AGAIN_AFTER_SIGSEGV "srun -N1 -n1 $P " RUN "run.dir=n1r1\n"
                  "again srun -N2 -n2 $P " RUN "run.dir=n2r2\n"
                  "again srun -N2 -n4 $P " RUN "run.dir=n2r4\n"
                  "again srun -N4 -n8 $P " RUN "run.dir=n4r8\n"
                  "salloc -N2 -n4 mpirun --quiet -np 4 $P " RUN "run.dir=mpirun\n"),
            0, "srun and mpirun");
    must_be_like_reference("n1r1", "srun, 1 rank");
    must_be_like_reference("n2r2", "srun, 2 nodes, 2 ranks");
    must_be_like_reference("n2r4", "srun, 2 nodes, 4 ranks");
    must_be_like_reference("n4r8", "srun, 4 nodes, 8 ranks");
    must_be_like_reference("mpirun", "mpirun inside a job, 2 nodes, 4 ranks");
    assert_non_null(strstr(text_of("err"), "8 ranks x 1 thread"));
    assert_int_equal(count_of(text_of("out"), "test accuracy"), 5); /* the results come from the root rank alone */
}

static void a_job_array(void **state)
{
    make_reference();
    must_be(slurm(2, "",
                  "cat >array <<'END'\n"
                  "#!/bin/bash\n"
                  "#SBATCH --array=0-2%2 --nodes=1 --ntasks=2 --output=array-%a.log\n"
                  "shards=(0 8 4)\n"
                  "srun $P " RUN "train.shards=${shards[SLURM_ARRAY_TASK_ID]} run.dir=array.$SLURM_ARRAY_TASK_ID\n"
                  "END\n"
                  "sbatch -W array"),
            0, "array");
    must_be_like_reference("array.0", "task 0 of an array");
    must_be_like_reference("array.1", "task 1 of an array");
    char *digests = digests_of("array.2");
    assert_int_equal(count_of(digests, ":"), STEPS);
    assert_string_not_equal(digests, reference); /* another number of shards */
    free(digests);
}

static void doctor_prints_the_launcher(void **state)
{
    must_be(slurm(2, "", "srun -N2 -n3 -c1 --time=7 sh -c 'test $SLURM_PROCID = 2 && exec $P doctor; true'"), 0,
            "doctor");
    const char *out = text_of("out");
    assert_non_null(strstr(out, "srun, rank 2 of 3, 1 rank on this host, 1 core for each rank; Slurm job 1"));
    assert_non_null(strstr(out, "in 6:5"));
    assert_non_null(strstr(out, "(squeue)"));
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void an_error_is_printed_once(void **state)
{
    static const struct {
        const char *arguments;
        int         code;
        const char *part;
    } rows[] = {{"trian lenet5-digits", 2, "command 'trian': unknown"},
                {"train lenet5-digits --frehs", 2, "--frehs"},
                {"train lenet5-digits optim.lr=x", 2, "optim.lr"},
                {"train lenet5-mnist data.path=./none", 3, "none"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char script[256];
        snprintf(script, sizeof script, "srun -N2 -n4 $P %s", rows[i].arguments);
        must_be(slurm(2, "", script), rows[i].code, rows[i].arguments);
        must_have_one_error(rows[i].part);
    }
}

static void srun_without_pmix_is_an_error(void **state)
{
    must_be(slurm(2, "", "srun --mpi=none -N2 -n4 $P " RUN "run.dir=none"), 4, "--mpi=none");
    must_have_one_error("srun --mpi=pmix");
    assert_false(exists("none"));
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

/* --cpus-per-task sets the number of threads, also if srun does not bind the ranks to cores. */
static void cpus_per_task_sets_the_threads(void **state)
{
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
        print_message("skipped: one core\n");
        return;
    }
    must_be(slurm(2, "",
                  "unset OMP_NUM_THREADS; set -e\n"
                  "srun -N2 -n2 -c1 --cpu-bind=none $P " RUN "train.max_steps=2 run.dir=c1\n"
                  "echo next >&2\n"
                  "srun -N2 -n2 -c2 --cpu-bind=none $P " RUN "train.max_steps=2 run.dir=c2\n"
                  "echo next >&2\n"
                  "srun -N2 -n2 -c2 $P " RUN "train.max_steps=2 run.dir=bound\n"
                  "echo next >&2\n"
                  "srun -N2 -n2 $P " RUN "train.max_steps=2 run.dir=default\n"),
            0, "threads");
    const char *c1 = text_of("err"), *c2 = strstr(c1, "next\n") + 5, *bound = strstr(c2, "next\n") + 5,
               *rest = strstr(bound, "next\n") + 5;
    assert_true(strstr(c1, "2 ranks x 1 thread,") && strstr(c1, "2 ranks x 1 thread,") < c2);
    assert_true(strstr(c2, "2 ranks x 2 threads,") && strstr(c2, "2 ranks x 2 threads,") < bound);
    assert_true(strstr(bound, "2 ranks x 2 threads,") && strstr(bound, "2 ranks x 2 threads,") < rest);
    assert_non_null(strstr(rest, "2 ranks x 1 thread,"));
    /* Only the default has a hint, and it names the option of srun. */
    assert_int_equal(count_of(c1, "hint: srun --cpus-per-task="), 1);
    assert_non_null(strstr(rest, "hint: srun --cpus-per-task="));
    assert_null(strstr(c1, "mpirun"));
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

/* A run stops with a checkpoint before the end of its job.  Slurm 22.05 sets no SLURM_JOB_END_TIME, so that the end is
 * read from squeue.  The link is slow and all ranks mostly wait, so that no rank is reported as slowest. */
static void a_run_stops_before_the_end_of_its_job(void **state)
{
    must_be(
        slurm(2, "10mbit",
              "salloc -N2 -n2 --time=5 bash -c 'scontrol update JobId=$SLURM_JOB_ID EndTime=now+18; date +%s > begin; "
              "srun $P " RUN "train.epochs=50 run.dir=timed; code=$?; date +%s > end; exit $code'"),
        75, "the end of the job");
    assert_non_null(strstr(text_of("err"), "stopped by the end of the job after step"));
    assert_null(strstr(text_of("err"), "was the slowest of epoch"));
    assert_null(strstr(text_of("err"), "warning"));
    const long begin = atol(text_of("begin")), end = atol(text_of("end"));
    if (end - begin < 3 || end - begin > 14) fail_msg("ended after %ld s, expected 3 to 14 s", end - begin);
}

/* A rank that is killed is named once: the ranks that end because of it are not reported in turn. */
static void a_killed_rank_is_named_once(void **state)
{
    const int code = slurm(
        2, "10mbit",
        "srun -N2 -n4 sh -c 'echo $$ > pid.$SLURM_PROCID; exec $P " RUN "train.epochs=50 run.dir=killed' & child=$!\n"
        "until [ $(grep -c '\"event\":\"step\"' killed/metrics.jsonl 2>/dev/null) -ge 3 ] 2>/dev/null; "
        "do sleep 0.05; done\n"
        "$TESTBED_AGENT node2 kill -KILL $(cat pid.3)\n"
        "wait $child");
    if (!code) fail_msg("exit code 0\n%s", text_of("err"));
    must_have_one_error("rank 3 on node2");
}

/* SIGUSR1, preemption and time limit: the job is requeued after each, and gives the bits of one undisturbed rank. */
static void a_job_is_interrupted_and_requeued(void **state)
{
    static const char RECIPE[] = "lenet5-digits data.train_count=650 data.test_count=100 train.batch=60 train.epochs=8 "
                                 "log.every=1 ";
    char              arguments[512], script[1024];
    snprintf(arguments, sizeof arguments, "train %s run.dir=undisturbed", RECIPE);
    must_be(run_with(arguments, (run_options){.given = true}), 0, "undisturbed");
    snprintf(script, sizeof script, LOCKSTEP_SOURCE "/tests/cluster/slurm_chain $P chain %s", RECIPE);
    must_be(slurm(2, "10mbit", script), 0, "chain");
    print_message("%s", text_of("out"));
    assert_non_null(strstr(text_of("out"), ", 3 restarts"));
    char *undisturbed = digests_of("undisturbed"), *chain = digests_of("chain");
    assert_int_equal(count_of(undisturbed, ":"), 88);
    assert_string_equal(chain, undisturbed);
    free(undisturbed);
    free(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bits_on_any_nodes_and_ranks),
        cmocka_unit_test(a_job_array),
        cmocka_unit_test(doctor_prints_the_launcher),
        cmocka_unit_test(an_error_is_printed_once),
        cmocka_unit_test(srun_without_pmix_is_an_error),
        cmocka_unit_test(cpus_per_task_sets_the_threads),
        cmocka_unit_test(a_run_stops_before_the_end_of_its_job),
        cmocka_unit_test(a_killed_rank_is_named_once),
        cmocka_unit_test(a_job_is_interrupted_and_requeued),
    };
    if (system(LOCKSTEP_SOURCE "/cluster/testbed --slurm --check") != 0) return 77; /* it prints the reason */
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
