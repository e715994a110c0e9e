/* SPDX-License-Identifier: Apache-2.0
 *
 * The loader: one thread reads ahead into a ring of `prefetch` + 1 batches, allocated at the start; nothing is
 * allocated afterwards.  The slot before `taken` is the one the caller holds, the slots [taken, made) are ready, the
 * rest are free:
 *
 *     slot of batch k: k mod slots          taken <= made <= taken + prefetch
 *
 * What a sample becomes in a batch is the business of the data set's kind (images.c, windows.c).
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/files/dataset.h"

enum { DEFAULT_PREFETCH = 4, MAX_PREFETCH = 1024, ALIGN = 64 };

typedef struct slot {
    ls_batch    batch;
    ls_position position;
    char       *column[LS_COLUMNS]; /* rows x row_bytes */
} slot;

struct ls_loader {
    ls_dataset       *dataset;
    const ls_kind    *kind;
    int64_t           count; /* samples of an epoch */
    ls_loader_options options;
    ls_order          order;
    char              name[LS_COLUMNS][64];
    size_t            row_bytes[LS_COLUMNS];
    ls_block          block; /* the columns of all slots */
    slot             *slots;
    int               slot_count;
    void             *own;      /* what the kind keeps */
    ls_position       position; /* of the batch that the caller holds */
    bool              ended;    /* the caller was told that there are no more */

    pthread_t       thread;
    bool            started;
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    int64_t         made, taken; /* batches; under the lock, as all below */
    bool            stop, done;
    ls_status       status;
    char            message[2048], trace[1024];
};

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static ls_status fill(ls_loader *l, slot *s, int64_t epoch, int64_t at)
{
    const ls_loader_options *o     = &l->options;
    int64_t                  rows  = o->batch < l->count - at ? o->batch : l->count - at;
    ls_batch_partition       share = ls_batch_partition_of(rows, o->shards, o->ranks, o->rank);
    for (int64_t i = 0; i < share.rows; i++) {
        void *row[LS_COLUMNS];
        for (int c = 0; c < LS_COLUMNS; c++) row[c] = s->column[c] + (size_t)i * l->row_bytes[c];
        LS_TRY(l->kind->row(l->dataset, l->own, &l->order, epoch, at + share.first + i, row));
    }
    s->batch.rows        = share.rows;
    s->batch.first       = share.first;
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

static void *read_ahead(void *loader)
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
    LS_CHECK(o->batch >= 1, LS_ERR_USAGE, "loader: a batch of %lld samples; at least 1 is needed", (long long)o->batch);
    LS_CHECK(o->ranks >= 1 && o->rank >= 0 && o->rank < o->ranks, LS_ERR_USAGE, "loader: rank %d of %d", o->rank,
             o->ranks);
    LS_CHECK(o->shards >= 1, LS_ERR_USAGE, "loader: %d shards; at least 1 is needed", o->shards);
    LS_CHECK(count >= 1, LS_ERR_USAGE,
             "loader: %s has no samples" LS_HINT "ls_dataset_window says how long the windows of a text are", path);
    LS_CHECK(o->epoch >= 0 && o->sample >= 0 && o->sample <= count, LS_ERR_DATA,
             "%s: the run continues at sample %lld of epoch %lld, but there are %lld samples" LS_HINT
             "has the data set changed since the checkpoint?",
             path, (long long)o->sample, (long long)o->epoch, (long long)count);
    LS_CHECK(o->prefetch >= 0 && o->prefetch <= MAX_PREFETCH, LS_ERR_USAGE,
             "loader: prefetch of %d batches; expected 0 to %d", o->prefetch, MAX_PREFETCH);
    return LS_OK;
}

static ls_status reserve(ls_loader *l)
{
    const ls_loader_options *o = &l->options;
    /* A short batch may round one sample more into a share than a whole one. */
    int64_t            batch = o->batch < l->count ? o->batch : l->count;
    ls_batch_partition share = ls_batch_partition_of(batch, o->shards, o->ranks, o->rank);
    size_t             rows = (size_t)share.rows + 1, column[LS_COLUMNS], all = 0, bytes;
    bool               overflow = false;
    l->slot_count               = (o->prefetch ? o->prefetch : DEFAULT_PREFETCH) + 1;
    for (int c = 0; c < LS_COLUMNS; c++) {
        l->row_bytes[c] = l->kind->row_bytes(&l->dataset->info, c);
        overflow |= __builtin_mul_overflow(rows, l->row_bytes[c], &column[c]) || column[c] > SIZE_MAX / 4;
        column[c] = (column[c] + ALIGN - 1) / ALIGN * ALIGN;
        all += column[c];
    }
    overflow = overflow || __builtin_mul_overflow(all, (size_t)l->slot_count, &bytes);
    LS_CHECK(!overflow, LS_ERR_ENV,
             "loader: %d batches of %zu samples of %zu bytes are more than the memory can address" LS_HINT
             "make train.batch smaller",
             l->slot_count, rows, l->row_bytes[0]);
    LS_TRY(ls_block_new(&l->block, bytes, "loader"));
    l->slots = calloc((size_t)l->slot_count, sizeof *l->slots);
    l->own   = malloc(l->kind->own_bytes(&l->dataset->info));
    LS_CHECK(l->slots && l->own, LS_ERR_ENV, "loader: no memory for %d batches", l->slot_count);
    char *at = l->block.data;
    for (int i = 0; i < l->slot_count; i++) {
        slot *s  = &l->slots[i];
        s->batch = (ls_batch){.inputs = LS_COLUMNS};
        for (int c = 0; c < LS_COLUMNS; at += column[c++]) {
            s->column[c]     = at;
            s->batch.name[c] = l->name[c];
            s->batch.data[c] = at;
        }
    }
    return LS_OK;
}

static ls_status start(ls_loader *l)
{
    LS_TRY(reserve(l));
    if (l->kind->prepare) l->kind->prepare(l->own, &l->dataset->info);

    /* Signals are for the main thread, whose handlers ask for a checkpoint; but for its own, which would end the
     * process without a word. */
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    sigset_t         all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) sigdelset(&all, own[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&l->thread, NULL, read_ahead, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    LS_CHECK(!error, LS_ERR_ENV, "loader: no thread: %s", strerror(error));
    l->started = true;
    return LS_OK;
}

ls_status ls__loader_new(ls_loader **loader, ls_dataset *d, const ls_loader_options *options)
{
    int64_t count = ls_dataset_epoch(d, options->in_order);
    *loader       = NULL;
    LS_TRY(check(options, d->info.path, count));
    ls_loader *l = calloc(1, sizeof *l);
    LS_CHECK(l, LS_ERR_ENV, "loader: no memory");
    l->dataset  = d;
    l->kind     = ls__kind_of(d);
    l->count    = count;
    l->options  = *options;
    l->order    = (ls_order){options->seed, options->in_order};
    l->position = (ls_position){options->epoch, options->sample, options->sample == count};
    for (int c = 0; c < LS_COLUMNS; c++)
        snprintf(l->name[c], sizeof l->name[c], "%s", options->input[c] ? options->input[c] : l->kind->column[c]);
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
    free(l->own);
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
    /* An error of the thread is of a batch further on: it counts once that batch was asked for, and then changes no
     * more. */
    return l->ended && l->status != LS_OK ? ls_error_set(l->status, l->message, l->trace) : LS_OK;
}
