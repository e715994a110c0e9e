/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing checkpoints while the run goes on.
 *
 *     step 128   ls_saver_begin     every rank copies its part of the state; its thread begins to write the copy
 *     ...        ls_saver_written   what a rank tells the others of it, with what they tell each other at each step
 * anyway step 131   ls_saver_publish   all have written: one exchange of checksums; the thread of rank 0 publishes and
 * prunes
 *
 * The threads write files, and know nothing of other ranks.  Whether a checkpoint is under way is the same on all ranks
 * at any step, so all of them call what is collective in the same order.  A writer that fails (a full disk, say) fails
 * that checkpoint alone.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "dist/checkpoint/checkpoint.h"
#include "dist/comm/comm.h"

typedef enum job { NOTHING, WRITE, PUBLISH, DISCARD, STOP } job;

enum { NEWS = 4, MESSAGE = 2048 };

typedef struct news_item {
    ls_saver_news item;
    char          message[MESSAGE];
} news_item;

/* What a rank says of its part when a checkpoint is to be published. */
typedef struct report {
    int32_t  status, rank;
    uint64_t sum;
    int64_t  bytes;
} report;

struct ls_saver {
    ls_comm         *comm;
    ls_arena        *memory;
    ls_saver_options options;
    ls_state         share; /* what this rank writes: where it lies in the trainer, ... */
    ls_state         copy;  /* ... and in the snapshot                                  */
    ls_block         own;   /* a snapshot for which the trainer's has no room           */
    int              writer, writers, rank, ranks;
    bool             pending;  /* written or being written, and not yet published; on all ranks */
    ls_progress      progress; /* of that one */
    double           began;
    report          *reports;
    uint64_t        *sums;
    ls_status        last; /* of the last checkpoint, with its message; on rank 0 */
    news_item        news[NEWS], shown;
    int              heard, told;

    pthread_t       thread;
    bool            started;
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    job             job;    /* what the thread is doing */
    ls_status       status; /* of what it did last      */
    char            message[MESSAGE];
    uint64_t        sum;
    int64_t         bytes;
};

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- what the thread does ---------------------------------------------------------------------------------------- */

/* Asked beforehand, as a full disk is best noticed before it is. */
static ls_status check_space(const char *folder, const ls_state *s)
{
    struct statvfs info;
    uint64_t       need = 1 << 14;
    for (int i = 0; i < s->arrays; i++)
        for (int k = 0; k < s->array[i].pieces; k++) need += (uint64_t)s->array[i].piece[k].held * sizeof(float) + 1024;
    if (statvfs(folder, &info) != 0) return LS_OK;
    uint64_t have = (uint64_t)info.f_bavail * info.f_frsize;
    LS_CHECK(have >= need, LS_ERR_ENV, "%s: a checkpoint needs %.2f MB, and the file system has %.2f MB left: %s%s",
             folder, (double)need / 1e6, (double)have / 1e6, strerror(ENOSPC), ls__errno_hint(ENOSPC));
    return LS_OK;
}

static ls_status write_part(ls_saver *s, const ls_state *from)
{
    char temporary[LS_PATH_BYTES], path[LS_PATH_BYTES], name[LS_PART_NAME];
    LS_TRY(ls__checkpoint_temporary(temporary, s->options.folder, s->progress.step));
    LS_TRY(check_space(s->options.folder, from));
    if (mkdir(temporary, 0777) != 0 && errno != EEXIST)
        return LS_FAIL_ERRNO("cannot make the folder %s", temporary); /* another rank was here first */
    ls__part_name(name, s->writer);
    LS_TRY(ls__path(path, "%s/%s", temporary, name));
    return ls__part_write(path, from, &s->progress, s->writer, s->writers, &s->sum, &s->bytes);
}

static void tell(ls_saver *s, ls_status status, const char *message)
{
    news_item *n     = &s->news[s->told++ % NEWS];
    int64_t    bytes = 0;
    for (int r = 0; r < s->ranks; r++) bytes += s->reports[r].bytes;
    snprintf(n->message, sizeof n->message, "%s", message);
    n->item = (ls_saver_news){.step    = s->progress.step,
                              .digest  = s->progress.digest,
                              .status  = status,
                              .seconds = now(CLOCK_MONOTONIC) - s->began,
                              .bytes   = bytes};
    s->last = status;
}

