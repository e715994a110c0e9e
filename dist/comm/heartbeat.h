/* SPDX-License-Identifier: Apache-2.0
 *
 * The heartbeat: the channel beside MPI through which the watchdogs of all ranks observe each other when MPI is stuck.
 * Not public.
 *
 * Within a host each rank publishes a block of shared memory, which stays readable when its owner is stopped or dead.
 * Between hosts watchdogs send UDP datagrams to the host of rank 0 and receive its answers.  The channel is set up once
 * through the communicator; after that nothing here calls MPI, blocks, or allocates.
 *
 *     ls_heartbeat *hb;
 *     LS_TRY(ls__heartbeat_new(&hb, comm));          collective
 *     hb->own->log                                   the flight recorder of this rank
 *     ls__heartbeat_free(hb);
 */
#ifndef LS_DIST_COMM_HEARTBEAT_H
#define LS_DIST_COMM_HEARTBEAT_H

#include <netinet/in.h>

#include "core/base/arena.h"
#include "dist/comm/comm.h"
#include "dist/comm/rank_state.h"

/* Shared memory in which a rank publishes its state to the ranks of its host. */
typedef struct ls_rank_block {
    _Alignas(64) _Atomic int64_t beat_ns; /* time of the last tick of its watchdog                               */
    _Atomic int32_t finished;             /* 1: the rank has freed its communicator                              */
    _Atomic int32_t signal;               /* signal of its crash                                                 */
    _Atomic int32_t failed;               /* status + 1 of an error outside the communicator; text: `message`    */
    _Atomic int32_t diagnosing;           /* used in the block of the host's first rank only: 1 once a watchdog
                                             of this host has begun to print a diagnosis                         */
    _Atomic int32_t diagnosis;            /* exit code + 1 once the rank leaves because of a diagnosis; text:
                                             `text`.  Set before the process ends.                               */
    uint64_t        token;
    char            message[512], text[LS_DIAGNOSIS_TEXT];
    ls_flight_log   log;
} ls_rank_block;

/* Identity and addresses of a rank. */
typedef struct ls_rank_identity {
    int32_t        rank, process;
    int32_t        file;    /* descriptor of its shared memory in its own process; -1: none      */
    int64_t        started; /* start time of the process, see process_state.h                    */
    uint64_t       token;   /* random; identifies its shared memory                              */
    uint16_t       port;    /* UDP port, network order                                           */
    struct in_addr address[6];
    char           host[LS_HOST_NAME];
} ls_rank_identity;

typedef struct ls_heartbeat {
    ls_arena         *memory;
    int               rank, ranks;
    uint64_t          token;    /* identifies the datagrams of this run                              */
    ls_rank_identity *identity; /* [ranks]                                                           */
    int              *group;    /* [ranks]: the lowest rank that shares memory with it               */
    int               members;  /* number of ranks that share memory with this rank                  */
    int              *member;   /* [members]: their ranks, ascending                                 */
    ls_rank_block   **block;    /* [members]: their shared memory                                    */
    int               me;       /* index of this rank among the members                              */
    ls_rank_block    *own;      /* block[me]                                                         */
    int               socket;   /* -1: all ranks share memory, no datagrams are needed               */
} ls_heartbeat;

/* Collective. */
ls_status ls__heartbeat_new(ls_heartbeat **heartbeat, ls_comm *comm);
void      ls__heartbeat_free(ls_heartbeat *heartbeat);

/* ---- datagrams --------------------------------------------------------------------------------------------------- */

typedef enum ls_heartbeat_kind {
    LS_HEARTBEAT_STATE, /* state of one rank, sent to the host of rank 0                                 */
    LS_HEARTBEAT_ALIVE, /* answer of the host of rank 0                                                  */
    LS_HEARTBEAT_LEAVE  /* the run ends: exit code and text of the diagnosis                             */
} ls_heartbeat_kind;

typedef struct ls_heartbeat_message {
    uint64_t magic, token;
    int32_t  kind, from;
    int32_t  code; /* exit code, of LS_HEARTBEAT_LEAVE */
    int32_t  pad;
    union {
        ls_rank_state state;
        char          text[LS_DIAGNOSIS_TEXT];
    } u;
} ls_heartbeat_message;

/* Sends a message to one address.  A lost datagram is no error, because every message is repeated. */
void ls__heartbeat_send(ls_heartbeat *hb, ls_heartbeat_message *message, const struct sockaddr_in *to);
/* Sends a byte that the receiver ignores; a closed port answers with an ICMP error, see ls__heartbeat_refused. */
void ls__heartbeat_probe(ls_heartbeat *hb, const struct sockaddr_in *to);
/* Sends a message to all addresses of a rank. */
void ls__heartbeat_send_rank(ls_heartbeat *hb, ls_heartbeat_message *message, int rank);
/* Returns the next address with a closed port, as its host has reported (the process has ended); false: none left. */
bool ls__heartbeat_refused(ls_heartbeat *hb, struct sockaddr_in *at);
/* Returns the next message of this run that has arrived; false: none left. */
bool ls__heartbeat_receive(ls_heartbeat *hb, ls_heartbeat_message *message, struct sockaddr_in *from);

#endif
