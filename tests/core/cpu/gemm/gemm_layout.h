/* SPDX-License-Identifier: Apache-2.0
 * Strides and parts of the matrix products that the tests of core/cpu/gemm compute. */
#ifndef LS_TESTS_CORE_CPU_GEMM_GEMM_LAYOUT_H
#define LS_TESTS_CORE_CPU_GEMM_GEMM_LAYOUT_H

#include "core/cpu/gemm/gemm.h"

/* Sets the strides of x and w: 0 row-major, 1 column-major, 2 with gaps in both dims. */
static inline void set_layout(ls_gemm *g, int x_layout, int w_layout)
{
    g->x_row = x_layout == 1 ? 1 : x_layout == 0 ? g->k : 2 * g->k + 1;
    g->x_col = x_layout == 1 ? g->m : x_layout == 0 ? 1 : 2;
    g->w_row = w_layout == 1 ? 1 : w_layout == 0 ? g->n : 3 * g->n;
    g->w_col = w_layout == 1 ? g->k : w_layout == 0 ? 1 : 3;
}

/* Cuts K into `splits` parts of unequal, often odd length, some of them empty.  bound: splits + 1 positions. */
static inline void set_parts(ls_gemm *g, int splits, int64_t *bound)
{
    for (int s = 0; s <= splits; s++) {
        int64_t at = s == splits ? g->k : g->k * s / splits + (s % 3 == 1 ? g->k / splits : 0);
        bound[s]   = s && at < bound[s - 1] ? bound[s - 1] : at < g->k ? at : g->k;
    }
    g->splits = splits;
    g->bound  = bound;
}

#endif
