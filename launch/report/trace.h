/* SPDX-License-Identifier: Apache-2.0
 *
 * --trace FILE: some steps of all ranks as a trace that chrome://tracing and https://ui.perfetto.dev draw.  A process
 * is a rank; its rows are steps, computation, communication and data.  Times are those of rank 0's clock, from which
 * the others' are measured.
 *
 *     ls_trace *trace;
 *     LS_TRY(ls_trace_open(&trace, run, path, steps));           NULL without --trace; all below then do nothing
 *     while (...) {
 *         LS_TRY(ls_trainer_step(...));
 *         LS_TRY(ls_trace_step(trace));                   after the last of the steps asked for, the file is written
 *     }
 *     status = ls_trace_close(trace, status);             writes what there is when that is not all
 *
 * All of it is collective.
 */
#ifndef LS_LAUNCH_REPORT_TRACE_H
#define LS_LAUNCH_REPORT_TRACE_H

#include "launch/run/run_setup.h"

typedef struct ls_trace ls_trace;

/* Opens a trace that is written to `path`; NULL: *trace is NULL.  steps: "A-B", counted from the start of the command;
 * NULL: "3-12". */
ls_status ls_trace_open(ls_trace **trace, ls_run *run, const char *path, const char *steps);
ls_status ls_trace_step(ls_trace *trace);
bool      ls_trace_wants_more(const ls_trace *trace);
/* Frees it.  status: of what was traced; after an error nothing is written. */
ls_status ls_trace_close(ls_trace *trace, ls_status status);

#endif
