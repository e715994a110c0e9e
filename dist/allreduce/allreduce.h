/* SPDX-License-Identifier: Apache-2.0
 *
 * The sum over all virtual shards, in an order that does not depend on ranks or micro-steps.  Not public.
 *
 * The order is a binary tree on the shard index.  With V shards, the leaves are 0 .. P-1, P the next power of two;
 * those from V on are absent, and a node with one child is that child: nothing is added for what is absent, not even a
 * zero (which would turn -0 into +0).  Rank r of n owns the shards [r V/n, (r+1) V/n) (ls_batch_partition_of), a run
 * that falls into at most 2 log2 V nodes of the tree.  It holds a vector for each of them, a *block*: the gradients of
 * all parameters. Which block is which node is its *slot*: the block at block0 + slot * stride.
 *
 * A step may take its shards in several micro-steps (train.accumulate).  Micro-step m of A takes the local shards
 * [m L/A, (m+1) L/A) of the L owned.  Its kernels write one block per *group* (ls_group: a run of shards, aligned, a
 * power of two long); then siblings are merged, so that their slots are free again.
 *
 *     ls_allreduce *tree;
 *     LS_TRY(ls__allreduce_new(&tree, comm, shards, accumulate, largest_bucket));
 *     grad = block of ls__allreduce_slots(tree) * stride floats;
 *
 *     for (int m = 0; m < accumulate; m++) {
 *         const ls_allreduce_schedule *s = ls__allreduce_schedule(tree, m);
 *         for (int k = 0; k < s->groups; k++)
 *             group[k] = (ls_group){s->group[k].first, s->group[k].shards, .offset = s->group[k].slot * stride};
 *         run the program on the s->shards shards from s->first_shard on, gradients at grad, groups `group`;
 *         if (m < accumulate - 1) ls__allreduce_merge(tree, m, grad, stride, count);
 *     }
 *     for each bucket, complete in the last micro-step:                  its merges are made bucket by bucket
 *         LS_TRY(ls__allreduce_begin(tree, grad, stride, &(ls_allreduce_slice){bucket.offset, bucket.count}));
 *     LS_TRY(ls__allreduce_end(tree));
 *     the sum over all shards of all ranks is in block 0
 *
 * Across ranks it is a reduce-scatter and an all-gather: rank r owns part r of n of the slice, receives that part of
 * every block of every other rank, adds them in tree order, and gives the result to all.  With one block a rank (V and
 * n powers of two) that moves exactly the bytes of the best ring.
 *
 * Ranks that share memory are a *team*: one after another the parts are added over all blocks of the team, in place, by
 * one member each; only what the team cannot add up (nodes whose siblings are elsewhere) is sent.  With all ranks in
 * one team nothing is sent: a part is read from all blocks and its sum written to all of them, at the speed of memory.
 *
 * Ranks that divide the update of the parameters need each total once (ls__allreduce_keep_totals): then nothing is
 * copied to all blocks of a team, or there is no all-gather.  What all have to know is in the header, at the start of
 * the blocks:
 *
 *     LS_TRY(ls__allreduce_keep_totals(tree, LS_ALLREDUCE_OWN, head));
 *     range = ls__allreduce_own(tree, rank, bucket.count);                    this range of a bucket is this rank's
 *     ... begin, end ...
 *     ls__allreduce_head(tree) is the total of the header, on all ranks
 *     update the parameters in `range` from ls__allreduce_totals(tree)
 *     LS_TRY(ls__allreduce_gather(tree, params, bucket.offset, bucket.count)); each host is to get what others have
 * updated LS_TRY(ls__allreduce_release(tree));                                    and has it; all are done: blocks may
 * be written again
 *
 * With totals elsewhere than in the blocks (ls__allreduce_put_totals), what has been begun may be written again before
 * the end:
 *
 *     LS_TRY(ls__allreduce_begin(tree, block0, stride, &slice));
 *     number = ls__allreduce_begun(tree);
 *     ...
 *     LS_TRY(ls__allreduce_wait(tree, number));                               nobody reads that slice of the blocks any
 * more
 */
#ifndef LS_DIST_ALLREDUCE_ALLREDUCE_H
#define LS_DIST_ALLREDUCE_ALLREDUCE_H

#include "dist/comm/comm.h"
#include "dist/allreduce/shared_memory.h"

typedef struct ls_allreduce ls_allreduce;

/* A node: the leaves [first, first + span), of which [first, first + shards) exist; span is a power of two. */
typedef struct ls_allreduce_node {
    int first, shards, span;
} ls_allreduce_node;

enum {
    LS_ALLREDUCE_MAX_NODES = 64,
    LS_ALLREDUCE_GRANULE   = 256 /* floats: parts of a slice begin at multiples of it */
};

/* The nodes that the shards [first, first + shards) of `total` fall into, in order, as few as possible; how many.  A
 * node that reaches beyond the last shard counts as whole: [4, 6) of 6 is one node. */
int ls__allreduce_nodes(int first, int shards, int total, ls_allreduce_node out[LS_ALLREDUCE_MAX_NODES]);

/* A block that a micro-step writes: the sum over its shards [first, first + shards), counted from the micro-step's own
 * first. */
typedef struct ls_allreduce_group {
    int first, shards, slot;
} ls_allreduce_group;

/* block[into] += block[from]; `from` is free afterwards. */
typedef struct ls_allreduce_merge {
    int into, from;
} ls_allreduce_merge;

