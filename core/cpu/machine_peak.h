/* SPDX-License-Identifier: Apache-2.0
 *
 * The peak rate of the processor, with which `lockstep bench` and `lockstep doctor` compare measured rates. */
#ifndef LS_CORE_CPU_MACHINE_PEAK_H
#define LS_CORE_CPU_MACHINE_PEAK_H

#include "core/base/isa.h"
#include "core/core.h"

/* Returns the highest rate of matrix products on `threads` threads, in GFLOP/s, measured with operands in registers.
 * For LS_BF16 these are TDPBF16PS or VDPBF16PS where the instruction-set level in use has them, otherwise
 * multiply-adds.  Takes about 10 ms: the best of many short runs. */
typedef double ls_peak_fn(ls_dtype type, int threads);

#define ls__fma_peak LS_ISA_NAME(ls__fma_peak)
#define ls__dot_peak LS_ISA_NAME(ls__dot_peak)
#define ls__amx_peak LS_ISA_NAME(ls__amx_peak)
#define ls__peak LS_ISA_NAME(ls__peak)
#ifdef LS_ISA_SUFFIX
double ls__fma_peak(int threads);
double ls__dot_peak(int threads); /* level v4 */
double ls__amx_peak(int threads); /* level v4 */
double ls__peak(ls_dtype type, int threads);
#endif

#endif
