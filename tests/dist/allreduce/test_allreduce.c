/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 3 4 5 */
/* The all-reduce equals the same tree computed by a serial recursion over all shards, bit for bit: by messages, in
 * shared memory, and with several placements of the ranks on simulated hosts. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/philox.h"
#include "dist/allreduce/allreduce.h"
#include "tests/dist/mpi_test.h"

static const int     shard_counts[] = {1, 2, 3, 5, 8, 13, 16};
static const int     accumulate[]   = {1, 2, 3, 5, 8};
static const int64_t counts[]       = {1, 17, 256, 5000, 100003};
#define LENGTH(x) (sizeof(x) / sizeof *(x))

/* Element i of a shard's gradient.  Magnitudes differ by 2^20, so that the order of additions changes the sum; some
 * elements are -0. */
static float value_of(int shard, int64_t i)
{
    ls_philox4 r = ls_philox(4711, (uint64_t)shard, (uint64_t)i);
    if (i % 11 == 3) return -0.0f;
    float scale = (float)(1u << (r.v[1] % 20));
    return (ls_uniform01(r.v[0]) - 0.5f) * scale;
}

/* The sum over the leaves [first, first + span); leaves from `total` on are absent. */
static float serial_sum(int first, int span, int total, int64_t i)
{
    if (span == 1) return value_of(first, i);
    float left = serial_sum(first, span / 2, total, i);
    return first + span / 2 >= total ? left : left + serial_sum(first + span / 2, span / 2, total, i);
}

/* ---- simulated hosts --------------------------------------------------------------------------------------------- */

typedef enum placement { MESSAGES, ONE_HOST, PAIRS, ROUND_ROBIN, FIRST_ALONE, PLACEMENTS } placement;
static const char *const placement_names[PLACEMENTS] = {"no shared memory", "one host", "two ranks per host",
                                                        "two hosts, round robin", "rank 0 on a host of its own"};

static int lowest_on_host(placement p, int rank)
{
    switch (p) {
    case PAIRS:
        return rank / 2 * 2;
    case ROUND_ROBIN:
        return rank % 2;
    case FIRST_ALONE:
        return rank > 0;
    default:
        return 0;
    }
}

static void simulate_hosts(placement p)
{
    for (int r = 0; r < the_size(); r++) comm->host[r] = lowest_on_host(p, r);
}

static void test_placements(void **state)
{
    for (placement p = ONE_HOST; p < PLACEMENTS; p++)
        for (int r = 0; r < 9; r++) {
            assert_true(lowest_on_host(p, r) <= r);
            assert_int_equal(lowest_on_host(p, lowest_on_host(p, r)), lowest_on_host(p, r));
        }
}

/* Allocates the blocks of an all-reduce in shared memory. */
static ls_shared_memory *blocks_for(ls_allreduce *a, size_t stride, placement p)
{
    ls_shared_memory *w;
    simulate_hosts(p);
    assert_ok(ls__shared_memory_new(&w, comm, p == MESSAGES ? LS_SHARED_MEMORY_OFF : LS_SHARED_MEMORY_ON,
                                    (size_t)ls__allreduce_slots(a) * stride * sizeof(float), "test"));
    assert_ok(ls__allreduce_use_shared_memory(a, w, stride));
    simulate_hosts(ONE_HOST);
    return w;
}

static int next_power(int n)
{
    int p = 1;
    while (p < n) p *= 2;
    return p;
}

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* Writes the gradients of the groups of a micro-step, as its kernels do. */
static void compute(const ls_allreduce_micro_step *s, float *block0, size_t stride, int64_t count)
{
    int next = 0;
    for (int k = 0; k < s->groups; k++) {
        ls_allreduce_group g = s->group[k];
        assert_int_equal(g.first, next);
        assert_true(g.shards > 0 && (g.shards & (g.shards - 1)) == 0);
        next += g.shards;
        for (int64_t i = 0; i < count; i++)
            block0[(size_t)g.slot * stride + (size_t)i] = serial_sum(s->first_shard + g.first, g.shards, 1 << 30, i);
    }
    assert_int_equal(next, s->shards);
}