typedef struct ls_allreduce_schedule {
    int first_shard, shards; /* of the global batch; shards may be 0: then nothing is to be computed */
    int groups;
    const ls_allreduce_group *group;
    int                       merges;
    const ls_allreduce_merge *merge;
} ls_allreduce_schedule;

/* Where the totals are in the end: in block 0 of every rank; of one rank of every team, where all of it can read them;
 * or those of its part in block 0 of each rank. */
typedef enum ls_allreduce_keep { LS_ALLREDUCE_ALL, LS_ALLREDUCE_HOST, LS_ALLREDUCE_OWN } ls_allreduce_keep;

/* The floats [offset, offset + count) of all blocks. */
typedef struct ls_allreduce_slice {
    int64_t offset, count;
    int64_t plus; /* added to the total: that of another slice of `count` floats, begun before, which is so much further
                     on; 0: nothing */
    bool    addend; /* the total is only needed for that */
    int64_t shift;  /* the total is so much further on among the totals than the slice in the blocks  */
    int64_t moved;  /* and so much what a trace calls it after  */
} ls_allreduce_slice;

typedef struct ls_allreduce_range {
    int64_t offset, count;
} ls_allreduce_range;

/* `shards` (V) >= 1, also fewer than ranks; `micro_steps` >= 1; `max_count`: floats of the largest slice to be summed
 * (more are possible, in several passes).  All memory is taken here. */
ls_status ls__allreduce_new(ls_allreduce **tree, ls_comm *comm, int shards, int micro_steps, int64_t max_count);
void      ls__allreduce_free(ls_allreduce *tree); /* NULL is allowed */

/* From now on the blocks are those of `window`, `stride` floats apart: ranks of one host add in place in each other's
 * blocks, and only what is left of a host's blocks goes to the other hosts, each part of it by one of its ranks.  The
 * bits are the same. Without effect when the window is not shared. */
ls_status ls__allreduce_share(ls_allreduce *tree, ls_shared_memory *window, size_t stride);

/* Blocks needed, at least 1. */
int ls__allreduce_slots(const ls_allreduce *tree);

const ls_allreduce_schedule *ls__allreduce_schedule(const ls_allreduce *tree, int micro_step);

/* The merges of a micro-step, over `count` floats of every block.  Not for the last one. */
void ls__allreduce_merge(const ls_allreduce *tree, int micro_step, float *block0, size_t stride, int64_t count);

/* From now on totals are kept so, and the first `head` floats of a block, at most LS_ALLREDUCE_GRANULE, are a header,
 * whose total all ranks get. The first granule of the blocks is then no part of any slice.  After ls__allreduce_share.
 */
ls_status ls__allreduce_keep_totals(ls_allreduce *tree, ls_allreduce_keep keep, int head);

/* From now on hosts tell each other their gradients in bfloat16 (the header, and parameters, as they are).  Sums are
 * still made of floats, and all ranks have the same total; but which, depends on how many hosts there are.  After
 * ls__allreduce_share. */
ls_status ls__allreduce_send_bf16(ls_allreduce *tree);

/* The part of a slice of `count` floats that `rank` adds up, counted from the slice's first. */
ls_allreduce_range ls__allreduce_own(const ls_allreduce *tree, int rank, int64_t count);

/* The merges of the last micro-step and the sum across ranks, of a slice of all blocks; the total ends in a block 0,
 * the rest of the slices is destroyed.  For several slices that do not overlap: begin waits for nobody; the totals are
 * there after the end, and until then the slices are not to be touched.  A rank that owns no shards takes part too.
 * Collective. */
ls_status ls__allreduce_begin(ls_allreduce *tree, float *block0, size_t stride, const ls_allreduce_slice *slice);
ls_status ls__allreduce_end(ls_allreduce *tree);

/* Lets what was begun go on, as far as it can without waiting.  To be called now and then between the begin and the
 * end, or by a thread that does so by itself; then the communicator is used by two threads, one at a time. */
ls_status ls__allreduce_poll(ls_allreduce *tree);
ls_status ls__allreduce_start_thread(ls_allreduce *tree);

/* With LS_ALLREDUCE_OWN: what a rank adds up goes to `totals`, which is this rank's alone, instead of a block 0; also
 * of one that adds up nothing. */
void ls__allreduce_put_totals(ls_allreduce *tree, float *totals);

/* How many slices have been begun since the tree was made. */
uint64_t ls__allreduce_begun(const ls_allreduce *tree);
/* Until the first `number` of them have been read, by all ranks that do: they may be written again, even if the totals
 * are not there.  Only with totals elsewhere. */
ls_status ls__allreduce_wait(ls_allreduce *tree, uint64_t number);

/* The block 0 that the totals are in, or where else they are. */
float *ls__allreduce_totals(const ls_allreduce *tree);
/* Of the header; valid once the slice with offset 0 has ended, until it is begun again. */
const float *ls__allreduce_head(const ls_allreduce *tree);
/* Unless all ranks have all totals: all ranks of this host are done with the totals. */
ls_status ls__allreduce_release(ls_allreduce *tree);

/* With LS_ALLREDUCE_OWN: the own part of [offset, offset + count) of `base` goes to all hosts, whose parts come from
 * there; on a host that shares memory, `base` is one block that all its ranks see.  Waits for nobody; all is there
 * after ls__allreduce_release.  Collective. */
ls_status ls__allreduce_gather(ls_allreduce *tree, float *base, int64_t offset, int64_t count);

/* Both halves, of one slice. */
ls_status ls__allreduce_allreduce(ls_allreduce *tree, float *block0, size_t stride, int64_t offset, int64_t count);

#endif
