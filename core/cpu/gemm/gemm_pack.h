/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing: copies of pieces of x and w in the order in which the micro-kernel reads them.  And the memory for it. */
#ifndef LS_CORE_CPU_GEMM_GEMM_PACK_H
#define LS_CORE_CPU_GEMM_GEMM_PACK_H

#include "core/cpu/gemm/gemm_kernel.h"

/* Columns of w that are packed at a time; floats of partial sums that a task may keep (see gemm_plan.h). */
enum { LS_NC = 64 * LS_NR, LS_STATE = 1 << 20 };

/* One thread's memory: KC x NC of w, MC x KC of x, partial sums, micro-tiles. */
typedef struct ls_gemm_space {
    float *w, *x, *state;
    int    slot;
} ls_gemm_space;

/* Spaces are made when first needed, at once for all threads of a team, and kept: no call after the first allocates. */
ls_gemm_space LS_ISA_NAME(ls__gemm_space_take)(void);
void          LS_ISA_NAME(ls__gemm_space_give)(ls_gemm_space space);

/* k x n of w, n <= LS_NR, as k rows of LS_NR; what the columns from n on hold means nothing. */
void LS_ISA_NAME(ls__gemm_pack_w)(const float *w, int64_t w_row, int64_t w_col, int64_t k, int64_t n, float *panel);

/* rows x k of x as panels of k rows of LS_MR floats, one panel for every LS_MR rows, ls__gemm_x_panel(k) floats apart;
 * up to LS_V floats more may be written.  The distance is an odd number of lines as a rule: panels that are written
 * together would else meet in a few sets of the cache. */
static inline int64_t ls__gemm_x_panel(int64_t k) { return LS_MR * k + 16; }
void LS_ISA_NAME(ls__gemm_pack_x)(const float *x, int64_t x_row, int64_t x_col, int64_t rows, int64_t k, float *panel);

#define ls__gemm_space_take LS_ISA_NAME(ls__gemm_space_take)
#define ls__gemm_space_give LS_ISA_NAME(ls__gemm_space_give)
#define ls__gemm_pack_w LS_ISA_NAME(ls__gemm_pack_w)
#define ls__gemm_pack_x LS_ISA_NAME(ls__gemm_pack_x)

#endif
