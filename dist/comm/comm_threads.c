/* SPDX-License-Identifier: Apache-2.0
 *
 * The communicator `threads`: the ranks are threads of one process, with links of a given bandwidth and latency, and
 * with scripted faults.
 *
 * A message is an entry in the mailbox of its receiver: the address of the sender's floats and the time of arrival.
 * The sender's link carries one message at a time, so a message of n bytes that is sent at time t arrives at
 *
 *     max(t, time at which the link is free) + n / bytes_per_s + latency_s
 *
 * and the receiver copies it in the first test after that.  One lock protects everything except the copying.  A rank
 * that dies, or whose body returns, is marked as ended; a rank that waits for it gets an error that names it.
 */
#include <errno.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "dist/comm/comm.h"

/* A message in a mailbox, in the order of sending. */
typedef struct message {
    const float    *data;
    size_t          count;
    double          arrives;
    bool            reading, received;
    struct message *next;
} message;

typedef struct world world;

typedef struct flow {
    ls_flow      base;
    int          channel, sends, receives;
    int          received;    /* messages of `receive` that have been received, in order */
    int          room;        /* length of the arrays                                    */
    message    **sent;        /* [sends]                                                 */
    int         *destination; /* [sends]: rank                                           */
    ls_transfer *receive;     /* [receives]                                              */
} flow;

typedef struct thread_rank {
    ls_comm     comm;
    world      *world;
    int64_t     calls;         /* calls of the table so far                             */
    double      link_free;     /* time at which the link has sent all messages so far   */
    bool        ended;         /* died or returned                                      */
    const void *contribution;  /* what other ranks read during a rendezvous             */
    message   **mailbox;       /* by sender and channel: oldest message not received    */
    message    *free_messages; /* for reuse: after the first steps nothing is allocated */
    pthread_t   thread;
    ls_status (*body)(ls_comm *comm, void *context);
    void     *context;
    ls_status status;
    char      error_message[2048], error_trace[2048];
} thread_rank;

struct world {
    ls_arena          *arena;
    ls_threads_options options;
    int                ranks, threads; /* threads: OpenMP threads of each rank          */
    thread_rank       *rank;           /* [ranks]                                       */
    pthread_mutex_t    lock;
    pthread_cond_t     changed;
    int64_t            rendezvous; /* number of completed rendezvous                    */
    int                arrived;    /* ranks that have arrived at the next               */
};

static void sleep_until(double when)
{
    struct timespec t = ls__clock_timespec((int64_t)(when * LS_NS_PER_S));
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) continue;
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

/* Marks the rank as ended and wakes the ranks that wait. */
static void mark_ended(thread_rank *t)
{
    pthread_mutex_lock(&t->world->lock);
    t->ended = true;
    pthread_cond_broadcast(&t->world->changed);
    pthread_mutex_unlock(&t->world->lock);
}

/* Counts a call of the table and applies the faults that the script has for it. */
static ls_status begin_call(thread_rank *t)
{
    int64_t call = t->calls++;
    for (int i = 0; i < t->world->options.faults; i++) {
        const ls_threads_fault *f = &t->world->options.fault[i];
        if (f->rank != t->comm.rank || f->call != call) continue;
        if (f->kind == LS_THREADS_FAULT_DELAY) sleep_until(ls__clock_s() + f->seconds);
        if (f->kind != LS_THREADS_FAULT_DIE) continue;
        mark_ended(t);
        return LS_FAIL(LS_ERR_ENV, "rank %d: ended by its scripted fault in call %lld", t->comm.rank, (long long)call);
    }
    return LS_OK;
}

#define HAS_ENDED ", which has ended"

static ls_status fail_ended(const thread_rank *t, int other)
{
    return LS_FAIL(LS_ERR_ENV, "rank %d: waits for rank %d" HAS_ENDED, t->comm.rank, other);
}

/* ---- barrier, bcast, allgather ----------------------------------------------------------------------------------- */

/* Returns when all ranks have arrived.  The caller holds the lock. */
static ls_status rendezvous(thread_rank *t)
{
    world  *w      = t->world;
    int64_t number = w->rendezvous;
    if (++w->arrived == w->ranks) {
        w->arrived = 0;
        w->rendezvous++;
        pthread_cond_broadcast(&w->changed);
        return LS_OK;
    }
    while (w->rendezvous == number) {
        for (int r = 0; r < w->ranks; r++)
            if (w->rank[r].ended) return fail_ended(t, r);
        pthread_cond_wait(&w->changed, &w->lock);
    }
    return LS_OK;
}

