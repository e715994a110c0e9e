/* SPDX-License-Identifier: Apache-2.0
 * oneDNN: its matrix product of plain arrays (dnnl_sgemm). */
#ifndef LS_CORE_CPU_GEMM_ONEDNN_H
#define LS_CORE_CPU_GEMM_ONEDNN_H

#include "core/cpu/gemm/blas_provider.h"

extern const ls_provider ls__onednn; /* detail: "2.6.3" */

#endif
