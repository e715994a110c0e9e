/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics.jsonl: what a run reports, one JSON object a line.
 *
 *     start       step version recipe data samples parameters ranks threads isa
 *     step        step epoch loss lr samples_per_s digest          every log.every steps; of text tokens_per_s too
 *     eval        step epoch split loss accuracy wall_s            of text accuracy is null, and there are perplexity
 * and bits_per_byte checkpoint  step path digest bytes seconds waited_s cost_s wall_s     once it is there, steps
 * later; waited_s: for all so far end         status step loss accuracy digest wall_s waited_s samples_per_s
 * planned_bytes resident_peak_bytes ranks threads isa
 *
 * Every line is written with one write, so a killed run leaves whole lines and at most one torn last one.  A run that
 * continues from a checkpoint first drops what came after that checkpoint, so each step stands in the file once.
 */
#ifndef LS_LAUNCH_RUN_METRICS_H
#define LS_LAUNCH_RUN_METRICS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/status.h"

typedef struct ls_events ls_events;

/* Opens the file for appending.  What it holds of steps after `keep_step`, the end line and torn lines are dropped
 * first; keep_step < 0 drops everything. */
ls_status ls_events_open(ls_events **e, const char *path, int64_t keep_step);
void      ls_events_close(ls_events *e); /* NULL is allowed */

/* One event, given as for json_pack(): ls_events_write(e, "{s:s, s:I}", "event", "step", "step", (json_int_t)step).
 * What a full disk has no room for waits in memory, up to 16 MiB, and is written before the next event. */
ls_status ls_events_write(ls_events *e, const char *format, ...);
/* Writes what waits; LS_ERR_ENV where that still can't be done. */
ls_status ls_events_flush(ls_events *e);
/* Why something waits; NULL: nothing does. */
const char *ls_events_problem(const ls_events *e);

/* A number for "s:o"; null when it is not finite, which JSON cannot say. */
json_t *ls_events_number(double x);

/* Calls `each` for every event of the file, in order.  Lines that are no event (a torn one) are left out; a missing
 * file has none. */
ls_status ls_events_read(const char *path, void (*each)(const json_t *event, void *data), void *data);

/* A number of an event; `none` when it is missing or null. */
double ls_events_real(const json_t *event, const char *key, double none);
/* Whether the event is of that kind ("step", "eval", ...). */
bool ls_events_is(const json_t *event, const char *kind);

#endif
