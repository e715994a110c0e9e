/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints of a trainer: its parameters and its optimizer's state as the arrays of dist/checkpoint/checkpoint.h, and
 * which rank writes which of them.
 *
 * What all ranks have is cut into as many pieces as there are writers, alike to an element.  What of the optimizer's
 * state only some have (ZeRO) its owner writes. */
#include "core/graph/params.h"
#include "dist/checkpoint/checkpoint.h"
#include "dist/trainer/trainer.h"

/* ---- what there is ----------------------------------------------------------------------------------------------- */

int ls__state_pieces(const ls_state_array *a, const ls_held **piece, ls_held *all)
{
    *all   = (ls_held){0, a->count, a->data};
    *piece = a->data ? all : a->piece;
    return a->data ? 1 : a->pieces;
}

/* Where this rank has a float of the parameter block in its state. */
static size_t place_of(const ls_trainer *t, size_t offset)
{
    const ls_kept *run;
    int            i = ls__trainer_kept(t, &run) - 1;
    while (i > 0 && run[i].offset > offset) i--;
    return run[i].at + (offset - run[i].offset);
}

/* What this rank has to do with of one state of a parameter. */
static void add_pieces(ls_state_array *a, ls_trainer *t, const ls_param_slot *slot, int state, ls_purpose purpose,
                       ls_arena *arena)
{
    const ls_kept *run;
    int            runs = purpose == LS_TO_READ ? ls__trainer_kept(t, &run)
                                                : ls__trainer_owned(t, ls_comm_rank(ls__trainer_comm(t)), &run);
    a->piece            = ls_arena_alloc(arena, sizeof *a->piece * ((size_t)runs + 1));
    for (int i = 0; i < runs; i++) {
        size_t begin = slot->offset > run[i].offset ? slot->offset : run[i].offset,
               its   = slot->offset + (size_t)slot->count;
        size_t end   = its < run[i].offset + run[i].count ? its : run[i].offset + run[i].count;
        if (begin >= end) continue;
        a->piece[a->pieces++] = (ls_held){(int64_t)(begin - slot->offset), (int64_t)(end - begin),
                                          ls__trainer_state_block(t, state) + place_of(t, begin)};
    }
}

/* Frozen parameters have a value and no state. */
void ls__checkpoint_state(ls_trainer *t, ls_purpose purpose, ls_arena *arena, ls_state *s)
{
    ls_params *params = ls_trainer_params(t);
    int        count  = ls_params_count(params);
    *s                = (ls_state){.states = ls__trainer_states(t), .divided = !ls__trainer_has_all(t)};
    s->array          = ls_arena_alloc(arena, sizeof *s->array * (size_t)(count * (s->states + 1) + 1));
    s->state_name     = ls_arena_alloc(arena, sizeof *s->state_name * (size_t)(s->states + 1));
    for (int k = 0; k < s->states; k++) s->state_name[k] = ls__trainer_state_name(t, k);
    for (int k = -1; k < s->states; k++)
        for (int i = 0; i < count; i++) {
            const ls_param_slot *slot = &params->slot[i];
            ls_state_array      *a    = &s->array[s->arrays];
            if (k >= 0 && !slot->trained) continue;
            float *value = ls_params_get(params, i, &a->name, &a->rank, &a->dims);
            a->count     = slot->count;
            a->state     = k < 0 ? NULL : s->state_name[k];
            if (k < 0)
                a->data = value;
            else if (s->divided)
                add_pieces(a, t, slot, k, purpose, arena);
            else
                a->data = ls__trainer_state_block(t, k) + place_of(t, slot->offset);
            s->arrays++;
        }
}

/* ---- who writes what --------------------------------------------------------------------------------------------- */

static bool held_by_all(const ls_state *s, const ls_state_array *a) { return !s->divided || !a->state; }

static int64_t floats_of_all(const ls_state *s)
{
    int64_t n = 0;
    for (int i = 0; i < s->arrays; i++) n += held_by_all(s, &s->array[i]) ? s->array[i].count : 0;
    return n;
}

int ls__checkpoint_writers(const ls_state *s, int ranks, int wanted)
{
    enum { WORTH = (1 << 20) / sizeof(float) }; /* floats: below 1 MiB another file costs more than it saves */
    int64_t n = s->divided ? ranks : wanted ? wanted : (floats_of_all(s) + WORTH - 1) / WORTH;
    n         = n > ranks ? ranks : n > LS_MAX_PARTS ? LS_MAX_PARTS : n;
    return n < 1 ? 1 : (int)n;
}