typedef void read_function(const thread_rank *t, void *to, size_t bytes, int root);

/* Publishes `contribution`; once all ranks have done so, `read` copies the contributions of the others.  Returns when
 * all ranks have read. */
static ls_status publish_and_read(thread_rank *t, const void *contribution, read_function *read, void *to, size_t bytes,
                                  int root)
{
    world *w    = t->world;
    int    hops = 0; /* of a binary tree over the ranks */
    LS_TRY(begin_call(t));
    while (1 << hops < w->ranks) hops++;
    if (w->options.latency_s > 0) sleep_until(ls__clock_s() + hops * w->options.latency_s);
    pthread_mutex_lock(&w->lock);
    t->contribution  = contribution;
    ls_status status = rendezvous(t);
    if (status == LS_OK && read) {
        pthread_mutex_unlock(&w->lock);
        read(t, to, bytes, root);
        pthread_mutex_lock(&w->lock);
        status = rendezvous(t);
    }
    pthread_mutex_unlock(&w->lock);
    return status;
}

static ls_status barrier(ls_comm *comm) { return publish_and_read((thread_rank *)comm, NULL, NULL, NULL, 0, 0); }

static void read_root(const thread_rank *t, void *to, size_t bytes, int root)
{
    if (t->comm.rank != root) memcpy(to, t->world->rank[root].contribution, bytes);
}

static ls_status bcast(ls_comm *comm, void *data, size_t bytes, int root)
{
    return publish_and_read((thread_rank *)comm, data, read_root, data, bytes, root);
}

static void read_all(const thread_rank *t, void *to, size_t bytes, int root)
{
    (void)root;
    for (int r = 0; r < t->world->ranks; r++)
        memmove((char *)to + bytes * (size_t)r, t->world->rank[r].contribution, bytes);
}

