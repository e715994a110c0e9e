/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 3 4 */
/* Blocks that ranks share: seen by all members, of any size, private where they cannot be shared; and the barrier. */
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dist/allreduce/shared_memory.h"
#include "tests/dist/mpi_test.h"

static size_t bytes_of(int rank) { return (size_t)(rank + 1) * 5000 + 3; }

static ls_shared_memory *make(ls_shared_memory_mode mode, size_t bytes)
{
    ls_shared_memory *w;
    assert_ok(ls__shared_memory_new(&w, comm, mode, bytes, "test"));
    return w;
}

static void test_all_see_all(void **state)
{
    ls_shared_memory *w = make(LS_SHARED_MEMORY_ON, bytes_of(the_rank()));
    assert_int_equal(w->members, the_size());
    assert_int_equal(w->shared, the_size() > 1);
    assert_int_equal(w->rank[w->me], the_rank());
    assert_ptr_equal(w->block[w->me].data, w->own.data);
    assert_int_equal(w->own.bytes, bytes_of(the_rank()));
    assert_int_equal((uintptr_t)w->own.data % (2 << 20), 0);
    unsigned char *mine = w->own.data;
    for (size_t i = 0; i < w->own.bytes; i++) assert_int_equal(mine[i], 0);
    memset(mine, 10 + the_rank(), w->own.bytes);
    assert_ok(ls__shared_memory_barrier(w));
    for (int m = 0; m < w->members; m++) {
        const unsigned char *its = w->block[m].data;
        assert_int_equal(w->block[m].bytes, bytes_of(w->rank[m]));
        for (size_t i = 0; i < w->block[m].bytes; i++) assert_int_equal(its[i], 10 + w->rank[m]);
    }
    assert_ok(ls__shared_memory_barrier(w));
    if (the_rank() == 0) /* and write to all */
        for (int m = 0; m < w->members; m++)
            ((unsigned char *)w->block[m].data)[w->block[m].bytes - 1] = (unsigned char)(100 + m);
    assert_ok(ls__shared_memory_barrier(w));
    assert_int_equal(mine[w->own.bytes - 1], 100 + w->me);
    ls__shared_memory_free(w);
}

/* Huge pages or not: what is there stays there, for all, while all of them change at once. */
static void test_settle_keeps_all(void **state)
{
    enum { COUNT = 1300000 };
    ls_shared_memory *w = make(LS_SHARED_MEMORY_AUTO, COUNT * sizeof(int));
    int              *x = w->own.data;
    for (int i = 0; i < COUNT; i++) x[i] = i + the_rank();
    assert_ok(ls__shared_memory_barrier(w));
    for (int turn = 0; turn < 2; turn++) {
        for (int m = 0; m < w->members; m++)
            for (int i = 0; i < COUNT; i++)
                if (((int *)w->block[m].data)[i] != i + w->rank[m]) fail_msg("element %d of rank %d", i, w->rank[m]);
        ls__shared_memory_settle(w);
    }
    assert_true(w->settled);
    ls__shared_memory_free(w);
}

/* Whoever waits for a process that is no more gets an error, and does not wait forever. */
static void test_a_member_has_ended(void **state)
{
    ls_comm          *other;
    ls_shared_memory *w;
    assert_ok(ls_comm_mpi(&other, NULL, NULL));
    assert_ok(ls__shared_memory_new(&w, other, LS_SHARED_MEMORY_ON, 100, "test"));
    pid_t gone = fork();
    if (gone == 0) _exit(0);
    assert_int_equal(waitpid(gone, NULL, 0), gone);
    if (w->shared) { /* nobody arrives */
        for (int m = 0; m < w->members; m++) w->process[m] = gone;
        assert_int_equal(ls__shared_memory_wait(w, 5), LS_ERR_ENV);
        if (!strstr(ls_error_message(), "has exited while")) fail_msg("%s", ls_error_message());
        assert_int_equal(ls__shared_memory_barrier(w), LS_ERR_ENV);
        assert_int_equal(ls_comm_barrier(other), LS_ERR_ENV);
    }
    ls__shared_memory_free(w);
    ls_comm_free(other);
}

/* Each turn a rank reads what the others wrote in that turn, and nobody writes the next before all have read. */
static void test_barrier_orders(void **state)
{
    enum { TURNS = 300 };
    ls_shared_memory *w = make(LS_SHARED_MEMORY_AUTO, sizeof(int));
    for (int turn = 1; turn <= TURNS; turn++) {
        *(volatile int *)w->own.data = turn;
        if ((turn + the_rank()) % 100 == 0) usleep(3000); /* the others come to sleep */
        assert_ok(ls__shared_memory_barrier(w));
        for (int m = 0; m < w->members; m++) assert_int_equal(*(volatile int *)w->block[m].data, turn);
        assert_ok(ls__shared_memory_barrier(w));
    }
    ls__shared_memory_free(w);
}

static void test_off_is_private(void **state)
{
    ls_shared_memory *w = make(LS_SHARED_MEMORY_OFF, 100);
    assert_int_equal(w->members, 1);
    assert_false(w->shared);
    assert_int_equal(w->rank[0], the_rank());
    assert_ptr_equal(w->block[0].data, w->own.data);
    memset(w->own.data, 1, 100);
    assert_ok(ls__shared_memory_barrier(w));
    ls__shared_memory_free(w);
}

/* Ranks free theirs when they like, also in different order. */
static void test_free_alone(void **state)
{
    ls_shared_memory *x = make(LS_SHARED_MEMORY_ON, 1000), *z = make(LS_SHARED_MEMORY_ON, 2000);
    *(char *)x->own.data = 7;
    assert_ok(ls__shared_memory_barrier(x));
    ls__shared_memory_free(the_rank() % 2 ? x : z);
    if (the_rank() == 0)
        for (int m = 0; m < x->members; m++) assert_int_equal(*(char *)x->block[m].data, 7);
    ls__shared_memory_free(the_rank() % 2 ? z : x);
    ls__shared_memory_free(NULL);
}

/* On the last rank no file can be that long: all ranks learn of it, or go on with private blocks. */
static void test_where_it_cannot_be(void **state)
{
    struct rlimit     limit, small;
    ls_shared_memory *w;
    if (the_size() == 1) return;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    small          = limit;
    small.rlim_cur = 0;
    if (the_rank() == the_size() - 1) assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
    ls_status status = ls__shared_memory_new(&w, comm, LS_SHARED_MEMORY_ON, 1000, "test");
    if (the_rank() == the_size() - 1) assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(status, LS_ERR_ENV);
    if (!strstr(ls_error_message(), "shared test block: memfd_create"))
        fail_msg("%s", ls_error_message());
    if (the_rank() == the_size() - 1) assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
    status = ls__shared_memory_new(&w, comm, LS_SHARED_MEMORY_AUTO, 1000, "test");
    if (the_rank() == the_size() - 1) assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(status, LS_OK);
    assert_false(w->shared);
    memset(w->own.data, 1, 1000);
    ls__shared_memory_free(w);
    assert_ok(ls_comm_barrier(comm)); /* nothing is broken */
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_see_all),        cmocka_unit_test(test_barrier_orders),
        cmocka_unit_test(test_off_is_private),     cmocka_unit_test(test_free_alone),
        cmocka_unit_test(test_where_it_cannot_be), cmocka_unit_test(test_settle_keeps_all),
        cmocka_unit_test(test_a_member_has_ended),
    };
    return run_on_ranks(argc, argv, tests);
}