static ls_status publish(ls_saver *s)
{
    const char *folder = s->options.folder;
    ls_status   status = ls__checkpoint_publish(folder, &s->progress, s->writers, s->sums);
    if (status != LS_OK) return ls__checkpoint_give_up(folder, s->progress.step, status);
    ls_status kept = ls__checkpoint_prune(folder, &s->progress, &s->options.keep);
    snprintf(s->message, sizeof s->message, "%s", kept == LS_OK ? "" : ls_error_message());
    return LS_OK;
}

static void work(ls_saver *s, job what)
{
    ls_status status = s->status;
    if (what == WRITE) {
        s->message[0] = 0;
        status        = write_part(s, s->options.background ? &s->copy : &s->share);
        if (status != LS_OK) snprintf(s->message, sizeof s->message, "%s", ls_error_message());
    }
    if (what == PUBLISH) {
        s->message[0] = 0;
        status        = publish(s);
        if (status != LS_OK) snprintf(s->message, sizeof s->message, "%s", ls_error_message());
    }
    if (what == DISCARD) ls__checkpoint_give_up(s->options.folder, s->progress.step, status);
    s->status = status;
}

static void *run(void *data)
{
    enum { NICE = 10 };
    ls_saver *s  = data;
    id_t      me = (id_t)gettid();
    setpriority(PRIO_PROCESS, me, getpriority(PRIO_PROCESS, me) + NICE); /* what computes goes first */
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (s->job == NOTHING) pthread_cond_wait(&s->changed, &s->lock);
        job what = s->job;
        if (what == STOP) break;
        pthread_mutex_unlock(&s->lock);
        work(s, what);
        pthread_mutex_lock(&s->lock);
        if (what != WRITE) tell(s, s->status, s->message);
        s->job = NOTHING;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void wait_for_thread(ls_saver *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->job != NOTHING) pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static void do_job(ls_saver *s, job what)
{
    if (!s->options.background) {
        work(s, what);
        if (what != WRITE) tell(s, s->status, s->message);
        return;
    }
    pthread_mutex_lock(&s->lock);
    s->job = what;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static bool busy(ls_saver *s)
{
    pthread_mutex_lock(&s->lock);
    bool is = s->job != NOTHING;
    pthread_mutex_unlock(&s->lock);
    return is;
}

/* ---- beginning and end ------------------------------------------------------------------------------------------- */

static ls_status agree(ls_comm *comm, ls_status mine) { return comm ? ls_comm_agree(comm, mine) : mine; }

static ls_status make_probe(const char *folder, char name[64])
{
    ls_file f;
    char    path[LS_PATH_BYTES];
    snprintf(name, 64, LS_PROBE_PREFIX "%ld-%.0f", (long)getpid(), 1e9 * now(CLOCK_REALTIME));
    LS_TRY(ls__path(path, "%s/%s", folder, name));
    LS_TRY(ls__file_create(&f, path));
    return ls__file_finish(&f, LS_OK);
}

/* Whether nobody else writes what this rank has. */
static bool has_alone(const ls_state *s)
{
    for (int i = 0; i < s->arrays; i++)
        if (s->divided && s->array[i].state && s->array[i].pieces) return true;
    return false;
}

/* Which ranks see the folder that rank 0 sees: these can write. */
static ls_status find_writers(ls_saver *s, const ls_state *state)
{
    enum { SEES = 1, NEED_NOT = 0, MUST = -1 };
    char probe[64] = "", path[LS_PATH_BYTES];
    int  seen = 0, missing = 0, mine = SEES;
    int *sees = ls_arena_alloc(s->memory, sizeof *sees * (size_t)s->ranks);
    sees[0]   = 1;
    if (s->ranks > 1) {
        LS_TRY(agree(s->comm, s->rank ? LS_OK : make_probe(s->options.folder, probe)));
        LS_TRY(ls_comm_bcast(s->comm, probe, sizeof probe, 0));
        mine = ls__path(path, "%s/%s", s->options.folder, probe) == LS_OK && access(path, W_OK) == 0 ? SEES
               : has_alone(state)                                                                    ? MUST
                                                                                                     : NEED_NOT;
        LS_TRY(ls_comm_allgather(s->comm, &mine, sees, sizeof mine));
        if (s->rank == 0) unlink(path);
    }
    s->writers = ls__checkpoint_writers(state, s->ranks, s->options.writers);
    s->writer  = -1;
    for (int r = 0; r < s->ranks; r++) {
        if (r == s->rank && sees[r] == SEES && seen < s->writers) s->writer = seen;
        seen += sees[r] == SEES;
        missing += sees[r] == MUST;
    }
    LS_CHECK(!state->divided || s->ranks <= LS_MAX_PARTS, LS_ERR_USAGE,
             "%d ranks have a part of the optimizer's state each, and a checkpoint has at most %d files", s->ranks,
             LS_MAX_PARTS);
    LS_CHECK(missing == 0, LS_ERR_ENV,
             "%s: %d of %d ranks do not see this folder, and each has a part of the optimizer's state to write" LS_HINT
             "put run.dir on a file system that all hosts share, or set train.zero=0",
             s->options.folder, missing, s->ranks);
    if (seen < s->ranks && s->rank == 0)
        fprintf(stderr,
                "lockstep: %s: %d of %d ranks do not see this folder (is it on a file system that all hosts share?); "
                "the others write the checkpoints\n",
                s->options.folder, s->ranks - seen, s->ranks);
    if (s->writers > seen) s->writers = seen;
    return LS_OK;
}

static ls_status start_thread(ls_saver *s, const ls_block *snapshot, size_t bytes)
{
    sigset_t all, before;
    float   *to = snapshot ? snapshot->data : NULL;
    if (!s->options.background) return LS_OK;
    if (!snapshot || snapshot->bytes < bytes) {
        LS_TRY(ls_block_new(&s->own, bytes, "checkpoint"));
        to = s->own.data;
    }
    for (int i = 0; i < s->copy.arrays; i++)
        for (int k = 0; k < s->copy.array[i].pieces; k++) {
            s->copy.array[i].piece[k].data = to;
            to += s->copy.array[i].piece[k].held;
        }
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL,
                              SIGABRT}; /* blocked, they would end the process without a word */
    sigfillset(&all);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) sigdelset(&all, own[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* other signals are for the thread that computes */
    int code = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    LS_CHECK(code == 0, LS_ERR_ENV, "cannot start the thread that writes checkpoints: %s", strerror(code));
    s->started = true;
    return LS_OK;
}

static ls_status build(ls_saver *s, const ls_state *state, const ls_block *snapshot)
{
    LS_TRY(find_writers(s, state));
    int64_t floats = ls__checkpoint_share(state, s->writer, s->writers, s->memory, &s->share);
    ls__checkpoint_share(state, s->writer, s->writers, s->memory, &s->copy);
    s->reports = ls_arena_alloc(s->memory, sizeof *s->reports * (size_t)s->ranks);
    s->sums    = ls_arena_alloc(s->memory, sizeof *s->sums * (size_t)(s->writers + 1));
    return agree(s->comm, start_thread(s, snapshot, (size_t)floats * sizeof(float)));
}

ls_status ls__saver_new(ls_saver **out, ls_comm *comm, const ls_state *state, const ls_block *snapshot,
                        const ls_saver_options *o)
{
    int       rank   = comm ? ls_comm_rank(comm) : 0;
    ls_saver *s      = calloc(1, sizeof *s);
    ls_status status = s ? ls_arena_new(&s->memory, "saver") : LS_FAIL(LS_ERR_ENV, "no memory to write checkpoints");
    if (status == LS_OK && (o->keep.last < 0 || o->keep.every < 0 || o->writers < 0 || o->writers > LS_MAX_PARTS))
        status = LS_FAIL(LS_ERR_USAGE,
                         "expected how many checkpoints to keep, and how many ranks write them, found %d, %lld and %d",
                         o->keep.last, (long long)o->keep.every, o->writers);
    if (status == LS_OK && rank == 0) status = ls__checkpoint_prepare(o->folder);
    LS_TRY_GOTO(status, agree(comm, status), failed);
    s->comm           = comm;
    s->rank           = rank;
    s->ranks          = comm ? ls_comm_size(comm) : 1;
    s->options        = *o;
    s->options.folder = ls_arena_strdup(s->memory, o->folder);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    LS_TRY_GOTO(status, build(s, state, snapshot), failed);
    *out = s;
    return LS_OK;
failed:
    ls_saver_free(s);
    return status;
}

void ls_saver_free(ls_saver *s)
{
    if (!s) return;
    if (s->started) {
        wait_for_thread(s);
        do_job(s, STOP);
        pthread_join(s->thread, NULL);
    }
    ls_block_free(&s->own);
    if (s->memory) ls_arena_free(s->memory);
    free(s);
}

/* ---- a checkpoint ------------------------------------------------------------------------------------------------ */

static void copy_piece(const ls_held *to, const ls_held *from)
{
    enum { PIECE = 1 << 18 };
    int64_t n = from->held, pieces = (n + PIECE - 1) / PIECE;
#pragma omp parallel for schedule(static) if (pieces > 1)
    for (int64_t k = 0; k < pieces; k++)
        memcpy(to->data + k * PIECE, from->data + k * PIECE,
               sizeof *to->data * (size_t)(n - k * PIECE < PIECE ? n - k * PIECE : PIECE));
}

static void take_copy(ls_saver *s)
{
    for (int i = 0; i < s->share.arrays; i++)
        for (int k = 0; k < s->share.array[i].pieces; k++)
            copy_piece(&s->copy.array[i].piece[k], &s->share.array[i].piece[k]);
}

ls_status ls_saver_begin(ls_saver *s, const ls_progress *progress)
{
    double began = now(CLOCK_MONOTONIC);
    LS_CHECK(progress->step >= 0, LS_ERR_USAGE, "expected a step, found %lld", (long long)progress->step);
    if (s->pending) {
        wait_for_thread(s);
        LS_TRY(ls_saver_publish(s));
    }
    wait_for_thread(s); /* rank 0 is perhaps publishing */
    s->progress = *progress;
    s->pending  = true;
    s->began    = began;
    s->status   = LS_OK;
    s->bytes    = 0;
    if (s->options.background) take_copy(s);
    if (s->writer >= 0) do_job(s, WRITE);
    return s->options.background ? LS_OK : ls_saver_publish(s);
}

bool ls_saver_written(const ls_saver *s) { return s->pending && !busy((ls_saver *)s); }

bool ls_saver_idle(ls_saver *s) { return !s->pending && !busy(s); }

ls_status ls_saver_publish(ls_saver *s)
{
    report mine = {s->status, s->rank, s->sum, s->bytes};
    if (!s->pending) return LS_OK;
    s->pending = false;
    if (s->comm)
        LS_TRY(ls_comm_allgather(s->comm, &mine, s->reports, sizeof mine));
    else
        s->reports[0] = mine;
    bool failed = false;
    for (int r = 0, writer = 0; r < s->ranks; r++) {
        failed |= s->reports[r].status != LS_OK;
        if (s->reports[r].bytes && writer < s->writers) s->sums[writer++] = s->reports[r].sum;
    }
    if (failed) { /* all learn why */
        if (s->status != LS_OK) ls_error_set(s->status, s->message, "");
        s->status = agree(s->comm, s->status);
        if (s->comm && s->comm->broken) return s->status;
        snprintf(s->message, sizeof s->message, "%s", ls_error_message());
    }
    if (s->rank == 0) do_job(s, failed ? DISCARD : PUBLISH);
    return LS_OK;
}

bool ls_saver_news_next(ls_saver *s, ls_saver_news *news)
{
    pthread_mutex_lock(&s->lock);
    if (s->told - s->heard > NEWS) s->heard = s->told - NEWS;
    bool any = s->heard < s->told;
    if (any) s->shown = s->news[s->heard++ % NEWS];
    pthread_mutex_unlock(&s->lock);
    *news         = s->shown.item;
    news->message = s->shown.message;
    return any;
}

ls_status ls_saver_finish(ls_saver *s)
{
    if (s->comm && s->comm->broken) return LS_OK; /* what is under way stays unpublished */
    if (s->pending) {
        wait_for_thread(s);
        LS_TRY(ls_saver_publish(s));
    }
    wait_for_thread(s);
    if (s->rank == 0 && s->last != LS_OK) {
        static const char me[]    = "rank 0: "; /* who says so is added again */
        const char       *message = s->news[(s->told - 1) % NEWS].message;
        ls_error_set(s->last, s->ranks > 1 && !strncmp(message, me, sizeof me - 1) ? message + sizeof me - 1 : message,
                     "");
    }
    return agree(s->comm, s->rank == 0 ? s->last : LS_OK);
}

ls_status ls__checkpoint_save(ls_comm *comm, const ls_state *state, const char *folder, const ls_progress *progress,
                              const ls_checkpoint_retention *keep)
{
    ls_saver *s;
    LS_TRY(ls__saver_new(&s, comm, state, NULL, &(ls_saver_options){.folder = folder, .keep = *keep}));
    ls_status status = ls_saver_begin(s, progress);
    if (status == LS_OK) status = ls_saver_finish(s);
    ls_saver_free(s);
    LS_TRY(status);
    return LS_OK;
}
