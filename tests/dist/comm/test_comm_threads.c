/* SPDX-License-Identifier: Apache-2.0 */
/* The communicator `threads`: collectives, bits equal to one rank, link speed, scripted faults. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "dist/comm/comm.h"
#include "dist/trainer/trainer.h"
#include "tests/unit.h"

enum { IN = 12, CLASSES = 3, BATCH = 32, STEPS = 5, MOST = 16, FLOATS = 1000 };

/* ---- collectives ---- */

static ls_status collectives(ls_comm *comm, void *context)
{
    int   rank = ls_comm_rank(comm), size = ls_comm_size(comm), all[MOST] = {0}, seen = rank * 10;
    float out[FLOATS], in[MOST][FLOATS] = {{0}};
    (void)context;
    LS_CHECK(strcmp(ls_comm_name(comm), "threads") == 0 && ls_comm_local_size(comm) == size, LS_ERR_FAILED,
             "expected communicator threads with all ranks on one host");
    for (int round = 0; round < 20; round++) {
        ls_transfer send[MOST], receive[MOST];
        int         n = 0, own = rank + round;
        for (int i = 0; i < FLOATS; i++) out[i] = (float)(rank * FLOATS + i + round);
        for (int d = 1; d < size; d++, n++) {
            send[n]    = (ls_transfer){(rank + d) % size, out, FLOATS};
            receive[n] = (ls_transfer){(rank + size - d) % size, in[(rank + size - d) % size], FLOATS};
        }
        LS_TRY(ls__comm_exchange(comm, n, send, n, receive));
        for (int r = 0; r < size; r++)
            for (int i = 0; i < FLOATS && r != rank; i++)
                LS_CHECK(in[r][i] == (float)(r * FLOATS + i + round), LS_ERR_FAILED,
                         "rank %d: unexpected %g from rank %d at %d", rank, (double)in[r][i], r, i);
        LS_TRY(ls_comm_allgather(comm, &own, all, sizeof own));
        for (int r = 0; r < size; r++)
            LS_CHECK(all[r] == r + round, LS_ERR_FAILED, "allgather: unexpected %d from rank %d", all[r], r);
        if (rank == round % size) seen = 1000 + round;
        LS_TRY(ls_comm_bcast(comm, &seen, sizeof seen, round % size));
        LS_CHECK(seen == 1000 + round, LS_ERR_FAILED, "bcast: unexpected %d", seen);
        LS_TRY(ls_comm_barrier(comm));
    }
    return LS_OK;
}

static void test_collectives(void **state)
{
    for (int ranks = 1; ranks <= MOST; ranks = ranks * 2 + (ranks == 4))
        assert_ok(ls_comm_threads_run(ranks, NULL, collectives, NULL, NULL));
}

static ls_status disagree(ls_comm *comm, void *context)
{
    ls_status own = ls_comm_rank(comm) == 2 ? LS_FAIL(LS_ERR_DATA, "no such shard") : LS_OK;
    (void)context;
    return ls_comm_agree(comm, own);
}

static void test_agree(void **state)
{
    ls_status status[4];
    assert_int_equal(ls_comm_threads_run(4, NULL, disagree, NULL, status), LS_ERR_DATA);
    assert_non_null(strstr(ls_error_message(), "rank 2: no such shard"));
    for (int r = 0; r < 4; r++) assert_int_equal(status[r], LS_ERR_DATA);
}

/* ---- training ---- */

static ls_overlap overlap;

static ls_status train(ls_comm *comm, void *context)
{
    uint64_t   *digest = context;
    float       image[BATCH * IN];
    int32_t     label[BATCH];
    ls_graph   *g = ls_graph_new();
    ls_tensor  *x = ls_input(g, "image", LS_F32, IN), *y = ls_input(g, "label", LS_I32);
    ls_tensor  *logits = ls_linear(g, "out", ls_dropout(ls_relu(ls_linear(g, "in", x, 40)), .p = 0.2f), CLASSES);
    ls_trainer *t      = NULL;
    ls_metrics  m      = {0};
    ls_status   status = ls_trainer_new(&t, g, ls_cross_entropy(logits, y), .comm = comm, .batch = BATCH, .shards = 16,
                                        .bucket_bytes = 256, .overlap = overlap, .optim = ls_adam(.lr = 1e-2f));
    for (int step = 0; step < STEPS && status == LS_OK; step++) {
        ls_batch_partition share = ls_trainer_share(t, BATCH);
        for (int64_t i = 0; i < share.rows; i++) {
            label[i] = (int32_t)((share.first + i) % CLASSES);
            for (int k = 0; k < IN; k++) image[i * IN + k] = sinf((float)((share.first + i) * 7 + k * 3 + step));
        }
        status = ls_trainer_step(t,
                                 &(ls_batch){.inputs      = 2,
                                             .name        = {"image", "label"},
                                             .data        = {image, label},
                                             .rows        = share.rows,
                                             .first       = share.first,
                                             .global_rows = BATCH},
                                 &m);
    }
    if (t) digest[ls_comm_rank(comm)] = ls_trainer_digest(t);
    ls_trainer_free(t);
    ls_graph_free(g);
    return status;
}

static void test_equal_bits(void **state)
{
    uint64_t one[1], many[MOST];
    assert_ok(ls_comm_threads_run(1, NULL, train, one, NULL));
    for (int ranks = 2; ranks <= MOST; ranks++) {
        overlap = ranks % 3 == 0 ? LS_OVERLAP_THREAD : ranks % 3 == 1 ? LS_OVERLAP_OFF : LS_OVERLAP_POLL;
        assert_ok(ls_comm_threads_run(ranks, NULL, train, many, NULL));
        for (int r = 0; r < ranks; r++) assert_true(many[r] == one[0]);
    }
    overlap = LS_OVERLAP_AUTO;
}

