/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds the cause of a hang.  The causes are tried in this order, and the first whose evidence holds is the diagnosis:
 * ranks that called different collectives explain any later death or delay, a dead rank explains why others wait, ...
 *
 *     cause        evidence                                              rank named         exit code  message
 *     OUT_OF_STEP  two ranks: equal collective number, other chain       differs from most  FAILED     is out of step
 *     DEAD         a process ended without a mark                        died first         ENV        was killed
 *     FAILED       a rank has marked an error                            the lowest         its own    its error
 *     LATE         a rank that must act exceeds its deadline             the latest         ENV        has been in
 *     SILENT       no heartbeat of a host for longer than the limit      lowest on host     ENV        no heartbeat
 *     LEFT         all others wait past the deadline, one has finished   the finished one   ENV        has left
 *     UNCALLED     all wait past the deadline, numbers of calls differ   the minority       FAILED     is out of step
 *     LOST         all wait past the deadline, numbers are equal         none               ENV        are waiting
 *
 * Ranks that are leaving because of a diagnosis, ranks held by a debugger, and ranks without a heartbeat yet are no
 * evidence.
 * tests/dist/health/test_hang_diagnosis.c has the same rows. */
#include "dist/health/hang_diagnosis.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Input of the search for a cause, and its result. */
typedef struct evidence {
    const ls_rank_state *state; /* [ranks] */
    int                  ranks;
    double               silence_s;
    int                  rank;            /* the rank to name; -1: none                                    */
    int                  other;           /* a rank to compare it with                                     */
    int                  more;            /* further ranks in the same situation                           */
    uint64_t             number;          /* OUT_OF_STEP: first collective that differs                    */
    bool                 pair;            /* OUT_OF_STEP: two ranks differ from each other, no majority    */
    bool                 extra;           /* UNCALLED: `rank` has called a collective more than the others */
    double               shortest_wait_s; /* LOST */
} evidence;

/* ---- parts of the line ------------------------------------------------------------------------------------------- */

static void append(ls_diagnosis *d, const char *format, ...) LS_PRINTF(2, 3);
static void append(ls_diagnosis *d, const char *format, ...)
{
    size_t  used = strlen(d->text);
    va_list args;
    va_start(args, format);
    vsnprintf(d->text + used, sizeof d->text - used, format, args);
    va_end(args);
}

static void append_seconds(ls_diagnosis *d, double s) { append(d, s < 9.95 ? "%.1f s" : "%.0f s", s); }

static void append_rank(ls_diagnosis *d, const ls_rank_state *s) { append(d, "rank %d on %s", s->rank, s->host); }

/* "in `backward` conv2" */
static void append_place(ls_diagnosis *d, const ls_rank_state *s)
{
    if (s->phase == LS_PHASE_NONE)
        append(d, "between two instructions");
    else if (strcmp(s->what, s->whole) != 0)
        append(d, "in %s of %s", s->what, s->whole);
    else if (ls__phase_waits(s->phase))
        append(d, "in %s", s->what);
    else
        append(d, "in `%s` %s", ls__phase_name(s->phase), s->what);
}

static void append_step(ls_diagnosis *d, const ls_rank_state *s)
{
    if (s->step > 0) append(d, " at step %lld", (long long)s->step);
}

static bool waits(const ls_rank_state *s) { return s->life == LS_LIFE_RUNNING && ls__phase_waits(s->phase); }

static bool has_gone(const ls_rank_state *s) { return s->life == LS_LIFE_FINISHED || s->life == LS_LIFE_LEAVING; }

/* Appends the collective in which most of the other ranks wait; nothing when none waits. */
static void append_waiting_ranks(ls_diagnosis *d, const evidence *e)
{
    int best = -1, most = 0, waiting = 0, others = 0;
    for (int r = 0; r < e->ranks; r++) {
        if (r == e->rank || has_gone(&e->state[r])) continue;
        others++;
        if (!waits(&e->state[r])) continue;
        int alike = 0;
        waiting++;
        for (int o = 0; o < e->ranks; o++)
            alike += o != e->rank && waits(&e->state[o]) && !strcmp(e->state[o].whole, e->state[r].whole);
        if (alike > most) {
            most = alike;
            best = r;
        }
    }
    if (best < 0) return;
    const ls_rank_state *s = &e->state[best];
    if (others == 1)
        append(d, "; rank %d waits in %s", s->rank, s->what);
    else if (waiting == others)
        append(d, "; the others wait in %s", s->what);
    else
        append(d, "; %d of the others wait in %s", waiting, s->what);
    if (strcmp(s->what, s->whole) != 0) append(d, " of %s", s->whole);
}

