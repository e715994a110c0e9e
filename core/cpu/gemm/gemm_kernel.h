/* SPDX-License-Identifier: Apache-2.0
 *
 * The micro-kernel of matrix products: a tile of y of up to LS_MR x LS_NR floats, held in registers while a packed
 * range of K (gemm_plan.h) is summed.
 *
 * The range is cut into pieces; their number is a power of two.  An element has one chain of multiply-adds for each
 * piece.  A chain starts at zero, and k ascends.  The chains are added as a binary tree.  Then the waiting partial sums
 * are added one after another, then the bias, and the result is stored.  The sequence is the same for all elements
 * of all tiles, whatever the shape of the tile, so the bits of an element do not depend on its position.
 *
 * The file is compiled twice at level v4: with multiply-adds of float32, and with VDPBF16PS (LS_DOT), for which each
 * "float" of a packed operand is a pair of bfloat16 values.  gemm_amx.c has the kernel for AMX.
 */
#ifndef LS_CORE_CPU_GEMM_GEMM_KERNEL_H
#define LS_CORE_CPU_GEMM_GEMM_KERNEL_H

#include <stdbool.h>

#include "core/base/isa.h"
#include "core/cpu/vector/vec.h"

/* LS_MR: rows of a tile; LS_MR x 2 vectors are the accumulators, which fill most of the registers.  LS_KC: longest
 * packed range of K, such that a panel of w (LS_KC x LS_NR) stays in the L1 cache; the bits depend on it.  LS_MC: rows
 * of x that are packed at a time, such that LS_MC x LS_KC floats stay in the L2 cache. */
#if defined(__AVX512F__)
enum { LS_MR = 14, LS_KC = 256, LS_MC = 14 * 32 };
#elif defined(__AVX2__)
enum { LS_MR = 6, LS_KC = 256, LS_MC = 6 * 48 };
#else
enum { LS_MR = 4, LS_KC = 256, LS_MC = 4 * 32 };
#endif
enum {
    LS_KC_PAIRS    = 384,      /* LS_KC for bfloat16 without AMX; a range of fewer pairs would add sums more often */
    LS_KC_AMX      = 512,      /* LS_KC for bfloat16 with AMX */
    LS_MR_AMX      = 32,       /* LS_MR with AMX: two tile registers of 16 rows */
    LS_TILE_K      = 32,       /* positions of K in a tile register */
    LS_NR          = 2 * LS_V, /* columns of a tile */
    LS_TILE_ADDS   = 40,       /* most partial sums that are added to a tile */
    LS_TILE_LEVELS = 6,        /* levels of the tree of pieces */
    LS_TILE_PIECES = 1 << LS_TILE_LEVELS,
    LS_LINE        = 64 /* size of a cache line, bytes */
};

/* A partial sum that is added to a tile. */
typedef struct ls_tile_add {
    const float *data;
    int64_t      row; /* from one row to the next, floats */
} ls_tile_add;

/* Cache lines to prefetch: `count` lines in groups of `lines` consecutive ones. */
typedef struct ls_prefetch {
    const char *at;    /* next line */
    int64_t     count; /* lines left */
    int64_t     left;  /* lines left in the current group */
    int64_t     lines; /* lines of a group */
    int64_t     apart; /* from the start of one group to the next, bytes */
} ls_prefetch;

typedef struct ls_tile {
    const float   *x; /* element (i, k): x[i * x_row + k * x_col] */
    int64_t        x_row, x_col;
    const float   *w; /* element (k, j): w[k * w_row + j]; n columns are readable */
    int64_t        w_row;
    float         *panel;     /* destination of a kernel that packs w: rows of LS_NR floats */
    int64_t        panel_len; /* rows of a panel of the range */
    int            pieces;
    const int64_t *len;      /* length of each piece in k; may be 0 */
    const float   *next;     /* x of the next tile, prefetched by kernels of packed operands */
    ls_prefetch    prefetch; /* operands to be packed next; kernels of packed operands prefetch a line every second k */
    float         *y;        /* element (i, j): y[i * y_row + j] */
    int64_t        y_row;
    const float   *bias; /* n values; NULL: none */
    int64_t        m, n; /* rows and columns, for kernels of partial tiles */
    uint16_t      *half; /* receives the sums as bfloat16 in place of y (AMX only); NULL: y is float32 */
    int64_t        half_row;
    bool           half_add; /* add to `half` */
    bool           streams;  /* whole rows of a tile bypass the caches (AMX only) */
    int            adds;
    ls_tile_add    add[LS_TILE_ADDS]; /* partial sums that are added to the tile, in this order */
} ls_tile;

typedef void ls_tile_fn(const ls_tile *t);

/* Writes rows x cols sums, LS_NR floats from row to row, to bfloat16 y; adds them to y first if `add` is set. */
typedef void ls_narrow_fn(const float *sum, int64_t rows, int64_t cols, uint16_t *y, int64_t y_row, bool add);

typedef struct ls_gemm_kernels {
    /* AMX: all tiles, with w packed, and x_row and x_col the distances between rows and between blocks of LS_TILE_K
     * positions, floats.  NULL: the kernels below serve. */
    ls_tile_fn *any;
    /* For any strides, by [rows - 1][two vectors of columns][the last vector is partial]. */
    ls_tile_fn *tile[LS_MR][2][2];
    /* For a whole tile with x packed (x_row 1, x_col LS_MR), by [more than one piece][w is not packed yet].  w is
     * packed (w_row LS_NR), or the kernel reads it in place and packs it into `panel`. */
    ls_tile_fn   *packed[2][2];
    ls_narrow_fn *narrow;
} ls_gemm_kernels;

#define ls__gemm_fma LS_ISA_NAME(ls__gemm_fma)
#define ls__gemm_dot LS_ISA_NAME(ls__gemm_dot)
#define ls__gemm_amx LS_ISA_NAME(ls__gemm_amx)
#define ls__amx_begin LS_ISA_NAME(ls__amx_begin)
#define ls__amx_end LS_ISA_NAME(ls__amx_end)
#ifdef LS_ISA_SUFFIX
extern const ls_gemm_kernels ls__gemm_fma; /* multiply-adds of float32 */
#if defined(__AVX512F__)
extern const ls_gemm_kernels ls__gemm_dot; /* VDPBF16PS */
extern const ls_gemm_kernels ls__gemm_amx; /* TDPBF16PS */

/* Configures the tile registers of the calling thread for ls__gemm_amx; releases them. */
void ls__amx_begin(void);
void ls__amx_end(void);
#endif
#endif

#endif
