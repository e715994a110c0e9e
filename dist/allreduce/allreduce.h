/* SPDX-License-Identifier: Apache-2.0
 *
 * The sum of gradients over all virtual shards of all ranks, in an order of additions that does not depend on the
 * number of ranks, hosts or micro-steps.  Not public.
 *
 * Terms
 *
 *     shard         virtual shard: a fixed piece of the global batch.  Its gradient is a leaf of a binary tree.
 *     partial sum   a node of that tree: the sum over an aligned run of shards
 *     block         memory for one partial sum, laid out as all gradients.  A rank has ls__allreduce_slots() blocks,
 *                   `stride` floats apart; the index of a block is its slot.
 *     header        the first floats of a block (loss, weight, step flags).  Its sum reaches every rank.
 *     bucket        a range of the blocks that one collective reduces
 *     partition     the part of a bucket that one rank reduces.  There is one for each rank, at multiples of
 *                   LS_PARTITION_ALIGN floats.
 *     chunk         the piece of a bucket that is in flight at once: one message for each partition
 *     host          the ranks that share memory.  A rank that shares none is a host of its own.
 *     member        a rank of a host, by its index among them
 *     delegate      the rank of a host that exchanges a given partition with the owner of that partition
 *     output        the memory that receives the sum of a bucket
 *
 * One bucket, two hosts of two ranks, partitions p0 .. p3 owned by ranks 0 .. 3:
 *
 *     host 0: blocks of ranks 0, 1                          host 1: blocks of ranks 2, 3
 *     | p0 | p1 | p2 | p3 |                                 | p0 | p1 | p2 | p3 |
 *            each rank adds over all blocks of its host, in place (allreduce_intrahost)
 *                    |--- partial sums of p2, p3 --- scatter --->|
 *       |<--- partial sums of p0, p1 --- scatter ---|
 *            rank r adds the partial sums of p_r, in tree order (allreduce_internode)
 *       |--- sums of p0, p1 --- gather --->|
 *                    |<--- sums of p2, p3 --- gather ---|
 *     with LS_ALLREDUCE_PARTITIONED there is no gather: rank r keeps the sum of p_r (ZeRO)
 *
 * With all ranks on one host nothing is sent.  With one rank a host it is a reduce-scatter and an all-gather, and moves
 * as many bytes as a ring all-reduce if V and n are powers of two.
 *
 * Files: allreduce_schedule (order of additions, immutable), allreduce_intrahost (shared memory of a host),
 * allreduce_internode (messages between hosts), allreduce (the functions below).
 *
 * Usage
 *
 *     ls_allreduce *a;
 *     LS_TRY(ls__allreduce_new(&a, comm, shards, micro_steps, floats_of_largest_bucket));
 *     gradients = ls__allreduce_slots(a) blocks of `stride` floats;
 *
 *     for (int m = 0; m < micro_steps; m++) {
 *         const ls_allreduce_micro_step *s = ls__allreduce_micro_step(a, m);
 *         compute s->shards shards from s->first_shard on; group k writes its gradient to slot s->group[k].slot
 *         if (m < micro_steps - 1) ls__allreduce_merge(a, m, gradients, stride, count);
 *     }
 *     for each bucket, when it is complete in the last micro-step:
 *         LS_TRY(ls__allreduce_begin(a, gradients, stride, &(ls_allreduce_request){.range = bucket}));
 *     LS_TRY(ls__allreduce_end(a));                     block 0 holds the sum over all shards of all ranks
 *
 * When ranks divide the update of the parameters, each rank needs the sum of its own partitions only:
 *
 *     LS_TRY(ls__allreduce_set_output(a, LS_ALLREDUCE_PARTITIONED, header_floats));
 *     own = ls__allreduce_partition(a, rank, bucket.count);
 *     ... begin, end ...
 *     decide from ls__allreduce_header(a), which is equal on all ranks
 *     update the parameters in `own` from ls__allreduce_output(a)
 *     LS_TRY(ls__allreduce_gather(a, parameters, bucket));   starts to send updated parameters to the other hosts
 *     LS_TRY(ls__allreduce_release(a));                      waits until they have arrived; blocks are free again
 *
 * With the output outside the blocks (ls__allreduce_set_separate_output), a part of a block can be reused before the
 * end:
 *
 *     LS_TRY(ls__allreduce_begin(a, gradients, stride, &request));
 *     number = ls__allreduce_begun(a);
 *     ...
 *     LS_TRY(ls__allreduce_wait_read(a, number));            no rank reads this range of the blocks any longer
 */
#ifndef LS_DIST_ALLREDUCE_ALLREDUCE_H
#define LS_DIST_ALLREDUCE_ALLREDUCE_H

#include "dist/allreduce/allreduce_intrahost.h"
#include "dist/allreduce/allreduce_schedule.h"

