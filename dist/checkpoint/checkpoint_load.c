/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a checkpoint on all ranks.  Only rank 0 touches files; what it finds, good or bad, all ranks learn of in
 * ls_comm_agree.  What it reads it broadcasts, array by array, and each rank takes what it holds: the checkpoint says
 * nothing of ranks, so any number reads it. */
#include <stdlib.h>
#include <string.h>

#include "dist/checkpoint/checkpoint.h"

static ls_status agree(ls_comm *comm, ls_status mine) { return comm ? ls_comm_agree(comm, mine) : mine; }

/* The largest array that some rank holds only a part of. */
static int64_t largest_cut(const ls_state *s)
{
    int64_t most = 0;
    for (int i = 0; i < s->arrays; i++)
        if (s->divided && s->array[i].state && s->array[i].count > most) most = s->array[i].count;
    return most;
}

/* `x` is open on rank 0. */
static ls_status read_arrays(ls_comm *comm, const ls_state *s, ls_index *x)
{
    bool      root   = !comm || ls_comm_rank(comm) == 0;
    int64_t   room   = largest_cut(s);
    float    *bounce = malloc((size_t)room * sizeof *bounce + 1);
    ls_status mine =
        bounce ? LS_OK : LS_FAIL(LS_ERR_ENV, "no memory to read an array of %lld numbers", (long long)room);
    LS_TRY_GOTO(mine, agree(comm, mine), done);
    ls_status sent = LS_OK;
    for (int i = 0; i < s->arrays && sent == LS_OK; i++) {
        const ls_state_array *a  = &s->array[i];
        float                *to = s->divided && a->state ? bounce : a->data;
        if (root && mine == LS_OK) mine = ls__index_read(x, ls__index_find(x, a->name, a->state), to);
        if (comm) sent = ls_comm_bcast(comm, to, (size_t)a->count * sizeof *to, 0);
        for (int k = 0; to == bounce && k < a->pieces; k++)
            memcpy(a->piece[k].data, bounce + a->piece[k].first, (size_t)a->piece[k].held * sizeof *to);
    }
    mine = sent == LS_OK ? agree(comm, mine) : sent;
done:
    free(bounce);
    return mine;
}

/* What rank 0 found goes to all. */
static ls_status share(ls_comm *comm, const ls_state *s, ls_status mine, ls_index *x, ls_progress *progress,
                       bool *found)
{
    struct {
        ls_progress progress;
        bool        found;
    } result;
    memset(&result, 0, sizeof result);
    result.progress = x->progress;
    result.found    = *found;
    LS_TRY(agree(comm, mine));
    if (comm) LS_TRY(ls_comm_bcast(comm, &result, sizeof result, 0));
    *found    = result.found;
    *progress = result.progress;
    return result.found ? read_arrays(comm, s, x) : LS_OK;
}

ls_status ls__checkpoint_load(ls_comm *comm, const ls_state *state, const char *folder, ls_progress *progress,
                              bool *found)
{
    bool     root    = !comm || ls_comm_rank(comm) == 0;
    ls_index x       = {.fd = -1};
    *found           = false;
    ls_status mine   = root ? ls__checkpoint_newest(&x, state, folder, found) : LS_OK;
    ls_status status = share(comm, state, mine, &x, progress, found);
    ls__index_close(&x);
    LS_TRY(status);
    return LS_OK;
}

static ls_status open_one(ls_index *x, const ls_state *state, const char *checkpoint)
{
    LS_TRY(ls__index_open(x, checkpoint));
    return ls__index_fits(x, state);
}

ls_status ls__checkpoint_read(ls_comm *comm, const ls_state *state, const char *checkpoint, ls_progress *progress)
{
    bool      root = !comm || ls_comm_rank(comm) == 0, found = true;
    ls_index  x      = {.fd = -1};
    ls_status mine   = root ? open_one(&x, state, checkpoint) : LS_OK;
    ls_status status = share(comm, state, mine, &x, progress, &found);
    ls__index_close(&x);
    LS_TRY(status);
    return LS_OK;
}
