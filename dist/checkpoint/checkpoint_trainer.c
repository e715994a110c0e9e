/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints of a trainer: describes its parameters and optimizer state as the arrays of
 * dist/checkpoint/checkpoint_state.h.  This is the only file of the folder that includes the trainer.
 */
#include "dist/checkpoint/checkpoint_trainer.h"

#include "core/graph/params.h"
#include "dist/checkpoint/checkpoint_load.h"
#include "dist/checkpoint/checkpoint_saver.h"
#include "dist/comm/comm.h"
#include "dist/trainer/trainer.h"

/* Sets the ranges of array `a` that this rank writes or reads, from the leading sections of the list that belong to it:
 * state `state` (-1: the value) of parameter `param`.  Returns the number of these sections.  whole: every rank has the
 * whole array. */
static int add_parts(ls_state_array *a, const ls_trainer_section *section, int sections, int param, int state,
                     bool whole, ls_arena *arena)
{
    int n = 0;
    while (n < sections && section[n].param == param && section[n].state == state) n++;
    if (whole) {
        a->data = section->data;
        return n;
    }
    a->part = ls_arena_alloc(arena, sizeof *a->part * ((size_t)n + 1));
    for (int i = 0; i < n; i++) a->part[a->parts++] = (ls_state_range){section[i].range, section[i].data};
    return n;
}

/* Describes the states that the model carries from step to step.  Each rank has the rows of its samples. */
static void add_carried(const ls_trainer *t, ls_arena *arena, ls_state *s, const char *state)
{
    ls_trainer_carried carried;
    for (int i = 0; ls__trainer_carried(t, i, &carried); i++) {
        int64_t        *dims = ls_arena_alloc(arena, 2 * sizeof *dims);
        ls_state_array *a    = &s->array[s->arrays++];
        dims[0]              = carried.batch;
        dims[1]              = carried.columns;
        *a                   = (ls_state_array){.name    = carried.name,
                                                .state   = state,
                                                .rank    = 2,
                                                .dims    = dims,
                                                .count   = carried.batch * carried.columns,
                                                .parts   = carried.rows > 0,
                                                .part    = ls_arena_alloc(arena, sizeof *a->part),
                                                .divided = true};
        a->part[0] = (ls_state_range){{carried.first * carried.columns, carried.rows * carried.columns}, carried.data};
    }
}

static int count_carried(const ls_trainer *t)
{
    ls_trainer_carried carried;
    int                n = 0;
    while (ls__trainer_carried(t, n, &carried)) n++;
    return n;
}

/* Describes all arrays of a trainer.  A frozen parameter has a value and no optimizer state, and with muon hidden
 * matrices have other states than the rest. */
static void describe(ls_trainer *t, ls_section_purpose purpose, ls_arena *arena, ls_state *s)
{
    ls_params          *params = ls_trainer_params(t);
    int                 count  = ls_params_count(params);
    ls_trainer_section *section;
    int                 sections = ls__trainer_sections(t, purpose, arena, &section);
    const int           states = ls__trainer_states(t), carried = count_carried(t);
    const bool          divided = ls__trainer_state_partitioned(t);
    *s                          = (ls_state){.states = states + (carried > 0)};
    s->array      = ls_arena_alloc(arena, sizeof *s->array * (size_t)(count * (states + 1) + carried + 1));
    s->state_name = ls_arena_alloc(arena, sizeof *s->state_name * (size_t)(states + 2));
    for (int k = 0; k < states; k++) s->state_name[k] = ls__trainer_state_name(t, k);
    s->state_name[states] = "carried";
    for (int k = -1; k < states; k++)
        for (int i = 0; i < count; i++) {
            const ls_param_slot *slot = &params->slot[i];
            if (k >= 0 && !ls__trainer_has_state(t, i, k)) continue;
            ls_state_array *a = &s->array[s->arrays++];
            ls_params_get(params, i, &a->name, &a->rank, &a->dims);
            a->count   = slot->count;
            a->state   = k < 0 ? NULL : s->state_name[k];
            a->divided = k >= 0 && divided;
            int n      = add_parts(a, section, sections, i, k, !a->divided, arena);
            section += n;
            sections -= n;
        }
    add_carried(t, arena, s, s->state_name[states]);
}