/* The source of progress before the end of the sums: none, calls of ls__allreduce_poll, or the progress thread. */
typedef enum progress { NO_PROGRESS, POLLS, THREAD, PROGRESS_KINDS } progress;

static void check_sum_with(progress h, placement p, int shards, int micro_steps, int64_t count, int64_t buckets)
{
    ls_allreduce *a;
    assert_ok(ls__allreduce_new(&a, comm, shards, micro_steps, (count + buckets - 1) / buckets));
    size_t            stride = ((size_t)count + 15) / 16 * 16;
    size_t            slots  = (size_t)ls__allreduce_slots(a);
    ls_shared_memory *memory = blocks_for(a, stride, p);
    float            *block0 = memory->own.data;
    for (size_t i = 0; i < slots * stride; i++) block0[i] = NAN;
    for (int m = 0; m < micro_steps; m++) {
        compute(ls__allreduce_micro_step(a, m), block0, stride, count);
        if (m < micro_steps - 1) ls__allreduce_merge(a, m, block0, stride, count);
    }
    if (h == THREAD) assert_ok(ls__allreduce_start_thread(a));
    uint64_t allocations = ls_alloc_count();
    for (int64_t b = 0; b < buckets; b++) {
        if (h == POLLS) assert_ok(ls__allreduce_poll(a));
        int64_t begin = count * b / buckets, end = count * (b + 1) / buckets;
        assert_ok(ls__allreduce_begin(a, block0, stride, &(ls_allreduce_request){.range = {begin, end - begin}}));
        if (h == POLLS)
            for (int i = 0; i < 1 + (the_rank() + b) % 3; i++) assert_ok(ls__allreduce_poll(a));
        if (b % 90 == 88) assert_ok(ls__allreduce_end(a));
    }
    assert_ok(ls__allreduce_end(a));
    assert_int_equal(ls_alloc_count(), allocations);
    for (int64_t i = 0; i < count; i++) {
        float expected = serial_sum(0, next_power(shards), shards, i);
        if (bits_of(block0[i]) != bits_of(expected))
            fail_msg("%s, %d shards, %d micro-steps, %d ranks, element %lld of %lld: %.9g, expected %.9g",
                     placement_names[p], shards, micro_steps, the_size(), (long long)i, (long long)count,
                     (double)block0[i], (double)expected);
    }
    ls__shared_memory_free(memory);
    ls__allreduce_free(a);
}

static void check_sum_on(placement p, int shards, int micro_steps, int64_t count, int64_t buckets)
{
    check_sum_with(NO_PROGRESS, p, shards, micro_steps, count, buckets);
}

static void check_sum(int shards, int micro_steps, int64_t count, int64_t buckets)
{
    for (placement p = 0; p < PLACEMENTS; p++) {
        bool few = (shards == 13 || shards == 16) && micro_steps % 2 && (count == 17 || count == 5000);
        if (p <= ONE_HOST || (the_size() > 2 && few)) check_sum_on(p, shards, micro_steps, count, buckets);
    }
}

static void test_bits_of_every_cut(void **state)
{
    for (size_t v = 0; v < LENGTH(shard_counts); v++)
        for (size_t a = 0; a < LENGTH(accumulate); a++)
            for (size_t c = 0; c < LENGTH(counts); c++) {
                if (accumulate[a] > shard_counts[v] || (counts[c] > 1000 && a % 4 != 0)) continue;
                check_sum(shard_counts[v], accumulate[a], counts[c], 1);
            }
}

static void test_buckets_do_not_matter(void **state)
{
    check_sum(16, 1, 5000, 7);
    check_sum(16, 1, 5000, 100); /* more than the queue holds */
    check_sum(13, 3, 5000, 3);
}

