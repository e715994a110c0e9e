/* SPDX-License-Identifier: Apache-2.0
 *
 * What the processor could do: the yardstick of `lockstep bench` and `lockstep doctor`. */
#ifndef LS_CORE_CPU_MACHINE_PEAK_H
#define LS_CORE_CPU_MACHINE_PEAK_H

#include "core/base/isa.h"

/* GFLOP/s that `threads` threads reach on multiply-adds in registers, at this level: the best of many short runs (about
 * 10 ms). */
typedef double ls_fma_peak_fn(int threads);

#define ls__fma_peak LS_ISA_NAME(ls__fma_peak)
#ifdef LS_ISA_SUFFIX
double ls__fma_peak(int threads);
#endif

#endif
