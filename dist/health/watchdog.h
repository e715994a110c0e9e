/* SPDX-License-Identifier: Apache-2.0
 *
 * The watchdog: a thread of each rank that calls neither MPI nor CUDA.  It observes the flight recorders of all ranks
 * five times a second.  When a rank is late, dead, or out of step with the others, one watchdog prints one line that
 * names the rank and the cause, every rank writes a crash file, and all processes end with the same exit code.
 *
 *     LS_TRY(ls__watchdog_new(&w, comm));      collective; from here on comm->flight records what comm does
 *     ls__watchdog_set(w, &(ls_watchdog_settings){.floor_s = 60, .folder = "runs/lenet5/logs"});
 *     ls__watchdog_free(w);                    before the communicator is freed
 *
 * Users call ls_comm_watchdog of dist/dist.h instead.
 *
 * A rank is late when its current instruction, unless it is a collective, exceeds the deadline of its phase:
 * max(floor, 5 x 99th percentile of the phase so far); 5 times that in start-up and while the phase has fewer than 3
 * samples; 10 times that for checkpoints.  Time is CLOCK_MONOTONIC, so setting the clock has no effect.  A watchdog
 * restarts all deadlines after a suspension of its own process. */
#ifndef LS_DIST_HEALTH_WATCHDOG_H
#define LS_DIST_HEALTH_WATCHDOG_H

#include "dist/comm/comm.h"

typedef struct ls_watchdog ls_watchdog;

#define LS_WATCHDOG_FLOOR_S 60.0

ls_status ls__watchdog_new(ls_watchdog **w, ls_comm *comm);
/* NULL is allowed. */
void ls__watchdog_set(ls_watchdog *w, const ls_watchdog_settings *settings);
/* NULL is allowed.  When the communicator is broken, calls ls__watchdog_report_error first. */
void ls__watchdog_free(ls_watchdog *w);

/* Publishes the last error of this rank, which its broken communicator cannot carry to the others, and waits up to 4 s
 * for the diagnosis, with which the process ends.  Returns when there is none; at once for one rank, a watchdog that is
 * off, and NULL. */
void ls__watchdog_report_error(ls_watchdog *w);

/* ---- dist/health/crash_report.c ---------------------------------------------------------------------------------- */

struct ls_heartbeat;

/* Writes FOLDER/crash-rankN.txt for a member of this host: the diagnosis, its threads from /proc, its last instructions
 * and collectives.  Returns false when the file cannot be written. */
bool ls__crash_report_write(const struct ls_heartbeat *hb, int member, const char *folder, const char *diagnosis);

/* Installs handlers that store the signal of a crash of this process in *signal, and with `print` also print a line.
 * Does nothing while another caller's are installed. */
void ls__crash_report_install(_Atomic int32_t *signal, bool print);
/* Removes the handlers that were installed with this `signal`. */
void ls__crash_report_uninstall(const _Atomic int32_t *signal);

/* ---- dist/health/fault_injection.c ------------------------------------------------------------------------------- */

/* Installs the fault that LOCKSTEP_FAULT describes, if any, as a hook of the flight recorder.  LS_ERR_USAGE when the
 * variable is malformed. */
ls_status ls__fault_injection_init(ls_flight *flight, ls_comm *comm);

#endif
