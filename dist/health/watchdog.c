/* SPDX-License-Identifier: Apache-2.0
 *
 * On each host the lowest rank whose watchdog is alive speaks for all ranks of the host, whose memory it sees; on the
 * host of rank 0 the speaker is also the judge, and on the others it sends what it sees there.  A speaker that stops
 * looking around is replaced by the next rank after a second.  The judge's words come back to the speakers; where they
 * stay out for too long, the speaker gives a verdict of its own. */
#include "dist/health/watchdog.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "dist/comm/heartbeat.h"

enum {
    TICK_MS        = 200,
    ALERT_MS       = 40,
    HURRY_MS       = 10,
    HURRY_FOR_MS   = 10000,
    NEW_SPEAKER_MS = 1000,
    FEW            = 3,
    EASY           = 5,
    EASIER         = 10,
    WORDS_AT_ONCE  = 4096,
    TURN_MS        = 600
};
#define NS 1e-9
#define NEARLY 0.8 /* of its deadline: from then on it is looked at more often */
#define MS INT64_C(1000000)

typedef struct heard {
    ls_rank_view view;
    int64_t      at_ns; /* 0: never */
} heard;

struct ls_watchdog {
    ls_comm             *comm;
    ls_heartbeat        *control;
    ls_flight            flight;
    pthread_t            thread;
    pthread_mutex_t      lock; /* of the settings */
    ls_watchdog_settings settings;
    char                 folder[4096]; /* copy of the setting */
    int                  bell;         /* eventfd: rung to end the thread */
    bool                 over;         /* a verdict was given, or obeyed  */
    bool                 warned;
    int64_t              began_ns, excused_ns; /* times before this one do not count */
    int64_t             *stopped_ns;           /* of each member: first seen stopped; 0: it is not  */
    ls_rank_view        *view;                 /* of all ranks                                      */
    heard               *heard;                /* of ranks of other hosts, on the host of rank 0    */
    struct sockaddr_in  *source;               /* by group: where its speaker is                    */
    struct sockaddr_in   judge;                /* where the judge is, on other hosts                */
    int64_t              judge_ns;             /* when it was heard of; 0: to be looked for anew     */
    int64_t              judge_last_ns;
    int64_t              lost_ns; /* since when the judge is missed; 0: it is not      */
    bool                *gone;    /* of all ranks: nobody listens at its port           */
    int64_t              oom_before;
    int64_t              ticks, sent_ns;
    bool                 alert; /* somebody's deadline is near     */
};

/* ---- what a host knows of its ranks ------------------------------------------------------------------------------ */

static int64_t oom_kills(void)
{
    FILE     *f = fopen("/proc/vmstat", "re");
    char      line[128];
    long long n = 0;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "oom_kill %lld", &n) == 1) break;
    if (f) fclose(f);
    return n;
}

static double deadline_of(const ls_flight_log *log, ls_phase phase, double floor_s)
{
    uint64_t seen = 0;
    double   p99 = (double)ls__flight_p99(log, phase) * NS, s = floor_s > 5 * p99 ? floor_s : 5 * p99;
    for (int b = 0; b < LS_FLIGHT_BINS && seen < FEW; b++)
        seen += atomic_load_explicit(&log->bin[phase][b], memory_order_relaxed);
    if (ls__phase_waits(phase)) return s;
    if (phase == LS_PHASE_CHECKPOINT) return EASIER * s;
    return seen < FEW || phase == LS_PHASE_NONE || phase == LS_PHASE_START || phase == LS_PHASE_REPORT ? EASY * s : s;
}

static ls_life life_of(ls_watchdog *w, int member, char *state, int64_t now)
{
    const ls_heartbeat *c    = w->control;
    const ls_seat      *seat = c->seat[member];
    const ls_peer      *peer = &c->peer[c->member[member]];
    int64_t             started;
    bool                there =
        ls__process_look(peer->process, state, &started) && started == peer->started && *state != 'Z' && *state != 'X';
    if (!there) *state = 0;
    if (*state != 'T') w->stopped_ns[member] = 0;
    if (atomic_load(&seat->failed)) return LS_LIFE_FAILED;
    if (atomic_load(&seat->ended)) return LS_LIFE_ENDED;
    if (!there) return LS_LIFE_DEAD;
    if (*state == 't') return LS_LIFE_TRACED;
    if (*state != 'T') return LS_LIFE_RUNS;
    if (!w->stopped_ns[member]) { /* it may have been the one to look */
        int64_t beat          = atomic_load(&seat->beat_ns) + TICK_MS * MS;
        w->stopped_ns[member] = beat < now ? beat : now;
    }
    return LS_LIFE_STOPPED;
}

