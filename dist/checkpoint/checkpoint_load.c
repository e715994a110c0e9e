/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements dist/checkpoint/checkpoint_load.h: reads a checkpoint on all ranks.
 *
 * Only rank 0 reads files.  Its result is agreed with ls_comm_agree; then it broadcasts array by array, and each rank
 * copies the ranges that it has.  A checkpoint does not depend on ranks, so any number of ranks reads it.
 */
#include "dist/checkpoint/checkpoint_load.h"

#include <stdlib.h>
#include <string.h>

#include "dist/checkpoint/checkpoint_folder.h"

static ls_status agree(ls_comm *comm, ls_status status) { return comm ? ls_comm_agree(comm, status) : status; }

/* Returns the number of elements of the largest array of which a rank has only ranges. */
static int64_t largest_divided(const ls_state *s)
{
    int64_t most = 0;
    for (int i = 0; i < s->arrays; i++)
        if (s->array[i].divided && s->array[i].count > most) most = s->array[i].count;
    return most;
}

/* Reads and broadcasts all arrays; `x` is open on rank 0.  A divided array is received whole into `buffer`. */
static ls_status read_arrays(ls_comm *comm, const ls_state *s, ls_index *x, float *buffer)
{
    bool      root   = !comm || ls_comm_rank(comm) == 0;
    ls_status status = LS_OK;
    for (int i = 0; i < s->arrays; i++) {
        const ls_state_array *a  = &s->array[i];
        float                *to = a->divided ? buffer : a->data;
        if (root && status == LS_OK) status = ls__index_read(x, ls__index_find(x, a->name, a->state), to);
        if (comm) LS_TRY(ls_comm_bcast(comm, to, (size_t)a->count * sizeof *to, 0));
        for (int k = 0; to == buffer && k < a->parts; k++)
            memcpy(a->part[k].data, buffer + a->part[k].range.offset, (size_t)a->part[k].range.count * sizeof *to);
    }
    return agree(comm, status);
}

static ls_status read_with_buffer(ls_comm *comm, const ls_state *s, ls_index *x)
{
    int64_t   elements = largest_divided(s);
    float    *buffer   = malloc((size_t)elements * sizeof *buffer + 1);
    ls_status status =
        buffer ? LS_OK
               : LS_FAIL(LS_ERR_ENV, "checkpoint: no memory to read an array of %lld elements", (long long)elements);
    status = agree(comm, status);
    if (status == LS_OK) status = read_arrays(comm, s, x, buffer);
    free(buffer);
    return status;
}

/* Distributes what rank 0 found: its status, the progress, and the arrays. */
static ls_status distribute(ls_comm *comm, const ls_state *s, ls_status status, ls_index *x, ls_progress *progress,
                            bool *found)
{
    struct {
        ls_progress progress;
        bool        found;
    } result;
    memset(&result, 0, sizeof result);
    result.progress = x->table.progress;
    result.found    = *found;
    LS_TRY(agree(comm, status));
    if (comm) LS_TRY(ls_comm_bcast(comm, &result, sizeof result, 0));
    *found    = result.found;
    *progress = result.progress;
    return result.found ? read_with_buffer(comm, s, x) : LS_OK;
}

ls_status ls__checkpoint_load(ls_comm *comm, const ls_state *state, const char *folder, ls_progress *progress,
                              bool *found)
{
    bool     root    = !comm || ls_comm_rank(comm) == 0;
    ls_index x       = {.fd = -1};
    *found           = false;
    ls_status status = root ? ls__checkpoint_newest(&x, state, folder, found) : LS_OK;
    status           = distribute(comm, state, status, &x, progress, found);
    ls__index_close(&x);
    return status;
}

static ls_status open_one(ls_index *x, const ls_state *state, const char *checkpoint)
{
    LS_TRY(ls__index_open(x, checkpoint));
    return ls__index_match(x, state);
}

ls_status ls__checkpoint_read(ls_comm *comm, const ls_state *state, const char *checkpoint, ls_progress *progress)
{
    bool      root = !comm || ls_comm_rank(comm) == 0, found = true;
    ls_index  x      = {.fd = -1};
    ls_status status = root ? open_one(&x, state, checkpoint) : LS_OK;
    status           = distribute(comm, state, status, &x, progress, &found);
    ls__index_close(&x);
    return status;
}
