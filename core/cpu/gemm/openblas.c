/* SPDX-License-Identifier: Apache-2.0
 * Loads OpenBLAS built with OpenMP.  openblas_set_num_threads is never called, because in this build it changes the
 * number of OpenMP threads of the whole process.  OpenBLAS uses as many threads as OpenMP allows, and one thread inside
 * a parallel region. */
#include "core/cpu/gemm/openblas.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CORETYPE "OPENBLAS_CORETYPE"

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112, BUILT_WITH_OPENMP = 2 }; /* values of cblas.h and OpenBLAS */

typedef void cblas_sgemm_fn(int order, int trans_x, int trans_w, int m, int n, int k, float alpha, const float *x,
                            int x_stride, const float *w, int w_stride, float beta, float *y, int y_stride);

static cblas_sgemm_fn *cblas_sgemm;
static char            corename[32];

static int sgemm(const ls_gemm *g, ls_blas_operand x, ls_blas_operand w, float beta)
{
    cblas_sgemm(ROW_MAJOR, x.transposed ? TRANS : NO_TRANS, w.transposed ? TRANS : NO_TRANS, (int)g->m, (int)g->n,
                (int)g->k, 1, g->x, x.stride, g->w, w.stride, beta, g->y, (int)g->y_row);
    return 0;
}

#ifdef LOCKSTEP_OPENBLAS
/* Returns the value of OPENBLAS_CORETYPE for this processor; NULL: OpenBLAS recognises the processor by itself. */
static const char *suitable_kernels(void)
{
#if defined(__x86_64__)
    if (ls_isa_best() >= LS_ISA_V4) return "SKYLAKEX";
    if (ls_isa_best() == LS_ISA_V3) return __builtin_cpu_is("amd") ? "ZEN" : "HASWELL";
#endif
    return NULL;
}

static ls_status open_library(ls_provider *p)
{
    const char *chosen_by_user = getenv(CORETYPE), *suitable = suitable_kernels();
    const bool  set_variable = suitable && (!chosen_by_user || !*chosen_by_user);
    if (set_variable) setenv(CORETYPE, suitable, 1);
    void *library = dlopen(LOCKSTEP_OPENBLAS, RTLD_NOW | RTLD_LOCAL);
    if (set_variable) unsetenv(CORETYPE);
    LS_CHECK(library, LS_ERR_ENV, "OpenBLAS cannot be loaded: %s" LS_HINT "install libopenblas0-openmp", dlerror());
    char *(*core)(void), *(*config)(void);
    int (*parallel)(void);
    *(void **)&core        = dlsym(library, "openblas_get_corename");
    *(void **)&config      = dlsym(library, "openblas_get_config");
    *(void **)&parallel    = dlsym(library, "openblas_get_parallel");
    *(void **)&cblas_sgemm = dlsym(library, "cblas_sgemm");
    LS_CHECK(core && config && parallel && cblas_sgemm, LS_ERR_ENV,
             "%s: expected OpenBLAS, found a library without cblas_sgemm or openblas_get_corename" LS_HINT
             "install libopenblas0-openmp",
             LOCKSTEP_OPENBLAS);
    LS_CHECK(parallel() == BUILT_WITH_OPENMP, LS_ERR_ENV,
             "%s: expected an OpenBLAS built with OpenMP, found one with threads of its own, which would compete with "
             "those of Lockstep" LS_HINT "install libopenblas-openmp-dev and build again",
             LOCKSTEP_OPENBLAS);
    char version[32] = "";
    sscanf(config(), "OpenBLAS %31s", version);
    snprintf(corename, sizeof corename, "%s", core());
    snprintf(p->detail, sizeof p->detail, "%s, %s kernels", version, corename);
    return LS_OK;
}
#else
static ls_status open_library(ls_provider *p)
{
    (void)p;
    return LS_FAIL(LS_ERR_ENV,
                   "OpenBLAS is not in this build" LS_HINT "install libopenblas-openmp-dev and build again");
}
#endif

const char *ls__openblas_corename(void) { return ls__openblas.detail[0] ? corename : ""; }

ls_provider ls__openblas = {
    .name = "OpenBLAS", .hint = "select other kernels with " CORETYPE, .open = open_library, .sgemm = sgemm};
