/* SPDX-License-Identifier: Apache-2.0
 * Straggler detection: compares the busy time of the slowest rank with the median of all ranks. */
#include "launch/run/straggler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dist/comm/comm.h"

enum { TABLE_ROWS = 16 };

#define MIN_SPREAD 0.1       /* excess over the median, relative to the median; ranks always differ by a few percent */
#define MIN_EPOCH_SHARE 0.05 /* excess over the median, relative to the epoch's time                                 */

static double busy(const ls_rank_times *t) { return t->data + t->compute; }

/* ---- measurement ------------------------------------------------------------------------------------------------- */

/* Returns the seconds that this rank has spent in a phase since *mark. */
static double seconds_since(const ls_run *run, const ls_rank_times_mark *mark, ls_phase phase)
{
    const ls_flight *f = run->comm->flight;
    return f ? (double)(atomic_load(&f->log->spent_ns[phase]) - mark->ns[phase]) * 1e-9 : 0;
}

void ls_rank_times_begin(const ls_run *run, ls_rank_times_mark *mark)
{
    for (int p = 0; run->comm->flight && p < LS_PHASES; p++)
        mark->ns[p] = atomic_load(&run->comm->flight->log->spent_ns[p]);
}

ls_status ls_run_rank_times(ls_run *run, const ls_rank_times_mark *mark, ls_rank_times *times)
{
    ls_rank_times own = {.data = seconds_since(run, mark, LS_PHASE_DATA)};
    own.compute       = seconds_since(run, mark, LS_PHASE_FORWARD) + seconds_since(run, mark, LS_PHASE_BACKWARD) +
                  seconds_since(run, mark, LS_PHASE_UPDATE);
    own.wait = seconds_since(run, mark, LS_PHASE_REDUCE) + seconds_since(run, mark, LS_PHASE_WAIT);
    gethostname(own.host, sizeof own.host - 1);
    return ls_comm_allgather(run->comm, &own, times, sizeof own);
}

/* ---- comparison -------------------------------------------------------------------------------------------------- */

static int descending(const void *x, const void *y)
{
    const double first = *(const double *)x, second = *(const double *)y;
    return (first < second) - (first > second);
}

/* Returns the slowest rank.  *median: median busy time of all ranks, of two ranks that of the faster one; 0 without
 * memory. */
static int find_slowest(const ls_rank_times *times, int ranks, double *median)
{
    int     slowest = 0;
    double *all     = malloc(sizeof *all * (size_t)ranks);
    *median         = 0;
    for (int r = 0; r < ranks; r++) {
        if (busy(&times[r]) > busy(&times[slowest])) slowest = r;
        if (all) all[r] = busy(&times[r]);
    }
    if (!all) return slowest;
    qsort(all, (size_t)ranks, sizeof *all, descending);
    *median = all[ranks / 2];
    free(all);
    return slowest;
}

int ls_straggler_find(const ls_rank_times *times, int ranks, double *spread)
{
    double    median;
    const int slowest = find_slowest(times, ranks, &median);
    *spread           = median > 0 ? busy(&times[slowest]) / median - 1 : 0;
    return slowest;
}

bool ls_straggler_matters(const ls_rank_times *times, int ranks)
{
    double               median;
    const ls_rank_times *slowest = &times[find_slowest(times, ranks, &median)];
    const double         excess  = busy(slowest) - median;
    return median > 0 && excess > MIN_SPREAD * median && excess > MIN_EPOCH_SHARE * (busy(slowest) + slowest->wait);
}

/* ---- output ------------------------------------------------------------------------------------------------------ */

/* Returns the position of a rank among all ranks, sorted from the slowest to the fastest. */
static int position_of(const ls_rank_times *times, int ranks, int rank)
{
    int before = 0;
    for (int r = 0; r < ranks; r++)
        before += busy(&times[r]) > busy(&times[rank]) || (r < rank && busy(&times[r]) == busy(&times[rank]));
    return before;
}

void ls_straggler_print(const ls_rank_times *times, int ranks, int64_t epoch, char *text, size_t room)
{
    double               spread;
    const int            slowest = ls_straggler_find(times, ranks, &spread);
    const ls_rank_times *s       = &times[slowest];

    size_t used = (size_t)snprintf(text, room,
                                   "rank %d on %s was the slowest of epoch %lld: busy for %.1f s, %.0f %% more than "
                                   "the median\n  %6s  %-16s %8s %9s %8s",
                                   slowest, s->host, (long long)epoch, busy(s), 100 * spread, "rank", "host", "data s",
                                   "compute s", "wait s");
    for (int r = 0; r < ranks && used < room; r++) {
        const ls_rank_times *t = &times[r];
        if (position_of(times, ranks, r) >= TABLE_ROWS) continue;
        used += (size_t)snprintf(text + used, room - used, "\n  %6d  %-16.16s %8.2f %9.2f %8.2f", r, t->host, t->data,
                                 t->compute, t->wait);
    }
    if (ranks > TABLE_ROWS && used < room)
        snprintf(text + used, room - used, "\n  and %d faster ranks", ranks - TABLE_ROWS);
}

/* Returns one field of all ranks as a JSON array; offset: that of the field in ls_rank_times. */
static json_t *field_of_ranks(const ls_rank_times *times, int ranks, size_t offset)
{
    json_t *all = json_array();
    for (int r = 0; r < ranks; r++)
        json_array_append_new(all, json_real(*(const double *)(const void *)((const char *)&times[r] + offset)));
    return all;
}

ls_status ls_rank_times_write(ls_events *events, const ls_rank_times *times, int ranks, int64_t step, int64_t epoch)
{
    double spread;
    int    slowest = ls_straggler_find(times, ranks, &spread);
    return ls_events_write(events, "{s:s, s:I, s:I, s:i, s:f, s:o, s:o, s:o}", "event", "ranks", "step",
                           (json_int_t)step, "epoch", (json_int_t)epoch, "slowest", slowest, "spread", spread, "data_s",
                           field_of_ranks(times, ranks, offsetof(ls_rank_times, data)), "compute_s",
                           field_of_ranks(times, ranks, offsetof(ls_rank_times, compute)), "wait_s",
                           field_of_ranks(times, ranks, offsetof(ls_rank_times, wait)));
}
