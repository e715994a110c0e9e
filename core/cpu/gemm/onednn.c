/* SPDX-License-Identifier: Apache-2.0
 * Loads oneDNN when it is first needed.  The two functions that are called are declared here as in dnnl.h. */
#include "core/cpu/gemm/onednn.h"

#include <dlfcn.h>
#include <stdio.h>

/* As in dnnl.h: row-major, with alpha and beta as in BLAS; returns 0 or an error code. */
typedef int dnnl_sgemm_fn(char trans_x, char trans_w, int64_t m, int64_t n, int64_t k, float alpha, const float *x,
                          int64_t x_stride, const float *w, int64_t w_stride, float beta, float *y, int64_t y_stride);
/* The same for bfloat16 x and w.  The library exports it without declaring it in dnnl.h. */
typedef int dnnl_bgemm_fn(char trans_x, char trans_w, int64_t m, int64_t n, int64_t k, float alpha, const uint16_t *x,
                          int64_t x_stride, const uint16_t *w, int64_t w_stride, float beta, float *y,
                          int64_t y_stride);
typedef struct version {
    int major, minor, patch; /* the first fields of dnnl_version_t */
} version;

static dnnl_sgemm_fn *dnnl_sgemm;
static dnnl_bgemm_fn *dnnl_bgemm; /* NULL: this version of the library does not have it */

static int sgemm(const ls_gemm *g, ls_blas_operand x, ls_blas_operand w, float beta)
{
    return dnnl_sgemm(x.transposed ? 'T' : 'N', w.transposed ? 'T' : 'N', g->m, g->n, g->k, 1, g->x, x.stride, g->w,
                      w.stride, beta, g->y, g->y_row);
}

static int bgemm(const ls_gemm *g, ls_blas_operand x, ls_blas_operand w, float beta)
{
    if (!dnnl_bgemm) return -1;
    return dnnl_bgemm(x.transposed ? 'T' : 'N', w.transposed ? 'T' : 'N', g->m, g->n, g->k, 1, g->x, x.stride, g->w,
                      w.stride, beta, g->y, g->y_row);
}

#ifdef LOCKSTEP_ONEDNN
static ls_status open_library(ls_provider *p)
{
    void *library = dlopen(LOCKSTEP_ONEDNN, RTLD_NOW | RTLD_LOCAL);
    LS_CHECK(library, LS_ERR_ENV, "oneDNN cannot be loaded: %s" LS_HINT "install libdnnl-dev", dlerror());
    const version *(*get_version)(void);
    *(void **)&get_version = dlsym(library, "dnnl_version");
    *(void **)&dnnl_sgemm  = dlsym(library, "dnnl_sgemm");
    *(void **)&dnnl_bgemm  = dlsym(library, "dnnl_gemm_bf16bf16f32");
    LS_CHECK(get_version && dnnl_sgemm, LS_ERR_ENV,
             "%s: expected oneDNN, found a library without dnnl_sgemm or dnnl_version" LS_HINT "install libdnnl-dev",
             LOCKSTEP_ONEDNN);
    const version *v = get_version();
    snprintf(p->detail, sizeof p->detail, "%d.%d.%d", v->major, v->minor, v->patch);
    return LS_OK;
}
#else
static ls_status open_library(ls_provider *p)
{
    (void)p;
    return LS_FAIL(LS_ERR_ENV, "oneDNN is not in this build" LS_HINT "install libdnnl-dev and build again");
}
#endif

ls_provider ls__onednn = {.name  = "oneDNN",
                          .hint  = "build with LOCKSTEP_WITH_ONEDNN=OFF",
                          .open  = open_library,
                          .sgemm = sgemm,
                          .bgemm = bgemm};
