/* SPDX-License-Identifier: Apache-2.0
 * Loads, checks and calls an external library of matrix products; openblas.c and onednn.c describe the libraries. */
#include "core/cpu/gemm/blas_provider.h"

#include <limits.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* Translates the strides of an operand of rows x cols into the terms of BLAS.  which: "x" or "w". */
static ls_status blas_operand(const char *name, const char *which, int64_t rows, int64_t cols, int64_t row_stride,
                              int64_t col_stride, ls_blas_operand *o)
{
    const bool by_rows = col_stride == 1 || cols == 1, by_cols = row_stride == 1 || rows == 1;
    LS_CHECK(by_rows || by_cols, LS_ERR_USAGE,
             "%s: %s: expected a stride of 1 in one of the two dims, found strides of %lld and %lld", name, which,
             (long long)row_stride, (long long)col_stride);
    o->transposed  = !(by_rows && (row_stride >= cols || rows == 1));
    int64_t stride = o->transposed ? col_stride : row_stride, least = o->transposed ? rows : cols;
    if ((o->transposed ? cols : rows) == 1 && stride < least) stride = least;
    if (stride < 1) stride = 1;
    LS_CHECK(stride >= least, LS_ERR_USAGE,
             "%s: %s: expected rows that do not overlap, found rows of %lld elements with a stride of %lld", name,
             which, (long long)least, (long long)stride);
    LS_CHECK(stride <= INT_MAX && rows <= INT_MAX && cols <= INT_MAX, LS_ERR_USAGE,
             "%s: %s: expected dims of at most %d, found %lld x %lld", name, which, INT_MAX, (long long)rows,
             (long long)cols);
    o->stride = (int)stride;
    return LS_OK;
}

static void add_bias(const ls_gemm *g, bool serial)
{
    enum { WORTH_THREADS = 1 << 14 };
#pragma omp parallel for schedule(static) if (!serial && g->m * g->n >= WORTH_THREADS)
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j++) ((float *)g->y)[i * g->y_row + j] += g->bias[j];
}

/* Computes g with a library that is loaded but not yet checked. */
static ls_status multiply(const ls_provider *p, const ls_gemm *g)
{
    ls_blas_operand x, w;
    int (*const gemm)(const ls_gemm *, ls_blas_operand, ls_blas_operand, float) =
        g->type == LS_F32 ? p->sgemm : (p->bfloat16 ? p->bgemm : NULL);
    LS_CHECK(gemm && g->y_type == LS_F32, LS_ERR_USAGE, "%s: expected a product of float32%s", p->name,
             p->bfloat16 ? ", or of bfloat16 with y in float32" : "");
    LS_CHECK(g->splits <= 1, LS_ERR_USAGE, "%s: expected a product in one part, found %d parts of K", p->name,
             g->splits);
    LS_CHECK(g->y_row <= INT_MAX, LS_ERR_USAGE, "%s: y: expected a row stride of at most %d, found %lld", p->name,
             INT_MAX, (long long)g->y_row);
    LS_TRY(blas_operand(p->name, "x", g->m, g->k, g->x_row, g->x_col, &x));
    LS_TRY(blas_operand(p->name, "w", g->k, g->n, g->w_row, g->w_col, &w));
    const bool serial  = g->serial || omp_in_parallel();
    const int  threads = omp_get_max_threads();
    if (serial) omp_set_num_threads(1); /* affects only parallel regions that this thread starts */
    const int error = gemm(g, x, w, g->add ? 1 : 0);
    if (serial) omp_set_num_threads(threads);
    LS_CHECK(error == 0, LS_ERR_FAILED, "%s: product of %lld x %lld x %lld: expected status 0, found %d", p->name,
             (long long)g->m, (long long)g->n, (long long)g->k, error);
    if (g->bias) add_bias(g, serial);
    return LS_OK;
}

