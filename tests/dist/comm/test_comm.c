/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 3 4 */
/* Compares every collective with the one of MPI; tests agreement on errors and comparison of settings. */
#include <string.h>

#include "core/base/philox.h"
#include "tests/dist/mpi_test.h"

static const size_t sizes[] = {0, 1, 3, 64, 65, 1000, 100003};
#define LENGTH(x) (sizeof(x) / sizeof *(x))

static void fill(unsigned char *data, size_t bytes, uint64_t key)
{
    for (size_t i = 0; i < bytes; i++) data[i] = (unsigned char)ls_philox(key, 0, i).v[0];
}

static void test_properties(void **state)
{
    int rank, size;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    assert_int_equal(ls_comm_rank(comm), rank);
    assert_int_equal(ls_comm_size(comm), size);
    assert_int_equal(ls_comm_local_size(comm), size); /* the tests run on one host */
    assert_string_equal(ls_comm_name(comm), "mpi");
    assert_ok(ls_comm_barrier(comm));
}

static void compare_bcast(size_t bytes)
{
    unsigned char *ours = malloc(bytes + 1), *reference = malloc(bytes + 1);
    for (int root = 0; root < the_size(); root++) {
        fill(ours, bytes + 1, (uint64_t)the_rank());
        memcpy(reference, ours, bytes + 1);
        assert_ok(ls_comm_bcast(comm, ours, bytes, root));
        MPI_Bcast(reference, (int)bytes, MPI_BYTE, root, MPI_COMM_WORLD);
        assert_memory_equal(ours, reference, bytes + 1);
    }
    free(ours);
    free(reference);
}

static void compare_allgather(size_t bytes)
{
    size_t         n   = (size_t)the_size();
    unsigned char *own = malloc(bytes + 1), *ours = calloc(n, bytes + 1), *reference = calloc(n, bytes + 1);
    fill(own, bytes, (uint64_t)the_rank() + 100);
    assert_ok(ls_comm_allgather(comm, own, ours, bytes));
    MPI_Allgather(own, (int)bytes, MPI_BYTE, reference, (int)bytes, MPI_BYTE, MPI_COMM_WORLD);
    assert_memory_equal(ours, reference, n * (bytes + 1));
    free(own);
    free(ours);
    free(reference);
}

/* Sends two messages to every rank, with lengths that depend on sender and receiver; compares with MPI_Alltoallv. */
static void compare_exchange(size_t unit)
{
    int         n = the_size(), me = the_rank(), sends = 0, receives = 0;
    int         send_count[8], send_at[8], receive_count[8], receive_at[8], send_all = 0, receive_all = 0;
    ls_transfer send[16], receive[16];
    for (int r = 0; r < n; r++) {
        send_count[r]    = r == me ? 0 : 2 * (int)unit * (me + r + 1);
        receive_count[r] = send_count[r];
        send_at[r]       = send_all;
        receive_at[r]    = receive_all;
        send_all += send_count[r];
        receive_all += receive_count[r];
    }
    float *out = calloc((size_t)send_all + 1, sizeof *out), *ours = calloc((size_t)receive_all + 1, sizeof *ours),
          *reference = calloc((size_t)receive_all + 1, sizeof *reference);
    for (int i = 0; i < send_all; i++) out[i] = (float)(me * 1000000 + i);
    for (int r = 0; r < n; r++)
        for (int half = 0; half < 2 && r != me; half++) {
            size_t count        = (size_t)send_count[r] / 2;
            send[sends++]       = (ls_transfer){r, out + send_at[r] + (size_t)half * count, count};
            receive[receives++] = (ls_transfer){r, ours + receive_at[r] + (size_t)half * count, count};
        }
    assert_ok(ls__comm_exchange(comm, sends, send, receives, receive));
    MPI_Alltoallv(out, send_count, send_at, MPI_FLOAT, reference, receive_count, receive_at, MPI_FLOAT, MPI_COMM_WORLD);
    assert_memory_equal(ours, reference, ((size_t)receive_all + 1) * sizeof *ours);
    free(out);
    free(ours);
    free(reference);
}

