/* SPDX-License-Identifier: Apache-2.0
 *
 * Fault injection for tests: a fault on one rank, at a given phase and step of a run, described by LOCKSTEP_FAULT:
 *
 *     LOCKSTEP_FAULT="rank=1,step=5,at=data,do=hang"
 *
 *     rank=N      rank that has the fault (default 0)
 *     step=N      step, from 1 (default: the first time that the phase is entered)
 *     at=PHASE    start-up, data, forward, backward, reduce, update, evaluation, checkpoint, report, wait
 *                 (default forward)
 *     ms=N        milliseconds of do=slow (default 20)
 *     do=FAULT    kill    SIGKILL, as the kernel does when memory runs out
 *                 crash   SIGSEGV
 *                 stop    SIGSTOP; `kill -CONT` resumes the process
 *                 hang    sleeps forever
 *                 spin    computes forever
 *                 slow    from here on, each entry of the phase takes `ms` longer
 *                 extra   calls a collective that the other ranks do not call
 *                 shape   calls a collective with another size than the other ranks
 *                 full    from here on, no file grows beyond 16 KiB, as on a full disk
 *                 fill    fills the file system of the working folder for four steps, with a file `filler`
 *
 * The rank prints a line on stderr when the fault occurs.  Without the variable nothing is installed. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/enum_text.h"
#include "dist/health/watchdog.h"

#define FAULT_LIST(X)                                                                                                  \
    X(FAULT_KILL, "kill")                                                                                              \
    X(FAULT_CRASH, "crash")                                                                                            \
    X(FAULT_STOP, "stop")                                                                                              \
    X(FAULT_HANG, "hang")                                                                                              \
    X(FAULT_SPIN, "spin")                                                                                              \
    X(FAULT_SLOW, "slow")                                                                                              \
    X(FAULT_EXTRA, "extra")                                                                                            \
    X(FAULT_SHAPE, "shape")                                                                                            \
    X(FAULT_FULL, "full")                                                                                              \
    X(FAULT_FILL, "fill")
enum { LS_ENUMERATORS(FAULT_LIST) FAULTS };

static const char *const fault_names[] = LS_ENUM_TEXTS(FAULT_LIST);

static struct {
    int      kind; /* FAULT_KILL, ... */
    unsigned phase;
    int64_t  rank;
    int64_t  step; /* 0: the first time that the phase is entered */
    int64_t  ms;
    int64_t  filled_at; /* step at which do=fill began; 0: not yet */
    bool     injected;
} fault;

/* Calls an all-gather of 64 bytes, which the other ranks call with another size or not at all. */
static void gather_other_size(ls_comm *comm)
{
    enum { BYTES = 64 };
    char      own[BYTES] = {0};
    ls_arena *memory;
    if (ls_arena_new(&memory, "fault") != LS_OK) return;
    (void)ls_comm_allgather(comm, own, ls_arena_alloc(memory, BYTES * (size_t)comm->size), BYTES);
    ls_arena_free(memory);
}

/* Fills the file system of the working folder to the last byte.  Does nothing above 64 MiB, because that is not a file
 * system made for this test. */
