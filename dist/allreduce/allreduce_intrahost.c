/* SPDX-License-Identifier: Apache-2.0
 *
 * The intra-host part of an all-reduce: see dist/allreduce/allreduce_intrahost.h.
 */
#include "dist/allreduce/allreduce_intrahost.h"

#include <string.h>

enum {
    TILE_FLOATS     = 2048,   /* all additions of a tile run while it is in the L1 cache */
    PARALLEL_FLOATS = 1 << 15 /* from this size on, several threads are faster than one */
};

/* ---- additions --------------------------------------------------------------------------------------------------- */

/* y = x + z; y may be x or z. */
static void add_tile(int64_t n, float *y, const float *x, const float *z)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) y[i] = x[i] + z[i];
}

void ls__merge_blocks(const ls_allreduce_micro_step *m, float *block0, size_t stride, ls_range range)
{
    if (m->merges == 0) return;
    int64_t tiles = (range.count + TILE_FLOATS - 1) / TILE_FLOATS;
#pragma omp parallel for if (range.count >= PARALLEL_FLOATS)
    for (int64_t tile = 0; tile < tiles; tile++) {
        int64_t begin = tile * TILE_FLOATS, left = range.count - begin, n = left < TILE_FLOATS ? left : TILE_FLOATS;
        float  *at = block0 + range.offset + begin;
        for (int i = 0; i < m->merges; i++) {
            float *into = at + (size_t)m->merge[i].into * stride;
            add_tile(n, into, into, at + (size_t)m->merge[i].from * stride);
        }
    }
}

void ls__add_vectors(int64_t count, int additions, const ls_addition *addition, float *const *vector,
                     const ls_output_step *last)
{
    int64_t tiles = (count + TILE_FLOATS - 1) / TILE_FLOATS;
    if (additions + last->copies == 0 && !last->addend) return;
#pragma omp parallel for if (count >= PARALLEL_FLOATS)
    for (int64_t tile = 0; tile < tiles; tile++) {
        int64_t begin = tile * TILE_FLOATS, n = count - begin < TILE_FLOATS ? count - begin : TILE_FLOATS;
        for (int i = 0; i < additions; i++) {
            const ls_addition *a = &addition[i];
            add_tile(n, vector[a->y] + begin, vector[a->x] + begin, vector[a->z] + begin);
        }
        if (last->addend) add_tile(n, last->output + begin, last->output + begin, last->addend + begin);
        for (int i = 0; i < last->copies; i++)
            memcpy(last->copy[i] + begin, last->output + begin, (size_t)n * sizeof(float));
    }
}

