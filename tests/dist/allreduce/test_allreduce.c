/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 3 4 5 */
/* The tree sum against the same tree computed by one plain recursion over all shards: equal bits, by messages, in a
 * window, and with the ranks dealt out to hosts in every way that differs. */
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

/* Element i of a shard's gradient: of very different sizes, so that the order of additions shows; and some -0. */
static float value_of(int shard, int64_t i)
{
    ls_philox4 r = ls_philox(4711, (uint64_t)shard, (uint64_t)i);
    if (i % 11 == 3) return -0.0f;
    float scale = (float)(1u << (r.v[1] % 20));
    return (ls_uniform01(r.v[0]) - 0.5f) * scale;
}

/* The leaves [first, first + span), of which those from `total` on do not exist. */
static float serial_tree(int first, int span, int total, int64_t i)
{
    if (span == 1) return value_of(first, i);
    float left = serial_tree(first, span / 2, total, i);
    return first + span / 2 >= total ? left : left + serial_tree(first + span / 2, span / 2, total, i);
}

/* ---- hosts that ranks pretend to be on --------------------------------------------------------------------------- */

typedef enum places { MESSAGES, ONE_HOST, PAIRS, ROUND_ROBIN, FIRST_ALONE, PLACES } places;
static const char *const place_names[PLACES] = {"messages", "one host", "hosts of two", "two hosts in turns",
                                                "rank 0 alone"};

static int lowest_on_host(places p, int rank)
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

static void pretend(places p)
{
    for (int r = 0; r < the_size(); r++) comm->host[r] = lowest_on_host(p, r);
}

static void test_places(void **state)
{
    for (places p = ONE_HOST; p < PLACES; p++)
        for (int r = 0; r < 9; r++) {
            assert_true(lowest_on_host(p, r) <= r);
            assert_int_equal(lowest_on_host(p, lowest_on_host(p, r)), lowest_on_host(p, r));
        }
}

