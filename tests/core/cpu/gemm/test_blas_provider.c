/* SPDX-License-Identifier: Apache-2.0
 * leaks: foreign
 *
 * External libraries of matrix products: OpenBLAS uses the kernels of this processor, products are correct, unsupported
 * products are refused, and a library with wrong results is found.  A library that is not installed is skipped. */
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/cpu/gemm/onednn.h"
#include "core/cpu/gemm/openblas.h"

static bool selected_by_user; /* OPENBLAS_CORETYPE is set when the test starts */

static ls_provider *const providers[] = {&ls__openblas, &ls__onednn};
#define EACH_PROVIDER(p)                                                                                               \
    for (size_t i = 0; i < 2; i++)                                                                                     \
        for (ls_provider *p = providers[i]; p; p = NULL)

/* Whether the library is not installed; then checks the message. */
static bool absent(ls_provider *p)
{
    if (ls__provider_load(p) == LS_OK) return false;
    assert_non_null(strstr(ls_error_message(), p->name));
    assert_non_null(strstr(ls_error_message(), "install"));
    assert_string_equal(p->detail, "");
    return true;
}

/* x: 2 x 3, w: 3 x 2; bias and product are added to y = 100.  The number of OpenMP threads does not change. */
static void test_product(void **state)
{
    const float x[] = {1, 2, 3, 4, 5, 6}, w[] = {1, 2, 3, 4, 5, 6}, bias[] = {10, 20};
    EACH_PROVIDER(p)
    {
        if (absent(p)) continue;
        for (int serial = 0; serial < 2; serial++) {
            float   y[]  = {100, 100, 0, 100, 100, 0};
            ls_gemm g    = {.m     = 2,
                            .n     = 2,
                            .k     = 3,
                            .x     = x,
                            .x_row = 3,
                            .x_col = 1,
                            .w     = w,
                            .w_row = 2,
                            .w_col = 1,
                            .y     = y,
                            .y_row = 3};
            int     team = omp_get_max_threads();
            g.bias       = bias;
            g.add        = true;
            g.serial     = serial;
            assert_int_equal(ls__provider_gemm(p, &g), LS_OK);
            const float want[] = {132, 148, 0, 159, 184, 0};
            assert_memory_equal(y, want, sizeof want);
            assert_int_equal(omp_get_max_threads(), team);
        }
    }
}

static void test_refuses_unsupported_products(void **state)
{
    float         a[64]   = {0};
    const int64_t bound[] = {0, 1, 2};
    EACH_PROVIDER(p)
    {
        if (absent(p)) continue;
        ls_gemm g = {.m     = 2,
                     .n     = 2,
                     .k     = 2,
                     .x     = a,
                     .x_row = 2,
                     .x_col = 1,
                     .w     = a,
                     .w_row = 2,
                     .w_col = 1,
                     .y     = a + 32,
                     .y_row = 2};
        g.splits  = 2;
        g.bound   = bound;
        assert_int_equal(ls__provider_gemm(p, &g), LS_ERR_USAGE);
        g.splits = 0;
        g.x_row  = 7;
        g.x_col  = 2;
        assert_int_equal(ls__provider_gemm(p, &g), LS_ERR_USAGE);
        g.x_row = 2;
        g.x_col = 1;
        g.n     = (int64_t)1 << 40;
        g.w_row = g.y_row = g.n;
        assert_int_equal(ls__provider_gemm(p, &g), LS_ERR_USAGE);
    }
}

static int product_of_ones(const ls_gemm *g, ls_blas_operand x, ls_blas_operand w, float beta)
{
    (void)x, (void)w, (void)beta;
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j++) ((float *)g->y)[i * g->y_row + j] = 1;
    return 0;
}

static void test_wrong_products_are_found(void **state)
{
    const ls_provider flawed = {.name = "Flawed", .detail = "1.0", .hint = "use another", .sgemm = product_of_ones};
    assert_int_equal(ls__provider_check(&flawed, LS_F32), LS_ERR_ENV);
    assert_non_null(strstr(ls_error_message(), "Flawed (1.0) computes wrong products"));
    assert_non_null(strstr(ls_error_message(), "use another"));
}

/* OpenBLAS does not fall back to the SSE3 kernels on a processor with AVX2, and loading it leaves the environment as it
 * was. */
static void test_kernels_fit_the_processor(void **state)
{
    if (absent(&ls__openblas) || selected_by_user) return;
    assert_null(getenv("OPENBLAS_CORETYPE"));
    assert_string_not_equal(ls__openblas_corename(), "");
#if defined(__x86_64__)
    if (ls_isa_best() >= LS_ISA_V3) {
        assert_string_not_equal(ls__openblas_corename(), "Prescott");
        assert_string_not_equal(ls__openblas_corename(), "Nehalem");
    }
    if (ls_isa_best() >= LS_ISA_V4) assert_string_equal(ls__openblas_corename(), "SkylakeX");
#endif
}

/* OPENBLAS_CORETYPE selects the kernels.  A child process checks it, because OpenBLAS reads the variable only once. */
static void test_kernels_selected_by_the_user(void **state)
{
#if defined(__x86_64__)
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "test_blas_provider", "--as-nehalem", (char *)NULL);
        _exit(1);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
#endif
}

/* Main function of the child process; returns its exit status. */
static int as_nehalem(void)
{
    setenv("OPENBLAS_CORETYPE", "NEHALEM", 1);
    if (ls__provider_load(&ls__openblas) != LS_OK) return strstr(ls_error_message(), "install") ? 0 : 2;
    return strcmp(ls__openblas_corename(), "Nehalem") == 0 && strcmp(getenv("OPENBLAS_CORETYPE"), "NEHALEM") == 0 ? 0
                                                                                                                  : 3;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--as-nehalem") == 0) return as_nehalem();
    selected_by_user                = getenv("OPENBLAS_CORETYPE") != NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernels_selected_by_the_user), cmocka_unit_test(test_product),
        cmocka_unit_test(test_refuses_unsupported_products), cmocka_unit_test(test_wrong_products_are_found),
        cmocka_unit_test(test_kernels_fit_the_processor)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
