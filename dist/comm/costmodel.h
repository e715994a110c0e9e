/* SPDX-License-Identifier: Apache-2.0
 *
 * The communicator `mirror`: one rank among many that all do the same at the same time, over links that are not there.
 * What runs on it is the real program, with its real collectives; only the waiting for messages is computed, and
 * counted instead of done.  So one process finds out how long a step of a thousand ranks takes, as long as none of them
 * is late.  Not public.
 *
 *     LS_TRY(ls__comm_costmodel(&comm, 0, 64, &(ls_link){.bytes_per_s = 1.25e9, .latency_s = 20e-6}));
 *     began  = now();
 *     ... a step of a trainer over comm ...
 *     step_s = now() - began + ls__costmodel_waited(comm)
 *
 * Why not `sim`, which has ranks as threads: they would share this machine's cores, caches and memory, and what is to
 * be known is how long a step takes when each has its own.
 *
 * A host holds one rank, and its link carries what is sent and what is received at the same time, at its rate less the
 * headers of TCP on Ethernet (66 and 24 of each 1,538 bytes on the wire, of which a rate counts all).  An exchange
 * takes
 *
 *     latency + messages x message_s + (max(bytes sent, bytes received) - what a burst lets through) / rate
 *
 * Floats that are received keep what they were before: no sum is right, and none is looked at.
 */
#ifndef LS_DIST_COMM_COSTMODEL_H
#define LS_DIST_COMM_COSTMODEL_H

#include "dist/comm/comm.h"

typedef struct ls_link {
    double bytes_per_s; /* of the wire; 0: no limit                        */
    double latency_s;   /* from one rank to another                        */
    double message_s;   /* of the processor, for each message that is sent */
    double burst_bytes; /* that go at once after a pause: a token bucket, as shaped links have; 0 or more */
} ls_link;

/* link NULL: messages take no time. */
ls_status ls__comm_costmodel(ls_comm **comm, int rank, int size, const ls_link *link);

/* Seconds that collectives would have taken so far, besides those that passed. */
double ls__costmodel_waited(const ls_comm *comm);
/* Bytes and messages that this rank has sent so far. */
void ls__costmodel_sent(const ls_comm *comm, double *bytes, int64_t *messages);

#endif
