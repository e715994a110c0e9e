/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the ranks' time goes: how long each was busy with data and computing, and how long it waited for the others.
 * What all wait for is the slowest one, and the sums of the whole run do not show which one that is. */
#ifndef LS_LAUNCH_RUN_STRAGGLER_H
#define LS_LAUNCH_RUN_STRAGGLER_H

#include "launch/run/metrics.h"
#include "launch/run/run_setup.h"

/* Seconds of a rank since it was last asked. */
typedef struct ls_rank_times {
    double data, compute, wait;
    char   host[64];
} ls_rank_times;

/* What the flight recorder had counted when it was last asked; all 0 at first. */
typedef struct ls_rank_times_mark {
    int64_t ns[LS_PHASES];
} ls_rank_times_mark;

/* All ranks' times since `mark`, in pace[ranks].  Collective. */
ls_status ls_run_rank_times(ls_run *j, const ls_rank_times_mark *mark, ls_rank_times *pace);
/* From here on it is counted anew. */
void ls_rank_times_begin(const ls_run *j, ls_rank_times_mark *mark);

/* The rank that was busy for longest, and by which part of the median it was longer: 0.3 is 30 %. */
int ls_straggler_find(const ls_rank_times *pace, int ranks, double *spread);

/* Less than this says nothing: ranks always differ a little. */
#define LS_STRAGGLER_SPREAD 0.1

/* "rank 2 on node1 was the slowest of epoch 3: ..." and a table, of many ranks only the slowest. */
void ls_straggler_print(const ls_rank_times *pace, int ranks, int64_t epoch, char *text, size_t room);

/* The event "ranks" of metrics.jsonl. */
ls_status ls_rank_times_write(ls_events *events, const ls_rank_times *pace, int ranks, int64_t step, int64_t epoch);

#endif
