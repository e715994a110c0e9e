/* SPDX-License-Identifier: Apache-2.0
 *
 * Faults that tests ask for, at a place of a run that they name:
 *
 *     LOCKSTEP_FAULT="rank=1,step=5,at=data,do=hang"
 *
 *     rank=N      on which rank (default 0)
 *     step=N      at which step, counted from 1 (default: the first time that the place is reached)
 *     at=PHASE    start-up, data, forward, backward, reduce, update, evaluation, checkpoint, report, wait (default
 * forward) do=WHAT     kill   the process ends, as when the system ends it for want of memory crash  it ends with
 * SIGSEGV stop   it is stopped, and may be continued hang   it sleeps for ever spin   it computes for ever slow   from
 * here on everything takes ms=N milliseconds longer (default 20) extra  it calls a collective that the other ranks do
 * not call shape  it calls a collective with another size than the other ranks full   from here on no file grows beyond
 * 4 KiB, as on a full disk fill   for four steps the file system of the working folder is full, of a file `filler`
 *
 * When it comes to it, it says so on stderr.  Off unless the variable is set. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "dist/health/watchdog.h"

#define FAULT_LIST(X) X(kill) X(crash) X(stop) X(hang) X(spin) X(slow) X(extra) X(shape) X(full) X(fill)
enum {
#define X(name) FAULT_##name,
    FAULT_LIST(X)
#undef X
        FAULTS
};

static const char *const fault_names[] = {
#define X(name) #name,
    FAULT_LIST(X)
#undef X
};

static struct {
    int      what;
    unsigned phase;
    int64_t  rank, step, ms, filled_at;
    bool     done;
} fault;

/* A collective that the others call with fewer bytes, or not at all. */
static void gather_more(ls_comm *comm)
{
    enum { MORE = 64 };
    char      mine[MORE] = {0};
    ls_arena *memory;
    if (ls_arena_new(&memory, "fault") != LS_OK) return;
    (void)ls_comm_allgather(comm, mine, ls_arena_alloc(memory, MORE * (size_t)comm->size), MORE);
    ls_arena_free(memory);
}

static void fill(void)
{
    enum { LARGEST = 64 << 20 }; /* of a file system that is made for this */
    static char    zeros[1 << 16];
    size_t         size = sizeof zeros;
    struct statvfs info;
    if (statvfs(".", &info) != 0 || info.f_blocks * info.f_frsize > LARGEST) return;
    int file = open("filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    while (file >= 0 && size) /* to the last byte */
        if (write(file, zeros, size) <= 0) size /= 2;
    if (file >= 0) close(file);
}

static void fill_for_a_while(int64_t step)
{
    enum { STEPS = 4 };
    if (!fault.filled_at) fill();
    if (!fault.filled_at) fault.filled_at = step;
    if (step == fault.filled_at + STEPS) unlink("filler");
}

static bool goes_on(void) { return fault.what == FAULT_slow || fault.what == FAULT_fill; }

static void begun(void *context, const ls_flight_record *record)
{
    volatile uint64_t spinning = 0;
    ls_comm          *comm     = context;
    if (record->phase != fault.phase || (fault.step && record->step != fault.step && !goes_on()) ||
        record->step < fault.step)
        return;
    if (fault.done && !goes_on()) return;
    if (!fault.done) dprintf(STDERR_FILENO, "lockstep: rank %d has its fault now\n", comm->rank);
    fault.done = true;
    switch (fault.what) {
    case FAULT_kill:
        raise(SIGKILL);
        break;
    case FAULT_crash:
        raise(SIGSEGV);
        break;
    case FAULT_stop:
        raise(SIGSTOP);
        break;
    case FAULT_hang:
        for (;;) sleep(1000);
        break;
    case FAULT_spin:
        for (;;) spinning++;
        break;
    case FAULT_slow:
        usleep((useconds_t)fault.ms * 1000);
        break;
    case FAULT_extra:
        (void)ls_comm_barrier(comm);
        break;
    case FAULT_shape:
        gather_more(comm);
        break;
    case FAULT_fill:
        fill_for_a_while(record->step);
        break;
    case FAULT_full:
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, 4096});
        break;
    }
}

static int find(const char *word, size_t length, int n, const char *const *known)
{
    for (int i = 0; i < n; i++)
        if (strlen(known[i]) == length && !strncmp(known[i], word, length)) return i;
    return -1;
}

static ls_status bad(const char *part)
{
    return LS_FAIL(LS_ERR_USAGE,
                   "LOCKSTEP_FAULT: expected rank=N, step=N, ms=N, at=PHASE or do=WHAT, found '%.*s'" LS_HINT
                   "dist/health/fault_injection.c lists them",
                   (int)strcspn(part, ","), part);
}

static ls_status parse(const char *text)
{
    const char *phases[LS_PHASES];
    for (unsigned i = 0; i < LS_PHASES; i++) phases[i] = ls__phase_name(i);
    fault.what  = -1;
    fault.phase = LS_PHASE_FORWARD;
    fault.ms    = 20;
    for (const char *p = text; *p;) {
        size_t length = strcspn(p, ","), key = strcspn(p, "=");
        if (key >= length) return bad(p);
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
        if (key == 2 && !strncmp(p, "do", 2)) found = (fault.what = find(value, room, FAULTS, fault_names)) >= 0;
        if (key == 2 && !strncmp(p, "at", 2)) {
            int phase   = find(value, room, LS_PHASES, phases);
            found       = phase > 0;
            fault.phase = (unsigned)phase;
        }
        if (!found) return bad(p);
        p += length + (p[length] == ',');
    }
    return fault.what < 0 ? bad(text) : LS_OK;
}

ls_status ls__fault_injection_init(ls_flight *flight, ls_comm *comm)
{
    const char *text = getenv("LOCKSTEP_FAULT");
    if (!text || !*text) return LS_OK;
    memset(&fault, 0, sizeof fault);
    LS_TRY(parse(text));
    if (fault.rank != comm->rank) return LS_OK;
    flight->begun   = begun;
    flight->context = comm;
    fprintf(stderr, "lockstep: rank %d will have a fault: LOCKSTEP_FAULT=%s\n", comm->rank, text);
    return LS_OK;
}
