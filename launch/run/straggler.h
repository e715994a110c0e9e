/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the ranks' time goes: how long each was busy with data and computing, and how long it waited for the others.  What all wait for is
 * the slowest one, and the sums of the whole run do not show which one that is. */
#ifndef LS_LAUNCH_RUN_STRAGGLER_H
#define LS_LAUNCH_RUN_STRAGGLER_H

#include "launch/run/metrics.h"
#include "launch/run/run_setup.h"

/* Seconds of a rank since it was last asked. */
typedef struct ls_pace {
    double data, compute, wait;
    char   host[64];
} ls_pace;

/* What the flight recorder had counted when it was last asked; all 0 at first. */
typedef struct ls_pace_mark {
    int64_t ns[LS_PHASES];
} ls_pace_mark;

/* All ranks' times since `mark`, in pace[ranks].  Collective. */
ls_status ls_job_pace(ls_job *j, const ls_pace_mark *mark, ls_pace *pace);
/* From here on it is counted anew. */
void ls_pace_begin(const ls_job *j, ls_pace_mark *mark);

/* The rank that was busy for longest, and by which part of the median it was longer: 0.3 is 30 %. */
int ls_pace_slowest(const ls_pace *pace, int ranks, double *spread);

/* Less than this says nothing: ranks always differ a little. */
#define LS_PACE_SPREAD 0.1

/* "rank 2 on node1 was the slowest of epoch 3: ..." and a table, of many ranks only the slowest. */
void ls_pace_print(const ls_pace *pace, int ranks, int64_t epoch, char *text, size_t room);

/* The event "ranks" of metrics.jsonl. */
ls_status ls_pace_write(ls_events *events, const ls_pace *pace, int ranks, int64_t step, int64_t epoch);

#endif
