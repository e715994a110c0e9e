/* SPDX-License-Identifier: Apache-2.0
 *
 * The watchdog: a thread of each rank that calls neither MPI nor a GPU.  It looks at the flight recorders of all ranks,
 * five times a second; when one is late, dead, or out of step with the others, the watchdog of one rank says so in one
 * line, every rank leaves a crash file, and all processes end with the same exit code.
 *
 *     ls_watchdog *w;
 *     LS_TRY(ls__watchdog_new(&w, comm));                          collective; from here on comm->flight notes what
 * comm does ls__watchdog_set(w, &(ls_watchdog_settings){.floor_s = 60, .folder = "runs/lenet5/logs"});
 *     ls__flight_begin(comm->flight, ...);                         see core/base/flight_recorder.h
 *     ls__watchdog_free(w);                                        before the communicator
 *
 * A rank is late when what it is in, if that is no collective, takes longer than the deadline of its phase: the floor,
 * or five times what 99 of 100 took so far, whichever is more; five times that as long as fewer than three were seen,
 * and in start-up; ten times for checkpoints.  Time is CLOCK_MONOTONIC: setting the clock does nothing.  A watchdog
 * that finds that it was stopped itself counts from anew. */
#ifndef LS_DIST_HEALTH_WATCHDOG_H
#define LS_DIST_HEALTH_WATCHDOG_H

#include "dist/comm/comm.h"
#include "dist/health/hang_diagnosis.h"

typedef struct ls_watchdog ls_watchdog;

typedef struct ls_watchdog_settings {
    bool        off;      /* notes go on, verdicts don't */
    bool        terminal; /* what stands in the current line of stderr is to be wiped before the verdict */
    double      floor_s;  /* 0: LS_WATCHDOG_FLOOR_S      */
    const char *folder;   /* of crash files; NULL: none  */
    /* For tests: called with the verdict instead of ending the process. */
    void (*end)(void *context, const ls_diagnosis *verdict);
    void *context;
} ls_watchdog_settings;

#define LS_WATCHDOG_FLOOR_S 60.0

ls_status ls__watchdog_new(ls_watchdog **w, ls_comm *comm);
void      ls__watchdog_set(ls_watchdog *w, const ls_watchdog_settings *settings);
/* NULL is allowed.  When the communicator is broken this rank's error is told to the others, and the process ends in
 * here, with the verdict. */
void ls__watchdog_free(ls_watchdog *w);

/* ---- parts ---- */

struct ls_heartbeat;

/* FOLDER/crash-rankN.txt of the m-th rank of this host: the verdict, its threads as /proc tells, what its recorder has
 * (dist/health/crash_report.c). */
bool ls__crash_report_write(const struct ls_heartbeat *c, int member, const char *folder, const char *verdict);

/* From now on a crash of this process leaves its signal in *word, and says so where nobody else could; until the end of
 * it. */
void ls__crash_report_install(_Atomic int32_t *word, bool nobody_else);
void ls__crash_report_uninstall(void);

/* Faults for tests, as LOCKSTEP_FAULT says (dist/health/fault_injection.c): hooks them into the recorder.  LS_ERR_USAGE
 * for what it does not know. */
ls_status ls__fault_injection_init(ls_flight *flight, ls_comm *comm);

#endif
