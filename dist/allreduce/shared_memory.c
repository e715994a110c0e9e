/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory shared by the ranks of a host: see dist/allreduce/shared_memory.h.
 *
 * A segment is a file without a name (memfd_create), one per rank, which the other ranks of the host open through
 * /proc/PID/fd.  MPI_Win_allocate_shared is not used: only all ranks together can free its memory, which a rank that
 * failed alone cannot wait for, and Open MPI takes it from /dev/shm, which has 64 MB in containers and where touching a
 * page too many kills the process with SIGBUS.  Files without a name have neither limit and disappear with the
 * processes.
 *
 * The barrier: each rank counts its arrivals in a cache line of its own, and waits until the others have the same
 * count.  It spins first, because the others usually arrive within microseconds; with more threads than cores it yields
 * the core instead.  Then it sleeps on the counter (futex), because another rank may be writing a checkpoint.  While it
 * waits it lets MPI make progress: a rank that has not arrived may need a message of this rank.
 */
#include "dist/allreduce/shared_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <omp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1; missing in the headers of older C libraries */
#endif
#define HUGE_PAGE ((size_t)2 << 20)
#define LINE 128 /* bytes of two cache lines, which processors prefetch in pairs */

enum {
    SPINS          = 20000,
    YIELDS         = 8,
    SLEEP_MS       = 1,
    CHECK_ALIVE_MS = 1000 /* interval at which a waiting rank checks that the other process exists */
};

/* A count of one member that others wait for; never falls. */
typedef struct counter {
    _Alignas(LINE) _Atomic uint32_t count; /* 32 bits, as futex requires */
    _Alignas(LINE) _Atomic uint32_t sleepers;
} counter;

struct ls_shared_memory_sync {
    counter  arrived; /* barriers that the member has arrived at */
    counter  done;    /* see ls__shared_memory_done */
    uint64_t token;   /* random; shows that the file opened is the right one */
};

/* The description of a rank's segment that the others of its host need. */
typedef struct segment_info {
    uint64_t  bytes, token;
    int       process, file;
    cpu_set_t cores;
    int       threads;
} segment_info;

static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static size_t pages_for(size_t bytes) { return (bytes + page_size() - 1) / page_size() * page_size(); }

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* True with strict overcommit accounting: a page that cannot be allocated would end a step with SIGBUS. */
static bool strict_overcommit(void)
{
    FILE *f    = fopen("/proc/sys/vm/overcommit_memory", "re");
    int   mode = 0;
    if (!f) return false;
    if (fscanf(f, "%d", &mode) != 1) mode = 0;
    fclose(f);
    return mode == 2;
}

static ls_status make_file(int *file, size_t bytes, const char *name)
{
    size_t all = pages_for(bytes) + page_size();
    LS_CHECK(bytes <= ls_machine_memory(), LS_ERR_ENV,
             "shared %s block: expected at most the %zu bytes of this machine, found %zu" LS_HINT
             "use a smaller model or more hosts",
             name, ls_machine_memory(), bytes);
    *file = memfd_create("lockstep", MFD_CLOEXEC);
    LS_CHECK(*file >= 0, LS_ERR_ENV, "shared %s block: memfd_create: %s", name, strerror(errno));
    LS_CHECK(ftruncate(*file, (off_t)all) == 0, LS_ERR_ENV, "shared %s block: cannot allocate %zu bytes: %s", name, all,
             strerror(errno));
    int code = strict_overcommit() ? posix_fallocate(*file, 0, (off_t)all) : 0;
    LS_CHECK(code == 0, LS_ERR_ENV, "shared %s block: cannot allocate %zu bytes: %s", name, all, strerror(code));
    return LS_OK;
}

