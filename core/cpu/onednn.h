/* SPDX-License-Identifier: Apache-2.0
 * oneDNN: its matrix product of plain arrays (dnnl_sgemm). */
#ifndef LS_CORE_CPU_ONEDNN_H
#define LS_CORE_CPU_ONEDNN_H

#include "core/cpu/provider.h"

extern const ls_provider ls__onednn; /* detail: "2.6.3" */

#endif
