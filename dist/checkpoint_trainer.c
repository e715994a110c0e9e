/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints of a trainer: its parameters and its optimizer's state as the arrays of dist/checkpoint.h, and which rank writes
 * which of them.
 *
 * What all ranks hold is cut into as many pieces as there are writers, alike to an element.  What only one rank holds (the optimizer's
 * state with ZeRO) that rank writes. */
#include "dist/checkpoint.h"
#include "dist/trainer.h"

static void add_array(ls_state *s, ls_params *params, int param, const char *state, float *data)
{
    ls_state_array *a     = &s->array[s->arrays];
    float          *value = ls_params_get(params, param, &a->name, &a->rank, &a->dims);
    a->state              = state;
    a->data               = state ? data : value;
    a->count              = 1;
    for (int d = 0; d < a->rank; d++) a->count *= a->dims[d];
    a->first = 0;
    a->held  = a->count;
    s->arrays++;
}

/* Frozen parameters have a value and no state. */
void ls__checkpoint_state(ls_trainer *t, ls_arena *arena, ls_state *s)
{
    ls_params *params = ls_trainer_params(t);
    int        count  = ls_params_count(params);
    *s                = (ls_state){.states = ls__trainer_states(t)};
    s->array          = ls_arena_alloc(arena, sizeof *s->array * (size_t)(count * (s->states + 1) + 1));
    s->state_name     = ls_arena_alloc(arena, sizeof *s->state_name * (size_t)(s->states + 1));
    for (int k = 0; k < s->states; k++) s->state_name[k] = ls__trainer_state_name(t, k);
    for (int i = 0; i < count; i++) add_array(s, params, i, NULL, NULL);
    for (int k = 0; k < s->states; k++)
        for (int i = 0; i < count; i++) {
            float *data = ls__trainer_state(t, k, i);
            if (data) add_array(s, params, i, s->state_name[k], data);
        }
}

/* ---- who writes what ----------------------------------------------------------------------------------------------- */

static bool held_by_all(const ls_state *s, const ls_state_array *a) { return !s->sliced || !a->state; }

static int64_t floats_of_all(const ls_state *s)
{
    int64_t n = 0;
    for (int i = 0; i < s->arrays; i++) n += held_by_all(s, &s->array[i]) ? s->array[i].count : 0;
    return n;
}

int ls__checkpoint_writers(const ls_state *s, int ranks, int wanted)
{
    enum { WORTH = (1 << 20) / sizeof(float) }; /* floats: below 1 MiB another file costs more than it saves */
    int64_t n = s->sliced ? ranks : wanted ? wanted : (floats_of_all(s) + WORTH - 1) / WORTH;
    n         = n > ranks ? ranks : n > LS_MAX_PARTS ? LS_MAX_PARTS : n;
    return n < 1 ? 1 : (int)n;
}

int64_t ls__checkpoint_share(const ls_state *s, int writer, int writers, ls_state *share)
{
    int64_t all = floats_of_all(s), from = all * writer / writers, to = all * (writer + 1) / writers, at = 0, floats = 0;
    if (writer < 0) from = to = 0;
    *share = (ls_state){.array = share->array, .arrays = s->arrays, .states = s->states, .state_name = s->state_name, .sliced = s->sliced};
    for (int i = 0; i < s->arrays; i++) {
        ls_state_array *a = &share->array[i];
        *a                = s->array[i];
        if (held_by_all(s, a)) {
            int64_t begin = from > at ? from : at, end = to < at + a->count ? to : at + a->count;
            a->held  = end > begin ? end - begin : 0;
            a->first = a->held ? begin - at : 0;
            a->data += a->first;
            at += a->count;
        }
        floats += a->held;
    }
    return floats;
}

/* ---- of a trainer -------------------------------------------------------------------------------------------------- */

typedef struct held {
    ls_comm  *comm;
    ls_arena *arena;
    ls_state  state;
} held;

static ls_status hold(ls_trainer *t, held *h)
{
    h->comm = ls__trainer_comm(t);
    LS_TRY(ls_comm_agree(h->comm, ls_arena_new(&h->arena, "checkpoint")));
    ls__checkpoint_state(t, h->arena, &h->state);
    return LS_OK;
}

size_t ls__checkpoint_snapshot_bytes(ls_trainer *t, int writers)
{
    ls_arena *arena;
    ls_state  state, share;
    ls_comm  *comm = ls__trainer_comm(t);
    if (ls_arena_new(&arena, "snapshot") != LS_OK) return 0;
    ls__checkpoint_state(t, arena, &state);
    share.array    = ls_arena_alloc(arena, sizeof *share.array * (size_t)(state.arrays + 1));
    writers        = ls__checkpoint_writers(&state, ls_comm_size(comm), writers);
    int     writer = ls_comm_rank(comm) < writers ? ls_comm_rank(comm) : -1;
    int64_t floats = ls__checkpoint_share(&state, writer, writers, &share);
    ls_arena_free(arena);
    return (size_t)floats * sizeof(float);
}

ls_status ls_saver_new(ls_saver **s, ls_trainer *t, const ls_saver_options *options)
{
    held h;
    LS_TRY(hold(t, &h));
    ls_status status = ls__saver_new(s, h.comm, &h.state, ls__trainer_snapshot(t), options);
    ls_arena_free(h.arena);
    LS_TRY(status);
    return LS_OK;
}

ls_status ls_checkpoint_save(ls_trainer *t, const char *folder, const ls_progress *progress, const ls_keep *keep)
{
    held h;
    LS_TRY(hold(t, &h));
    ls_status status = ls__checkpoint_save(h.comm, &h.state, folder, progress, keep);
    ls_arena_free(h.arena);
    LS_TRY(status);
    return LS_OK;
}

ls_status ls_checkpoint_load(ls_trainer *t, const char *folder, ls_progress *progress, bool *found)
{
    held h;
    LS_TRY(hold(t, &h));
    ls_status status = ls__checkpoint_load(h.comm, &h.state, folder, progress, found);
    ls_arena_free(h.arena);
    LS_TRY(status);
    if (*found) ls__trainer_set_steps(t, progress->step);
    return LS_OK;
}

ls_status ls_checkpoint_read(ls_trainer *t, const char *checkpoint, ls_progress *progress)
{
    held h;
    LS_TRY(hold(t, &h));
    ls_status status = ls__checkpoint_read(h.comm, &h.state, checkpoint, progress);
    ls_arena_free(h.arena);
    LS_TRY(status);
    ls__trainer_set_steps(t, progress->step);
    return LS_OK;
}
