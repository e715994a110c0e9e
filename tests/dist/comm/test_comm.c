/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 3 4 */
/* Every collective against the same one in plain MPI; agreement on errors; comparison of texts. */
#include <string.h>

#include "core/base/philox.h"
#include "tests/dist/mpi_test.h"

static const size_t sizes[] = {0, 1, 3, 64, 65, 1000, 100003};
#define LENGTH(x) (sizeof(x) / sizeof *(x))

static void fill(unsigned char *data, size_t bytes, uint64_t key)
{
    for (size_t i = 0; i < bytes; i++) data[i] = (unsigned char)ls_philox(key, 0, i).v[0];
}

static void test_what_it_is(void **state)
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
    unsigned char *ours = malloc(bytes + 1), *mpis = malloc(bytes + 1);
    for (int root = 0; root < the_size(); root++) {
        fill(ours, bytes + 1, (uint64_t)the_rank());
        memcpy(mpis, ours, bytes + 1);
        assert_ok(ls_comm_bcast(comm, ours, bytes, root));
        MPI_Bcast(mpis, (int)bytes, MPI_BYTE, root, MPI_COMM_WORLD);
        assert_memory_equal(ours, mpis, bytes + 1);
    }
    free(ours);
    free(mpis);
}

static void compare_allgather(size_t bytes)
{
    size_t         n    = (size_t)the_size();
    unsigned char *mine = malloc(bytes + 1), *ours = calloc(n, bytes + 1), *mpis = calloc(n, bytes + 1);
    fill(mine, bytes, (uint64_t)the_rank() + 100);
    assert_ok(ls_comm_allgather(comm, mine, ours, bytes));
    MPI_Allgather(mine, (int)bytes, MPI_BYTE, mpis, (int)bytes, MPI_BYTE, MPI_COMM_WORLD);
    assert_memory_equal(ours, mpis, n * (bytes + 1));
    free(mine);
    free(ours);
    free(mpis);
}

/* Two messages to everyone, of lengths that depend on both ends, against MPI_Alltoallv. */
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
          *mpis = calloc((size_t)receive_all + 1, sizeof *mpis);
    for (int i = 0; i < send_all; i++) out[i] = (float)(me * 1000000 + i);
    for (int r = 0; r < n; r++)
        for (int half = 0; half < 2 && r != me; half++) {
            size_t count        = (size_t)send_count[r] / 2;
            send[sends++]       = (ls_transfer){r, out + send_at[r] + (size_t)half * count, count};
            receive[receives++] = (ls_transfer){r, ours + receive_at[r] + (size_t)half * count, count};
        }
    assert_ok(ls__comm_exchange(comm, sends, send, receives, receive));
    MPI_Alltoallv(out, send_count, send_at, MPI_FLOAT, mpis, receive_count, receive_at, MPI_FLOAT, MPI_COMM_WORLD);
    assert_memory_equal(ours, mpis, ((size_t)receive_all + 1) * sizeof *ours);
    free(out);
    free(ours);
    free(mpis);
}

static void test_collectives_are_those_of_mpi(void **state)
{
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        compare_bcast(sizes[i]);
        compare_allgather(sizes[i]);
        compare_exchange(sizes[i] / 4);
    }
}

/* Messages that are larger than what MPI counts go in pieces; here pieces are small instead. */
static void test_pieces(void **state)
{
    ls__comm_mpi_set_piece(comm, 64);
    test_collectives_are_those_of_mpi(state);
    ls__comm_mpi_set_piece(comm, (size_t)1 << 30);
}

static void test_wrong_arguments(void **state)
{
    float       x    = 0;
    ls_transfer self = {the_rank(), &x, 1};
    assert_int_equal(ls_comm_bcast(comm, &x, sizeof x, the_size()), LS_ERR_FAILED);
    assert_int_equal(ls_comm_bcast(comm, &x, sizeof x, -1), LS_ERR_FAILED);
    assert_int_equal(ls__comm_exchange(comm, 1, &self, 0, NULL), LS_ERR_FAILED);
    assert_ok(ls_comm_barrier(comm)); /* nothing was sent, so the communicator is still good */
}

/* ---- agree ------------------------------------------------------------------------------------------------------- */

static void test_all_is_well(void **state) { assert_ok(ls_comm_agree(comm, LS_OK)); }