/* More buckets than chunks in flight, buckets of several chunks, all placements, all sources of progress. */
static void test_progress(void **state)
{
    for (progress h = POLLS; h < PROGRESS_KINDS; h++)
        for (placement p = 0; p < PLACEMENTS; p++) {
            check_sum_with(h, p, 16, 1, 100003, 40);
            check_sum_with(h, p, 13, 3, 5000, 7);
            check_sum_with(h, p, 8, 1, 1, 1);
        }
}

/* With bfloat16 messages the sum of each host is rounded, the tree adds these, and the sum is rounded.  It is close to
 * the exact sum, and equal on all ranks. */
static void test_bfloat16(void **state)
{
    enum { COUNT = 5000, SHARDS = 8 };
    for (placement p = 0; p < PLACEMENTS; p++) {
        ls_allreduce *a;
        assert_ok(ls__allreduce_new(&a, comm, SHARDS, 1, COUNT));
        ls_shared_memory *memory = blocks_for(a, COUNT, p);
        float            *block0 = memory->own.data, *all = calloc((size_t)the_size() * COUNT, sizeof *all);
        assert_ok(ls__allreduce_send_bf16(a));
        for (int repetition = 0; repetition < 3; repetition++) {
            compute(ls__allreduce_micro_step(a, 0), block0, COUNT, COUNT);
            assert_ok(ls__allreduce_run(a, block0, COUNT, &(ls_allreduce_request){.range = {0, COUNT}}));
            assert_ok(ls_comm_allgather(comm, block0, all, COUNT * sizeof *all));
            for (int64_t i = 0; i < COUNT; i++) {
                float exact = serial_sum(0, SHARDS, SHARDS, i), most = 0;
                for (int s = 0; s < SHARDS; s++) most += fabsf(value_of(s, i));
                if (fabsf(block0[i] - exact) > most / 128)
                    fail_msg("%s, element %lld: %g, expected about %g", placement_names[p], (long long)i,
                             (double)block0[i], (double)exact);
                for (int r = 0; r < the_size(); r++) assert_true(bits_of(all[r * COUNT + i]) == bits_of(block0[i]));
                if (the_size() > 1 && (p == MESSAGES || (p == FIRST_ALONE)))
                    assert_int_equal(bits_of(block0[i]) & 0xffff, 0);
            }
        }
        /* The bits do not depend on the buckets. */
        memcpy(all, block0, COUNT * sizeof *all);
        compute(ls__allreduce_micro_step(a, 0), block0, COUNT, COUNT);
        for (int64_t at = 0; at < COUNT; at += 1700)
            assert_ok(ls__allreduce_begin(
                a, block0, COUNT, &(ls_allreduce_request){.range = {at, COUNT - at < 1700 ? COUNT - at : 1700}}));
        assert_ok(ls__allreduce_end(a));
        assert_memory_equal(block0, all, COUNT * sizeof *all);
        free(all);
        ls__shared_memory_free(memory);
        ls__allreduce_free(a);
    }
}

/* More floats than one chunk carries. */
static void test_several_chunks(void **state)
{
    for (placement p = 0; p < PLACEMENTS; p++) {
        ls_allreduce *a;
        int64_t       count = 5 * (1 << 18) + 77;
        assert_ok(ls__allreduce_new(&a, comm, 5, 1, count));
        size_t                         stride = (size_t)count;
        ls_shared_memory              *memory = blocks_for(a, stride, p);
        float                         *block0 = memory->own.data;
        const ls_allreduce_micro_step *s      = ls__allreduce_micro_step(a, 0);
        for (int k = 0; k < s->groups; k++)
            for (int64_t i = 0; i < count; i++)
                block0[(size_t)s->group[k].slot * stride + (size_t)i] = (float)(i % 1000 * s->group[k].shards);
        assert_ok(ls__allreduce_run(a, block0, stride, &(ls_allreduce_request){.range = {0, count}}));
        for (int64_t i = 0; i < count; i++)
            if (block0[i] != (float)(i % 1000 * 5))
                fail_msg("%s, element %lld: %g", placement_names[p], (long long)i, (double)block0[i]);
        ls__shared_memory_free(memory);
        ls__allreduce_free(a);
    }
}

