/* SPDX-License-Identifier: Apache-2.0
 * OpenBLAS, of the OpenMP flavour.  openblas_set_num_threads is never called: in this flavour it sets the threads of
 * the whole process.  OpenBLAS takes as many threads as OpenMP allows, and one within a parallel region. */
#include "core/cpu/gemm/openblas.h"

#include <dlfcn.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CORETYPE "OPENBLAS_CORETYPE"

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 }; /* cblas.h */

typedef void cblas_sgemm_fn(int order, int trans_x, int trans_w, int m, int n, int k, float alpha, const float *x,
                            int x_stride, const float *w, int w_stride, float beta, float *y, int y_stride);

static cblas_sgemm_fn *cblas_sgemm;
static char            detail[96], corename[32];
static ls_status       status = LS_OK;
static char            message[1024];
static pthread_once_t  once = PTHREAD_ONCE_INIT;

static ls_status gemm_unchecked(const ls_gemm *g)
{
    ls_blas_operand x, w;
    LS_TRY(ls__provider_operands("OpenBLAS", g, &x, &w));
    float     beta    = ls__provider_begin(g) ? 1 : 0;
    const int threads = omp_get_max_threads();
    if (g->serial) omp_set_num_threads(1); /* of this thread's regions only */
    cblas_sgemm(ROW_MAJOR, x.transposed ? TRANS : NO_TRANS, w.transposed ? TRANS : NO_TRANS, (int)g->m, (int)g->n,
                (int)g->k, 1, g->x, x.stride, g->w, w.stride, beta, g->y, (int)g->y_row);
    if (g->serial) omp_set_num_threads(threads);
    return LS_OK;
}

#ifdef LOCKSTEP_OPENBLAS
/* The kernels that this processor should get; NULL: OpenBLAS knows best. */
static const char *right_kernels(void)
{
#if defined(__x86_64__)
    if (ls_isa_best() == LS_ISA_V4) return "SKYLAKEX";
    if (ls_isa_best() == LS_ISA_V3) return __builtin_cpu_is("amd") ? "ZEN" : "HASWELL";
#endif
    return NULL;
}

static ls_status open_library(void)
{
    const char *named = getenv(CORETYPE), *right = right_kernels();
    const bool  ours = right && (!named || !*named);
    if (ours) setenv(CORETYPE, right, 1);
    void *library = dlopen(LOCKSTEP_OPENBLAS, RTLD_NOW | RTLD_LOCAL);
    if (ours) unsetenv(CORETYPE);
    LS_CHECK(library, LS_ERR_ENV, "OpenBLAS cannot be loaded: %s" LS_HINT "install libopenblas0-openmp", dlerror());
    char *(*core)(void), *(*config)(void);
    int (*parallel)(void);
    *(void **)&core        = dlsym(library, "openblas_get_corename");
    *(void **)&config      = dlsym(library, "openblas_get_config");
    *(void **)&parallel    = dlsym(library, "openblas_get_parallel");
    *(void **)&cblas_sgemm = dlsym(library, "cblas_sgemm");
    LS_CHECK(core && config && parallel && cblas_sgemm, LS_ERR_ENV,
             "%s is not an OpenBLAS: it lacks cblas_sgemm or openblas_get_corename", LOCKSTEP_OPENBLAS);
    LS_CHECK(parallel() == 2, LS_ERR_ENV,
             "%s is not of the OpenMP flavour, and its threads would fight with ours" LS_HINT
             "install libopenblas-openmp-dev and build again",
             LOCKSTEP_OPENBLAS);
    char version[32] = "";
    sscanf(config(), "OpenBLAS %31s", version);
    snprintf(corename, sizeof corename, "%s", core());
    snprintf(detail, sizeof detail, "%s, %s kernels", version, corename);
    return ls__provider_check("OpenBLAS", detail, "name other kernels with " CORETYPE, gemm_unchecked);
}
#else
static ls_status open_library(void)
{
    return LS_FAIL(LS_ERR_ENV,
                   "OpenBLAS is not in this build" LS_HINT "install libopenblas-openmp-dev and build again");
}
#endif

static void load_once(void)
{
    status = open_library();
    if (status == LS_OK) return;
    snprintf(message, sizeof message, "%s", ls_error_message());
    detail[0] = corename[0] = 0;
}

static ls_status load(void)
{
    pthread_once(&once, load_once);
    LS_CHECK(status == LS_OK, status, "%s", message);
    return LS_OK;
}

static ls_status gemm(const ls_gemm *g)
{
    LS_TRY(load());
    return gemm_unchecked(g);
}

static const char *get_detail(void) { return detail; }

const char *ls__openblas_corename(void) { return corename; }

const ls_provider ls__openblas = {.name = "OpenBLAS", .load = load, .detail = get_detail, .gemm = gemm};
