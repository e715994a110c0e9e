/* SPDX-License-Identifier: Apache-2.0
 *
 * Fits the planned memory of a trainer into options.memory: the step arena has what all other memory leaves, and the
 * program of a step recomputes values until its arena fits (core/graph/recompute.c).  The bits do not change.
 */
#include <string.h>

#include "core/base/format_text.h"
#include "core/optim/optim_rule.h"
#include "dist/trainer/trainer_internal.h"

size_t ls__trainer_gradient_bytes(const phase *ph)
{
    return (size_t)ls__allreduce_slots(ph->allreduce) * ph->stride * sizeof(float);
}

/* Upper limit of the bytes of this rank apart from the step arena, as ls__trainer_memory counts them.  The parameters
 * count on every rank, so that all ranks recompute the same values. */
static size_t other_bytes(const ls_trainer *t)
{
    const ls_comm *c       = t->comm;
    const size_t   values  = t->params->floats * sizeof(float);
    size_t         state   = 0;
    int            divisor = 1;
    for (int k = 0; k < t->states; k++)
        for (int i = 0; i < t->optim_ranges; i++)
            if (ls__optim_has_state(&t->options.optim, k, t->optim_range[i].rows > 0))
                state += (size_t)t->optim_range[i].range.count * sizeof(float);
    if (t->output == LS_ALLREDUCE_PARTITIONED) {
        divisor = c->size;
    } else if (c->host && t->options.shared_memory != LS_SHARED_MEMORY_OFF) {
        divisor = 0;
        for (int r = 0; r < c->size; r++) divisor += c->host[r] == c->host[c->rank];
    }
    state        = state / (size_t)divisor + (size_t)t->states * (size_t)t->buckets * LS_PARAM_ALIGN * sizeof(float);
    size_t bytes = values + state + ls__trainer_gradient_bytes(&t->train) + ls__trainer_gradient_bytes(&t->eval) +
                   t->train.program->state_bytes + t->eval.program->state_bytes + ls__trainer_matrix_bytes(t);
    if (t->graph->precision == LS_BF16) bytes += values / 2;
    if (t->zero2) bytes += (size_t)ls__trainer_largest_partition(t) * sizeof(float);
    if (t->options.snapshot) bytes += values / (size_t)c->size + state;
    return bytes;
}

ls_status ls__trainer_fit_memory(ls_trainer *t)
{
    enum { TRIES = 4 }; /* collectives change a plan a little */
    const size_t budget = (size_t)t->options.memory, eval = t->eval.program->arena_bytes;
    size_t       limit = 0, least = SIZE_MAX;
    for (int i = 0; budget && i < TRIES; i++) {
        const size_t train = t->train.program->arena_bytes, other = other_bytes(t), arena = train > eval ? train : eval;
        const size_t room = budget > other ? budget - other : 0;
        least             = other + arena < least ? other + arena : least;
        if (arena <= room) return LS_OK;
        if (i && (eval > room || train > limit || train - room >= limit)) break;
        limit = i ? limit - (train - room) : room > 1 ? room : 1; /* without room: the least arena */
        LS_TRY(ls__trainer_build_step(t, limit));
    }
    t->least_memory = budget ? (int64_t)least : 0;
    return LS_OK;
}

ls_status ls__trainer_check_memory(ls_trainer *t)
{
    const int ranks = ls_comm_size(t->comm);
    int64_t  *all = ls_arena_alloc(t->arena, (size_t)ranks * sizeof *all), most = t->least_memory;
    if (!t->options.memory) return LS_OK;
    memset(all, 0, (size_t)ranks * sizeof *all); /* the cost model does not write them */
    LS_TRY(ls_comm_allgather(t->comm, &t->least_memory, all, sizeof *all));
    for (int r = 0; r < ranks; r++) most = all[r] > most ? all[r] : most;
    LS_CHECK(!most, LS_ERR_USAGE,
             "train.memory: expected at least %lld bytes (%s), which a rank needs with all useful recomputation, found "
             "%lld" LS_HINT
             "use more ranks with train.zero=1, train.accumulate, a smaller train.batch or eval.batch, or "
             "train.precision=bfloat16",
             (long long)most, ls__bytes_text((double)most), (long long)t->options.memory);
    return LS_OK;
}