typedef struct ls_allreduce ls_allreduce;

/* Creates the all-reduce and takes all its memory.  shards: virtual shards of the global batch, at least 1, possibly
 * fewer than ranks.  max_count: floats of the largest bucket; larger ones work but travel in more chunks. */
ls_status ls__allreduce_new(ls_allreduce **a, ls_comm *comm, int shards, int micro_steps, int64_t max_count);
/* Accepts NULL. */
void ls__allreduce_free(ls_allreduce *a);

/* Places the blocks in `shared`, `stride` floats apart: the ranks of a host add in place in each other's blocks, and
 * only the partial sums of whole hosts travel.  The sums keep their bits.  Without effect if `shared` is private
 * memory. */
ls_status ls__allreduce_use_shared_memory(ls_allreduce *a, ls_shared_memory *shared, size_t stride);

/* Selects which ranks receive the sums.  The first `header_floats` floats of a block, at most LS_PARTITION_ALIGN,
 * become the header, and the first LS_PARTITION_ALIGN floats are then excluded from every bucket.  Call after
 * ls__allreduce_use_shared_memory. */
ls_status ls__allreduce_set_output(ls_allreduce *a, ls_allreduce_output output, int header_floats);

/* With LS_ALLREDUCE_PARTITIONED: writes the sums of this rank's partitions to `output`, private memory of this rank,
 * instead of block 0.  Also required on a rank whose partitions are empty. */
void ls__allreduce_set_separate_output(ls_allreduce *a, float *output);

/* Sends gradients between hosts as bfloat16; header and parameters stay float32.  Additions stay float32 and all ranks
 * receive equal sums, but the bits depend on the number of hosts.  Call after ls__allreduce_use_shared_memory. */
ls_status ls__allreduce_send_bf16(ls_allreduce *a);

/* Number of blocks that this rank needs, at least 1. */
int                            ls__allreduce_slots(const ls_allreduce *a);
const ls_allreduce_micro_step *ls__allreduce_micro_step(const ls_allreduce *a, int micro_step);

/* Executes the merges of a micro-step over `count` floats of every block.  Those of the last micro-step belong to
 * ls__allreduce_begin. */
void ls__allreduce_merge(const ls_allreduce *a, int micro_step, float *block0, size_t stride, int64_t count);

/* The partition of `rank` in a bucket of `count` floats, relative to the start of the bucket. */
ls_range ls__allreduce_partition(const ls_allreduce *a, int rank, int64_t count);

/* Begins the all-reduce of one bucket: merges the blocks of the last micro-step and starts the sum across ranks.  Does
 * not wait for other ranks.  The contents of the range are undefined afterwards, except for the output.  Buckets in
 * progress must not overlap.  Ranks without shards participate.  Collective. */
ls_status ls__allreduce_begin(ls_allreduce *a, float *block0, size_t stride, const ls_allreduce_request *request);
/* Blocks until all buckets are reduced. */
ls_status ls__allreduce_end(ls_allreduce *a);
/* Both halves, for one bucket. */
ls_status ls__allreduce_run(ls_allreduce *a, float *block0, size_t stride, const ls_allreduce_request *request);

/* Advances the buckets in progress as far as possible without blocking.  Call it repeatedly between begin and end. */
ls_status ls__allreduce_poll(ls_allreduce *a);
/* Starts a progress thread that replaces these calls; then two threads use the communicator, one at a time. */
ls_status ls__allreduce_start_thread(ls_allreduce *a);

/* Number of buckets begun since ls__allreduce_new. */
uint64_t ls__allreduce_begun(const ls_allreduce *a);
/* With separate output: blocks until the first `number` buckets have been read by all ranks that read this rank's
 * blocks. These ranges of the blocks may then be written again, even if the sums are not complete. */
ls_status ls__allreduce_wait_read(ls_allreduce *a, uint64_t number);

/* The block 0 that receives the sums, or the separate output. */
float *ls__allreduce_output(const ls_allreduce *a);
/* The block 0 that receives the sums of requests with `everywhere`; valid from the end of the request until
 * ls__allreduce_release. */
float *ls__allreduce_everywhere(const ls_allreduce *a);
/* The sum of the header; valid from the end of the bucket at offset 0 until the next begin of that bucket. */
const float *ls__allreduce_header(const ls_allreduce *a);
/* Blocks until all all-gathers are complete and all ranks of the host have finished with the output. */
ls_status ls__allreduce_release(ls_allreduce *a);

/* With LS_ALLREDUCE_PARTITIONED: starts an all-gather between hosts of the range `bucket` of `base`, of which each rank
 * has updated its partition.  On a host with shared memory all members pass the same memory as `base`.  Does not wait;
 * complete after ls__allreduce_release.  Collective. */
ls_status ls__allreduce_gather(ls_allreduce *a, float *base, ls_range bucket);

#endif
