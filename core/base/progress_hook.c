/* SPDX-License-Identifier: Apache-2.0
 * Calls the progress hook of a thread at most once per interval. */
#include "core/base/progress_hook.h"

#include "core/base/clock.h"
#include "core/base/flight_recorder.h"

enum { INTERVAL_NS = 100000 };

_Thread_local const ls_progress_hook *ls__progress_hook;

static _Thread_local int64_t due;

void ls__progress_hook_if_due(void)
{
    int64_t now = ls__clock_ns();
    if (now < due) return;
    const ls_progress_hook *p = ls__progress_hook;
    ls__progress_hook         = NULL; /* the hook may run kernels, which must not call it again */
    p->call(p->context);
    ls__progress_hook = p;
    due               = ls__clock_ns() + INTERVAL_NS;
}
