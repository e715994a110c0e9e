/* SPDX-License-Identifier: Apache-2.0
 * core/base/philox.h: the known vectors of Random123 (its kat_vectors file), uniform numbers and keys. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/base/philox.h"

static void known_vectors(void **state)
{
    (void)state;
    const struct {
        uint32_t counter[4], key[2], want[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        /* digits of pi */
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint64_t lo  = known[i].counter[0] | (uint64_t)known[i].counter[1] << 32,
                 hi  = known[i].counter[2] | (uint64_t)known[i].counter[3] << 32;
        ls_philox4 r = ls_philox(known[i].key[0] | (uint64_t)known[i].key[1] << 32, hi, lo);
        for (int k = 0; k < 4; k++) assert_int_equal(r.v[k], known[i].want[k]);
    }
}

static void uniform_stays_below_one(void **state)
{
    (void)state;
    assert_true(ls_uniform01(0) == 0.0f);
    assert_true(ls_uniform01(0xff) == 0.0f);
    assert_true(ls_uniform01(0x80000000u) == 0.5f);
    assert_true(ls_uniform01(0xffffffffu) < 1.0f);
    assert_true(ls_uniform01(0xffffffffu) == 1.0f - 0x1p-24f);
}

/* Mean and variance of a uniform number, and no correlation between neighbours in any of the counters. */
static void numbers_are_uniform(void **state)
{
    (void)state;
    enum { N = 40000 };
    for (int dim = 0; dim < 3; dim++) {
        double sum = 0, squares = 0, products = 0, last = 0.5;
        for (uint64_t i = 0; i < N; i++) {
            double u = (double)ls_uniform01(ls_philox(dim == 0 ? i : 5, dim == 1 ? i : 5, dim == 2 ? i : 5).v[dim]);
            sum += u;
            squares += (u - 0.5) * (u - 0.5);
            products += (u - 0.5) * (last - 0.5);
            last = u;
        }
        assert_true(fabs(sum / N - 0.5) < 0.006);
        assert_true(fabs(squares / N - 1.0 / 12) < 0.003);
        assert_true(fabs(products / N) < 0.003);
    }
}

/* Initial weights and data order depend on keys: their values are fixed forever. */
static void keys_are_fixed_and_differ(void **state)
{
    (void)state;
    const char *text[] = {"", "a", "b", "conv1.weight", "conv1.bias", "conv2.weight", "weight.conv1"};
    uint64_t    key[21];
    int         n = 0;
    for (uint64_t seed = 0; seed < 3; seed++)
        for (size_t i = 0; i < sizeof text / sizeof *text; i++) key[n++] = ls_key(seed, text[i]);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < i; k++) assert_true(key[i] != key[k]);
    assert_true(ls_key(0, "") == 0xf52a15e9a9b5e89bull);
    assert_true(ls_key(42, "conv1.weight") == 0x7b680ed97a8e3e2aull);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_vectors),
        cmocka_unit_test(uniform_stays_below_one),
        cmocka_unit_test(numbers_are_uniform),
        cmocka_unit_test(keys_are_fixed_and_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