static void copy(char *to, size_t room, const char *text)
{
    size_t n = strnlen(text, room - 1);
    memcpy(to, text, n);
    to[n] = 0;
}

static void look_at_calls(const ls_flight_log *log, ls_rank_view *v, uint64_t calls)
{
    ls_flight_call call;
    v->calls = calls;
    for (uint64_t m = 0; m < LS_MARKS; m++) {
        uint64_t back = m < LS_RECENT ? m : calls % 16 + 16 * (m - LS_RECENT), number = calls > back ? calls - back : 0;
        if (!ls__flight_call(log, number, &call)) continue;
        v->mark[m].number = number;
        v->mark[m].chain  = call.chain;
        v->mark[m].count  = call.count;
        copy(v->mark[m].what, sizeof v->mark[m].what, call.what);
    }
}

static void look(ls_watchdog *w, int member, int64_t now, double floor_s)
{
    const ls_heartbeat *c    = w->control;
    const ls_seat      *seat = c->seat[member];
    const ls_peer      *peer = &c->peer[c->member[member]];
    ls_rank_view       *v    = &w->view[peer->rank];
    ls_flight_state     s;
    ls_rank_view        before = *v;
    *v                         = (ls_rank_view){.rank = peer->rank, .process = peer->process};
    v->life                    = (int32_t)life_of(w, member, &v->state, now);
    copy(v->host, sizeof v->host, peer->host);
    v->signal = atomic_load(&seat->signal);
    v->status = atomic_load(&seat->failed) - 1;
    if (v->life == LS_LIFE_FAILED) copy(v->message, sizeof v->message, seat->message);
    if (v->life == LS_LIFE_DEAD) v->memory_short = oom_kills() > w->oom_before;
    if (!ls__flight_read(&seat->log, &s)) { /* it writes faster than it can be read, so all is well */
        int32_t life = v->life;
        *v           = before;
        v->life      = life;
        v->age_s     = 0;
        return;
    }
    int64_t since = v->life == LS_LIFE_STOPPED ? w->stopped_ns[member] : s.since_ns;
    if (since < w->excused_ns) since = w->excused_ns;
    v->phase      = s.in.phase;
    v->step       = s.in.step;
    v->age_s      = (double)(now - since) * NS;
    v->deadline_s = deadline_of(&seat->log, (ls_phase)s.in.phase, floor_s);
    w->alert |= v->age_s > NEARLY * v->deadline_s;
    copy(v->what, sizeof v->what,
         ls__phase_waits(s.whole.phase) ? s.whole.what : s.in.what); /* what a collective is made of does not matter */
    copy(v->whole, sizeof v->whole, s.whole.what);
    look_at_calls(&seat->log, v, s.calls);
}

/* ---- verdicts ---------------------------------------------------------------------------------------------------- */

static bool write_crash_files(const ls_watchdog *w, const char *text, bool others)
{
    const ls_heartbeat *c = w->control;
    if (!*w->folder || !ls__crash_report_write(c, c->me, w->folder, text)) return false;
    for (int m = 0; m < c->members && others; m++) {
        int life = w->view[c->member[m]].life;
        if (life == LS_LIFE_DEAD || life == LS_LIFE_STOPPED) (void)ls__crash_report_write(c, m, w->folder, text);
    }
    return true;
}

/* Where the other ranks of the host look for it. */
static void publish(ls_watchdog *w, const ls_diagnosis *v)
{
    ls_seat *own = w->control->own;
    copy(own->text, sizeof own->text, v->text);
    atomic_store(&own->verdict, v->code + 1);
}

/* Those that were stopped go on, to obey: mpirun would give them a second.  At the very end, or the run would go on,
 * too. */
static void wake(const ls_watchdog *w)
{
    const ls_heartbeat *c = w->control;
    for (int m = 0; m < c->members; m++)
        if (w->view[c->member[m]].life == LS_LIFE_STOPPED) kill(c->peer[c->member[m]].process, SIGCONT);
}

static void end(ls_watchdog *w, const ls_diagnosis *v)
{
    w->over = true;
    if (w->settings.end)
        w->settings.end(w->settings.context, v);
    else
        _exit(v->code);
}