/* Returns the bytes that this rank copies when `writers` ranks (0: the default number) write a checkpoint. */
static size_t snapshot_bytes(ls_trainer *t, int writers)
{
    ls_arena *arena;
    ls_state  state, partition;
    ls_comm  *comm = ls__trainer_comm(t);
    if (ls_arena_new(&arena, "snapshot") != LS_OK) return 0;
    describe(t, LS_SECTIONS_WRITE, arena, &state);
    writers          = ls__state_writers(&state, ls_comm_size(comm), writers);
    int     writer   = ls_comm_rank(comm) < writers ? ls_comm_rank(comm) : -1;
    int64_t elements = ls__state_partition(&state, writer, writers, arena, &partition);
    ls_arena_free(arena);
    return (size_t)elements * sizeof(float);
}

ls_status ls__checkpoint_reserve(ls_trainer *t, int writers)
{
    return ls__trainer_reserve_snapshot(t, snapshot_bytes(t, writers));
}

/* ---- the public functions ---------------------------------------------------------------------------------------- */

/* Makes an arena with the description of all arrays.  Collective: the arena may fail on one rank. */
static ls_status begin(ls_trainer *t, ls_section_purpose purpose, ls_arena **arena, ls_state *state)
{
    LS_TRY(ls_comm_agree(ls__trainer_comm(t), ls_arena_new(arena, "checkpoint")));
    describe(t, purpose, *arena, state);
    return LS_OK;
}

ls_status ls__trainer_saver_new(ls_saver **s, ls_trainer *t, const ls_saver_options *options)
{
    ls_saver_options o;
    ls_arena        *arena;
    ls_state         state;
    LS_TRY(ls__options_copy(&o, sizeof o, options, "ls_saver_options"));
    if (o.background) LS_TRY(ls_comm_agree(ls__trainer_comm(t), ls__checkpoint_reserve(t, o.writers)));
    LS_TRY(begin(t, LS_SECTIONS_WRITE, &arena, &state));
    ls_status status = ls__saver_new(s, ls__trainer_comm(t), &state, ls__trainer_snapshot(t), &o);
    ls_arena_free(arena);
    return status;
}

ls_status ls_checkpoint_save(ls_trainer *t, const char *folder, const ls_progress *progress,
                             const ls_checkpoint_retention *keep)
{
    ls_arena *arena;
    ls_state  state;
    LS_TRY(begin(t, LS_SECTIONS_WRITE, &arena, &state));
    ls_status status = ls__checkpoint_save(ls__trainer_comm(t), &state, folder, progress, keep);
    ls_arena_free(arena);
    return status;
}

ls_status ls_checkpoint_load(ls_trainer *t, const char *folder, ls_progress *progress, bool *found)
{
    ls_arena *arena;
    ls_state  state;
    LS_TRY(begin(t, LS_SECTIONS_READ, &arena, &state));
    ls_status status = ls__checkpoint_load(ls__trainer_comm(t), &state, folder, progress, found);
    ls_arena_free(arena);
    if (status == LS_OK && *found) ls__trainer_set_steps(t, progress->step);
    return status;
}

ls_status ls_checkpoint_read(ls_trainer *t, const char *checkpoint, ls_progress *progress)
{
    ls_arena *arena;
    ls_state  state;
    LS_TRY(begin(t, LS_SECTIONS_READ, &arena, &state));
    ls_status status = ls__checkpoint_read(ls__trainer_comm(t), &state, checkpoint, progress);
    ls_arena_free(arena);
    if (status == LS_OK) ls__trainer_set_steps(t, progress->step);
    return status;
}
