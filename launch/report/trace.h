/* SPDX-License-Identifier: Apache-2.0
 *
 * --trace FILE: writes some steps of all ranks as a trace for chrome://tracing and https://ui.perfetto.dev.  A rank is
 * shown as a process with the rows steps, computation, communication, and data and files.  All times are those of rank
 * 0's clock; the offset of every other clock is measured.
 *
 *     ls_trace *trace;
 *     LS_TRY(ls_trace_open(&trace, run, path, steps));           NULL without --trace; the calls below then do nothing
 *     while (...) {
 *         LS_TRY(ls_trainer_step(...));
 *         LS_TRY(ls_trace_step(trace));                   writes the file after the last traced step
 *     }
 *     status = ls_trace_close(trace, status);             after fewer steps, writes those
 *
 * All functions but ls_trace_wants_more are collective.
 */
#ifndef LS_LAUNCH_REPORT_TRACE_H
#define LS_LAUNCH_REPORT_TRACE_H

#include "launch/run/run_setup.h"

typedef struct ls_trace ls_trace;

/* Opens a trace to be written to `path`; path NULL: *trace is NULL.  steps: first and last traced step "A-B", counted
 * from the start of the command; NULL: "3-12". */
ls_status ls_trace_open(ls_trace **trace, ls_run *run, const char *path, const char *steps);
/* Records the step that just ended. */
ls_status ls_trace_step(ls_trace *trace);
/* Returns true until the last traced step is recorded. */
bool ls_trace_wants_more(const ls_trace *trace);
/* Frees the trace; writes the file first if it has not been written and `status`, that of the traced steps, is LS_OK.
 * Returns `status`, or the error of writing. */
ls_status ls_trace_close(ls_trace *trace, ls_status status);

#endif
