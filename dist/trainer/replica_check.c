/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks that all ranks still have the same parameters.  All ranks compute the same update, so a difference means a
 * memory error or a faulty processor, which nothing else would reveal.  Ranks that share the memory of their parameters
 * count as one replica, represented by the lowest rank of the host.
 */
#include <stdio.h>
#include <string.h>

#include "dist/trainer/trainer_internal.h"

/* Sent by ranks that represent no replica.  A replica whose digest is 0 by chance only costs a second comparison. */
enum { NO_DIGEST = 0 };

static bool is_replica(const ls_trainer *t, int rank) { return !t->values->shared || t->comm->host[rank] == rank; }

/* The digest that most replicas have; among equally frequent ones, that of the lowest rank. */
static uint64_t most_frequent(const ls_trainer *t, const uint64_t *all, size_t stride)
{
    int      max_count = 0;
    uint64_t result    = NO_DIGEST;
    for (int r = 0; r < ls_comm_size(t->comm); r++) {
        int count = 0;
        for (int k = 0; k < ls_comm_size(t->comm); k++)
            count += is_replica(t, k) && all[(size_t)k * stride] == all[(size_t)r * stride];
        if (!is_replica(t, r) || count <= max_count) continue;
        max_count = count;
        result    = all[(size_t)r * stride];
    }
    return result;
}

/* Writes the ranks whose digest differs from the most frequent one, as "1, 5, 6"; returns their number. */
static int list_different(const ls_trainer *t, const uint64_t *all, size_t stride, char *text, size_t room)
{
    uint64_t expected = most_frequent(t, all, stride);
    size_t   used     = 0;
    int      n        = 0;
    text[0]           = 0;
    for (int r = 0; r < ls_comm_size(t->comm); r++) {
        if (!is_replica(t, r) || all[(size_t)r * stride] == expected) continue;
        n++;
        if (used + 16 < room) used += (size_t)snprintf(text + used, room - used, "%s%d", n > 1 ? ", " : "", r);
    }
    return n;
}

/* Finds the first parameter that differs.  Collective. */
static ls_status find_param(ls_trainer *t, ls_arena *arena)
{
    const ls_params *p   = t->params;
    size_t           n   = (size_t)p->count;
    uint64_t        *own = ls_arena_alloc(arena, n * sizeof *own);
    uint64_t        *all = ls_arena_alloc(arena, n * (size_t)ls_comm_size(t->comm) * sizeof *all);
    char             ranks[256];
    for (int i = 0; i < p->count; i++) own[i] = ls__param_digest(p, i);
    LS_TRY(ls_comm_allgather(t->comm, own, all, n * sizeof *own));
    for (int i = 0; i < p->count; i++) {
        int different = list_different(t, all + i, n, ranks, sizeof ranks);
        if (different == 0) continue;
        return LS_FAIL(LS_ERR_ENV,
                       "parameter '%s': after step %lld rank%s %s ha%s other values than the rest; it is the first "
                       "parameter that differs" LS_HINT "look for memory errors on that host (dmesg, edac-util); the "
                       "run can be continued from its newest checkpoint",
                       p->slot[i].tensor->name, (long long)t->steps, different > 1 ? "s" : "", ranks,
                       different > 1 ? "ve" : "s");
    }
    return LS_OK;
}

ls_status ls__trainer_check_replicas(ls_trainer *t)
{
    int ranks = ls_comm_size(t->comm), replicas = 0;
    for (int r = 0; r < ranks; r++) replicas += is_replica(t, r);
    if (replicas < 2) return LS_OK;
    ls_arena *arena;
    LS_TRY(ls_comm_agree(t->comm, ls_arena_new(&arena, "replica check")));
    uint64_t  own = is_replica(t, ls_comm_rank(t->comm)) ? ls_params_digest(t->params) : NO_DIGEST;
    uint64_t *all = ls_arena_alloc(arena, (size_t)ranks * sizeof *all);
    char      text[256];
    ls_status status = ls_comm_allgather(t->comm, &own, all, sizeof own);
    if (status == LS_OK && list_different(t, all, 1, text, sizeof text) > 0) status = find_param(t, arena);
    ls_arena_free(arena);
    LS_TRY(status);
    return LS_OK;
}
