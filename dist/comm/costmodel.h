/* SPDX-License-Identifier: Apache-2.0
 *
 * The communicator `costmodel`: one simulated rank of many that all do the same at the same time, over modelled links.
 * The real program with its real collectives runs on it; only the waiting for messages is computed instead of done.  So
 * one process measures how long a step of a thousand ranks takes, provided that no rank is late.  Not public.
 *
 *     LS_TRY(ls__comm_costmodel(&comm, 0, 64, &(ls_link){.bytes_per_s = 1.25e9, .latency_s = 20e-6}));
 *     began  = now();
 *     ... a step of a trainer over comm ...
 *     step_s = now() - began + ls__costmodel_waited(comm)
 *
 * The communicator `threads` cannot measure this, because its ranks share the cores, caches and memory of one machine.
 *
 * Each host has one rank.  Its link is full duplex, at its rate less the headers of TCP over Ethernet (1,448 of each
 * 1,538 bytes on the wire are payload).  An exchange takes
 *
 *     latency + messages x message_s + (max(bytes sent, bytes received) - burst) / rate
 *
 * Received floats are not written, so sums computed over this communicator are meaningless.
 */
#ifndef LS_DIST_COMM_COSTMODEL_H
#define LS_DIST_COMM_COSTMODEL_H

#include "dist/comm/comm.h"

typedef struct ls_link {
    double bytes_per_s; /* rate of the wire; 0: unlimited                                              */
    double latency_s;   /* between two ranks                                                           */
    double message_s;   /* processor time of each message that is sent                                 */
    double burst_bytes; /* bytes that pass at once after a pause (token bucket of a shaped link), >= 0  */
} ls_link;

/* link NULL: messages take no time. */
ls_status ls__comm_costmodel(ls_comm **comm, int rank, int size, const ls_link *link);

/* Simulated waiting time so far, seconds. */
double ls__costmodel_waited(const ls_comm *comm);
/* Bytes and messages that this rank has sent so far. */
void ls__costmodel_sent(const ls_comm *comm, double *bytes, int64_t *messages);

#endif
