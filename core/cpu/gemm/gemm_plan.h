/* SPDX-License-Identifier: Apache-2.0
 *
 * In which order a matrix product goes through K.
 *
 * K is cut into parts (the caller's bounds), and a part longer than KC into equal segments.  The sum of a part is that
 * of its segments from first to last; the parts are added as a binary tree.  All of this is a function of the bounds
 * alone.
 *
 * A *run* is what is packed at a time, and one call of the micro-kernel for a tile: one segment, or a subtree of short
 * parts that fits into KC together; each of its parts is a *piece*.  Sums of runs wait in buffers: the subtree on the
 * left of the one being summed at level l, as with the digits of a binary counter.
 */
#ifndef LS_CORE_CPU_GEMM_GEMM_PLAN_H
#define LS_CORE_CPU_GEMM_GEMM_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/cpu/gemm/gemm.h"
#include "core/cpu/gemm/gemm_kernel.h"

enum { LS_LEVELS = 32 };

/* A buffer of partial sums: of the subtree at level l, of the part at hand, or the result. */
enum { LS_BUF_LEVEL = 0, LS_BUF_PART = LS_LEVELS, LS_BUF_RESULT, LS_BUFS };

typedef struct ls_packed_range {
    int64_t       from, len; /* within K */
    int           pieces;
    int64_t       piece[LS_TILE_PIECES]; /* their lengths */
    bool          last;                  /* of the product */
    int           adds, to;
    unsigned char add[LS_TILE_ADDS]; /* buffers added to the sum, in this order; it goes to buffer `to` */
} ls_packed_range;

/* Goes through the parts. */
typedef struct ls_plan {
    const int64_t *bound;
    int64_t        whole[2]; /* the bounds of a product that has none */
    int            parts, part;
    int64_t        segment;
    bool           add; /* to what the result holds */
} ls_plan;

#define ls__gemm_plan LS_ISA_NAME(ls__gemm_plan)
#define ls__gemm_next_range LS_ISA_NAME(ls__gemm_next_range)
#define ls__gemm_plan_levels LS_ISA_NAME(ls__gemm_plan_levels)
#define ls__gemm_deal LS_ISA_NAME(ls__gemm_deal)

void ls__gemm_plan(ls_plan *plan, const ls_gemm *g);
bool ls__gemm_next_range(ls_plan *plan, ls_packed_range *run); /* false: that was all */

/* Buffers between runs that the plan uses, as a number of levels, with the one for parts; 0: none. */
int ls__gemm_plan_levels(const ls_plan *plan);

/* How the tiles of y and the tree are dealt out: rows x cols blocks, times `trees` subtrees of K. */
typedef struct ls_deal {
    int64_t rows, cols;
    int     trees;
} ls_deal;
ls_deal ls__gemm_deal(const ls_gemm *g, int threads);

#endif
