/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree sum: see dist/allreduce/allreduce.h for what it computes, dist/allreduce/allreduce_schedule.c for the order.
 */
#include "dist/allreduce/allreduce_internal.h"

#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- adding ------------------------------------------------------------------------------------------------------ */

/* y may be x or z. */
static void add_tile(int64_t n, float *y, const float *x, const float *z)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = x[i] + z[i];
}

static void merge_slice(const ls_allreduce_schedule *s, float *block0, size_t stride, int64_t offset, int64_t count)
{
    if (s->merges == 0) return;
    int64_t tiles = (count + TILE - 1) / TILE;
#pragma omp parallel for if (count >= MIN_SPREAD)
    for (int64_t tile = 0; tile < tiles; tile++) {
        int64_t begin = tile * TILE, n = count - begin < TILE ? count - begin : TILE;
        float  *slice = block0 + offset + begin;
        for (int i = 0; i < s->merges; i++) {
            float *into = slice + (size_t)s->merge[i].into * stride;
            add_tile(n, into, into, slice + (size_t)s->merge[i].from * stride);
        }
    }
}

void ls__allreduce_merge(const ls_allreduce *tree, int micro_step, float *block0, size_t stride, int64_t count)
{
    merge_slice(&tree->schedule[micro_step], block0, stride, 0, count);
}

void ls__allreduce_add(int64_t count, int adds, const add *adding, float *const *vector, const finish *f)
{
    int64_t tiles = (count + TILE - 1) / TILE;
    if (adds + f->copies == 0 && !f->plus) return;
#pragma omp parallel for if (count >= MIN_SPREAD)
    for (int64_t tile = 0; tile < tiles; tile++) {
        int64_t begin = tile * TILE, n = count - begin < TILE ? count - begin : TILE;
        for (int i = 0; i < adds; i++) {
            const add *o = &adding[i];
            add_tile(n, vector[o->y] + begin, vector[o->x] + begin, vector[o->z] + begin);
        }
        if (f->plus) add_tile(n, f->result + begin, f->result + begin, f->plus + begin);
        for (int i = 0; i < f->copies; i++) memcpy(f->copy[i] + begin, f->result + begin, (size_t)n * sizeof(float));
    }
}

float *ls__allreduce_totals(const ls_allreduce *t)
{
    return t->totals ? t->totals : t->block[t->keep == LS_ALLREDUCE_HOST ? 0 : t->me];
}

float *ls__allreduce_total(const ls_allreduce *t, const ls_allreduce_slice *s, int64_t at)
{
    return ls__allreduce_totals(t) + (s->offset + s->shift + at);
}

const float *ls__allreduce_plus(const ls_allreduce *t, const ls_allreduce_slice *s, int64_t at)
{
    return s->plus ? ls__allreduce_total(t, s, at + s->plus) : NULL;
}

void ls__allreduce_place(ls_allreduce *t, const ls_allreduce_slice *s, int64_t at)
{
    const team *own = &t->team[t->mine];
    for (int k = 0; k < own->nodes; k++)
        t->node[k] = t->block[own->member[k]] + (size_t)own->slot[k] * t->stride + s->offset + at;
    t->node[own->nodes] = ls__allreduce_total(t, s, at);
}

int ls__allreduce_copies(ls_allreduce *t, const ls_allreduce_slice *s, const float *result, int64_t at)
{
    int copies = 0;
    for (int m = 0; t->keep == LS_ALLREDUCE_ALL && !s->addend && m < t->team[t->mine].members; m++)
        if (t->block[m] + at != result) t->copy[copies++] = t->block[m] + at;
    return copies;
}

