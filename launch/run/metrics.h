/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics.jsonl: the log of a run, one JSON object per line.
 *
 *     start       step version recipe recipe_hash data samples steps parameters ranks threads bucket_bytes isa
 *                 [precision]                                                      bfloat16; absent: float32
 *     step        step epoch loss lr samples_per_s [tokens_per_s] digest              every log.every steps
 *     eval        step epoch split loss samples METRICS wall_s       metrics of the task
 *     ranks       step epoch slowest spread data_s compute_s wait_s                   after an epoch on several ranks
 *     checkpoint  step path digest bytes seconds waited_s cost_s wall_s               once published, steps later
 *     end         status step loss samples METRICS digest wall_s waited_s samples_per_s planned_bytes
 *                 resident_peak_bytes ranks threads isa
 *
 * Times are in seconds; waited_s is the total time that the run has waited for checkpoints so far.  Each line is
 * written by one call of write(), so that a killed run leaves complete lines and at most one incomplete last line.  A
 * run that continues from a checkpoint first removes the lines of later steps, so that each step is in the file once.
 */
#ifndef LS_LAUNCH_RUN_METRICS_H
#define LS_LAUNCH_RUN_METRICS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/status.h"

typedef struct ls_events ls_events;

/* Opens the file for appending.  Removes the events after step `keep_step`, the end event and an incomplete last line
 * first; keep_step < 0 removes everything. */
ls_status ls_events_open(ls_events **e, const char *path, int64_t keep_step);
void      ls_events_close(ls_events *e); /* NULL is allowed */

/* Appends an event, given as for json_pack(): ls_events_write(e, "{s:s, s:I}", "event", "step", "step",
 * (json_int_t)step). While the disk is full, up to 16 MiB of events wait in memory; they are written before the next
 * event. */
ls_status ls_events_write(ls_events *e, const char *format, ...);
/* Appends an event; takes ownership of it. */
ls_status ls_events_put(ls_events *e, json_t *event);
/* Writes the waiting events; LS_ERR_ENV when the disk is still full. */
ls_status ls_events_flush(ls_events *e);
/* Returns the reason for which events wait in memory; NULL: no event waits. */
const char *ls_events_problem(const ls_events *e);

/* Returns a number for "s:o"; null for NaN and infinity, which JSON does not have. */
json_t *ls_events_number(double x);

/* Calls `each` for every event of the file, in order.  Skips lines that are not events, e.g. an incomplete last
 * line.  A missing file has no events. */
ls_status ls_events_read(const char *path, void (*each)(const json_t *event, void *data), void *data);

/* Returns a number of an event; `none` when it is missing or null. */
double ls_events_real(const json_t *event, const char *key, double none);
/* Returns whether the event is of that kind ("step", "eval", ...). */
bool ls_events_is(const json_t *event, const char *kind);

#endif