/* ---- OUT_OF_STEP ------------------------------------------------------------------------------------------------- */

static const ls_collective *collective_at(const ls_rank_state *s, uint64_t number)
{
    for (int i = 0; i < LS_KEPT_COLLECTIVES; i++)
        if (number && s->called[i].number == number) return &s->called[i];
    return NULL;
}

/* The lowest number at which both ranks have a record and the chains differ; 0: none. */
static uint64_t first_difference(const ls_rank_state *one, const ls_rank_state *other)
{
    uint64_t lowest = 0;
    for (int i = 0; i < LS_KEPT_COLLECTIVES; i++) {
        const ls_collective *mark = &one->called[i], *its = collective_at(other, mark->number);
        if (its && its->chain != mark->chain && (!lowest || mark->number < lowest)) lowest = mark->number;
    }
    return lowest;
}

/* The number of ranks from which `rank` differs; *first: the first collective that differs. */
static int count_differences(const evidence *e, int rank, uint64_t *first)
{
    int n  = 0;
    *first = 0;
    for (int r = 0; r < e->ranks; r++) {
        uint64_t at = first_difference(&e->state[rank], &e->state[r]);
        n += at != 0;
        if (at && (!*first || at < *first)) *first = at;
    }
    return n;
}

static bool find_out_of_step(evidence *e)
{
    bool any = false;
    for (int r = 1; r < e->ranks && !any; r++) any = first_difference(&e->state[0], &e->state[r]) != 0;
    if (!any) return false;
    /* The odd one out is the rank that differs from most. */
    int      most = -1, fewest = e->ranks + 1;
    uint64_t first;
    for (int r = 0; r < e->ranks; r++) {
        int n = count_differences(e, r, &first);
        if (n >= most) {
            most      = n;
            e->rank   = r;
            e->number = first;
        }
        if (n < fewest) fewest = n;
    }
    e->pair = most == 1 && fewest == 1;
    /* States of hosts are not simultaneous: compare with a rank that has a record of the first difference. */
    for (int r = e->ranks - 1; r >= 0; r--)
        if (first_difference(&e->state[e->rank], &e->state[r]) == e->number) e->other = r;
    return true;
}

static void append_collective(ls_diagnosis *d, const ls_collective *c, bool with_size)
{
    append(d, "%s", c->name);
    if (with_size) append(d, " of %llu", (unsigned long long)c->count);
}

static void describe_out_of_step(ls_diagnosis *d, const evidence *e)
{
    const ls_rank_state *odd = &e->state[e->rank], *other = &e->state[e->other];
    const ls_collective *own = collective_at(odd, e->number), *its = collective_at(other, e->number);
    if (e->pair) d->rank = -1;
    append_rank(d, odd);
    if (e->pair) {
        append(d, " and ");
        append_rank(d, other);
    }
    append(d, e->pair ? " are out of step" : " is out of step with the others");
    append(d, " since collective %llu", (unsigned long long)e->number);
    append_step(d, odd);
    const bool names_differ = its && strcmp(own->name, its->name) != 0;
    const bool sizes_differ = its && !names_differ && own->count != its->count;
    if (!names_differ && !sizes_differ) {
        append(d, " or earlier, when rank %d called other collectives", odd->rank);
        return;
    }
    append(d, ": rank %d called ", odd->rank);
    append_collective(d, own, sizes_differ);
    if (e->pair)
        append(d, ", rank %d called ", other->rank);
    else
        append(d, ", the others called ");
    append_collective(d, its, sizes_differ);
}

/* ---- DEAD, FAILED ------------------------------------------------------------------------------------------------ */

/* Of several dead ranks, the first to die is the cause: launchers kill the others.  Of two deaths seen at the same time
 * a crash is the cause. */
static bool find_dead(evidence *e)
{
    for (int r = 0; r < e->ranks; r++) {
        const ls_rank_state *s = &e->state[r];
        if (s->life != LS_LIFE_DEAD) continue;
        const ls_rank_state *best = e->rank < 0 ? NULL : &e->state[e->rank];
        if (!best || s->dead_s > best->dead_s || (s->dead_s >= best->dead_s && s->signal && !best->signal)) e->rank = r;
    }
    return e->rank >= 0;
}