/* One team: each rank adds its part over all blocks, and writes it to all that need it. */
static void sum_in_place(ls_allreduce *t, const ls_allreduce_slice *s)
{
    const team *own    = &t->team[t->mine];
    int64_t     mine   = ls__allreduce_part(s->count, t->comm->rank, t->comm->size);
    int64_t     length = ls__allreduce_part(s->count, t->comm->rank + 1, t->comm->size) - mine;
    ls__allreduce_place(t, s, mine);
    finish f = {.result = t->node[own->nodes], .plus = ls__allreduce_plus(t, s, mine), .copy = t->copy};
    if (!own->adds && length && f.result != t->node[0]) memcpy(f.result, t->node[0], (size_t)length * sizeof(float));
    f.copies = ls__allreduce_copies(t, s, f.result, s->offset + mine);
    ls__allreduce_add(length, own->adds, own->adding, t->node, &f);
}

/* ---- the header -------------------------------------------------------------------------------------------------- */

void ls__allreduce_add_heads(int head, float *vector, int adds, const add *adding)
{
    for (int i = 0; i < adds; i++)
        add_tile(head, vector + adding[i].y * head, vector + adding[i].x * head, vector + adding[i].z * head);
}

/* Of the own team's nodes, in memory of this rank's: the others still read them. */
void ls__allreduce_add_own_heads(ls_allreduce *t)
{
    const team *own   = &t->team[t->mine];
    size_t      bytes = (size_t)t->head * sizeof(float);
    for (int k = 0; k < own->nodes; k++)
        memcpy(t->head_node + k * t->head, t->block[own->member[k]] + (size_t)own->slot[k] * t->stride, bytes);
    ls__allreduce_add_heads(t->head, t->head_node, own->adds, own->adding);
    if (t->teams == 1) memcpy(t->head_total, t->head_node + (own->adds ? own->nodes : 0) * t->head, bytes);
}

const float *ls__allreduce_head(const ls_allreduce *tree) { return tree->head_total; }

/* ---- what is begun, and not over --------------------------------------------------------------------------------- */

/* Sums the slice that was begun first, once it is complete on all ranks. */
static ls_status sum_oldest(ls_allreduce *t)
{
    const waiting *w = &t->begun[t->first_begun % BEGUN];
    LS_TRY(ls__shared_memory_wait(t->window, w->ticket));
    if (w->head) ls__allreduce_add_own_heads(t);
    sum_in_place(t, &w->slice);
    t->first_begun++;
    if (t->totals) ls__shared_memory_done(t->window, (uint32_t)t->first_begun);
    return LS_OK;
}

static ls_status sum_complete(ls_allreduce *t)
{
    while (t->first_begun < t->end_begun &&
           ls__shared_memory_complete(t->window, t->begun[t->first_begun % BEGUN].ticket))
        LS_TRY(sum_oldest(t));
    return LS_OK;
}

static ls_status begin_in_place(ls_allreduce *t, const waiting *w)
{
    if (t->end_begun - t->first_begun == BEGUN) LS_TRY(sum_oldest(t));
    t->begun[t->end_begun++ % BEGUN] = *w;
    return sum_complete(t);
}

/* What went wrong is kept for who waits for the sums: it may have been another thread. */
static void advance(ls_allreduce *t, bool *moved)
{
    if (t->status != LS_OK) return;
    t->status = ls__allreduce_advance(t, moved);
    if (t->status != LS_OK) snprintf(t->message, sizeof t->message, "%s", ls_error_message());
}

static ls_status advance_locked(ls_allreduce *t, bool *moved)
{
    pthread_mutex_lock(&t->lock);
    advance(t, moved);
    ls_status status = t->status;
    pthread_mutex_unlock(&t->lock);
    return status == LS_OK ? LS_OK : LS_FAIL(status, "%s", t->message);
}

static uint64_t slices_begun(ls_allreduce *t, bool *lanes)
{
    pthread_mutex_lock(&t->lock);
    uint64_t n = t->end_begun - t->first_begun;
    *lanes     = t->first_lane < t->end_lane;
    pthread_mutex_unlock(&t->lock);
    return n;
}

