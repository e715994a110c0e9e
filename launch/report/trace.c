/* SPDX-License-Identifier: Apache-2.0
 *
 * Collects the records of the flight recorder over some steps and writes them in Chrome's trace format.
 *
 * The clocks of hosts have arbitrary offsets.  After the last step each rank in turn requests the time of rank 0
 * several times.  The request with the shortest round trip gives the offset of its clock, with an error of at most half
 * of that round trip.
 */
#include "launch/report/trace.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/graph/program.h"
#include "core/io/atomic_file.h"
#include "dist/comm/comm.h"
#include "dist/trainer/trainer.h"

enum { ROUND_TRIPS = 64, MAX_STEPS = 1000 };

typedef enum row { ROW_STEPS, ROW_COMPUTATION, ROW_COMMUNICATION, ROW_OTHER, ROWS } row;
static const char *const row_names[ROWS] = {"steps", "computation", "communication", "data and files"};
enum { MAX_LANES = 16 }; /* rows of transfers between hosts, below the other rows */

struct ls_trace {
    ls_run           *run;
    const char       *path;
    long long         first, last, step; /* counted from the start of the command */
    uint64_t          seen;              /* number of flight records already collected or skipped */
    uint64_t          lost;              /* number of records overwritten before they were collected */
    ls_flight_record *record;
    size_t            records, room;
    uint64_t          travels_seen;
    ls_flight_travel *travel;
    size_t            travels, travel_room;
    ls_flight        *own; /* the flight recorder, if the communicator had none */
    bool              written;
};

static row row_of(uint32_t phase)
{
    switch (phase) {
    case LS_PHASE_FORWARD:
    case LS_PHASE_BACKWARD:
    case LS_PHASE_UPDATE:
        return ROW_COMPUTATION;
    case LS_PHASE_REDUCE:
    case LS_PHASE_WAIT:
        return ROW_COMMUNICATION;
    default:
        return ROW_OTHER;
    }
}

/* ---- collecting -------------------------------------------------------------------------------------------------- */

static ls_status take_records(ls_trace *t)
{
    const ls_flight_log *log = t->run->comm->flight->log;
    uint64_t             end = log->records;
    if (end - t->seen > LS_FLIGHT_RECORDS) {
        t->lost += end - t->seen - LS_FLIGHT_RECORDS;
        t->seen = end - LS_FLIGHT_RECORDS;
    }
    if (t->records + (end - t->seen) > t->room) {
        size_t            room = 2 * (t->records + (end - t->seen));
        ls_flight_record *more = realloc(t->record, room * sizeof *more);
        LS_CHECK(more, LS_ERR_ENV, "%s: no memory for %zu records", t->path, room);
        t->record = more;
        t->room   = room;
    }
    while (t->seen < end) {
        ls_flight_record *r = &t->record[t->records];
        if (ls__flight_record(log, ++t->seen, r) && r->end_ns)
            t->records++;
        else
            t->lost++;
    }
    return LS_OK;
}

static ls_status take_travels(ls_trace *t)
{
    const ls_flight_log *log = t->run->comm->flight->log;
    uint64_t             end = log->travels;
    if (end - t->travels_seen > LS_FLIGHT_TRAVELS) {
        t->lost += end - t->travels_seen - LS_FLIGHT_TRAVELS;
        t->travels_seen = end - LS_FLIGHT_TRAVELS;
    }
    size_t need = t->travels + (end - t->travels_seen);
    if (need > t->travel_room) {
        ls_flight_travel *more = realloc(t->travel, 2 * need * sizeof *more);
        LS_CHECK(more, LS_ERR_ENV, "%s: no memory for %zu records", t->path, 2 * need);
        t->travel      = more;
        t->travel_room = 2 * need;
    }
    while (t->travels_seen < end) t->travel[t->travels++] = log->travel[t->travels_seen++ % LS_FLIGHT_TRAVELS];
    return LS_OK;
}

/* ---- clocks ------------------------------------------------------------------------------------------------------ */

