/* SPDX-License-Identifier: Apache-2.0
 * Vector maths at every instruction-set level of this processor: error bounds over the whole range of floats, special
 * values, and bits that depend on the element alone. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/cpu/isa_table.h"
#undef ls__vmax
#undef ls__vsum

enum { BLOCK = 4096 };

#define EACH_LEVEL(level)                                                                                              \
    for (int isa = 0; isa <= (int)ls_isa_best(); isa++)                                                                \
        for (const ls_isa_table *level = ls__isa_table_of((ls_isa)isa); level; level = NULL)

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

typedef struct function {
    const char *name;
    size_t      slot; /* offset in ls_vmath */
    double (*exact)(double x);
    double ulp; /* largest error, units of the last place */
} function;

static const function functions[] = {{"exp", offsetof(ls_vmath, exp), exp, 1.0},
                                     {"log", offsetof(ls_vmath, log), log, 0.9},
                                     {"tanh", offsetof(ls_vmath, tanh), tanh, 2.5},
                                     {"sigmoid", offsetof(ls_vmath, sigmoid), sigmoid, 2.5},
                                     {"erf", offsetof(ls_vmath, erf), erf, 1.2}};
#define EACH_FUNCTION(f) for (const function *f = functions; f < functions + sizeof functions / sizeof *functions; f++)

static void call(const ls_isa_table *level, const function *f, int64_t n, const float *x, float *y)
{
    void (*of_array)(int64_t, const float *, float *);
    memcpy(&of_array, (const char *)level->vmath + f->slot, sizeof of_array);
    of_array(n, x, y);
}

/* Returns the error of `got` in units of the last place of the float nearest to `want`. */
static double error(float got, double want)
{
    if (isnan(want)) return isnan(got) ? 0 : INFINITY;
    if (isnan(got)) return INFINITY;
    if ((float)want == got) return 0; /* equal infinities as well */
    int exponent;
    frexp(want, &exponent);
    return fabs(got - want) / ldexp(1, exponent - 24 < -149 ? -149 : exponent - 24);
}

static void test_error_over_all_floats(void **state)
{
    enum { STEP = 2503 }; /* a prime, so that the test visits every exponent and many mantissas */
    float x[BLOCK], y[BLOCK];
    EACH_LEVEL(level)
    EACH_FUNCTION(f)
    for (uint64_t bits = 0; bits < (uint64_t)1 << 32;) {
        int n = 0;
        for (; n < BLOCK && bits < (uint64_t)1 << 32; n++, bits += STEP) {
            uint32_t b = (uint32_t)bits;
            memcpy(&x[n], &b, sizeof b);
        }
        call(level, f, n, x, y);
        for (int i = 0; i < n; i++) {
            double want = f->exact(x[i]);
            if (error(y[i], want) > f->ulp)
                fail_msg("%s: %s(%.9g): expected %.9g, found %.9g, %.2f ulp", level->name, f->name, (double)x[i], want,
                         (double)y[i], error(y[i], want));
        }
    }
}

static void test_special_values(void **state)
{
    static const float x[] = {0.0f,    -0.0f,   1.0f,           -1.0f,    INFINITY, -INFINITY, NAN,
                              1e-45f,  -1e-45f, 1.1754942e-38f, 88.7228f, 88.73f,   -87.336f,  -103.97f,
                              -104.1f, 3.4e38f, -3.4e38f,       9.1f,     -9.1f,    0.9277f};
    enum { N = sizeof x / sizeof *x };
    float y[N];
    EACH_LEVEL(level)
    EACH_FUNCTION(f)
    {
        call(level, f, N, x, y);
        for (int i = 0; i < N; i++) {
            double want = f->exact(x[i]);
            if (!(error(y[i], want) <= f->ulp))
                fail_msg("%s: %s(%.9g): expected %.9g, found %.9g", level->name, f->name, (double)x[i], want,
                         (double)y[i]);
            if (want == 0 && !isnan(y[i])) assert_int_equal(signbit(y[i]) != 0, signbit(want) != 0);
        }
    }
}

