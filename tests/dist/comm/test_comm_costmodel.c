/* SPDX-License-Identifier: Apache-2.0
 * The communicator `costmodel`: time of an exchange by its formula, bursts, and the messages of an all-reduce. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dist/comm/costmodel.h"
#include "dist/allreduce/allreduce.h"

#define PAYLOAD (1448.0 / 1538.0)

static void near(double is, double expected, double slack)
{
    if (!(fabs(is - expected) <= slack)) fail_msg("%.9g, expected %.9g", is, expected);
}

/* Tolerance for the real time that passes during a call, seconds. */
#define TOLERANCE_S 1e-4

/* Simulated waiting time of an exchange. */
static double waiting_time(ls_comm *comm, int sends, size_t out, int receives, size_t in)
{
    static float data[1 << 16];
    ls_transfer  send[3]   = {{1, data, out}, {2, data, out}, {3, data, out}},
                receive[3] = {{1, data, in}, {2, data, in}, {3, data, in}};
    double before          = ls__costmodel_waited(comm);
    assert_int_equal(ls__comm_exchange(comm, sends, send, receives, receive), LS_OK);
    return ls__costmodel_waited(comm) - before;
}

static void test_exchange(void **state)
{
    ls_comm *comm;
    assert_int_equal(
        ls__comm_costmodel(&comm, 0, 4, &(ls_link){.bytes_per_s = 125e6, .latency_s = 1e-3, .message_s = 1e-5}), LS_OK);
    near(waiting_time(comm, 3, 10000, 3, 10000), 1e-3 + 3e-5 + 120000 / (125e6 * PAYLOAD), TOLERANCE_S);
    near(waiting_time(comm, 1, 10000, 3, 10000), 1e-3 + 1e-5 + 120000 / (125e6 * PAYLOAD),
         TOLERANCE_S); /* the receives take longer */
    near(waiting_time(comm, 0, 0, 2, 0), 0, 0);
    double  waited = ls__costmodel_waited(comm), bytes;
    int64_t messages;
    assert_int_equal(ls_comm_barrier(comm), LS_OK);
    near(ls__costmodel_waited(comm) - waited, 2 * (1e-3 + 1e-5), TOLERANCE_S);
    ls__costmodel_sent(comm, &bytes, &messages);
    near(bytes, 160000, 0);
    assert_int_equal(messages, 6);
    ls_comm_free(comm);
    assert_int_equal(ls__comm_costmodel(&comm, 0, 4, NULL), LS_OK);
    near(waiting_time(comm, 3, 10000, 3, 10000), 0, 0);
    ls_comm_free(comm);
}

/* A burst passes without waiting; then the token bucket is empty and refills with time. */
static void test_burst(void **state)
{
    ls_comm *comm;
    assert_int_equal(ls__comm_costmodel(&comm, 0, 4, &(ls_link){.bytes_per_s = 1e4, .burst_bytes = 30000}), LS_OK);
    near(waiting_time(comm, 1, 5000, 0, 0), 0, 1e-9); /* 20,000 of 30,000 */
    near(waiting_time(comm, 1, 5000, 0, 0), 10000 / (1e4 * PAYLOAD), 0.1);
    near(waiting_time(comm, 1, 5000, 0, 0), 20000 / (1e4 * PAYLOAD), 0.1);
    ls_comm_free(comm);
}

static void test_allreduce(void **state)
{
    for (int ranks = 2; ranks <= 64; ranks *= 4) {
        const int64_t count = 65536;
        float        *block = calloc((size_t)count, sizeof *block);
        ls_comm      *comm;
        ls_allreduce *tree;
        double        bytes;
        int64_t       messages;
        assert_non_null(block);
        assert_int_equal(ls__comm_costmodel(&comm, 1, ranks, &(ls_link){.latency_s = 1}), LS_OK);
        assert_int_equal(ls__allreduce_new(&tree, comm, ranks, 1, count), LS_OK);
        assert_int_equal(ls__allreduce_run(tree, block, (size_t)count, &(ls_allreduce_request){.range = {0, count}}),
                         LS_OK);
        ls__costmodel_sent(comm, &bytes, &messages);
        near(bytes, 2.0 * (ranks - 1) / ranks * (double)count * sizeof(float),
             0); /* the lower bound of an all-reduce */
        near(ls__costmodel_waited(comm), 2, TOLERANCE_S);
        ls__allreduce_free(tree);
        ls_comm_free(comm);
        free(block);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exchange), cmocka_unit_test(test_burst),
                                       cmocka_unit_test(test_allreduce)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
