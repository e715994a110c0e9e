/* SPDX-License-Identifier: Apache-2.0
 *
 * The loader: a prefetch thread that fills a ring of `prefetch` + 1 batches.
 *
 * All memory is allocated before the thread starts.  Batch k is in slot k mod slots.  The caller holds slot
 * `taken` - 1, the slots [taken, made) are ready, and the rest are free:
 *
 *     taken <= made <= taken + prefetch
 *
 * The dataset's kind (image_batch.c, text_batch.c) describes the columns of a batch and fills its rows.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/files/dataset.h"
#include "datasets/files/options.h"

enum { DEFAULT_PREFETCH = 4, MAX_PREFETCH = 1024, ALIGN = 64 };

typedef struct slot {
    ls_batch    batch;
    ls_position position;
    char       *column[LS_MAX_INPUTS]; /* rows x row_bytes */
} slot;

struct ls_loader {
    ls_dataset       *dataset;
    const ls_kind    *kind;
    int64_t           count; /* samples of an epoch */
    ls_loader_options options;
    ls_order          order;
    int               columns;
    ls_column         column[LS_MAX_INPUTS]; /* column[c].name: the name of the graph's input */
    size_t            row_bytes[LS_MAX_INPUTS];
    ls_block          block; /* the columns of all slots */
    slot             *slots;
    int               slot_count;
    void             *workspace; /* workspace of ls_kind.row */
    ls_position       position;  /* position of the batch that the caller holds */
    bool              ended;     /* ls_loader_next has returned false */

    pthread_t       thread;
    bool            started;
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    int64_t         made, taken; /* batches; guarded by `lock`, like all members below */
    bool            stop, done;
    ls_status       status;
    char            message[2048], trace[1024];
};

/* ---- the prefetch thread ----------------------------------------------------------------------------------------- */

static ls_status fill(ls_loader *l, slot *s, int64_t epoch, int64_t at)
{
    const ls_loader_options *o    = &l->options;
    int64_t                  rows = o->batch < l->count - at ? o->batch : l->count - at;
    ls_batch_partition       own  = ls_batch_partition_of(rows, o->shards, o->ranks, o->rank);
    for (int64_t i = 0; i < own.rows; i++) {
        void *row[LS_MAX_INPUTS];
        for (int c = 0; c < l->columns; c++) row[c] = s->column[c] + (size_t)i * l->row_bytes[c];
        ls_place place = {.epoch = epoch, .at = at + own.first + i, .batch_first = at, .batch_rows = rows};
        LS_TRY(l->kind->row(l->dataset, l->workspace, &l->order, &place, row));
    }
    s->batch.rows        = own.rows;
    s->batch.first       = own.first;
    s->batch.global_rows = rows;
    s->position          = (ls_position){.epoch = epoch, .sample = at + rows, .epoch_ends = at + rows == l->count};
    return LS_OK;
}

