/* SPDX-License-Identifier: Apache-2.0
 * oneDNN as an external library of matrix products, by its function dnnl_sgemm. */
#ifndef LS_CORE_CPU_GEMM_ONEDNN_H
#define LS_CORE_CPU_GEMM_ONEDNN_H

#include "core/cpu/gemm/blas_provider.h"

extern ls_provider ls__onednn; /* detail: "2.6.3" */

#endif
