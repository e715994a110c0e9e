/* SPDX-License-Identifier: Apache-2.0
 *
 * State of a rank as a watchdog of its host observes it.  The watchdogs of other hosts send these structs to the host
 * of rank 0 (dist/comm/heartbeat.h); dist/health/hang_diagnosis.c finds the cause of a hang from them.  Not public. */
#ifndef LS_DIST_COMM_RANK_STATE_H
#define LS_DIST_COMM_RANK_STATE_H

#include "core/base/flight_recorder.h"

typedef enum ls_life {
    LS_LIFE_RUNNING,
    LS_LIFE_STOPPED,  /* stopped by SIGSTOP                                              */
    LS_LIFE_TRACED,   /* held by a debugger; has no deadline                             */
    LS_LIFE_DEAD,     /* the process has ended without a mark                            */
    LS_LIFE_FINISHED, /* freed its communicator                                          */
    LS_LIFE_FAILED,   /* has an error that its communicator cannot carry                 */
    LS_LIFE_LEAVING,  /* ends, or has ended, because of a diagnosis; never diagnosed     */
    LS_LIFE_UNKNOWN   /* no heartbeat from its host yet                                  */
} ls_life;

enum {
    LS_RECENT_COLLECTIVES = 8,
    LS_KEPT_COLLECTIVES   = LS_RECENT_COLLECTIVES + 4,
    LS_HOST_NAME          = 64,
    LS_DIAGNOSIS_TEXT     = 1024,
    LS_COLLECTIVE_NAME    = 40
};

/* A collective that a rank has called.  Equal chains on two ranks: both called the same collectives up to this one. */
typedef struct ls_collective {
    uint64_t number, chain, count;
    char     name[LS_COLLECTIVE_NAME];
} ls_collective;

typedef struct ls_rank_state {
    int32_t  rank, process;
    int32_t  life;         /* ls_life                                                                   */
    int32_t  signal;       /* signal of its crash; 0: none known                                        */
    int32_t  status;       /* ls_status of LS_LIFE_FAILED                                               */
    char     state;        /* state letter of /proc/PID/stat                                            */
    bool     memory_short; /* the kernel has killed processes of this host because memory ran out       */
    char     host[LS_HOST_NAME];
    uint32_t phase;                 /* of the current instruction (ls_phase)                            */
    char     what[LS_FLIGHT_NAME];  /* current instruction                                              */
    char     whole[LS_FLIGHT_NAME]; /* outermost instruction that contains the current one              */
    int64_t  step;
    double   age_s, deadline_s; /* time in the current instruction; its limit                           */
    double   dead_s;            /* time since the process was first seen dead; 0: it is not             */
    double   silent_s;          /* time since the last heartbeat of its host                            */
    uint64_t calls;             /* number of collectives called                                         */
    /* The last LS_RECENT_COLLECTIVES, then those numbered with the last four multiples of 16. */
    ls_collective called[LS_KEPT_COLLECTIVES];
    char          message[256]; /* error of LS_LIFE_FAILED                                              */
} ls_rank_state;

#endif
