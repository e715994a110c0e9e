/* SPDX-License-Identifier: Apache-2.0
 *
 * The loader: a pool of threads that fills a ring of `prefetch` + 1 batches.
 *
 * All memory is allocated before the threads start.  Batch k is in slot k mod slots.  The caller holds slot
 * `taken` - 1, the slots [taken, made) are ready, [made, begun) are being filled, and the rest are free:
 *
 *     taken <= made <= begun <= taken + prefetch
 *
 * The rows of a batch are cut into as many pieces as there are threads.  The pieces are handed out in order: a thread
 * that finds the last batch handed out begins the next one.  A row is a function of its place in the run, so that the
 * batches do not depend on the number of threads.  An error ends the stream at its batch; the error is that of the
 * batch's first row that fails, also where threads find several.
 *
 * The dataset's kind (image_batch.c, text_batch.c) describes the columns of a batch and fills its rows.  A kind with a
 * plan (pairs_batch.c) chooses the samples of a batch and the widths of its columns when the batch begins.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/files/dataset.h"
#include "datasets/files/options.h"

enum { DEFAULT_PREFETCH = 4, MAX_PREFETCH = 1024, MAX_THREADS = 256, ALIGN = 64 };

typedef struct slot {
    ls_batch    batch;
    ls_position position;
    int64_t     at;                    /* position of the global batch's first sample in its epoch */
    char       *column[LS_MAX_INPUTS]; /* rows x row_bytes                                         */
    size_t      row_bytes[LS_MAX_INPUTS];
    int64_t    *sample; /* of the global batch, chosen by ls_kind.plan; NULL: without a plan */
    int         pieces; /* pieces that are not filled yet                           */
    int64_t     failed; /* first row that failed; -1: none                          */
    ls_error    error;  /* of that row                                              */
} slot;

typedef struct worker {
    struct ls_loader *loader;
    pthread_t         thread;
    void             *workspace; /* of ls_kind.row */
} worker;

struct ls_loader {
    ls_dataset       *dataset;
    const ls_kind    *kind;
    int64_t           count; /* samples of an epoch */
    ls_loader_options options;
    ls_order          order;
    int               columns;
    ls_column         column[LS_MAX_INPUTS];    /* column[c].name: the name of the graph's input */
    size_t            row_bytes[LS_MAX_INPUTS]; /* of the widest batch */
    ls_block          block;                    /* the columns of all slots */
    int64_t          *samples;                  /* ls_kind.plan: of all slots, and its state */
    void             *plan;
    slot             *slots;
    int               slot_count;
    ls_position       position; /* position of the batch that the caller holds */
    bool              ended;    /* ls_loader_next has returned false */

    worker         *workers;
    int             threads, started;
    pthread_mutex_t lock;
    pthread_cond_t  ready, room;        /* a batch became ready or the stream ended; a slot became free  */
    int64_t         begun, made, taken; /* batches; guarded by `lock`, like all members below           */
    int             piece;              /* next piece of batch `begun` - 1                              */
    int64_t         epoch, at;          /* position of batch `begun`                                    */
    bool            stop, done;         /* done: no batch after `made` will become ready                */
    const ls_error *failure;            /* of batch `made`, which ended the stream; NULL: none          */
};

/* ---- the threads ------------------------------------------------------------------------------------------------- */

/* Whether all batches of the last epoch have begun. */
static bool at_end(const ls_loader *l) { return l->options.epochs && l->epoch >= l->options.epochs; }

/* Sets the samples and widths of a batch. */
static void plan_batch(ls_loader *l, slot *s)
{
    const ls_place first = {.epoch       = l->epoch,
                            .at          = l->at,
                            .batch_first = l->at,
                            .batch_rows  = s->batch.global_rows,
                            .dim0        = s->batch.dim0};
    l->kind->plan(l->dataset, l->plan, &l->order, &first, s->sample, s->batch.dim0);
    for (int c = 0; c < l->columns; c++)
        if (s->batch.dim0[c])
            s->row_bytes[c] = l->row_bytes[c] / (size_t)l->column[c].dim[0] * (size_t)s->batch.dim0[c];
}

