/* SPDX-License-Identifier: Apache-2.0
 *
 * The watchdog thread of a rank.
 *
 * Roles.  On each host the lowest rank whose watchdog ticks is the reporter: it observes all ranks of the host through
 * shared memory.  The reporter on the host of rank 0 is the coordinator: the other reporters send it what they observe,
 * and it looks for the cause of a hang (dist/health/hang_diagnosis.c).  All other watchdogs stand by.  A reporter that
 * does not tick for a second is replaced by the next rank.  When the coordinator is lost, the reporters of the other
 * hosts make the diagnosis, one host after the other.
 *
 * Stages:
 *
 *                heartbeats of all hosts                deadline near or
 *     MEETING ----------------------------> WATCHING <-------------------> ALERT
 *        |       received, or 10 s passed      |       death unconfirmed     |
 *        |                                     |                             |
 *        +-------------------------------------+-----------------------------+
 *                                              |  own diagnosis, or a diagnosis of another watchdog
 *                                              v
 *                                           ENDING: mark, inform, exit with the code of the diagnosis
 *
 * A death seen with several hosts is confirmed for CONFIRM_MS before it is diagnosed, so that the rank that died first
 * is named: a launcher that has noticed one death kills the other ranks.  During that time the coordinator sends the
 * unconfirmed diagnosis to all reporters; if it is killed itself, they print that one. */
#include "dist/health/watchdog.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "dist/health/watchdog_internal.h"

static bool on_coordinator_host(const ls_watchdog *w, int rank) { return w->hb->group[rank] == w->hb->group[0]; }

/* ---- messages between hosts -------------------------------------------------------------------------------------- */

/* Informs the reporters of the other hosts that the coordinator runs, and of the diagnosis that it is confirming. */
static void send_alive(ls_watchdog *w)
{
    ls_heartbeat        *hb      = w->hb;
    ls_heartbeat_message message = {.kind = LS_HEARTBEAT_ALIVE, .code = w->pending.code};
    ls__watchdog_copy(message.u.text, sizeof message.u.text, w->pending.text);
    for (int r = 0; r < hb->ranks; r++)
        if (hb->group[r] == r && w->reporter[r].sin_port) ls__heartbeat_send(hb, &message, &w->reporter[r]);
}

/* Sends the state of a rank to the coordinator; while its address is unknown, to all ranks of its host. */
static void send_state(ls_watchdog *w, const ls_rank_state *state, int64_t now)
{
    ls_heartbeat        *hb      = w->hb;
    ls_heartbeat_message message = {.kind = LS_HEARTBEAT_STATE, .u.state = *state};
    if (w->coordinator_ns && now - w->coordinator_ns < REPORTER_TIMEOUT_MS * NS_PER_MS) {
        ls__heartbeat_send(hb, &message, &w->coordinator);
        return;
    }
    for (int r = 0; r < hb->ranks; r++)
        if (on_coordinator_host(w, r)) ls__heartbeat_send_rank(hb, &message, r);
}

static void receive_state(ls_watchdog *w, const ls_heartbeat_message *message, const struct sockaddr_in *from,
                          int64_t now)
{
    const ls_heartbeat *hb = w->hb;
    ls_rank_state       s  = message->u.state;
    if (s.rank < 0 || s.rank >= hb->ranks || hb->group[s.rank] == hb->group[hb->rank] ||
        hb->group[s.rank] != hb->group[message->from])
        return;
    s.what[sizeof s.what - 1]       = 0;
    s.whole[sizeof s.whole - 1]     = 0;
    s.host[sizeof s.host - 1]       = 0;
    s.message[sizeof s.message - 1] = 0;
    for (int i = 0; i < LS_KEPT_COLLECTIVES; i++) s.called[i].name[LS_COLLECTIVE_NAME - 1] = 0;
    w->received[s.rank]            = s;
    w->received_ns[s.rank]         = now;
    w->closed_ns[message->from]    = 0;
    w->reporter[hb->group[s.rank]] = *from;
}