/* The result for an element is the same at every position, for every length, in place or not.  Memory after the array
 * keeps its value. */
static void test_bits_depend_on_the_element(void **state)
{
    enum { N = 77 };
    float x[N], alone[N], y[N + 1];
    for (int i = 0; i < N; i++) x[i] = (float)(i - 30) * 0.37f;
    EACH_LEVEL(level)
    EACH_FUNCTION(f)
    {
        for (int i = 0; i < N; i++) call(level, f, 1, x + i, alone + i);
        for (int at = 0; at < 20; at++)
            for (int n = 0; at + n <= N; n++) {
                memcpy(y, x + at, (size_t)n * sizeof *y);
                y[n] = 42;
                call(level, f, n, n % 2 ? x + at : y, y);
                assert_memory_equal(y, alone + at, (size_t)n * sizeof *y);
                assert_true(y[n] == 42);
            }
    }
}

/* Maximum and sum are not in the kernel table, so the test calls the functions of each level by their full names. */
typedef float reduction(int64_t n, const float *x);
#define X(isa, text, level) reduction LS__PASTE(ls__vmax, level), LS__PASTE(ls__vsum, level);
LS_ISA_LIST(X)
#undef X
static reduction *const max_of[] = {
#define X(isa, text, level) LS__PASTE(ls__vmax, level),
    LS_ISA_LIST(X)
#undef X
};
static reduction *const sum_of[] = {
#define X(isa, text, level) LS__PASTE(ls__vsum, level),
    LS_ISA_LIST(X)
#undef X
};

static void test_max_and_sum(void **state)
{
    enum { N = 10000 };
    static float x[N];
    double       sum = 0;
    for (int n = 1; n <= N; n = n < 100 ? n + 1 : n * 3 / 2) {
        float most = -INFINITY;
        sum        = 0;
        for (int i = 0; i < n; i++) {
            x[i] = (float)(i * 7919 % 1009) / 1009 - 0.6f;
            sum += x[i];
            most = x[i] > most ? x[i] : most;
        }
        for (int isa = 0; isa <= (int)ls_isa_best(); isa++) {
            assert_true(max_of[isa](n, x) == most);
            assert_true(fabs(sum_of[isa](n, x) - sum) <= 3e-7 * (n + 100));
        }
    }
}

/* A reduction has the same bits at every level that promises them (ls_isa_bits), for zeros of both signs as well. */
static void expect_equal_bits(reduction *const of[], int n, const float *x)
{
    for (int isa = 0; isa <= (int)ls_isa_best(); isa++) {
        const float found = of[isa](n, x), expected = of[ls_isa_bits((ls_isa)isa, false)](n, x);
        if (memcmp(&found, &expected, sizeof found) != 0)
            fail_msg("%s, %d floats: expected %.9g, found %.9g", ls_isa_name((ls_isa)isa), n, (double)expected,
                     (double)found);
    }
}

static void test_bits_of_max_and_sum(void **state)
{
    enum { N = 10000 };
    static float x[N], zeros[N];
    for (int i = 0; i < N; i++) {
        x[i]     = (float)(i * 7919 % 1009) / 1009 - 0.6f;
        zeros[i] = i * 7919 % 1009 < 300 ? 0.0f : -0.0f;
    }
    for (int n = 0; n <= N; n = n < 100 ? n + 1 : n * 3 / 2) {
        expect_equal_bits(sum_of, n, x);
        expect_equal_bits(max_of, n, zeros);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_error_over_all_floats),
                                       cmocka_unit_test(test_special_values),
                                       cmocka_unit_test(test_bits_depend_on_the_element),
                                       cmocka_unit_test(test_max_and_sum), cmocka_unit_test(test_bits_of_max_and_sum)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
