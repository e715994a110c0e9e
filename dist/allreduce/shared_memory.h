/* SPDX-License-Identifier: Apache-2.0
 *
 * A shared-memory segment of each rank, which the other ranks of its host can read and write.  Not public.
 *
 *     ls_shared_memory *w;
 *     LS_TRY(ls__shared_memory_new(&w, comm, LS_SHARED_MEMORY_AUTO, bytes, "gradient"));
 *     write to w->own.data
 *     LS_TRY(ls__shared_memory_barrier(w));
 *     read what the others wrote at w->block[i].data, i = 0 .. w->members - 1
 *
 * If memory cannot be shared, the segment is private and `members` is 1.  Segments are zeroed, aligned to 2 MiB, and
 * backed with pages when first touched, like the blocks of ls_block_new.
 */
#ifndef LS_DIST_ALLREDUCE_SHARED_MEMORY_H
#define LS_DIST_ALLREDUCE_SHARED_MEMORY_H

#include "core/base/arena.h"
#include "dist/comm/comm.h"

typedef struct ls_shared_memory_sync ls_shared_memory_sync;

/* The members are the ranks of this host, this one included; only this rank if memory is not shared. */
typedef struct ls_shared_memory {
    ls_comm                *comm;
    ls_arena               *arena;
    ls_block                own;     /* the segment of this rank */
    bool                    shared;  /* equal on all ranks of all hosts */
    int                     members; /* number of members */
    int                     me;      /* index of this rank among the members */
    int                    *rank;    /* rank of each member, increasing */
    ls_block               *block;   /* segment of each member; block[me] is `own`; sizes may differ */
    bool                    settled; /* ls__shared_memory_settle was called */
    uint32_t                ticket;  /* barriers that this rank has arrived at */
    int                     spins;   /* iterations of the busy loop before a waiting rank sleeps */
    int                    *process; /* process id of each member */
    ls_shared_memory_sync **control; /* counters of each member */
} ls_shared_memory;

/* Creates a segment of `bytes`, which may differ between ranks.  LS_SHARED_MEMORY_AUTO: private memory and a warning on
 * rank 0's stderr if ranks of a host cannot share memory; LS_SHARED_MEMORY_ON: LS_ERR_ENV in that case;
 * LS_SHARED_MEMORY_OFF: private memory.  With no two ranks on one host the memory is private in every mode.
 * Collective; all ranks return the same status. */
ls_status ls__shared_memory_new(ls_shared_memory **w, ls_comm *comm, ls_shared_memory_mode mode, size_t bytes,
                                const char *name);

/* Unmaps the segments.  The other members keep their mappings of this rank's segment until they free theirs.  Not
 * collective.  Accepts NULL. */
void ls__shared_memory_free(ls_shared_memory *w);

/* Moves this rank's segment to huge pages where the system supports it.  Call it once all pages have been touched;
 * later calls have no effect. */
void ls__shared_memory_settle(ls_shared_memory *w);

/* Blocks until all members have called it; their earlier writes are then visible to all.  LS_ERR_ENV when a member has
 * exited: the communicator is then broken. */
ls_status ls__shared_memory_barrier(ls_shared_memory *w);

/* The barrier in two halves.  The ticket that arrive returns is the number of arrivals of this rank; all members arrive
 * equally often.  complete: true when all members have arrived that often; never blocks.  wait: blocks until then. */
uint32_t  ls__shared_memory_arrive(ls_shared_memory *w);
bool      ls__shared_memory_complete(const ls_shared_memory *w, uint32_t ticket);
ls_status ls__shared_memory_wait(ls_shared_memory *w, uint32_t ticket);

/* A second counter of each member, for the amount of work it has finished. done: sets this rank's counter, which must
 * not fall; never blocks. all_done: true when all other counters have reached `count`. wait_done: blocks until then. */
void      ls__shared_memory_done(ls_shared_memory *w, uint32_t count);
bool      ls__shared_memory_all_done(const ls_shared_memory *w, uint32_t count);
ls_status ls__shared_memory_wait_done(ls_shared_memory *w, uint32_t count);

#endif
