/* SPDX-License-Identifier: Apache-2.0
 * Matrix products at every instruction-set level of this processor: values are close to float64, and bits do not depend
 * on threads, on the rows and columns of a call, or on the strides of the operands. */
/* timeout: 600 */
#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/arena.h"
#include "core/base/philox.h"
#include "core/cpu/isa_table.h"
#include "tests/core/cpu/gemm/gemm_layout.h"

typedef struct product {
    ls_gemm g;
    float  *x, *w, *y, *bias;
    int64_t bound[65];
} product;

static float *filled(int64_t count, uint64_t key)
{
    float *p = malloc((size_t)count * sizeof *p);
    for (int64_t i = 0; i < count; i++) p[i] = 2 * ls_uniform01(ls_philox(key, 0, (uint64_t)i).v[0]) - 1;
    return p;
}

/* x_layout, w_layout: 0 row-major, 1 column-major, 2 with gaps in both dims. */
static product product_new(int64_t m, int64_t n, int64_t k, int x_layout, int w_layout)
{
    product p = {.x    = filled(m * k * 6 + 8, 1),
                 .w    = filled(k * n * 6 + 8, 2),
                 .y    = filled(m * (n + 3) + 8, 3),
                 .bias = filled(n + 1, 4)};
    p.g       = (ls_gemm){.m = m, .n = n, .k = k, .x = p.x, .w = p.w, .y = p.y, .y_row = n + 3};
    set_layout(&p.g, x_layout, w_layout);
    return p;
}

static void product_free(product *p)
{
    free(p->x);
    free(p->w);
    free(p->y);
    free(p->bias);
}

/* Compares a product with float64 sums. */
static void check_values(const ls_isa_table *level, const ls_gemm *g)
{
    int64_t      count  = g->m * g->y_row;
    float       *before = malloc((size_t)count * sizeof *before);
    const float *x = g->x, *w = g->w, *y = g->y;
    memcpy(before, g->y, (size_t)count * sizeof *before);
    level->gemm(g);
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->y_row; j++) {
            float got = y[i * g->y_row + j], old = before[i * g->y_row + j];
            if (j >= g->n) { /* the gap between rows keeps its values */
                if (i < g->m - 1) assert_memory_equal(&got, &old, sizeof got);
                continue;
            }
            double want = 0, size = 0;
            for (int64_t k = 0; k < g->k; k++) {
                double term = (double)x[i * g->x_row + k * g->x_col] * w[k * g->w_row + j * g->w_col];
                want += term;
                size += fabs(term);
            }
            want += (g->add ? old : 0) + (g->bias ? g->bias[j] : 0);
            if (fabs(got - want) > 2e-7 * (size + 2) * sqrt((double)g->k + 1))
                fail_msg("%s: %d x %d x %d at %d, %d: expected %.9g, found %.9g", level->name, (int)g->m, (int)g->n,
                         (int)g->k, (int)i, (int)j, want, (double)got);
        }
    free(before);
}

#define EACH_LEVEL(level)                                                                                              \
    for (int isa = 0; isa <= (int)ls_isa_best(); isa++)                                                                \
        for (const ls_isa_table *level = ls__isa_table_of((ls_isa)isa); level; level = NULL)

static void test_values(void **state)
{
    static const int64_t sizes[][3] = {{1, 1, 1},     {1, 7, 3},      {7, 1, 5},      {5, 33, 0},    {7, 33, 65},
                                       {33, 7, 257},  {6, 16, 256},   {13, 31, 300},  {64, 10, 84},  {67, 130, 64},
                                       {6, 25, 2000}, {120, 100, 77}, {201, 40, 520}, {9, 1100, 31}, {75, 200, 260}};
    EACH_LEVEL(level)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int layout = 0; layout < 9; layout++) {
            product p = product_new(sizes[s][0], sizes[s][1], sizes[s][2], layout / 3, layout % 3);
            check_values(level, &p.g);
            p.g.add = true;
            check_values(level, &p.g);
            p.g.bias = p.bias;
            check_values(level, &p.g);
            p.g.add = false;
            set_parts(&p.g, 1 << layout % 7, p.bound);
            check_values(level, &p.g);
            p.g.add = true;
            check_values(level, &p.g);
            product_free(&p);
        }
}