/* A window with the blocks, and a tree that knows it. */
static ls_shared_memory *blocks_for(ls_allreduce *tree, size_t stride, places p)
{
    ls_shared_memory *w;
    pretend(p);
    assert_ok(ls__shared_memory_new(&w, comm, p == MESSAGES ? LS_SHARED_MEMORY_OFF : LS_SHARED_MEMORY_ON,
                                    (size_t)ls__allreduce_slots(tree) * stride * sizeof(float), "test"));
    assert_ok(ls__allreduce_use_shared_memory(tree, w, stride));
    pretend(ONE_HOST);
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

/* What the kernels of a micro-step do. */
static void compute(const ls_allreduce_micro_step *s, float *block0, size_t stride, int64_t count)
{
    int next = 0;
    for (int k = 0; k < s->groups; k++) {
        ls_allreduce_group g = s->group[k];
        assert_int_equal(g.first, next);
        assert_true(g.shards > 0 && (g.shards & (g.shards - 1)) == 0);
        next += g.shards;
        for (int64_t i = 0; i < count; i++)
            block0[(size_t)g.slot * stride + (size_t)i] = serial_tree(s->first_shard + g.first, g.shards, 1 << 30, i);
    }
    assert_int_equal(next, s->shards);
}

/* Who lets sums go on: nobody before the end, this thread, or another. */
typedef enum helper { NOBODY, POLLS, THREAD, HELPERS } helper;

static void check_sum_with(helper h, places p, int shards, int micro_steps, int64_t count, int64_t buckets)
{
    ls_allreduce *tree;
    assert_ok(ls__allreduce_new(&tree, comm, shards, micro_steps, (count + buckets - 1) / buckets));
    size_t            stride = ((size_t)count + 15) / 16 * 16;
    size_t            slots  = (size_t)ls__allreduce_slots(tree);
    ls_shared_memory *window = blocks_for(tree, stride, p);
    float            *block0 = window->own.data;
    for (size_t i = 0; i < slots * stride; i++) block0[i] = NAN;
    for (int m = 0; m < micro_steps; m++) {
        compute(ls__allreduce_micro_step(tree, m), block0, stride, count);
        if (m < micro_steps - 1) ls__allreduce_merge(tree, m, block0, stride, count);
    }
    if (h == THREAD) assert_ok(ls__allreduce_start_thread(tree));
    uint64_t allocations = ls_alloc_count();
    for (int64_t b = 0; b < buckets; b++) {
        if (h == POLLS) assert_ok(ls__allreduce_poll(tree));
        int64_t begin = count * b / buckets, end = count * (b + 1) / buckets;
        assert_ok(ls__allreduce_begin(tree, block0, stride, &(ls_allreduce_request){.range = {begin, end - begin}}));
        if (h == POLLS)
            for (int i = 0; i < 1 + (the_rank() + b) % 3; i++) assert_ok(ls__allreduce_poll(tree));
        if (b % 90 == 88) assert_ok(ls__allreduce_end(tree));
    }
    assert_ok(ls__allreduce_end(tree));
    assert_int_equal(ls_alloc_count(), allocations);
    for (int64_t i = 0; i < count; i++) {
        float expected = serial_tree(0, next_power(shards), shards, i);
        if (bits_of(block0[i]) != bits_of(expected))
            fail_msg("%s, %d shards, %d micro-steps, %d ranks, element %lld of %lld: %.9g, expected %.9g",
                     place_names[p], shards, micro_steps, the_size(), (long long)i, (long long)count, (double)block0[i],
                     (double)expected);
    }
    ls__shared_memory_free(window);
    ls__allreduce_free(tree);
}

static void check_sum_on(places p, int shards, int micro_steps, int64_t count, int64_t buckets)
{
    check_sum_with(NOBODY, p, shards, micro_steps, count, buckets);
}

static void check_sum(int shards, int micro_steps, int64_t count, int64_t buckets)
{
    for (places p = 0; p < PLACES; p++) {
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
    check_sum(16, 1, 5000, 100); /* more than may wait at once */
    check_sum(13, 3, 5000, 3);
}

/* More slices than lanes, slices of several passes, on hosts of every kind, whoever lets them go on. */
static void test_sums_go_on(void **state)
{
    for (helper h = POLLS; h < HELPERS; h++)
        for (places p = 0; p < PLACES; p++) {
            check_sum_with(h, p, 16, 1, 100003, 40);
            check_sum_with(h, p, 13, 3, 5000, 7);
            check_sum_with(h, p, 8, 1, 1, 1);
        }
}

/* In bfloat16 what a host has is rounded, added as the tree, and rounded: near the exact sum, and alike on all ranks.
 */
static void test_bfloat16(void **state)
{
    enum { COUNT = 5000, SHARDS = 8 };
    for (places p = 0; p < PLACES; p++) {
        ls_allreduce *tree;
        assert_ok(ls__allreduce_new(&tree, comm, SHARDS, 1, COUNT));
        ls_shared_memory *window = blocks_for(tree, COUNT, p);
        float            *block0 = window->own.data, *all = calloc((size_t)the_size() * COUNT, sizeof *all);
        assert_ok(ls__allreduce_send_bf16(tree));
        for (int turn = 0; turn < 3; turn++) {
            compute(ls__allreduce_micro_step(tree, 0), block0, COUNT, COUNT);
            assert_ok(ls__allreduce_run(tree, block0, COUNT, (ls_range){0, COUNT}));
            assert_ok(ls_comm_allgather(comm, block0, all, COUNT * sizeof *all));
            for (int64_t i = 0; i < COUNT; i++) {
                float exact = serial_tree(0, SHARDS, SHARDS, i), most = 0;
                for (int s = 0; s < SHARDS; s++) most += fabsf(value_of(s, i));
                if (fabsf(block0[i] - exact) > most / 128)
                    fail_msg("%s, element %lld: %g, expected about %g", place_names[p], (long long)i, (double)block0[i],
                             (double)exact);
                for (int r = 0; r < the_size(); r++) assert_true(bits_of(all[r * COUNT + i]) == bits_of(block0[i]));
                if (the_size() > 1 && (p == MESSAGES || (p == FIRST_ALONE)))
                    assert_int_equal(bits_of(block0[i]) & 0xffff, 0);
            }
        }
        /* However it is cut into slices. */
        memcpy(all, block0, COUNT * sizeof *all);
        compute(ls__allreduce_micro_step(tree, 0), block0, COUNT, COUNT);
        for (int64_t at = 0; at < COUNT; at += 1700)
            assert_ok(ls__allreduce_begin(
                tree, block0, COUNT, &(ls_allreduce_request){.range = {at, COUNT - at < 1700 ? COUNT - at : 1700}}));
        assert_ok(ls__allreduce_end(tree));
        assert_memory_equal(block0, all, COUNT * sizeof *all);
        free(all);
        ls__shared_memory_free(window);
        ls__allreduce_free(tree);
    }
}

/* More floats than one pass takes. */
static void test_several_passes(void **state)
{
    for (places p = 0; p < PLACES; p++) {
        ls_allreduce *tree;
        int64_t       count = 5 * (1 << 18) + 77;
        assert_ok(ls__allreduce_new(&tree, comm, 5, 1, count));
        size_t                         stride = (size_t)count;
        ls_shared_memory              *window = blocks_for(tree, stride, p);
        float                         *block0 = window->own.data;
        const ls_allreduce_micro_step *s      = ls__allreduce_micro_step(tree, 0);
        for (int k = 0; k < s->groups; k++)
            for (int64_t i = 0; i < count; i++)
                block0[(size_t)s->group[k].slot * stride + (size_t)i] = (float)(i % 1000 * s->group[k].shards);
        assert_ok(ls__allreduce_run(tree, block0, stride, (ls_range){0, count}));
        for (int64_t i = 0; i < count; i++)
            if (block0[i] != (float)(i % 1000 * 5))
                fail_msg("%s, element %lld: %g", place_names[p], (long long)i, (double)block0[i]);
        ls__shared_memory_free(window);
        ls__allreduce_free(tree);
    }
}

/* Slices of random size and place, many times over: whoever runs ahead must not be read too early, nor too late. */
static void test_random_slices(void **state)
{
    enum { STRIDE = 4096, TURNS = 30 };
    for (places p = 0; p < PLACES; p++) {
        ls_allreduce *tree;
        assert_ok(ls__allreduce_new(&tree, comm, 13, 1, STRIDE));
        ls_shared_memory              *window = blocks_for(tree, STRIDE, p);
        float                         *block0 = window->own.data;
        const ls_allreduce_micro_step *s      = ls__allreduce_micro_step(tree, 0);
        for (int turn = 0; turn < TURNS; turn++) {
            ls_philox4 r      = ls_philox(99, (uint64_t)p, (uint64_t)turn);
            int64_t    offset = r.v[0] % STRIDE, count = 1 + r.v[1] % (STRIDE - offset);
            for (int k = 0; k < s->groups; k++)
                for (int64_t i = offset; i < offset + count; i++)
                    block0[(size_t)s->group[k].slot * STRIDE + (size_t)i] =
                        serial_tree(s->first_shard + s->group[k].first, s->group[k].shards, 1 << 30, i + turn);
            assert_ok(ls__allreduce_run(tree, block0, STRIDE, (ls_range){offset, count}));
            for (int64_t i = offset; i < offset + count; i++)
                if (bits_of(block0[i]) != bits_of(serial_tree(0, 16, 13, i + turn)))
                    fail_msg("%s, turn %d, [%lld, %lld), element %lld", place_names[p], turn, (long long)offset,
                             (long long)(offset + count), (long long)i);
        }
        ls__shared_memory_free(window);
        ls__allreduce_free(tree);
    }
}

/* Ranks keep parts: of [0, 5) granules, the first of them with a header, and of [5, 8), to which the total of [8, 11)
 * is added.  Each puts what it has into a block that its host shares; with LS_ALLREDUCE_PARTITIONED the hosts then tell each
 * other. */
static void check_parts(places p, ls_allreduce_output keep, int shards)
{
    enum { G = LS_PARTITION_ALIGN, HEAD = 16, SLICES = 3 };
    static const ls_allreduce_request slice[SLICES] = {{.range = {0, 5 * G}},
                                                       {.range = {8 * G, 3 * G}, .is_addend = true},
                                                       {.range = {5 * G, 3 * G}, .addend_shift = 3 * G}};
    ls_allreduce                     *tree;
    ls_shared_memory                 *values;
    size_t                            stride = 11 * G;
    assert_ok(ls__allreduce_new(&tree, comm, shards, 1, 5 * G));
    ls_shared_memory *window = blocks_for(tree, stride, p);
    pretend(p);
    assert_ok(ls__shared_memory_new(&values, comm, p == MESSAGES ? LS_SHARED_MEMORY_OFF : LS_SHARED_MEMORY_ON,
                                    stride * sizeof(float), "values"));
    assert_ok(ls__allreduce_set_output(tree, keep, HEAD));
    float *block0 = window->own.data, *base = values->block[0].data;
    for (int turn = 0; turn < 3; turn++) {
        const ls_allreduce_micro_step *s = ls__allreduce_micro_step(tree, 0);
        compute(s, block0, stride, 11 * G);
        for (int i = 0; i < SLICES; i++) assert_ok(ls__allreduce_begin(tree, block0, stride, &slice[i]));
        assert_ok(ls__allreduce_end(tree));
        for (int i = 0; i < HEAD; i++)
            assert_true(bits_of(ls__allreduce_header(tree)[i]) ==
                        bits_of(serial_tree(0, next_power(shards), shards, i)));
        for (int i = 0; i < SLICES; i += 2) {
            int64_t from   = slice[i].range.offset ? slice[i].range.offset : G,
                    length = ls__range_end(slice[i].range) - from;
            ls_range own   = ls__allreduce_partition(tree, the_rank(), length);
            if (keep == LS_ALLREDUCE_EVERY_HOST) own = (ls_range){.count = values->me == 0 ? length : 0};
            memcpy(base + from + own.offset, ls__allreduce_output(tree) + from + own.offset,
                   (size_t)own.count * sizeof(float));
            assert_ok(ls__allreduce_gather(tree, base, (ls_range){from, length}));
        }
        assert_ok(ls__allreduce_release(tree));
        for (int64_t i = G; i < 8 * G; i++) {
            float expected = serial_tree(0, next_power(shards), shards, i);
            if (i >= 5 * G) expected += serial_tree(0, next_power(shards), shards, i + 3 * G);
            if (bits_of(base[i]) != bits_of(expected))
                fail_msg("%s, mode %d, %d shards, element %lld: %g, expected %g", place_names[p], keep, shards,
                         (long long)i, (double)base[i], (double)expected);
        }
        assert_ok(ls__allreduce_release(tree)); /* all have looked */
    }
    ls__shared_memory_free(values);
    ls__shared_memory_free(window);
    ls__allreduce_free(tree);
    pretend(ONE_HOST);
}

static void test_parts(void **state)
{
    static const int shard_counts_of_parts[] = {1, 5, 8, 13};
    for (places p = 0; p < PLACES; p++)
        for (size_t v = 0; v < LENGTH(shard_counts_of_parts); v++)
            for (ls_allreduce_output keep = LS_ALLREDUCE_EVERY_HOST; keep <= LS_ALLREDUCE_PARTITIONED; keep++)
                check_parts(p, keep, shard_counts_of_parts[v]);
}

/* Slices that take turns in two places of the blocks, while their totals are elsewhere: what is written anew was read
 * before, by all. */
static void check_turns(helper h, places p, int shards, int64_t count)
{
    enum { TURNS = 12, PLACES_IN_BLOCK = 2, STEPS = 3 };
    ls_allreduce *tree;
    assert_ok(ls__allreduce_new(&tree, comm, shards, 1, count));
    size_t            stride = PLACES_IN_BLOCK * (size_t)count;
    ls_shared_memory *window = blocks_for(tree, stride, p);
    float            *block0 = window->own.data, *totals = malloc(TURNS * (size_t)count * sizeof *totals);
    uint64_t          number[TURNS];
    assert_non_null(totals);
    assert_ok(ls__allreduce_set_output(tree, LS_ALLREDUCE_PARTITIONED, 0));
    ls__allreduce_set_separate_output(tree, totals);
    if (h == THREAD) assert_ok(ls__allreduce_start_thread(tree));
    const ls_allreduce_micro_step *s = ls__allreduce_micro_step(tree, 0);
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < TURNS; i++) {
            int64_t offset = i % PLACES_IN_BLOCK * count;
            if (i >= PLACES_IN_BLOCK) assert_ok(ls__allreduce_wait_read(tree, number[i - PLACES_IN_BLOCK]));
            for (int k = 0; k < s->groups; k++)
                for (int64_t c = 0; c < count; c++)
                    block0[(size_t)s->group[k].slot * stride + (size_t)(offset + c)] =
                        serial_tree(s->first_shard + s->group[k].first, s->group[k].shards, 1 << 30,
                                    (step * TURNS + i) * count + c);
            if (h == POLLS)
                for (int k = 0; k < (the_rank() + i) % 3; k++) assert_ok(ls__allreduce_poll(tree));
            assert_ok(ls__allreduce_begin(
                tree, block0, stride,
                &(ls_allreduce_request){.range = {offset, count}, .output_shift = i * count - offset}));
            number[i] = ls__allreduce_begun(tree);
        }
        assert_ok(ls__allreduce_end(tree));
        ls_range own = ls__allreduce_partition(tree, the_rank(), count);
        for (int i = 0; i < TURNS; i++)
            for (int64_t c = own.offset; c < own.offset + own.count; c++) {
                float expected = serial_tree(0, next_power(shards), shards, (step * TURNS + i) * count + c);
                if (bits_of(totals[i * count + c]) != bits_of(expected))
                    fail_msg("%s, helper %d, %d shards, step %d, turn %d, element %lld: %g, expected %g",
                             place_names[p], h, shards, step, i, (long long)c, (double)totals[i * count + c],
                             (double)expected);
            }
        assert_ok(ls__allreduce_release(tree));
    }
    free(totals);
    ls__shared_memory_free(window);
    ls__allreduce_free(tree);
}

