/* SPDX-License-Identifier: Apache-2.0
 *
 * OpenBLAS as an external library of matrix products.
 *
 * OpenBLAS reads the environment variable OPENBLAS_CORETYPE when it is loaded.  A version that does not recognise a
 * newer processor silently falls back to kernels of 2004, which are eight times slower.  So the variable is set to the
 * kernels of this processor while the library is loaded, unless the user has set it. */
#ifndef LS_CORE_CPU_GEMM_OPENBLAS_H
#define LS_CORE_CPU_GEMM_OPENBLAS_H

#include "core/cpu/gemm/blas_provider.h"

extern ls_provider ls__openblas; /* detail: "0.3.21, Zen kernels" */

/* Name that OpenBLAS gives to the kernels in use ("Zen", "SkylakeX"); "" unless the library is loaded. */
const char *ls__openblas_corename(void);

#endif
