/* SPDX-License-Identifier: Apache-2.0
 *
 * Matrix products by other libraries: yardsticks, and a choice where reproducible bits are given up.  A library is
 * loaded when first asked for, and its results are checked against a plain loop before they are trusted.
 */
#ifndef LS_CORE_CPU_GEMM_BLAS_PROVIDER_H
#define LS_CORE_CPU_GEMM_BLAS_PROVIDER_H

#include "core/cpu/gemm/gemm.h"

typedef struct ls_provider {
    const char *name; /* "OpenBLAS" */

    /* Loads and checks it, once; later calls give the same answer.  LS_ERR_ENV: not in this build, not on this machine,
     * or it computes wrong products. */
    ls_status (*load)(void);

    /* What it is and which kernels it chose ("Zen"); "" before a successful load. */
    const char *(*detail)(void);

    /* The product, with as many threads as OpenMP would take (one, if serial).  Parts of K are not its business:
     * LS_ERR_USAGE with splits > 1, with operands of which neither stride is 1, or with dims that do not fit an int. */
    ls_status (*gemm)(const ls_gemm *g);
} ls_provider;

/* ---- for providers ----------------------------------------------------------------------------------------------- */

/* An operand in the terms of BLAS: transposed or not, and the stride between its rows or columns. */
typedef struct ls_blas_operand {
    bool transposed;
    int  stride;
} ls_blas_operand;

/* Checks what a BLAS can do, and gives the operands in its terms. */
ls_status ls__provider_operands(const char *name, const ls_gemm *g, ls_blas_operand *x, ls_blas_operand *w);

/* Puts the bias into y where there is one: whether the product is to be added to what y holds. */
bool ls__provider_begin(const ls_gemm *g);

/* A few products against a plain loop; LS_ERR_ENV when they differ.  `detail` and `hint` are for the message. */
ls_status ls__provider_check(const char *name, const char *detail, const char *hint,
                             ls_status (*gemm)(const ls_gemm *g));

#endif
