/* SPDX-License-Identifier: Apache-2.0 */
/* labels: mpi */
/* timeout: 60 */
/* A rank on which MPI itself fails ends with its message and exit code, and the rank that waits for it does not hang.
 * A rank that waits in shared memory for a killed rank does not hang either.  The test starts itself on two ranks. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dist/allreduce/shared_memory.h"
#include "tests/dist/mpi_test.h"

enum { CODE = LS_ERR_ENV };

/* Rank 0 receives fewer floats than rank 1 sends: an MPI error on rank 0 only. */
static int fail_on_one_rank(int argc, char **argv)
{
    if (ls_comm_mpi(&comm, &argc, &argv) != LS_OK) return 99;
    float       data[1000] = {0};
    ls_transfer t          = {1 - the_rank(), data, the_rank() == 0 ? 10 : 1000};
    ls_status own = the_rank() == 0 ? ls__comm_exchange(comm, 0, NULL, 1, &t) : ls__comm_exchange(comm, 1, &t, 0, NULL);
    ls_status status = ls_comm_agree(comm, own); /* rank 1 waits here */
    if (the_rank() == 0) {
        fprintf(stderr, "%s\n", ls_error_message());
        if (ls_comm_barrier(comm) != LS_ERR_ENV || !strstr(ls_error_message(), "earlier call")) status = (ls_status)98;
    }
    ls_comm_free(comm);
    return (int)status;
}

/* Rank 1 is killed while rank 0 waits for it. */
static int be_killed(int argc, char **argv)
{
    ls_shared_memory *w;
    if (ls_comm_mpi(&comm, &argc, &argv) != LS_OK ||
        ls__shared_memory_new(&w, comm, LS_SHARED_MEMORY_ON, 100, "test") != LS_OK)
        return 99;
    if (the_rank() == 1) raise(SIGKILL);
    ls_status status = ls__shared_memory_barrier(w);
    ls__shared_memory_free(w);
    ls_comm_free(comm);
    return (int)status;
}

static const char *program;

/* Runs this program on two ranks with the argument `part`; returns the exit code of mpirun. */
static int run_children(const char *part, char *text, size_t room)
{
    char command[1024], line[512];
    snprintf(command, sizeof command, "timeout 40 mpirun --allow-run-as-root --oversubscribe -np 2 %s %s 2>&1", program,
             part);
    FILE *out = popen(command, "r");
    assert_non_null(out);
    for (*text = 0; fgets(line, sizeof line, out);)
        if (strlen(text) + strlen(line) < room) strcat(text, line);
    int code = pclose(out);
    assert_true(WIFEXITED(code));
    return WEXITSTATUS(code);
}

static void test_broken(void **state)
{
    char text[8192];
    int  code = run_children("--child", text, sizeof text);
    if (code != CODE || !strstr(text, "MPI_Testall failed on rank 0 of 2"))
        fail_msg("exit code %d, output: %s", code, text);
}

static void test_killed(void **state)
{
    char text[8192];
    int  code = run_children("--killed", text, sizeof text);
    /* mpirun returns the code of the rank whose end it has noticed first */
    if ((code != 128 + SIGKILL && code != LS_ERR_ENV) || !strstr(text, "rank 1 on ") || !strstr(text, " was killed, "))
        fail_msg("exit code %d, output: %s", code, text);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--child") == 0) return fail_on_one_rank(argc, argv);
    if (argc > 1 && strcmp(argv[1], "--killed") == 0) return be_killed(argc, argv);
    program                         = argv[0];
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_broken), cmocka_unit_test(test_killed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
