/* SPDX-License-Identifier: Apache-2.0
 * The communicator `costmodel`: computes the time of messages instead of sending them, see dist/comm/costmodel.h. */
#include "core/base/clock.h"
#include "dist/comm/costmodel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PAYLOAD (1448.0 / 1538.0) /* share of the bytes on the wire */

typedef struct flow {
    ls_flow base;
    double  done_at; /* simulated time of completion, seconds */
} flow;

typedef struct model {
    ls_comm base;
    ls_link link;
    double  waited;               /* simulated waiting time, seconds                                 */
    double  tokens, refreshed_at; /* of the token bucket: bytes, and the time at which it had them   */
    double  bytes;                /* sent                                                            */
    int64_t messages;             /* sent                                                            */
} model;

#define MODEL_OF(comm) ((model *)(comm))

/* Simulated time: the clock plus the waiting that was computed instead of done. */
static double now(const ls_comm *comm) { return 1e-9 * (double)ls__clock_ns() + ((const model *)comm)->waited; }

/* Time that the link needs for `bytes`, after the tokens of its bucket.  The bucket refills with the rate of the link,
 * up to burst_bytes; below zero, the missing tokens are the waiting time. */
static double link_time(model *m, double bytes)
{
    const double rate = m->link.bytes_per_s * PAYLOAD, time = now(&m->base);
    if (m->link.bytes_per_s <= 0) return 0;
    m->tokens       = fmin(m->link.burst_bytes, m->tokens + (time - m->refreshed_at) * rate) - bytes;
    m->refreshed_at = time;
    return m->tokens < 0 ? -m->tokens / rate : 0;
}

/* Counts messages that start at this time, and returns the time at which they are complete. */
static double completion_of(ls_comm *comm, int sends, double out, double in)
{
    model *m = MODEL_OF(comm);
    m->waited += sends * m->link.message_s;
    m->bytes += out;
    m->messages += sends;
    double takes = link_time(m, out > in ? out : in);
    return now(comm) + m->link.latency_s + takes;
}

static void wait_until(model *m, double when)
{
    double time = now(&m->base);
    if (when > time) m->waited += when - time;
}

static void wait_for(ls_comm *comm, int sends, double out, double in)
{
    wait_until(MODEL_OF(comm), completion_of(comm, sends, out, in));
}

/* Depth of a binary tree over the ranks. */
static int hops(const ls_comm *comm)
{
    int n = 0;
    while (1 << n < comm->size) n++;
    return n;
}

static ls_status barrier(ls_comm *comm)
{
    for (int i = 0; i < hops(comm); i++) wait_for(comm, 1, 0, 0);
    return LS_OK;
}

static ls_status bcast(ls_comm *comm, void *data, size_t bytes, int root)
{
    (void)data, (void)root;
    for (int i = 0; i < hops(comm); i++) wait_for(comm, 1, (double)bytes, (double)bytes);
    return LS_OK;
}

static ls_status allgather(ls_comm *comm, const void *send, void *receive, size_t bytes)
{
    for (int i = 0; i < hops(comm); i++) wait_for(comm, 1, (double)bytes * (1 << i), (double)bytes * (1 << i));
    for (int r = 0; r < comm->size; r++) memmove((char *)receive + (size_t)r * bytes, send, bytes);
    return LS_OK;
}

static ls_status start(ls_comm *comm, int channel, int sends, const ls_transfer *send, int receives,
                       const ls_transfer *receive, ls_flow **out)
{
    double sent = 0, received = 0;
    int    messages = 0;
    (void)channel;
    for (int i = 0; i < sends; i++) {
        sent += (double)send[i].count * sizeof(float);
        messages += send[i].count > 0;
    }
    for (int i = 0; i < receives; i++) received += (double)receive[i].count * sizeof(float);
    *out = NULL;
    if (sent + received == 0) return LS_OK;
    flow *f = (flow *)ls__flow_take(comm, sizeof *f);
    LS_CHECK(f, LS_ERR_ENV, "exchange: no memory for messages");
    f->base.active = true;
    f->done_at     = completion_of(comm, messages, sent, received);
    *out           = &f->base;
    return LS_OK;
}

static ls_status test(ls_comm *comm, ls_flow **out)
{
    if (now(comm) < ((flow *)*out)->done_at) return LS_OK;
    (*out)->active = false;
    *out           = NULL;
    return LS_OK;
}

/* Advances the simulated time to the first completion. */
static void idle(ls_comm *comm)
{
    const flow *first = NULL;
    for (const ls_flow *f = comm->flows; f; f = f->next)
        if (f->active && (!first || ((const flow *)f)->done_at < first->done_at)) first = (const flow *)f;
    if (first) wait_until(MODEL_OF(comm), first->done_at);
}

static void release(ls_comm *comm)
{
    ls__flows_free(comm, NULL);
    free(comm);
}

static const ls_comm_table table = {.name      = "costmodel",
                                    .barrier   = barrier,
                                    .bcast     = bcast,
                                    .allgather = allgather,
                                    .start     = start,
                                    .test      = test,
                                    .idle      = idle,
                                    .now       = now,
                                    .free      = release};

ls_status ls__comm_costmodel(ls_comm **comm, int rank, int size, const ls_link *link)
{
    model *m = malloc(sizeof *m);
    LS_CHECK(m, LS_ERR_ENV, "communicator: no memory");
    *m = (model){.link = link ? *link : (ls_link){0}};
    ls__comm_init(&m->base, &table, rank, size);
    *comm = &m->base;
    return LS_OK;
}

double ls__costmodel_waited(const ls_comm *comm) { return MODEL_OF(comm)->waited; }

void ls__costmodel_sent(const ls_comm *comm, double *bytes, int64_t *messages)
{
    *bytes    = MODEL_OF(comm)->bytes;
    *messages = MODEL_OF(comm)->messages;
}
