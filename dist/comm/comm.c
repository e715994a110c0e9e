/* SPDX-License-Identifier: Apache-2.0
 *
 * The public collectives: each checks its arguments, prints a trace, and calls the table of the communicator.
 * ls_comm_agree and ls_comm_same are built from the other collectives. */
#include "dist/comm/comm.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"

enum { MESSAGE_BYTES = 4096, MAX_ROWS = 12, CELL = 32 };

void ls__comm_init(ls_comm *comm, const ls_comm_table *table, int rank, int size)
{
    const char *trace = getenv("LOCKSTEP_TRACE");
    *comm             = (ls_comm){.table = table, .rank = rank, .size = size, .local_size = size};
    comm->traced      = trace && strstr(trace, "comm");
}

ls_flow *ls__flow_take(ls_comm *comm, size_t bytes)
{
    ls_flow *f = comm->flows;
    while (f && f->active) f = f->next;
    if (f || !(f = calloc(1, bytes))) return f;
    f->next     = comm->flows;
    comm->flows = f;
    return f;
}

void ls__flows_free(ls_comm *comm, void (*each)(ls_flow *flow))
{
    for (ls_flow *f = comm->flows, *next; f; f = next) {
        next = f->next;
        if (each) each(f);
        free(f);
    }
    comm->flows = NULL;
}

int         ls_comm_rank(const ls_comm *comm) { return comm->rank; }
int         ls_comm_size(const ls_comm *comm) { return comm->size; }
int         ls_comm_local_size(const ls_comm *comm) { return comm->local_size; }
const char *ls_comm_name(const ls_comm *comm) { return comm->table->name; }

/* ---- check, trace, call ------------------------------------------------------------------------------------------ */

#define TRACE(comm, ...)                                                                                               \
    do {                                                                                                               \
        if ((comm)->traced) trace_call((comm), __func__, __VA_ARGS__);                                                 \
    } while (0)

static void trace_call(const ls_comm *comm, const char *func, size_t bytes, int other)
{
    fprintf(stderr, "comm rank %d/%d %s %zu bytes", comm->rank, comm->size, func, bytes);
    if (other >= 0) fprintf(stderr, " root %d", other);
    fputc('\n', stderr);
}

static ls_status check_usable(const ls_comm *comm)
{
    LS_CHECK(!comm->broken, LS_ERR_ENV,
             "rank %d: an earlier call of this communicator failed, so the ranks may be out of step", comm->rank);
    return LS_OK;
}

static void record_begin(const ls_comm *comm, const char *what, size_t bytes)
{
    ls__flight_begin(comm->flight, &(ls_flight_note){.phase = LS_PHASE_WAIT, .what = what, .count = bytes});
}

/* Ends the record of a collective.  After a failure inside a collective it is unknown which ranks took part, so the
 * communicator is marked broken. */
static ls_status record_end(ls_comm *comm, ls_status status)
{
    if (status != LS_OK) comm->broken = true;
    ls__flight_end(comm->flight);
    return status;
}

ls_status ls_comm_barrier(ls_comm *comm)
{
    LS_TRY(check_usable(comm));
    TRACE(comm, 0, -1);
    record_begin(comm, "barrier", 0);
    LS_TRY(record_end(comm, comm->table->barrier(comm)));
    return LS_OK;
}

ls_status ls_comm_bcast(ls_comm *comm, void *data, size_t bytes, int root)
{
    LS_TRY(check_usable(comm));
    LS_CHECK(root >= 0 && root < comm->size, LS_ERR_FAILED, "bcast: root: expected 0 to %d, found %d", comm->size - 1,
             root);
    TRACE(comm, bytes, root);
    if (!bytes) return LS_OK;
    record_begin(comm, "broadcast", bytes);
    LS_TRY(record_end(comm, comm->table->bcast(comm, data, bytes, root)));
    return LS_OK;
}

ls_status ls_comm_allgather(ls_comm *comm, const void *send, void *receive, size_t bytes)
{
    LS_TRY(check_usable(comm));
    LS_CHECK(bytes <= SIZE_MAX / (size_t)comm->size, LS_ERR_FAILED,
             "allgather: %zu bytes from each of %d ranks exceed the address space", bytes, comm->size);
    TRACE(comm, bytes, -1);
    if (!bytes) return LS_OK;
    record_begin(comm, "all-gather", bytes);
    LS_TRY(record_end(comm, comm->table->allgather(comm, send, receive, bytes)));
    return LS_OK;
}

/* After a failure: marks the communicator broken and cancels all messages, because their buffers may go away. */
static ls_status cancel_on_error(ls_comm *comm, ls_status status)
{
    if (status == LS_OK) return LS_OK;
    comm->broken = true;
    ls__comm_drop(comm);
    return status;
}

