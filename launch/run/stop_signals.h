/* SPDX-License-Identifier: Apache-2.0
 * Why a run is to end before it is through: a signal, its time is up, or its Slurm job ends. */
#ifndef LS_LAUNCH_RUN_STOP_SIGNALS_H
#define LS_LAUNCH_RUN_STOP_SIGNALS_H

/* SIGTERM, SIGINT, SIGUSR1, train.max_hours, the end of the Slurm job. */
typedef enum ls_stop_reason {
    LS_STOP_NONE,
    LS_STOP_TERM,
    LS_STOP_INT,
    LS_STOP_USR1,
    LS_STOP_HOURS,
    LS_STOP_SLURM,
    LS_STOPS
} ls_stop_reason;

/* From now on SIGTERM, SIGINT and SIGUSR1 are kept for ls_stop_requested; a second SIGINT ends the process at once.
 * max_hours: from now on; 0: no limit.  The end that Slurm announces (SLURM_JOB_END_TIME) counts too; `speaks`: this
 * rank says so when it makes no sense. */
void ls_stop_signals_install(double max_hours, int speaks);

/* Why this rank would stop, or LS_STOP_NONE.  need_s: what has to be done in time takes so many seconds. */
ls_stop_reason ls_stop_requested(double need_s);

/* "SIGTERM"; "train.max_hours"; "the end of the Slurm job". */
const char *ls_stop_reason_text(ls_stop_reason why);

#endif
