/* SPDX-License-Identifier: Apache-2.0 */
/* labels: mpi */
/* timeout: 300 */
/* A C program that includes dist/dist.h alone gets equal bits from ranks with different instruction-set levels, and
 * named hangs.  The test starts itself under mpirun as such a program. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dist/dist.h"
#include "tests/unit.h"

enum { FEATURES = 8, CLASSES = 3, BATCH = 12, STEPS = 4 };

/* ---- the program ------------------------------------------------------------------------------------------------- */

/* The fault of rank 1 before its second step. */
static void misbehave(const char *how)
{
    if (!strcmp(how, "sleep")) sleep(100);
    if (!strcmp(how, "pause")) sleep(5);
    if (!strcmp(how, "kill")) {
        usleep(
            500000); /* time for the first heartbeats, without which the death of a rank on another host is not seen */
        raise(SIGKILL);
    }
}

static ls_status train(ls_comm *comm, const char *how, uint64_t *digest)
{
    float       x[BATCH * FEATURES];
    int32_t     y[BATCH];
    ls_graph   *g      = ls_graph_new();
    ls_tensor  *in     = ls_input(g, "x", LS_F32, FEATURES);
    ls_tensor  *hidden = ls_relu(ls_linear(g, "hidden", in, 16));
    ls_tensor  *loss   = ls_cross_entropy(ls_linear(g, "out", hidden, CLASSES), ls_input(g, "y", LS_I32));
    ls_trainer *t      = NULL;
    ls_metrics  m;
    ls_status   status = ls_trainer_new(&t, g, loss, .comm = comm, .batch = BATCH, .optim = ls_adam(.lr = 1e-2f));
    for (int step = 0; step < STEPS && status == LS_OK; step++) {
        ls_batch_partition part = ls_trainer_share(t, BATCH);
        for (int64_t i = 0; i < part.rows; i++) {
            y[i] = (int32_t)((part.first + i) % CLASSES);
            for (int k = 0; k < FEATURES; k++)
                x[i * FEATURES + k] = (float)((part.first + i) * 7 % 11 + k * step) / 9.0f;
        }
        if (step == 1 && ls_comm_rank(comm) == 1) misbehave(how);
        ls_batch batch = {.inputs      = 2,
                          .name        = {"x", "y"},
                          .data        = {x, y},
                          .rows        = part.rows,
                          .first       = part.first,
                          .global_rows = BATCH};
        status         = ls_trainer_step(t, &batch, &m);
    }
    if (status == LS_OK) *digest = ls_trainer_digest(t);
    ls_trainer_free(t);
    ls_graph_free(g);
    return status;
}

/* program HOW FLOOR FOLDER: FLOOR 0 switches the watchdog off. */
static int program_main(int argc, char **argv)
{
    ls_comm  *comm;
    uint64_t  digest = 0;
    ls_status status = ls_comm_mpi(&comm, &argc, &argv);
    if (status == LS_OK)
        status = ls_comm_watchdog(comm, LS_WATCHDOG_SETTINGS(.off = atof(argv[2]) <= 0, .floor_s = atof(argv[2]),
                                                             .folder = argc > 3 ? argv[3] : NULL));
    if (status == LS_OK) status = train(comm, argv[1], &digest);
    if (ls_comm_prints_error(comm, status)) fprintf(stderr, "program: %s\n", ls_error_message());
    if (status == LS_OK) printf("digest %016llx\n", (unsigned long long)digest);
    ls_comm_free(comm);
    return (int)status;
}

/* ---- its tests --------------------------------------------------------------------------------------------------- */

static const char *program;
static char        output[16384];

/* Runs the program on `ranks` ranks; `shell`: commands that each rank executes first.  Returns the exit code of
 * mpirun. */
