/* SPDX-License-Identifier: Apache-2.0
 * Partial sums of shards: each group receives the sum of its shards as a binary tree, at its own destination, written
 * or added, for any number of threads. */
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/philox.h"
#include "core/graph/graph.h"

typedef void fold_fn(const ls_call *c, int input, int64_t count, float *partial);
typedef void add_fn(int64_t n, const float *x, float *y);
#define X(isa, text, level)                                                                                            \
    fold_fn LS__PASTE(ls__fold, level);                                                                                \
    add_fn  LS__PASTE(ls__add_into, level);
LS_ISA_LIST(X)
#undef X
static fold_fn *const folds[] = {
#define X(isa, text, level) LS__PASTE(ls__fold, level),
    LS_ISA_LIST(X)
#undef X
};
static add_fn *const adds[] = {
#define X(isa, text, level) LS__PASTE(ls__add_into, level),
    LS_ISA_LIST(X)
#undef X
};

static float number(int64_t i) { return ls_uniform01(ls_philox(5, 0, (uint64_t)i).v[0]) - 0.5f; }

static float tree(int64_t count, int64_t at, int first, int shards)
{
    if (shards == 1) return number(first * count + at);
    return tree(count, at, first, shards / 2) + tree(count, at, first + shards / 2, shards / 2);
}

static void check(int isa, int64_t count, int threads, bool add)
{
    enum { SHARDS = 14, GROUPS = 4 };
    const ls_group groups[GROUPS] = {{0, 8, 0, false},
                                     {8, 1, (size_t)count + 3, true},
                                     {9, 1, 2 * (size_t)count + 5, false},
                                     {10, 4, 3 * (size_t)count + 9, true}};
    int64_t        room           = 4 * count + 20;
    float  *partial = malloc((size_t)(count * SHARDS) * sizeof *partial), *grad = malloc((size_t)room * sizeof *grad);
    ls_call c = {.shards = SHARDS, .groups = GROUPS, .group = groups};
    for (int64_t i = 0; i < count * SHARDS; i++) partial[i] = number(i);
    for (int64_t i = 0; i < room; i++) grad[i] = (float)i;
    c.dx[2]  = grad;
    c.add[2] = add;
    omp_set_num_threads(threads);
    folds[isa](&c, 2, count, partial);
    for (int64_t i = 0; i < room; i++) {
        float want = (float)i;
        for (int k = 0; k < GROUPS; k++) {
            int64_t at = i - (int64_t)groups[k].offset;
            if (at < 0 || at >= count) continue;
            float sum = tree(count, at, groups[k].first, groups[k].shards);
            want      = add || groups[k].add ? want + sum : sum;
        }
        assert_memory_equal(&grad[i], &want, sizeof want);
    }
    free(partial);
    free(grad);
}

static void test_fold(void **state)
{
    static const int64_t counts[] = {1, 7, 33, 1024, 5000, 20001};
    for (int isa = 0; isa <= (int)ls_isa_best(); isa++)
        for (size_t n = 0; n < sizeof counts / sizeof *counts; n++)
            for (int threads = 1; threads <= 5; threads += 2)
                for (int add = 0; add < 2; add++) check(isa, counts[n], threads, add);
}

static void test_add_into(void **state)
{
    float x[50], y[51];
    for (int isa = 0; isa <= (int)ls_isa_best(); isa++)
        for (int n = 0; n <= 50; n++) {
            for (int i = 0; i < 50; i++) x[i] = number(i);
            for (int i = 0; i <= 50; i++) y[i] = (float)i;
            adds[isa](n, x, y);
            for (int i = 0; i <= 50; i++) assert_true(y[i] == (i < n ? (float)i + x[i] : (float)i));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fold), cmocka_unit_test(test_add_into)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
