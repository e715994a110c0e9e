/* SPDX-License-Identifier: Apache-2.0
 *
 * Matrix products by external libraries (OpenBLAS, oneDNN).  `lockstep doctor` and `lockstep bench gemm` measure them
 * beside the kernels of Lockstep.  A run with train.reproducible=false may use them (product_table.h).  All other runs
 * never call them, because their bits depend on the number of threads.
 *
 * A library is loaded on first use, and its products are first compared with a plain loop.
 *
 *     if (ls__provider_load(&ls__openblas) == LS_OK) LS_TRY(ls__provider_gemm(&ls__openblas, &g));
 */
#ifndef LS_CORE_CPU_GEMM_BLAS_PROVIDER_H
#define LS_CORE_CPU_GEMM_BLAS_PROVIDER_H

#include "core/cpu/gemm/gemm.h"

/* An operand in the terms of BLAS. */
typedef struct ls_blas_operand {
    bool transposed;
    int  stride; /* from one row to the next (transposed: from one column to the next), elements */
} ls_blas_operand;

typedef struct ls_provider ls_provider;
struct ls_provider {
    const char *name; /* "OpenBLAS" */
    const char *hint; /* advice to the user if the library computes wrong products */

    /* Loads the library and writes `detail`.  LS_ERR_ENV: absent from this build or from this machine, or
     * unsuitable. */
    ls_status (*open)(ls_provider *p);

    /* y = x w + beta y with the library's single-precision product.  Returns 0, or the library's error code. */
    int (*sgemm)(const ls_gemm *g, ls_blas_operand x, ls_blas_operand w, float beta);
    /* (optional) The same for bfloat16 x and w, with y in float32. */
    int (*bgemm)(const ls_gemm *g, ls_blas_operand x, ls_blas_operand w, float beta);

    /* Set by ls__provider_load(). */
    char         detail[96]; /* version, and the kernels in use if known: "0.3.21, Zen kernels"; "" unless loaded */
    bool         bfloat16;   /* the library multiplies bfloat16 on this processor */
    _Atomic bool tried;      /* the fields below are valid */
    ls_status    status;
    char         message[1024];
};

/* Loads the library and checks its products, once per process; later calls return the same status and message.
 * LS_ERR_ENV: no usable library.  Thread-safe. */
ls_status ls__provider_load(ls_provider *p);

/* Computes g with as many threads as OpenMP allows, or one if g->serial is set or the caller is in a parallel region.
 * LS_ERR_USAGE: splits > 1, an operand without a stride of 1, a dim that does not fit an int, y in bfloat16, or a type
 * that the library cannot multiply.  Status of ls__provider_load() if that fails.  After an error y is unchanged. */
ls_status ls__provider_gemm(ls_provider *p, const ls_gemm *g);

/* Compares products of p->sgemm, or of p->bgemm, with a plain loop.  LS_ERR_ENV: they differ. */
ls_status ls__provider_check(const ls_provider *p, ls_dtype type);

#endif
