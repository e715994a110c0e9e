/* SPDX-License-Identifier: Apache-2.0
 * What the providers of matrix products share. */
#include "core/cpu/gemm/blas_provider.h"

#include <limits.h>
#include <math.h>

static ls_status operand(const char *name, const char *which, int64_t rows, int64_t cols, int64_t row, int64_t col,
                         ls_blas_operand *o)
{
    bool by_rows = col == 1 || cols == 1, by_cols = row == 1 || rows == 1;
    LS_CHECK(by_rows || by_cols, LS_ERR_USAGE,
             "%s: expected %s with a stride of 1 in one dim, found strides of %lld and %lld", name, which,
             (long long)row, (long long)col);
    o->transposed  = !(by_rows && (row >= cols || rows == 1));
    int64_t stride = o->transposed ? col : row, least = o->transposed ? rows : cols;
    if ((o->transposed ? cols : rows) == 1 && stride < least) stride = least;
    if (stride < 1) stride = 1;
    LS_CHECK(stride >= least, LS_ERR_USAGE,
             "%s: expected %s with rows that do not overlap, found %lld elements %lld apart", name, which,
             (long long)least, (long long)stride);
    LS_CHECK(stride <= INT_MAX && rows <= INT_MAX && cols <= INT_MAX, LS_ERR_USAGE,
             "%s: expected %s with dims of at most %d, found %lld x %lld", name, which, INT_MAX, (long long)rows,
             (long long)cols);
    o->stride = (int)stride;
    return LS_OK;
}

ls_status ls__provider_operands(const char *name, const ls_gemm *g, ls_blas_operand *x, ls_blas_operand *w)
{
    LS_CHECK(g->splits <= 1, LS_ERR_USAGE, "%s: expected a product in one part, found %d parts of K", name, g->splits);
    LS_CHECK(g->y_row <= INT_MAX, LS_ERR_USAGE, "%s: expected rows of at most %d elements, found %lld", name, INT_MAX,
             (long long)g->y_row);
    LS_TRY(operand(name, "x", g->m, g->k, g->x_row, g->x_col, x));
    LS_TRY(operand(name, "w", g->k, g->n, g->w_row, g->w_col, w));
    return LS_OK;
}

bool ls__provider_begin(const ls_gemm *g)
{
    if (!g->bias) return g->add;
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j++) g->y[i * g->y_row + j] = g->bias[j] + (g->add ? g->y[i * g->y_row + j] : 0);
    return true;
}

static ls_status check_one(const char *name, const char *detail, const char *hint, ls_status (*gemm)(const ls_gemm *g),
                           ls_gemm g)
{
    LS_TRY(gemm(&g));
    for (int64_t i = 0; i < g.m; i++)
        for (int64_t j = 0; j < g.n; j++) {
            double want = 0, size = 1, found = g.y[i * g.y_row + j];
            for (int64_t k = 0; k < g.k; k++) {
                double term = (double)g.x[i * g.x_row + k * g.x_col] * g.w[k * g.w_row + j * g.w_col];
                want += term;
                size += fabs(term);
            }
            LS_CHECK(fabs(found - want) <= 1e-5 * size, LS_ERR_ENV,
                     "%s (%s) computes wrong products on this processor: expected %.7g at row %lld, column %lld of "
                     "%lld x %lld x %lld, found %.7g" LS_HINT "%s",
                     name, detail, want, (long long)i, (long long)j, (long long)g.m, (long long)g.n, (long long)g.k,
                     found, hint);
        }
    return LS_OK;
}

ls_status ls__provider_check(const char *name, const char *detail, const char *hint,
                             ls_status (*gemm)(const ls_gemm *g))
{
    enum { M = 67, N = 50, K = 129 };
    static const int64_t sizes[][3] = {{M, N, K}, {1, N, K}, {M, 1, K}, {6, 25, 64}, {16, 16, 16}};
    float                x[M * K], w[K * N], y[M * N];
    for (int i = 0; i < M * K; i++) x[i] = (float)(i * 7919 % 1009) / 1009 - 0.5f;
    for (int i = 0; i < K * N; i++) w[i] = (float)(i * 6101 % 997) / 997 - 0.5f;
    for (unsigned s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int lies = 0; lies < 4; lies++) {
            int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
            ls_gemm g = {.m = m, .n = n, .k = k, .x = x, .w = w, .y = y, .y_row = n};
            g.x_row   = lies & 1 ? 1 : k;
            g.x_col   = lies & 1 ? m : 1;
            g.w_row   = lies & 2 ? 1 : n;
            g.w_col   = lies & 2 ? k : 1;
            LS_TRY(check_one(name, detail, hint, gemm, g));
        }
    return LS_OK;
}
