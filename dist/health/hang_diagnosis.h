/* SPDX-License-Identifier: Apache-2.0
 *
 * Hang diagnosis: a pure function from the states of all ranks to the cause of a hang, the exit code, and the line that
 * names the rank.  Not public. */
#ifndef LS_DIST_HEALTH_HANG_DIAGNOSIS_H
#define LS_DIST_HEALTH_HANG_DIAGNOSIS_H

#include "core/base/status.h"
#include "dist/comm/rank_state.h"

/* In the order in which they are looked for: from the surest evidence to the vaguest. */
typedef enum ls_cause {
    LS_CAUSE_NONE,
    LS_CAUSE_OUT_OF_STEP, /* ranks have called different collectives              */
    LS_CAUSE_DEAD,        /* a process has ended without a mark                   */
    LS_CAUSE_FAILED,      /* a rank has an error outside the communicator         */
    LS_CAUSE_LATE,        /* a rank exceeds the deadline of its instruction       */
    LS_CAUSE_SILENT,      /* a host sends no heartbeat                            */
    LS_CAUSE_LEFT,        /* a rank has left the run; the others wait for it      */
    LS_CAUSE_UNCALLED,    /* all ranks wait, but in different collectives         */
    LS_CAUSE_LOST         /* all ranks wait in the same collective                */
} ls_cause;

typedef struct ls_diagnosis {
    ls_cause cause;
    int      rank;                    /* the rank that causes the hang; -1: no single rank */
    int      code;                    /* exit code                                         */
    char     text[LS_DIAGNOSIS_TEXT]; /* one line                                          */
} ls_diagnosis;

/* Returns true when the run cannot continue.  silence_s: longest time between two heartbeats of a host. */
bool ls__diagnose_hang(const ls_rank_state *state, int ranks, double silence_s, ls_diagnosis *diagnosis);

#endif
