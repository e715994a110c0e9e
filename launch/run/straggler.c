/* SPDX-License-Identifier: Apache-2.0
 * Who is slow, told from who waits for it: busy time against the median of all ranks. */
#include "launch/run/straggler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dist/comm/comm.h"

enum { ROWS = 16 };

static double busy(const ls_rank_times *p) { return p->data + p->compute; }

static double since(const ls_run *j, const ls_rank_times_mark *mark, ls_phase phase)
{
    const ls_flight *f = j->comm->flight;
    return f ? (double)(atomic_load(&f->log->spent_ns[phase]) - mark->ns[phase]) * 1e-9 : 0;
}

void ls_rank_times_begin(const ls_run *j, ls_rank_times_mark *mark)
{
    for (int p = 0; j->comm->flight && p < LS_PHASES; p++)
        mark->ns[p] = atomic_load(&j->comm->flight->log->spent_ns[p]);
}

ls_status ls_run_rank_times(ls_run *j, const ls_rank_times_mark *mark, ls_rank_times *pace)
{
    ls_rank_times mine = {.data = since(j, mark, LS_PHASE_DATA)};
    mine.compute =
        since(j, mark, LS_PHASE_FORWARD) + since(j, mark, LS_PHASE_BACKWARD) + since(j, mark, LS_PHASE_UPDATE);
    mine.wait = since(j, mark, LS_PHASE_REDUCE) + since(j, mark, LS_PHASE_WAIT);
    gethostname(mine.host, sizeof mine.host - 1);
    return ls_comm_allgather(j->comm, &mine, pace, sizeof mine);
}

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

int ls_straggler_find(const ls_rank_times *pace, int ranks, double *spread)
{
    int     slowest = 0;
    double *all     = malloc(sizeof *all * (size_t)ranks);
    *spread         = 0;
    for (int r = 0; r < ranks; r++) {
        if (busy(&pace[r]) > busy(&pace[slowest])) slowest = r;
        if (all) all[r] = busy(&pace[r]);
    }
    if (!all) return slowest;
    /* Of two ranks the median is the faster one. */
    qsort(all, (size_t)ranks, sizeof *all, descending);
    if (all[ranks / 2] > 0) *spread = all[0] / all[ranks / 2] - 1;
    free(all);
    return slowest;
}

/* How many were busy for longer, or as long and stand before it. */
static int place_of(const ls_rank_times *pace, int ranks, int rank)
{
    int before = 0;
    for (int r = 0; r < ranks; r++)
        before += busy(&pace[r]) > busy(&pace[rank]) || (r < rank && busy(&pace[r]) == busy(&pace[rank]));
    return before;
}

void ls_straggler_print(const ls_rank_times *pace, int ranks, int64_t epoch, char *text, size_t room)
{
    double spread;
    int    slowest = ls_straggler_find(pace, ranks, &spread);
    size_t used    = (size_t)snprintf(text, room,
                                      "rank %d on %s was the slowest of epoch %lld: busy for %.1f s, %.0f %% more than "
                                         "the median\n  %6s  %-16s %8s %9s %8s",
                                      slowest, pace[slowest].host, (long long)epoch, busy(&pace[slowest]), 100 * spread,
                                      "rank", "host", "data s", "compute s", "wait s");
    for (int r = 0; r < ranks && used < room; r++) {
        const ls_rank_times *p = &pace[r];
        if (place_of(pace, ranks, r) >= ROWS) continue;
        used += (size_t)snprintf(text + used, room - used, "\n  %6d  %-16.16s %8.2f %9.2f %8.2f", r, p->host, p->data,
                                 p->compute, p->wait);
    }
    if (ranks > ROWS && used < room)
        snprintf(text + used, room - used, "\n  and %d ranks that are faster", ranks - ROWS);
}

/* One number of each rank. */
static json_t *list(const ls_rank_times *pace, int ranks, size_t offset)
{
    json_t *all = json_array();
    for (int r = 0; r < ranks; r++)
        json_array_append_new(all, json_real(*(const double *)(const void *)((const char *)&pace[r] + offset)));
    return all;
}

ls_status ls_rank_times_write(ls_events *events, const ls_rank_times *pace, int ranks, int64_t step, int64_t epoch)
{
    double spread;
    int    slowest = ls_straggler_find(pace, ranks, &spread);
    return ls_events_write(events, "{s:s, s:I, s:I, s:i, s:f, s:o, s:o, s:o}", "event", "ranks", "step",
                           (json_int_t)step, "epoch", (json_int_t)epoch, "slowest", slowest, "spread", spread, "data_s",
                           list(pace, ranks, offsetof(ls_rank_times, data)), "compute_s",
                           list(pace, ranks, offsetof(ls_rank_times, compute)), "wait_s",
                           list(pace, ranks, offsetof(ls_rank_times, wait)));
}
