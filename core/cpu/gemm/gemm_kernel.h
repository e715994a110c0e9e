/* SPDX-License-Identifier: Apache-2.0
 *
 * The micro-kernel of matrix products: a tile of y of up to LS_MR x LS_NR floats, kept in registers over a run of K.
 *
 * The run is cut into pieces, a power of two of them.  For every element each piece is one chain of multiply-adds from
 * zero, k ascending, whatever the shape of its tile, so that its bits do not show where it stood; the pieces are added
 * as a binary tree.  What happens to the sum then is the same for all of a tile's elements: buffers are added to it one
 * after another, then the bias, and it is stored.
 */
#ifndef LS_CORE_CPU_GEMM_GEMM_KERNEL_H
#define LS_CORE_CPU_GEMM_GEMM_KERNEL_H

#include "core/base/isa.h"
#include "core/cpu/vector/vec.h"

/* Accumulators take LS_MR x 2 of the registers; KC bounds the run of K so that a panel of w (KC x NR) stays in L1, and
 * is part of what the bits depend on; up to MC x KC of x stay in L2. */
#if defined(__AVX512F__)
enum { LS_MR = 14, LS_KC = 256, LS_MC = 14 * 32 };
#elif defined(__AVX2__)
enum { LS_MR = 6, LS_KC = 256, LS_MC = 6 * 48 };
#else
enum { LS_MR = 4, LS_KC = 256, LS_MC = 4 * 32 };
#endif
enum { LS_NR = 2 * LS_V, LS_TILE_ADDS = 40, LS_TILE_LEVELS = 6, LS_TILE_PIECES = 1 << LS_TILE_LEVELS };

typedef struct ls_tile_add {
    const float *data;
    int64_t      row;
} ls_tile_add;

/* Lines of memory to fetch: `count` of them from `at` on, of which `left` lie side by side; then `lines` side by side,
 * `apart` bytes from the first of the ones before, and so on. */
typedef struct ls_fetch {
    const char *at;
    int64_t     count, left, lines, apart;
} ls_fetch;
enum { LS_LINE = 64 };

typedef struct ls_tile {
    const float   *x; /* x[i * x_row + k * x_col] */
    int64_t        x_row, x_col;
    const float   *w; /* w[k * w_row + j], n columns readable */
    int64_t        w_row;
    float         *panel; /* where a kernel that packs w puts it, as rows of LS_NR */
    int            pieces;
    const int64_t *len;   /* of each piece, in k; 0 is allowed */
    const float   *next;  /* the x of the next tile, fetched meanwhile if packed */
    ls_fetch       fetch; /* fetched meanwhile if packed, one line every second k */
    float         *y;
    int64_t        y_row;
    const float   *bias; /* n of them, or NULL */
    int64_t        n;    /* columns, for the kernels of partial tiles */
    int            adds;
    ls_tile_add    add[LS_TILE_ADDS]; /* what is added, in this order */
} ls_tile;

typedef void ls_tile_fn(const ls_tile *t);

/* Kernels for 1 to LS_MR rows, 1 or 2 vectors of columns, whole or partial. */
#define ls__gemm_tile LS_ISA_NAME(ls__gemm_tile)
#define ls__gemm_tile_packed LS_ISA_NAME(ls__gemm_tile_packed)
#ifdef LS_ISA_SUFFIX
extern ls_tile_fn *const ls__gemm_tile[LS_MR][2][2];
/* For a whole tile of packed operands: x_row 1, x_col LS_MR, w_row LS_NR; [of more than one piece].  The second of a
 * pair reads w where it lies, and packs it. */
extern ls_tile_fn *const ls__gemm_tile_packed[2][2];
#endif

#endif
