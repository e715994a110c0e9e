/* SPDX-License-Identifier: Apache-2.0
 *
 * Collects the states of ranks for a watchdog: of the ranks of its host from their shared memory and /proc, of the
 * ranks of other hosts from their messages. */
#include <stdio.h>
#include <string.h>

#include "dist/comm/process_state.h"
#include "dist/health/watchdog_internal.h"

/* Deadlines: max(floor, P99_FACTOR x 99th percentile), times a slack. */
enum { MIN_SAMPLES = 3, P99_FACTOR = 5, SLACK_WARM_UP = 5, SLACK_CHECKPOINT = 10 };

void ls__watchdog_copy(char *to, size_t room, const char *text)
{
    size_t n = strnlen(text, room - 1);
    memcpy(to, text, n);
    to[n] = 0;
}

int64_t ls__watchdog_oom_kills(void)
{
    FILE     *f = fopen("/proc/vmstat", "re");
    char      line[128];
    long long n = 0;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "oom_kill %lld", &n) == 1) break;
    if (f) fclose(f);
    return n;
}

/* Deadline of an instruction, seconds.  Phases with few samples and phases of varying duration get more time. */
static double deadline_of(const ls_flight_log *log, ls_phase phase, double floor_s)
{
    uint64_t samples = 0;
    double   p99     = (double)ls__flight_p99(log, phase) * S_PER_NS;
    double   s       = floor_s > P99_FACTOR * p99 ? floor_s : P99_FACTOR * p99;
    for (int b = 0; b < LS_FLIGHT_BINS && samples < MIN_SAMPLES; b++)
        samples += atomic_load_explicit(&log->bin[phase][b], memory_order_relaxed);
    if (ls__phase_waits(phase)) return s;
    if (phase == LS_PHASE_CHECKPOINT) return SLACK_CHECKPOINT * s;
    bool varies = phase == LS_PHASE_NONE || phase == LS_PHASE_START || phase == LS_PHASE_REPORT;
    return varies || samples < MIN_SAMPLES ? SLACK_WARM_UP * s : s;
}

/* State of the process of a rank.  A mark of the rank itself (leaving, failed, finished) counts more than the process,
 * because the process may end any time after the mark. */
static ls_life life_of(ls_watchdog *w, int member, char *state, int64_t now)
{
    const ls_heartbeat     *hb    = w->hb;
    const ls_rank_block    *block = hb->block[member];
    const ls_rank_identity *id    = &hb->identity[hb->member[member]];
    const bool              runs  = ls__process_runs(id->process, id->started, state);
    if (!runs) *state = 0;
    if (*state != 'T') w->stopped_ns[member] = 0;
    if (atomic_load(&block->diagnosis)) return LS_LIFE_LEAVING;
    if (atomic_load(&block->failed)) return LS_LIFE_FAILED;
    if (atomic_load(&block->finished)) return LS_LIFE_FINISHED;
    if (!runs) {
        if (!w->dead_ns[member]) w->dead_ns[member] = now;
        return LS_LIFE_DEAD;
    }
    if (*state == 't') return LS_LIFE_TRACED;
    if (*state != 'T') return LS_LIFE_RUNNING;
    if (!w->stopped_ns[member]) {
        /* This watchdog may have been inactive when the rank was stopped; the rank's last tick bounds the time. */
        int64_t next_beat     = atomic_load(&block->beat_ns) + TICK_MS * NS_PER_MS;
        w->stopped_ns[member] = next_beat < now ? next_beat : now;
    }
    return LS_LIFE_STOPPED;
}

/* Copies the records of the last collectives, and of the last four whose numbers are multiples of 16, so that ranks
 * that are many collectives apart still have numbers in common. */
static void copy_collectives(const ls_flight_log *log, ls_rank_state *s, uint64_t calls)
{
    ls_flight_call call;
    s->calls = calls;
    for (uint64_t i = 0; i < LS_KEPT_COLLECTIVES; i++) {
        uint64_t back   = i < LS_RECENT_COLLECTIVES ? i : calls % 16 + 16 * (i - LS_RECENT_COLLECTIVES);
        uint64_t number = calls > back ? calls - back : 0;
        if (!ls__flight_call(log, number, &call)) continue;
        s->called[i].number = number;
        s->called[i].chain  = call.chain;
        s->called[i].count  = call.count;
        ls__watchdog_copy(s->called[i].name, sizeof s->called[i].name, call.what);
    }
}