static ls_status allgather(ls_comm *comm, const void *send, void *receive, size_t bytes)
{
    return publish_and_read((thread_rank *)comm, send, read_all, receive, bytes, 0);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static message *take_message(thread_rank *t)
{
    message *m = t->free_messages;
    if (m)
        t->free_messages = m->next;
    else
        m = calloc(1, sizeof *m);
    return m;
}

static message **mailbox_of(const thread_rank *receiver, int sender, int channel)
{
    return &receiver->mailbox[sender * LS_CHANNELS + channel];
}

static void free_arrays(flow *f)
{
    free(f->sent);
    free(f->destination);
    free(f->receive);
}

/* Returns a free flow with room for `sends` and `receives` messages. */
static ls_status take_flow(thread_rank *t, int sends, int receives, flow **out)
{
    flow *f    = (flow *)ls__flow_take(&t->comm, sizeof *f);
    int   need = sends > receives ? sends : receives;
    LS_CHECK(f, LS_ERR_ENV, "exchange: no memory for messages");
    if (need > f->room) {
        free_arrays(f);
        f->sent        = malloc(sizeof *f->sent * (size_t)need);
        f->destination = malloc(sizeof *f->destination * (size_t)need);
        f->receive     = malloc(sizeof *f->receive * (size_t)need);
        f->room        = f->sent && f->destination && f->receive ? need : 0;
        LS_CHECK(f->room, LS_ERR_ENV, "exchange: no memory for %d messages", need);
    }
    f->sends    = 0;
    f->receives = 0;
    f->received = 0;
    *out        = f;
    return LS_OK;
}

/* Puts a message into the mailbox of its receiver.  The caller holds the lock. */
static ls_status post(thread_rank *t, flow *f, const ls_transfer *transfer)
{
    world    *w     = t->world;
    message  *m     = take_message(t);
    message **last  = mailbox_of(&w->rank[transfer->rank], t->comm.rank, f->channel);
    double    began = ls__clock_s();
    LS_CHECK(m, LS_ERR_ENV, "exchange: no memory for a message");
    if (t->link_free < began) t->link_free = began;
    if (w->options.bytes_per_s > 0) t->link_free += (double)(transfer->count * sizeof(float)) / w->options.bytes_per_s;
    *m = (message){.data = transfer->data, .count = transfer->count, .arrives = t->link_free + w->options.latency_s};
    while (*last) last = &(*last)->next;
    *last                    = m;
    f->destination[f->sends] = transfer->rank;
    f->sent[f->sends]        = m;
    f->sends++;
    return LS_OK;
}

static ls_status start(ls_comm *comm, int channel, int sends, const ls_transfer *send, int receives,
                       const ls_transfer *receive, ls_flow **out)
{
    thread_rank *t      = (thread_rank *)comm;
    flow        *f      = NULL;
    ls_status    status = LS_OK;
    *out                = NULL;
    LS_TRY(begin_call(t));
    LS_TRY(take_flow(t, sends, receives, &f));
    if (receives) memcpy(f->receive, receive, sizeof *receive * (size_t)receives);
    f->channel     = channel;
    f->receives    = receives;
    f->base.active = true;
    *out           = &f->base;
    pthread_mutex_lock(&t->world->lock);
    for (int i = 0; i < sends && status == LS_OK; i++) status = post(t, f, &send[i]);
    pthread_cond_broadcast(&t->world->changed);
    pthread_mutex_unlock(&t->world->lock);
    return status;
}

/* Copies a message if it has arrived; *done: it has.  The caller holds the lock, which is released during the copy. */
static ls_status receive_one(thread_rank *t, const ls_transfer *transfer, int channel, bool *done)
{
    world    *w    = t->world;
    message **from = mailbox_of(t, transfer->rank, channel);
    message  *m    = *from;
    *done          = false;
    if (!m) return w->rank[transfer->rank].ended ? fail_ended(t, transfer->rank) : LS_OK;
    LS_CHECK(m->count == transfer->count, LS_ERR_FAILED,
             "rank %d: message from rank %d: expected %zu floats, found %zu", t->comm.rank, transfer->rank,
             transfer->count, m->count);
    if ((w->options.latency_s > 0 || w->options.bytes_per_s > 0) && ls__clock_s() < m->arrives) return LS_OK;
    m->reading = true;
    pthread_mutex_unlock(&w->lock);
    memcpy(transfer->data, m->data, transfer->count * sizeof(float));
    pthread_mutex_lock(&w->lock);
    *from       = m->next;
    m->received = true;
    *done       = true;
    pthread_cond_broadcast(&w->changed);
    return LS_OK;
}

/* Returns the messages of a flow to the free list. */
static void end_flow(thread_rank *t, flow *f)
{
    for (int i = 0; i < f->sends; i++) {
        f->sent[i]->next = t->free_messages;
        t->free_messages = f->sent[i];
    }
    f->base.active = false;
}

/* Receives what has arrived; sets *out to NULL when the flow is complete.  The caller holds the lock. */
static ls_status advance(thread_rank *t, ls_flow **out)
{
    flow *f    = (flow *)*out;
    bool  done = true;
    while (f->received < f->receives) {
        LS_TRY(receive_one(t, &f->receive[f->received], f->channel, &done));
        if (!done) return LS_OK;
        f->received++;
    }
    for (int i = 0; i < f->sends; i++) {
        if (f->sent[i]->received) continue;
        return t->world->rank[f->destination[i]].ended ? fail_ended(t, f->destination[i]) : LS_OK;
    }
    end_flow(t, f);
    *out = NULL;
    return LS_OK;
}

static ls_status test(ls_comm *comm, ls_flow **out)
{
    thread_rank *t = (thread_rank *)comm;
    pthread_mutex_lock(&t->world->lock);
    ls_status status = advance(t, out);
    pthread_mutex_unlock(&t->world->lock);
    return status;
}

/* Waits until another rank changes something, at most 0.1 ms, because messages arrive by the clock. */
static void idle(ls_comm *comm)
{
    enum { NAP_NS = 100000 };
    world          *w = ((thread_rank *)comm)->world;
    struct timespec t = ls__clock_timespec(ls__clock_ns() + NAP_NS);
    pthread_mutex_lock(&w->lock);
    pthread_cond_clockwait(&w->changed, &w->lock, CLOCK_MONOTONIC, &t);
    pthread_mutex_unlock(&w->lock);
}

/* Removes a message from its mailbox unless its receiver is reading it.  The caller holds the lock. */
static void withdraw(thread_rank *t, const flow *f, int i)
{
    message **at = mailbox_of(&t->world->rank[f->destination[i]], t->comm.rank, f->channel);
    if (f->sent[i]->reading) return;
    while (*at && *at != f->sent[i]) at = &(*at)->next;
    if (*at) *at = f->sent[i]->next;
}

/* Withdraws all messages that have not been received, then waits for the receivers that are reading.  All are withdrawn
 * before the lock is released: a receiver would otherwise take a later message for an earlier one. */
static void drop(ls_comm *comm)
{
    thread_rank *t = (thread_rank *)comm;
    world       *w = t->world;
    pthread_mutex_lock(&w->lock);
    for (ls_flow *each = comm->flows; each; each = each->next)
        for (int i = 0; each->active && i < ((flow *)each)->sends; i++) withdraw(t, (flow *)each, i);
    for (ls_flow *each = comm->flows; each; each = each->next) {
        flow *f = (flow *)each;
        if (!each->active) continue;
        for (int i = 0; i < f->sends; i++)
            while (f->sent[i]->reading && !f->sent[i]->received) pthread_cond_wait(&w->changed, &w->lock);
        end_flow(t, f);
    }
    pthread_mutex_unlock(&w->lock);
}

static const ls_comm_table table = {.name      = "threads",
                                    .barrier   = barrier,
                                    .bcast     = bcast,
                                    .allgather = allgather,
                                    .start     = start,
                                    .test      = test,
                                    .idle      = idle,
                                    .drop      = drop};

/* ---- running the ranks ------------------------------------------------------------------------------------------- */

static void *run_rank(void *rank)
{
    thread_rank *t = rank;
    omp_set_num_threads(t->world->threads);
    t->status = t->body(&t->comm, t->context);
    if (t->status != LS_OK) {
        snprintf(t->error_message, sizeof t->error_message, "%s", ls_error_message());
        snprintf(t->error_trace, sizeof t->error_trace, "%s", ls_error_trace());
    }
    mark_ended(t);
    return NULL;
}

static void free_flow(ls_flow *f) { free_arrays((flow *)f); }

static void free_list(message *m)
{
    while (m) {
        message *next = m->next;
        free(m);
        m = next;
    }
}

static void free_messages(world *w)
{
    for (int r = 0; r < w->ranks; r++) {
        thread_rank *t = &w->rank[r];
        free_list(t->free_messages);
        for (int i = 0; i < w->ranks * LS_CHANNELS; i++) free_list(t->mailbox[i]);
        ls__flows_free(&t->comm, free_flow);
    }
}

/* True for an error that follows from the end of another rank. */
static bool follows(const thread_rank *t) { return strstr(t->error_message, HAS_ENDED) != NULL; }

/* Returns the error of the lowest rank that failed by itself; when each error follows from the end of another rank,
 * that of the lowest rank. */
static ls_status first_error(const world *w, ls_status *status)
{
    const thread_rank *found = NULL;
    for (int r = 0; r < w->ranks; r++) {
        const thread_rank *t = &w->rank[r];
        if (status) status[r] = t->status;
        if (t->status != LS_OK && (!found || (follows(found) && !follows(t)))) found = t;
    }
    return found ? ls_error_set(found->status, found->error_message, found->error_trace) : LS_OK;
}

ls_status ls_comm_threads_run(int ranks, const ls_threads_options                   *options,
                              ls_status (*body)(ls_comm *comm, void *context), void *context, ls_status *status)
{
    enum { MAX_RANKS = 1024 };
    ls_arena          *arena;
    ls_threads_options o = {0};
    if (options) LS_TRY(ls__options_copy(&o, sizeof o, options, "ls_threads_options"));
    LS_CHECK(ranks >= 1 && ranks <= MAX_RANKS, LS_ERR_USAGE, "ls_comm_threads_run: ranks: expected 1 to %d, found %d",
             MAX_RANKS, ranks);
    LS_TRY(ls_arena_new(&arena, "threads"));
    world    *w       = ls_arena_alloc(arena, sizeof *w);
    const int threads = omp_get_max_threads() / ranks;
    *w                = (world){.arena = arena, .ranks = ranks, .threads = threads > 0 ? threads : 1};
    w->options        = o;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    w->rank = ls_arena_alloc(arena, sizeof *w->rank * (size_t)ranks);
    for (int r = 0; r < ranks; r++) {
        thread_rank *t = &w->rank[r];
        t->world       = w;
        t->mailbox     = ls_arena_alloc(arena, sizeof(message *) * (size_t)ranks * LS_CHANNELS);
        ls__comm_init(&t->comm, &table, r, ranks);
        t->comm.threads = true;
        t->body         = body;
        t->context      = context;
    }
    int started = 0, error = 0;
    while (started < ranks && !(error = pthread_create(&w->rank[started].thread, NULL, run_rank, &w->rank[started])))
        started++;
    for (int r = started; r < ranks; r++) mark_ended(&w->rank[r]);
    for (int r = 0; r < started; r++) pthread_join(w->rank[r].thread, NULL);
    ls_status result = started == ranks ? first_error(w, status)
                                        : LS_FAIL(LS_ERR_ENV, "ls_comm_threads_run: no thread for rank %d: %s", started,
                                                  strerror(error));
    free_messages(w);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    ls_arena_free(arena);
    return result;
}
