/* SPDX-License-Identifier: Apache-2.0
 * Signal handlers and deadlines that end a run early with a checkpoint. */
#include "launch/run/stop_signals.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>

#include "core/base/clock.h"
#include "dist/comm/launcher.h"
#include "launch/run/progress.h"

/* Seconds between the end of the run and the end of the job.  Slurm sends SIGTERM at the end of the job and SIGKILL
 * 30 seconds later. */
enum { JOB_END_MARGIN_S = 10 };

static volatile sig_atomic_t signal_caught;
static double                hours_end = INFINITY, job_end = INFINITY; /* on the clock of ls__clock_s() */

static void catch_signal(int number)
{
    if (number == SIGINT) signal(SIGINT, SIG_DFL); /* a second Ctrl-C ends the process without a checkpoint */
    signal_caught = number;
}

/* Returns the seconds until the scheduler ends the job; INFINITY: unknown. */
static double job_seconds_left(void)
{
    double      left;
    const char *source;
    if (ls__launcher_job_end(&left, &source) != LS_OK)
        fprintf(stderr,
                "lockstep: warning: %s; the run does not stop before the end of the job" LS_HINT
                "LOCKSTEP_END=SECONDS sets it, in seconds since 1970\n",
                ls_error_message());
    return left;
}

void ls_stop_signals_install(double max_hours, bool is_root)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1};
    struct sigaction action    = {.sa_handler = catch_signal, .sa_flags = SA_RESTART};
    signal_caught              = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaction(numbers[i], &action, NULL);
    hours_end = max_hours > 0 ? ls__clock_s() + 3600 * max_hours : INFINITY;
    job_end   = is_root ? ls__clock_s() + job_seconds_left() : INFINITY;
}

static ls_stop_reason reason_of(int signal_number)
{
    return signal_number == SIGTERM ? LS_STOP_TERM : signal_number == SIGINT ? LS_STOP_INT : LS_STOP_USR1;
}

ls_stop_reason ls_stop_requested(double need_s)
{
    const double ready = ls__clock_s() + need_s;
    if (signal_caught) return reason_of(signal_caught);
    if (ready >= hours_end) return LS_STOP_HOURS;
    return ready + JOB_END_MARGIN_S >= job_end ? LS_STOP_JOB_END : LS_STOP_NONE;
}

const char *ls_stop_reason_text(ls_stop_reason reason)
{
    static const char *const texts[LS_STOPS] = {"none",    "SIGTERM",         "SIGINT",
                                                "SIGUSR1", "train.max_hours", "the end of the job"};
    return texts[reason];
}