/* Element i of an operand. */
static double value_of(const ls_gemm *g, const void *operand, int64_t i)
{
    if (g->type == LS_F32) return ((const float *)operand)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)operand)[i] << 16;
    float          value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static ls_status check_product(const ls_provider *p, const ls_gemm *g)
{
    const float *y = g->y;
    LS_TRY(multiply(p, g));
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j++) {
            double want = 0, size = 1, found = y[i * g->y_row + j];
            for (int64_t k = 0; k < g->k; k++) {
                double term =
                    value_of(g, g->x, i * g->x_row + k * g->x_col) * value_of(g, g->w, k * g->w_row + j * g->w_col);
                want += term;
                size += fabs(term);
            }
            LS_CHECK(fabs(found - want) <= 1e-5 * size, LS_ERR_ENV,
                     "%s (%s) computes wrong products on this processor: expected %.7g at row %lld, column %lld of "
                     "%lld x %lld x %lld, found %.7g" LS_HINT "%s",
                     p->name, p->detail, want, (long long)i, (long long)j, (long long)g->m, (long long)g->n,
                     (long long)g->k, found, p->hint);
        }
    return LS_OK;
}

/* Writes pseudo-random numbers from -0.5 to 0.5, those of bfloat16 rounded towards zero. */
static void fill(void *operand, ls_dtype type, int count, int factor, int modulus)
{
    for (int i = 0; i < count; i++) {
        const float value = (float)(i * factor % modulus) / (float)modulus - 0.5f;
        uint32_t    bits;
        memcpy(&bits, &value, sizeof bits);
        if (type == LS_F32)
            ((float *)operand)[i] = value;
        else
            ((uint16_t *)operand)[i] = (uint16_t)(bits >> 16);
    }
}

ls_status ls__provider_check(const ls_provider *p, ls_dtype type)
{
    enum { M = 67, N = 50, K = 129, LAYOUTS = 4 };
    static const int64_t sizes[][3] = {{M, N, K}, {1, N, K}, {M, 1, K}, {6, 25, 64}, {16, 16, 16}};
    float                x[M * K], w[K * N], y[M * N];
    fill(x, type, M * K, 7919, 1009);
    fill(w, type, K * N, 6101, 997);
    for (unsigned s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int layout = 0; layout < LAYOUTS; layout++) {
            const int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
            const bool    x_transposed = layout & 1, w_transposed = layout & 2;
            const ls_gemm g = {.m     = m,
                               .n     = n,
                               .k     = k,
                               .x     = x,
                               .x_row = x_transposed ? 1 : k,
                               .x_col = x_transposed ? m : 1,
                               .w     = w,
                               .w_row = w_transposed ? 1 : n,
                               .w_col = w_transposed ? k : 1,
                               .y     = y,
                               .y_row = n,
                               .type  = type};
            LS_TRY(check_product(p, &g));
        }
    return LS_OK;
}

static ls_status open_and_check(ls_provider *p)
{
    LS_TRY(p->open(p));
    LS_TRY(ls__provider_check(p, LS_F32));
    if (!p->bgemm) return LS_OK;
    p->bfloat16            = true;
    const ls_status status = ls__provider_check(p, LS_BF16);
    p->bfloat16            = status == LS_OK;
    return status == LS_ERR_ENV ? status : LS_OK; /* other errors: the library refuses these products */
}

static void load_once(ls_provider *p)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    if (!p->tried) {
        p->status = open_and_check(p);
        if (p->status != LS_OK) {
            snprintf(p->message, sizeof p->message, "%s", ls_error_message());
            p->detail[0] = 0;
        }
        p->tried = true;
    }
    pthread_mutex_unlock(&lock);
}

ls_status ls__provider_load(ls_provider *p)
{
    if (!p->tried) load_once(p);
    LS_CHECK(p->status == LS_OK, p->status, "%s", p->message);
    return LS_OK;
}

ls_status ls__provider_gemm(ls_provider *p, const ls_gemm *g)
{
    LS_TRY(ls__provider_load(p));
    return multiply(p, g);
}
