/* SPDX-License-Identifier: Apache-2.0
 * The sampler gives a permutation for each size, and a different one for each epoch and seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "datasets/datasets.h"

static const int64_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 64, 100, 937, 1000, 1024, 1025, 60000};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void bijection_at_every_size(void **state)
{
    for (int s = 0; s < SIZES; s++)
        for (int64_t epoch = 0; epoch < 4; epoch++) {
            char *seen = calloc((size_t)sizes[s], 1);
            for (int64_t at = 0; at < sizes[s]; at++) {
                int64_t i = ls_sample_at(7, epoch, sizes[s], at);
                assert_in_range(i, 0, sizes[s] - 1);
                assert_int_equal(seen[i], 0);
                seen[i] = 1;
            }
            free(seen);
        }
}

static int64_t equal_places(uint64_t seed, int64_t epoch, uint64_t other_seed, int64_t other_epoch, int64_t count)
{
    int64_t equal = 0;
    for (int64_t at = 0; at < count; at++)
        equal += ls_sample_at(seed, epoch, count, at) == ls_sample_at(other_seed, other_epoch, count, at);
    return equal;
}

/* Two random permutations agree in one place on average. */
static void epochs_and_seeds_differ(void **state)
{
    assert_int_equal(equal_places(1, 0, 1, 0, 1000), 1000);
    for (int64_t epoch = 1; epoch < 20; epoch++) assert_in_range(equal_places(1, 0, 1, epoch, 1000), 0, 8);
    for (uint64_t seed = 2; seed < 20; seed++) assert_in_range(equal_places(1, 0, seed, 0, 1000), 0, 8);
}

/* Over many epochs each sample is the first one about equally often: chi-square with 99 degrees of freedom, mean 99,
 * std 14. */
static void every_sample_comes_first_equally_often(void **state)
{
    enum { COUNT = 100, EPOCHS = 20000 };
    int first[COUNT] = {0};
    for (int64_t epoch = 0; epoch < EPOCHS; epoch++) first[ls_sample_at(3, epoch, COUNT, 0)]++;
    double chi2 = 0, expected = (double)EPOCHS / COUNT;
    for (int i = 0; i < COUNT; i++) chi2 += (first[i] - expected) * (first[i] - expected) / expected;
    assert_true(chi2 < 99 + 5 * 14);
}

/* Neighbours in file order must not be neighbours in the shuffled order. */
static void neighbours_are_separated(void **state)
{
    enum { COUNT = 60000 };
    int64_t close = 0;
    for (int64_t at = 0; at + 1 < COUNT; at++)
        close += llabs(ls_sample_at(5, 2, COUNT, at) - ls_sample_at(5, 2, COUNT, at + 1)) <= 5;
    assert_in_range(close, 2, 40); /* 10 expected */
}

/* Fixed values: an order that changes between versions would change all runs. */
static void order_is_fixed(void **state)
{
    static const int64_t expected[] = {3, 77, 626, 528, 784, 0, 89, 836};
    for (int at = 0; at < 8; at++) assert_int_equal(ls_sample_at(42, 3, 1000, at), expected[at]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bijection_at_every_size),
        cmocka_unit_test(epochs_and_seeds_differ),
        cmocka_unit_test(every_sample_comes_first_equally_often),
        cmocka_unit_test(neighbours_are_separated),
        cmocka_unit_test(order_is_fixed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
