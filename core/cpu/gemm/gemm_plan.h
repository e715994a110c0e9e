/* SPDX-License-Identifier: Apache-2.0
 *
 * The order in which a matrix product runs through K, and its division among threads.
 *
 * K is cut into parts (the bounds of the caller), and a part longer than a packed range may be (LS_KC; for bfloat16
 * LS_KC_PAIRS or LS_KC_AMX) into segments of equal length.  The sum of a part is the sum of its segments from first to
 * last; the sums of the parts are added as a binary tree.  All of this depends on the bounds alone.
 *
 * A *packed range* is the range of K that is packed at a time and that one call of the micro-kernel covers for a tile:
 * one segment, or a subtree of consecutive short parts that together are no longer.  Each part of such a subtree is a
 * *piece* of the range.  Partial sums wait in buffers until they are added: the buffer of level l has the sum of the
 * subtree of 2^l parts to the left of the current one, like a digit of a binary counter.
 */
#ifndef LS_CORE_CPU_GEMM_GEMM_PLAN_H
#define LS_CORE_CPU_GEMM_GEMM_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/cpu/gemm/gemm_pack.h"

enum { LS_LEVELS = 32 };

/* Buffers of partial sums: LS_BUF_LEVEL + l has the sum of a subtree of 2^l parts, LS_BUF_PART that of the segments of
 * the current part, LS_BUF_RESULT is y. */
enum { LS_BUF_LEVEL = 0, LS_BUF_PART = LS_LEVELS, LS_BUF_RESULT, LS_BUFS };

typedef struct ls_packed_range {
    int64_t       from, len; /* positions [from, from + len) of K */
    int           pieces;
    int64_t       piece[LS_TILE_PIECES]; /* lengths of the pieces */
    bool          last;                  /* the last range of the product */
    unsigned char add[LS_TILE_ADDS];     /* buffers that are added to the sum of the range, in this order */
    int           adds;                  /* number of these buffers */
    int           to;                    /* buffer that receives the sum */
} ls_packed_range;

/* Iterator over the packed ranges of a product. */
typedef struct ls_plan {
    const ls_gemm_format *format;
    const int64_t        *bound;
    int64_t               whole[2]; /* the bounds of a product in one part: 0 and K */
    int                   parts;
    int                   part;    /* next part */
    int64_t               segment; /* next segment of that part */
    bool                  add;     /* the product is added to y */
} ls_plan;

#define ls__gemm_plan LS_ISA_NAME(ls__gemm_plan)
#define ls__gemm_next_range LS_ISA_NAME(ls__gemm_next_range)
#define ls__gemm_plan_levels LS_ISA_NAME(ls__gemm_plan_levels)
#define ls__gemm_tasks LS_ISA_NAME(ls__gemm_tasks)

/* Starts the iteration.  k, splits, bound and add are those of ls_gemm. */
void ls__gemm_plan(ls_plan *plan, const ls_gemm_format *format, int64_t k, int splits, const int64_t *bound, bool add);

/* Returns the next range; false: there is none. */
bool ls__gemm_next_range(ls_plan *plan, ls_packed_range *range);

/* Returns the number of buffers of partial sums that the plan uses besides y; 0: none. */
int ls__gemm_plan_levels(const ls_plan *plan);

/* Division of a product among threads: y in rows x cols blocks, and K in `trees` subtrees of parts.  Each combination
 * is a task. */
typedef struct ls_gemm_tasks {
    int64_t rows, cols;
    int     trees;
} ls_gemm_tasks;

/* Returns the division of an m x n x k product with the lowest estimated time on `threads` threads. */
ls_gemm_tasks ls__gemm_tasks(const ls_gemm_format *f, int64_t m, int64_t n, int64_t k, int splits, int threads);

#endif
