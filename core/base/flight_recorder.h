/* SPDX-License-Identifier: Apache-2.0
 *
 * The flight recorder: what a rank is doing, and what it did last, in a block of plain memory.  The rank writes;
 * anybody who maps the memory reads, also when the rank is stopped or dead.  A note costs two readings of the clock and
 * a copy of its name, and no lock.
 *
 *     ls__flight_begin(f, &(ls_flight_note){.phase = LS_PHASE_DATA, .what = "next batch", .step = 412});
 *     ...                                                         what is begun in here is a part of it
 *     ls__flight_end(f);
 *
 * Without a recorder (NULL) both do nothing.  One thread writes.
 */
#ifndef LS_CORE_BASE_FLIGHT_RECORDER_H
#define LS_CORE_BASE_FLIGHT_RECORDER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* LS_PHASE_REDUCE and LS_PHASE_WAIT are collectives: a rank in one of them waits for others. */
#define LS_PHASE_LIST(X)                                                                                               \
    X(NONE, "nothing")                                                                                                 \
    X(START, "start-up")                                                                                               \
    X(DATA, "data")                                                                                                    \
    X(FORWARD, "forward")                                                                                              \
    X(BACKWARD, "backward")                                                                                            \
    X(REDUCE, "reduce")                                                                                                \
    X(UPDATE, "update")                                                                                                \
    X(EVAL, "evaluation")                                                                                              \
    X(CHECKPOINT, "checkpoint")                                                                                        \
    X(REPORT, "report")                                                                                                \
    X(WAIT, "wait")
typedef enum ls_phase {
#define X(name, text) LS_PHASE_##name,
    LS_PHASE_LIST(X)
#undef X
        LS_PHASES
} ls_phase;

enum {
    LS_FLIGHT_RECORDS = 1024,
    LS_FLIGHT_CALLS   = 256,
    LS_FLIGHT_TRAVELS = 1024,
    LS_FLIGHT_NAME    = 96,
    LS_FLIGHT_BINS    = 192
};

/* What is begun. */
typedef struct ls_flight_note {
    ls_phase    phase;
    const char *what;
    int64_t     step; /* 0: that of the note before */
    int         micro, instr;
    uint64_t    count; /* of a collective: what all ranks must give alike (elements, bytes) */
    bool        apart; /* it waits, but not all ranks come to do so: not numbered           */
} ls_flight_note;

typedef struct ls_flight_record {
    _Atomic uint64_t number;           /* 1 for the first of all; 0: just being written      */
    int64_t          begin_ns, end_ns; /* CLOCK_MONOTONIC; end 0: not over                   */
    int64_t          resumed_ns;       /* when its last part ended                           */
    int64_t          inner_ns;         /* how long its parts took                            */
    uint64_t         outer;            /* number of the record that it is a part of; 0: none */
    int64_t          step;
    uint64_t         call; /* of a collective: 1 for the first of all            */
    uint64_t         count;
    int32_t          micro, instr;
    uint32_t         phase;
    char             what[LS_FLIGHT_NAME];
} ls_flight_record;

/* A collective as all ranks must have called it.  chain is made of all up to this one: where it is alike on two ranks,
 * they called the same until here. */
typedef struct ls_flight_call {
    _Atomic uint64_t number;
    uint64_t         hash, chain, count;
    char             what[LS_FLIGHT_NAME];
} ls_flight_call;

/* Messages that were on their way while the rank did something else: floats [offset, offset + count) of what is summed.
 */
typedef struct ls_flight_travel {
    int64_t  begin_ns, end_ns, step;
    uint64_t offset, count;
    int32_t  lane; /* travels of one lane follow each other */
    bool     back; /* totals that return                    */
} ls_flight_travel;

/* The memory; all zero when new. */
typedef struct ls_flight_log {
    _Atomic uint64_t records, open; /* written so far; the innermost that is not over, 0: none */
    _Atomic uint64_t calls;
    _Atomic int64_t  step, idle_ns;                  /* idle: since when nothing is open                        */
    _Atomic int64_t  spent_ns[LS_PHASES];            /* without what their parts took                           */
    _Atomic uint32_t bin[LS_PHASES][LS_FLIGHT_BINS]; /* durations: a quarter of a power of two each   */
    ls_flight_record record[LS_FLIGHT_RECORDS];
    ls_flight_call   call[LS_FLIGHT_CALLS];
    _Atomic uint64_t travels; /* so far; the newest are kept, number n at n % LS_FLIGHT_TRAVELS */
    ls_flight_travel travel[LS_FLIGHT_TRAVELS];
} ls_flight_log;

typedef struct ls_flight {
    ls_flight_log *log;
    /* (optional) called after each begin: for faults that tests ask for */
    void (*begun)(void *context, const ls_flight_record *record);
    void *context;
} ls_flight;

int64_t ls__flight_now(void); /* nanoseconds of CLOCK_MONOTONIC, which doesn't jump */

void ls__flight_begin_at(ls_flight *f, const ls_flight_note *note, int64_t now);
void ls__flight_end_at(ls_flight *f, int64_t now);

/* Notes a travel that has ended, of the step at hand.  By any thread, one at a time. */
void ls__flight_travelled(ls_flight *f, const ls_flight_travel *travel);

static inline void ls__flight_begin(ls_flight *f, const ls_flight_note *note)
{
    if (f) ls__flight_begin_at(f, note, ls__flight_now());
}

static inline void ls__flight_end(ls_flight *f)
{
    if (f) ls__flight_end_at(f, ls__flight_now());
}

static inline bool ls__phase_waits(uint32_t phase) { return phase == LS_PHASE_REDUCE || phase == LS_PHASE_WAIT; }

/* ---- for readers, in any thread or process ----------------------------------------------------------------------- */

const char *ls__phase_name(uint32_t phase);

/* What a rank is in: the innermost record, and the outermost of those that it is a part of (the same when it has none).
 */
typedef struct ls_flight_state {
    ls_flight_record in, whole; /* phase LS_PHASE_NONE, with begin_ns: nothing is open since */
    int64_t          since_ns;  /* when the innermost one began, or its last part ended      */
    uint64_t         calls;
} ls_flight_state;

/* False when the rank wrote too fast to be read. */
bool ls__flight_read(const ls_flight_log *log, ls_flight_state *state);
/* Record `number`; false when it is not there any more. */
bool ls__flight_record(const ls_flight_log *log, uint64_t number, ls_flight_record *record);
bool ls__flight_call(const ls_flight_log *log, uint64_t number, ls_flight_call *call);
/* The duration that 99 of 100 records of a phase stay below; 0 when there are none. */
int64_t ls__flight_p99(const ls_flight_log *log, ls_phase phase);

#endif
