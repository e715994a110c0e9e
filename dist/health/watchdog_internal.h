/* SPDX-License-Identifier: Apache-2.0
 * Parts of the watchdog: its state, and the functions that its three files share.  Not public. */
#ifndef LS_DIST_HEALTH_WATCHDOG_INTERNAL_H
#define LS_DIST_HEALTH_WATCHDOG_INTERNAL_H

#include <pthread.h>

#include "dist/comm/heartbeat.h"
#include "dist/health/hang_diagnosis.h"

enum {
    TICK_MS             = 200,   /* between two ticks                                                          */
    ALERT_TICK_MS       = 40,    /* the same, while a deadline is near or a death is unconfirmed               */
    PROBE_MS            = 50,    /* between two probes of the other hosts, by the coordinator                   */
    MEETING_TICK_MS     = 10,    /* the same, while hosts have not exchanged heartbeats                        */
    MEETING_LIMIT_MS    = 10000, /* longest duration of that exchange                                          */
    REPORTER_TIMEOUT_MS = 1000,  /* without a tick for this long, a reporter is replaced                       */
    CONFIRM_MS          = 120,   /* from the first sign of a death to its diagnosis, with several hosts        */
    TAKEOVER_MS         = 600,   /* between the diagnoses of two hosts that have lost the coordinator          */
    MESSAGES_PER_TICK   = 4096
};
#define NS_PER_MS INT64_C(1000000)
#define S_PER_NS 1e-9
#define ALERT_FRACTION 0.8 /* share of a deadline after which a rank is observed more often */

typedef enum watchdog_stage {
    STAGE_MEETING,  /* hosts have not exchanged heartbeats yet                    */
    STAGE_WATCHING, /* no rank is suspicious                                      */
    STAGE_ALERT,    /* a deadline is near, or a death is unconfirmed              */
    STAGE_ENDING    /* a diagnosis was printed or received; the process ends      */
} watchdog_stage;

typedef struct ls_watchdog {
    ls_comm             *comm;
    ls_heartbeat        *hb;
    ls_flight            flight;
    pthread_t            thread;
    int                  stop_event; /* eventfd that ends the thread; -1: no thread                        */
    _Atomic int          stage;      /* watchdog_stage                                                     */
    pthread_mutex_t      lock;       /* protects the settings                                              */
    ls_watchdog_settings settings;
    char                 folder[4096]; /* copy of settings.folder                                          */
    int64_t              began_ns;
    int64_t              resumed_ns; /* end of the last suspension of this process; earlier times count as this */
    int64_t              ticks;
    bool                 suspicious; /* set during a tick: a deadline is near, or a death is unconfirmed        */
    int64_t              oom_kills;  /* the host's count at the start of the run                                */

    /* Ranks of this host, by member. */
    int64_t *stopped_ns; /* when first seen stopped; 0: it is not                                               */
    int64_t *dead_ns;    /* when first seen dead; 0: it is not                                                  */

    /* All ranks. */
    ls_rank_state      *state;       /* as observed or received                                                 */
    ls_rank_state      *received;    /* ranks of other hosts, as last received                                  */
    int64_t            *received_ns; /* when; 0: never                                                          */
    int64_t            *closed_ns;   /* when its UDP port was first reported closed; 0: it is open              */
    struct sockaddr_in *reporter;    /* by group: address of its reporter; port 0: unknown                      */

    /* The coordinator, seen from other hosts. */
    struct sockaddr_in coordinator;
    int64_t            coordinator_ns;      /* last message from that address; 0: the address is unknown        */
    int64_t            coordinator_last_ns; /* last message from any address; 0: none                           */
    int64_t            lost_ns;             /* since when it is missing; 0: it is not                           */
    int64_t            sent_ns;             /* last report sent to it                                           */
    bool               warned;              /* the warning about a silent host was printed                      */
    ls_diagnosis       pending;             /* unconfirmed diagnosis, own or the coordinator's; text "": none   */
} ls_watchdog;

/* ---- dist/health/watchdog_observe.c ------------------------------------------------------------------------------ */

/* Number of processes that the kernel of this host has killed because memory ran out. */
int64_t ls__watchdog_oom_kills(void);
/* Fills in w->state of one rank of this host. */
void ls__watchdog_observe(ls_watchdog *w, int member, int64_t now, double floor_s);
/* Fills in w->state of the ranks of other hosts from their last messages. */
void ls__watchdog_merge(ls_watchdog *w, int64_t now, double floor_s);
/* Copies a text, cut to `room` bytes with its end. */
void ls__watchdog_copy(char *to, size_t room, const char *text);

/* ---- dist/health/watchdog_end.c ---------------------------------------------------------------------------------- */

/* Ends the run with this diagnosis: crash files, the line on stderr, word to all ranks, the end of this process.  Does
 * nothing when another watchdog of this host is doing so. */
void ls__watchdog_end_run(ls_watchdog *w, ls_diagnosis *diagnosis);
/* Ends this process because of another watchdog's diagnosis. */
void ls__watchdog_follow(ls_watchdog *w, int code, const char *text);
/* True when no rank of this host with a lower number can act for the host. */
bool ls__watchdog_is_reporter(const ls_watchdog *w, int64_t now);

#endif
