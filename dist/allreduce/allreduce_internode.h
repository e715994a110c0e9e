/* SPDX-License-Identifier: Apache-2.0
 *
 * The inter-host part of an all-reduce: a pipeline of messages that progresses while the rank computes.  Not public.
 * The terms are defined in dist/allreduce/allreduce.h.
 *
 * A bucket is cut into chunks.  Several chunks are in flight at once, so that one is added while another is on the
 * wire.  Each chunk passes through the stages
 *
 *     SCATTER   partial sums of this host travel to the owners of the partitions; those of the other hosts arrive for
 *               the partition of this rank
 *     REDUCED   this rank has added its partition, in tree order
 *     GATHER    reduced partitions travel from their owners to the other hosts
 *     DONE      the sums are copied to all places on this host that need them
 *
 * A chunk never enters a stage before the chunks that started earlier.  So all ranks start their messages in the same
 * order, and an addend (ls_allreduce_request.addend_shift) is complete before it is used.
 *
 * No function here blocks except those that say so: ls__internode_advance executes what is possible without waiting.
 * It is called between two instructions (ls__allreduce_poll), inside long instructions (core/base/progress_hook.h), by
 * a progress thread where a core is free for it, and while the rank waits for the end of the sums.
 */
#ifndef LS_DIST_ALLREDUCE_ALLREDUCE_INTERNODE_H
#define LS_DIST_ALLREDUCE_ALLREDUCE_INTERNODE_H

#include <pthread.h>

#include "dist/allreduce/allreduce_intrahost.h"

enum { LS_ALLREDUCE_MAX_IN_FLIGHT = 16 }; /* chunks */

/* A bucket that waits for its chunks to start. */
typedef struct ls_internode_entry {
    ls_allreduce_request request;
    bool                 with_header; /* the header is reduced together with this bucket */
    uint32_t             ticket;      /* of the barrier that all members of the host pass when they begin this bucket */
    float               *gather_base; /* all-gather only: start of the range in the gathered array; NULL: all-reduce */
    int64_t              next_chunk;
} ls_internode_entry;

typedef enum ls_chunk_stage { LS_CHUNK_SCATTER, LS_CHUNK_REDUCED, LS_CHUNK_GATHER, LS_CHUNK_DONE } ls_chunk_stage;

/* A chunk in flight: floats [index * chunk_floats, (index + 1) * chunk_floats) of every partition of a bucket. */
typedef struct ls_chunk {
    ls_allreduce_request request;
    int64_t              index;
    bool                 with_header;
    float               *gather_base;
    uint64_t             bucket; /* number of buckets begun before this one */
    int64_t              floats; /* size in the largest partition */
    ls_chunk_stage       stage;
    ls_flow             *flow;
    int64_t              began_ns; /* start of the messages of this stage */
} ls_chunk;

typedef struct ls_internode {
    const ls_allreduce_schedule *schedule;
    ls_intrahost                *intrahost;
    ls_comm                     *comm;
    int64_t                      chunk_floats; /* size of a chunk in each partition, floats */
    float                      **vector;       /* partial sums of all hosts, at the current position */
    float                       *header_vector;
    ls_transfer                 *send, *receive;
    ls_block                     receive_buffer; /* partial sums of other hosts, for all chunks in flight */

    bool     bf16;          /* messages of gradients are bfloat16 */
    size_t   packed_floats; /* size of the packed messages of one chunk, floats */
    ls_block packed;

    ls_internode_entry queue[LS_ALLREDUCE_MAX_QUEUED]; /* ring buffer of [queue_begin, queue_end) */
    uint64_t           queue_begin, queue_end;
    ls_chunk           chunk[LS_ALLREDUCE_MAX_IN_FLIGHT]; /* ring buffer of [chunk_begin, chunk_end) */
    uint64_t           chunk_begin, chunk_end;

    /* The progress thread.  `lock` protects the queue, the chunks, and the use of the communicator. */
    bool            threaded, stop, sleeping;
    pthread_t       thread;
    pthread_mutex_t lock;
    pthread_cond_t  wake;
    ls_status       status; /* first error of ls__internode_advance, on any thread */
    char            message[1024];
} ls_internode;

/* max_count: size of the largest bucket, floats. */
ls_status ls__internode_init(ls_internode *n, ls_arena *arena, ls_comm *comm, ls_intrahost *intrahost,
                             int64_t max_count);
/* Stops the thread and cancels the messages in flight. */
void      ls__internode_free(ls_internode *n);
void      ls__internode_set_header(ls_internode *n, ls_arena *arena, int header_floats);
ls_status ls__internode_send_bf16(ls_internode *n);
ls_status ls__internode_start_thread(ls_internode *n);
void      ls__internode_set_blocks(ls_internode *n, float *block0, size_t stride);

/* Queues a bucket; blocks only while the queue is full. */
ls_status ls__internode_begin(ls_internode *n, const ls_internode_entry *entry);
/* Executes everything that is possible without waiting.  *moved is set to true when a chunk entered another stage. */
ls_status ls__internode_advance(ls_internode *n, bool *moved);
/* Blocks until all queued buckets are done. */
ls_status ls__internode_finish(ls_internode *n);
/* Blocks until the blocks of the first `number` buckets have been read, by all ranks of the host that read them. */
ls_status ls__internode_wait_read(ls_internode *n, uint64_t number);

#endif
