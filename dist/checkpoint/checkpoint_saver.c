/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes checkpoints while the training goes on.
 *
 *     step 128   ls_saver_begin     every rank copies its partition of the state; its thread starts to write the copy
 *     ...        ls_saver_written   each rank's answer is one of the flags that ranks exchange at every step
 *     step 131   ls_saver_publish   all ranks have written: they exchange checksums; the thread of rank 0 publishes the
 *                                   checkpoint and removes older ones
 *
 * The threads write files and never communicate.  Whether a checkpoint is pending is the same on all ranks at every
 * step, so all ranks make the same collective calls in the same order.  A failed write (a full disk) fails only that
 * checkpoint, not the run.
 */
#include "dist/checkpoint/checkpoint_saver.h"

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

#include "core/base/clock.h"
#include "core/io/atomic_file.h"
#include "dist/checkpoint/checkpoint_folder.h"
#include "dist/comm/comm.h"

typedef enum saver_job { JOB_NONE, JOB_WRITE, JOB_PUBLISH, JOB_DISCARD, JOB_STOP } saver_job;

enum { NEWS = 4, MESSAGE = 2048 };

typedef struct news_item {
    ls_saver_news item;
    char          message[MESSAGE];
} news_item;

/* Result of a rank's write, exchanged before a checkpoint is published. */
typedef struct report {
    int32_t  status, rank;
    uint64_t checksum;
    int64_t  bytes; /* 0: the rank does not write */
} report;

struct ls_saver {
    ls_comm         *comm;
    ls_arena        *memory;
    ls_saver_options options;
    ls_state         source; /* partition that this rank writes, in the memory of the trainer */
    ls_state         copy;   /* the same partition in the snapshot */
    ls_block         own;    /* memory of the snapshot when the trainer has none for it */
    int              writer, writers, rank, ranks;
    bool             pending;  /* a checkpoint was begun and is not yet published; equal on all ranks */
    ls_progress      progress; /* progress of the pending checkpoint */
    double           began;    /* start of the pending checkpoint, seconds of the monotonic clock */
    report          *reports;
    uint64_t        *checksums;
    ls_status        last; /* status of the last checkpoint; on rank 0 */
    news_item        news[NEWS], shown;
    int              read, posted; /* numbers of news that were read and posted */

    pthread_t       thread;
    bool            started;
    pthread_mutex_t lock; /* protects the fields below, and `news` */
    pthread_cond_t  changed;
    saver_job       job;    /* current job of the thread */
    ls_status       status; /* status of the last job */
    char            message[MESSAGE];
    uint64_t        checksum;
    int64_t         bytes;
};

/* ---- jobs of the thread ------------------------------------------------------------------------------------------ */

/* Fails before anything is written when the disk is too full for the file. */
static ls_status check_space(const char *folder, const ls_state *s)
{
    struct statvfs info;
    uint64_t       need = 1 << 14;
    for (int i = 0; i < s->arrays; i++)
        for (int k = 0; k < s->array[i].parts; k++)
            need += (uint64_t)s->array[i].part[k].range.count * sizeof(float) + 1024;
    if (statvfs(folder, &info) != 0) return LS_OK;
    uint64_t have = (uint64_t)info.f_bavail * info.f_frsize;
    LS_CHECK(have >= need, LS_ERR_ENV, "%s: a checkpoint needs %.2f MB, and the file system has %.2f MB left: %s%s",
             folder, (double)need / 1e6, (double)have / 1e6, strerror(ENOSPC), ls__errno_hint(ENOSPC));
    return LS_OK;
}

static ls_status write_file(ls_saver *s, const ls_state *from)
{
    char temporary[LS_PATH_BYTES], path[LS_PATH_BYTES], name[LS_CHECKPOINT_FILE_NAME];
    LS_TRY(ls__checkpoint_temporary(temporary, s->options.folder, s->progress.step));
    LS_TRY(check_space(s->options.folder, from));
    if (mkdir(temporary, 0777) != 0 && errno != EEXIST) /* another rank may have made the folder already */
        return LS_FAIL_ERRNO("%s: cannot make the folder", temporary);
    ls__checkpoint_file_name(name, s->writer);
    LS_TRY(ls__path(path, "%s/%s", temporary, name));
    return ls__checkpoint_file_write(path, from, &s->progress, s->writer, s->writers, &s->checksum, &s->bytes);
}

static void post_news(ls_saver *s, ls_status status, const char *message)
{
    news_item *n     = &s->news[s->posted++ % NEWS];
    int64_t    bytes = 0;
    for (int r = 0; r < s->ranks; r++) bytes += s->reports[r].bytes;
    snprintf(n->message, sizeof n->message, "%s", message);
    n->item = (ls_saver_news){.step    = s->progress.step,
                              .digest  = s->progress.digest,
                              .status  = status,
                              .seconds = ls__clock_s() - s->began,
                              .bytes   = bytes};
    s->last = status;
}