/* Buckets of random size and offset, repeatedly: the blocks of a rank that runs ahead are read neither too early nor
 * too late. */
static void test_random_buckets(void **state)
{
    enum { STRIDE = 4096, REPETITIONS = 30 };
    for (placement p = 0; p < PLACEMENTS; p++) {
        ls_allreduce *a;
        assert_ok(ls__allreduce_new(&a, comm, 13, 1, STRIDE));
        ls_shared_memory              *memory = blocks_for(a, STRIDE, p);
        float                         *block0 = memory->own.data;
        const ls_allreduce_micro_step *s      = ls__allreduce_micro_step(a, 0);
        for (int repetition = 0; repetition < REPETITIONS; repetition++) {
            ls_philox4 r      = ls_philox(99, (uint64_t)p, (uint64_t)repetition);
            int64_t    offset = r.v[0] % STRIDE, count = 1 + r.v[1] % (STRIDE - offset);
            for (int k = 0; k < s->groups; k++)
                for (int64_t i = offset; i < offset + count; i++)
                    block0[(size_t)s->group[k].slot * STRIDE + (size_t)i] =
                        serial_sum(s->first_shard + s->group[k].first, s->group[k].shards, 1 << 30, i + repetition);
            assert_ok(ls__allreduce_run(a, block0, STRIDE, &(ls_allreduce_request){.range = {offset, count}}));
            for (int64_t i = offset; i < offset + count; i++)
                if (bits_of(block0[i]) != bits_of(serial_sum(0, 16, 13, i + repetition)))
                    fail_msg("%s, repetition %d, [%lld, %lld), element %lld", placement_names[p], repetition,
                             (long long)offset, (long long)(offset + count), (long long)i);
        }
        ls__shared_memory_free(memory);
        ls__allreduce_free(a);
    }
}

/* Partitioned output.  In units of LS_PARTITION_ALIGN floats there are three buckets: [0, 5) begins with the header;
 * [5, 8) has [8, 11) as its addend.  Each rank copies its partitions to a block that its host shares, and the hosts
 * all-gather that block. */
static void check_partitions(placement p, ls_allreduce_output output, int shards)
{
    enum { G = LS_PARTITION_ALIGN, HEADER = 16, BUCKETS = 3 };
    static const ls_allreduce_request bucket[BUCKETS] = {{.range = {0, 5 * G}},
                                                         {.range = {8 * G, 3 * G}, .is_addend = true},
                                                         {.range = {5 * G, 3 * G}, .addend_shift = 3 * G}};
    ls_allreduce                     *a;
    ls_shared_memory                 *values;
    size_t                            stride = 11 * G;
    assert_ok(ls__allreduce_new(&a, comm, shards, 1, 5 * G));
    ls_shared_memory *memory = blocks_for(a, stride, p);
    simulate_hosts(p);
    assert_ok(ls__shared_memory_new(&values, comm, p == MESSAGES ? LS_SHARED_MEMORY_OFF : LS_SHARED_MEMORY_ON,
                                    stride * sizeof(float), "values"));
    assert_ok(ls__allreduce_set_output(a, output, HEADER));
    float *block0 = memory->own.data, *base = values->block[0].data;
    for (int repetition = 0; repetition < 3; repetition++) {
        const ls_allreduce_micro_step *s = ls__allreduce_micro_step(a, 0);
        compute(s, block0, stride, 11 * G);
        for (int i = 0; i < BUCKETS; i++) assert_ok(ls__allreduce_begin(a, block0, stride, &bucket[i]));
        assert_ok(ls__allreduce_end(a));
        for (int i = 0; i < HEADER; i++)
            assert_true(bits_of(ls__allreduce_header(a)[i]) == bits_of(serial_sum(0, next_power(shards), shards, i)));
        for (int i = 0; i < BUCKETS; i += 2) {
            int64_t from   = bucket[i].range.offset ? bucket[i].range.offset : G,
                    length = ls__range_end(bucket[i].range) - from;
            ls_range own   = ls__allreduce_partition(a, the_rank(), length);
            if (output == LS_ALLREDUCE_EVERY_HOST) own = (ls_range){.count = values->me == 0 ? length : 0};
            memcpy(base + from + own.offset, ls__allreduce_output(a) + from + own.offset,
                   (size_t)own.count * sizeof(float));
            assert_ok(ls__allreduce_gather(a, base, (ls_range){from, length}));
        }
        assert_ok(ls__allreduce_release(a));
        for (int64_t i = G; i < 8 * G; i++) {
            float expected = serial_sum(0, next_power(shards), shards, i);
            if (i >= 5 * G) expected += serial_sum(0, next_power(shards), shards, i + 3 * G);
            if (bits_of(base[i]) != bits_of(expected))
                fail_msg("%s, mode %d, %d shards, element %lld: %g, expected %g", placement_names[p], output, shards,
                         (long long)i, (double)base[i], (double)expected);
        }
        assert_ok(ls__allreduce_release(a)); /* all ranks have read `base` */
    }
    ls__shared_memory_free(values);
    ls__shared_memory_free(memory);
    ls__allreduce_free(a);
    simulate_hosts(ONE_HOST);
}