/* Measures the offset of rank 0's clock from this rank's, *behind_ns, and the largest error of it, *within_ns. */
static ls_status measure_clock(ls_run *run, int64_t *behind_ns, int64_t *within_ns)
{
    float       text[2]  = {0}; /* eight bytes, as a message */
    ls_transfer to_first = {0, text, 2};
    *behind_ns = *within_ns = 0;
    for (int r = 1; r < run->ranks; r++) {
        ls_transfer to_rank = {r, text, 2};
        for (int k = 0; k < ROUND_TRIPS; k++) {
            const bool asks = run->rank == r, answers = run->rank == 0;
            int64_t    asked = ls__clock_ns(), its;
            LS_TRY(ls__comm_exchange(run->comm, asks, &to_first, answers, &to_rank));
            its = ls__clock_ns();
            if (answers) memcpy(text, &its, sizeof its);
            LS_TRY(ls__comm_exchange(run->comm, answers, &to_rank, asks, &to_first));
            if (!asks) continue;
            int64_t back = ls__clock_ns();
            if (k > 0 && (back - asked) / 2 >= *within_ns) continue;
            memcpy(&its, text, sizeof its);
            *within_ns = (back - asked) / 2;
            *behind_ns = its - (asked + back) / 2;
        }
    }
    return LS_OK;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void print_string(FILE *to, const char *text)
{
    fputc('"', to);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c < 0x20)
            fprintf(to, "\\u%04x", *c);
        else
            fprintf(to, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    }
    fputc('"', to);
}

static void print_name_of(FILE *to, int rank, const char *what, int its_row, const char *name)
{
    fprintf(to, "{\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"name\":\"%s\",\"args\":{\"name\":", rank, its_row, what);
    print_string(to, name);
    fputs("}},\n", to);
    fprintf(to, "{\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"name\":\"%.*s_sort_index\",\"args\":{\"sort_index\":%d}},\n",
            rank, its_row, (int)strcspn(what, "_"), what, strncmp(what, "process", 7) == 0 ? rank : its_row);
}

static void print_span(FILE *to, int rank, int its_row, const char *kind, int64_t begin_ns, int64_t end_ns)
{
    fprintf(to, "{\"ph\":\"X\",\"pid\":%d,\"tid\":%d,\"cat\":\"%s\",\"ts\":%.3f,\"dur\":%.3f,\"name\":", rank, its_row,
            kind, 1e-3 * (double)begin_ns, 1e-3 * (double)(end_ns - begin_ns));
}

static void print_record(FILE *to, const ls_run *run, const ls_flight_record *r, int64_t shift_ns)
{
    const ls_program *p     = ls__trainer_program(run->trainer);
    const ls_instr   *instr = row_of(r->phase) == ROW_COMPUTATION && r->instr < p->instrs ? &p->instr[r->instr] : NULL;
    char              name[LS_FLIGHT_NAME + 16];
    snprintf(name, sizeof name, "%s%s", r->what,
             r->phase == LS_PHASE_BACKWARD && instr && instr->kind == LS_INSTR_BACKWARD ? " backward" : "");
    print_span(to, run->rank, row_of(r->phase), ls__phase_name(r->phase), r->begin_ns + shift_ns, r->end_ns + shift_ns);
    print_string(to, name);
    fprintf(to, ",\"args\":{\"step\":%lld", (long long)r->step);
    if (instr && instr->node) fprintf(to, ",\"op\":\"%s\",\"instruction\":%d", ls__op(instr->node)->name, r->instr);
    if (r->phase == LS_PHASE_REDUCE)
        fprintf(to, ",\"instruction\":%d,\"bytes\":%llu", r->instr, (unsigned long long)(r->count * sizeof(float)));
    if (r->phase == LS_PHASE_WAIT && r->count) fprintf(to, ",\"bytes\":%llu", (unsigned long long)r->count);
    if (r->micro) fprintf(to, ",\"micro-step\":%d", r->micro);
    fputs("}},\n", to);
}

/* Prints a transfer between hosts, named after the instruction that started it. */
static void print_travel(FILE *to, const ls_run *run, const ls_flight_travel *v, int64_t shift_ns)
{
    const ls_program *p    = ls__trainer_program(run->trainer);
    const char       *name = "parameters";
    for (int i = 0; i < p->instrs; i++) {
        const ls_instr *in = &p->instr[i];
        if (in->phase == LS_PHASE_REDUCE && v->offset >= in->offset && v->offset < in->offset + in->count)
            name = in->label ? in->label : in->name;
    }
    print_span(to, run->rank, ROWS + v->lane, "message", v->begin_ns + shift_ns, v->end_ns + shift_ns);
    print_string(to, name);
    fprintf(to, ",\"args\":{\"step\":%lld,\"what\":\"%s\",\"bytes\":%llu}},\n", (long long)v->step,
            v->back ? "all-gather" : "reduce-scatter", (unsigned long long)(v->count * sizeof(float)));
}

