/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 3 4 */
/* Shared-memory segments: visible to all members, of any size, private where sharing fails; and their barrier. */
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

static void test_members_see_all_segments(void **state)
{
    ls_shared_memory *w = make(LS_SHARED_MEMORY_ON, bytes_of(the_rank()));
    assert_int_equal(w->members, the_size());
    assert_int_equal(w->shared, the_size() > 1);
    assert_int_equal(w->rank[w->me], the_rank());
    assert_ptr_equal(w->block[w->me].data, w->own.data);
    assert_int_equal(w->own.bytes, bytes_of(the_rank()));
    assert_int_equal((uintptr_t)w->own.data % (2 << 20), 0);
    unsigned char *own = w->own.data;
    for (size_t i = 0; i < w->own.bytes; i++) assert_int_equal(own[i], 0);
    memset(own, 10 + the_rank(), w->own.bytes);
    assert_ok(ls__shared_memory_barrier(w));
    for (int m = 0; m < w->members; m++) {
        const unsigned char *segment = w->block[m].data;
        assert_int_equal(w->block[m].bytes, bytes_of(w->rank[m]));
        for (size_t i = 0; i < w->block[m].bytes; i++) assert_int_equal(segment[i], 10 + w->rank[m]);
    }
    assert_ok(ls__shared_memory_barrier(w));
    if (the_rank() == 0) /* rank 0 writes to all segments */
        for (int m = 0; m < w->members; m++)
            ((unsigned char *)w->block[m].data)[w->block[m].bytes - 1] = (unsigned char)(100 + m);
    assert_ok(ls__shared_memory_barrier(w));
    assert_int_equal(own[w->own.bytes - 1], 100 + w->me);
    ls__shared_memory_free(w);
}

/* Moving the segments to huge pages, on all ranks at the same time, keeps their contents. */
static void test_settle_keeps_contents(void **state)
{
    enum { COUNT = 1300000 };
    ls_shared_memory *w = make(LS_SHARED_MEMORY_AUTO, COUNT * sizeof(int));
    int              *x = w->own.data;
    for (int i = 0; i < COUNT; i++) x[i] = i + the_rank();
    assert_ok(ls__shared_memory_barrier(w));
    for (int repetition = 0; repetition < 2; repetition++) {
        for (int m = 0; m < w->members; m++)
            for (int i = 0; i < COUNT; i++)
                if (((int *)w->block[m].data)[i] != i + w->rank[m]) fail_msg("element %d of rank %d", i, w->rank[m]);
        ls__shared_memory_settle(w);
    }
    assert_true(w->settled);
    ls__shared_memory_free(w);
}

/* Waiting for a process that has exited ends with an error. */
static void test_member_has_exited(void **state)
{
    ls_comm          *other;
    ls_shared_memory *w;
    assert_ok(ls__comm_mpi_open(&other, NULL, NULL)); /* without a watchdog, which would end all processes */
    assert_ok(ls__shared_memory_new(&w, other, LS_SHARED_MEMORY_ON, 100, "test"));
    pid_t child = fork();
    if (child == 0) _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    if (w->shared) { /* no member arrives */
        for (int m = 0; m < w->members; m++) w->process[m] = child;
        assert_int_equal(ls__shared_memory_wait(w, 5), LS_ERR_ENV);
        if (!strstr(ls_error_message(), "has exited while")) fail_msg("%s", ls_error_message());
        assert_int_equal(ls__shared_memory_barrier(w), LS_ERR_ENV);
        assert_int_equal(ls_comm_barrier(other), LS_ERR_ENV);
    }
    ls__shared_memory_free(w);
    ls_comm_free(other);
}

/* A barrier orders writes before reads, and reads before the next writes. */
static void test_barrier_orders(void **state)
{
    enum { ITERATIONS = 300 };
    ls_shared_memory *w = make(LS_SHARED_MEMORY_AUTO, sizeof(int));
    for (int i = 1; i <= ITERATIONS; i++) {
        *(volatile int *)w->own.data = i;
        if ((i + the_rank()) % 100 == 0) usleep(3000); /* long enough for the others to sleep */
        assert_ok(ls__shared_memory_barrier(w));
        for (int m = 0; m < w->members; m++) assert_int_equal(*(volatile int *)w->block[m].data, i);
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

/* Ranks free their segments in different order. */
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

/* The last rank cannot open files: with ON all ranks return the error, with AUTO all get private memory. */
static void test_fallback(void **state)
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
    if (!strstr(ls_error_message(), "shared test block: memfd_create")) fail_msg("%s", ls_error_message());
    if (the_rank() == the_size() - 1) assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
    status = ls__shared_memory_new(&w, comm, LS_SHARED_MEMORY_AUTO, 1000, "test");
    if (the_rank() == the_size() - 1) assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(status, LS_OK);
    assert_false(w->shared);
    memset(w->own.data, 1, 1000);
    ls__shared_memory_free(w);
    assert_ok(ls_comm_barrier(comm)); /* the communicator still works */
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_see_all_segments),
        cmocka_unit_test(test_barrier_orders),
        cmocka_unit_test(test_off_is_private),
        cmocka_unit_test(test_free_alone),
        cmocka_unit_test(test_fallback),
        cmocka_unit_test(test_settle_keeps_contents),
        cmocka_unit_test(test_member_has_exited),
    };
    return run_on_ranks(argc, argv, tests);
}