/* That the judge is there. */
static void tell_speakers(ls_watchdog *w)
{
    ls_heartbeat        *c    = w->control;
    ls_heartbeat_message word = {.kind = LS_HEARTBEAT_DIAGNOSIS};
    for (int r = 0; r < c->ranks; r++)
        if (c->group[r] == r && w->source[r].sin_port) ls__heartbeat_send(c, &word, &w->source[r]);
}

/* To every rank of other hosts, as nobody knows who speaks there now. */
static void tell_all(ls_watchdog *w, const ls_diagnosis *v)
{
    ls_heartbeat        *c    = w->control;
    ls_heartbeat_message word = {.kind = LS_HEARTBEAT_DIAGNOSIS, .verdict = v->code + 1};
    copy(word.u.text, sizeof word.u.text, v->text);
    for (int r = 0; r < c->ranks; r++)
        if (c->group[r] != c->group[c->rank]) ls__heartbeat_send_rank(c, &word, r);
}

static void pronounce(ls_watchdog *w, ls_diagnosis *v)
{
    int32_t nobody = 0;
    if (!atomic_compare_exchange_strong(&w->control->seat[0]->claimed, &nobody, 1)) return;
    if (write_crash_files(w, v->text, true)) {
        size_t used = strlen(v->text);
        snprintf(v->text + used, sizeof v->text - used, "; crash files in %s", w->folder);
    }
    if (!w->settings.end) {
        char line[LS_DIAGNOSIS_TEXT + 64];
        int n = snprintf(line, sizeof line, "%slockstep: error: %s\n", w->settings.terminal ? "\r\033[K" : "", v->text);
        if (write(STDERR_FILENO, line, (size_t)n) != n) { /* nobody is left who could be told */
        }
    }
    publish(w, v);
    for (int i = 0; i < 3 && w->control->socket >= 0; i++) {
        tell_all(w, v);
        usleep(TICK_MS * 250);
    }
    wake(w);
    end(w, v);
}

/* Not all at once: mpirun that has heard of one end waits a second before it kills the others, but for the end of
 * another one meanwhile. */
static void obey(ls_watchdog *w, int code, const char *text)
{
    enum { AFTER_MS = 200, APART_MS = 100 }; /* after who has given the verdict */
    ls_diagnosis v = {.rank = -1, .code = code};
    copy(v.text, sizeof v.text, text);
    publish(w, &v);
    (void)write_crash_files(w, v.text, false);
    if (!w->settings.end) usleep((AFTER_MS + w->control->me % 2 * APART_MS) * 1000);
    end(w, &v);
}

/* ---- between hosts ----------------------------------------------------------------------------------------------- */

static void send_view(ls_watchdog *w, const ls_rank_view *view, int64_t now)
{
    ls_heartbeat        *c    = w->control;
    ls_heartbeat_message word = {.kind = LS_HEARTBEAT_VIEW, .u.view = *view};
    if (w->judge_ns && now - w->judge_ns < NEW_SPEAKER_MS * MS) {
        ls__heartbeat_send(c, &word, &w->judge);
        return;
    }
    for (int r = 0; r < c->ranks; r++)
        if (c->group[r] == c->group[0]) ls__heartbeat_send_rank(c, &word, r);
}

static void take_view(ls_watchdog *w, const ls_heartbeat_message *word, const struct sockaddr_in *from, int64_t now)
{
    const ls_heartbeat *c = w->control;
    ls_rank_view        v = word->u.view;
    if (v.rank < 0 || v.rank >= c->ranks || c->group[v.rank] == c->group[c->rank] ||
        c->group[v.rank] != c->group[word->from])
        return;
    v.what[sizeof v.what - 1] = v.whole[sizeof v.whole - 1] = v.host[sizeof v.host - 1] =
        v.message[sizeof v.message - 1]                     = 0;
    for (int m = 0; m < LS_MARKS; m++) v.mark[m].what[LS_CALL_NAME - 1] = 0;
    w->heard[v.rank]            = (heard){.view = v, .at_ns = now};
    w->gone[word->from]         = false;
    w->source[c->group[v.rank]] = *from;
}

/* Where a host has been heard from.  Only there does it mean something that nobody listens: other addresses that a host
 * says are its own may be, seen from here, those of somebody else. */
static struct in_addr known_address(const ls_watchdog *w, int rank)
{
    const ls_heartbeat *c = w->control;
    return c->group[rank] == c->group[0] ? w->judge.sin_addr : w->source[c->group[rank]].sin_addr;
}

