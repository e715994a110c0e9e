/* SPDX-License-Identifier: Apache-2.0
 *
 * The communicator `sim`: ranks as threads of one process, with links that are as slow as asked for, and faults where
 * they are asked for.
 *
 * A message is a note in the mailbox of its receiver: where the floats lie, and when they may be read.  The sender's
 * link takes one message after the other, so a message of n bytes that is sent at t arrives at
 *
 *     max(t, link free) + n / bytes_per_s + latency_s
 *
 * and the receiver copies it when it asks after that.  All of it happens under one lock, but for the copying.
 * A rank that dies, or whose body returns, is marked so, and whoever waits for it gets an error that names it.
 */
#include <errno.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/arena.h"
#include "dist/comm/comm.h"

/* A message on its way, in the order of sending. */
typedef struct note {
    const float *data;
    size_t       count;
    double       arrives;
    bool         reading, taken;
    struct note *next;
} note;

typedef struct world world;

/* Messages that are sent and received together.  What is to be received is in the order in which it comes. */
typedef struct flow {
    ls_flow      base;
    int          channel, sends, receives, received, room;
    note       **posted; /* of what is sent      */
    int         *to;     /* and whom it goes to  */
    ls_transfer *receive;
} flow;

typedef struct sim {
    ls_comm     comm;
    world      *world;
    int64_t     calls;      /* of the table, so far                              */
    double      link_free;  /* when the link has sent all that was given to it   */
    bool        gone;       /* died or returned                                  */
    const void *shown;      /* what the others may read in a meeting             */
    note      **first;      /* by sender and channel: the oldest message that is not taken */
    note       *free_notes; /* to be used again: no allocation once it runs      */
    pthread_t   thread;
    ls_status (*body)(ls_comm *comm, void *context);
    void     *context;
    ls_status status;
    char      message[2048], trace[2048];
} sim;

