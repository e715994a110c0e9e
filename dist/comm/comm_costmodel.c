/* SPDX-License-Identifier: Apache-2.0
 * The communicator `mirror`: see dist/comm/costmodel.h. */
#include "dist/comm/costmodel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PAYLOAD (1448.0 / 1538.0) /* of a full frame on the wire */

typedef struct flow {
    ls_flow base;
    double  done_at;
} flow;

typedef struct mirror {
    ls_comm base;
    ls_link link;
    double  waited, bytes;
    double  tokens, filled_at; /* of the link's bucket, and when it had them */
    int64_t messages;
} mirror;

#define MIRROR_OF(comm) ((mirror *)(comm))

static double now(const ls_comm *comm) { return 1e-9 * (double)ls__flight_now() + ((const mirror *)comm)->waited; }

/* The bucket is as full as the time since the last message allows, and may go below empty: that is what must be waited
 * for. */
static double link_time(mirror *m, double bytes)
{
    const double rate = m->link.bytes_per_s * PAYLOAD, here = now(&m->base);
    if (m->link.bytes_per_s <= 0) return 0;
    m->tokens    = fmin(m->link.burst_bytes, m->tokens + (here - m->filled_at) * rate) - bytes;
    m->filled_at = here;
    return m->tokens < 0 ? -m->tokens / rate : 0;
}

/* When messages that are sent and received from now on are there; to send them takes the processor's time. */
static double there_at(ls_comm *comm, int sends, double out, double in)
{
    mirror *m = MIRROR_OF(comm);
    m->waited += sends * m->link.message_s;
    m->bytes += out;
    m->messages += sends;
    double takes = link_time(m, out > in ? out : in);
    return now(comm) + m->link.latency_s + takes;
}

static void wait_until(mirror *m, double when)
{
    double here = now(&m->base);
    if (when > here) m->waited += when - here;
}

static void wait_for(ls_comm *comm, int sends, double out, double in)
{
    wait_until(MIRROR_OF(comm), there_at(comm, sends, out, in));
}

/* Along a tree: so many times to a neighbour. */
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
    LS_CHECK(f, LS_ERR_ENV, "no memory for messages");
    f->base.goes = true;
    f->done_at   = there_at(comm, messages, sent, received);
    *out         = &f->base;
    return LS_OK;
}

static ls_status test(ls_comm *comm, ls_flow **its)
{
    if (now(comm) < ((flow *)*its)->done_at) return LS_OK;
    (*its)->goes = false;
    *its         = NULL;
    return LS_OK;
}

/* Nothing happens before the first of the flows is there. */
static void idle(ls_comm *comm)
{
    const flow *first = NULL;
    for (const ls_flow *f = comm->flows; f; f = f->next)
        if (f->goes && (!first || ((const flow *)f)->done_at < first->done_at)) first = (const flow *)f;
    if (first) wait_until(MIRROR_OF(comm), first->done_at);
}

static void release(ls_comm *comm)
{
    ls__flows_free(comm, NULL);
    free(comm);
}

static const ls_comm_table table = {.name      = "mirror",
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
    mirror *m = malloc(sizeof *m);
    LS_CHECK(m, LS_ERR_ENV, "no memory for a communicator");
    *m = (mirror){.link = link ? *link : (ls_link){0}};
    ls__comm_init(&m->base, &table, rank, size);
    *comm = &m->base;
    return LS_OK;
}

double ls__costmodel_waited(const ls_comm *comm) { return MIRROR_OF(comm)->waited; }

void ls__costmodel_sent(const ls_comm *comm, double *bytes, int64_t *messages)
{
    *bytes    = MIRROR_OF(comm)->bytes;
    *messages = MIRROR_OF(comm)->messages;
}
