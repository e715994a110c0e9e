/* SPDX-License-Identifier: Apache-2.0
 *
 * A hook that a thread calls during long computations, to progress the messages of an inter-host all-reduce
 * (dist/allreduce/allreduce.h): Open MPI makes no progress by itself.  Kernels that run longer than a fraction of a
 * millisecond call it between blocks of work:
 *
 *     for (each block) { ...; ls__progress_hook_run(); }
 *
 * The call reads one thread-local variable if the thread has no hook, and the clock if it has one.
 */
#ifndef LS_CORE_BASE_PROGRESS_HOOK_H
#define LS_CORE_BASE_PROGRESS_HOOK_H

#include <stddef.h>

typedef struct ls_progress_hook {
    void (*call)(void *context); /* must not touch the data of the computation */
    void *context;
} ls_progress_hook;

extern _Thread_local const ls_progress_hook *ls__progress_hook; /* of this thread; NULL: none */

/* Calls the hook if 100 us have passed since its last call. */
void ls__progress_hook_if_due(void);

static inline void ls__progress_hook_run(void)
{
    if (ls__progress_hook) ls__progress_hook_if_due();
}

#endif