void ls__watchdog_observe(ls_watchdog *w, int member, int64_t now, double floor_s)
{
    const ls_heartbeat     *hb    = w->hb;
    const ls_rank_block    *block = hb->block[member];
    const ls_rank_identity *id    = &hb->identity[hb->member[member]];
    ls_rank_state          *s     = &w->state[id->rank];
    ls_rank_state           last  = *s;
    ls_flight_state         flight;
    *s      = (ls_rank_state){.rank = id->rank, .process = id->process};
    s->life = (int32_t)life_of(w, member, &s->state, now);
    ls__watchdog_copy(s->host, sizeof s->host, id->host);
    s->signal = atomic_load(&block->signal);
    s->status = atomic_load(&block->failed) - 1;
    if (s->life == LS_LIFE_FAILED) ls__watchdog_copy(s->message, sizeof s->message, block->message);
    if (s->life == LS_LIFE_DEAD) {
        s->memory_short = ls__watchdog_oom_kills() > w->oom_kills;
        s->dead_s       = (double)(now - w->dead_ns[member] + 1) * S_PER_NS;
        w->suspicious   = true;
    }
    if (!ls__flight_read(&block->log, &flight)) {
        /* The recorder changes faster than it can be read, so the rank makes progress. */
        int32_t life = s->life;
        *s           = last;
        s->life      = life;
        s->age_s     = 0;
        return;
    }
    int64_t since = s->life == LS_LIFE_STOPPED ? w->stopped_ns[member] : flight.since_ns;
    if (since < w->resumed_ns) since = w->resumed_ns;
    s->phase      = flight.in.phase;
    s->step       = flight.in.step;
    s->age_s      = (double)(now - since) * S_PER_NS;
    s->deadline_s = deadline_of(&block->log, (ls_phase)flight.in.phase, floor_s);
    w->suspicious |= s->age_s > ALERT_FRACTION * s->deadline_s;
    /* Inside a collective, the diagnosis names the collective and not the messages that it consists of. */
    ls__watchdog_copy(s->what, sizeof s->what,
                      ls__phase_waits(flight.whole.phase) ? flight.whole.what : flight.in.what);
    ls__watchdog_copy(s->whole, sizeof s->whole, flight.whole.what);
    copy_collectives(&block->log, s, flight.calls);
}

/* Warns once when the heartbeats of a host have not arrived within the floor. */
static void warn_of_silent_host(ls_watchdog *w, int rank, int64_t now, double floor_s)
{
    if (w->warned || (double)(now - w->began_ns) * S_PER_NS < floor_s) return;
    w->warned = true;
    fprintf(stderr,
            "lockstep: warning: host %s: no heartbeat received: the watchdog cannot name late ranks there" LS_HINT
            "does a firewall between the hosts block UDP?\n",
            w->hb->identity[rank].host);
}

void ls__watchdog_merge(ls_watchdog *w, int64_t now, double floor_s)
{
    const ls_heartbeat *hb    = w->hb;
    int                 never = -1;
    for (int r = 0; r < hb->ranks; r++) {
        if (hb->group[r] == hb->group[hb->rank]) continue;
        ls_rank_state *s = &w->state[r];
        if (!w->received_ns[r]) {
            *s    = (ls_rank_state){.rank = r, .life = LS_LIFE_UNKNOWN};
            never = r;
            continue;
        }
        int64_t since = w->received_ns[r] > w->resumed_ns ? w->received_ns[r] : w->resumed_ns;
        *s            = w->received[r];
        s->silent_s   = (double)(now - since) * S_PER_NS;
        w->suspicious |= s->age_s > ALERT_FRACTION * s->deadline_s || s->silent_s > ALERT_FRACTION * floor_s;
        const bool marked = s->life == LS_LIFE_FINISHED || s->life == LS_LIFE_LEAVING;
        if (s->life == LS_LIFE_DEAD) {
            s->dead_s += s->silent_s;
        } else if (w->closed_ns[r] && !marked) {
            s->life   = LS_LIFE_DEAD;
            s->dead_s = (double)(now - w->closed_ns[r] + 1) * S_PER_NS;
        }
        w->suspicious |= s->life == LS_LIFE_DEAD;
    }
    if (never >= 0) warn_of_silent_host(w, never, now, floor_s);
}
