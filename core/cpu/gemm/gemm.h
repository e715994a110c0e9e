/* SPDX-License-Identifier: Apache-2.0
 *
 * Matrix product:   y = x w + bias, or y += x w + bias      x: M x K   w: K x N   y: M x N
 *
 * Both operands have a stride for each dim, so a transposed operand is passed by exchanging its strides.  Products are
 * fast if one of the two strides of each operand is 1, and correct for any strides.
 *
 * The sum over K may be cut into parts: `bound` holds splits + 1 increasing positions from 0 to K, and `splits` is a
 * power of two.  Each part is summed separately, and the partial sums are added pairwise as a binary tree:
 * ((p0 + p1) + (p2 + p3)).  An empty part is zero.  With splits 0 or 1, K is one part.
 *
 * The bits of an element of y depend on K, the bounds, its row of x, its column of w, and the instruction-set level.
 * They do not depend on M, N, the position of the element, the strides, or the number of threads.
 */
#ifndef LS_CORE_CPU_GEMM_GEMM_H
#define LS_CORE_CPU_GEMM_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/isa.h"

typedef struct ls_gemm {
    int64_t        m, n, k;
    const float   *x; /* element (i, k): x[i * x_row + k * x_col] */
    int64_t        x_row, x_col;
    const float   *w; /* element (k, j): w[k * w_row + j * w_col] */
    int64_t        w_row, w_col;
    float         *y; /* element (i, j): y[i * y_row + j] */
    int64_t        y_row;
    const float   *bias;   /* N values, added to every row; NULL: none */
    bool           add;    /* add to y instead of overwriting it */
    int            splits; /* number of parts of K, a power of two; 0: 1 */
    const int64_t *bound;  /* splits + 1 positions; ignored if splits is 0 or 1 */
    bool           serial; /* use one thread, because the caller runs on many threads already */
} ls_gemm;

typedef void ls_gemm_fn(const ls_gemm *g);

#define ls__gemm LS_ISA_NAME(ls__gemm)
void ls__gemm(const ls_gemm *g);

#endif
