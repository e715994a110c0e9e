/* SPDX-License-Identifier: Apache-2.0
 * Checkpoints of a trainer: its parameters and its optimizer's state, as the arrays of dist/checkpoint.h. */
#include "core/base/arena.h"
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
    s->arrays++;
}

/* Frozen parameters have a value and no state. */
static void state_of(ls_trainer *t, ls_arena *arena, ls_state *s)
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

typedef struct held {
    ls_comm  *comm;
    ls_arena *arena;
    ls_state  state;
} held;

static ls_status hold(ls_trainer *t, held *h)
{
    h->comm = ls__trainer_comm(t);
    LS_TRY(ls_comm_agree(h->comm, ls_arena_new(&h->arena, "checkpoint")));
    state_of(t, h->arena, &h->state);
    return LS_OK;
}

ls_status ls_checkpoint_save(ls_trainer *t, const char *folder, const ls_progress *progress, int keep)
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
