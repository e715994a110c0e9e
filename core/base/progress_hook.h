/* SPDX-License-Identifier: Apache-2.0
 *
 * What a thread does beside its work, now and then: let messages go on (dist/allreduce/allreduce.h).  Whoever works for
 * longer than a fraction of a millisecond asks in between:
 *
 *     for (each block) { ...; ls__progress_hook_run(); }
 *
 * Costs a look at a thread's own variable where nothing is to be done, and a reading of the clock where something is.
 * Called by any thread; only the one that was told what to do does it.
 */
#ifndef LS_CORE_BASE_PROGRESS_HOOK_H
#define LS_CORE_BASE_PROGRESS_HOOK_H

#include <stddef.h>

typedef struct ls_progress_hook {
    void (*call)(void *context); /* must not touch what the work is on */
    void *context;
} ls_progress_hook;

extern _Thread_local const ls_progress_hook *ls__progress_hook; /* of this thread; NULL: nothing is to be done */

void ls__progress_hook_if_due(void);

static inline void ls__progress_hook_run(void)
{
    if (ls__progress_hook) ls__progress_hook_if_due();
}

#endif
