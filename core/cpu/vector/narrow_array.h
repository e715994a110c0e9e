/* SPDX-License-Identifier: Apache-2.0
 * Conversion of a large array to bfloat16, on all threads. */
#ifndef LS_CORE_CPU_VECTOR_NARROW_ARRAY_H
#define LS_CORE_CPU_VECTOR_NARROW_ARRAY_H

#include <stdint.h>

#include "core/base/isa.h"

typedef void ls_narrow_array_fn(int64_t n, const float *x, uint16_t *y);

#define ls__narrow_array LS_ISA_NAME(ls__narrow_array)
#ifdef LS_ISA_SUFFIX
void ls__narrow_array(int64_t n, const float *x, uint16_t *y);
#endif

#endif