ls_status ls__comm_start(ls_comm *comm, int channel, int sends, const ls_transfer *send, int receives,
                         const ls_transfer *receive, ls_flow **flow)
{
    LS_TRY(check_usable(comm));
    size_t floats = 0;
    for (int i = 0; i < sends + receives; i++) {
        const ls_transfer *t = i < sends ? &send[i] : &receive[i - sends];
        LS_CHECK(t->rank >= 0 && t->rank < comm->size && t->rank != comm->rank, LS_ERR_FAILED,
                 "exchange: rank %d of %d: expected another valid rank as peer, found a message %s rank %d", comm->rank,
                 comm->size, i < sends ? "to" : "from", t->rank);
        if (i < sends) floats += t->count;
    }
    TRACE(comm, floats * sizeof(float), -1);
    LS_TRY(cancel_on_error(comm, comm->table->start(comm, channel, sends, send, receives, receive, flow)));
    return LS_OK;
}

ls_status ls__comm_test(ls_comm *comm, ls_flow **flow)
{
    if (!*flow) return LS_OK;
    LS_TRY(check_usable(comm));
    LS_TRY(cancel_on_error(comm, comm->table->test(comm, flow)));
    return LS_OK;
}

void ls__comm_idle(ls_comm *comm)
{
    if (comm->table->idle) comm->table->idle(comm);
}

void ls__comm_drop(ls_comm *comm)
{
    if (comm->table->drop) comm->table->drop(comm);
}

double ls__comm_now(const ls_comm *comm)
{
    return comm->table->now ? comm->table->now(comm) : 1e-9 * (double)ls__clock_ns();
}

ls_status ls__comm_exchange(ls_comm *comm, int sends, const ls_transfer *send, int receives, const ls_transfer *receive)
{
    ls_flow  *flow   = NULL;
    ls_status status = LS_OK;
    LS_TRY(ls__comm_start(comm, LS_CHANNEL_EXCHANGE, sends, send, receives, receive, &flow));
    /* `apart`: message counts and sizes differ between ranks, so the watchdog must not compare them. */
    ls__flight_begin(comm->flight, &(ls_flight_note){.phase = LS_PHASE_WAIT, .what = "exchange", .apart = true});
    while (status == LS_OK && flow) {
        status = ls__comm_test(comm, &flow);
        if (flow) ls__comm_idle(comm);
    }
    ls__flight_end(comm->flight);
    LS_TRY(status);
    return LS_OK;
}

/* ---- agree ------------------------------------------------------------------------------------------------------- */

/* The error of the lowest rank that failed, sent to all ranks. */
typedef struct failure {
    int  status;
    char message[MESSAGE_BYTES - 32]; /* leaves room for the prefix "rank 1023: " */
    char trace[MESSAGE_BYTES];
} failure;

/* Whether a message begins with "rank <number>": it names its rank already. */
static bool names_rank(const char *message)
{
    return strncmp(message, "rank ", 5) == 0 && message[5] >= '0' && message[5] <= '9';
}

ls_status ls_comm_agree(ls_comm *comm, ls_status own)
{
    if (comm->size == 1) return own;
    if (own != LS_OK && comm->broken) return own; /* a broken communicator cannot carry the error to other ranks */
    int  status = own, first = -1, failed = 0;
    int  few[64];
    int *all = few;
    if (comm->size > (int)(sizeof few / sizeof *few) && !(all = malloc(sizeof *all * (size_t)comm->size))) {
        comm->broken = true;
        return LS_FAIL(LS_ERR_ENV, "ls_comm_agree: no memory for the status of %d ranks", comm->size);
    }
    ls_status gathered = ls_comm_allgather(comm, &status, all, sizeof status);
    for (int r = 0; gathered == LS_OK && r < comm->size; r++) {
        if (all[r] == LS_OK) continue;
        if (first < 0) first = r;
        failed++;
    }
    if (all != few) free(all);
    LS_TRY(gathered);
    if (first < 0) return LS_OK;

    failure text = {.status = status};
    if (comm->rank == first) {
        snprintf(text.message, sizeof text.message, "%s", ls_error_message());
        snprintf(text.trace, sizeof text.trace, "%s", ls_error_trace());
    }
    LS_TRY(ls_comm_bcast(comm, &text, sizeof text, first));
    if (failed == comm->size || names_rank(text.message))
        return ls_error_set((ls_status)text.status, text.message, text.trace);
    /* The error occurred on some ranks only, so the message names the rank. */
    char   message[MESSAGE_BYTES];
    size_t used = (size_t)snprintf(message, sizeof message, "rank %d: ", first);
    snprintf(message + used, sizeof message - used, "%s", text.message);
    return ls_error_set((ls_status)text.status, message, text.trace);
}

/* ---- same -------------------------------------------------------------------------------------------------------- */

/* Returns text `i` of a sequence of texts, each terminated by 0. */
static const char *text_at(const char *texts, int i)
{
    while (i-- > 0) texts += strlen(texts) + 1;
    return texts;
}