static void receive_alive(ls_watchdog *w, const ls_heartbeat_message *message, const struct sockaddr_in *from,
                          int64_t now)
{
    if (!on_coordinator_host(w, message->from)) return;
    w->coordinator              = *from;
    w->coordinator_ns           = now;
    w->coordinator_last_ns      = now;
    w->closed_ns[message->from] = 0;
    w->pending                  = (ls_diagnosis){.rank = -1, .code = message->code};
    ls__watchdog_copy(w->pending.text, sizeof w->pending.text, message->u.text);
}

static void receive_messages(ls_watchdog *w, int64_t now)
{
    ls_heartbeat_message message;
    struct sockaddr_in   from;
    const bool           here = on_coordinator_host(w, w->hb->rank);
    for (int i = 0; i < MESSAGES_PER_TICK && ls__heartbeat_receive(w->hb, &message, &from); i++) {
        if (message.kind == LS_HEARTBEAT_STATE) {
            if (here) receive_state(w, &message, &from, now);
            continue;
        }
        message.u.text[sizeof message.u.text - 1] = 0;
        if (message.kind == LS_HEARTBEAT_LEAVE)
            ls__watchdog_follow(w, message.code, message.u.text);
        else if (message.kind == LS_HEARTBEAT_ALIVE && !here)
            receive_alive(w, &message, &from, now);
    }
}

/* The address from which a host has sent.  A closed port counts only there: other addresses in a host's list may, seen
 * from here, belong to a different host. */
static struct in_addr known_address(const ls_watchdog *w, int rank)
{
    return on_coordinator_host(w, rank) ? w->coordinator.sin_addr : w->reporter[w->hb->group[rank]].sin_addr;
}

/* Notes ranks with a closed UDP port: their processes have ended.  Returns true when one was open before. */
static bool receive_closed_ports(ls_watchdog *w, int64_t now)
{
    const ls_heartbeat *hb    = w->hb;
    bool                fresh = false;
    struct sockaddr_in  at;
    while (ls__heartbeat_refused(w->hb, &at))
        for (int r = 0; r < hb->ranks; r++) {
            if (hb->identity[r].port != at.sin_port || known_address(w, r).s_addr != at.sin_addr.s_addr ||
                hb->group[r] == hb->group[hb->rank])
                continue;
            fresh |= !w->closed_ns[r];
            if (!w->closed_ns[r]) w->closed_ns[r] = now;
            if (on_coordinator_host(w, r)) w->coordinator_ns = 0; /* another rank there may be the coordinator */
            struct sockaddr_in *reporter = &w->reporter[hb->group[r]];
            if (reporter->sin_port == at.sin_port)
                reporter->sin_port = 0; /* until a rank of the host sends its state */
        }
    return fresh;
}

/* ---- roles ------------------------------------------------------------------------------------------------------- */

/* With several hosts a death is confirmed after CONFIRM_MS; any other cause at once. */
static bool is_confirmed(const ls_watchdog *w, const ls_diagnosis *d)
{
    return w->hb->socket < 0 || d->cause != LS_CAUSE_DEAD || w->state[d->rank].dead_s > 1e-3 * CONFIRM_MS;
}

/* True when this process was suspended until shortly before and the other hosts have ended meanwhile.  They have taken
 * this process for dead and printed that diagnosis. */
static bool was_left_behind(const ls_watchdog *w, const ls_diagnosis *d, int64_t now)
{
    enum { RECENT_MS = 2000 };
    return d->rank >= 0 && w->closed_ns[d->rank] && w->resumed_ns && now - w->resumed_ns < RECENT_MS * NS_PER_MS;
}

/* The coordinator: looks for the cause of a hang among all ranks. */
static void coordinate(ls_watchdog *w, int64_t now, double floor_s)
{
    ls_diagnosis d;
    ls__watchdog_merge(w, now, floor_s);
    const bool found = ls__diagnose_hang(w->state, w->hb->ranks, floor_s, &d);
    if (found && is_confirmed(w, &d)) {
        if (was_left_behind(w, &d, now))
            ls__watchdog_follow(w, LS_ERR_ENV, "this rank was stopped; the other ranks have ended meanwhile");
        else
            ls__watchdog_end_run(w, &d);
        return;
    }
    if (found)
        w->pending = d;
    else
        w->pending = (ls_diagnosis){.rank = -1};
    if (w->hb->socket >= 0) send_alive(w);
}