static const char *signal_text(int number)
{
    static const struct {
        int         number;
        const char *text;
    } names[] = {{SIGSEGV, "SIGSEGV, invalid address"},
                 {SIGBUS, "SIGBUS, missing memory or file page"},
                 {SIGFPE, "SIGFPE, integer division error"},
                 {SIGILL, "SIGILL, instruction not supported by this processor"},
                 {SIGABRT, "SIGABRT, aborted by the program or a library; see its message above"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].number == number) return names[i].text;
    return "unknown signal";
}

static void describe_dead(ls_diagnosis *d, const evidence *e)
{
    const ls_rank_state *s = &e->state[e->rank];
    append_rank(d, s);
    if (s->signal)
        append(d, " crashed (%s)", signal_text(s->signal));
    else
        append(d, " was killed%s", s->memory_short ? " (the host has run out of memory)" : "");
    append(d, ", process %d, %s", s->process, s->silent_s > 0 ? "last seen " : "");
    append_place(d, s);
    append_step(d, s);
    append_waiting_ranks(d, e);
}

static bool find_failed(evidence *e)
{
    for (int r = e->ranks - 1; r >= 0; r--)
        if (e->state[r].life == LS_LIFE_FAILED) e->rank = r;
    return e->rank >= 0;
}

static void describe_failed(ls_diagnosis *d, const evidence *e)
{
    d->code = e->state[e->rank].status;
    append_rank(d, &e->state[e->rank]);
    append(d, ": %s", e->state[e->rank].message);
}

/* ---- LATE, SILENT ------------------------------------------------------------------------------------------------ */

/* True for a rank for which others may be waiting.  A rank between two instructions counts only when another rank waits
 * in a collective. */
static bool must_act(const ls_rank_state *s, bool awaited)
{
    if (s->life == LS_LIFE_STOPPED) return true;
    return s->life == LS_LIFE_RUNNING && !ls__phase_waits(s->phase) && (s->phase != LS_PHASE_NONE || awaited);
}

static bool find_late(evidence *e)
{
    double longest = 0;
    bool   awaited = false;
    e->more        = -1;
    for (int r = 0; r < e->ranks; r++) awaited |= waits(&e->state[r]);
    for (int r = 0; r < e->ranks; r++) {
        const ls_rank_state *s    = &e->state[r];
        const double         over = s->age_s - s->deadline_s;
        if (!must_act(s, awaited) || over <= 0) continue;
        e->more++;
        if (e->rank >= 0 && over <= longest) continue;
        e->rank = r;
        longest = over;
    }
    return e->rank >= 0;
}

static void append_activity(ls_diagnosis *d, const ls_rank_state *s)
{
    if (s->life == LS_LIFE_STOPPED)
        append(d, " (`kill -CONT %d` on that host resumes it)", s->process);
    else if (s->state == 'D')
        append(d, " (waiting for a disk or a file server)");
    else if (s->state == 'R')
        append(d, " (computing)");
    else if (s->state == 'S')
        append(d, " (sleeping)");
}

static void describe_late(ls_diagnosis *d, const evidence *e)
{
    const ls_rank_state *s = &e->state[e->rank];
    append_rank(d, s);
    if (e->more > 0) append(d, " (and %d more rank%s)", e->more, e->more == 1 ? "" : "s");
    if (s->life == LS_LIFE_STOPPED) {
        append(d, " has been stopped (SIGSTOP) for ");
        append_seconds(d, s->age_s);
        append(d, " ");
        append_place(d, s);
    } else {
        append(d, " has been ");
        append_place(d, s);
        append(d, " for ");
        append_seconds(d, s->age_s);
    }
    append_step(d, s);
    append_activity(d, s);
    append_waiting_ranks(d, e);
}

static bool find_silent(evidence *e)
{
    for (int r = 0; r < e->ranks; r++) {
        if (e->state[r].silent_s <= e->silence_s || has_gone(&e->state[r])) continue;
        if (e->rank < 0)
            e->rank = r;
        else
            e->more++;
    }
    return e->rank >= 0;
}

static void describe_silent(ls_diagnosis *d, const evidence *e)
{
    const ls_rank_state *s = &e->state[e->rank];
    append(d, "host %s (rank %d", s->host, s->rank);
    if (e->more) append(d, " and %d more", e->more);
    append(d, "): no heartbeat for ");
    append_seconds(d, s->silent_s);
    append(d, ": the host is down, or the network to it is cut; last seen ");
    append_place(d, s);
    append_step(d, s);
    append_waiting_ranks(d, e);
}