static void print_lanes(FILE *to, const ls_trace *t, int64_t shift_ns)
{
    int  lanes = 0;
    char name[32];
    for (size_t i = 0; i < t->travels; i++) lanes = t->travel[i].lane >= lanes ? t->travel[i].lane + 1 : lanes;
    for (int l = 0; l < lanes && l < MAX_LANES; l++) {
        snprintf(name, sizeof name, "between hosts %d", l + 1);
        print_name_of(to, t->run->rank, "thread_name", ROWS + l, name);
    }
    for (size_t i = 0; i < t->travels; i++) print_travel(to, t->run, &t->travel[i], shift_ns);
}

/* Prints one span per step, from its first to its last record. */
static void print_steps(FILE *to, const ls_trace *t, int64_t shift_ns)
{
    for (size_t i = 0, next; i < t->records; i = next) {
        int64_t begin = t->record[i].begin_ns, end = t->record[i].end_ns;
        for (next = i; next < t->records && t->record[next].step == t->record[i].step; next++)
            if (t->record[next].end_ns > end) end = t->record[next].end_ns;
        print_span(to, t->run->rank, ROW_STEPS, "step", begin + shift_ns, end + shift_ns);
        fprintf(to, "\"step %lld\",\"args\":{}},\n", (long long)t->record[i].step);
    }
}

/* Formats this rank's part of the file into malloc'ed memory; padded with line ends to a multiple of the size of a
 * float, because messages consist of floats. */
static ls_status make_text(const ls_trace *t, int64_t shift_ns, int64_t within_ns, char **text, size_t *bytes)
{
    const ls_run *run      = t->run;
    char          host[64] = "", name[160];
    FILE         *to       = open_memstream(text, bytes);
    LS_CHECK(to, LS_ERR_ENV, "%s: no memory for the text of a trace", t->path);
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "rank %d on %s", run->rank, host);
    print_name_of(to, run->rank, "process_name", 0, name);
    for (int r = 0; r < ROWS; r++) print_name_of(to, run->rank, "thread_name", r, row_names[r]);
    fprintf(to,
            "{\"ph\":\"M\",\"pid\":%d,\"name\":\"process_labels\",\"args\":{\"labels\":\"clock within %.1f us%s\"}},\n",
            run->rank, 1e-3 * (double)within_ns, t->lost ? "; some records are lost" : "");
    print_steps(to, t, shift_ns);
    for (size_t i = 0; i < t->records; i++) print_record(to, run, &t->record[i], shift_ns);
    print_lanes(to, t, shift_ns);
    fflush(to);
    while (*bytes % sizeof(float)) {
        fputc('\n', to);
        fflush(to);
    }
    LS_CHECK(fclose(to) == 0, LS_ERR_ENV, "%s: no memory for the text of a trace", t->path);
    return LS_OK;
}

/* Rank 0 writes its own text, then receives and writes the text of each other rank. */
static ls_status write_texts(ls_run *run, char *text, const uint64_t *bytes, ls_file *f, ls_status status)
{
    uint64_t most = 0;
    for (int r = 0; r < run->ranks; r++) most = bytes[r] > most ? bytes[r] : most;
    char *theirs = run->is_root ? malloc((size_t)most) : NULL;
    if (run->is_root && !theirs && status == LS_OK)
        status = LS_FAIL(LS_ERR_ENV, "trace: no memory for %llu bytes", (unsigned long long)most);
    if (run->is_root && status == LS_OK) status = ls__file_write(f, text, bytes[0]);
    LS_TRY(ls_comm_agree(run->comm, status));
    for (int r = 1; r < run->ranks; r++) {
        ls_transfer message = {run->is_root ? r : 0, (float *)(void *)(run->is_root ? theirs : text),
                               bytes[r] / sizeof(float)};
        LS_TRY_GOTO(status, ls__comm_exchange(run->comm, run->rank == r, &message, run->is_root, &message), done);
        if (run->is_root && status == LS_OK) status = ls__file_write(f, theirs, bytes[r]);
    }
done:
    free(theirs);
    return status;
}

