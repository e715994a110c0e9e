/* SPDX-License-Identifier: Apache-2.0
 *
 * Block sizes and memory of linear_cross_entropy: computed from shapes alone.
 *
 * Logits are B x ... x V, too large to store.  They exist for one *logits block* of positions at a time.
 *
 * The gradient dw (V x C) is a binary tree over the shards of a group.  A *leaf* is a subtree of `leaf_shards`
 * neighbouring shards, a power of two, that the matrix products compute directly.  A leaf of several shards is one
 * logits block; a leaf of one shard is cut into as many logits blocks as it needs.  Leaves are summed on a stack: two
 * subtrees of one size on its top are added and become one.  Example with 8 shards and leaf_shards = 2:
 *
 *      shards         |  s0  |  s1  |  s2  |  s3  |  s4  |  s5  |  s6  |  s7  |
 *      leaves         |     L0      |     L1      |     L2      |     L3      |
 *      stack after       [L0]         [L0 + L1]     [L0 + L1]     [(L0 + L1) + (L2 + L3)]
 *      the leaf                                     [L2]
 *
 * Entry 0 of the stack is the gradient dw itself; the others are *partial sums*.  Backward may use memory of
 * gradients that later instructions write first.  The logits block and then rows of the partial sums are placed there
 * as far as it reaches, all else in the workspace:
 *
 *      workspace     | losses | shard bounds | (logits block) | other rows of partial sum 1 | ... of 2 | ...
 *                    | (rows) | (counted positions, their x) | (db) |
 *      gradients     | (logits block) | first rows of partial sum 1 | ... of 2 | ... |
 */
#ifndef LS_CORE_OPS_LINEAR_CROSS_ENTROPY_BLOCKS_H
#define LS_CORE_OPS_LINEAR_CROSS_ENTROPY_BLOCKS_H

#include "core/graph/graph.h"

enum { LS_LCE_PARTIALS = 33 }; /* partial sums at most: more than log2 of the number of shards */

/* Shapes that decide the blocks of a call.  A shard's positions are the most that any shard has. */
typedef struct ls_lce_shape {
    int64_t vocabulary, channels;       /* V and C                           */
    int64_t positions, shard_positions; /* of the call; of one shard         */
    int     shards;                     /* of the call                       */
    bool    narrow;                     /* logits are bfloat16               */
    bool    capped;                     /* logits are capped                 */
    bool    biased;                     /* logits have a bias                */
    bool    ignores;                    /* positions may be ignored          */
} ls_lce_shape;

/* Memory of a call.  Offsets and sizes are in floats, from the start of the workspace or of the gradient memory.  The
 * losses of all positions lie at the start of the workspace. */
typedef struct ls_lce_memory {
    size_t bound;               /* shard bounds, int64_t                                          */
    size_t logits;              /* logits block                                                   */
    bool   logits_in_gradients; /* the logits block lies in gradient memory, else in the workspace */
    int    partials;            /* number of partial sums                                         */
    struct {
        int64_t rows_in_gradients;          /* the first rows; the others lie in the workspace    */
        size_t  in_gradients, in_workspace; /* of the first row at each place                     */
    } partial[LS_LCE_PARTIALS];
    size_t rows;      /* one row of V float32 logits for each thread, if logits are bfloat16 or capped */
    size_t counted;   /* int32_t: the positions of a logits block that are not ignored       */
    size_t gathered;  /* their rows of x                                                     */
    size_t bias_sums; /* partial sums of db, V for each shard                                  */
    size_t workspace; /* size of the workspace                                               */
} ls_lce_memory;

#define ls__lce_block_positions LS_ISA_NAME(ls__lce_block_positions)
#define ls__lce_one_run LS_ISA_NAME(ls__lce_one_run)
#define ls__lce_leaf_shards LS_ISA_NAME(ls__lce_leaf_shards)
#define ls__lce_memory LS_ISA_NAME(ls__lce_memory)
#ifdef LS_ISA_SUFFIX

/* Positions of a logits block, at most. */
int64_t ls__lce_block_positions(const ls_lce_shape *s);

/* Whether dw of `positions` positions is one uninterrupted sum in a matrix product.  Then adding the product to a sum
 * gives the same bits as computing it first and adding it afterwards. */
bool ls__lce_one_run(const ls_lce_shape *s, int64_t positions);

/* Shards of a leaf in a group of `group_shards` shards. */
int ls__lce_leaf_shards(const ls_lce_shape *s, int group_shards);

/* Lays out the memory of a call on up to `threads` threads that may also use `gradient_floats` floats of gradient
 * memory. */
ls_lce_memory ls__lce_memory(const ls_lce_shape *s, bool backward, int threads, size_t gradient_floats);

#endif
#endif