struct world {
    ls_arena          *arena;
    ls_threads_options options;
    int                ranks, threads;
    sim               *rank;
    pthread_mutex_t    lock;
    pthread_cond_t     changed;
    int64_t            meeting; /* how many meetings all ranks have come to */
    int                met;     /* ranks that have come to the next         */
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void sleep_until(double when)
{
    struct timespec t = {.tv_sec = (time_t)when, .tv_nsec = (long)((when - (double)(time_t)when) * 1e9)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) continue;
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

/* Marks the rank as gone; those that wait wake up and see it. */
static void leave(sim *s)
{
    pthread_mutex_lock(&s->world->lock);
    s->gone = true;
    pthread_cond_broadcast(&s->world->changed);
    pthread_mutex_unlock(&s->world->lock);
}

/* What the script has for this call of this rank. */
static ls_status begin_call(sim *s)
{
    int64_t call = s->calls++;
    for (int i = 0; i < s->world->options.faults; i++) {
        const ls_threads_fault *f = &s->world->options.fault[i];
        if (f->rank != s->comm.rank || f->call != call) continue;
        if (f->kind == LS_THREADS_FAULT_DELAY) sleep_until(now() + f->seconds);
        if (f->kind != LS_THREADS_FAULT_DIE) continue;
        leave(s);
        return LS_FAIL(LS_ERR_ENV, "rank %d ends in its call %lld, as its script says", s->comm.rank, (long long)call);
    }
    return LS_OK;
}

static ls_status gone(const sim *s, int other)
{
    return LS_FAIL(LS_ERR_ENV, "rank %d waits for rank %d, which is gone", s->comm.rank, other);
}

/* ---- meetings: barrier, bcast, allgather
 * ----------------------------------------------------------------------------- */

/* Returns when all ranks have come.  The lock is held. */
static ls_status meet(sim *s)
{
    world  *w    = s->world;
    int64_t mine = w->meeting;
    if (++w->met == w->ranks) {
        w->met = 0;
        w->meeting++;
        pthread_cond_broadcast(&w->changed);
        return LS_OK;
    }
    while (w->meeting == mine) {
        for (int r = 0; r < w->ranks; r++)
            if (w->rank[r].gone) return gone(s, r);
        pthread_cond_wait(&w->changed, &w->lock);
    }
    return LS_OK;
}

/* Shows `mine` to all; takes(s, ...) reads what the others show; nobody leaves before all have read. */
static ls_status show_and_take(sim *s, const void *mine, void (*take)(const sim *s, void *to, size_t bytes, int root),
                               void *to, size_t bytes, int root)
{
    world *w    = s->world;
    int    hops = 0;
    LS_TRY(begin_call(s));
    while (1 << hops < w->ranks) hops++;
    if (w->options.latency_s > 0) sleep_until(now() + hops * w->options.latency_s); /* as along a tree */
    pthread_mutex_lock(&w->lock);
    s->shown         = mine;
    ls_status status = meet(s);
    if (status == LS_OK && take) {
        pthread_mutex_unlock(&w->lock);
        take(s, to, bytes, root);
        pthread_mutex_lock(&w->lock);
        status = meet(s);
    }
    pthread_mutex_unlock(&w->lock);
    return status;
}

static ls_status barrier(ls_comm *comm) { return show_and_take((sim *)comm, NULL, NULL, NULL, 0, 0); }

static void take_root(const sim *s, void *to, size_t bytes, int root)
{
    if (s->comm.rank != root) memcpy(to, s->world->rank[root].shown, bytes);
}

static ls_status bcast(ls_comm *comm, void *data, size_t bytes, int root)
{
    return show_and_take((sim *)comm, data, take_root, data, bytes, root);
}

static void take_all(const sim *s, void *to, size_t bytes, int root)
{
    (void)root;
    for (int r = 0; r < s->world->ranks; r++) memmove((char *)to + bytes * (size_t)r, s->world->rank[r].shown, bytes);
}

static ls_status allgather(ls_comm *comm, const void *send, void *receive, size_t bytes)
{
    return show_and_take((sim *)comm, send, take_all, receive, bytes, 0);
}

/* ---- messages
 * -------------------------------------------------------------------------------------------------------- */

static note *take_note(sim *s)
{
    note *n = s->free_notes;
    if (n)
        s->free_notes = n->next;
    else
        n = calloc(1, sizeof *n);
    return n;
}

static note **mailbox(const sim *of, int sender, int channel) { return &of->first[sender * LS_CHANNELS + channel]; }

/* One that is free, with room for so many messages. */
static ls_status take_flow(sim *s, int sends, int receives, flow **out)
{
    flow *f    = (flow *)ls__flow_take(&s->comm, sizeof *f);
    int   need = sends > receives ? sends : receives;
    LS_CHECK(f, LS_ERR_ENV, "no memory for messages");
    if (need > f->room) {
        free(f->posted), free(f->to), free(f->receive);
        f->posted  = malloc(sizeof *f->posted * (size_t)need);
        f->to      = malloc(sizeof *f->to * (size_t)need);
        f->receive = malloc(sizeof *f->receive * (size_t)need);
        f->room    = f->posted && f->to && f->receive ? need : 0;
        LS_CHECK(f->room, LS_ERR_ENV, "no memory for %d messages", need);
    }
    f->sends = f->receives = f->received = 0;
    *out                                 = f;
    return LS_OK;
}

/* Puts a message into the mailbox of its receiver.  The lock is held. */
static ls_status post(sim *s, flow *f, const ls_transfer *t)
{
    world *w = s->world;
    note  *n = take_note(s), **last = mailbox(&w->rank[t->rank], s->comm.rank, f->channel);
    double began = now();
    LS_CHECK(n, LS_ERR_ENV, "no memory for a message");
    if (s->link_free < began) s->link_free = began;
    if (w->options.bytes_per_s > 0) s->link_free += (double)(t->count * sizeof(float)) / w->options.bytes_per_s;
    *n = (note){.data = t->data, .count = t->count, .arrives = s->link_free + w->options.latency_s};
    while (*last) last = &(*last)->next;
    *last               = n;
    f->to[f->sends]     = t->rank;
    f->posted[f->sends] = n;
    f->sends++;
    return LS_OK;
}

static ls_status start(ls_comm *comm, int channel, int sends, const ls_transfer *send, int receives,
                       const ls_transfer *receive, ls_flow **out)
{
    sim      *s      = (sim *)comm;
    flow     *f      = NULL;
    ls_status status = LS_OK;
    *out             = NULL;
    LS_TRY(begin_call(s));
    LS_TRY(take_flow(s, sends, receives, &f));
    if (receives) memcpy(f->receive, receive, sizeof *receive * (size_t)receives);
    f->channel   = channel;
    f->receives  = receives;
    f->base.goes = true;
    *out         = &f->base;
    pthread_mutex_lock(&s->world->lock);
    for (int i = 0; i < sends && status == LS_OK; i++) status = post(s, f, &send[i]);
    pthread_cond_broadcast(&s->world->changed);
    pthread_mutex_unlock(&s->world->lock);
    return status;
}

/* *there: it had arrived, and was copied.  The lock is held, but for that. */
static ls_status receive_one(sim *s, const ls_transfer *r, int channel, bool *there)
{
    world *w    = s->world;
    note **from = mailbox(s, r->rank, channel), *n = *from;
    *there = false;
    if (!n) return w->rank[r->rank].gone ? gone(s, r->rank) : LS_OK;
    LS_CHECK(n->count == r->count, LS_ERR_FAILED,
             "rank %d expects a message of %zu floats from rank %d, but it has %zu", s->comm.rank, r->count, r->rank,
             n->count);
    if ((w->options.latency_s > 0 || w->options.bytes_per_s > 0) && now() < n->arrives) return LS_OK;
    n->reading = true;
    pthread_mutex_unlock(&w->lock);
    memcpy(r->data, n->data, r->count * sizeof(float));
    pthread_mutex_lock(&w->lock);
    *from    = n->next;
    n->taken = true;
    *there   = true;
    pthread_cond_broadcast(&w->changed);
    return LS_OK;
}

static void end_flow(sim *s, flow *f)
{
    for (int i = 0; i < f->sends; i++) {
        f->posted[i]->next = s->free_notes;
        s->free_notes      = f->posted[i];
    }
    f->base.goes = false;
}

/* The lock is held. */
static ls_status advance(sim *s, ls_flow **its)
{
    flow *f     = (flow *)*its;
    bool  there = true;
    while (f->received < f->receives) {
        LS_TRY(receive_one(s, &f->receive[f->received], f->channel, &there));
        if (!there) return LS_OK;
        f->received++;
    }
    for (int i = 0; i < f->sends; i++)
        if (!f->posted[i]->taken) return s->world->rank[f->to[i]].gone ? gone(s, f->to[i]) : LS_OK;
    end_flow(s, f);
    *its = NULL;
    return LS_OK;
}

static ls_status test(ls_comm *comm, ls_flow **its)
{
    sim *s = (sim *)comm;
    pthread_mutex_lock(&s->world->lock);
    ls_status status = advance(s, its);
    pthread_mutex_unlock(&s->world->lock);
    return status;
}

/* Until something changes, or for a moment: messages arrive by the clock. */
static void idle(ls_comm *comm)
{
    enum { NAP_NS = 100000 };
    world          *w = ((sim *)comm)->world;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += NAP_NS;
    if (t.tv_nsec >= 1000000000) t.tv_nsec -= 1000000000, t.tv_sec++;
    pthread_mutex_lock(&w->lock);
    pthread_cond_clockwait(&w->changed, &w->lock, CLOCK_MONOTONIC, &t);
    pthread_mutex_unlock(&w->lock);
}

/* Takes a message back that nobody has begun to read.  The lock is held. */
static void take_back(sim *s, const flow *f, int i)
{
    note **at = mailbox(&s->world->rank[f->to[i]], s->comm.rank, f->channel);
    if (f->posted[i]->reading) return;
    while (*at && *at != f->posted[i]) at = &(*at)->next;
    if (*at) *at = f->posted[i]->next;
}

/* Takes back what nobody has taken: all at once, as who found a later message in place of an earlier one would take it
 * for that; then waits for who is reading. */
static void drop(ls_comm *comm)
{
    sim   *s = (sim *)comm;
    world *w = s->world;
    pthread_mutex_lock(&w->lock);
    for (ls_flow *its = comm->flows; its; its = its->next)
        for (int i = 0; its->goes && i < ((flow *)its)->sends; i++) take_back(s, (flow *)its, i);
    for (ls_flow *its = comm->flows; its; its = its->next) {
        flow *f = (flow *)its;
        if (!its->goes) continue;
        for (int i = 0; i < f->sends; i++)
            while (f->posted[i]->reading && !f->posted[i]->taken) pthread_cond_wait(&w->changed, &w->lock);
        end_flow(s, f);
    }
    pthread_mutex_unlock(&w->lock);
}

static const ls_comm_table table = {.name      = "sim",
                                    .barrier   = barrier,
                                    .bcast     = bcast,
                                    .allgather = allgather,
                                    .start     = start,
                                    .test      = test,
                                    .idle      = idle,
                                    .drop      = drop};

/* ---- the process as many ranks ----------------------------------------------------------------------------------- */

static void *run_rank(void *rank)
{
    sim *s = rank;
    omp_set_num_threads(s->world->threads);
    s->status = s->body(&s->comm, s->context);
    if (s->status != LS_OK) {
        snprintf(s->message, sizeof s->message, "%s", ls_error_message());
        snprintf(s->trace, sizeof s->trace, "%s", ls_error_trace());
    }
    leave(s);
    return NULL;
}

static void free_flow(ls_flow *its)
{
    flow *f = (flow *)its;
    free(f->posted), free(f->to), free(f->receive);
}

static void free_messages(world *w)
{
    for (int r = 0; r < w->ranks; r++) {
        sim *s = &w->rank[r];
        for (int from = -1; from < w->ranks * LS_CHANNELS; from++)
            for (note *n = from < 0 ? s->free_notes : s->first[from], *next; n; n = next) {
                next = n->next;
                free(n);
            }
        ls__flows_free(&s->comm, free_flow);
    }
}

/* The error that came first in cause: of a rank that did not fail only because another was gone. */
static ls_status first_error(const world *w, ls_status *status)
{
    const sim *found = NULL;
    for (int r = 0; r < w->ranks; r++) {
        const sim *s = &w->rank[r];
        if (status) status[r] = s->status;
        bool follows = strstr(s->message, "which is gone") != NULL;
        if (s->status != LS_OK && (!found || (!follows && strstr(found->message, "which is gone")))) found = s;
    }
    return found ? ls_error_set(found->status, found->message, found->trace) : LS_OK;
}

ls_status ls_comm_threads_run(int ranks, const ls_threads_options                   *options,
                              ls_status (*body)(ls_comm *comm, void *context), void *context, ls_status *status)
{
    enum { MOST = 1024 };
    ls_arena *arena;
    LS_CHECK(ranks >= 1 && ranks <= MOST, LS_ERR_USAGE, "expected 1 to %d simulated ranks, found %d", MOST, ranks);
    LS_TRY(ls_arena_new(&arena, "sim"));
    world *w = ls_arena_alloc(arena, sizeof *w);
    *w       = (world){.arena   = arena,
                       .ranks   = ranks,
                       .threads = omp_get_max_threads() / ranks > 0 ? omp_get_max_threads() / ranks : 1};
    if (options) w->options = *options;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    w->rank = ls_arena_alloc(arena, sizeof *w->rank * (size_t)ranks);
    for (int r = 0; r < ranks; r++) {
        sim *s   = &w->rank[r];
        s->world = w;
        s->first = ls_arena_alloc(arena, sizeof(note *) * (size_t)ranks * LS_CHANNELS);
        ls__comm_init(&s->comm, &table, r, ranks);
        s->comm.threads = true;
        s->body         = body;
        s->context      = context;
    }
    int started = 0, error = 0;
    while (started < ranks && !(error = pthread_create(&w->rank[started].thread, NULL, run_rank, &w->rank[started])))
        started++;
    for (int r = started; r < ranks; r++) leave(&w->rank[r]);
    for (int r = 0; r < started; r++) pthread_join(w->rank[r].thread, NULL);
    ls_status found = started == ranks
                          ? first_error(w, status)
                          : LS_FAIL(LS_ERR_ENV, "no thread for simulated rank %d: %s", started, strerror(error));
    free_messages(w);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    ls_arena_free(arena);
    return found;
}
