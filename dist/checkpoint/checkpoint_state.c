/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements dist/checkpoint/checkpoint_state.h: which rank writes which elements of the state.
 */
#include "dist/checkpoint/checkpoint_state.h"

#include <string.h>

int ls__state_parts(const ls_state_array *a, const ls_state_range **part, ls_state_range *whole)
{
    *whole = (ls_state_range){{0, a->count}, a->data};
    *part  = a->data ? whole : a->part;
    return a->data ? 1 : a->parts;
}

bool ls__state_divided(const ls_state *s)
{
    for (int i = 0; i < s->arrays; i++)
        if (s->array[i].divided) return true;
    return false;
}

static int64_t replicated_elements(const ls_state *s)
{
    int64_t n = 0;
    for (int i = 0; i < s->arrays; i++) n += !s->array[i].divided ? s->array[i].count : 0;
    return n;
}

int ls__state_writers(const ls_state *s, int ranks, int wanted)
{
    enum { FILE_ELEMENTS = (1 << 20) / sizeof(float) }; /* below 1 MiB another file costs more than it saves */
    int64_t n = (replicated_elements(s) + FILE_ELEMENTS - 1) / FILE_ELEMENTS;
    if (wanted) n = wanted;
    if (ls__state_divided(s) || n > ranks) n = ranks;
    if (n > LS_CHECKPOINT_FILES) n = LS_CHECKPOINT_FILES;
    return n < 1 ? 1 : (int)n;
}

int64_t ls__state_partition(const ls_state *s, int writer, int writers, ls_arena *arena, ls_state *partition)
{
    /* The replicated arrays, one after the other, are one range of elements; each writer has an equal share of it. */
    int64_t  all = replicated_elements(s), begin = all * writer / writers, end = all * (writer + 1) / writers;
    ls_range share        = writer < 0 ? (ls_range){0, 0} : (ls_range){begin, end - begin};
    int64_t  at           = 0;
    int64_t  elements     = 0;
    *partition            = *s;
    partition->array      = ls_arena_alloc(arena, sizeof *partition->array * (size_t)(s->arrays + 1));
    partition->state_name = ls_arena_alloc(arena, sizeof *partition->state_name * (size_t)(s->states + 1));
    for (int k = 0; k < s->states; k++) partition->state_name[k] = s->state_name[k];
    for (int i = 0; i < s->arrays; i++) {
        ls_state_array *a = &partition->array[i];
        *a                = s->array[i];
        a->dims           = memcpy(ls_arena_alloc(arena, sizeof *a->dims * ((size_t)a->rank + 1)), a->dims,
                                   sizeof *a->dims * (size_t)a->rank);
        a->part           = ls_arena_alloc(arena, sizeof *a->part * (size_t)(a->parts + 1));
        for (int k = 0; k < a->parts; k++) a->part[k] = s->array[i].part[k];
        if (!a->divided) {
            ls_range mine = ls__range_intersect(share, (ls_range){at, a->count});
            a->parts      = mine.count > 0;
            if (a->parts) a->part[0] = (ls_state_range){{mine.offset - at, mine.count}, a->data + (mine.offset - at)};
            a->data = NULL;
            at += a->count;
        }
        for (int k = 0; k < a->parts; k++) elements += a->part[k].range.count;
    }
    return elements;
}
