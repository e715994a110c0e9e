/* SPDX-License-Identifier: Apache-2.0
 *
 * The communicator: a table of functions with one implementation per file.  Not public; users see dist/dist.h.
 * dist/comm/comm.c holds the public collectives, each a check, a trace and a call of the table.
 *
 *     dist/comm/comm_self.c         one rank; every function is a copy or nothing
 *     dist/comm/comm_mpi.c          ranks started by mpirun or srun; the only file that includes mpi.h
 *     dist/comm/comm_threads.c      ranks as threads of one process, with scripted delay and faults
 *     dist/comm/comm_costmodel.c    one simulated rank, with computed times of messages
 *
 * A new implementation is a file with a table and a constructor in dist/dist.h.  It provides barrier, bcast, allgather
 * and point-to-point messages (start, test) on host memory; the sums are computed by dist/allreduce from these
 * messages.  The table has no reduction and no device memory: an NCCL implementation needs both first.
 *
 * Every function except test, idle, drop, poll and now is collective: all ranks call it, in the same order.  A rank on
 * which something fails must therefore not leave the sequence.  It passes its status to the next ls_comm_agree, which
 * all ranks reach:
 *
 *     ls_status own = rank == 0 ? read_file(path) : LS_OK;       may fail on one rank: no return here
 *     LS_TRY(ls_comm_agree(comm, own));                          all ranks return here, with rank 0's message
 *     LS_TRY(ls_comm_bcast(comm, data, bytes, 0));
 *
 * LOCKSTEP_TRACE=comm prints every call on stderr.
 */
#ifndef LS_DIST_COMM_COMM_H
#define LS_DIST_COMM_COMM_H

#include "core/base/flight_recorder.h"
#include "dist/dist.h"

/* A point-to-point message. */
typedef struct ls_transfer {
    int    rank;  /* destination or source; never the own rank */
    float *data;  /* read-only for sends                       */
    size_t count; /* floats; 0: no message                     */
} ls_transfer;

/* Channels are independent: a message of one channel never matches or delays a message of another. */
enum { LS_CHANNEL_EXCHANGE, LS_CHANNEL_SCATTER, LS_CHANNEL_GATHER, LS_CHANNELS };

/* A set of messages in progress, a non-blocking request.  First member of every implementation's struct. */
typedef struct ls_flow {
    bool            active; /* false: free for reuse */
    struct ls_flow *next;
} ls_flow;

typedef struct ls_comm_table {
    const char *name;
    ls_status (*barrier)(ls_comm *comm);
    ls_status (*bcast)(ls_comm *comm, void *data, size_t bytes, int root);
    ls_status (*allgather)(ls_comm *comm, const void *send, void *receive, size_t bytes);
    /* Starts all sends and receives.  Messages of a channel between two ranks arrive in the order in which they were
     * started.  The buffers, but not the two arrays, must stay valid until test reports completion.  Sets *flow to NULL
     * when all messages are already complete.  Allocates nothing once a call with as many messages has been made. */
    ls_status (*start)(ls_comm *comm, int channel, int sends, const ls_transfer *send, int receives,
                       const ls_transfer *receive, ls_flow **flow);
    /* Makes progress on all messages; sets *flow to NULL when its buffers may be reused.  Flows of a channel are tested
     * in the order in which they were started. */
    ls_status (*test)(ls_comm *comm, ls_flow **flow);
    void (*idle)(ls_comm *comm);        /* (optional, default nothing) pause between two tests while only waiting */
    void (*drop)(ls_comm *comm);        /* (optional, default nothing) cancels all flows; their buffers go away   */
    void (*poll)(ls_comm *comm);        /* (optional, default nothing) makes progress while the rank computes     */
    double (*now)(const ls_comm *comm); /* (optional, default the monotonic clock) time base of messages, seconds */
    void (*free)(ls_comm *comm);        /* (optional, default free()) also releases the struct; must not wait for
                                           other ranks when comm->broken                                          */
} ls_comm_table;

/* First member of every implementation's struct. */
struct ls_comm {
    const ls_comm_table *table;
    int                  rank, size, local_size;
    int                 *host;     /* [size]: lowest rank on the same host; NULL: no ranks share memory         */
    ls_flight           *flight;   /* records every collective; NULL: none                                      */
    struct ls_watchdog  *watchdog; /* owned by ls_comm_free (dist/health/comm_start.c); NULL: none              */
    bool                 traced;
    bool                 threads; /* several threads may call it, one at a time                                 */
    bool                 broken;  /* a call of the table failed: the ranks may be out of step                   */
    ls_flow             *flows;   /* list of all flows, active and free                                         */
};

/* Copies a struct of options that begins with its size into *to, which has `room` bytes; missing fields become 0.
 * LS_ERR_USAGE names the struct `name` when its size is 0 or larger than `room`. */
ls_status ls__options_copy(void *to, size_t room, const void *from, const char *name);

/* For implementations: fills in the common part, with all ranks on one host (local_size) but no shared memory. */
void ls__comm_init(ls_comm *comm, const ls_comm_table *table, int rank, int size);

/* For implementations: returns a free flow, or a new zeroed one of `bytes` bytes; NULL: no memory. */
ls_flow *ls__flow_take(ls_comm *comm, size_t bytes);
/* For implementations: frees all flows, each after a call of `each` (NULL: no call). */
void ls__flows_free(ls_comm *comm, void (*each)(ls_flow *flow));

/* Calls of the table with checks.  One thread at a time, and not during a collective. */
ls_status ls__comm_start(ls_comm *comm, int channel, int sends, const ls_transfer *send, int receives,
                         const ls_transfer *receive, ls_flow **flow);
ls_status ls__comm_test(ls_comm *comm, ls_flow **flow);
void      ls__comm_idle(ls_comm *comm);
void      ls__comm_drop(ls_comm *comm);
double    ls__comm_now(const ls_comm *comm);

/* Sends and receives all messages; returns when every buffer may be reused. */
ls_status ls__comm_exchange(ls_comm *comm, int sends, const ls_transfer *send, int receives,
                            const ls_transfer *receive);

/* ---- dist/comm/comm_mpi.c ---------------------------------------------------------------------------------------- */

/* Starts MPI unless the program has done so, and opens a communicator without a watchdog.  ls_comm_mpi adds it. */
ls_status ls__comm_mpi_open(ls_comm **comm, int *argc, char ***argv);
/* True once MPI runs in this process. */
bool ls__mpi_is_started(void);
/* For benchmarks: MPI_Allreduce (sum) of `count` floats, at most 2^31 - 1, in place. */
ls_status ls__comm_mpi_allreduce(ls_comm *comm, float *data, int64_t count);
/* For tests: the largest piece of a message, bytes, a multiple of 64.  MPI counts are ints, so longer messages are cut
 * into pieces; default 1 GiB within a host. */
void ls__comm_mpi_set_piece(ls_comm *comm, size_t bytes);
/* Name and version of the MPI library, in one line; works before MPI is started. */
const char *ls__mpi_library(void);

#endif
