/* SPDX-License-Identifier: Apache-2.0
 *
 * The intra-host part of an all-reduce: each member of a host adds its partition over the blocks of all members, in
 * place in shared memory.  Not public.  The terms are defined in dist/allreduce/allreduce.h.
 *
 * When all ranks are on one host, this is the whole all-reduce: ls__intrahost_begin queues a bucket until all members
 * have reached it, and ls__intrahost_advance reduces it.  With several hosts, dist/allreduce/allreduce_internode.c uses
 * the functions in the last section to add the blocks of its host before it sends partial sums.
 */
#ifndef LS_DIST_ALLREDUCE_ALLREDUCE_INTRAHOST_H
#define LS_DIST_ALLREDUCE_ALLREDUCE_INTRAHOST_H

#include "dist/allreduce/allreduce_schedule.h"
#include "dist/allreduce/shared_memory.h"

enum { LS_ALLREDUCE_MAX_QUEUED = 64 }; /* buckets that wait for other ranks */

/* Ranks that receive the sum. */
typedef enum ls_allreduce_output {
    LS_ALLREDUCE_EVERY_RANK,  /* every rank has the whole sum, in its block 0 */
    LS_ALLREDUCE_EVERY_HOST,  /* the first rank of every host has the whole sum, in its block 0 */
    LS_ALLREDUCE_PARTITIONED, /* every rank has the sum of its own partition, in its block 0 or in separate memory */
} ls_allreduce_output;

/* One bucket to reduce: the floats `range` of every block, and the place of its sum. */
typedef struct ls_allreduce_request {
    ls_range range;        /* position in each block, floats */
    int64_t  output_shift; /* from the position in the block to the position in the output, floats */
    int64_t  addend_shift; /* from the output of this bucket to that of an earlier bucket of equal size, which is added
                              to it, floats; 0: none */
    bool     is_addend;    /* the sum is needed only as the addend of another bucket */
    bool     everywhere;   /* block 0 of the first rank of every host receives the sum, also with
                              LS_ALLREDUCE_PARTITIONED; messages are float32 */
    int64_t  trace_shift;  /* from the position in the block to the offset that traces show, floats */
} ls_allreduce_request;

/* A request that waits until all members of the host have begun it. */
typedef struct ls_intrahost_entry {
    ls_allreduce_request request;
    bool                 with_header; /* the header is reduced together with this bucket */
    uint32_t             ticket;      /* of the barrier that all members pass when they begin this bucket */
} ls_intrahost_entry;

typedef struct ls_intrahost {
    const ls_allreduce_schedule *schedule;
    ls_shared_memory            *shared; /* NULL: this rank is a host of its own */
    size_t                       stride; /* floats between two blocks of a rank */
    float                      **block;  /* block 0 of each member */
    ls_allreduce_output          output;
    float                       *separate; /* memory for the sums outside the blocks; NULL: they are in block 0 */
    float                      **vector;   /* vectors of the host's schedule, at the current position */
    float                      **copy;     /* copies of the output to write, at the current position */

    int    header_floats; /* 0: no header */
    float *header_vector; /* headers of the vectors of the host's schedule */
    float *header_sum;

    ls_intrahost_entry queue[LS_ALLREDUCE_MAX_QUEUED]; /* ring buffer of [queue_begin, queue_end) */
    uint64_t           queue_begin, queue_end;
} ls_intrahost;

void ls__intrahost_init(ls_intrahost *h, ls_arena *arena, const ls_allreduce_schedule *schedule,
                        ls_shared_memory *shared);
void ls__intrahost_set_header(ls_intrahost *h, ls_arena *arena, int header_floats);

/* Sets the blocks of all members; block0 is this rank's block 0. */
void ls__intrahost_set_blocks(ls_intrahost *h, float *block0, size_t stride);

/* ---- all ranks on one host --------------------------------------------------------------------------------------- */

/* Queues a bucket, and reduces every queued bucket that all members have begun.  Blocks only if the queue is full. */
ls_status ls__intrahost_begin(ls_intrahost *h, const ls_allreduce_request *request, bool with_header);
/* Reduces every queued bucket that all members have begun; never blocks. */
ls_status ls__intrahost_advance(ls_intrahost *h);
/* Blocks until the first `number` buckets are reduced by this rank. */
ls_status ls__intrahost_finish(ls_intrahost *h, uint64_t number);

/* ---- steps of a sum ---------------------------------------------------------------------------------------------- */

/* The last part of ls__add_vectors: adds `addend` (NULL: none) to `output`, then writes `copies` copies of `output`. */
typedef struct ls_output_step {
    float        *output;
    const float  *addend;
    int           copies;
    float *const *copy;
} ls_output_step;

/* Executes the additions over vectors of `count` floats, then the output step, tile by tile. */
void ls__add_vectors(int64_t count, int additions, const ls_addition *addition, float *const *vector,
                     const ls_output_step *last);

/* block[into] += block[from] for each merge, over the floats `range` of every block. */
void ls__merge_blocks(const ls_allreduce_micro_step *m, float *block0, size_t stride, ls_range range);

/* Executes the additions over headers; vector k is at headers + k * header_floats. */
void ls__add_headers(int header_floats, float *headers, int additions, const ls_addition *addition);

/* Sums the headers of the host's blocks into h->header_vector.  The blocks stay unchanged because other members read
 * them. */
void ls__intrahost_sum_headers(ls_intrahost *h);

/* The memory that receives the sums. */
float *ls__intrahost_output(const ls_intrahost *h);
/* Address of element `at` of a bucket in the output memory, and address of the values to add to it (NULL: none). */
float       *ls__intrahost_output_at(const ls_intrahost *h, const ls_allreduce_request *r, int64_t at);
const float *ls__intrahost_addend_at(const ls_intrahost *h, const ls_allreduce_request *r, int64_t at);
/* Points h->vector at position `at` of a bucket. */
void ls__intrahost_place(ls_intrahost *h, const ls_allreduce_request *r, int64_t at);
/* Fills h->copy with the places that need a copy of `output`, position `at` of a bucket; returns their number. */
int ls__intrahost_copies(ls_intrahost *h, const ls_allreduce_request *r, const float *output, int64_t at);

#endif