/* ---- LEFT, UNCALLED, LOST: all ranks wait ------------------------------------------------------------------------ */

/* True when every rank that is still in the run waits in a collective past its deadline. */
static bool all_wait(evidence *e)
{
    int waiting        = 0;
    e->shortest_wait_s = INFINITY;
    for (int r = 0; r < e->ranks; r++) {
        const ls_rank_state *s = &e->state[r];
        if (s->life == LS_LIFE_FINISHED) continue;
        if (!waits(s) || s->age_s <= s->deadline_s) return false;
        if (s->age_s < e->shortest_wait_s) e->shortest_wait_s = s->age_s;
        waiting++;
    }
    return waiting > 0 && e->ranks > 1;
}

static bool find_left(evidence *e)
{
    if (!all_wait(e)) return false;
    for (int r = 0; r < e->ranks; r++)
        if (e->state[r].life == LS_LIFE_FINISHED) e->rank = r;
    return e->rank >= 0;
}

static void describe_left(ls_diagnosis *d, const evidence *e)
{
    append_rank(d, &e->state[e->rank]);
    append(d, " has left the run");
    append_step(d, &e->state[e->rank]);
    append_waiting_ranks(d, e);
}

/* Some ranks have called one collective more than the others; the minority is named. */
static bool find_uncalled(evidence *e)
{
    uint64_t most  = 0;
    int      ahead = -1, behind = -1, ranks_ahead = 0;
    if (!all_wait(e)) return false;
    for (int r = 0; r < e->ranks; r++)
        if (e->state[r].calls > most) most = e->state[r].calls;
    for (int r = e->ranks - 1; r >= 0; r--) {
        const bool is_ahead = e->state[r].calls == most;
        ranks_ahead += is_ahead;
        if (is_ahead)
            ahead = r;
        else
            behind = r;
    }
    if (behind < 0) return false;
    e->extra = ranks_ahead <= e->ranks / 2;
    e->rank  = e->extra ? ahead : behind;
    e->other = e->extra ? behind : ahead;
    return true;
}

static void describe_uncalled(ls_diagnosis *d, const evidence *e)
{
    const ls_rank_state *s = &e->state[e->rank];
    append_rank(d, s);
    append(d, " is out of step with the others: it waits ");
    append_place(d, s);
    append_step(d, s);
    append(d, e->extra ? ", which the others have not called" : " and has not called the collective of the others");
    append(d, "; rank %d waits ", e->state[e->other].rank);
    append_place(d, &e->state[e->other]);
}

static void describe_lost(ls_diagnosis *d, const evidence *e)
{
    append(d, "all %d ranks have been waiting for each other for ", e->ranks);
    append_seconds(d, e->shortest_wait_s);
    append(d, " in %s", e->state[0].whole);
    append_step(d, &e->state[0]);
    append(d, ": a message between them is lost; is the network down?");
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static const struct {
    ls_cause  cause;
    ls_status code;
    bool (*find)(evidence *e); /* sets e->rank */
    void (*describe)(ls_diagnosis *d, const evidence *e);
} causes[] = {
    {LS_CAUSE_OUT_OF_STEP, LS_ERR_FAILED, find_out_of_step, describe_out_of_step},
    {LS_CAUSE_DEAD, LS_ERR_ENV, find_dead, describe_dead},
    {LS_CAUSE_FAILED, LS_ERR_ENV, find_failed, describe_failed},
    {LS_CAUSE_LATE, LS_ERR_ENV, find_late, describe_late},
    {LS_CAUSE_SILENT, LS_ERR_ENV, find_silent, describe_silent},
    {LS_CAUSE_LEFT, LS_ERR_ENV, find_left, describe_left},
    {LS_CAUSE_UNCALLED, LS_ERR_FAILED, find_uncalled, describe_uncalled},
    {LS_CAUSE_LOST, LS_ERR_ENV, all_wait, describe_lost},
};

bool ls__diagnose_hang(const ls_rank_state *state, int ranks, double silence_s, ls_diagnosis *d)
{
    *d = (ls_diagnosis){.cause = LS_CAUSE_NONE, .rank = -1};
    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) {
        evidence e = {.state = state, .ranks = ranks, .silence_s = silence_s, .rank = -1};
        if (!causes[i].find(&e)) continue;
        d->cause = causes[i].cause;
        d->code  = (int)causes[i].code;
        d->rank  = e.rank;
        causes[i].describe(d, &e);
        return true;
    }
    return false;
}
