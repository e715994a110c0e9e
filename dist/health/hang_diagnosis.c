/* SPDX-License-Identifier: Apache-2.0
 *
 * Causes, from the surest to the vaguest; the first one that holds is the verdict.  Where ranks called different
 * collectives, whatever else they suffer follows from that; a dead rank explains why others wait, and so on. */
#include "dist/health/hang_diagnosis.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void say(ls_diagnosis *v, const char *format, ...) LS_PRINTF(2, 3);
static void say(ls_diagnosis *v, const char *format, ...)
{
    size_t  used = strlen(v->text);
    va_list args;
    va_start(args, format);
    vsnprintf(v->text + used, sizeof v->text - used, format, args);
    va_end(args);
}

static bool waits(const ls_rank_view *v) { return v->life == LS_LIFE_RUNS && ls__phase_waits(v->phase); }

/* ---- parts of the line ------------------------------------------------------------------------------------------- */

static void say_seconds(ls_diagnosis *v, double s) { say(v, s < 9.95 ? "%.1f s" : "%.0f s", s); }

static void say_rank(ls_diagnosis *v, const ls_rank_view *it) { say(v, "rank %d on %s", it->rank, it->host); }

/* "in `backward` conv2" */
static void say_place(ls_diagnosis *v, const ls_rank_view *it)
{
    if (it->phase == LS_PHASE_NONE)
        say(v, "between two instructions");
    else if (strcmp(it->what, it->whole) != 0)
        say(v, "in %s of %s", it->what, it->whole);
    else if (ls__phase_waits(it->phase))
        say(v, "in %s", it->what);
    else
        say(v, "in `%s` %s", ls__phase_name(it->phase), it->what);
}

static void say_step(ls_diagnosis *v, const ls_rank_view *it)
{
    if (it->step > 0) say(v, " at step %lld", (long long)it->step);
}

/* What the ranks besides `but` wait in: the collective of most, and nothing when none waits. */
static void say_others(ls_diagnosis *v, const ls_rank_view *view, int ranks, int but)
{
    int best = -1, most = 0, waiting = 0, others = 0;
    for (int r = 0; r < ranks; r++) {
        if (r == but || view[r].life == LS_LIFE_ENDED) continue;
        others++;
        if (!waits(&view[r])) continue;
        int alike = 0;
        waiting++;
        for (int o = 0; o < ranks; o++) alike += o != but && waits(&view[o]) && !strcmp(view[o].whole, view[r].whole);
        if (alike > most) {
            most = alike;
            best = r;
        }
    }
    if (best < 0) return;
    const ls_rank_view *it   = &view[best];
    const bool          part = strcmp(it->what, it->whole) != 0;
    if (others == 1)
        say(v, "; rank %d waits in %s", it->rank, it->what);
    else if (waiting == others)
        say(v, "; the others wait in %s", it->what);
    else
        say(v, "; %d of the others wait in %s", waiting, it->what);
    if (part) say(v, " of %s", it->whole);
}

static void say_how_many(ls_diagnosis *v, int more)
{
    if (more > 0) say(v, " (and %d more rank%s)", more, more == 1 ? "" : "s");
}

/* ---- collectives that differ ------------------------------------------------------------------------------------- */

static const struct ls_call_mark *mark_at(const ls_rank_view *v, uint64_t number)
{
    for (int m = 0; m < LS_MARKS; m++)
        if (number && v->mark[m].number == number) return &v->mark[m];
    return NULL;
}

/* The lowest number at which both have a mark and the marks differ; 0: none. */
static uint64_t first_difference(const ls_rank_view *one, const ls_rank_view *other)
{
    uint64_t lowest = 0;
    for (int m = 0; m < LS_MARKS; m++) {
        const struct ls_call_mark *mark = &one->mark[m], *its = mark_at(other, mark->number);
        if (its && its->chain != mark->chain && (!lowest || mark->number < lowest)) lowest = mark->number;
    }
    return lowest;
}

static void say_call(ls_diagnosis *v, const struct ls_call_mark *mark, bool sized)
{
    say(v, "%s", mark->what);
    if (sized) say(v, " of %llu", (unsigned long long)mark->count);
}

/* With how many ranks this one is not in step; *first: since which collective. */
static int differs_from(const ls_rank_view *view, int ranks, int rank, uint64_t *first)
{
    int n  = 0;
    *first = 0;
    for (int r = 0; r < ranks; r++) {
        uint64_t at = first_difference(&view[rank], &view[r]);
        n += at != 0;
        if (at && (!*first || at < *first)) *first = at;
    }
    return n;
}

