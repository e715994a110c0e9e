/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether all ranks still have the same parameters.  They compute the same things, so they must; a memory error or a
 * processor that counts wrong makes one of them drift away from the others, and nothing else would show it.  Ranks that
 * share the memory of their parameters speak with one voice.
 */
#include <stdio.h>
#include <string.h>

#include "dist/trainer/trainer_internal.h"

enum {
    SILENT = 0
}; /* says who shares another rank's parameters; no digest is it but by an accident that costs a comparison */

static bool speaks(const ls_trainer *t, int rank) { return !t->values->shared || t->comm->host[rank] == rank; }

/* The value that most have; of two with as many, that of the lower rank. */
static uint64_t most_common(const ls_trainer *t, const uint64_t *all, size_t stride)
{
    int      most = 0;
    uint64_t best = SILENT;
    for (int r = 0; r < ls_comm_size(t->comm); r++) {
        int same = 0;
        for (int k = 0; k < ls_comm_size(t->comm); k++)
            same += speaks(t, k) && all[(size_t)k * stride] == all[(size_t)r * stride];
        if (speaks(t, r) && same > most) most = same, best = all[(size_t)r * stride];
    }
    return best;
}

/* "1, 5, 6" of the ranks whose value is another. */
static int list_others(const ls_trainer *t, const uint64_t *all, size_t stride, char *text, size_t room)
{
    uint64_t right = most_common(t, all, stride);
    size_t   used  = 0;
    int      n     = 0;
    text[0]        = 0;
    for (int r = 0; r < ls_comm_size(t->comm); r++) {
        if (!speaks(t, r) || all[(size_t)r * stride] == right) continue;
        n++;
        if (used + 16 < room) used += (size_t)snprintf(text + used, room - used, "%s%d", n > 1 ? ", " : "", r);
    }
    return n;
}

static ls_status find_param(ls_trainer *t, ls_arena *memory)
{
    const ls_params *p    = t->params;
    size_t           n    = (size_t)p->count;
    uint64_t        *mine = ls_arena_alloc(memory, n * sizeof *mine),
             *all         = ls_arena_alloc(memory, n * (size_t)ls_comm_size(t->comm) * sizeof *all);
    char ranks[256];
    for (int i = 0; i < p->count; i++) mine[i] = ls__param_digest(p, i);
    LS_TRY(ls_comm_allgather(t->comm, mine, all, n * sizeof *mine));
    for (int i = 0; i < p->count; i++) {
        int others = list_others(t, all + i, n, ranks, sizeof ranks);
        if (others == 0) continue;
        return LS_FAIL(LS_ERR_ENV,
                       "after step %lld the ranks have different parameters: of '%s', the first, rank%s %s ha%s other "
                       "values than the rest" LS_HINT "look for memory errors on that host (dmesg, edac-util); the run "
                       "can be continued from its newest checkpoint",
                       (long long)t->steps, p->slot[i].tensor->name, others > 1 ? "s" : "", ranks,
                       others > 1 ? "ve" : "s");
    }
    return LS_OK;
}

ls_status ls__trainer_check_replicas(ls_trainer *t)
{
    int ranks = ls_comm_size(t->comm), voices = 0;
    for (int r = 0; r < ranks; r++) voices += speaks(t, r);
    if (voices < 2) return LS_OK;
    ls_arena *memory;
    LS_TRY(ls_comm_agree(t->comm, ls_arena_new(&memory, "compare")));
    uint64_t mine = speaks(t, ls_comm_rank(t->comm)) ? ls_params_digest(t->params) : SILENT,
             *all = ls_arena_alloc(memory, (size_t)ranks * sizeof *all);
    char      text[256];
    ls_status status = ls_comm_allgather(t->comm, &mine, all, sizeof mine);
    if (status == LS_OK && list_others(t, all, 1, text, sizeof text) > 0) status = find_param(t, memory);
    ls_arena_free(memory);
    LS_TRY(status);
    return LS_OK;
}
