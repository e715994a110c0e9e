/* SPDX-License-Identifier: Apache-2.0
 *
 * How watchdogs end a run.  One watchdog prints the diagnosis (ls__watchdog_end_run); all others follow it
 * (ls__watchdog_follow).  Every process first marks its shared memory, and the hosts are informed, before it ends: the
 * end of a rank that follows a diagnosis must not become the subject of a second one. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "dist/comm/process_state.h"
#include "dist/health/watchdog.h"
#include "dist/health/watchdog_internal.h"

enum { ROUNDS = 3, ROUND_MS = 50 }; /* repetitions of the message to other hosts, in case datagrams are lost */

/* True when a member can act for its host: its watchdog ticks, and its process is neither stopped nor dead. */
static bool can_report(const ls_heartbeat *hb, int member, int64_t now)
{
    const ls_rank_block    *block = hb->block[member];
    const ls_rank_identity *id    = &hb->identity[hb->member[member]];
    const int64_t           quiet = now - atomic_load(&block->beat_ns);
    char                    state;
    if (atomic_load(&block->finished) || quiet >= REPORTER_TIMEOUT_MS * NS_PER_MS) return false;
    if (quiet <= 2 * TICK_MS * NS_PER_MS) return true;
    return ls__process_runs(id->process, id->started, &state) && state != 'T';
}

bool ls__watchdog_is_reporter(const ls_watchdog *w, int64_t now)
{
    for (int m = 0; m < w->hb->me; m++)
        if (can_report(w->hb, m, now)) return false;
    return true;
}

/* Writes the crash file of this rank and, with `others`, those of ranks that cannot write their own. */
static bool write_crash_files(const ls_watchdog *w, const char *text, bool others)
{
    const ls_heartbeat *hb = w->hb;
    if (!*w->folder || !ls__crash_report_write(hb, hb->me, w->folder, text)) return false;
    for (int m = 0; m < hb->members && others; m++) {
        int life = w->state[hb->member[m]].life;
        if (life == LS_LIFE_DEAD || life == LS_LIFE_STOPPED) (void)ls__crash_report_write(hb, m, w->folder, text);
    }
    return true;
}

/* Marks this rank as leaving.  The other ranks of the host read the mark in their next tick and follow. */
static void mark_leaving(ls_watchdog *w, int code, const char *text)
{
    ls_rank_block *own = w->hb->own;
    ls__watchdog_copy(own->text, sizeof own->text, text);
    atomic_store(&own->diagnosis, code + 1);
}

/* Sends the diagnosis to every rank of the other hosts, because it is unknown which of them is the reporter. */
static void send_leave(ls_watchdog *w, int code, const char *text)
{
    ls_heartbeat        *hb      = w->hb;
    ls_heartbeat_message message = {.kind = LS_HEARTBEAT_LEAVE, .code = code};
    if (hb->socket < 0) return;
    ls__watchdog_copy(message.u.text, sizeof message.u.text, text);
    for (int r = 0; r < hb->ranks; r++)
        if (hb->group[r] != hb->group[hb->rank]) ls__heartbeat_send_rank(hb, &message, r);
}

/* Continues ranks that were stopped, so that they follow the diagnosis.  The last action before the end, because a
 * continued rank would otherwise go on with the run. */
static void continue_stopped_ranks(const ls_watchdog *w)
{
    const ls_heartbeat *hb = w->hb;
    for (int m = 0; m < hb->members; m++)
        if (w->state[hb->member[m]].life == LS_LIFE_STOPPED) kill(hb->identity[hb->member[m]].process, SIGCONT);
}

static void print_diagnosis(const ls_watchdog *w, const char *text)
{
    char line[LS_DIAGNOSIS_TEXT + 64];
    int  n = snprintf(line, sizeof line, "%slockstep: error: %s\n", w->settings.progress_line ? "\r\033[K" : "", text);
    if (write(STDERR_FILENO, line, (size_t)n) != n) return; /* stderr is closed; the exit code remains */
}

void ls__watchdog_end_run(ls_watchdog *w, ls_diagnosis *d)
{
    int32_t free_to_print = 0;
    if (!atomic_compare_exchange_strong(&w->hb->block[0]->diagnosing, &free_to_print, 1)) return;
    w->stage = STAGE_ENDING;
    if (write_crash_files(w, d->text, true)) {
        size_t used = strlen(d->text);
        snprintf(d->text + used, sizeof d->text - used, "; crash files in %s", w->folder);
    }
    /* The other hosts first: the launcher may kill this process as soon as it has noticed the end of any rank. */
    send_leave(w, d->code, d->text);
    print_diagnosis(w, d->text);
    mark_leaving(w, d->code, d->text);
    for (int i = 1; i < ROUNDS && w->hb->socket >= 0; i++) {
        usleep(ROUND_MS * 1000);
        send_leave(w, d->code, d->text);
    }
    continue_stopped_ranks(w);
    _exit(d->code);
}

/* The exits are staggered: after the first exit mpirun waits 1 s before it kills the other ranks, unless a second rank
 * exits in that time. */
void ls__watchdog_follow(ls_watchdog *w, int code, const char *text)
{
    enum { AFTER_MS = 200, STAGGER_MS = 100 };
    char copy[LS_DIAGNOSIS_TEXT];
    w->stage = STAGE_ENDING;
    ls__watchdog_copy(copy, sizeof copy, text);
    mark_leaving(w, code, copy);
    /* Passes the diagnosis on, for hosts whose datagrams were lost; one rank of each host is enough. */
    if (ls__watchdog_is_reporter(w, ls__clock_ns())) send_leave(w, code, copy);
    (void)write_crash_files(w, copy, false);
    usleep((AFTER_MS + w->hb->me % 2 * STAGGER_MS) * 1000);
    _exit(code);
}