/* Ranks at whose ports nobody listens any more. */
static void take_refusals(ls_watchdog *w)
{
    const ls_heartbeat *c = w->control;
    struct sockaddr_in  at;
    while (ls__heartbeat_refused(w->control, &at))
        for (int r = 0; r < c->ranks; r++) {
            if (c->peer[r].port != at.sin_port || known_address(w, r).s_addr != at.sin_addr.s_addr ||
                c->group[r] == c->group[c->rank])
                continue;
            w->gone[r] = true;
            if (c->group[r] == c->group[0]) w->judge_ns = 0; /* another one there may be the judge */
        }
}

static void hear(ls_watchdog *w, int64_t now)
{
    ls_heartbeat_message word;
    struct sockaddr_in   from;
    const ls_heartbeat  *c = w->control;
    for (int i = 0; i < WORDS_AT_ONCE && ls__heartbeat_receive(w->control, &word, &from); i++) {
        if (word.kind == LS_HEARTBEAT_VIEW && c->group[c->rank] == c->group[0]) take_view(w, &word, &from, now);
        if (word.kind != LS_HEARTBEAT_DIAGNOSIS) continue;
        if (c->group[word.from] == c->group[0]) {
            w->judge    = from;
            w->judge_ns = w->judge_last_ns = now;
            w->gone[word.from]             = false;
        }
        word.u.text[sizeof word.u.text - 1] = 0;
        if (word.verdict) {
            obey(w, word.verdict - 1, word.u.text);
            return;
        }
    }
}