/* Publishes the checkpoint.  A failed removal of older ones is only a message: the new checkpoint is there. */
static ls_status publish(ls_saver *s)
{
    const char *folder = s->options.folder;
    ls_status   status = ls__checkpoint_publish(folder, &s->progress, s->writers, s->checksums);
    if (status != LS_OK) return ls__checkpoint_abandon(folder, s->progress.step, status);
    ls_status pruned = ls__checkpoint_prune(folder, &s->progress, &s->options.keep);
    snprintf(s->message, sizeof s->message, "%s", pruned == LS_OK ? "" : ls_error_message());
    return LS_OK;
}

static void run_job(ls_saver *s, saver_job job)
{
    if (job == JOB_DISCARD) {
        ls__checkpoint_abandon(s->options.folder, s->progress.step, s->status);
        return;
    }
    s->message[0]    = 0;
    ls_status status = job == JOB_PUBLISH ? publish(s) : write_file(s, s->options.background ? &s->copy : &s->source);
    if (status != LS_OK) snprintf(s->message, sizeof s->message, "%s", ls_error_message());
    s->status = status;
}

static void *thread_main(void *data)
{
    enum { NICE = 10 };
    ls_saver *s  = data;
    id_t      id = (id_t)gettid();
    setpriority(PRIO_PROCESS, id,
                getpriority(PRIO_PROCESS, id) + NICE); /* lower priority than the threads that compute */
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (s->job == JOB_NONE) pthread_cond_wait(&s->changed, &s->lock);
        saver_job job = s->job;
        if (job == JOB_STOP) break;
        pthread_mutex_unlock(&s->lock);
        run_job(s, job);
        pthread_mutex_lock(&s->lock);
        if (job != JOB_WRITE) post_news(s, s->status, s->message);
        s->job = JOB_NONE;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void wait_for_thread(ls_saver *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->job != JOB_NONE) pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

/* Gives a job to the thread; without a thread, does it at once. */
static void start_job(ls_saver *s, saver_job job)
{
    if (!s->options.background) {
        run_job(s, job);
        if (job != JOB_WRITE) post_news(s, s->status, s->message);
        return;
    }
    pthread_mutex_lock(&s->lock);
    s->job = job;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static bool is_busy(ls_saver *s)
{
    pthread_mutex_lock(&s->lock);
    bool busy = s->job != JOB_NONE;
    pthread_mutex_unlock(&s->lock);
    return busy;
}

/* ---- creation and release ---------------------------------------------------------------------------------------- */

static ls_status agree(ls_comm *comm, ls_status status) { return comm ? ls_comm_agree(comm, status) : status; }

/* Creates an empty file of a unique name, by which other ranks recognise the folder of rank 0. */
static ls_status make_probe(const char *folder, char name[64])
{
    ls_file f;
    char    path[LS_PATH_BYTES];
    snprintf(name, 64, LS_PROBE_PREFIX "%ld-%lld", (long)getpid(), (long long)ls__clock_ns());
    LS_TRY(ls__path(path, "%s/%s", folder, name));
    LS_TRY(ls__file_create(&f, path));
    return ls__file_finish(&f, LS_OK);
}

/* Returns whether this rank has elements of the state that no other rank writes. */
static bool must_write(const ls_state *s)
{
    for (int i = 0; i < s->arrays; i++)
        if (s->array[i].divided && s->array[i].parts) return true;
    return false;
}

/* Whether a rank sees the folder of rank 0, and can write into it. */
enum { VISIBLE = 1, NOT_VISIBLE = 0, NOT_VISIBLE_BUT_NEEDED = -1 };

/* Finds out for all ranks whether they see the folder of rank 0. */
static ls_status exchange_visibility(ls_saver *s, const ls_state *state, int *visible)
{
    char probe[64] = "", path[LS_PATH_BYTES];
    visible[0]     = VISIBLE;
    if (s->ranks == 1) return LS_OK;
    LS_TRY(agree(s->comm, s->rank ? LS_OK : make_probe(s->options.folder, probe)));
    LS_TRY(ls_comm_bcast(s->comm, probe, sizeof probe, 0));
    bool seen = ls__path(path, "%s/%s", s->options.folder, probe) == LS_OK && access(path, W_OK) == 0;
    int  mine = seen ? VISIBLE : must_write(state) ? NOT_VISIBLE_BUT_NEEDED : NOT_VISIBLE;
    LS_TRY(ls_comm_allgather(s->comm, &mine, visible, sizeof mine));
    if (s->rank == 0) unlink(path);
    return LS_OK;
}

/* Chooses the ranks that write: the first ones that see the folder. */
static ls_status choose_writers(ls_saver *s, const ls_state *state)
{
    int  seen = 0, missing = 0;
    int *visible = ls_arena_alloc(s->memory, sizeof *visible * (size_t)s->ranks);
    LS_TRY(exchange_visibility(s, state, visible));
    s->writers = ls__state_writers(state, s->ranks, s->options.writers);
    s->writer  = -1;
    for (int r = 0; r < s->ranks; r++) {
        if (r == s->rank && visible[r] == VISIBLE && seen < s->writers) s->writer = seen;
        seen += visible[r] == VISIBLE;
        missing += visible[r] == NOT_VISIBLE_BUT_NEEDED;
    }
    LS_CHECK(!ls__state_divided(state) || s->ranks <= LS_CHECKPOINT_FILES, LS_ERR_USAGE,
             "%s: a checkpoint has at most %d files, but the state of the training is divided over %d ranks" LS_HINT
             "use fewer ranks, or set train.zero=0",
             s->options.folder, LS_CHECKPOINT_FILES, s->ranks);
    LS_CHECK(missing == 0, LS_ERR_ENV,
             "%s: %d of %d ranks do not see this folder, but have a part of the state to write that no other rank "
             "has" LS_HINT "put run.dir on a file system that all hosts share, or set train.zero=0",
             s->options.folder, missing, s->ranks);
    if (seen < s->ranks && s->rank == 0)
        fprintf(stderr,
                "lockstep: %s: %d of %d ranks do not see this folder (is it on a file system that all hosts share?); "
                "the other ranks write the checkpoints\n",
                s->options.folder, s->ranks - seen, s->ranks);
    if (s->writers > seen) s->writers = seen;
    return LS_OK;
}

/* Gives the copy its memory. */
static ls_status place_copy(ls_saver *s, const ls_block *snapshot, size_t bytes)
{
    float *to = snapshot ? snapshot->data : NULL;
    if (!snapshot || snapshot->bytes < bytes) {
        LS_TRY(ls_block_new(&s->own, bytes, "checkpoint"));
        to = s->own.data;
    }
    for (int i = 0; i < s->copy.arrays; i++)
        for (int k = 0; k < s->copy.array[i].parts; k++) {
            s->copy.array[i].part[k].data = to;
            to += s->copy.array[i].part[k].range.count;
        }
    return LS_OK;
}

static ls_status start_thread(ls_saver *s)
{
    /* These signals report a crash of this thread; blocked, they would end the process without a crash report.  All
     * others are handled by the main thread. */
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    sigset_t         blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++) sigdelset(&blocked, crashes[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int code = pthread_create(&s->thread, NULL, thread_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    LS_CHECK(code == 0, LS_ERR_ENV, "%s: cannot start the thread that writes checkpoints: %s", s->options.folder,
             strerror(code));
    s->started = true;
    return LS_OK;
}

static ls_status start_background(ls_saver *s, const ls_block *snapshot, int64_t elements)
{
    if (!s->options.background) return LS_OK;
    LS_TRY(place_copy(s, snapshot, (size_t)elements * sizeof(float)));
    return start_thread(s);
}

static ls_status build(ls_saver *s, const ls_state *state, const ls_block *snapshot)
{
    LS_TRY(choose_writers(s, state));
    int64_t elements = ls__state_partition(state, s->writer, s->writers, s->memory, &s->source);
    ls__state_partition(state, s->writer, s->writers, s->memory, &s->copy);
    s->reports   = ls_arena_alloc(s->memory, sizeof *s->reports * (size_t)s->ranks);
    s->checksums = ls_arena_alloc(s->memory, sizeof *s->checksums * (size_t)(s->writers + 1));
    return agree(s->comm, start_background(s, snapshot, elements));
}

static ls_status check_options(const ls_saver_options *o)
{
    LS_CHECK(o->keep.last >= 0 && o->keep.every >= 0, LS_ERR_USAGE,
             "%s: expected numbers of checkpoints to keep of at least 0, found last %d and every %lld", o->folder,
             o->keep.last, (long long)o->keep.every);
    LS_CHECK(o->writers >= 0 && o->writers <= LS_CHECKPOINT_FILES, LS_ERR_USAGE,
             "%s: expected 0 to %d ranks that write, found %d", o->folder, LS_CHECKPOINT_FILES, o->writers);
    return LS_OK;
}

ls_status ls__saver_new(ls_saver **out, ls_comm *comm, const ls_state *state, const ls_block *snapshot,
                        const ls_saver_options *o)
{
    int       rank = comm ? ls_comm_rank(comm) : 0;
    ls_saver *s    = calloc(1, sizeof *s);
    ls_status status =
        s ? ls_arena_new(&s->memory, "saver") : LS_FAIL(LS_ERR_ENV, "%s: no memory to write checkpoints", o->folder);
    if (status == LS_OK) status = check_options(o);
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
        start_job(s, JOB_STOP);
        pthread_join(s->thread, NULL);
    }
    ls_block_free(&s->own);
    if (s->memory) ls_arena_free(s->memory);
    free(s);
}

/* ---- a checkpoint ------------------------------------------------------------------------------------------------ */

static void copy_range(const ls_state_range *to, const ls_state_range *from)
{
    enum { CHUNK = 1 << 18 }; /* elements that one thread copies at a time */
    int64_t n = from->range.count, chunks = (n + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) if (chunks > 1)
    for (int64_t k = 0; k < chunks; k++)
        memcpy(to->data + k * CHUNK, from->data + k * CHUNK,
               sizeof *to->data * (size_t)(n - k * CHUNK < CHUNK ? n - k * CHUNK : CHUNK));
}

static void copy_state(ls_saver *s)
{
    for (int i = 0; i < s->source.arrays; i++)
        for (int k = 0; k < s->source.array[i].parts; k++)
            copy_range(&s->copy.array[i].part[k], &s->source.array[i].part[k]);
}

ls_status ls_saver_begin(ls_saver *s, const ls_progress *progress)
{
    double began = ls__clock_s();
    LS_CHECK(progress->step >= 0, LS_ERR_USAGE, "%s: expected a step of at least 0, found %lld", s->options.folder,
             (long long)progress->step);
    if (s->pending) {
        wait_for_thread(s);
        LS_TRY(ls_saver_publish(s));
    }
    wait_for_thread(s); /* on rank 0 the thread may still be publishing */
    s->progress = *progress;
    s->pending  = true;
    s->began    = began;
    s->status   = LS_OK;
    s->bytes    = 0;
    if (s->options.background) copy_state(s);
    if (s->writer >= 0) start_job(s, JOB_WRITE);
    return s->options.background ? LS_OK : ls_saver_publish(s);
}

bool ls_saver_written(const ls_saver *s) { return s->pending && !is_busy((ls_saver *)s); }

bool ls_saver_idle(ls_saver *s) { return !s->pending && !is_busy(s); }

/* Exchanges the results of the writers; *failed: any of them failed.  The checksums are in the order of the files. */
static ls_status exchange_reports(ls_saver *s, bool *failed)
{
    report mine = {s->status, s->rank, s->checksum, s->bytes};
    if (s->comm)
        LS_TRY(ls_comm_allgather(s->comm, &mine, s->reports, sizeof mine));
    else
        s->reports[0] = mine;
    for (int r = 0, writer = 0; r < s->ranks; r++) {
        if (s->reports[r].status != LS_OK) *failed = true;
        if (s->reports[r].bytes && writer < s->writers) s->checksums[writer++] = s->reports[r].checksum;
    }
    return LS_OK;
}

ls_status ls_saver_publish(ls_saver *s)
{
    bool failed = false;
    if (!s->pending) return LS_OK;
    s->pending = false;
    LS_TRY(exchange_reports(s, &failed));
    if (failed) { /* every rank receives the message of the one that failed */
        if (s->status != LS_OK) ls_error_set(s->status, s->message, "");
        s->status = agree(s->comm, s->status);
        if (s->comm && s->comm->broken) return s->status;
        snprintf(s->message, sizeof s->message, "%s", ls_error_message());
    }
    if (s->rank == 0) start_job(s, failed ? JOB_DISCARD : JOB_PUBLISH);
    return LS_OK;
}

bool ls_saver_news_next(ls_saver *s, ls_saver_news *news)
{
    pthread_mutex_lock(&s->lock);
    if (s->posted - s->read > NEWS) s->read = s->posted - NEWS;
    bool any = s->read < s->posted;
    if (any) s->shown = s->news[s->read++ % NEWS];
    pthread_mutex_unlock(&s->lock);
    *news         = s->shown.item;
    news->message = s->shown.message;
    return any;
}

ls_status ls_saver_finish(ls_saver *s)
{
    if (s->comm && s->comm->broken) return LS_OK; /* a pending checkpoint stays unpublished */
    if (s->pending) {
        wait_for_thread(s);
        LS_TRY(ls_saver_publish(s));
    }
    wait_for_thread(s);
    if (s->rank == 0 && s->last != LS_OK) ls_error_set(s->last, s->news[(s->posted - 1) % NEWS].message, "");
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
    return status;
}