static void fill(void)
{
    enum { LARGEST = 64 << 20 };
    static char    zeros[1 << 16];
    size_t         size = sizeof zeros;
    struct statvfs info;
    if (statvfs(".", &info) != 0 || info.f_blocks * info.f_frsize > LARGEST) return;
    int file = open("filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    while (file >= 0 && size)
        if (write(file, zeros, size) <= 0) size /= 2;
    if (file >= 0) close(file);
}

static void fill_for_four_steps(int64_t step)
{
    enum { STEPS = 4 };
    if (!fault.filled_at) fill();
    if (!fault.filled_at) fault.filled_at = step;
    if (step == fault.filled_at + STEPS) unlink("filler");
}

/* True for a fault that acts each time its phase is entered. */
static bool is_lasting(void) { return fault.kind == FAULT_SLOW || fault.kind == FAULT_FILL; }

/* True when the fault acts at the start of this record. */
static bool is_due(const ls_flight_record *record)
{
    if (record->phase != fault.phase || record->step < fault.step) return false;
    if (is_lasting()) return true;
    return !fault.injected && (!fault.step || record->step == fault.step);
}

/* Hook of the flight recorder, called after each begin. */
static void on_begin(void *context, const ls_flight_record *record)
{
    volatile uint64_t spinning = 0;
    ls_comm          *comm     = context;
    if (!is_due(record)) return;
    if (!fault.injected) dprintf(STDERR_FILENO, "lockstep: injecting the configured fault on rank %d\n", comm->rank);
    fault.injected = true;
    switch (fault.kind) {
    case FAULT_KILL:
        raise(SIGKILL);
        break;
    case FAULT_CRASH:
        raise(SIGSEGV);
        break;
    case FAULT_STOP:
        raise(SIGSTOP);
        break;
    case FAULT_HANG:
        for (;;) sleep(1000);
        break;
    case FAULT_SPIN:
        for (;;) spinning++;
        break;
    case FAULT_SLOW:
        usleep((useconds_t)fault.ms * 1000);
        break;
    case FAULT_EXTRA:
        (void)ls_comm_barrier(comm);
        break;
    case FAULT_SHAPE:
        gather_other_size(comm);
        break;
    case FAULT_FILL:
        fill_for_four_steps(record->step);
        break;
    case FAULT_FULL:
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){16384, 16384});
        break;
    }
}

/* Index of a word in a list of names; -1: not there. */
static int find(const char *word, size_t length, int n, const char *const *known)
{
    for (int i = 0; i < n; i++)
        if (strlen(known[i]) == length && !strncmp(known[i], word, length)) return i;
    return -1;
}

static ls_status fail_at(const char *part)
{
    return LS_FAIL(LS_ERR_USAGE,
                   "LOCKSTEP_FAULT: expected rank=N, step=N, ms=N, at=PHASE or do=FAULT, found '%.*s'" LS_HINT
                   "dist/health/fault_injection.c lists phases and faults",
                   (int)strcspn(part, ","), part);
}

static ls_status parse(const char *text)
{
    const char *phases[LS_PHASES];
    for (unsigned i = 0; i < LS_PHASES; i++) phases[i] = ls__phase_name(i);
    fault.kind  = -1;
    fault.phase = LS_PHASE_FORWARD;
    fault.ms    = 20;
    for (const char *p = text; *p;) {
        size_t length = strcspn(p, ","), key = strcspn(p, "=");
        if (key >= length) return fail_at(p);
        const char *value = p + key + 1;
        size_t      room  = length - key - 1;
        char       *end   = NULL;
        const struct {
            const char *name;
            int64_t    *to;
        } numbers[] = {{"rank", &fault.rank}, {"step", &fault.step}, {"ms", &fault.ms}};
        bool found  = false;
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
            if (key != strlen(numbers[i].name) || strncmp(p, numbers[i].name, key) != 0) continue;
            *numbers[i].to = strtoll(value, &end, 10);
            found          = room && end == value + room && *numbers[i].to >= 0;
        }
        if (key == 2 && !strncmp(p, "do", 2)) {
            fault.kind = find(value, room, FAULTS, fault_names);
            found      = fault.kind >= 0;
        }
        if (key == 2 && !strncmp(p, "at", 2)) {
            int phase   = find(value, room, LS_PHASES, phases);
            found       = phase > 0;
            fault.phase = (unsigned)phase;
        }
        if (!found) return fail_at(p);
        p += length + (p[length] == ',');
    }
    return fault.kind < 0 ? fail_at(text) : LS_OK;
}

ls_status ls__fault_injection_init(ls_flight *flight, ls_comm *comm)
{
    const char *text = getenv("LOCKSTEP_FAULT");
    if (!text || !*text) return LS_OK;
    memset(&fault, 0, sizeof fault);
    LS_TRY(parse(text));
    if (fault.rank != comm->rank) return LS_OK;
    flight->begun   = on_begin;
    flight->context = comm;
    fprintf(stderr, "lockstep: a fault is configured for rank %d: LOCKSTEP_FAULT=%s\n", comm->rank, text);
    return LS_OK;
}
