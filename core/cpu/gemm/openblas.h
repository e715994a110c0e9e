/* SPDX-License-Identifier: Apache-2.0
 *
 * OpenBLAS.  It reads OPENBLAS_CORETYPE when it is loaded, and a version that does not know a newer processor falls
 * silently to kernels of 2004, eight times slower; so the kernels are named before it is loaded, unless the user has
 * named them. */
#ifndef LS_CORE_CPU_GEMM_OPENBLAS_H
#define LS_CORE_CPU_GEMM_OPENBLAS_H

#include "core/cpu/gemm/blas_provider.h"

extern const ls_provider ls__openblas; /* detail: "0.3.21, Zen kernels" */

/* The kernels in use, as OpenBLAS calls them ("Zen", "SkylakeX"); "" before a successful load. */
const char *ls__openblas_corename(void);

#endif