int64_t ls__checkpoint_share(const ls_state *s, int writer, int writers, ls_arena *arena, ls_state *share)
{
    int64_t all = floats_of_all(s), from = all * writer / writers, to = all * (writer + 1) / writers, at = 0,
            floats = 0;
    if (writer < 0) from = to = 0;
    *share            = *s;
    share->array      = ls_arena_alloc(arena, sizeof *share->array * (size_t)(s->arrays + 1));
    share->state_name = ls_arena_alloc(arena, sizeof *share->state_name * (size_t)(s->states + 1));
    for (int k = 0; k < s->states; k++) share->state_name[k] = s->state_name[k];
    for (int i = 0; i < s->arrays; i++) {
        ls_state_array *a = &share->array[i];
        *a                = s->array[i];
        a->piece          = ls_arena_alloc(arena, sizeof *a->piece * (size_t)(a->pieces + 1));
        for (int k = 0; k < a->pieces; k++) a->piece[k] = s->array[i].piece[k];
        if (held_by_all(s, a)) {
            int64_t begin = from > at ? from : at, end = to < at + a->count ? to : at + a->count;
            a->pieces = end > begin;
            if (a->pieces) a->piece[0] = (ls_held){begin - at, end - begin, a->data + (begin - at)};
            a->data = NULL;
            at += a->count;
        }
        for (int k = 0; k < a->pieces; k++) floats += a->piece[k].held;
    }
    return floats;
}

/* ---- of a trainer ------------------------------------------------------------------------------------------------ */

typedef struct held {
    ls_comm  *comm;
    ls_arena *arena;
    ls_state  state;
} held;

static ls_status hold(ls_trainer *t, ls_purpose purpose, held *h)
{
    h->comm = ls__trainer_comm(t);
    LS_TRY(ls_comm_agree(h->comm, ls_arena_new(&h->arena, "checkpoint")));
    ls__checkpoint_state(t, purpose, h->arena, &h->state);
    return LS_OK;
}

size_t ls__checkpoint_snapshot_bytes(ls_trainer *t, int writers)
{
    ls_arena *arena;
    ls_state  state, share;
    ls_comm  *comm = ls__trainer_comm(t);
    if (ls_arena_new(&arena, "snapshot") != LS_OK) return 0;
    ls__checkpoint_state(t, LS_TO_WRITE, arena, &state);
    writers        = ls__checkpoint_writers(&state, ls_comm_size(comm), writers);
    int     writer = ls_comm_rank(comm) < writers ? ls_comm_rank(comm) : -1;
    int64_t floats = ls__checkpoint_share(&state, writer, writers, arena, &share);
    ls_arena_free(arena);
    return (size_t)floats * sizeof(float);
}

ls_status ls_saver_new(ls_saver **s, ls_trainer *t, const ls_saver_options *options)
{
    held h;
    LS_TRY(hold(t, LS_TO_WRITE, &h));
    ls_status status = ls__saver_new(s, h.comm, &h.state, ls__trainer_snapshot(t), options);
    ls_arena_free(h.arena);
    LS_TRY(status);
    return LS_OK;
}

ls_status ls_checkpoint_save(ls_trainer *t, const char *folder, const ls_progress *progress,
                             const ls_checkpoint_retention *keep)
{
    held h;
    LS_TRY(hold(t, LS_TO_WRITE, &h));
    ls_status status = ls__checkpoint_save(h.comm, &h.state, folder, progress, keep);
    ls_arena_free(h.arena);
    LS_TRY(status);
    return LS_OK;
}

ls_status ls_checkpoint_load(ls_trainer *t, const char *folder, ls_progress *progress, bool *found)
{
    held h;
    LS_TRY(hold(t, LS_TO_READ, &h));
    ls_status status = ls__checkpoint_load(h.comm, &h.state, folder, progress, found);
    ls_arena_free(h.arena);
    LS_TRY(status);
    if (*found) ls__trainer_set_steps(t, progress->step);
    return LS_OK;
}

ls_status ls_checkpoint_read(ls_trainer *t, const char *checkpoint, ls_progress *progress)
{
    held h;
    LS_TRY(hold(t, LS_TO_READ, &h));
    ls_status status = ls__checkpoint_read(h.comm, &h.state, checkpoint, progress);
    ls_arena_free(h.arena);
    LS_TRY(status);
    ls__trainer_set_steps(t, progress->step);
    return LS_OK;
}