static bool out_of_step(const ls_rank_view *view, int ranks, ls_diagnosis *v)
{
    bool any = false;
    for (int r = 1; r < ranks && !any; r++) any = first_difference(&view[0], &view[r]) != 0;
    if (!any) return false;
    /* Who differs from most is the odd one out. */
    int      odd = 0, most = -1, usual = 0, fewest = ranks + 1;
    uint64_t number = 0, first;
    for (int r = 0; r < ranks; r++) {
        int n = differs_from(view, ranks, r, &first);
        if (n >= most) {
            most   = n;
            odd    = r;
            number = first;
        }
        if (n < fewest) fewest = n;
    }
    /* Views are not all of the same moment: one that knows the collective where the difference began. */
    for (int r = ranks - 1; r >= 0; r--)
        if (first_difference(&view[odd], &view[r]) == number) usual = r;
    const ls_rank_view        *it = &view[odd], *other = &view[usual];
    const struct ls_call_mark *mark = mark_at(it, number), *its = mark_at(other, number);
    const bool                 two = most == 1 && fewest == 1;
    v->code                        = LS_ERR_FAILED;
    v->rank                        = two ? -1 : it->rank;
    say_rank(v, it);
    if (two) {
        say(v, " and ");
        say_rank(v, other);
    }
    say(v, two ? " are out of step since collective %llu" : " is out of step with the others since collective %llu",
        (unsigned long long)number);
    say_step(v, it);
    const bool named = its && strcmp(mark->what, its->what) != 0, sized = its && !named && mark->count != its->count;
    if (!named && !sized) {
        say(v, " or before that, when rank %d called others", it->rank);
        return true;
    }
    say(v, ": rank %d called ", it->rank);
    say_call(v, mark, sized);
    if (two)
        say(v, ", rank %d ", other->rank);
    else
        say(v, ", the others ");
    say_call(v, its, sized);
    return true;
}

/* ---- the other causes -------------------------------------------------------------------------------------------- */

static bool failed(const ls_rank_view *view, int ranks, ls_diagnosis *v)
{
    for (int r = 0; r < ranks; r++) {
        if (view[r].life != LS_LIFE_FAILED) continue;
        v->rank = view[r].rank;
        v->code = view[r].status;
        say_rank(v, &view[r]);
        say(v, ": %s", view[r].message);
        return true;
    }
    return false;
}

static const char *crash_name(int number)
{
    static const struct {
        int         number;
        const char *text;
    } names[] = {{SIGSEGV, "SIGSEGV, a wrong address"},
                 {SIGBUS, "SIGBUS, memory or a file that is not there"},
                 {SIGFPE, "SIGFPE, a wrong division"},
                 {SIGILL, "SIGILL, an instruction that this processor does not have"},
                 {SIGABRT, "SIGABRT, by itself: what it said stands above"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].number == number) return names[i].text;
    return "a signal";
}

static bool dead(const ls_rank_view *view, int ranks, ls_diagnosis *v)
{
    for (int r = 0; r < ranks; r++) {
        const ls_rank_view *it = &view[r];
        if (it->life != LS_LIFE_DEAD) continue;
        v->rank = it->rank;
        v->code = LS_ERR_ENV;
        say_rank(v, it);
        if (it->signal)
            say(v, " crashed (%s)", crash_name(it->signal));
        else
            say(v, " was killed%s", it->memory_short ? " (the host has run out of memory)" : "");
        say(v, ", process %d, %s", it->process, it->silent_s > 0 ? "last seen " : "");
        say_place(v, it);
        say_step(v, it);
        say_others(v, view, ranks, r);
        return true;
    }
    return false;
}

/* How it is late, in words that say what to look for. */
static void say_state(ls_diagnosis *v, const ls_rank_view *it)
{
    if (it->life == LS_LIFE_STOPPED)
        say(v, " (kill -CONT %d there lets it go on)", it->process);
    else if (it->state == 'D')
        say(v, " (it waits for a disk or a file server)");
    else if (it->state == 'R')
        say(v, " (it computes)");
    else if (it->state == 'S')
        say(v, " (it sleeps)");
}

/* Whose turn it is.  A rank between two instructions only matters when somebody waits for it. */
static bool has_to_move(const ls_rank_view *it, bool awaited)
{
    if (it->life == LS_LIFE_STOPPED) return true;
    return it->life == LS_LIFE_RUNS && !ls__phase_waits(it->phase) && (it->phase != LS_PHASE_NONE || awaited);
}

