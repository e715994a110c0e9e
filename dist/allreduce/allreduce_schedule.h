/* SPDX-License-Identifier: Apache-2.0
 *
 * The schedule of an all-reduce: which partial sums each rank holds, and in which order they are added.  Immutable once
 * built; no memory of gradients, no messages.  Not public.  The terms are defined in dist/allreduce/allreduce.h.
 *
 * The sum over V virtual shards is a binary tree on the shard index.  Its leaves are 0 .. P-1 with P the next power of
 * two.  Leaves from V on are absent.  A node with one child equals that child: nothing is added for an absent leaf, not
 * even a zero, because -0 + 0 is +0.  Rank r of n owns the shards [r V/n, (r+1) V/n) (ls_batch_partition_of), which are
 * at most 2 log2 V nodes of the tree.
 *
 * A step may process its shards in several micro-steps (train.accumulate).  Micro-step m of A processes the local
 * shards [m L/A, (m+1) L/A) of the L shards that the rank owns.  Its kernels write one block per group of shards, and
 * sibling blocks are merged, which frees the slot of one of them.
 */
#ifndef LS_DIST_ALLREDUCE_ALLREDUCE_SCHEDULE_H
#define LS_DIST_ALLREDUCE_ALLREDUCE_SCHEDULE_H

#include <stdbool.h>

#include "core/base/arena.h"
#include "core/base/range.h"

enum {
    LS_ALLREDUCE_MAX_NODES = 64,
    LS_PARTITION_ALIGN     = 256 /* partitions begin at multiples of this number of floats */
};

/* A node of the tree: the leaves [first, first + span), of which [first, first + shards) exist. */
typedef struct ls_tree_node {
    int first;
    int shards;
    int span; /* a power of two */
} ls_tree_node;

/* Splits the shards [first, first + shards) of `total` into the fewest tree nodes, in order; returns their number.  A
 * node that extends past the last shard counts as whole: shards [4, 6) of 6 are one node. */
int ls__allreduce_nodes(int first, int shards, int total, ls_tree_node out[LS_ALLREDUCE_MAX_NODES]);

/* A block written by the kernels of a micro-step: the sum over the shards [first, first + shards), counted from the
 * first shard of the micro-step. */
typedef struct ls_allreduce_group {
    int first, shards;
    int slot;
} ls_allreduce_group;

/* block[into] += block[from]; afterwards slot `from` is free. */
typedef struct ls_allreduce_merge {
    int into, from;
} ls_allreduce_merge;

/* The work of one rank in one micro-step. */
typedef struct ls_allreduce_micro_step {
    int                       first_shard; /* index in the global batch */
    int                       shards;      /* 0: nothing to compute */
    int                       groups;
    const ls_allreduce_group *group;
    int                       merges;
    const ls_allreduce_merge *merge;
} ls_allreduce_micro_step;

/* vector[y] = vector[x] + vector[z] */
typedef struct ls_addition {
    int y, x, z;
} ls_addition;

/* A partial sum: the tree node [first, first + span), stored in vector `vector`. */
typedef struct ls_partial_sum {
    int first, span;
    int vector;
} ls_partial_sum;

/* The ranks of one host.  Vectors 0 .. vectors-1 are the blocks of all its ranks; vector `vectors` is the output. */
typedef struct ls_allreduce_host {
    int             members;
    int            *rank; /* rank of each member, increasing */
    int             vectors;
    int            *member; /* member whose block is vector k */
    int            *slot;   /* slot of that block */
    int             additions;
    ls_addition    *addition;
    int             partials; /* partial sums left after the additions: their siblings lie on other hosts */
    ls_partial_sum *partial;
} ls_allreduce_host;

typedef struct ls_allreduce_schedule {
    int                      rank, ranks;
    int                      shards;
    int                      micro_steps;
    int                      slots; /* blocks that this rank needs, at least 1 */
    ls_allreduce_micro_step *micro_step;

    int                hosts;
    ls_allreduce_host *host;
    int               *host_of;  /* host of each rank */
    int                own_host; /* host of this rank */
    int                member;   /* index of this rank among the members of its host */

    /* The additions between hosts.  Vectors 0 .. partials-1 are the partial sums of all hosts; vector `partials` is the
     * output. */
    int          partials;
    int         *partial_host; /* host that holds each partial sum */
    int          additions;
    ls_addition *addition;
} ls_allreduce_schedule;

/* Builds the schedule of `rank` out of `ranks` in `arena`.  host_of_rank: the lowest rank on the host of each rank;
 * NULL: each rank is a host of its own. */
const ls_allreduce_schedule *ls__allreduce_schedule_new(ls_arena *arena, int rank, int ranks, const int *host_of_rank,
                                                        int shards, int micro_steps);

/* The members of this rank's host. */
static inline const ls_allreduce_host *ls__allreduce_own_host(const ls_allreduce_schedule *s)
{
    return &s->host[s->own_host];
}

/* The partition of `rank` in a bucket of `count` floats, relative to the start of the bucket. */
ls_range ls__allreduce_partition_of(int64_t count, int rank, int ranks);

/* The delegate: the rank of host `host` that exchanges the partition of rank `owner` with it. */
int ls__allreduce_delegate(const ls_allreduce_schedule *s, int host, int owner);

#endif