/* Whether at most so many slices wait for a lane; with 0, whether all is over. */
static bool few_wait(ls_allreduce *t, uint64_t most)
{
    bool lanes;
    return slices_begun(t, &lanes) <= most && (most > 0 || !lanes);
}

static ls_status go_on_until(ls_allreduce *t, bool (*over)(ls_allreduce *t, uint64_t n), uint64_t n)
{
    bool      waits  = false;
    ls_status status = LS_OK;
    while (status == LS_OK && !over(t, n)) {
        bool moved = false;
        status     = advance_locked(t, &moved);
        if (moved || status != LS_OK) continue;
        if (!waits)
            ls__flight_begin(
                t->comm->flight,
                &(ls_flight_note){.phase = LS_PHASE_WAIT, .what = "messages between hosts", .apart = true});
        waits = true;
        ls__comm_idle(t->comm);
    }
    if (waits) ls__flight_end(t->comm->flight);
    return status;
}

static ls_status drain(ls_allreduce *t, uint64_t most) { return go_on_until(t, few_wait, most); }

static ls_status begin_between(ls_allreduce *t, const waiting *w)
{
    bool moved = false;
    LS_TRY(drain(t, BEGUN - 1));
    pthread_mutex_lock(&t->lock);
    t->begun[t->end_begun++ % BEGUN] = *w;
    if (t->idles) pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
    return t->threaded ? LS_OK : advance_locked(t, &moved);
}

static ls_status begin_alone(ls_allreduce *t, const ls_allreduce_slice *s, bool head)
{
    finish f = {.result = t->block[0] + s->offset, .plus = ls__allreduce_plus(t, s, 0)};
    if (head) memcpy(t->head_total, t->block[0], (size_t)t->head * sizeof(float));
    ls__allreduce_add(s->count, 0, NULL, NULL, &f);
    return LS_OK;
}

/* Where the blocks are, of all members of the team. */
static ls_status take_blocks(ls_allreduce *t, float *block0, size_t stride)
{
    LS_CHECK(!t->window || (block0 == t->window->own.data && stride == t->stride), LS_ERR_FAILED,
             "the blocks are not those that the tree was told to share");
    pthread_mutex_lock(&t->lock);
    t->stride = stride;
    for (int m = 0; m < t->team[t->mine].members; m++) t->block[m] = t->window ? t->window->block[m].data : block0;
    pthread_mutex_unlock(&t->lock);
    return LS_OK;
}

ls_status ls__allreduce_begin(ls_allreduce *tree, float *block0, size_t stride, const ls_allreduce_slice *slice)
{
    ls_allreduce      *t = tree;
    ls_allreduce_slice s = *slice;
    merge_slice(&t->schedule[t->micro_steps - 1], block0, stride, s.offset, s.count);
    LS_TRY(take_blocks(t, block0, stride));
    bool head = t->head && s.offset == 0;
    if (head) {
        s.offset = GRANULE;
        s.count  = s.count > GRANULE ? s.count - GRANULE : 0;
    }
    if (t->comm->size == 1) return begin_alone(t, &s, head);
    waiting w = {.slice = s, .head = head, .ticket = t->window ? ls__shared_memory_arrive(t->window) : 0};
    return t->teams == 1 ? begin_in_place(t, &w) : begin_between(t, &w);
}

ls_status ls__allreduce_poll(ls_allreduce *t)
{
    bool moved = false;
    if (t->comm->size == 1 || t->threaded || t->comm->broken) return LS_OK;
    return t->teams == 1 ? sum_complete(t) : advance_locked(t, &moved);
}

ls_status ls__allreduce_end(ls_allreduce *tree)
{
    if (tree->teams > 1) LS_TRY(drain(tree, 0));
    if (!tree->window) return LS_OK;
    while (tree->teams == 1 && tree->first_begun < tree->end_begun) LS_TRY(sum_oldest(tree));
    if (tree->keep != LS_ALLREDUCE_OWN) LS_TRY(ls__shared_memory_barrier(tree->window)); /* all parts are written */
    ls__shared_memory_settle(tree->window);
    return LS_OK;
}