/* Makes the diagnosis on a host that has lost the coordinator. */
static void diagnose_lost_coordinator(ls_watchdog *w, bool closed, double quiet_s)
{
    const ls_rank_identity *zero = &w->hb->identity[0];
    const ls_rank_state    *own  = &w->state[w->hb->rank];
    ls_diagnosis            d    = {.rank = 0, .code = LS_ERR_ENV};
    char                    here[LS_FLIGHT_NAME + 128];
    int                     hosts = 0;
    for (int r = 0; r < w->hb->ranks; r++) hosts += w->hb->group[r] == r;
    if (*w->pending.text) {
        d = w->pending;
        ls__watchdog_end_run(w, &d);
        return;
    }
    snprintf(here, sizeof here, "rank %d on %s is in %s at step %lld", own->rank, own->host, own->whole,
             (long long)own->step);
    if (closed)
        snprintf(d.text, sizeof d.text, "rank 0 on %s was killed%s, process %d; %s", zero->host,
                 hosts > 2 ? " (perhaps by the launcher, after the end of another rank)" : "", zero->process, here);
    else
        snprintf(
            d.text, sizeof d.text,
            "host %s (rank 0): no heartbeat for %.1f s: the process was stopped, the host is down, or the network to "
            "it is cut; %s",
            zero->host, quiet_s, here);
    ls__watchdog_end_run(w, &d);
}