static void test_collectives(void **state)
{
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        compare_bcast(sizes[i]);
        compare_allgather(sizes[i]);
        compare_exchange(sizes[i] / 4);
    }
}

/* Messages longer than a piece are cut.  A few hundred pieces suffice: MPI_Testall reads the requests of all of them
 * at each call. */
static void test_pieces(void **state)
{
    ls__comm_mpi_set_piece(comm, 4096);
    test_collectives(state);
    ls__comm_mpi_set_piece(comm, 64);
    for (size_t i = 0; i < LENGTH(sizes) && sizes[i] <= 1000; i++) {
        compare_bcast(sizes[i]);
        compare_exchange(sizes[i] / 4);
    }
    ls__comm_mpi_set_piece(comm, (size_t)1 << 30);
}

static void test_invalid_arguments(void **state)
{
    float       x    = 0;
    ls_transfer self = {the_rank(), &x, 1};
    assert_int_equal(ls_comm_bcast(comm, &x, sizeof x, the_size()), LS_ERR_FAILED);
    assert_int_equal(ls_comm_bcast(comm, &x, sizeof x, -1), LS_ERR_FAILED);
    assert_int_equal(ls__comm_exchange(comm, 1, &self, 0, NULL), LS_ERR_FAILED);
    assert_ok(ls_comm_barrier(comm)); /* a refused call does not break the communicator */
}

/* ---- agree ------------------------------------------------------------------------------------------------------- */

static void test_agree_ok(void **state) { assert_ok(ls_comm_agree(comm, LS_OK)); }

static void test_agree_one_fails(void **state)
{
    for (int bad = 0; bad < the_size(); bad++) {
        ls_status own = LS_OK;
        LS_FAIL(LS_ERR_FAILED, "an earlier error");
        if (the_rank() == bad) own = LS_FAIL(LS_ERR_DATA, "file %d is missing" LS_HINT "look for it", bad);
        assert_int_equal(ls_comm_agree(comm, own), LS_ERR_DATA);
        char expected[64];
        snprintf(expected, sizeof expected, "file %d is missing" LS_HINT "look for it", bad);
        assert_non_null(strstr(ls_error_message(), expected));
        assert_non_null(strstr(ls_error_trace(), "test_agree_one_fails"));
        if (the_size() > 1) assert_int_equal(strncmp(ls_error_message(), "rank ", 5), 0);
    }
}

static void test_agree_lowest_rank(void **state)
{
    ls_status own = the_rank() >= the_size() / 2 ? LS_FAIL(LS_ERR_ENV, "failed on %d", the_rank()) : LS_OK;
    assert_int_equal(ls_comm_agree(comm, own), LS_ERR_ENV);
    char expected[64];
    snprintf(expected, sizeof expected, "failed on %d", the_size() / 2);
    assert_non_null(strstr(ls_error_message(), expected));
}

/* A message that names its rank already, as an agreed one does, gets no second prefix. */
static void test_agree_twice(void **state)
{
    int last = the_size() - 1;
    if (last == 0) skip();
    ls_status own = the_rank() == last ? LS_FAIL(LS_ERR_ENV, "no memory") : LS_OK;
    own           = ls_comm_agree(comm, own);
    assert_int_equal(ls_comm_agree(comm, the_rank() == 0 ? own : LS_OK), LS_ERR_ENV);
    char expected[64];
    snprintf(expected, sizeof expected, "rank %d: no memory", last);
    assert_string_equal(ls_error_message(), expected);
}

static void test_agree_long_message(void **state)
{
    static char text[4000];
    memset(text, 'x', sizeof text - 1);
    ls_status own = the_rank() == the_size() - 1 ? LS_FAIL(LS_ERR_ENV, "%s", text) : LS_OK;
    assert_int_equal(ls_comm_agree(comm, own), LS_ERR_ENV);
    assert_non_null(strstr(ls_error_message(), text));
}

/* ---- same -------------------------------------------------------------------------------------------------------- */