/* With w packed before, a product has the same bits, also with fewer rows. */
static void test_packed(void **state)
{
    static const int64_t sizes[][3] = {{1, 1, 1},     {7, 33, 0},     {7, 33, 65},   {13, 31, 300},
                                       {64, 256, 64}, {20, 70, 1100}, {700, 40, 33}, {9, 4200, 600}};
    (void)state;
    EACH_LEVEL(level)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int layout = 0; layout < 3; layout++) {
            product p      = product_new(sizes[s][0], sizes[s][1], sizes[s][2], 0, layout);
            float  *panels = aligned_alloc(64, (level->gemm_packed_bytes(p.g.n, p.g.k) + 127) / 64 * 64);
            size_t  bytes  = (size_t)(p.g.m * p.g.y_row) * sizeof(float);
            float  *want   = malloc(bytes);
            p.g.bias       = p.bias;
            level->gemm(&p.g);
            memcpy(want, p.y, bytes);
            level->gemm_pack(&p.g, panels);
            p.g.packed_w = panels;
            p.g.w        = NULL;
            for (int half = 0; half < 2; half++) {
                memset(p.y, 0, bytes);
                p.g.m = half ? (sizes[s][0] + 1) / 2 : sizes[s][0];
                level->gemm(&p.g);
                for (int64_t i = 0; i < p.g.m; i++)
                    assert_memory_equal(p.y + i * p.g.y_row, want + i * p.g.y_row, (size_t)p.g.n * sizeof(float));
            }
            free(want);
            free(panels);
            product_free(&p);
        }
}

/* Returns the product over `parts` parts of K from `first` on: one call per part, added as a binary tree. */
static float *by_hand(const ls_isa_table *level, const product *p, int first, int parts)
{
    int64_t count = p->g.m * p->g.n;
    float  *y     = malloc((size_t)count * sizeof *y);
    if (parts == 1) {
        ls_gemm g = p->g;
        g.x       = p->x + p->bound[first] * g.x_col;
        g.w       = p->w + p->bound[first] * g.w_row;
        g.k       = p->bound[first + 1] - p->bound[first];
        g.splits  = 0;
        g.y       = y;
        g.y_row   = g.n;
        level->gemm(&g);
        return y;
    }
    float *left = by_hand(level, p, first, parts / 2), *right = by_hand(level, p, first + parts / 2, parts / 2);
    for (int64_t i = 0; i < count; i++) y[i] = left[i] + right[i];
    free(left);
    free(right);
    return y;
}

/* Expects the bits of `want`, an M x N array. */
static void expect_rows(const ls_isa_table *level, const ls_gemm *g, const float *want)
{
    for (int64_t i = 0; i < g->m; i++)
        if (memcmp((const float *)g->y + i * g->y_row, want + i * g->n, (size_t)g->n * sizeof(float)) != 0)
            fail_msg("%s: row %d of %d x %d x %d, %d parts, %d threads: expected equal bits", level->name, (int)i,
                     (int)g->m, (int)g->n, (int)g->k, g->splits, omp_get_max_threads());
}

static void test_parts_are_a_tree(void **state)
{
    static const int64_t sizes[][4] = {{6, 25, 3000, 16}, {6, 25, 64, 64},    {40, 50, 1000, 8},
                                       {33, 70, 1500, 2}, {300, 200, 900, 4}, {5, 3, 300, 64}};
    EACH_LEVEL(level)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int threads = 1; threads <= 3; threads += 2) {
            product p = product_new(sizes[s][0], sizes[s][1], sizes[s][2], 1, 0);
            set_parts(&p.g, (int)sizes[s][3], p.bound);
            omp_set_num_threads(threads);
            float *want = by_hand(level, &p, 0, p.g.splits);
            level->gemm(&p.g);
            expect_rows(level, &p.g, want);
            free(want);
            product_free(&p);
        }
}

/* m, n, k, parts */
static const int64_t shapes[][4] = {{64, 120, 400, 0}, {120, 400, 64, 8},  {6, 25, 6000, 16},  {64, 10, 84, 0},
                                    {16, 100, 150, 0}, {130, 300, 520, 0}, {130, 150, 700, 4}, {400, 100, 300, 0},
                                    {6, 784, 25, 0},   {1, 500, 600, 2},   {12, 70, 600, 4},   {15, 40, 700, 0},
                                    {150, 200, 250, 8}};

/* Returns the product on one thread, as an M x N array. */
static float *reference(const ls_isa_table *level, product *p)
{
    float *want = malloc((size_t)(p->g.m * p->g.n) * sizeof *want);
    omp_set_num_threads(1);
    level->gemm(&p->g);
    for (int64_t i = 0; i < p->g.m; i++)
        memcpy(want + i * p->g.n, p->y + i * p->g.y_row, (size_t)p->g.n * sizeof *want);
    return want;
}

static void test_bits_do_not_depend_on_threads(void **state)
{
    static const int threads[] = {2, 3, 5, 8};
    EACH_LEVEL(level)
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        product p = product_new(shapes[s][0], shapes[s][1], shapes[s][2], 0, 1);
        p.g.bias  = p.bias;
        if (shapes[s][3]) set_parts(&p.g, (int)shapes[s][3], p.bound);
        float *want = reference(level, &p);
        for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
            omp_set_num_threads(threads[t]);
            level->gemm(&p.g);
            expect_rows(level, &p.g, want);
        }
        p.g.serial = true;
        level->gemm(&p.g);
        expect_rows(level, &p.g, want);
        free(want);
        product_free(&p);
    }
}