static ls_status write_trace(ls_trace *t)
{
    static const char head[] = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";
    char              tail[512];
    ls_run           *run   = t->run;
    uint64_t         *bytes = ls_arena_alloc(run->memory, sizeof *bytes * (size_t)run->ranks);
    int64_t           shift, within;
    char             *text = NULL;
    size_t            size = 0;
    ls_file           f;
    t->written = true;
    LS_TRY(measure_clock(run, &shift, &within));
    ls_status status = make_text(t, shift, within, &text, &size);
    uint64_t  mine   = size;
    LS_TRY_GOTO(status, ls_comm_agree(run->comm, status), done);
    LS_TRY_GOTO(status, ls_comm_allgather(run->comm, &mine, bytes, sizeof mine), done);
    if (run->is_root && (status = ls__file_create(&f, t->path)) == LS_OK)
        status = ls__file_write(&f, head, strlen(head));
    const bool made = run->is_root && status == LS_OK;
    status          = write_texts(run, text, bytes, &f, status);
    snprintf(tail, sizeof tail,
             "{\"ph\":\"M\",\"pid\":0,\"name\":\"trace_end\",\"args\":{}}],\n\"otherData\":{\"program\":\"lockstep "
             "%s\",\"ranks\":%d,\"threads\":%d,\"isa\":\"%s\"}}\n",
             LS_VERSION, run->ranks, run->threads, ls_isa_name(ls_isa_current()));
    if (made && status == LS_OK) status = ls__file_write(&f, tail, strlen(tail));
    if (made) status = ls__file_finish(&f, status);
    if (made && status == LS_OK)
        fprintf(stderr, "%s: trace of %d rank%s\n", t->path, run->ranks, run->ranks == 1 ? "" : "s");
    status = ls_comm_agree(run->comm, status);
done:
    free(text);
    return status;
}

/* ---- the trace --------------------------------------------------------------------------------------------------- */

static ls_status read_steps(ls_trace *t, const char *text)
{
    char *end = NULL;
    t->first  = 3;
    t->last   = 12;
    if (!text) return LS_OK;
    t->first = t->last = strtoll(text, &end, 10);
    if (end > text && *end == '-') {
        const char *second = end + 1;
        t->last            = strtoll(second, &end, 10);
        if (end == second) end = NULL;
    }
    LS_CHECK(end && end > text && !*end && t->first >= 1 && t->last >= t->first && t->last - t->first < MAX_STEPS,
             LS_ERR_USAGE, "--trace-steps: expected steps A-B from 1 on, at most %d of them, found '%s'", MAX_STEPS,
             text);
    return LS_OK;
}

/* Returns the error of creating the file, which the user should see before the run, not after it. */
static ls_status try_path(const char *path)
{
    ls_file f;
    LS_TRY(ls__file_create(&f, path));
    ls__file_finish(&f, LS_ERR_FAILED);
    return LS_OK;
}

ls_status ls_trace_open(ls_trace **trace, ls_run *run, const char *path, const char *steps)
{
    *trace = NULL;
    LS_CHECK(path || !steps, LS_ERR_USAGE, "--trace-steps: expected together with --trace FILE");
    if (!path) return LS_OK;
    ls_trace *t = ls_arena_alloc(run->memory, sizeof *t);
    *t          = (ls_trace){.run = run, .path = path};
    LS_TRY(read_steps(t, steps));
    LS_TRY_COLLECTIVE(run, run->is_root ? try_path(path) : LS_OK);
    if (!run->comm->flight) {
        t->own  = ls_arena_alloc(run->memory, sizeof *t->own);
        *t->own = (ls_flight){.log = ls_arena_alloc(run->memory, sizeof *t->own->log)};
        memset(t->own->log, 0, sizeof *t->own->log);
        run->comm->flight = t->own;
    }
    t->seen         = run->comm->flight->log->records;
    t->travels_seen = run->comm->flight->log->travels;
    *trace          = t;
    return LS_OK;
}

bool ls_trace_wants_more(const ls_trace *t) { return t && !t->written; }

ls_status ls_trace_step(ls_trace *t)
{
    if (!ls_trace_wants_more(t)) return LS_OK;
    t->step++;
    if (t->step < t->first) {
        t->seen         = t->run->comm->flight->log->records;
        t->travels_seen = t->run->comm->flight->log->travels;
        return LS_OK;
    }
    LS_TRY_COLLECTIVE(t->run, take_records(t));
    LS_TRY_COLLECTIVE(t->run, take_travels(t));
    return t->step < t->last ? LS_OK : write_trace(t);
}

ls_status ls_trace_close(ls_trace *t, ls_status status)
{
    if (!t) return status;
    if (!t->written && status == LS_OK && t->step >= t->first) status = write_trace(t);
    if (!t->written && status == LS_OK && t->run->is_root)
        fprintf(stderr, "%s: no trace: the run took %lld steps, --trace-steps begins with %lld\n", t->path, t->step,
                t->first);
    if (t->own) t->run->comm->flight = NULL;
    free(t->record);
    free(t->travel);
    return status;
}
