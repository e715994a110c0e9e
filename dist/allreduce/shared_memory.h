/* SPDX-License-Identifier: Apache-2.0
 *
 * A window: a block of memory of each rank that the other ranks of its host can read and write too.  Not public.
 *
 *     ls_shared_memory *w;
 *     LS_TRY(ls__shared_memory_new(&w, comm, LS_SHARED_MEMORY_AUTO, bytes, "gradient"));
 *     write to w->own.data
 *     LS_TRY(ls__shared_memory_barrier(w));
 *     read what the others wrote at w->block[i].data, i = 0 .. w->members - 1
 *
 * Where nothing can be shared it is a private block, and `members` is 1.  Blocks are zeroed, aligned to 2 MiB, and get
 * their memory when they are first touched, like those of ls_block_new.
 */
#ifndef LS_DIST_ALLREDUCE_SHARED_MEMORY_H
#define LS_DIST_ALLREDUCE_SHARED_MEMORY_H

#include "core/base/arena.h"
#include "dist/comm/comm.h"

typedef struct ls_shared_memory_sync ls_shared_memory_sync;

typedef struct ls_shared_memory {
    ls_comm  *comm;
    ls_arena *arena;
    ls_block  own;     /* this rank's                                                                       */
    bool      shared;  /* the ranks of every host share theirs; the same on all ranks                        */
    int       members; /* ranks of this host, this one included; 1 when not shared                          */
    int       me;      /* which of them is this one                                                         */
    int      *rank;    /* of each member, increasing                                                        */
    ls_block *block;   /* of each member; [me] is `own`.  Sizes may differ                                  */
    bool      settled; /* see below                                                                         */
    uint32_t  ticket;  /* barriers so far                                                                   */
    int       spins;   /* turns of waiting before it sleeps                                                 */
    int      *process; /* of each member                                                                    */
    ls_shared_memory_sync **control;
} ls_shared_memory;

/* `bytes` may differ from rank to rank.  LS_SHARED_MEMORY_AUTO: private blocks, and a line on rank 0's stderr that says
 * why, when ranks of a host cannot share memory.  LS_SHARED_MEMORY_ON: then LS_ERR_ENV.  LS_SHARED_MEMORY_OFF: private.
 * With no two ranks on one host there is nothing to share, in any mode.  Collective; all ranks return the same status.
 */
ls_status ls__shared_memory_new(ls_shared_memory **w, ls_comm *comm, ls_shared_memory_mode mode, size_t bytes,
                                const char *name);

/* Not collective: the others keep what they see of this rank's block until they free theirs.  NULL is allowed. */
void ls__shared_memory_free(ls_shared_memory *w);

/* Puts this rank's block on huge pages, where the system can, once its pages are there: to be called after the first
 * use, and by whoever else likes without effect. */
void ls__shared_memory_settle(ls_shared_memory *w);

/* Waits for the members; what each wrote before is then visible to all.  LS_ERR_ENV when one of them has ended: the
 * communicator is then broken. */
ls_status ls__shared_memory_barrier(ls_shared_memory *w);

/* The barrier in two halves.  Members arrive equally often, in the same order; the ticket says how often. */
uint32_t  ls__shared_memory_arrive(ls_shared_memory *w);
bool      ls__shared_memory_complete(const ls_shared_memory *w,
                                     uint32_t                ticket); /* whether all have arrived so often; does not wait */
ls_status ls__shared_memory_wait(ls_shared_memory *w, uint32_t ticket);

/* A second count of each member: what it is done with.  It says so whenever it likes, and waits for nobody; the count
 * never falls. */
void      ls__shared_memory_done(ls_shared_memory *w, uint32_t count);
bool      ls__shared_memory_all_done(const ls_shared_memory *w,
                                     uint32_t                count); /* whether all are done with so much; does not wait */
ls_status ls__shared_memory_wait_done(ls_shared_memory *w, uint32_t count);

#endif
