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
 * x and w are both float32 or both bfloat16.  Sums are float32 in both cases; y is float32, or bfloat16, rounded once.
 * With bfloat16 operands the positions of a part are taken in pairs k, k + 1, the odd one first:
 *     c = fma(x[k + 1], w[k + 1], c);  c = fma(x[k], w[k], c)
 * rounded to nearest, with denormal numbers taken as zero and results flushed.  That is the arithmetic of VDPBF16PS, so
 * processors with and without the instruction give the same bits.  A part of odd length ends with a zero.  The level
 * amx adds in the order of TDPBF16PS instead (gemm_amx.c).
 *
 * The bits of an element of y depend on K, the bounds, its row of x and its column of w.  They do not depend on M, N,
 * the position of the element, the strides, or the number of threads.  All levels from v3 on give equal bits, except
 * that amx has bits of its own for bfloat16 (isa.h).
 */
#ifndef LS_CORE_CPU_GEMM_GEMM_H
#define LS_CORE_CPU_GEMM_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/isa.h"
#include "core/core.h"

typedef struct ls_gemm {
    int64_t        m, n, k;
    const void    *x; /* element (i, k): x[i * x_row + k * x_col] */
    int64_t        x_row, x_col;
    const void    *w; /* element (k, j): w[k * w_row + j * w_col] */
    int64_t        w_row, w_col;
    const float   *packed_w; /* the panels of w, made by ls__gemm_pack; NULL: w is packed as far as that pays */
    void          *y;        /* element (i, j): y[i * y_row + j] */
    int64_t        y_row;
    const float   *bias;   /* N values, added to every row; NULL: none */
    bool           add;    /* add to y instead of overwriting it */
    int            splits; /* number of parts of K, a power of two; 0: 1 */
    const int64_t *bound;  /* splits + 1 positions; ignored if splits is 0 or 1 */
    ls_dtype       type;   /* of x and w: LS_F32 or LS_BF16 */
    ls_dtype       y_type; /* of y: LS_F32; LS_BF16 needs LS_BF16 operands and K in one part */
    bool           serial; /* use one thread, because the caller runs on many threads already */
} ls_gemm;

typedef void ls_gemm_fn(const ls_gemm *g);

#define ls__gemm LS_ISA_NAME(ls__gemm)
void ls__gemm(const ls_gemm *g);

/* Packs w once for several products that differ in x, y, m, bias and add alone, of float32 and with splits 0.
 * panels: ls__gemm_packed_bytes(n, k), 64-byte aligned. */
typedef void   ls_gemm_pack_fn(const ls_gemm *g, float *panels);
typedef size_t ls_gemm_packed_bytes_fn(int64_t n, int64_t k);

#define ls__gemm_pack LS_ISA_NAME(ls__gemm_pack)
#define ls__gemm_packed_bytes LS_ISA_NAME(ls__gemm_packed_bytes)
void   ls__gemm_pack(const ls_gemm *g, float *panels);
size_t ls__gemm_packed_bytes(int64_t n, int64_t k);

#endif