/* A product has the same bits at every level that promises them (ls_isa_bits). */
static void test_bits_of_levels(void **state)
{
    for (int isa = 0; isa <= (int)ls_isa_best(); isa++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            product p = product_new(shapes[s][0], shapes[s][1], shapes[s][2], 0, 1);
            p.g.bias  = p.bias;
            if (shapes[s][3]) set_parts(&p.g, (int)shapes[s][3], p.bound);
            float *want = reference(ls__isa_table_of(ls_isa_bits((ls_isa)isa, false)), &p);
            ls__isa_table_of((ls_isa)isa)->gemm(&p.g);
            expect_rows(ls__isa_table_of((ls_isa)isa), &p.g, want);
            free(want);
            product_free(&p);
        }
}

static void test_bits_do_not_depend_on_rows_and_columns(void **state)
{
    static const int64_t pieces[] = {1, 5, 17, 40};
    EACH_LEVEL(level)
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        product p = product_new(shapes[s][0], shapes[s][1], shapes[s][2], 0, 0);
        p.g.bias  = p.bias;
        if (shapes[s][3]) set_parts(&p.g, (int)shapes[s][3], p.bound);
        float *want = reference(level, &p);
        omp_set_num_threads(2);
        for (size_t q = 0; q < 2 * sizeof pieces / sizeof *pieces; q++) {
            int64_t step = pieces[q / 2];
            bool    rows = q % 2;
            for (int64_t at = 0; at < (rows ? p.g.m : p.g.n); at += step) {
                ls_gemm part                = p.g;
                int64_t left                = (rows ? p.g.m : p.g.n) - at;
                *(rows ? &part.m : &part.n) = left < step ? left : step;
                part.x                      = p.x + (rows ? at * part.x_row : 0);
                part.w                      = p.w + (rows ? 0 : at * part.w_col);
                part.y                      = p.y + (rows ? at * part.y_row : at);
                part.bias += rows ? 0 : at;
                level->gemm(&part);
            }
            expect_rows(level, &p.g, want);
            memset(p.y, 0, (size_t)(p.g.m * p.g.y_row) * sizeof *p.y);
        }
        free(want);
        product_free(&p);
    }
}

/* The same values give the same bits in every layout of the operands. */
static void test_bits_do_not_depend_on_strides(void **state)
{
    EACH_LEVEL(level)
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        product p = product_new(shapes[s][0], shapes[s][1], shapes[s][2], 0, 0);
        p.g.bias  = p.bias;
        p.g.add   = s % 2;
        if (shapes[s][3]) set_parts(&p.g, (int)shapes[s][3], p.bound);
        float *want = reference(level, &p);
        for (int layout = 1; layout < 9; layout++) {
            product q = product_new(p.g.m, p.g.n, p.g.k, layout / 3, layout % 3);
            for (int64_t k = 0; k < p.g.k; k++) {
                for (int64_t i = 0; i < p.g.m; i++) q.x[i * q.g.x_row + k * q.g.x_col] = p.x[i * p.g.x_row + k];
                for (int64_t j = 0; j < p.g.n; j++) q.w[k * q.g.w_row + j * q.g.w_col] = p.w[k * p.g.w_row + j];
            }
            q.g.bias   = p.bias;
            q.g.add    = p.g.add;
            q.g.splits = p.g.splits;
            q.g.bound  = p.g.bound;
            level->gemm(&q.g);
            expect_rows(level, &q.g, want);
            product_free(&q);
        }
        free(want);
        product_free(&p);
    }
}

static void run_all(const ls_isa_table *level)
{
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        product p = product_new(shapes[s][0], shapes[s][1], shapes[s][2], 0, 1);
        if (shapes[s][3]) set_parts(&p.g, (int)shapes[s][3], p.bound);
        level->gemm(&p.g);
        product_free(&p);
    }
}

/* After some rounds no product allocates.  A thread allocates when it first receives work, which on a busy machine may
 * happen in a later round. */
static void test_allocates_once(void **state)
{
    EACH_LEVEL(level)
    {
        uint64_t before;
        int      rounds = 0;
        omp_set_num_threads(4);
        do {
            before = ls_alloc_count();
            run_all(level);
        } while (ls_alloc_count() != before && ++rounds < 20);
        assert_int_equal(ls_alloc_count(), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values),
                                       cmocka_unit_test(test_packed),
                                       cmocka_unit_test(test_parts_are_a_tree),
                                       cmocka_unit_test(test_bits_do_not_depend_on_threads),
                                       cmocka_unit_test(test_bits_of_levels),
                                       cmocka_unit_test(test_bits_do_not_depend_on_rows_and_columns),
                                       cmocka_unit_test(test_bits_do_not_depend_on_strides),
                                       cmocka_unit_test(test_allocates_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
