/* SPDX-License-Identifier: Apache-2.0
 *
 * The peak rate of the processor, with which `lockstep bench` and `lockstep doctor` compare measured rates. */
#ifndef LS_CORE_CPU_MACHINE_PEAK_H
#define LS_CORE_CPU_MACHINE_PEAK_H

#include "core/base/isa.h"

/* Returns the rate of multiply-adds in registers on `threads` threads, at this instruction-set level, in GFLOP/s.
 * Takes about 10 ms: the best of many short runs. */
typedef double ls_fma_peak_fn(int threads);

#define ls__fma_peak LS_ISA_NAME(ls__fma_peak)
#ifdef LS_ISA_SUFFIX
double ls__fma_peak(int threads);
#endif

#endif