static void test_one_fails(void **state)
{
    for (int bad = 0; bad < the_size(); bad++) {
        ls_status mine = LS_OK;
        LS_FAIL(LS_ERR_FAILED, "something older");
        if (the_rank() == bad) mine = LS_FAIL(LS_ERR_DATA, "file %d is missing" LS_HINT "look for it", bad);
        assert_int_equal(ls_comm_agree(comm, mine), LS_ERR_DATA);
        char expected[64];
        snprintf(expected, sizeof expected, "file %d is missing" LS_HINT "look for it", bad);
        assert_non_null(strstr(ls_error_message(), expected));
        assert_non_null(strstr(ls_error_trace(), "test_one_fails"));
        if (the_size() > 1) assert_int_equal(strncmp(ls_error_message(), "rank ", 5), 0);
    }
}

static void test_lowest_of_several(void **state)
{
    ls_status mine = the_rank() >= the_size() / 2 ? LS_FAIL(LS_ERR_ENV, "no luck on %d", the_rank()) : LS_OK;
    assert_int_equal(ls_comm_agree(comm, mine), LS_ERR_ENV);
    char expected[64];
    snprintf(expected, sizeof expected, "no luck on %d", the_size() / 2);
    assert_non_null(strstr(ls_error_message(), expected));
}

static void test_longest_message(void **state)
{
    static char text[4000];
    memset(text, 'x', sizeof text - 1);
    ls_status mine = the_rank() == the_size() - 1 ? LS_FAIL(LS_ERR_ENV, "%s", text) : LS_OK;
    assert_int_equal(ls_comm_agree(comm, mine), LS_ERR_ENV);
    assert_non_null(strstr(ls_error_message(), text));
}

/* ---- same -------------------------------------------------------------------------------------------------------- */

static void test_same(void **state)
{
    const char *names[] = {"version", "recipe", "isa"}, *values[] = {"0.1.0", "", "v3"};
    assert_ok(ls_comm_same(comm, 3, names, values));
    assert_ok(ls_comm_same(comm, 0, NULL, NULL));
}

static void test_not_the_same(void **state)
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
    assert_null(strstr(message, "version")); /* only what differs */
    const char *parts[] = {"recipe", "isa", "f00d", "beef", "v3", "yyy...", "ranks differ from rank 0", "hint: "};
    for (size_t i = 0; i < LENGTH(parts); i++)
        if (!strstr(message, parts[i])) fail_msg("'%s' is not in: %s", parts[i], message);
    assert_ok(ls_comm_barrier(comm));
}

/* The boundary between two texts is part of them. */
static void test_moved_boundary(void **state)
{
    const char *names[]  = {"first", "second"};
    const char *values[] = {the_rank() == 0 ? "ab" : "a", the_rank() == 0 ? "c" : "bc"};
    assert_int_equal(ls_comm_same(comm, 2, names, values), the_size() == 1 ? LS_OK : LS_ERR_ENV);
}

static void test_different_numbers_of_names(void **state)
{
    const char *names[] = {"first", "second"}, *values[] = {"a", "b"};
    assert_int_equal(ls_comm_same(comm, the_rank() == 0 ? 1 : 2, names, values), the_size() == 1 ? LS_OK : LS_ERR_ENV);
}

/* ---- one rank ---------------------------------------------------------------------------------------------------- */

static void test_self(void **state)
{
    ls_comm *self;
    int      mine = 7, all = 0;
    assert_ok(ls_comm_self(&self));
    assert_int_equal(ls_comm_rank(self), 0);
    assert_int_equal(ls_comm_size(self), 1);
    assert_int_equal(ls_comm_local_size(self), 1);
    assert_string_equal(ls_comm_name(self), "self");
    assert_ok(ls_comm_barrier(self));
    assert_ok(ls_comm_bcast(self, &mine, sizeof mine, 0));
    assert_ok(ls_comm_allgather(self, &mine, &all, sizeof mine));
    assert_int_equal(all, 7);
    assert_int_equal(ls_comm_agree(self, LS_FAIL(LS_ERR_USAGE, "no such key")), LS_ERR_USAGE);
    assert_string_equal(ls_error_message(), "no such key");
    ls_comm_free(self);
}

/* A second communicator beside the first, in a program that started MPI before: freeing it leaves MPI running. */
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
        cmocka_unit_test(test_what_it_is),
        cmocka_unit_test(test_collectives_are_those_of_mpi),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_wrong_arguments),
        cmocka_unit_test(test_all_is_well),
        cmocka_unit_test(test_one_fails),
        cmocka_unit_test(test_lowest_of_several),
        cmocka_unit_test(test_longest_message),
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_not_the_same),
        cmocka_unit_test(test_moved_boundary),
        cmocka_unit_test(test_different_numbers_of_names),
        cmocka_unit_test(test_self),
        cmocka_unit_test(test_second_communicator),
    };
    return run_on_ranks(argc, argv, tests);
}
