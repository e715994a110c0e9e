/* SPDX-License-Identifier: Apache-2.0
 * leaks: foreign
 *
 * Products by a library equal those of Lockstep within the rounding of their sums.  A product table sends each product
 * to the library of its class.  Where a library fails, the product is that of Lockstep. */
#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/philox.h"
#include "core/cpu/isa_table.h"
#include "tests/core/cpu/gemm/gemm_layout.h"

/* ---- products by installed libraries ----------------------------------------------------------------------------- */

enum { LAYOUTS = 3 };

/* A number from -0.5 to 0.5 in an array of `type`. */
static void put(void *array, ls_dtype type, int64_t i, uint64_t key)
{
    const float x = ls_uniform01(ls_philox(key, 0, (uint64_t)i).v[0]) - 0.5f;
    uint32_t    bits;
    memcpy(&bits, &x, sizeof bits);
    if (type == LS_F32)
        ((float *)array)[i] = x;
    else
        ((uint16_t *)array)[i] = (uint16_t)(bits >> 16);
}

static double get(const void *array, ls_dtype type, int64_t i)
{
    if (type == LS_F32) return ((const float *)array)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)array)[i] << 16;
    float          x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Compares the product by a library with that of Lockstep, in an operand layout, with a bias or added to y. */
static void compare(ls_product_by by, ls_dtype type, ls_dtype y_type, const int64_t dims[3], int layout, bool more)
{
    const int64_t m = dims[0], n = dims[1], k = dims[2], count = m * (n + 3);
    float        *x = malloc(sizeof *x * (size_t)(m * k)), *w = malloc(sizeof *w * (size_t)(k * n)),
          *y[2] = {malloc(sizeof **y * (size_t)count), malloc(sizeof **y * (size_t)count)},
          *bias = malloc(sizeof *bias * (size_t)n);
    for (int64_t i = 0; i < m * k; i++) put(x, type, i, 1);
    for (int64_t i = 0; i < k * n; i++) put(w, type, i, 2);
    for (int64_t i = 0; i < n; i++) put(bias, LS_F32, i, 3);
    for (int64_t i = 0; i < count; i++) put(y[0], y_type, i, 4), put(y[1], y_type, i, 4);
    ls_gemm g = {.m = m, .n = n, .k = k, .x = x, .w = w, .y = y[0], .y_row = n + 3, .type = type, .y_type = y_type};
    set_layout(&g, layout == LS_XTW, layout == LS_XWT);
    g.bias = more ? bias : NULL;
    g.add  = more;
    ls__isa_table()->gemm(&g);
    g.y = y[1];
    if (ls__isa_table()->product_with(by, &g) != LS_OK) fail_msg("%s", ls_error_message());
    for (int64_t i = 0; i < count; i++) {
        const double want = get(y[0], y_type, i), found = get(y[1], y_type, i);
        if (fabs(want - found) > (y_type == LS_F32 ? 2e-6 * (double)k : 2e-6 * (double)k + fabs(want) / 128))
            fail_msg("%s, %d x %d x %d, layout %d: element %d: expected %g, found %g", ls__product_library(by)->name,
                     (int)m, (int)n, (int)k, layout, (int)i, want, found);
    }
    free(x), free(w), free(y[0]), free(y[1]), free(bias);
}

/* The last product has a y in bfloat16 of more blocks than one in both dims. */
static void test_equals_own_products(void **state)
{
    static const int64_t dims[][3] = {{1, 1, 1}, {7, 33, 5}, {64, 120, 400}, {1100, 1030, 3}};
    int                  compared  = 0;
    for (int by = LS_BY_LOCKSTEP + 1; by < LS_PRODUCT_BYS; by++) {
        const ls_provider *library = ls__product_library((ls_product_by)by);
        if (ls__provider_load(ls__product_library((ls_product_by)by)) != LS_OK) continue;
        for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
            for (int layout = 0; layout < LAYOUTS; layout++)
                for (int more = 0; more < 2; more++) {
                    compared++;
                    compare((ls_product_by)by, LS_F32, LS_F32, dims[d], layout, more);
                    if (!library->bfloat16) continue;
                    compare((ls_product_by)by, LS_BF16, LS_F32, dims[d], layout, more);
                    compare((ls_product_by)by, LS_BF16, LS_BF16, dims[d], layout, more);
                }
    }
    if (!compared) skip();
}