static void test_same(void **state)
{
    const char *names[] = {"version", "recipe", "isa"}, *values[] = {"0.1.0", "", "v3"};
    assert_ok(ls_comm_same(comm, 3, names, values));
    assert_ok(ls_comm_same(comm, 0, NULL, NULL));
}

static void test_same_differs(void **state)
{
    char long_value[100];
    memset(long_value, 'y', sizeof long_value - 1);
    long_value[sizeof long_value - 1] = 0;
    const char *names[]               = {"version", "recipe", "isa"};
    const char *values[]              = {"0.1.0", the_rank() == the_size() - 1 ? "f00d" : "beef",
                            the_rank() == 0 ? "v3" : long_value};
    ls_status   status                = ls_comm_same(comm, 3, names, values);
    if (the_size() == 1) {
        assert_int_equal(status, LS_OK);
        return;
    }
    assert_int_equal(status, LS_ERR_ENV);
    const char *message = ls_error_message();
    assert_null(strstr(message, "version")); /* columns show only names that differ */
    const char *parts[] = {"recipe", "isa", "f00d", "beef", "v3", "yyy...", "ranks differ from rank 0", "hint: "};
    for (size_t i = 0; i < LENGTH(parts); i++)
        if (!strstr(message, parts[i])) fail_msg("'%s' is not in: %s", parts[i], message);
    assert_ok(ls_comm_barrier(comm));
}

/* "ab", "c" and "a", "bc" differ, although their concatenations are equal. */
static void test_same_boundary(void **state)
{
    const char *names[]  = {"first", "second"};
    const char *values[] = {the_rank() == 0 ? "ab" : "a", the_rank() == 0 ? "c" : "bc"};
    assert_int_equal(ls_comm_same(comm, 2, names, values), the_size() == 1 ? LS_OK : LS_ERR_ENV);
}

static void test_same_count(void **state)
{
    const char *names[] = {"first", "second"}, *values[] = {"a", "b"};
    assert_int_equal(ls_comm_same(comm, the_rank() == 0 ? 1 : 2, names, values), the_size() == 1 ? LS_OK : LS_ERR_ENV);
}

/* ---- one rank ---------------------------------------------------------------------------------------------------- */

static void test_self(void **state)
{
    ls_comm *self;
    int      own = 7, all = 0;
    assert_ok(ls_comm_self(&self));
    assert_int_equal(ls_comm_rank(self), 0);
    assert_int_equal(ls_comm_size(self), 1);
    assert_int_equal(ls_comm_local_size(self), 1);
    assert_string_equal(ls_comm_name(self), "self");
    assert_ok(ls_comm_barrier(self));
    assert_ok(ls_comm_bcast(self, &own, sizeof own, 0));
    assert_ok(ls_comm_allgather(self, &own, &all, sizeof own));
    assert_int_equal(all, 7);
    assert_int_equal(ls_comm_agree(self, LS_FAIL(LS_ERR_USAGE, "no such key")), LS_ERR_USAGE);
    assert_string_equal(ls_error_message(), "no such key");
    ls_comm_free(self);
}

/* Freeing a second communicator of a program that has started MPI before leaves MPI running. */
static void test_second_communicator(void **state)
{
    ls_comm *second;
    int      argc = 0, finalized;
    char   **argv = NULL;
    assert_ok(ls_comm_mpi(&second, &argc, &argv));
    assert_ok(ls_comm_barrier(second));
    ls_comm_free(second);
    MPI_Finalized(&finalized);
    assert_false(finalized);
    assert_ok(ls_comm_barrier(comm));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_collectives),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_invalid_arguments),
        cmocka_unit_test(test_agree_ok),
        cmocka_unit_test(test_agree_one_fails),
        cmocka_unit_test(test_agree_lowest_rank),
        cmocka_unit_test(test_agree_twice),
        cmocka_unit_test(test_agree_long_message),
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_same_differs),
        cmocka_unit_test(test_same_boundary),
        cmocka_unit_test(test_same_count),
        cmocka_unit_test(test_self),
        cmocka_unit_test(test_second_communicator),
    };
    return run_on_ranks(argc, argv, tests);
}