/* A reporter of another host: sends the states of its ranks, and watches the coordinator. */
static void report(ls_watchdog *w, int64_t now, double floor_s)
{
    const ls_heartbeat *hb      = w->hb;
    const int64_t       since   = w->coordinator_last_ns > w->resumed_ns ? w->coordinator_last_ns : w->resumed_ns;
    const double        quiet_s = (double)(now - since) * S_PER_NS;
    const bool          late    = w->coordinator_last_ns && quiet_s > ALERT_FRACTION * floor_s;
    bool                closed  = true; /* the ports of all ranks on the coordinator's host */
    int                 before  = 0;    /* hosts that diagnose before this one              */
    for (int r = 0; r < hb->ranks; r++) {
        closed &= !on_coordinator_host(w, r) || w->closed_ns[r];
        before += r < hb->group[hb->rank] && hb->group[r] == r && !on_coordinator_host(w, r);
    }
    /* A coordinator that does not read keeps room in its buffer: reports to it are not sent more often on alert. */
    if (w->ticks % (1 + hb->ranks / 256) == 0 && (!late || now - w->sent_ns >= TICK_MS * NS_PER_MS)) {
        for (int m = 0; m < hb->members; m++) send_state(w, &w->state[hb->member[m]], now);
        w->sent_ns = now;
    }
    w->suspicious |= late || closed;
    if (!w->coordinator_last_ns || (!closed && quiet_s <= floor_s)) {
        w->lost_ns = 0;
        return;
    }
    if (!w->lost_ns) w->lost_ns = now;
    const int64_t wait_ms = before * TAKEOVER_MS + (closed ? 2 * CONFIRM_MS : 0);
    if (now - w->lost_ns >= wait_ms * NS_PER_MS) diagnose_lost_coordinator(w, closed, quiet_s);
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

/* True when the heartbeats of all other hosts, or of the coordinator, have arrived, or their time is over.  A host that
 * has never sent one is not reported as silent. */
static bool hosts_have_met(const ls_watchdog *w, int64_t now)
{
    const ls_heartbeat *hb  = w->hb;
    bool                met = true;
    if (hb->socket < 0 || now - w->began_ns > MEETING_LIMIT_MS * NS_PER_MS) return true;
    if (!on_coordinator_host(w, hb->rank)) return w->coordinator_last_ns != 0;
    for (int r = 0; r < hb->ranks; r++) met &= on_coordinator_host(w, r) || w->received_ns[r];
    return met;
}

static void tick(ls_watchdog *w, int64_t now)
{
    const ls_heartbeat *hb      = w->hb;
    const double        floor_s = w->settings.floor_s > 0 ? w->settings.floor_s : LS_WATCHDOG_FLOOR_S;
    for (int m = 0; m < hb->members; m++) {
        int32_t code = m == hb->me ? 0 : atomic_load(&hb->block[m]->diagnosis);
        if (code) ls__watchdog_follow(w, code - 1, hb->block[m]->text);
    }
    (void)receive_closed_ports(w, now);
    receive_messages(w, now);
    w->suspicious = false;
    if (!w->settings.off && ls__watchdog_is_reporter(w, now)) {
        for (int m = 0; m < hb->members; m++) ls__watchdog_observe(w, m, now, floor_s);
        if (on_coordinator_host(w, hb->rank))
            coordinate(w, now, floor_s);
        else
            report(w, now, floor_s);
    }
    if (w->stage == STAGE_ENDING) return;
    if (!hosts_have_met(w, now))
        w->stage = STAGE_MEETING;
    else
        w->stage = w->suspicious ? STAGE_ALERT : STAGE_WATCHING;
}

/* On the coordinator, probes the ports of the other hosts' reporters, to see a death soon.  Returns the time until the
 * next probe, ms. */
static int probe_hosts(ls_watchdog *w)
{
    int hosts = 0;
    for (int r = 0; r < w->hb->ranks; r++) {
        if (w->hb->group[r] != r || !w->reporter[r].sin_port) continue;
        ls__heartbeat_probe(w->hb, &w->reporter[r]);
        hosts++;
    }
    return hosts > PROBE_MS ? hosts : PROBE_MS; /* at most a datagram per millisecond */
}

/* Waits for the next tick; returns false when the thread must end.  A death on another host makes the tick early: poll
 * reports the ICMP error of the socket at once. */
static bool wait_for_tick(ls_watchdog *w)
{
    enum { MAX_ERRORS = 16 }; /* of ports known to be closed, between two probes */
    static const int tick_ms[] = {[STAGE_MEETING]  = MEETING_TICK_MS,
                                  [STAGE_WATCHING] = TICK_MS,
                                  [STAGE_ALERT]    = ALERT_TICK_MS,
                                  [STAGE_ENDING]   = TICK_MS};
    struct pollfd    files[]   = {{.fd = w->stop_event, .events = POLLIN}, {.fd = w->hb->socket}};
    int              left_ms   = tick_ms[w->stage];
    while (left_ms > 0) {
        const int probe_ms = probe_hosts(w), wait_ms = probe_ms < left_ms ? probe_ms : left_ms;
        for (int errors = 0; errors < MAX_ERRORS && poll(files, 2, wait_ms) > 0; errors++) {
            if (files[0].revents) return false;
            if (receive_closed_ports(w, ls__clock_ns())) return true;
        }
        left_ms -= wait_ms;
    }
    return true;
}

static void *watch(void *context)
{
    ls_watchdog *w    = context;
    int64_t      last = ls__clock_ns();
    while (wait_for_tick(w)) {
        int64_t now = ls__clock_ns();
        if (now - last > REPORTER_TIMEOUT_MS * NS_PER_MS) w->resumed_ns = now; /* this process was suspended */
        last = now;
        atomic_store(&w->hb->own->beat_ns, now);
        pthread_mutex_lock(&w->lock);
        tick(w, now);
        w->ticks++;
        pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

/* ---- start and end ----------------------------------------------------------------------------------------------- */

static ls_status start_thread(ls_watchdog *w)
{
    sigset_t all, before;
    w->stop_event = eventfd(0, EFD_CLOEXEC);
    LS_CHECK(w->stop_event >= 0, LS_ERR_ENV, "watchdog: no eventfd: %s", strerror(errno));
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are handled by the main thread */
    int code = pthread_create(&w->thread, NULL, watch, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code) {
        close(w->stop_event);
        w->stop_event = -1;
    }
    LS_CHECK(!code, LS_ERR_ENV, "watchdog: no thread: %s", strerror(code));
    return LS_OK;
}

/* Ends the thread and frees everything. */
static void stop(ls_watchdog *w)
{
    uint64_t one = 1;
    if (w->stop_event >= 0) {
        while (write(w->stop_event, &one, sizeof one) < 0 && errno == EINTR) continue;
        pthread_join(w->thread, NULL);
        close(w->stop_event);
    }
    pthread_mutex_destroy(&w->lock);
    ls__heartbeat_free(w->hb);
}

void ls__watchdog_report_error(ls_watchdog *w)
{
    enum { PATIENCE_MS = 4000, POLL_MS = 50 };
    if (!w || w->hb->ranks == 1 || w->settings.off || atomic_load(&w->hb->own->failed)) return;
    ls_rank_block *own     = w->hb->own;
    const char    *message = ls_error_message();
    size_t         line    = strcspn(message, "\n");
    int            length  = (int)(line < sizeof own->message ? line : sizeof own->message - 1);
    snprintf(own->message, sizeof own->message, "%.*s", length, message);
    fflush(stdout);
    atomic_store(&own->failed, LS_ERR_ENV + 1);
    for (int waited = 0; waited < PATIENCE_MS && w->stage != STAGE_ENDING; waited += POLL_MS) usleep(POLL_MS * 1000);
    while (w->stage == STAGE_ENDING) usleep(TICK_MS * 1000); /* the watchdog ends this process */
}

/* The watchdog that reports when an arena finds no memory.  The first one, for a process with several. */
static ls_watchdog *reports_no_memory;

static void end_without_memory(void)
{
    ls__watchdog_report_error(reports_no_memory);
    dprintf(STDERR_FILENO, "lockstep: error: %s\n", ls_error_message());
    _exit(LS_ERR_ENV);
}

ls_status ls__watchdog_new(ls_watchdog **out, ls_comm *comm)
{
    ls_heartbeat *hb;
    LS_TRY(ls__heartbeat_new(&hb, comm));
    const size_t ranks = (size_t)hb->ranks, members = (size_t)hb->members;
    ls_watchdog *w = ls_arena_alloc(hb->memory, sizeof *w);
    *w             = (ls_watchdog){.comm = comm, .hb = hb, .stop_event = -1, .began_ns = ls__clock_ns()};
    w->flight.log  = &hb->own->log;
    w->stopped_ns  = ls_arena_alloc(hb->memory, sizeof *w->stopped_ns * members);
    w->dead_ns     = ls_arena_alloc(hb->memory, sizeof *w->dead_ns * members);
    w->state       = ls_arena_alloc(hb->memory, sizeof *w->state * ranks);
    w->received    = ls_arena_alloc(hb->memory, sizeof *w->received * ranks);
    w->received_ns = ls_arena_alloc(hb->memory, sizeof *w->received_ns * ranks);
    w->closed_ns   = ls_arena_alloc(hb->memory, sizeof *w->closed_ns * ranks);
    w->reporter    = ls_arena_alloc(hb->memory, sizeof *w->reporter * ranks);
    w->oom_kills   = ls__watchdog_oom_kills();
    pthread_mutex_init(&w->lock, NULL);
    atomic_store(&hb->own->beat_ns, w->began_ns);
    ls_status status = ls__fault_injection_init(&w->flight, comm);
    if (status == LS_OK) status = start_thread(w);
    status = ls_comm_agree(comm, status);
    if (status != LS_OK) {
        stop(w);
        return status;
    }
    comm->flight = &w->flight;
    ls__crash_report_install(&hb->own->signal, hb->ranks == 1);
    if (!reports_no_memory) {
        reports_no_memory = w;
        ls__at_no_memory  = end_without_memory;
    }
    *out = w;
    return LS_OK;
}

void ls__watchdog_set(ls_watchdog *w, const ls_watchdog_settings *settings)
{
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->settings = *settings;
    ls__watchdog_copy(w->folder, sizeof w->folder, settings->folder ? settings->folder : "");
    w->settings.folder = w->folder;
    pthread_mutex_unlock(&w->lock);
}

void ls__watchdog_free(ls_watchdog *w)
{
    if (!w) return;
    if (reports_no_memory == w) {
        reports_no_memory = NULL;
        ls__at_no_memory  = NULL;
    }
    if (w->comm->broken)
        ls__watchdog_report_error(w);
    else
        (void)ls_comm_barrier(w->comm); /* all ranks finish together, so that none of them looks dead to another */
    atomic_store(&w->hb->own->finished, 1);
    ls__crash_report_uninstall(&w->hb->own->signal);
    w->comm->flight = NULL;
    stop(w);
}