void ls__add_headers(int header_floats, float *headers, int additions, const ls_addition *addition)
{
    for (int i = 0; i < additions; i++)
        add_tile(header_floats, headers + addition[i].y * header_floats, headers + addition[i].x * header_floats,
                 headers + addition[i].z * header_floats);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

void ls__intrahost_init(ls_intrahost *h, ls_arena *arena, const ls_allreduce_schedule *schedule,
                        ls_shared_memory *shared)
{
    const ls_allreduce_host *own = ls__allreduce_own_host(schedule);
    *h                           = (ls_intrahost){.schedule = schedule, .shared = shared};
    h->block                     = ls_arena_alloc(arena, sizeof *h->block * (size_t)own->members);
    h->copy                      = ls_arena_alloc(arena, sizeof *h->copy * (size_t)own->members);
    h->vector                    = ls_arena_alloc(arena, sizeof *h->vector * (size_t)(own->vectors + 1));
}

void ls__intrahost_set_header(ls_intrahost *h, ls_arena *arena, int header_floats)
{
    size_t bytes     = (size_t)header_floats * sizeof(float);
    h->header_floats = header_floats;
    h->header_vector = ls_arena_alloc(arena, bytes * (size_t)(ls__allreduce_own_host(h->schedule)->vectors + 1));
    h->header_sum    = ls_arena_alloc(arena, bytes);
}

void ls__intrahost_set_blocks(ls_intrahost *h, float *block0, size_t stride)
{
    h->stride = stride;
    for (int m = 0; m < ls__allreduce_own_host(h->schedule)->members; m++)
        h->block[m] = h->shared ? h->shared->block[m].data : block0;
}

float *ls__intrahost_output(const ls_intrahost *h)
{
    if (h->separate) return h->separate;
    return h->block[h->output == LS_ALLREDUCE_EVERY_HOST ? 0 : h->schedule->member];
}

float *ls__intrahost_output_at(const ls_intrahost *h, const ls_allreduce_request *r, int64_t at)
{
    const bool apart = r->everywhere && h->output == LS_ALLREDUCE_PARTITIONED;
    return (apart ? h->block[0] : ls__intrahost_output(h)) + (r->range.offset + r->output_shift + at);
}

const float *ls__intrahost_addend_at(const ls_intrahost *h, const ls_allreduce_request *r, int64_t at)
{
    return r->addend_shift ? ls__intrahost_output_at(h, r, at + r->addend_shift) : NULL;
}

void ls__intrahost_place(ls_intrahost *h, const ls_allreduce_request *r, int64_t at)
{
    const ls_allreduce_host *own = ls__allreduce_own_host(h->schedule);
    for (int k = 0; k < own->vectors; k++)
        h->vector[k] = h->block[own->member[k]] + (size_t)own->slot[k] * h->stride + r->range.offset + at;
    h->vector[own->vectors] = ls__intrahost_output_at(h, r, at);
}

int ls__intrahost_copies(ls_intrahost *h, const ls_allreduce_request *r, const float *output, int64_t at)
{
    int     copies   = 0;
    int64_t position = r->range.offset + at;
    if (h->output != LS_ALLREDUCE_EVERY_RANK || r->is_addend) return 0;
    for (int m = 0; m < ls__allreduce_own_host(h->schedule)->members; m++)
        if (h->block[m] + position != output) h->copy[copies++] = h->block[m] + position;
    return copies;
}

/* ---- the header -------------------------------------------------------------------------------------------------- */

void ls__intrahost_sum_headers(ls_intrahost *h)
{
    const ls_allreduce_host *own    = ls__allreduce_own_host(h->schedule);
    const int                floats = h->header_floats;
    const size_t             bytes  = (size_t)floats * sizeof(float);
    for (int k = 0; k < own->vectors; k++)
        memcpy(h->header_vector + k * floats, h->block[own->member[k]] + (size_t)own->slot[k] * h->stride, bytes);
    ls__add_headers(floats, h->header_vector, own->additions, own->addition);
    if (h->schedule->hosts == 1)
        memcpy(h->header_sum, h->header_vector + (own->additions ? own->vectors : 0) * floats, bytes);
}

/* ---- all ranks on one host --------------------------------------------------------------------------------------- */

/* Adds this rank's partition over the blocks of all members, and writes the sum to every place that needs it. */
static void reduce_partition(ls_intrahost *h, const ls_allreduce_request *r)
{
    const ls_allreduce_host *own = ls__allreduce_own_host(h->schedule);
    ls_range partition           = ls__allreduce_partition_of(r->range.count, h->schedule->rank, h->schedule->ranks);
    ls__intrahost_place(h, r, partition.offset);
    ls_output_step last = {
        .output = h->vector[own->vectors], .addend = ls__intrahost_addend_at(h, r, partition.offset), .copy = h->copy};
    if (!own->additions && partition.count && last.output != h->vector[0])
        memcpy(last.output, h->vector[0], (size_t)partition.count * sizeof(float));
    last.copies = ls__intrahost_copies(h, r, last.output, partition.offset);
    ls__add_vectors(partition.count, own->additions, own->addition, h->vector, &last);
}

/* Sums this member's part of the oldest queued bucket.  Before that, waits until all members have queued the bucket. */
static ls_status reduce_oldest(ls_intrahost *h)
{
    const ls_intrahost_entry *e = &h->queue[h->queue_begin % LS_ALLREDUCE_MAX_QUEUED];
    LS_TRY(ls__shared_memory_wait(h->shared, e->ticket));
    if (e->with_header) ls__intrahost_sum_headers(h);
    reduce_partition(h, &e->request);
    h->queue_begin++;
    if (h->separate) ls__shared_memory_done(h->shared, (uint32_t)h->queue_begin);
    return LS_OK;
}

ls_status ls__intrahost_advance(ls_intrahost *h)
{
    while (h->queue_begin < h->queue_end &&
           ls__shared_memory_complete(h->shared, h->queue[h->queue_begin % LS_ALLREDUCE_MAX_QUEUED].ticket))
        LS_TRY(reduce_oldest(h));
    return LS_OK;
}

ls_status ls__intrahost_begin(ls_intrahost *h, const ls_allreduce_request *request, bool with_header)
{
    ls_intrahost_entry e = {*request, with_header, ls__shared_memory_arrive(h->shared)};
    if (h->queue_end - h->queue_begin == LS_ALLREDUCE_MAX_QUEUED) LS_TRY(reduce_oldest(h));
    h->queue[h->queue_end++ % LS_ALLREDUCE_MAX_QUEUED] = e;
    return ls__intrahost_advance(h);
}

ls_status ls__intrahost_finish(ls_intrahost *h, uint64_t number)
{
    while (h->queue_begin < number) LS_TRY(reduce_oldest(h));
    return LS_OK;
}