static void test_partitions(void **state)
{
    static const int shard_counts_of_partitions[] = {1, 5, 8, 13};
    for (placement p = 0; p < PLACEMENTS; p++)
        for (size_t v = 0; v < LENGTH(shard_counts_of_partitions); v++)
            for (ls_allreduce_output output = LS_ALLREDUCE_EVERY_HOST; output <= LS_ALLREDUCE_PARTITIONED; output++)
                check_partitions(p, output, shard_counts_of_partitions[v]);
}

/* Buckets share two places of the blocks, with a separate output.  After ls__allreduce_wait_read a place can be written
 * again: the sum does not change. */
static void check_shared_places(progress h, placement p, int shards, int64_t count)
{
    enum { BUCKETS = 12, PLACES = 2, STEPS = 3 };
    ls_allreduce *a;
    assert_ok(ls__allreduce_new(&a, comm, shards, 1, count));
    size_t            stride = PLACES * (size_t)count;
    ls_shared_memory *memory = blocks_for(a, stride, p);
    float            *block0 = memory->own.data, *sums = malloc(BUCKETS * (size_t)count * sizeof *sums);
    uint64_t          number[BUCKETS];
    assert_non_null(sums);
    assert_ok(ls__allreduce_set_output(a, LS_ALLREDUCE_PARTITIONED, 0));
    ls__allreduce_set_separate_output(a, sums);
    if (h == THREAD) assert_ok(ls__allreduce_start_thread(a));
    const ls_allreduce_micro_step *s = ls__allreduce_micro_step(a, 0);
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < BUCKETS; i++) {
            int64_t offset = i % PLACES * count;
            if (i >= PLACES) assert_ok(ls__allreduce_wait_read(a, number[i - PLACES]));
            for (int k = 0; k < s->groups; k++)
                for (int64_t c = 0; c < count; c++)
                    block0[(size_t)s->group[k].slot * stride + (size_t)(offset + c)] =
                        serial_sum(s->first_shard + s->group[k].first, s->group[k].shards, 1 << 30,
                                   (step * BUCKETS + i) * count + c);
            if (h == POLLS)
                for (int k = 0; k < (the_rank() + i) % 3; k++) assert_ok(ls__allreduce_poll(a));
            assert_ok(ls__allreduce_begin(
                a, block0, stride,
                &(ls_allreduce_request){.range = {offset, count}, .output_shift = i * count - offset}));
            number[i] = ls__allreduce_begun(a);
        }
        assert_ok(ls__allreduce_end(a));
        ls_range own = ls__allreduce_partition(a, the_rank(), count);
        for (int i = 0; i < BUCKETS; i++)
            for (int64_t c = own.offset; c < own.offset + own.count; c++) {
                float expected = serial_sum(0, next_power(shards), shards, (step * BUCKETS + i) * count + c);
                if (bits_of(sums[i * count + c]) != bits_of(expected))
                    fail_msg("%s, progress %d, %d shards, step %d, bucket %d, element %lld: %g, expected %g",
                             placement_names[p], h, shards, step, i, (long long)c, (double)sums[i * count + c],
                             (double)expected);
            }
        assert_ok(ls__allreduce_release(a));
    }
    free(sums);
    ls__shared_memory_free(memory);
    ls__allreduce_free(a);
}