/* Takes a free slot for the next batch. */
static void begin_batch(ls_loader *l)
{
    const ls_loader_options *o    = &l->options;
    slot                    *s    = &l->slots[l->begun++ % l->slot_count];
    int64_t                  rows = o->batch < l->count - l->at ? o->batch : l->count - l->at;
    ls_batch_partition       own  = ls_batch_partition_of(rows, o->shards, o->ranks, o->rank);
    int64_t                  end  = l->at + rows;
    s->batch.rows                 = own.rows;
    s->batch.first                = own.first;
    s->batch.global_rows          = rows;
    s->position                   = (ls_position){.epoch = l->epoch, .sample = end, .epoch_ends = end == l->count};
    s->at                         = l->at;
    s->pieces                     = l->threads;
    s->failed                     = -1;
    if (l->kind->plan) plan_batch(l, s);
    l->piece = 0;
    l->at    = end;
    if (end == l->count) {
        l->epoch++;
        l->at = 0;
    }
}

/* Waits for a piece; returns its slot, or NULL at the end. */
static slot *next_piece(ls_loader *l, int *piece)
{
    while (!l->stop && !l->done) {
        if (l->piece < l->threads) {
            *piece = l->piece++;
            return &l->slots[(l->begun - 1) % l->slot_count];
        }
        if (at_end(l)) return NULL;
        if (l->begun - l->taken < l->slot_count - 1)
            begin_batch(l);
        else
            pthread_cond_wait(&l->room, &l->lock);
    }
    return NULL;
}

/* Fills the rows of a piece.  *row: the row that failed. */
static ls_status fill(const worker *w, const slot *s, int piece, int64_t *row)
{
    const ls_loader *l   = w->loader;
    const ls_batch  *b   = &s->batch;
    const int64_t    end = b->rows * (piece + 1) / l->threads;
    for (int64_t i = *row = b->rows * piece / l->threads; i < end; *row = ++i) {
        void *column[LS_MAX_INPUTS];
        for (int c = 0; c < l->columns; c++) column[c] = s->column[c] + (size_t)i * s->row_bytes[c];
        ls_place place = {.epoch       = s->position.epoch,
                          .at          = s->at + b->first + i,
                          .batch_first = s->at,
                          .batch_rows  = b->global_rows,
                          .sample      = s->sample ? s->sample[b->first + i] : -1,
                          .dim0        = b->dim0};
        LS_TRY(l->kind->row(l->dataset, w->workspace, &l->order, &place, column));
    }
    return LS_OK;
}

/* Counts a piece as filled, and passes on the batches that are complete. */
static void piece_done(ls_loader *l, slot *s, ls_status status, int64_t row)
{
    if (status != LS_OK && (s->failed < 0 || row < s->failed)) {
        s->failed = row;
        s->error  = ls_error_save(status);
    }
    s->pieces--;
    for (; l->made < l->begun; l->made++) {
        const slot *next = &l->slots[l->made % l->slot_count];
        if (next->pieces) break;
        if (next->failed >= 0) {
            l->failure = &next->error;
            break;
        }
        pthread_cond_signal(&l->ready);
    }
    l->done = l->failure || (at_end(l) && l->made == l->begun);
    if (!l->done) return;
    pthread_cond_signal(&l->ready);
    pthread_cond_broadcast(&l->room);
}