static void append(char *out, size_t *used, const char *format, ...) LS_PRINTF(3, 4);
static void append(char *out, size_t *used, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(out + *used, MESSAGE_BYTES - *used, format, args);
    va_end(args);
    *used += length < 0 ? 0 : (size_t)length;
    if (*used >= MESSAGE_BYTES) *used = MESSAGE_BYTES - 1;
}

/* Fails with a table of the values that differ.  Columns: names with different values.  Rows: rank 0 and the ranks
 * that differ from it. */
static ls_status fail_with_table(const ls_comm *comm, int n, const char *const *names, const char *all, size_t bytes)
{
    char   text[MESSAGE_BYTES], cell[CELL + 1];
    size_t used = 0;
    append(text, &used, "the ranks do not agree on ");
    int columns = 0, column[8];
    for (int i = 0; i < n && columns < (int)(sizeof column / sizeof *column); i++) {
        bool differs = false;
        for (int r = 1; r < comm->size && !differs; r++)
            differs = strcmp(text_at(all, i), text_at(all + bytes * (size_t)r, i)) != 0;
        if (!differs) continue;
        append(text, &used, "%s%s", columns ? ", " : "", names[i]);
        column[columns++] = i;
    }
    append(text, &used, ":\n  %5s", "rank");
    for (int c = 0; c < columns; c++) append(text, &used, "  %-*.*s", CELL, CELL, names[column[c]]);
    int rows = 0, different = 0;
    for (int r = 0; r < comm->size; r++) {
        const char *values  = all + bytes * (size_t)r;
        bool        differs = memcmp(values, all, bytes) != 0;
        different += differs;
        if (r > 0 && !differs) continue;
        if (rows++ >= MAX_ROWS) continue;
        append(text, &used, "\n  %5d", r);
        for (int c = 0; c < columns; c++) {
            const char *value = text_at(values, column[c]);
            size_t      keep  = strlen(value) > CELL ? CELL - 3 : CELL;
            snprintf(cell, sizeof cell, "%.*s%s", (int)keep, value, keep < CELL ? "..." : "");
            append(text, &used, "  %-*s", CELL, cell);
        }
    }
    if (rows > MAX_ROWS) append(text, &used, "\n  and %d more ranks", rows - MAX_ROWS);
    append(text, &used, "\n  %d of %d ranks differ from rank 0", different, comm->size);
    return LS_FAIL(LS_ERR_ENV,
                   "%s" LS_HINT "start every rank with the same program, the same recipe and the same overrides", text);
}

ls_status ls_comm_same(ls_comm *comm, int n, const char *const *names, const char *const *values)
{
    if (comm->size == 1) return LS_OK;
    int64_t own[2] = {n, 0}, longest = 0; /* own: number of values, bytes of their texts */
    for (int i = 0; i < n; i++) own[1] += (int64_t)strlen(values[i]) + 1;
    ls_arena *arena;
    LS_TRY(ls_comm_agree(comm, ls_arena_new(&arena, "ls_comm_same")));

    ls_status status;
    int64_t  *sizes = ls_arena_alloc(arena, sizeof own * (size_t)comm->size);
    LS_TRY_GOTO(status, ls_comm_allgather(comm, own, sizes, sizeof own), done);
    for (int r = 0; r < comm->size; r++) {
        if (sizes[2 * r + 1] > longest) longest = sizes[2 * r + 1];
        if (sizes[2 * r] != n)
            LS_TRY_GOTO(status,
                        LS_FAIL(LS_ERR_ENV,
                                "rank %d compares %d names, rank %d compares %d" LS_HINT
                                "start every rank with the same version of the program",
                                comm->rank, n, r, (int)sizes[2 * r]),
                        done);
    }
    char *texts = ls_arena_alloc(arena, (size_t)longest), *at = texts;
    char *all = ls_arena_alloc(arena, (size_t)longest * (size_t)comm->size);
    for (int i = 0; i < n; i++) at = stpcpy(at, values[i]) + 1;
    LS_TRY_GOTO(status, ls_comm_allgather(comm, texts, all, (size_t)longest), done);
    for (int r = 1; r < comm->size; r++)
        if (memcmp(all, all + (size_t)longest * (size_t)r, (size_t)longest) != 0) {
            status = fail_with_table(comm, n, names, all, (size_t)longest);
            goto done;
        }
done:
    ls_arena_free(arena);
    return status;
}

/* ---- structs of options ------------------------------------------------------------------------------------------ */

ls_status ls__options_copy(void *to, size_t room, const void *from, const char *name)
{
    size_t size;
    memcpy(&size, from, sizeof size);
    LS_CHECK(size >= sizeof size, LS_ERR_USAGE,
             "%s.size: expected sizeof(%s), found %zu" LS_HINT "use the macro that sets it, or set .size", name, name,
             size);
    LS_CHECK(size <= room, LS_ERR_USAGE,
             "%s.size: expected at most %zu bytes, found %zu: the program was compiled for a newer lockstep "
             "library" LS_HINT "install that version of the library, or compile the program again",
             name, room, size);
    memset(to, 0, room);
    memcpy(to, from, size);
    return LS_OK;
}
