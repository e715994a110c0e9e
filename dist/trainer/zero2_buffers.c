/* SPDX-License-Identifier: Apache-2.0
 *
 * Where buckets go that take turns: see dist/trainer/zero2_buffers.h.
 *
 * A bucket lives from the first instruction that writes into it until its sum has been read from the blocks, of which
 * nobody knows when that is; so two buckets may share memory where the program can wait for the sum of one before it
 * writes the other: it has been begun by then.  The program should not have to wait, so a bucket shares nothing with
 * the IN_FLIGHT - 1 before it either: while one is written, the sums of these go on; nor with a larger one before as
 * many floats as that has have been begun in between.  The buckets are placed as buffers are in the step's arena
 * (core/graph/planner.c): the largest first, each as low as it can be.
 */
#include "dist/trainer/zero2_buffers.h"

#include "core/base/arena.h"

enum { IN_FLIGHT = 3 };

typedef struct placing {
    const ls_bucket *bucket;
    const int       *begins, *first;
    const size_t    *before; /* floats of the buckets before it */
    ls_zero2_buffer *stage;
    bool            *placed;
} placing;

int ls__zero2_buffer_first(const ls_program *p, const ls_bucket *bucket, int begins)
{
    int first = ls__program_first_write(p, (size_t)bucket->range.offset, (size_t)bucket->range.count);
    return first < begins ? first : begins;
}

/* Whether buckets i and k live at the same time. */
static bool together(const placing *p, int i, int k)
{
    int    early = i < k ? i : k, late = i < k ? k : i;
    size_t most = (size_t)p->bucket[early].range.count, between = p->before[late] - p->before[early] - most;
    return late - early < IN_FLIGHT || p->begins[early] >= p->first[late] ||
           ((size_t)p->bucket[late].range.count < most && between < most);
}

/* Without the first floats of the block, which are never shared. */
static size_t begin_of(const placing *p, int i) { return p->stage[i].at ? p->stage[i].at : LS_PARAM_START; }
static size_t end_of(const placing *p, int i) { return p->stage[i].at + (size_t)p->bucket[i].range.count; }

static bool overlap(const placing *p, int i, int k)
{
    return begin_of(p, i) < end_of(p, k) && begin_of(p, k) < end_of(p, i);
}

/* As low as it can be: moves up past whatever is in its way. */
static void place(placing *p, int n, int i)
{
    p->stage[i].at = p->bucket[i].range.offset ? LS_PARAM_START : 0;
    for (bool moved = p->bucket[i].range.offset > 0; moved;) {
        moved = false;
        for (int k = 0; k < n; k++) {
            if (!p->placed[k] || !together(p, i, k) || !overlap(p, i, k)) continue;
            p->stage[i].at = end_of(p, k);
            moved          = true;
        }
    }
    p->placed[i] = true;
}

/* The next to be placed: the one that stays at 0, then the largest. */
static int next_of(const placing *p, int n)
{
    int next = -1;
    for (int i = 0; i < n; i++) {
        if (p->placed[i]) continue;
        if (!p->bucket[i].range.offset) return i;
        if (next < 0 || p->bucket[i].range.count > p->bucket[next].range.count) next = i;
    }
    return next;
}

static void find_gaps(ls_arena *memory, const ls_program *p, const ls_bucket *b, ls_zero2_buffer *out)
{
    ls_range params = ls__bucket_params(b);
    size_t   most   = (size_t)b->range.count / LS_PARAM_ALIGN; /* parameters */
    out->gap        = ls_arena_alloc(memory, (most + 1) * sizeof *out->gap);
    out->gaps       = ls__program_gaps(p, (size_t)params.offset, (size_t)params.count, out->gap);
    for (int k = 0; k < out->gaps; k++) out->gap[k].offset -= (size_t)b->range.offset;
}

size_t ls__stages_plan(ls_arena *memory, const ls_program *p, const ls_bucket *bucket, const int *begins, int n,
                       ls_zero2_buffer *out)
{
    int    *first  = ls_arena_alloc(memory, ((size_t)n + 1) * sizeof *first);
    size_t *before = ls_arena_alloc(memory, ((size_t)n + 1) * sizeof *before);
    bool   *placed = ls_arena_alloc(memory, (size_t)n + 1);
    placing s      = {bucket, begins, first, before, out, placed};
    size_t  floats = LS_PARAM_START;
    for (int i = 0; i < n; i++) {
        first[i]      = ls__zero2_buffer_first(p, &bucket[i], begins[i]);
        before[i + 1] = before[i] + (size_t)bucket[i].range.count;
    }
    for (int i = next_of(&s, n); i >= 0; i = next_of(&s, n)) place(&s, n, i);
    for (int i = 0; i < n; i++) {
        out[i].after = -1;
        for (int k = 0; k < i; k++)
            if (overlap(&s, i, k)) out[i].after = k;
        if (end_of(&s, i) > floats) floats = end_of(&s, i);
        find_gaps(memory, p, &bucket[i], &out[i]);
    }
    return floats;
}
