/* SPDX-License-Identifier: Apache-2.0
 *
 * A communicator is a table of functions.  Not public: users see dist/dist.h, and the rest of this room calls the
 * functions below.  dist/comm/comm.c holds the public functions, each a check, a trace and a call of the table; one
 * file per implementation holds its table:
 *
 *     dist/comm/comm_self.c    one rank; every function is a copy or nothing
 *     dist/comm/comm_mpi.c     ranks started by mpirun or srun; the only file that knows mpi.h
 *     dist/comm/comm_threads.c     ranks as threads of one process, with scripted delay and faults
 *
 * One more is foreseen and needs nothing but a file with a table: `nccl` (messages and the collectives on device
 * memory; its unique id travels by an mpi communicator's bcast).
 *
 * Every function but test, idle, drop, poll and now is collective: all ranks call it, in the same order.  A rank on
 * which something fails must therefore not leave the sequence; it carries its status on to the next ls_comm_agree,
 * which all ranks reach, and where all learn of it:
 *
 *     ls_status mine = rank == 0 ? read_file(path) : LS_OK;      may fail on one rank, so: no return here
 *     LS_TRY(ls_comm_agree(comm, mine));                         all ranks return here, with rank 0's message
 *     LS_TRY(ls_comm_bcast(comm, data, bytes, 0));
 *
 * Set LOCKSTEP_TRACE=comm to have every call printed on stderr.
 */
#ifndef LS_DIST_COMM_COMM_H
#define LS_DIST_COMM_COMM_H

#include "core/base/flight_recorder.h"
#include "dist/dist.h"

/* One message. */
typedef struct ls_transfer {
    int    rank;  /* whom it goes to, or comes from; never the own rank */
    float *data;  /* only read when sent                                */
    size_t count; /* floats; 0 is allowed and sends nothing             */
} ls_transfer;

/* Messages of one channel neither mix with those of another nor wait for them. */
enum { LS_CHANNEL_EXCHANGE, LS_CHANNEL_SCATTER, LS_CHANNEL_GATHER, LS_CHANNELS };

/* Messages on their way: what every implementation's struct starts with. */
typedef struct ls_flow {
    bool            goes; /* else it is free to be used again */
    struct ls_flow *next;
} ls_flow;

typedef struct ls_comm_table {
    const char *name;
    ls_status (*barrier)(ls_comm *comm);
    ls_status (*bcast)(ls_comm *comm, void *data, size_t bytes, int root);
    ls_status (*allgather)(ls_comm *comm, const void *send, void *receive, size_t bytes);
    /* Begins to send and to receive all of these.  Between two ranks, messages of a channel arrive in the order in
     * which they are begun.  Their buffers, not the arrays, must stay until test has said that it is over.  *flow is
     * NULL when it is so at once. Allocates nothing once called with as many messages before. */
    ls_status (*start)(ls_comm *comm, int channel, int sends, const ls_transfer *send, int receives,
                       const ls_transfer *receive, ls_flow **flow);
    /* Lets all messages go on; *flow becomes NULL when all of its buffers may be used again.  Flows of a channel are
     * tested in the order in which they were begun. */
    ls_status (*test)(ls_comm *comm, ls_flow **flow);
    void (*idle)(ls_comm *comm); /* (optional, default nothing) between two tests of one that only waits            */
    void (*drop)(ls_comm *comm); /* (optional, default nothing) gives up all flows: their buffers go away           */
    void (*poll)(ls_comm *comm); /* (optional, default nothing) lets messages go on, while waiting elsewhere     */
    double (*now)(const ls_comm *comm); /* (optional, default the clock's) seconds, by which messages arrive */
    void (*free)(ls_comm *comm); /* (optional, default free()) releases the struct too.  After an error (broken) it
                                    must not wait for other ranks                                                */
} ls_comm_table;

/* What every implementation's struct starts with. */
struct ls_comm {
    const ls_comm_table *table;
    int                  rank, size, local_size;
    int                 *host;   /* of each rank: the lowest rank on its host; NULL: nobody shares memory           */
    ls_flight           *flight; /* notes every collective; NULL: none                                              */
    bool                 traced, threads; /* threads: several may use it, one at a time                              */
    bool                 broken;          /* a call of the table failed: the ranks may be out of step */
    ls_flow             *flows;           /* all that were ever needed at once                        */
};

/* For implementations: fills in the common part, with all ranks on one host (local_size) but sharing nothing. */
void ls__comm_init(ls_comm *comm, const ls_comm_table *table, int rank, int size);

/* For implementations: one that is free, or a new one of so many bytes, zeroed; NULL: no memory.  And the end of all,
 * after `each` (or NULL). */
ls_flow *ls__flow_take(ls_comm *comm, size_t bytes);
void     ls__flows_free(ls_comm *comm, void (*each)(ls_flow *flow));

/* See the table.  Called by one thread at a time, and beside no other collective. */
ls_status ls__comm_start(ls_comm *comm, int channel, int sends, const ls_transfer *send, int receives,
                         const ls_transfer *receive, ls_flow **flow);
ls_status ls__comm_test(ls_comm *comm, ls_flow **flow);
void      ls__comm_idle(ls_comm *comm);
void      ls__comm_drop(ls_comm *comm);
double    ls__comm_now(const ls_comm *comm);

/* Sends and receives all of these; returns when every buffer may be used again. */
ls_status ls__comm_exchange(ls_comm *comm, int sends, const ls_transfer *send, int receives,
                            const ls_transfer *receive);

/* For benches: MPI's own sum of `count` floats over all ranks, in place; they hold at most 2^31 - 1. */
ls_status ls__comm_mpi_allreduce(ls_comm *comm, float *data, int64_t count);

/* For tests: MPI counts are ints, so larger messages are cut into pieces of at most this many bytes (1 GiB; a multiple
 * of 64). */
void ls__comm_mpi_set_piece(ls_comm *comm, size_t bytes);

/* Name and version of the MPI library, in one line; before or after it is started. */
const char *ls__mpi_library(void);

#endif