static void finish(ls_loader *l, ls_status status)
{
    pthread_mutex_lock(&l->lock);
    l->done   = true;
    l->status = status;
    if (status != LS_OK) {
        snprintf(l->message, sizeof l->message, "%s", ls_error_message());
        snprintf(l->trace, sizeof l->trace, "%s", ls_error_trace());
    }
    pthread_cond_signal(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

static void *prefetch(void *loader)
{
    ls_loader *l     = loader;
    int64_t    epoch = l->options.epoch, at = l->options.sample;
    if (at == l->count) {
        epoch++;
        at = 0;
    }
    for (int64_t k = 0; !l->options.epochs || epoch < l->options.epochs; k++) {
        pthread_mutex_lock(&l->lock);
        while (!l->stop && l->made - l->taken == l->slot_count - 1) pthread_cond_wait(&l->changed, &l->lock);
        bool stop = l->stop;
        pthread_mutex_unlock(&l->lock);
        if (stop) return NULL;

        slot     *s      = &l->slots[k % l->slot_count];
        ls_status status = fill(l, s, epoch, at);
        if (status != LS_OK) {
            finish(l, status);
            return NULL;
        }
        at = s->position.sample;
        if (s->position.epoch_ends) {
            epoch++;
            at = 0;
        }
        pthread_mutex_lock(&l->lock);
        l->made++;
        pthread_cond_signal(&l->changed);
        pthread_mutex_unlock(&l->lock);
    }
    finish(l, LS_OK);
    return NULL;
}

/* ---- the caller's side ------------------------------------------------------------------------------------------- */

static ls_status check(const ls_loader_options *o, const char *path, int64_t count)
{
    LS_CHECK(o->batch >= 1, LS_ERR_USAGE, "loader: batch: expected at least 1 sample, found %lld", (long long)o->batch);
    LS_CHECK(o->ranks >= 1 && o->rank >= 0 && o->rank < o->ranks, LS_ERR_USAGE,
             "loader: rank: expected 0 to %d, found %d", o->ranks - 1, o->rank);
    LS_CHECK(o->shards >= 1, LS_ERR_USAGE, "loader: shards: expected at least 1, found %d", o->shards);
    LS_CHECK(count >= 1, LS_ERR_USAGE,
             "%s: loader: expected at least 1 sample, found 0" LS_HINT
             "for text, set the length of the windows with ls_dataset_window first",
             path);
    LS_CHECK(o->epoch >= 0 && o->sample >= 0 && o->sample <= count, LS_ERR_DATA,
             "%s: the run resumes at sample %lld of epoch %lld, but the epoch has %lld samples" LS_HINT
             "the dataset has changed since the checkpoint: restore it, or start a new run",
             path, (long long)o->sample, (long long)o->epoch, (long long)count);
    LS_CHECK(o->prefetch >= 0 && o->prefetch <= MAX_PREFETCH, LS_ERR_USAGE,
             "loader: prefetch: expected 0 to %d batches, found %d", MAX_PREFETCH, o->prefetch);
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
    l->slots     = calloc((size_t)l->slot_count, sizeof *l->slots);
    l->workspace = malloc(l->kind->workspace_bytes(&l->dataset->info));
    LS_CHECK(l->slots && l->workspace, LS_ERR_ENV, "loader: out of memory for %d batches", l->slot_count);
    char *at = l->block.data;
    for (int i = 0; i < l->slot_count; i++) {
        slot *s  = &l->slots[i];
        s->batch = (ls_batch){.inputs = l->columns};
        for (int c = 0; c < l->columns; c++) {
            s->column[c]     = at;
            s->batch.name[c] = l->column[c].name;
            s->batch.data[c] = at;
            at += column[c];
        }
    }
    return LS_OK;
}

static ls_status start(ls_loader *l)
{
    LS_TRY(describe(l));
    LS_TRY(reserve(l));
    if (l->kind->prepare) l->kind->prepare(l->workspace, &l->dataset->info, &l->order);

    /* Block asynchronous signals in the thread: the main thread handles those that ask for a checkpoint.  Leave the
     * synchronous ones (SIGSEGV and others) unblocked, so that a crash of this thread is reported. */
    static const int synchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    sigset_t         blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof synchronous / sizeof *synchronous; i++) sigdelset(&blocked, synchronous[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int error = pthread_create(&l->thread, NULL, prefetch, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    LS_CHECK(!error, LS_ERR_ENV, "loader: the prefetch thread cannot be started: %s", strerror(error));
    l->started = true;
    return LS_OK;
}

ls_status ls__loader_new(ls_loader **loader, ls_dataset *d, const ls_loader_options *given)
{
    ls_loader_options copy, *options = &copy;
    *loader = NULL;
    LS_TRY(ls__options_copy(&copy, sizeof copy, given, "ls_loader_options"));
    int64_t count = ls_dataset_epoch(d, options->in_order);
    LS_TRY(check(options, d->info.path, count));
    ls_loader *l = calloc(1, sizeof *l);
    LS_CHECK(l, LS_ERR_ENV, "loader: out of memory");
    l->dataset  = d;
    l->kind     = ls__kind_of(d);
    l->count    = count;
    l->options  = *options;
    l->order    = (ls_order){options->seed, options->in_order};
    l->position = (ls_position){options->epoch, options->sample, options->sample == count};
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
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
    if (l->started) {
        pthread_mutex_lock(&l->lock);
        l->stop = true;
        pthread_cond_signal(&l->changed);
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->thread, NULL);
    }
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    ls_block_free(&l->block);
    free(l->slots);
    free(l->workspace);
    free(l);
}

bool ls_loader_next(ls_loader *l, ls_batch *batch)
{
    pthread_mutex_lock(&l->lock);
    while (l->made == l->taken && !l->done) pthread_cond_wait(&l->changed, &l->lock);
    bool ready = l->made > l->taken;
    if (ready) {
        slot *s     = &l->slots[l->taken++ % l->slot_count];
        *batch      = s->batch;
        l->position = s->position;
        pthread_cond_signal(&l->changed);
    }
    pthread_mutex_unlock(&l->lock);
    l->ended = !ready;
    return ready;
}

ls_position ls_loader_position(const ls_loader *l) { return l->position; }

ls_status ls_loader_status(const ls_loader *l)
{
    /* An error of the thread belongs to a later batch than the one the caller holds: report it only after
     * ls_loader_next has asked for that batch. */
    return l->ended && l->status != LS_OK ? ls_error_set(l->status, l->message, l->trace) : LS_OK;
}