static void *work(void *argument)
{
    worker    *w = argument;
    ls_loader *l = w->loader;
    slot      *s;
    int        piece;
    pthread_mutex_lock(&l->lock);
    while ((s = next_piece(l, &piece))) {
        int64_t row;
        pthread_mutex_unlock(&l->lock);
        ls_status status = fill(w, s, piece, &row);
        pthread_mutex_lock(&l->lock);
        piece_done(l, s, status, row);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* ---- the caller's side ------------------------------------------------------------------------------------------- */

static ls_status check(const ls_loader_options *o, const ls_dataset_info *info, int64_t count)
{
    const char *path = info->path;
    LS_CHECK(o->batch >= 1, LS_ERR_USAGE, "loader: batch: expected at least 1 sample, found %lld", (long long)o->batch);
    LS_CHECK(o->ranks >= 1 && o->rank >= 0 && o->rank < o->ranks, LS_ERR_USAGE,
             "loader: rank: expected 0 to %d, found %d", o->ranks - 1, o->rank);
    LS_CHECK(o->shards >= 1, LS_ERR_USAGE, "loader: shards: expected at least 1, found %d", o->shards);
    LS_CHECK(
        count >= 1 || !info->streams, LS_ERR_DATA,
        "%s: the split '%s' has %lld windows of %lld tokens, expected at least one for each of %lld streams" LS_HINT
        "make batches smaller (train.batch, eval.batch), or the context shorter",
        path, info->split, (long long)info->count, (long long)info->context, (long long)o->batch);
    LS_CHECK(count >= 1, LS_ERR_USAGE,
             "%s: loader: expected at least 1 sample, found 0" LS_HINT
             "for text, set the length of the windows with ls_dataset_window first",
             path);
    LS_CHECK(o->epoch >= 0 && o->sample >= 0 && o->sample <= count, LS_ERR_DATA,
             "%s: the run resumes at sample %lld of epoch %lld, but the epoch has %lld samples" LS_HINT
             "the dataset has changed since the checkpoint: restore it, or start a new run",
             path, (long long)o->sample, (long long)o->epoch, (long long)count);
    LS_CHECK((info->kind != LS_DATA_PAIRS && info->kind != LS_DATA_LABELLED) || o->sample == count ||
                 o->sample % o->batch == 0,
             LS_ERR_DATA,
             "%s: the run resumes at sample %lld of the epoch, expected a multiple of the batch, %lld" LS_HINT
             "resume with the train.batch of the checkpoint",
             path, (long long)o->sample, (long long)o->batch);
    LS_CHECK(o->prefetch >= 0 && o->prefetch <= MAX_PREFETCH, LS_ERR_USAGE,
             "loader: prefetch: expected 0 to %d batches, found %d", MAX_PREFETCH, o->prefetch);
    LS_CHECK(o->threads >= 0 && o->threads <= MAX_THREADS, LS_ERR_USAGE, "loader: threads: expected 0 to %d, found %d",
             MAX_THREADS, o->threads);
    return LS_OK;
}

/* Sets the names and sizes of the columns. */
static ls_status describe(ls_loader *l)
{
    l->columns = l->kind->columns(&l->dataset->info, l->column);
    for (int c = 0; c < l->columns; c++) {
        const char *input = l->options.input[c];
        if (input) snprintf(l->column[c].name, sizeof l->column[c].name, "%s", input);
        LS_TRY(ls__column_row_bytes(l->dataset, &l->column[c], &l->row_bytes[c]));
    }
    return LS_OK;
}

static ls_status reserve(ls_loader *l)
{
    const ls_loader_options *o = &l->options;
    /* A short batch may round up to one sample more for this rank than a full batch does. */
    int64_t            batch = o->batch < l->count ? o->batch : l->count;
    ls_batch_partition own   = ls_batch_partition_of(batch, o->shards, o->ranks, o->rank);
    size_t             rows = (size_t)own.rows + 1, column[LS_MAX_INPUTS], total = 0, bytes;
    bool               overflow = false;
    l->slot_count               = (o->prefetch ? o->prefetch : DEFAULT_PREFETCH) + 1;
    for (int c = 0; c < l->columns; c++) {
        overflow |= __builtin_mul_overflow(rows, l->row_bytes[c], &column[c]) || column[c] > SIZE_MAX / 16;
        column[c] = (column[c] + ALIGN - 1) / ALIGN * ALIGN;
        total += column[c];
    }
    overflow = overflow || __builtin_mul_overflow(total, (size_t)l->slot_count, &bytes);
    LS_CHECK(!overflow, LS_ERR_ENV,
             "loader: %d batches of %zu samples of %zu bytes exceed the address space" LS_HINT
             "make train.batch smaller",
             l->slot_count, rows, l->row_bytes[0]);
    LS_TRY(ls_block_new(&l->block, bytes, "loader"));
    l->slots   = calloc((size_t)l->slot_count, sizeof *l->slots);
    l->workers = calloc((size_t)l->threads, sizeof *l->workers);
    if (l->kind->plan) {
        l->samples = calloc((size_t)batch, (size_t)l->slot_count * sizeof *l->samples);
        l->plan    = calloc(1, l->kind->plan_bytes(&l->dataset->info, &l->order));
    }
    LS_CHECK(l->slots && l->workers && (!l->kind->plan || (l->samples && l->plan)), LS_ERR_ENV,
             "loader: out of memory for %d batches", l->slot_count);
    char *at = l->block.data;
    for (int i = 0; i < l->slot_count; i++) {
        slot *s  = &l->slots[i];
        s->batch = (ls_batch){.inputs = l->columns};
        if (l->samples) s->sample = l->samples + i * batch;
        memcpy(s->row_bytes, l->row_bytes, sizeof s->row_bytes);
        for (int c = 0; c < l->columns; c++) {
            s->column[c]     = at;
            s->batch.name[c] = l->column[c].name;
            s->batch.data[c] = at;
            at += column[c];
        }
    }
    return LS_OK;
}

static ls_status start_worker(ls_loader *l, worker *w)
{
    w->loader    = l;
    w->workspace = malloc(l->kind->workspace_bytes(&l->dataset->info));
    LS_CHECK(w->workspace, LS_ERR_ENV, "loader: out of memory for a thread");
    if (l->kind->prepare) l->kind->prepare(w->workspace, &l->dataset->info, &l->order);
    int error = pthread_create(&w->thread, NULL, work, w);
    LS_CHECK(!error, LS_ERR_ENV, "loader: thread %d of %d cannot be started: %s", l->started + 1, l->threads,
             strerror(error));
    l->started++;
    return LS_OK;
}

static ls_status start(ls_loader *l)
{
    LS_TRY(describe(l));
    LS_TRY(reserve(l));

    /* Block asynchronous signals in the threads: the main thread handles those that ask for a checkpoint.  Leave the
     * synchronous ones (SIGSEGV and others) unblocked, so that a crash of a thread is reported. */
    static const int synchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    sigset_t         blocked, before;
    ls_status        status = LS_OK;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof synchronous / sizeof *synchronous; i++) sigdelset(&blocked, synchronous[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    for (int i = 0; i < l->threads && status == LS_OK; i++) status = start_worker(l, &l->workers[i]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

ls_status ls__loader_new(ls_loader **loader, ls_dataset *d, const ls_loader_options *given)
{
    ls_loader_options copy, *options = &copy;
    *loader = NULL;
    LS_TRY(ls__options_copy(&copy, sizeof copy, given, "ls_loader_options"));
    int64_t count = options->batch < 1 ? 0 : ls_dataset_epoch(d, options->in_order, options->batch);
    LS_TRY(check(options, &d->info, count));
    ls_loader *l = calloc(1, sizeof *l);
    LS_CHECK(l, LS_ERR_ENV, "loader: out of memory");
    l->dataset  = d;
    l->kind     = ls__kind_of(d);
    l->count    = count;
    l->options  = *options;
    l->order    = (ls_order){options->seed, options->in_order, options->batch, options->shards};
    l->position = (ls_position){options->epoch, options->sample, options->sample == count};
    l->threads  = options->threads ? options->threads : 1;
    l->piece    = l->threads; /* no batch has begun */
    l->epoch    = options->epoch + (options->sample == count);
    l->at       = options->sample == count ? 0 : options->sample;
    l->done     = at_end(l);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->ready, NULL);
    pthread_cond_init(&l->room, NULL);
    ls_status status = start(l);
    if (status != LS_OK) {
        ls_loader_free(l);
        return ls__trace(status, __FILE__, __LINE__, __func__);
    }
    *loader = l;
    return LS_OK;
}

void ls_loader_free(ls_loader *l)
{
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->room);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->started; i++) pthread_join(l->workers[i].thread, NULL);
    for (int i = 0; l->workers && i < l->threads; i++) free(l->workers[i].workspace);
    pthread_cond_destroy(&l->ready);
    pthread_cond_destroy(&l->room);
    pthread_mutex_destroy(&l->lock);
    ls_block_free(&l->block);
    free(l->slots);
    free(l->samples);
    free(l->plan);
    free(l->workers);
    free(l);
}

bool ls_loader_next(ls_loader *l, ls_batch *batch)
{
    pthread_mutex_lock(&l->lock);
    while (l->made == l->taken && !l->done) pthread_cond_wait(&l->ready, &l->lock);
    bool ready = l->made > l->taken;
    if (ready) {
        slot *s     = &l->slots[l->taken++ % l->slot_count];
        *batch      = s->batch;
        l->position = s->position;
        pthread_cond_signal(&l->room);
    }
    pthread_mutex_unlock(&l->lock);
    l->ended = !ready;
    return ready;
}

ls_position ls_loader_position(const ls_loader *l) { return l->position; }

ls_status ls_loader_status(const ls_loader *l)
{
    /* An error belongs to a later batch than the one the caller holds: report it only after ls_loader_next has asked
     * for that batch. */
    return l->ended && l->failure ? ls_error_restore(l->failure) : LS_OK;
}
