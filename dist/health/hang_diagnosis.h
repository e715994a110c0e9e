/* SPDX-License-Identifier: Apache-2.0
 *
 * What a watchdog makes of what it knows of all ranks: whether the run is stuck, because of whom, and the line that
 * says so.  Looks at nothing but its arguments. */
#ifndef LS_DIST_HEALTH_HANG_DIAGNOSIS_H
#define LS_DIST_HEALTH_HANG_DIAGNOSIS_H

#include "core/base/flight_recorder.h"
#include "core/base/status.h"

typedef enum ls_life {
    LS_LIFE_RUNS,
    LS_LIFE_STOPPED, /* SIGSTOP                                     */
    LS_LIFE_TRACED,  /* held by a debugger: it has all time         */
    LS_LIFE_DEAD,    /* the process has ended without a word        */
    LS_LIFE_ENDED,   /* it left the run in good order               */
    LS_LIFE_FAILED,  /* it leaves the run because of an error       */
    LS_LIFE_UNKNOWN  /* its host was never heard of                 */
} ls_life;

enum { LS_RECENT = 8, LS_MARKS = LS_RECENT + 4, LS_HOST_NAME = 64, LS_DIAGNOSIS_TEXT = 1024, LS_CALL_NAME = 40 };

/* A rank, as a watchdog of its host sees it; also what hosts send each other. */
typedef struct ls_rank_view {
    int32_t  rank, process;
    int32_t  life;         /* ls_life                                                                */
    int32_t  signal;       /* that it crashed with; 0: none is known                                 */
    int32_t  status;       /* ls_status of one that failed                                           */
    char     state;        /* as in /proc/PID/stat: R runs, S sleeps, D waits for a device, T, t, Z  */
    bool     memory_short; /* the system has ended processes of this host for want of memory          */
    char     host[LS_HOST_NAME];
    uint32_t phase;
    char     what[LS_FLIGHT_NAME], whole[LS_FLIGHT_NAME]; /* the instruction; what it is a part of         */
    int64_t  step;
    double   age_s, deadline_s; /* in it; at most                                                         */
    double   silent_s;          /* since its host was last heard of                                       */
    uint64_t calls;             /* collectives called so far                                              */
    struct ls_call_mark { /* the last collectives (LS_RECENT), and those whose numbers are the last four multiples of 16
                           */
        uint64_t number, chain, count;
        char     what[LS_CALL_NAME];
    } mark[LS_MARKS];
    char message[256]; /* of one that failed                                                     */
} ls_rank_view;

typedef struct ls_diagnosis {
    int  rank;                    /* because of which, -1: no single one */
    int  code;                    /* of the exit                         */
    char text[LS_DIAGNOSIS_TEXT]; /* one line                            */
} ls_diagnosis;

/* True when the run cannot go on; silence_s: for how long a host may be silent. */
bool ls__diagnose_hang(const ls_rank_view *view, int ranks, double silence_s, ls_diagnosis *verdict);

#endif
