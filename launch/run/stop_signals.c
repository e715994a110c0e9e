/* SPDX-License-Identifier: Apache-2.0
 * Signals and ends of time: see launch/run/stop_signals.h. */
#include "launch/run/stop_signals.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "launch/run/progress.h"

/* Slurm asks processes to end at that time, and kills them 30 seconds later: this much before it, all is to be done. */
enum { SLURM_MARGIN_S = 10 };

static volatile sig_atomic_t signal_caught;
static double                hours_end = INFINITY, slurm_end = INFINITY; /* as ls_now() counts */

static void catch_signal(int number)
{
    if (number == SIGINT) signal(SIGINT, SIG_DFL); /* who asks twice does not want to wait */
    signal_caught = number;
}

static double slurm_seconds_left(int speaks)
{
    const char *text = getenv("SLURM_JOB_END_TIME");
    char       *end;
    if (!text || !*text) return INFINITY;
    double at = strtod(text, &end), left = at - (double)time(NULL);
    if (!*end && left > 0) return left;
    if (speaks)
        fprintf(stderr,
                "lockstep: warning: SLURM_JOB_END_TIME is '%s', expected a time to come in seconds since 1970; the end "
                "of the job is not known\n",
                text);
    return INFINITY;
}

void ls_stop_signals_install(double max_hours, int speaks)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1};
    struct sigaction action    = {.sa_handler = catch_signal, .sa_flags = SA_RESTART};
    signal_caught              = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaction(numbers[i], &action, NULL);
    hours_end = max_hours > 0 ? ls_now() + 3600 * max_hours : INFINITY;
    slurm_end = ls_now() + slurm_seconds_left(speaks);
}

static ls_stop_reason why_of(int signal_number)
{
    return signal_number == SIGTERM ? LS_STOP_TERM : signal_number == SIGINT ? LS_STOP_INT : LS_STOP_USR1;
}

ls_stop_reason ls_stop_requested(double need_s)
{
    double ready = ls_now() + need_s;
    if (signal_caught) return why_of(signal_caught);
    if (ready >= hours_end) return LS_STOP_HOURS;
    return ready + SLURM_MARGIN_S >= slurm_end ? LS_STOP_SLURM : LS_STOP_NONE;
}

const char *ls_stop_reason_text(ls_stop_reason why)
{
    static const char *const texts[LS_STOPS] = {"nobody",  "SIGTERM",         "SIGINT",
                                                "SIGUSR1", "train.max_hours", "the end of the Slurm job"};
    return texts[why];
}
