/* SPDX-License-Identifier: Apache-2.0
 *
 * Positions of gradient buckets that share memory: see dist/trainer/zero2_buffers.h.
 *
 * A bucket lives from the first instruction that writes to it until the all-reduce has read it from the blocks.  The
 * end is not known in advance, so two buckets may share memory if the program can wait for the all-reduce of the first
 * before it writes the second, that is, if that all-reduce has begun by then.  To make such a wait short, a bucket
 * shares no memory with the IN_FLIGHT - 1 buckets before it, nor with a larger earlier bucket until as many floats as
 * that one holds have been begun in between.
 *
 * Placement is that of buffers in the step's arena (core/graph/planner.c): the largest first, each as low as possible.
 */
#include "dist/trainer/zero2_buffers.h"

#include "core/base/arena.h"

enum { IN_FLIGHT = 3 };

typedef struct placement {
    const ls_bucket *bucket;
    const int       *begins, *first_write;
    const int64_t   *floats_before; /* floats of the buckets before each bucket */
    ls_zero2_buffer *buffer;
    bool            *placed;
} placement;

int ls__zero2_first_write(const ls_program *p, const ls_bucket *bucket, int begins)
{
    int first = ls__program_first_write(p, (size_t)bucket->range.offset, (size_t)bucket->range.count);
    return first < begins ? first : begins;
}

static bool live_together(const placement *p, int i, int k)
{
    int     early = i < k ? i : k, late = i < k ? k : i;
    int64_t floats = p->bucket[early].range.count;
    int64_t begun  = p->floats_before[late] - p->floats_before[early] - floats; /* between the two */
    return late - early < IN_FLIGHT || p->begins[early] >= p->first_write[late] ||
           (p->bucket[late].range.count < floats && begun < floats);
}

/* The memory of a bucket without the header, which is never shared. */
static ls_range memory_of(const placement *p, int i)
{
    int64_t begin = p->buffer[i].offset ? p->buffer[i].offset : LS_PARAM_START;
    return (ls_range){begin, p->buffer[i].offset + p->bucket[i].range.count - begin};
}

static bool overlap(const placement *p, int i, int k)
{
    ls_range x = memory_of(p, i), y = memory_of(p, k);
    return x.offset < ls__range_end(y) && y.offset < ls__range_end(x);
}

/* Places bucket i at the lowest position that no bucket living at the same time occupies. */
static void place(placement *p, int n, int i)
{
    p->buffer[i].offset = p->bucket[i].range.offset ? LS_PARAM_START : 0;
    for (bool moved = p->bucket[i].range.offset > 0; moved;) {
        moved = false;
        for (int k = 0; k < n; k++) {
            if (!p->placed[k] || !live_together(p, i, k) || !overlap(p, i, k)) continue;
            p->buffer[i].offset = ls__range_end(memory_of(p, k));
            moved               = true;
        }
    }
    p->placed[i] = true;
}

/* The next bucket to place: the one that stays at offset 0, then the largest; -1: all are placed. */
static int next_to_place(const placement *p, int n)
{
    int next = -1;
    for (int i = 0; i < n; i++) {
        if (p->placed[i]) continue;
        if (!p->bucket[i].range.offset) return i;
        if (next < 0 || p->bucket[i].range.count > p->bucket[next].range.count) next = i;
    }
    return next;
}

static void find_gaps(ls_arena *arena, const ls_program *p, const ls_bucket *b, ls_zero2_buffer *out)
{
    ls_range params     = ls__bucket_params(b);
    size_t   max_params = (size_t)b->range.count / LS_PARAM_ALIGN;
    out->gap            = ls_arena_alloc(arena, (max_params + 1) * sizeof *out->gap);
    out->gaps           = ls__program_gaps(p, (size_t)params.offset, (size_t)params.count, out->gap);
    for (int k = 0; k < out->gaps; k++) out->gap[k].offset -= (size_t)b->range.offset;
}

int64_t ls__zero2_plan(ls_arena *arena, const ls_program *p, const ls_bucket *bucket, const int *begins, int n,
                       ls_zero2_buffer *out)
{
    int      *first_write   = ls_arena_alloc(arena, ((size_t)n + 1) * sizeof *first_write);
    int64_t  *floats_before = ls_arena_alloc(arena, ((size_t)n + 1) * sizeof *floats_before);
    bool     *placed        = ls_arena_alloc(arena, (size_t)n + 1);
    placement all           = {bucket, begins, first_write, floats_before, out, placed};
    int64_t   floats        = LS_PARAM_START;
    for (int i = 0; i < n; i++) {
        first_write[i]       = ls__zero2_first_write(p, &bucket[i], begins[i]);
        floats_before[i + 1] = floats_before[i] + bucket[i].range.count;
    }
    for (int i = next_to_place(&all, n); i >= 0; i = next_to_place(&all, n)) place(&all, n, i);
    for (int i = 0; i < n; i++) {
        out[i].after = -1;
        for (int k = 0; k < i; k++)
            if (overlap(&all, i, k)) out[i].after = k;
        if (ls__range_end(memory_of(&all, i)) > floats) floats = ls__range_end(memory_of(&all, i));
        find_gaps(arena, p, &bucket[i], &out[i]);
    }
    return floats;
}
