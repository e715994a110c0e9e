/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints of a trainer: describes its parameters and optimizer state as the arrays of
 * dist/checkpoint/checkpoint_state.h.  This is the only file of the folder that includes the trainer.
 */
#include "dist/checkpoint/checkpoint_trainer.h"

#include "core/graph/params.h"
#include "dist/checkpoint/checkpoint_load.h"
#include "dist/checkpoint/checkpoint_saver.h"
#include "dist/trainer/trainer.h"

/* Whether the arrays are written or read: a divided state is written by one owner of each element, and read by all
 * ranks that have it. */
typedef enum access_mode { TO_WRITE, TO_READ } access_mode;

/* Returns the position in this rank's optimizer state of an element of the parameter block. */
static size_t state_position(const ls_trainer *t, size_t offset)
{
    const ls_kept *range;
    int            i = ls__trainer_kept(t, &range) - 1;
    while (i > 0 && range[i].offset > offset) i--;
    return range[i].at + (offset - range[i].offset);
}

/* Sets the ranges of one parameter's optimizer state that this rank writes or reads. */
static void add_parts(ls_state_array *a, ls_trainer *t, const ls_param_slot *slot, int state, access_mode mode,
                      ls_arena *arena)
{
    const ls_kept *owned;
    int            count =
        mode == TO_READ ? ls__trainer_kept(t, &owned) : ls__trainer_owned(t, ls_comm_rank(ls__trainer_comm(t)), &owned);
    ls_range param = {(int64_t)slot->offset, slot->count};
    a->part        = ls_arena_alloc(arena, sizeof *a->part * ((size_t)count + 1));
    for (int i = 0; i < count; i++) {
        ls_range r = ls__range_intersect(param, (ls_range){(int64_t)owned[i].offset, (int64_t)owned[i].count});
        if (r.count == 0) continue;
        a->part[a->parts++] = (ls_state_range){{r.offset - param.offset, r.count},
                                               ls__trainer_state_block(t, state) + state_position(t, (size_t)r.offset)};
    }
}

/* Describes all arrays of a trainer.  A frozen parameter has a value and no optimizer state. */
static void describe(ls_trainer *t, access_mode mode, ls_arena *arena, ls_state *s)
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
                add_parts(a, t, slot, k, mode, arena);
            else
                a->data = ls__trainer_state_block(t, k) + state_position(t, (size_t)slot->offset);
            s->arrays++;
        }
}

size_t ls__checkpoint_snapshot_bytes(ls_trainer *t, int writers)
{
    ls_arena *arena;
    ls_state  state, partition;
    ls_comm  *comm = ls__trainer_comm(t);
    if (ls_arena_new(&arena, "snapshot") != LS_OK) return 0;
    describe(t, TO_WRITE, arena, &state);
    writers          = ls__state_writers(&state, ls_comm_size(comm), writers);
    int     writer   = ls_comm_rank(comm) < writers ? ls_comm_rank(comm) : -1;
    int64_t elements = ls__state_partition(&state, writer, writers, arena, &partition);
    ls_arena_free(arena);
    return (size_t)elements * sizeof(float);
}

/* ---- the public functions ---------------------------------------------------------------------------------------- */

/* Makes an arena with the description of all arrays.  Collective: the arena may fail on one rank. */
static ls_status begin(ls_trainer *t, access_mode mode, ls_arena **arena, ls_state *state)
{
    LS_TRY(ls_comm_agree(ls__trainer_comm(t), ls_arena_new(arena, "checkpoint")));
    describe(t, mode, *arena, state);
    return LS_OK;
}

ls_status ls_saver_new(ls_saver **s, ls_trainer *t, const ls_saver_options *options)
{
    ls_arena *arena;
    ls_state  state;
    LS_TRY(begin(t, TO_WRITE, &arena, &state));
    ls_status status = ls__saver_new(s, ls__trainer_comm(t), &state, ls__trainer_snapshot(t), options);
    ls_arena_free(arena);
    return status;
}

ls_status ls_checkpoint_save(ls_trainer *t, const char *folder, const ls_progress *progress,
                             const ls_checkpoint_retention *keep)
{
    ls_arena *arena;
    ls_state  state;
    LS_TRY(begin(t, TO_WRITE, &arena, &state));
    ls_status status = ls__checkpoint_save(ls__trainer_comm(t), &state, folder, progress, keep);
    ls_arena_free(arena);
    return status;
}

ls_status ls_checkpoint_load(ls_trainer *t, const char *folder, ls_progress *progress, bool *found)
{
    ls_arena *arena;
    ls_state  state;
    LS_TRY(begin(t, TO_READ, &arena, &state));
    ls_status status = ls__checkpoint_load(ls__trainer_comm(t), &state, folder, progress, found);
    ls_arena_free(arena);
    if (status == LS_OK && *found) ls__trainer_set_steps(t, progress->step);
    return status;
}

ls_status ls_checkpoint_read(ls_trainer *t, const char *checkpoint, ls_progress *progress)
{
    ls_arena *arena;
    ls_state  state;
    LS_TRY(begin(t, TO_READ, &arena, &state));
    ls_status status = ls__checkpoint_read(ls__trainer_comm(t), &state, checkpoint, progress);
    ls_arena_free(arena);
    if (status == LS_OK) ls__trainer_set_steps(t, progress->step);
    return status;
}