/* ---- links and faults ---- */

static ls_status one_message(ls_comm *comm, void *context)
{
    static float big[250000], there[250000];
    int          rank = ls_comm_rank(comm);
    ls_transfer  m    = {1 - rank, rank ? there : big, 250000};
    (void)context;
    return ls__comm_exchange(comm, rank == 0, &m, rank == 1, &m);
}

/* 1,000,000 bytes at 10 MB/s take at least 0.1 s. */
static void test_slow_link(void **state)
{
    double began = ls__clock_s();
    assert_ok(
        ls_comm_threads_run(2, LS_THREADS_OPTIONS(.bytes_per_s = 10e6, .latency_s = 0.02), one_message, NULL, NULL));
    assert_true(ls__clock_s() - began >= 0.12);
}

static void test_dead_rank(void **state)
{
    for (int64_t call = 0; call < 8; call++) {
        ls_threads_fault fault     = {.rank = 2, .call = call, .kind = LS_THREADS_FAULT_DIE};
        uint64_t         digest[4] = {0};
        ls_status        status[4];
        assert_int_equal(
            ls_comm_threads_run(4, LS_THREADS_OPTIONS(.faults = 1, .fault = &fault), train, digest, status),
            LS_ERR_ENV);
        char expected[64];
        snprintf(expected, sizeof expected, "rank 2: ended by its scripted fault in call %lld", (long long)call);
        assert_non_null(strstr(ls_error_message(), expected));
        for (int r = 0; r < 4; r++) assert_int_equal(status[r], LS_ERR_ENV);
    }
}

enum { SMALL = 10, LARGE = 1 << 24 };

static float     *large, *copy_of_large;
static atomic_int reads, drops;

/* Rank 0 has three messages in progress and drops them while rank 2 reads the second.  Rank 1, which waits for the
 * first, must not receive the third in its place. */
static ls_status drop_messages(ls_comm *comm, void *context)
{
    static float first[SMALL], third[2 * SMALL];
    float        here[2 * SMALL];
    int          rank  = ls_comm_rank(comm);
    ls_transfer  all[] = {{1, first, SMALL}, {2, large, LARGE}, {1, third, 2 * SMALL}},
                own    = rank == 1 ? (ls_transfer){0, here, SMALL} : (ls_transfer){0, copy_of_large, LARGE};
    ls_flow *flow[3] = {NULL}, *wait = NULL;
    (void)context;
    for (int i = 0; i < 3; i++)
        LS_TRY(
            ls__comm_start(comm, LS_CHANNEL_GATHER, 0, NULL, 0, NULL, &flow[i])); /* creates the flows in this order */
    for (int i = 0; i < 3; i++) LS_TRY(ls__comm_test(comm, &flow[i]));
    for (int i = 0; rank == 0 && i < 3; i++)
        LS_TRY(ls__comm_start(comm, LS_CHANNEL_EXCHANGE, 1, &all[i], 0, NULL, &flow[i]));
    LS_TRY(ls_comm_barrier(comm));
    if (rank == 0) {
        while (!atomic_load(&reads)) continue;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        atomic_store(&drops, 1);
        ls__comm_drop(comm);
        return LS_OK;
    }
    LS_TRY(ls__comm_start(comm, LS_CHANNEL_EXCHANGE, 0, NULL, 1, &own, &wait));
    if (rank == 2) atomic_store(&reads, 1);
    while (rank == 1 && !atomic_load(&drops)) continue;
    while (wait) {
        LS_TRY(ls__comm_test(comm, &wait));
        if (rank == 1) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    return LS_OK;
}

static void test_dropped_messages(void **state)
{
    ls_status status[3];
    large         = calloc(LARGE, sizeof *large);
    copy_of_large = malloc(LARGE * sizeof *copy_of_large);
    ls_comm_threads_run(3, NULL, drop_messages, NULL, status);
    free(large), free(copy_of_large);
    assert_int_equal(status[0], LS_OK);
    assert_int_not_equal(status[1], LS_ERR_FAILED);
}

static void test_delayed_rank(void **state)
{
    uint64_t         one[1], many[4];
    ls_threads_fault fault = {.rank = 1, .call = 3, .kind = LS_THREADS_FAULT_DELAY, .seconds = 0.2};
    double           began = ls__clock_s();
    assert_ok(ls_comm_threads_run(1, NULL, train, one, NULL));
    assert_ok(ls_comm_threads_run(4, LS_THREADS_OPTIONS(.faults = 1, .fault = &fault), train, many, NULL));
    assert_true(ls__clock_s() - began >= 0.2);
    for (int r = 0; r < 4; r++) assert_true(many[r] == one[0]);
}

static void test_invalid_ranks(void **state)
{
    assert_int_equal(ls_comm_threads_run(0, NULL, train, NULL, NULL), LS_ERR_USAGE);
    assert_int_equal(ls_comm_threads_run(5000, NULL, train, NULL, NULL), LS_ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_collectives),  cmocka_unit_test(test_agree),
        cmocka_unit_test(test_equal_bits),   cmocka_unit_test(test_slow_link),
        cmocka_unit_test(test_dead_rank),    cmocka_unit_test(test_dropped_messages),
        cmocka_unit_test(test_delayed_rank), cmocka_unit_test(test_invalid_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