/* Many threads call a library at the same time, each with one thread. */
static void test_in_a_parallel_region(void **state)
{
    static const int64_t dims[] = {30, 40, 50};
    if (ls__provider_load(&ls__openblas) != LS_OK) skip();
#pragma omp parallel for num_threads(4)
    for (int i = 0; i < 16; i++) compare(LS_BY_OPENBLAS, LS_F32, LS_F32, dims, i % LAYOUTS, i & 1);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static int calls, error; /* of the library that takes the place of OpenBLAS and oneDNN */

static int count_call(const ls_gemm *g, ls_blas_operand x, ls_blas_operand w, float beta)
{
#pragma omp atomic
    calls++;
    for (int64_t i = 0; i < g->m && !error; i++)
        for (int64_t j = 0; j < g->n; j++) ((float *)g->y)[i * g->y_row + j] = 1;
    return error;
}

static const ls_provider counting = {
    .name = "Counting", .sgemm = count_call, .bgemm = count_call, .bfloat16 = true, .tried = true, .status = LS_OK};

/* A product of zeros: 0 by Lockstep, 1 by the counting library. */
static float zeros[2][512 * 512], y[512 * 512];

static ls_gemm product(int64_t m, int64_t n, int64_t k, ls_dtype type)
{
    ls_gemm g = {.m = m, .n = n, .k = k, .x = zeros[0], .w = zeros[1], .y = y, .y_row = n, .type = type};
    set_layout(&g, 0, 0);
    return g;
}

/* Returns whether the counting library computes g. */
static bool is_counted(const ls_product_table *table, const ls_gemm *g)
{
    calls = 0;
    ls__isa_table()->product(table, g);
    assert_float_equal(get(g->y, g->y_type, 0), calls ? 1 : 0, 0);
    return calls > 0;
}

static void test_classes(void **state)
{
    const ls_gemm    g     = product(128, 511, 40, LS_F32);
    ls_product_table table = {.float32_by_openblas = false};
    ls_product_class c;
    assert_true(ls__product_class_of(&g, &c));
    assert_true(!c.bf16 && c.layout == LS_XW && c.m == 2 && c.n == 2 && c.k == 1);
    table.by[0][LS_XW][2][2][1]  = LS_BY_OPENBLAS;
    table.by[1][LS_XWT][1][0][2] = LS_BY_ONEDNN;
    assert_true(is_counted(&table, &g));
    assert_false(is_counted(NULL, &g));
    const struct {
        int64_t  m, n, k;
        ls_dtype type;
        int      layout;
        bool     counted;
    } cases[] = {
        {511, 128, 127, LS_F32, LS_XW, true},  {512, 128, 40, LS_F32, LS_XW, false},
        {127, 128, 40, LS_F32, LS_XW, false},  {128, 127, 40, LS_F32, LS_XW, false},
        {128, 128, 31, LS_F32, LS_XW, false},  {128, 128, 128, LS_F32, LS_XW, false},
        {128, 128, 40, LS_BF16, LS_XW, false}, {128, 128, 40, LS_F32, LS_XWT, false},
        {128, 128, 40, LS_F32, LS_XTW, false}, {32, 8, 200, LS_BF16, LS_XWT, true},
        {32, 7, 200, LS_BF16, LS_XWT, false},  {32, 8, 200, LS_F32, LS_XWT, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls_gemm other = product(cases[i].m, cases[i].n, cases[i].k, cases[i].type);
        set_layout(&other, cases[i].layout == LS_XTW, cases[i].layout == LS_XWT);
        if (is_counted(&table, &other) != cases[i].counted) fail_msg("case %d", (int)i);
        other.y_type = other.type;
        if (is_counted(&table, &other) != cases[i].counted) fail_msg("case %d, with y in bfloat16", (int)i);
    }
}

/* A table has measured rates of products on all threads, in one part. */
static void test_other_products_are_own(void **state)
{
    const int64_t    bound[] = {0, 20, 40};
    ls_product_table table   = {.float32_by_openblas = false};
    ls_gemm          g       = product(128, 128, 40, LS_F32);
    memset(table.by, LS_BY_OPENBLAS, sizeof table.by);
    assert_true(is_counted(&table, &g));
    g.serial = true;
    assert_false(is_counted(&table, &g));
    g.serial = false;
    g.splits = 2;
    g.bound  = bound;
    assert_false(is_counted(&table, &g));
    g.splits    = 0;
    int counted = 0;
#pragma omp parallel num_threads(2)
#pragma omp          critical
    counted += is_counted(&table, &g);
    assert_int_equal(counted, 0);
}

static void test_all_of_float32(void **state)
{
    const ls_product_table table = {.float32_by_openblas = true};
    ls_gemm                g     = product(3, 2, 1, LS_F32);
    assert_true(is_counted(&table, &g));
    g.serial = true;
    assert_true(is_counted(&table, &g));
    g = product(128, 128, 40, LS_BF16);
    assert_false(is_counted(&table, &g));
    g = product(0, 128, 40, LS_F32);
    assert_false(is_counted(&table, &g));
    g = product(128, 128, 0, LS_F32);
    assert_false(is_counted(&table, &g));
}

/* The product is that of Lockstep, and its bias and y are added once. */
static void test_library_that_fails(void **state)
{
    static const float     bias[] = {10, 20};
    const ls_product_table table  = {.float32_by_openblas = true};
    ls_gemm                g      = product(2, 2, 2, LS_F32);
    const float            want[] = {15, 25, 15, 25};
    g.bias                        = bias;
    g.add                         = true;
    error                         = 3;
    for (int i = 0; i < 4; i++) y[i] = 5;
    assert_int_equal(ls__isa_table()->product_with(LS_BY_OPENBLAS, &g), LS_ERR_FAILED);
    assert_non_null(strstr(ls_error_message(), "Counting: product of 2 x 2 x 2: expected status 0, found 3"));
    assert_memory_equal(y, want, sizeof want);
    for (int i = 0; i < 4; i++) y[i] = 5;
    calls = 0;
    ls__isa_table()->product(&table, &g);
    assert_int_equal(calls, 1);
    assert_memory_equal(y, want, sizeof want);
    error = 0;
}

static int count_calls(void **state)
{
    ls__openblas = ls__onednn = counting;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_equals_own_products),
                                       cmocka_unit_test(test_in_a_parallel_region),
                                       cmocka_unit_test_setup(test_classes, count_calls),
                                       cmocka_unit_test(test_other_products_are_own),
                                       cmocka_unit_test(test_all_of_float32),
                                       cmocka_unit_test(test_library_that_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
