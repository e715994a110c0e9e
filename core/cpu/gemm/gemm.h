/* SPDX-License-Identifier: Apache-2.0
 *
 * The one front door for matrix products:   y = x w + bias, or y += x w      x: M x K   w: K x N   y: M x N
 *
 * Operands are given with a stride for each dim, so a transposed operand is the same call with its strides exchanged
 * (one of the two strides of an operand must be 1 for speed; any are correct).
 *
 * The sum over K may be cut: `bound` holds splits + 1 increasing positions from 0 to K.  Each part is summed on its
 * own, and the parts are added pairwise as a binary tree: ((p0 + p1) + (p2 + p3)); `splits` must be a power of two;
 * an empty part is zero.  splits = 0 or 1: one chain.
 *
 * The rule: every element of y has bits that depend on K, the bounds, its own row of x and column of w, and the level,
 * and on nothing else: not on M, N, its place, the strides, or the number of threads.
 */
#ifndef LS_CORE_CPU_GEMM_GEMM_H
#define LS_CORE_CPU_GEMM_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/isa.h"

typedef struct ls_gemm {
    int64_t        m, n, k;
    const float   *x;
    int64_t        x_row, x_col; /* x[i * x_row + j * x_col] */
    const float   *w;
    int64_t        w_row, w_col;
    float         *y;
    int64_t        y_row;  /* y[i * y_row + j]          */
    const float   *bias;   /* N, added to every row, or NULL */
    bool           add;    /* add to y instead of writing it */
    int            splits; /* parts of K; 0: 1               */
    const int64_t *bound;  /* splits + 1 positions; NULL when splits is 0 or 1 */
    bool           serial; /* the caller is already one of many threads: use only this one */
} ls_gemm;

typedef void ls_gemm_fn(const ls_gemm *g);

#define ls__gemm LS_ISA_NAME(ls__gemm)
void ls__gemm(const ls_gemm *g);

#endif
