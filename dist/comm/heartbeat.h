/* SPDX-License-Identifier: Apache-2.0
 *
 * The channel beside MPI by which ranks know of each other when MPI is stuck.  Within a host: memory that the ranks
 * show each other, readable when its owner is stopped or dead.  Between hosts: datagrams (UDP) to the host of rank 0,
 * and back.  Set up once, with the help of the communicator; after that nothing in here calls MPI, waits, or allocates.
 *
 *     ls_heartbeat *c;
 *     LS_TRY(ls__heartbeat_new(&c, comm));          collective
 *     c->own->log                                 the rank's flight recorder
 *     ls__heartbeat_free(c);
 */
#ifndef LS_DIST_COMM_HEARTBEAT_H
#define LS_DIST_COMM_HEARTBEAT_H

#include <netinet/in.h>

#include "core/base/arena.h"
#include "dist/comm/comm.h"
#include "dist/health/hang_diagnosis.h"

/* What a rank shows. */
typedef struct ls_seat {
    _Alignas(64) _Atomic int64_t beat_ns; /* when its watchdog last looked around             */
    _Atomic int32_t ended;                /* it left in good order                            */
    _Atomic int32_t signal;               /* that it crashes with                             */
    _Atomic int32_t failed;               /* status + 1 of one that fails; message is there   */
    _Atomic int32_t claimed;              /* of the host's first rank: somebody gives a verdict */
    _Atomic int32_t verdict;              /* exit code + 1; text is there                     */
    uint64_t        token;
    char            message[512], text[LS_DIAGNOSIS_TEXT];
    ls_flight_log   log;
} ls_seat;

/* A rank, as all ranks know it. */
typedef struct ls_peer {
    int32_t        rank, process, file;
    int64_t        started; /* of the process, in clock ticks since the host started: tells it from a later one */
    uint64_t       token;
    uint16_t       port; /* in network order, as the addresses */
    struct in_addr address[6];
    char           host[LS_HOST_NAME];
} ls_peer;

typedef struct ls_heartbeat {
    ls_arena *memory;
    int       rank, ranks;
    uint64_t  token;   /* of this run's datagrams                                       */
    ls_peer  *peer;    /* of every rank                                                 */
    int      *group;   /* of every rank: the lowest rank that shows it memory           */
    int       members; /* ranks that show each other memory                             */
    int      *member;  /* their ranks, ascending                                        */
    ls_seat **seat;    /* theirs; seat[me] == own                                       */
    ls_seat  *own;
    int       me, socket; /* -1: no other hosts                                            */
} ls_heartbeat;

ls_status ls__heartbeat_new(ls_heartbeat **control, ls_comm *comm);
void      ls__heartbeat_free(ls_heartbeat *control);

/* ---- datagrams ---- */

typedef enum ls_heartbeat_kind { LS_HEARTBEAT_VIEW, LS_HEARTBEAT_DIAGNOSIS } ls_heartbeat_kind;

typedef struct ls_heartbeat_message {
    uint64_t magic, token;
    int32_t  kind, from;
    int32_t  verdict; /* of the judge: exit code + 1, 0: none */
    int32_t  pad;
    union {
        ls_rank_view view;
        char         text[LS_DIAGNOSIS_TEXT];
    } u;
} ls_heartbeat_message;

/* Sends to one address; loss is no error, as every word is said again. */
void ls__heartbeat_send(ls_heartbeat *c, ls_heartbeat_message *word, const struct sockaddr_in *to);
/* To all addresses of a rank. */
void ls__heartbeat_send_rank(ls_heartbeat *c, ls_heartbeat_message *word, int rank);
/* An address to which something was sent where nobody listens (any more); false: there is none left. */
bool ls__heartbeat_refused(ls_heartbeat *c, struct sockaddr_in *at);
/* The next word of this run that has come, false when there is none. */
bool ls__heartbeat_receive(ls_heartbeat *c, ls_heartbeat_message *word, struct sockaddr_in *from);

/* Start of a process in clock ticks, and its state letter, from /proc; false when there is none. */
bool ls__process_look(int process, char *state, int64_t *started);

#endif
