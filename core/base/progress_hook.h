/* SPDX-License-Identifier: Apache-2.0
 *
 * What a thread does beside its work, now and then: let messages go on (dist/allreduce/allreduce.h).  Whoever works for longer than a fraction of a
 * millisecond asks in between:
 *
 *     for (each block) { ...; ls__poll(); }
 *
 * Costs a look at a thread's own variable where nothing is to be done, and a reading of the clock where something is.  Called by any
 * thread; only the one that was told what to do does it.
 */
#ifndef LS_CORE_BASE_PROGRESS_HOOK_H
#define LS_CORE_BASE_PROGRESS_HOOK_H

#include <stddef.h>

typedef struct ls_poller {
    void (*call)(void *context); /* must not touch what the work is on */
    void *context;
} ls_poller;

extern _Thread_local const ls_poller *ls__poller; /* of this thread; NULL: nothing is to be done */

void ls__poll_if_due(void);

static inline void ls__poll(void)
{
    if (ls__poller) ls__poll_if_due();
}

#endif