static bool late(const ls_rank_view *view, int ranks, ls_diagnosis *v)
{
    int    worst = -1, more = -1;
    double by      = 0;
    bool   awaited = false;
    for (int r = 0; r < ranks; r++) awaited |= waits(&view[r]);
    for (int r = 0; r < ranks; r++) {
        const ls_rank_view *it = &view[r];
        if (!has_to_move(it, awaited) || it->age_s <= it->deadline_s) continue;
        more++;
        if (worst < 0 || it->age_s - it->deadline_s > by) {
            worst = r;
            by    = it->age_s - it->deadline_s;
        }
    }
    if (worst < 0) return false;
    const ls_rank_view *it = &view[worst];
    v->rank                = it->rank;
    v->code                = LS_ERR_ENV;
    say_rank(v, it);
    say_how_many(v, more);
    if (it->life == LS_LIFE_STOPPED) {
        say(v, " has been stopped (SIGSTOP) for ");
        say_seconds(v, it->age_s);
        say(v, " ");
        say_place(v, it);
    } else {
        say(v, " has been ");
        say_place(v, it);
        say(v, " for ");
        say_seconds(v, it->age_s);
    }
    say_step(v, it);
    say_state(v, it);
    say_others(v, view, ranks, worst);
    return true;
}

static bool silent(const ls_rank_view *view, int ranks, double silence_s, ls_diagnosis *v)
{
    int first = -1, more = 0;
    for (int r = 0; r < ranks; r++) {
        if (view[r].silent_s <= silence_s || view[r].life == LS_LIFE_ENDED) continue;
        if (first < 0)
            first = r;
        else
            more++;
    }
    if (first < 0) return false;
    const ls_rank_view *it = &view[first];
    v->rank                = it->rank;
    v->code                = LS_ERR_ENV;
    say(v, "no word from %s (rank %d", it->host, it->rank);
    if (more) say(v, " and %d more", more);
    say(v, ") for ");
    say_seconds(v, it->silent_s);
    say(v, ": the host is down, or the network to it is cut; it was last seen ");
    say_place(v, it);
    say_step(v, it);
    say_others(v, view, ranks, first);
    return true;
}

/* All wait, but not in the same collective: some have called one more than others. */
static bool not_all_called(const ls_rank_view *view, int ranks, ls_diagnosis *v)
{
    uint64_t most  = 0;
    int      ahead = -1, behind = -1, ahead_ranks = 0;
    for (int r = 0; r < ranks; r++)
        if (view[r].calls > most) most = view[r].calls;
    for (int r = ranks - 1; r >= 0; r--) {
        ahead_ranks += view[r].calls == most;
        if (view[r].calls == most)
            ahead = r;
        else
            behind = r;
    }
    if (behind < 0) return false;
    const bool          extra = ahead_ranks <= ranks / 2;
    const ls_rank_view *odd = &view[extra ? ahead : behind], *other = &view[extra ? behind : ahead];
    v->rank = odd->rank;
    v->code = LS_ERR_FAILED;
    say_rank(v, odd);
    say(v, " is out of step with the others: it waits ");
    say_place(v, odd);
    say_step(v, odd);
    say(v,
        extra ? ", a collective that the others have not called; rank %d waits "
              : " and has not called the collective of the others; rank %d waits ",
        other->rank);
    say_place(v, other);
    return true;
}

static bool nobody_moves(const ls_rank_view *view, int ranks, ls_diagnosis *v)
{
    int    left = -1, first = -1, waiting = 0;
    double age = INFINITY;
    for (int r = 0; r < ranks; r++) {
        if (view[r].life == LS_LIFE_ENDED) {
            left = r;
            continue;
        }
        if (!waits(&view[r]) || view[r].age_s <= view[r].deadline_s) return false;
        if (first < 0) first = r;
        if (view[r].age_s < age) age = view[r].age_s;
        waiting++;
    }
    if (!waiting || ranks == 1) return false;
    v->code = LS_ERR_ENV;
    if (left >= 0) {
        v->rank = view[left].rank;
        say_rank(v, &view[left]);
        say(v, " has left the run");
        say_step(v, &view[left]);
        say_others(v, view, ranks, left);
        return true;
    }
    if (not_all_called(view, ranks, v)) return true;
    v->rank = -1;
    say(v, "all %d ranks have been waiting for each other for ", ranks);
    say_seconds(v, age);
    say(v, " in %s", view[first].whole);
    say_step(v, &view[first]);
    say(v, ": a message between them is lost; is the network down?");
    return true;
}

bool ls__diagnose_hang(const ls_rank_view *view, int ranks, double silence_s, ls_diagnosis *verdict)
{
    *verdict = (ls_diagnosis){.rank = -1};
    return out_of_step(view, ranks, verdict) || failed(view, ranks, verdict) || dead(view, ranks, verdict) ||
           late(view, ranks, verdict) || silent(view, ranks, silence_s, verdict) || nobody_moves(view, ranks, verdict);
}