static void test_buckets_share_places(void **state)
{
    if (the_size() == 1) return; /* one rank has no separate output */
    for (progress h = NO_PROGRESS; h < PROGRESS_KINDS; h++)
        for (placement p = 0; p < PLACEMENTS; p++) {
            check_shared_places(h, p, 8, 5 * LS_PARTITION_ALIGN);
            check_shared_places(h, p, 13, LS_PARTITION_ALIGN / 2);
        }
}

static void check_nodes(int first, int shards, int total, int n, const ls_tree_node *expected)
{
    ls_tree_node node[LS_ALLREDUCE_MAX_NODES];
    assert_int_equal(ls__allreduce_nodes(first, shards, total, node), n);
    for (int i = 0; i < n; i++) assert_memory_equal(&node[i], &expected[i], sizeof *node);
}

static void test_nodes(void **state)
{
    check_nodes(0, 0, 8, 0, NULL);
    check_nodes(0, 1, 1, 1, (ls_tree_node[]){{0, 1, 1}});
    check_nodes(0, 8, 8, 1, (ls_tree_node[]){{0, 8, 8}});
    check_nodes(0, 6, 6, 1, (ls_tree_node[]){{0, 6, 8}});
    check_nodes(4, 2, 6, 1, (ls_tree_node[]){{4, 2, 4}});
    check_nodes(4, 3, 7, 1, (ls_tree_node[]){{4, 3, 4}});
    check_nodes(4, 1, 5, 1, (ls_tree_node[]){{4, 1, 4}});
    check_nodes(5, 5, 16, 3, (ls_tree_node[]){{5, 1, 1}, {6, 2, 2}, {8, 2, 2}});
    check_nodes(1, 14, 16, 6, (ls_tree_node[]){{1, 1, 1}, {2, 2, 2}, {4, 4, 4}, {8, 4, 4}, {12, 2, 2}, {14, 1, 1}});
}

/* Merges free slots: one rank with 16 shards in 16 micro-steps needs one block per level of the tree. */
static void test_slots_are_reused(void **state)
{
    ls_comm      *self;
    ls_allreduce *a;
    assert_ok(ls_comm_self(&self));
    assert_ok(ls__allreduce_new(&a, self, 16, 16, 1));
    assert_int_equal(ls__allreduce_slots(a), 5);
    ls__allreduce_free(a);
    assert_ok(ls__allreduce_new(&a, self, 16, 1, 1));
    assert_int_equal(ls__allreduce_slots(a), 1);
    ls__allreduce_free(a);
    ls_comm_free(self);
}

static void test_wrong_arguments(void **state)
{
    ls_allreduce *a;
    assert_int_equal(ls__allreduce_new(&a, comm, 0, 1, 1), LS_ERR_USAGE);
    assert_int_equal(ls__allreduce_new(&a, comm, 4, 5, 1), LS_ERR_USAGE);
    assert_non_null(strstr(ls_error_message(), "train.accumulate"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_bits_of_every_cut),
        cmocka_unit_test(test_buckets_do_not_matter),
        cmocka_unit_test(test_several_chunks),
        cmocka_unit_test(test_slots_are_reused),
        cmocka_unit_test(test_wrong_arguments),
        cmocka_unit_test(test_placements),
        cmocka_unit_test(test_random_buckets),
        cmocka_unit_test(test_partitions),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_bfloat16),
        cmocka_unit_test(test_buckets_share_places),
    };
    return run_on_ranks(argc, argv, tests);
}