/* Ranks of other hosts, as last heard. */
static void add_heard(ls_watchdog *w, int64_t now, double floor_s)
{
    const ls_heartbeat *c     = w->control;
    int                 never = -1;
    for (int r = 0; r < c->ranks; r++) {
        if (c->group[r] == c->group[c->rank]) continue;
        const heard *h  = &w->heard[r];
        int64_t      at = h->at_ns > w->excused_ns ? h->at_ns : w->excused_ns;
        w->view[r]      = h->view;
        if (h->at_ns) {
            w->view[r].silent_s = (double)(now - at) * NS;
            w->alert |= h->view.age_s > NEARLY * h->view.deadline_s || w->view[r].silent_s > NEARLY * floor_s;
            if (w->gone[r] && h->view.life != LS_LIFE_ENDED) w->view[r].life = LS_LIFE_DEAD;
            continue;
        }
        w->view[r] = (ls_rank_view){.rank = r, .life = LS_LIFE_UNKNOWN};
        never      = r;
    }
    if (never < 0 || w->warned || (double)(now - w->began_ns) * NS < floor_s) return;
    w->warned = true;
    fprintf(stderr,
            "lockstep: the watchdog hears nothing of %s: it cannot name ranks there that are late" LS_HINT
            "does a firewall between the hosts stop UDP?\n",
            c->peer[never].host);
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

/* One whose process is gone, or stopped, has not to be waited for. */
static bool may_speak(const ls_heartbeat *c, int member, int64_t now)
{
    const ls_seat *s     = c->seat[member];
    const ls_peer *peer  = &c->peer[c->member[member]];
    const int64_t  quiet = now - atomic_load(&s->beat_ns);
    char           state;
    int64_t        started;
    if (atomic_load(&s->ended) || quiet >= NEW_SPEAKER_MS * MS) return false;
    if (quiet <= 2 * TICK_MS * MS) return true;
    return ls__process_look(peer->process, &state, &started) && started == peer->started && !strchr("ZXT", state);
}

static int speaker(const ls_watchdog *w, int64_t now)
{
    const ls_heartbeat *c = w->control;
    for (int m = 0; m < c->me; m++)
        if (may_speak(c, m, now)) return m;
    return c->me;
}

/* One that was stopped itself may have missed the verdict on it, and find those that gave it gone: there is one
 * verdict, and it was theirs. */
static void judge(ls_watchdog *w, int64_t now, double floor_s)
{
    enum { GIVEN_UP_MS = 2000 };
    ls_diagnosis v;
    add_heard(w, now, floor_s);
    if (!ls__diagnose_hang(w->view, w->control->ranks, floor_s, &v)) {
        if (w->control->socket >= 0) tell_speakers(w);
    } else if (v.rank >= 0 && w->gone[v.rank] && w->excused_ns && now - w->excused_ns < GIVEN_UP_MS * MS)
        obey(w, LS_ERR_ENV, "this rank was stopped, and others ended meanwhile; they have said why");
    else
        pronounce(w, &v);
}

static void report(ls_watchdog *w, int64_t now, double floor_s)
{
    const ls_heartbeat *c     = w->control;
    int64_t             since = w->judge_last_ns > w->excused_ns ? w->judge_last_ns : w->excused_ns;
    double              quiet = (double)(now - since) * NS;
    bool                gone  = true;
    int                 turn  = 0; /* one host after the other, so that one verdict does for all */
    bool lost = w->judge_last_ns && quiet > NEARLY * floor_s; /* what it does not read must leave room for a verdict */
    if (w->ticks % (1 + c->ranks / 256) == 0 && (!lost || now - w->sent_ns >= TICK_MS * MS)) {
        for (int m = 0; m < c->members; m++) send_view(w, &w->view[c->member[m]], now);
        w->sent_ns = now;
    }
    w->alert |= lost;
    for (int r = 0; r < c->ranks; r++) {
        gone &= c->group[r] != c->group[0] || w->gone[r];
        turn += r < c->group[c->rank] && c->group[r] == r && c->group[r] != c->group[0];
    }
    if (!w->judge_last_ns || (!gone && quiet <= floor_s)) {
        w->lost_ns = 0;
        return;
    }
    if (!w->lost_ns) w->lost_ns = now;
    if (now - w->lost_ns < turn * TURN_MS * MS) return;
    ls_diagnosis        v    = {.rank = 0, .code = LS_ERR_ENV};
    const ls_rank_view *mine = &w->view[c->rank];
    char                here[LS_FLIGHT_NAME + 128];
    snprintf(here, sizeof here, "rank %d on %s is in %s at step %lld", mine->rank, mine->host, mine->whole,
             (long long)mine->step);
    if (gone)
        snprintf(v.text, sizeof v.text, "rank 0 on %s was killed, process %d; %s", c->peer[0].host, c->peer[0].process,
                 here);
    else
        snprintf(
            v.text, sizeof v.text,
            "no word from %s (rank 0) for %.1f s: it was stopped, or the host is down, or the network to it is cut; %s",
            c->peer[0].host, quiet, here);
    pronounce(w, &v);
}

static void look_around(ls_watchdog *w, int64_t now)
{
    const ls_heartbeat *c       = w->control;
    double              floor_s = w->settings.floor_s > 0 ? w->settings.floor_s : LS_WATCHDOG_FLOOR_S;
    for (int m = 0; m < c->members; m++) {
        int32_t code = m == c->me ? 0 : atomic_load(&c->seat[m]->verdict);
        if (!code) continue;
        obey(w, code - 1, c->seat[m]->text);
        return;
    }
    take_refusals(w);
    hear(w, now);
    if (w->over || w->settings.off || speaker(w, now) != c->me) return;
    w->alert = false;
    for (int m = 0; m < c->members; m++) look(w, m, now, floor_s);
    if (c->group[c->rank] == c->group[0])
        judge(w, now, floor_s);
    else
        report(w, now, floor_s);
}

/* Hosts that have not heard of each other yet hurry: before they have, nobody is missed. */
static bool acquainted(const ls_watchdog *w, int64_t now)
{
    const ls_heartbeat *c   = w->control;
    bool                all = true;
    if (c->socket < 0 || now - w->began_ns > HURRY_FOR_MS * MS) return true;
    if (c->group[c->rank] != c->group[0]) return w->judge_last_ns != 0;
    for (int r = 0; r < c->ranks; r++) all &= c->group[r] == c->group[0] || w->heard[r].at_ns;
    return all;
}

static void *watch(void *context)
{
    ls_watchdog  *w    = context;
    struct pollfd bell = {.fd = w->bell, .events = POLLIN};
    int64_t       last = ls__flight_now();
    while (poll(&bell, 1, !acquainted(w, last) ? HURRY_MS : w->alert ? ALERT_MS : TICK_MS) <= 0) {
        int64_t now = ls__flight_now();
        if (now - last > NEW_SPEAKER_MS * MS) w->excused_ns = now; /* the process, or the whole machine, was stopped */
        last = now;
        atomic_store(&w->control->own->beat_ns, now);
        pthread_mutex_lock(&w->lock);
        if (!w->over) look_around(w, now);
        w->ticks++;
        pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

/* ---- beginning and end ------------------------------------------------------------------------------------------- */

static ls_status start_thread(ls_watchdog *w)
{
    sigset_t all, before;
    w->bell = eventfd(0, EFD_CLOEXEC);
    LS_CHECK(w->bell >= 0, LS_ERR_ENV, "no eventfd for the watchdog: %s", strerror(errno));
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's business */
    int code = pthread_create(&w->thread, NULL, watch, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code) {
        close(w->bell);
        w->bell = -1;
    }
    LS_CHECK(!code, LS_ERR_ENV, "no thread for the watchdog: %s", strerror(code));
    return LS_OK;
}

/* Tells the others of an error that could not travel through the communicator, and waits for the verdict. */
static void hand_over(ls_watchdog *w)
{
    enum { PATIENCE_MS = 4000 };
    ls_seat    *own     = w->control->own;
    const char *message = ls_error_message();
    size_t      line    = strcspn(message, "\n");
    snprintf(own->message, sizeof own->message, "%.*s",
             (int)(line < sizeof own->message ? line : sizeof own->message - 1), message);
    fflush(stdout);
    atomic_store(&own->failed, LS_ERR_ENV + 1);
    for (int waited = 0; waited < PATIENCE_MS && !w->over; waited += TICK_MS / 4) usleep(TICK_MS / 4 * 1000);
}

static ls_watchdog *watching;

static void without_memory(void)
{
    ls_watchdog *w = watching;
    if (w->control->ranks > 1 && !w->settings.off) hand_over(w);
    while (w->over) usleep(TICK_MS * 1000); /* the process ends */
    dprintf(STDERR_FILENO, "lockstep: error: %s\n", ls_error_message());
    _exit(LS_ERR_ENV);
}

ls_status ls__watchdog_new(ls_watchdog **out, ls_comm *comm)
{
    ls_heartbeat *c;
    LS_TRY(ls__heartbeat_new(&c, comm));
    const size_t many = (size_t)c->ranks;
    ls_watchdog *w    = ls_arena_alloc(c->memory, sizeof *w);
    *w                = (ls_watchdog){
                       .comm = comm, .control = c, .flight = {.log = &c->own->log}, .bell = -1, .began_ns = ls__flight_now()};
    w->stopped_ns = ls_arena_alloc(c->memory, sizeof *w->stopped_ns * (size_t)c->members);
    w->view       = ls_arena_alloc(c->memory, sizeof *w->view * many);
    w->heard      = ls_arena_alloc(c->memory, sizeof *w->heard * many);
    w->source     = ls_arena_alloc(c->memory, sizeof *w->source * many);
    w->gone       = ls_arena_alloc(c->memory, sizeof *w->gone * many);
    w->oom_before = oom_kills();
    pthread_mutex_init(&w->lock, NULL);
    atomic_store(&c->own->beat_ns, w->began_ns);
    ls_status status = ls__fault_injection_init(&w->flight, comm);
    if (status == LS_OK) status = start_thread(w);
    status = ls_comm_agree(comm, status);
    if (status != LS_OK) {
        ls__watchdog_free(w);
        return status;
    }
    comm->flight = &w->flight;
    ls__crash_report_install(&c->own->signal, c->ranks == 1);
    watching         = w;
    ls__at_no_memory = without_memory;
    *out             = w;
    return LS_OK;
}

void ls__watchdog_set(ls_watchdog *w, const ls_watchdog_settings *settings)
{
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->settings = *settings;
    copy(w->folder, sizeof w->folder, settings->folder ? settings->folder : "");
    w->settings.folder = w->folder;
    pthread_mutex_unlock(&w->lock);
}

void ls__watchdog_free(ls_watchdog *w)
{
    if (!w) return;
    if (watching == w) ls__at_no_memory = NULL;
    if (w->bell >= 0) {
        if (w->comm->broken && w->control->ranks > 1 && !w->settings.off) hand_over(w);
        uint64_t one = 1;
        if (!w->comm->broken) (void)ls_comm_barrier(w->comm); /* all leave at once: who is missing then is dead */
        atomic_store(&w->control->own->ended, 1);
        while (write(w->bell, &one, sizeof one) < 0 && errno == EINTR) continue;
        pthread_join(w->thread, NULL);
        close(w->bell);
        ls__crash_report_uninstall();
    }
    w->comm->flight = NULL;
    pthread_mutex_destroy(&w->lock);
    ls__heartbeat_free(w->control);
}
