/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/progress_hook.h"

#include "core/base/flight_recorder.h"

enum { EVERY_NS = 100000 };

_Thread_local const ls_progress_hook *ls__progress_hook;

static _Thread_local int64_t due;

void ls__progress_hook_if_due(void)
{
    int64_t now = ls__flight_now();
    if (now < due) return;
    const ls_progress_hook *p = ls__progress_hook;
    ls__progress_hook         = NULL; /* what it does may be work that asks, too */
    p->call(p->context);
    ls__progress_hook = p;
    due               = ls__flight_now() + EVERY_NS;
}
