/* SPDX-License-Identifier: Apache-2.0
 *
 * Straggler detection: how long each rank was busy with data and computation in an epoch, how long it waited for other
 * ranks, and which rank was the slowest.  The others wait for that rank, so that only its busy time stands out.  The
 * times come from the flight recorder. */
#ifndef LS_LAUNCH_RUN_STRAGGLER_H
#define LS_LAUNCH_RUN_STRAGGLER_H

#include "launch/run/metrics.h"
#include "launch/run/run_setup.h"

/* Times of one rank in an epoch, seconds. */
typedef struct ls_rank_times {
    double data;     /* waiting for the loader                          */
    double compute;  /* forward, backward and update                    */
    double wait;     /* all-reduce and other waiting for other ranks    */
    char   host[64]; /* name of the rank's host                         */
} ls_rank_times;

/* Totals of the flight recorder at the begin of an epoch, nanoseconds. */
typedef struct ls_rank_times_mark {
    int64_t ns[LS_PHASES];
} ls_rank_times_mark;

/* Sets *mark to the present totals: an epoch begins. */
void ls_rank_times_begin(const ls_run *run, ls_rank_times_mark *mark);

/* Gathers the times of all ranks since *mark in times[ranks].  Collective. */
ls_status ls_run_rank_times(ls_run *run, const ls_rank_times_mark *mark, ls_rank_times *times);

/* Returns the rank that was busy longest.  *spread: its busy time divided by the median busy time, minus 1; 0.3 means
 * 30 % longer. */
int ls_straggler_find(const ls_rank_times *times, int ranks, double *spread);

/* Returns true if the slowest rank is worth a message: it was busy more than 10 % longer than the median rank, and the
 * difference is more than 5 % of its epoch.  A run whose ranks mostly wait for the network has no straggler. */
bool ls_straggler_matters(const ls_rank_times *times, int ranks);

/* Writes a line that names the slowest rank and a table of all ranks (of the 16 slowest, if there are more) to `text`:
 * "rank 2 on node1 was the slowest of epoch 3: ...". */
void ls_straggler_print(const ls_rank_times *times, int ranks, int64_t epoch, char *text, size_t room);

/* Writes the event "ranks" to metrics.jsonl. */
ls_status ls_rank_times_write(ls_events *events, const ls_rank_times *times, int ranks, int64_t step, int64_t epoch);

#endif
