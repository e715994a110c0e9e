/* SPDX-License-Identifier: Apache-2.0
 * oneDNN, loaded when first asked for. */
#include "core/cpu/gemm/onednn.h"

#include <dlfcn.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>

/* dnnl.h; row-major, with alpha and beta as in BLAS. */
typedef int dnnl_sgemm_fn(char trans_x, char trans_w, int64_t m, int64_t n, int64_t k, float alpha, const float *x,
                          int64_t x_stride, const float *w, int64_t w_stride, float beta, float *y, int64_t y_stride);
typedef struct version {
    int major, minor, patch; /* the first fields of dnnl_version_t */
} version;

static dnnl_sgemm_fn *dnnl_sgemm;
static char           detail[48];
static ls_status      status = LS_OK;
static char           message[1024];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static ls_status gemm_unchecked(const ls_gemm *g)
{
    ls_blas_operand x, w;
    LS_TRY(ls__provider_operands("oneDNN", g, &x, &w));
    float     beta    = ls__provider_begin(g) ? 1 : 0;
    const int threads = omp_get_max_threads();
    if (g->serial) omp_set_num_threads(1); /* of this thread's regions only */
    int failed = dnnl_sgemm(x.transposed ? 'T' : 'N', w.transposed ? 'T' : 'N', g->m, g->n, g->k, 1, g->x, x.stride,
                            g->w, w.stride, beta, g->y, g->y_row);
    if (g->serial) omp_set_num_threads(threads);
    LS_CHECK(!failed, LS_ERR_FAILED, "oneDNN: dnnl_sgemm of %lld x %lld x %lld failed with status %d", (long long)g->m,
             (long long)g->n, (long long)g->k, failed);
    return LS_OK;
}

#ifdef LOCKSTEP_ONEDNN
static ls_status open_library(void)
{
    void *library = dlopen(LOCKSTEP_ONEDNN, RTLD_NOW | RTLD_LOCAL);
    LS_CHECK(library, LS_ERR_ENV, "oneDNN cannot be loaded: %s" LS_HINT "install libdnnl-dev", dlerror());
    const version *(*get_version)(void);
    *(void **)&get_version = dlsym(library, "dnnl_version");
    *(void **)&dnnl_sgemm  = dlsym(library, "dnnl_sgemm");
    LS_CHECK(get_version && dnnl_sgemm, LS_ERR_ENV, "%s is not a oneDNN: it lacks dnnl_sgemm or dnnl_version",
             LOCKSTEP_ONEDNN);
    const version *v = get_version();
    snprintf(detail, sizeof detail, "%d.%d.%d", v->major, v->minor, v->patch);
    return ls__provider_check("oneDNN", detail, "build with LOCKSTEP_WITH_ONEDNN=OFF", gemm_unchecked);
}
#else
static ls_status open_library(void)
{
    return LS_FAIL(LS_ERR_ENV, "oneDNN is not in this build" LS_HINT "install libdnnl-dev and build again");
}
#endif

static void load_once(void)
{
    status = open_library();
    if (status == LS_OK) return;
    snprintf(message, sizeof message, "%s", ls_error_message());
    detail[0] = 0;
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

const ls_provider ls__onednn = {.name = "oneDNN", .load = load, .detail = get_detail, .gemm = gemm};