/* Maps the block, followed by an inaccessible guard page, and the control page, which is the last page of the file. */
static ls_status map_file(ls_block *block, ls_shared_memory_sync **control, int file, size_t bytes, const char *name)
{
    size_t         page = page_size(), body = pages_for(bytes), total = body + page + HUGE_PAGE;
    unsigned char *raw = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    LS_CHECK(raw != MAP_FAILED, LS_ERR_ENV, "%s block: no address space for %zu bytes: %s", name, bytes,
             strerror(errno));
    unsigned char *data = (unsigned char *)(((uintptr_t)raw + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
    if (data > raw) munmap(raw, (size_t)(data - raw));
    size_t behind = (size_t)(raw + total - (data + body + page));
    if (behind) munmap(data + body + page, behind);
    *block   = (ls_block){.data = data, .bytes = bytes, .mapped = body + page};
    bool fit = body == 0 || mmap(data, body, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) != MAP_FAILED;
    LS_CHECK(fit, LS_ERR_ENV, "shared %s block: cannot map %zu bytes: %s", name, bytes, strerror(errno));
    if (body) madvise(data, body, MADV_HUGEPAGE);
    void *last = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, file, (off_t)body);
    LS_CHECK(last != MAP_FAILED, LS_ERR_ENV, "shared %s block: cannot map the control page: %s", name, strerror(errno));
    *control = last;
    return LS_OK;
}

static ls_status make_own(ls_shared_memory *w, segment_info *mine, size_t bytes, const char *name)
{
    LS_TRY(make_file(&mine->file, bytes, name));
    LS_TRY(map_file(&w->own, &w->control[w->me], mine->file, bytes, name));
    if (getrandom(&mine->token, sizeof mine->token, 0) != (ssize_t)sizeof mine->token)
        mine->token = (uint64_t)time(NULL);
    w->control[w->me]->token = mine->token;
    return LS_OK;
}

static ls_status open_other(ls_shared_memory *w, int member, const segment_info *its, const char *name)
{
    char        path[64];
    struct stat s;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", its->process, its->file);
    int file = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    LS_CHECK(file >= 0, LS_ERR_ENV, "shared %s block of rank %d: rank %d cannot open %s: %s", name, w->rank[member],
             w->comm->rank, path, strerror(errno));
    bool fits = fstat(file, &s) == 0 && S_ISREG(s.st_mode) && (size_t)s.st_size == pages_for(its->bytes) + page_size();
    ls_status status = fits ? map_file(&w->block[member], &w->control[member], file, its->bytes, name) : LS_OK;
    close(file);
    LS_TRY(status);
    LS_CHECK(fits && w->control[member]->token == its->token, LS_ERR_ENV,
             "shared %s block of rank %d: %s is another file for rank %d: process ids differ, as between containers",
             name, w->rank[member], path, w->comm->rank);
    return LS_OK;
}

/* ---- creation ---------------------------------------------------------------------------------------------------- */

static bool any_host_has_two_ranks(const ls_comm *comm)
{
    for (int r = 0; comm->host && r < comm->size; r++)
        if (comm->host[r] != r) return true;
    return false;
}

static void find_members(ls_shared_memory *w)
{
    const ls_comm *c = w->comm;
    w->rank          = ls_arena_alloc(w->arena, sizeof *w->rank * (size_t)c->size);
    w->members       = 0;
    for (int r = 0; r < c->size; r++) {
        if (c->host[r] != c->host[c->rank]) continue;
        if (r == c->rank) w->me = w->members;
        w->rank[w->members++] = r;
    }
    w->block   = ls_arena_alloc(w->arena, sizeof *w->block * (size_t)w->members);
    w->control = ls_arena_alloc(w->arena, sizeof *w->control * (size_t)w->members);
    w->process = ls_arena_alloc(w->arena, sizeof *w->process * (size_t)w->members);
}

/* With more threads than cores, another thread needs the core of a spinning rank: no spinning. */
static int choose_spins(const ls_shared_memory *w, const segment_info *all)
{
    cpu_set_t cores;
    int       threads = 0;
    CPU_ZERO(&cores);
    for (int m = 0; m < w->members; m++) {
        CPU_OR(&cores, &cores, &all[w->rank[m]].cores);
        threads += all[w->rank[m]].threads;
    }
    return threads <= CPU_COUNT(&cores) ? SPINS : 0;
}

static ls_status share(ls_shared_memory *w, size_t bytes, const char *name)
{
    ls_comm      *c    = w->comm;
    segment_info  mine = {.bytes = bytes, .process = (int)getpid(), .file = -1, .threads = omp_get_max_threads()};
    segment_info *all  = ls_arena_alloc(w->arena, sizeof *all * (size_t)c->size);
    if (sched_getaffinity(0, sizeof mine.cores, &mine.cores) != 0) CPU_SET(0, &mine.cores);
    find_members(w);
    ls_status status   = make_own(w, &mine, bytes, name);
    ls_status gathered = ls_comm_allgather(c, &mine, all, sizeof mine);
    for (int m = 0; gathered == LS_OK && m < w->members; m++) {
        w->process[m] = all[w->rank[m]].process;
        if (m == w->me)
            w->block[m] = w->own;
        else if (status == LS_OK && all[w->rank[m]].file >= 0)
            status = open_other(w, m, &all[w->rank[m]], name);
    }
    if (gathered == LS_OK) w->spins = choose_spins(w, all);
    status = ls_comm_agree(c, gathered != LS_OK ? gathered : status); /* all members have opened the file */
    if (mine.file >= 0) close(mine.file);
    w->shared = status == LS_OK;
    return status;
}

static void unmap(ls_shared_memory *w)
{
    for (int m = 0; m < w->members; m++) {
        if (w->control && w->control[m]) munmap(w->control[m], page_size());
        if (w->block && m != w->me) ls_block_free(&w->block[m]);
    }
    ls_block_free(&w->own);
}

/* Prints the first line of the last error on rank 0. */
static void warn_fallback(const ls_comm *comm, const char *name)
{
    const char *why = ls_error_message();
    if (comm->rank == 0)
        fprintf(stderr, "lockstep: shared memory unavailable for the %s block; falling back to MPI messages: %.*s\n",
                name, (int)strcspn(why, "\n"), why);
}

ls_status ls__shared_memory_new(ls_shared_memory **out, ls_comm *comm, ls_shared_memory_mode mode, size_t bytes,
                                const char *name)
{
    bool      wanted = mode != LS_SHARED_MEMORY_OFF && any_host_has_two_ranks(comm);
    ls_arena *arena  = NULL;
    ls_status status = ls_arena_new(&arena, "shared memory");
    if (wanted) status = ls_comm_agree(comm, status);
    if (status != LS_OK) {
        ls_arena_free(arena);
        return ls__trace(status, __FILE__, __LINE__, __func__);
    }
    ls_shared_memory *w = ls_arena_alloc(arena, sizeof *w);
    *w                  = (ls_shared_memory){.comm = comm, .arena = arena};
    if (wanted) status = share(w, bytes, name);
    if (status != LS_OK) {
        unmap(w);
        *w = (ls_shared_memory){.comm = comm, .arena = arena};
        if (mode == LS_SHARED_MEMORY_AUTO && !comm->broken) {
            warn_fallback(comm, name);
            status = LS_OK;
        }
    }
    if (status == LS_OK && !w->shared) {
        w->members = 1;
        w->rank    = ls_arena_alloc(arena, sizeof *w->rank);
        w->block   = ls_arena_alloc(arena, sizeof *w->block);
        *w->rank   = comm->rank;
        status     = ls_block_new(&w->own, bytes, name);
        *w->block  = w->own;
    }
    if (status != LS_OK) {
        ls_arena_free(arena);
        return ls__trace(status, __FILE__, __LINE__, __func__);
    }
    *out = w;
    return LS_OK;
}

void ls__shared_memory_free(ls_shared_memory *w)
{
    if (!w) return;
    unmap(w);
    ls_arena_free(w->arena);
}

/* The system gives shared memory no huge pages by default (shmem_enabled is `never`), and kernels that write gradients
 * to small pages are a few percent slower.  MADV_COLLAPSE ignores that setting.  Older kernels fail, which changes
 * nothing. */
void ls__shared_memory_settle(ls_shared_memory *w)
{
    size_t whole = w->own.bytes / HUGE_PAGE * HUGE_PAGE;
    if (w->settled) return;
    w->settled = true;
    if (w->shared && whole) madvise(w->own.data, whole, MADV_COLLAPSE);
}

/* ---- the barrier ------------------------------------------------------------------------------------------------- */

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool has_reached(counter *c, uint32_t ticket)
{
    return (int32_t)(atomic_load_explicit(&c->count, memory_order_acquire) - ticket) >= 0;
}

static void count_to(counter *c, uint32_t count)
{
    atomic_store(&c->count, count); /* first: a sleeper counts itself in `sleepers`, then reads `count` */
    if (atomic_load(&c->sleepers)) syscall(SYS_futex, &c->count, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* Sleeps until the counter changes, at most SLEEP_MS. */
static void sleep_on(counter *c, uint32_t ticket)
{
    atomic_fetch_add(&c->sleepers, 1);
    uint32_t seen = atomic_load(&c->count);
    if ((int32_t)(seen - ticket) < 0)
        syscall(SYS_futex, &c->count, FUTEX_WAIT, seen, &(struct timespec){.tv_nsec = SLEEP_MS * 1000000}, NULL, 0);
    atomic_fetch_sub(&c->sleepers, 1);
}

static ls_status wait_for(ls_shared_memory *w, int member, counter *c, uint32_t ticket)
{
    for (int i = 0; i < w->spins; i++) {
        if (has_reached(c, ticket)) return LS_OK;
        relax();
    }
    for (int i = w->spins ? YIELDS : 0; i < YIELDS; i++) {
        sched_yield();
        if (has_reached(c, ticket)) return LS_OK;
        if (w->comm->table->poll) w->comm->table->poll(w->comm);
    }
    ls_flight *flight = has_reached(c, ticket) ? NULL : w->comm->flight;
    ls__flight_begin(flight,
                     &(ls_flight_note){.phase = LS_PHASE_WAIT, .what = "the barrier of the host", .apart = true});
    for (int sleeps = 1; !has_reached(c, ticket); sleeps++) {
        sleep_on(c, ticket);
        if (w->comm->table->poll) w->comm->table->poll(w->comm);
        if (sleeps % (CHECK_ALIVE_MS / SLEEP_MS) == 0 && kill(w->process[member], 0) != 0 && errno == ESRCH &&
            !has_reached(c, ticket)) {
            w->comm->broken = true;
            return LS_FAIL(LS_ERR_ENV,
                           "rank %d (process %d of this host) has exited while rank %d waited for it" LS_HINT
                           "see the message of that rank",
                           w->rank[member], w->process[member], w->comm->rank);
        }
    }
    ls__flight_end(flight);
    return LS_OK;
}

uint32_t ls__shared_memory_arrive(ls_shared_memory *w)
{
    if (w->members == 1) return 0;
    count_to(&w->control[w->me]->arrived, ++w->ticket);
    return w->ticket;
}

bool ls__shared_memory_complete(const ls_shared_memory *w, uint32_t ticket)
{
    for (int d = 1; d < w->members; d++)
        if (!has_reached(&w->control[(w->me + d) % w->members]->arrived, ticket)) return false;
    return true;
}

static ls_status check_comm(const ls_shared_memory *w)
{
    LS_CHECK(!w->comm->broken, LS_ERR_ENV,
             "communicator of rank %d: an earlier call failed, so the ranks may be out of step", w->comm->rank);
    return LS_OK;
}

ls_status ls__shared_memory_wait(ls_shared_memory *w, uint32_t ticket)
{
    LS_TRY(check_comm(w));
    for (int d = 1; d < w->members; d++) {
        int member = (w->me + d) % w->members;
        LS_TRY(wait_for(w, member, &w->control[member]->arrived, ticket));
    }
    return LS_OK;
}

ls_status ls__shared_memory_barrier(ls_shared_memory *w)
{
    return ls__shared_memory_wait(w, ls__shared_memory_arrive(w));
}

void ls__shared_memory_done(ls_shared_memory *w, uint32_t count)
{
    if (w->members > 1 && atomic_load(&w->control[w->me]->done.count) != count)
        count_to(&w->control[w->me]->done, count);
}

bool ls__shared_memory_all_done(const ls_shared_memory *w, uint32_t count)
{
    for (int d = 1; d < w->members; d++)
        if (!has_reached(&w->control[(w->me + d) % w->members]->done, count)) return false;
    return true;
}

ls_status ls__shared_memory_wait_done(ls_shared_memory *w, uint32_t count)
{
    LS_TRY(check_comm(w));
    for (int d = 1; d < w->members; d++) {
        int member = (w->me + d) % w->members;
        LS_TRY(wait_for(w, member, &w->control[member]->done, count));
    }
    return LS_OK;
}