static int run(int ranks, const char *shell, const char *arguments)
{
    char   command[2048];
    size_t used = 0, n;
    snprintf(
        command, sizeof command,
        "export OMP_NUM_THREADS=1; timeout -k 5 60 mpirun --allow-run-as-root --oversubscribe -np %d sh -c '%s exec "
        "%s %s' 2>&1",
        ranks, shell, program, arguments);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    while ((n = fread(output + used, 1, sizeof output - 1 - used, f)) > 0) used += n;
    output[used] = 0;
    int status   = pclose(f);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int count(const char *part)
{
    int n = 0;
    for (const char *at = output; (at = strstr(at, part)); at += strlen(part)) n++;
    return n;
}

static void expect_one_diagnosis(const char *part)
{
    if (count("lockstep: error: ") != 1 || !strstr(output, part))
        fail_msg("expected one diagnosis with '%s', found:\n%s", part, output);
}

static void test_stopped_in_a_step(void **state)
{
    char folder[] = "/tmp/lockstep-watchdog-XXXXXX", arguments[128], path[128];
    assert_non_null(mkdtemp(folder));
    snprintf(arguments, sizeof arguments, "train 1 %s", folder);
    int code = run(2, "export LOCKSTEP_FAULT=rank=1,step=2,at=forward,do=stop;", arguments);
    if (code != LS_ERR_ENV) fail_msg("exit code %d:\n%s", code, output);
    expect_one_diagnosis("has been stopped (SIGSTOP) for ");
    expect_one_diagnosis("in `forward` hidden (linear) at step 2");
    expect_one_diagnosis("; rank 0 waits in all-reduce 0");
    expect_one_diagnosis("crash files in /tmp/lockstep-watchdog-");
    for (int rank = 0; rank < 2; rank++) {
        snprintf(path, sizeof path, "%s/crash-rank%d.txt", folder, rank);
        assert_int_equal(access(path, R_OK), 0);
        unlink(path);
    }
    rmdir(folder);
}

static void test_sleeping_between_steps(void **state)
{
    int code = run(2, "", "sleep 0.5");
    if (code != LS_ERR_ENV) fail_msg("exit code %d:\n%s", code, output);
    expect_one_diagnosis("has been between two instructions for 2.");
    expect_one_diagnosis("(sleeping); rank 0 waits in all-reduce 0");
}

static void test_off(void **state)
{
    int code = run(2, "", "pause 0");
    if (code != LS_OK || count("digest ") != 2) fail_msg("exit code %d:\n%s", code, output);
}

/* Rank 1 starts at the lowest instruction-set level, rank 0 at the highest: both train at the lowest. */
static __attribute__((unused)) void test_mixed_instruction_sets(void **state)
{
    char expected[64];
    assert_int_equal(run(2, "export LOCKSTEP_ISA=v2;", "train 60"), LS_OK);
    assert_int_equal(count("digest "), 2);
    snprintf(expected, sizeof expected, "%.23s", strstr(output, "digest "));
    assert_int_equal(run(2, "test $OMPI_COMM_WORLD_RANK = 0 || export LOCKSTEP_ISA=v2;", "train 60"), LS_OK);
    if (count(expected) != 2) fail_msg("expected '%s' on both ranks, found:\n%s", expected, output);
}

/* An unknown level on one rank is an error of all ranks, printed once. */
static void test_unknown_instruction_set(void **state)
{
    int code = run(2, "test $OMPI_COMM_WORLD_RANK = 0 || export LOCKSTEP_ISA=v9;", "train 60");
    if (code != LS_ERR_ENV || count("program: ") != 1 || !strstr(output, "program: rank 1: LOCKSTEP_ISA=v9"))
        fail_msg("exit code %d:\n%s", code, output);
}

/* Each rank is a host of its own: exactly one diagnosis, and it names the rank that died first. */
static void test_killed_with_several_hosts(void **state)
{
    for (int i = 0; i < 4; i++) {
        int code = run(4, "export LOCKSTEP_CONTROL=udp;", "kill 2");
        if (code != 128 + SIGKILL && code != LS_ERR_ENV) fail_msg("exit code %d:\n%s", code, output);
        expect_one_diagnosis("rank 1 on ");
        expect_one_diagnosis(" was killed, process ");
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#ifdef __x86_64__ /* other processors have one level */
        cmocka_unit_test(test_mixed_instruction_sets),
#endif
        cmocka_unit_test(test_unknown_instruction_set),   cmocka_unit_test(test_stopped_in_a_step),
        cmocka_unit_test(test_sleeping_between_steps),    cmocka_unit_test(test_off),
        cmocka_unit_test(test_killed_with_several_hosts),
    };
    if (argc > 2) return program_main(argc, argv);
    program = argv[0];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
