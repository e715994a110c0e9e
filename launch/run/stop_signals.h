/* SPDX-License-Identifier: Apache-2.0
 * Requests to end a run early: a signal, the limit train.max_hours, or the end of the scheduler's job. */
#ifndef LS_LAUNCH_RUN_STOP_SIGNALS_H
#define LS_LAUNCH_RUN_STOP_SIGNALS_H

#include <stdbool.h>

typedef enum ls_stop_reason {
    LS_STOP_NONE,
    LS_STOP_TERM,
    LS_STOP_INT,
    LS_STOP_USR1,
    LS_STOP_HOURS,
    LS_STOP_JOB_END,
    LS_STOPS
} ls_stop_reason;

/* Installs handlers that record SIGTERM, SIGINT and SIGUSR1 for ls_stop_requested.  A second SIGINT ends the process at
 * once.  max_hours: time limit from this call on; 0: none.  is_root: also watch the end of the scheduler's job
 * (dist/comm/launcher.h), and warn if it is unknown; one rank is enough because every rank's request stops all. */
void ls_stop_signals_install(double max_hours, bool is_root);

/* Returns why this rank should stop, or LS_STOP_NONE.  need_s: seconds that the work before the end takes, for instance
 * a step and a checkpoint. */
ls_stop_reason ls_stop_requested(double need_s);

/* Returns the name of a reason: "SIGTERM", "train.max_hours", "the end of the job". */
const char *ls_stop_reason_text(ls_stop_reason reason);

#endif