/* ---- blocks that are written again
 * ----------------------------------------------------------------------------------- */

void ls__allreduce_put_totals(ls_allreduce *tree, float *totals) { tree->totals = totals; }

uint64_t ls__allreduce_begun(const ls_allreduce *tree) { return tree->end_begun; }

static bool all_have_taken(ls_allreduce *t, uint64_t number)
{
    pthread_mutex_lock(&t->lock);
    bool all = ls__allreduce_taken(t) >= number;
    pthread_mutex_unlock(&t->lock);
    return all && (!t->window || ls__shared_memory_all_done(t->window, (uint32_t)number));
}

ls_status ls__allreduce_wait(ls_allreduce *t, uint64_t number)
{
    if (t->comm->size == 1) return LS_OK;
    while (t->teams == 1 && t->first_begun < number) LS_TRY(sum_oldest(t));
    if (t->teams == 1) return ls__shared_memory_wait_done(t->window, (uint32_t)number);
    return go_on_until(t, all_have_taken, number);
}

ls_status ls__allreduce_gather(ls_allreduce *t, float *base, int64_t offset, int64_t count)
{
    if (t->teams == 1 || t->keep != LS_ALLREDUCE_OWN || !count) return LS_OK;
    return begin_between(t, &(waiting){.slice = {.offset = offset, .count = count}, .base = base + offset});
}

ls_status ls__allreduce_release(ls_allreduce *tree)
{
    if (tree->teams > 1) LS_TRY(drain(tree, 0));
    if (tree->window) LS_TRY(ls__shared_memory_barrier(tree->window));
    return LS_OK;
}

ls_status ls__allreduce_allreduce(ls_allreduce *tree, float *block0, size_t stride, int64_t offset, int64_t count)
{
    LS_TRY(ls__allreduce_begin(tree, block0, stride, &(ls_allreduce_slice){.offset = offset, .count = count}));
    LS_TRY(ls__allreduce_end(tree));
    return LS_OK;
}

/* ---- a thread of its own ----------------------------------------------------------------------------------------- */

static void *run_thread(void *tree)
{
    enum { NAP_NS = 20000 };
    ls_allreduce *t = tree;
    omp_set_num_threads(1); /* all other cores compute */
    pthread_mutex_lock(&t->lock);
    while (!t->quits) {
        bool moved = false;
        if (t->first_begun == t->end_begun && t->first_lane == t->end_lane) {
            t->idles = true;
            pthread_cond_wait(&t->wake, &t->lock);
            t->idles = false;
            continue;
        }
        advance(t, &moved);
        pthread_mutex_unlock(&t->lock);
        if (!moved) nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL); /* the core may be one that computes */
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

ls_status ls__allreduce_start_thread(ls_allreduce *t)
{
    if (t->teams == 1 || t->threaded) return LS_OK;
    LS_CHECK(t->comm->threads, LS_ERR_ENV,
             "the communicator '%s' may only be used by one thread" LS_HINT
             "train.overlap=poll does without another; a program that starts MPI itself calls MPI_Init_thread with "
             "MPI_THREAD_SERIALIZED",
             t->comm->table->name);
    int error = pthread_create(&t->thread, NULL, run_thread, t);
    LS_CHECK(!error, LS_ERR_ENV, "no thread for the sums between hosts: %s" LS_HINT "train.overlap=poll does without",
             strerror(error));
    t->threaded = true;
    return LS_OK;
}

void ls__allreduce_rest(ls_allreduce *t)
{
    if (t->threaded) {
        pthread_mutex_lock(&t->lock);
        t->quits = true;
        pthread_cond_signal(&t->wake);
        pthread_mutex_unlock(&t->lock);
        pthread_join(t->thread, NULL);
    }
    if (t->first_lane < t->end_lane) ls__comm_drop(t->comm);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->wake);
}