static void test_slices_take_turns(void **state)
{
    if (the_size() == 1) return; /* nothing is elsewhere */
    for (helper h = NOBODY; h < HELPERS; h++)
        for (places p = 0; p < PLACES; p++) {
            check_turns(h, p, 8, 5 * LS_PARTITION_ALIGN);
            check_turns(h, p, 13, LS_PARTITION_ALIGN / 2);
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

/* Slots are used again: a rank alone with 16 shards in 16 micro-steps needs only one block per level of the tree. */
static void test_slots_are_reused(void **state)
{
    ls_comm      *self;
    ls_allreduce *tree;
    assert_ok(ls_comm_self(&self));
    assert_ok(ls__allreduce_new(&tree, self, 16, 16, 1));
    assert_int_equal(ls__allreduce_slots(tree), 5);
    ls__allreduce_free(tree);
    assert_ok(ls__allreduce_new(&tree, self, 16, 1, 1));
    assert_int_equal(ls__allreduce_slots(tree), 1);
    ls__allreduce_free(tree);
    ls_comm_free(self);
}

static void test_wrong_arguments(void **state)
{
    ls_allreduce *tree;
    assert_int_equal(ls__allreduce_new(&tree, comm, 0, 1, 1), LS_ERR_USAGE);
    assert_int_equal(ls__allreduce_new(&tree, comm, 4, 5, 1), LS_ERR_USAGE);
    assert_non_null(strstr(ls_error_message(), "train.accumulate"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_bits_of_every_cut),
        cmocka_unit_test(test_buckets_do_not_matter),
        cmocka_unit_test(test_several_passes),
        cmocka_unit_test(test_slots_are_reused),
        cmocka_unit_test(test_wrong_arguments),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_random_slices),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_sums_go_on),
        cmocka_unit_test(test_bfloat16),
        cmocka_unit_test(test_slices_take_turns),
    };
    return run_on_ranks(argc, argv, tests);
}
