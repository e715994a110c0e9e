/* SPDX-License-Identifier: Apache-2.0
 *
 * The flight recorder: the current and the last activities of a rank, in a block of plain memory.  The rank writes; any
 * process that maps the memory can read it, also when the rank is stopped or dead.  A record costs two readings of the
 * clock and a copy of its name, and takes no lock.
 *
 *     ls__flight_begin(f, &(ls_flight_note){.phase = LS_PHASE_DATA, .what = "next batch", .step = 412});
 *     ...                                                         records begun here are parts of this one
 *     ls__flight_end(f);
 *
 * A NULL recorder records nothing.  One thread writes.
 */
#ifndef LS_CORE_BASE_FLIGHT_RECORDER_H
#define LS_CORE_BASE_FLIGHT_RECORDER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/clock.h"
#include "core/base/enum_text.h"

/* In LS_PHASE_REDUCE and LS_PHASE_WAIT, the phases of collectives, a rank waits for other ranks. */
#define LS_PHASE_LIST(X)                                                                                               \
    X(LS_PHASE_NONE, "nothing")                                                                                        \
    X(LS_PHASE_START, "start-up")                                                                                      \
    X(LS_PHASE_DATA, "data")                                                                                           \
    X(LS_PHASE_FORWARD, "forward")                                                                                     \
    X(LS_PHASE_BACKWARD, "backward")                                                                                   \
    X(LS_PHASE_REDUCE, "reduce")                                                                                       \
    X(LS_PHASE_UPDATE, "update")                                                                                       \
    X(LS_PHASE_EVAL, "evaluation")                                                                                     \
    X(LS_PHASE_CHECKPOINT, "checkpoint")                                                                               \
    X(LS_PHASE_REPORT, "report")                                                                                       \
    X(LS_PHASE_WAIT, "wait")
typedef enum ls_phase { LS_ENUMERATORS(LS_PHASE_LIST) LS_PHASES } ls_phase;

enum {
    LS_FLIGHT_RECORDS = 1024,
    LS_FLIGHT_CALLS   = 256,
    LS_FLIGHT_TRAVELS = 1024,
    LS_FLIGHT_NAME    = 96,
    LS_FLIGHT_BINS    = 192
};

/* Description of a record to begin. */
typedef struct ls_flight_note {
    ls_phase    phase;
    const char *what;
    int64_t     step;  /* 0: the step of the previous record                                                */
    int         micro; /* micro-batch                                                                       */
    int         instr; /* index of the instruction                                                          */
    uint64_t    count; /* size of a collective, equal on all ranks: elements or bytes                       */
    bool        apart; /* waits for some ranks only, so it is not numbered as a collective                  */
} ls_flight_note;

typedef struct ls_flight_record {
    _Atomic uint64_t number;     /* from 1; 0 while the record is being written                             */
    int64_t          begin_ns;   /* CLOCK_MONOTONIC                                                         */
    int64_t          end_ns;     /* 0: not over                                                             */
    int64_t          resumed_ns; /* end of its last part                                                    */
    int64_t          inner_ns;   /* total duration of its parts                                             */
    uint64_t         outer;      /* number of the record that contains it; 0: none                          */
    int64_t          step;
    uint64_t         call;  /* number of the collective, from 1; 0: no collective                           */
    uint64_t         count; /* size of the collective                                                       */
    int32_t          micro, instr;
    uint32_t         phase;
    char             what[LS_FLIGHT_NAME];
} ls_flight_record;

/* A collective, as all ranks must have called it.  `chain` is a hash of all collectives up to this one: where it is
 * equal on two ranks, both called the same collectives until here. */
typedef struct ls_flight_call {
    _Atomic uint64_t number;
    uint64_t         hash, chain, count;
    char             what[LS_FLIGHT_NAME];
} ls_flight_call;

/* Messages that were in progress while the rank computed: floats [offset, offset + count) of an all-reduce. */
typedef struct ls_flight_travel {
    int64_t  begin_ns, end_ns, step;
    uint64_t offset, count;
    int32_t  lane; /* travels of one lane do not overlap in time        */
    bool     back; /* true: all-gather of totals; false: reduce-scatter */
} ls_flight_travel;

/* The memory; all zero when new. */
typedef struct ls_flight_log {
    _Atomic uint64_t records;             /* number of records so far                                       */
    _Atomic uint64_t open;                /* number of the innermost open record; 0: none                   */
    _Atomic uint64_t calls;               /* number of collectives so far                                   */
    _Atomic int64_t  step;                /* current step                                                   */
    _Atomic int64_t  idle_ns;             /* time since which no record is open                             */
    _Atomic int64_t  spent_ns[LS_PHASES]; /* time in each phase, without the parts of its records           */
    _Atomic uint32_t bin[LS_PHASES][LS_FLIGHT_BINS]; /* histogram of durations, four bins per power of two  */
    ls_flight_record record[LS_FLIGHT_RECORDS];      /* ring: record n at n % LS_FLIGHT_RECORDS             */
    ls_flight_call   call[LS_FLIGHT_CALLS];          /* ring: collective n at n % LS_FLIGHT_CALLS           */
    _Atomic uint64_t travels;                        /* number of travels so far                            */
    ls_flight_travel travel[LS_FLIGHT_TRAVELS];      /* ring: travel n at n % LS_FLIGHT_TRAVELS             */
} ls_flight_log;

typedef struct ls_flight {
    ls_flight_log *log;
    /* (optional) hook after each begin, for fault injection and simulation */
    void (*begun)(void *context, const ls_flight_record *record);
    void *context;
} ls_flight;

void ls__flight_begin_at(ls_flight *f, const ls_flight_note *note, int64_t now);
void ls__flight_end_at(ls_flight *f, int64_t now);

/* Records a travel that has ended, in the current step.  Any thread may call it, one at a time. */
void ls__flight_travelled(ls_flight *f, const ls_flight_travel *travel);

static inline void ls__flight_begin(ls_flight *f, const ls_flight_note *note)
{
    if (f) ls__flight_begin_at(f, note, ls__clock_ns());
}

static inline void ls__flight_end(ls_flight *f)
{
    if (f) ls__flight_end_at(f, ls__clock_ns());
}

static inline bool ls__phase_waits(uint32_t phase) { return phase == LS_PHASE_REDUCE || phase == LS_PHASE_WAIT; }

/* ---- for readers, in any thread or process ----------------------------------------------------------------------- */

const char *ls__phase_name(uint32_t phase);

typedef struct ls_flight_state {
    ls_flight_record in;       /* innermost open record; phase LS_PHASE_NONE, with begin_ns: none is open   */
    ls_flight_record whole;    /* outermost record that contains it; equal to `in` without one              */
    int64_t          since_ns; /* begin of the innermost record, or end of its last part                    */
    uint64_t         calls;    /* number of collectives so far                                              */
} ls_flight_state;

/* Reads the current state.  Returns false when the rank writes faster than the state can be read. */
bool ls__flight_read(const ls_flight_log *log, ls_flight_state *state);
/* Copies record `number`.  Returns false when the ring has dropped it. */
bool ls__flight_record(const ls_flight_log *log, uint64_t number, ls_flight_record *record);
/* Copies the record of collective `number`.  Returns false when the ring has dropped it. */
bool ls__flight_call(const ls_flight_log *log, uint64_t number, ls_flight_call *call);
/* 99th percentile of the durations of a phase, ns; 0 without samples. */
int64_t ls__flight_p99(const ls_flight_log *log, ls_phase phase);

#endif
