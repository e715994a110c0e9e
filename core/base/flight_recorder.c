/* SPDX-License-Identifier: Apache-2.0
 *
 * The flight recorder, a seqlock per record: a writer clears the number of a record before it writes and sets it
 * afterwards, so a reader that finds the same number before and after a copy has a consistent copy.  Durations are
 * counted in four bins per power of two, so a quantile is one pass over 192 counts and at most 25 % too high. */
#include "core/base/flight_recorder.h"

#include <string.h>

#include "core/base/enum_text.h"

static const char *const phase_names[] = LS_ENUM_TEXTS(LS_PHASE_LIST);

const char *ls__phase_name(uint32_t phase) { return phase < LS_PHASES ? phase_names[phase] : "?"; }

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Mixes a value into a hash. */
static uint64_t mix(uint64_t h, uint64_t by)
{
    h = (h ^ by) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 32;
}

static void copy_name(char to[LS_FLIGHT_NAME], const char *name)
{
    size_t n = strnlen(name, LS_FLIGHT_NAME - 1);
    memcpy(to, name, n);
    to[n] = 0;
}

/* Records a collective; returns its number. */
static uint64_t record_call(ls_flight_log *log, const ls_flight_note *note)
{
    uint64_t        number = atomic_load_explicit(&log->calls, memory_order_relaxed) + 1;
    ls_flight_call *c      = &log->call[number % LS_FLIGHT_CALLS];
    uint64_t        before = log->call[(number - 1) % LS_FLIGHT_CALLS].chain, hash = mix(note->phase, note->count);
    for (const char *p = note->what; *p; p++) hash = mix(hash, (unsigned char)*p);
    atomic_store_explicit(&c->number, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    c->hash  = hash;
    c->chain = mix(before, hash);
    c->count = note->count;
    copy_name(c->what, note->what);
    atomic_store_explicit(&c->number, number, memory_order_release);
    atomic_store_explicit(&log->calls, number, memory_order_release);
    return number;
}

/* Returns the innermost open record; NULL when there is none, or the ring has dropped it. */
static ls_flight_record *open_record(ls_flight_log *log)
{
    uint64_t          number = atomic_load_explicit(&log->open, memory_order_relaxed);
    ls_flight_record *r      = &log->record[number % LS_FLIGHT_RECORDS];
    return number && atomic_load_explicit(&r->number, memory_order_relaxed) == number ? r : NULL;
}

void ls__flight_begin_at(ls_flight *f, const ls_flight_note *note, int64_t now)
{
    if (!f) return;
    ls_flight_log          *log    = f->log;
    const ls_flight_record *outer  = open_record(log);
    uint64_t                number = atomic_load_explicit(&log->records, memory_order_relaxed) + 1;
    ls_flight_record       *r      = &log->record[number % LS_FLIGHT_RECORDS];
    /* Only the outermost waiting record counts as a collective: its parts differ from rank to rank. */
    bool is_collective = ls__phase_waits(note->phase) && !note->apart && !(outer && ls__phase_waits(outer->phase));
    if (note->step) atomic_store_explicit(&log->step, note->step, memory_order_relaxed);
    atomic_store_explicit(&r->number, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    r->begin_ns = r->resumed_ns = now;
    r->end_ns = r->inner_ns = 0;
    r->outer                = atomic_load_explicit(&log->open, memory_order_relaxed);
    r->step                 = atomic_load_explicit(&log->step, memory_order_relaxed);
    r->call                 = is_collective ? record_call(log, note) : 0;
    r->count                = note->count;
    r->micro                = note->micro;
    r->instr                = note->instr;
    r->phase                = note->phase;
    copy_name(r->what, note->what);
    atomic_store_explicit(&r->number, number, memory_order_release);
    atomic_store_explicit(&log->records, number, memory_order_release);
    atomic_store_explicit(&log->open, number, memory_order_release);
    if (f->begun) f->begun(f->context, r);
}

/* Bin of a duration in the histogram. */
static int bin_of(int64_t ns)
{
    if (ns < 4) return 0;
    int power = 63 - __builtin_clzll((unsigned long long)ns);
    int bin   = 4 * power + (int)(ns >> (power - 2) & 3);
    return bin < LS_FLIGHT_BINS ? bin : LS_FLIGHT_BINS - 1;
}

void ls__flight_end_at(ls_flight *f, int64_t now)
{
    if (!f) return;
    ls_flight_log    *log = f->log;
    ls_flight_record *r   = open_record(log);
    if (!r) { /* the parts of the record have filled the ring and replaced it */
        atomic_store_explicit(&log->idle_ns, now, memory_order_relaxed);
        atomic_store_explicit(&log->open, 0, memory_order_release);
        return;
    }
    int64_t           took         = now - r->begin_ns;
    uint64_t          outer_number = r->outer;
    ls_flight_record *outer        = &log->record[outer_number % LS_FLIGHT_RECORDS];
    r->end_ns                      = now;
    atomic_fetch_add_explicit(&log->spent_ns[r->phase], took - r->inner_ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&log->bin[r->phase][bin_of(took - r->inner_ns)], 1, memory_order_relaxed);
    if (outer_number && atomic_load_explicit(&outer->number, memory_order_relaxed) == outer_number) {
        outer->inner_ns += took;
        outer->resumed_ns = now;
    } else {
        outer_number = 0;
        atomic_store_explicit(&log->idle_ns, now, memory_order_relaxed);
    }
    atomic_store_explicit(&log->open, outer_number, memory_order_release);
}

void ls__flight_travelled(ls_flight *f, const ls_flight_travel *travel)
{
    if (!f) return;
    ls_flight_log    *log    = f->log;
    uint64_t          number = atomic_load_explicit(&log->travels, memory_order_relaxed);
    ls_flight_travel *to     = &log->travel[number % LS_FLIGHT_TRAVELS];
    *to                      = *travel;
    to->step                 = atomic_load_explicit(&log->step, memory_order_relaxed);
    atomic_store_explicit(&log->travels, number + 1, memory_order_release);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

bool ls__flight_record(const ls_flight_log *log, uint64_t number, ls_flight_record *record)
{
    const ls_flight_record *r = &log->record[number % LS_FLIGHT_RECORDS];
    if (!number || atomic_load_explicit(&r->number, memory_order_acquire) != number) return false;
    memcpy(record, r, sizeof *record);
    atomic_thread_fence(memory_order_acquire);
    record->what[LS_FLIGHT_NAME - 1] = 0;
    return atomic_load_explicit(&r->number, memory_order_relaxed) == number;
}

bool ls__flight_call(const ls_flight_log *log, uint64_t number, ls_flight_call *call)
{
    const ls_flight_call *c = &log->call[number % LS_FLIGHT_CALLS];
    if (!number || atomic_load_explicit(&c->number, memory_order_acquire) != number) return false;
    memcpy(call, c, sizeof *call);
    atomic_thread_fence(memory_order_acquire);
    call->what[LS_FLIGHT_NAME - 1] = 0;
    return atomic_load_explicit(&c->number, memory_order_relaxed) == number;
}

bool ls__flight_read(const ls_flight_log *log, ls_flight_state *state)
{
    enum { TRIES = 8, MAX_DEPTH = 16 };
    for (int i = 0; i < TRIES; i++) {
        uint64_t open = atomic_load_explicit(&log->open, memory_order_acquire);
        memset(state, 0, sizeof *state);
        state->calls = atomic_load_explicit(&log->calls, memory_order_relaxed);
        if (!open) {
            state->since_ns = state->in.begin_ns = atomic_load_explicit(&log->idle_ns, memory_order_relaxed);
            state->in.step                       = atomic_load_explicit(&log->step, memory_order_relaxed);
            state->whole                         = state->in;
        } else {
            if (!ls__flight_record(log, open, &state->in)) continue;
            state->since_ns = state->in.resumed_ns;
            state->whole    = state->in;
            for (int d = 0; d < MAX_DEPTH && state->whole.outer; d++)
                if (!ls__flight_record(log, state->whole.outer, &state->whole)) break;
        }
        if (atomic_load_explicit(&log->open, memory_order_acquire) == open) return true;
    }
    return false;
}

int64_t ls__flight_p99(const ls_flight_log *log, ls_phase phase)
{
    uint64_t all = 0, seen = 0;
    for (int b = 0; b < LS_FLIGHT_BINS; b++) all += atomic_load_explicit(&log->bin[phase][b], memory_order_relaxed);
    for (int b = 0; b < LS_FLIGHT_BINS && all; b++) {
        seen += atomic_load_explicit(&log->bin[phase][b], memory_order_relaxed);
        if (seen * 100 >= all * 99) return b < 8 ? 8 : (int64_t)(5 + b % 4) << (b / 4 - 2);
    }
    return 0;
}
