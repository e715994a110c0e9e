/* SPDX-License-Identifier: Apache-2.0
 *
 * How many bytes of gradients are summed at once.  Small buckets are complete early and leave little for the end; each
 * costs a round of messages, for which every rank must find a moment.  So between hosts a few sums of growing size are
 * timed before the first step, and the smallest that reaches nearly the rate of the fastest is taken, but no less than
 * an eighth of all gradients, or 2 MiB.  No bit depends on it.
 */
#include "dist/trainer/trainer_internal.h"

enum {
    LEAST   = 256 << 10,
    SIZES   = 7,
    MOST    = LEAST << (SIZES - 1),
    DEFAULT = 4 << 20,
    ENOUGH  = 2 << 20,
    PARTS   = 8,
    TRIES   = 3,
    LONG_MS = 100
};
#define NEARLY 0.9

/* A rank of one that is simulated (dist/comm/costmodel.h) has its links, too. */
static bool has_links(const ls_comm *c)
{
    bool links = c->table->now && c->size > 1;
    for (int r = 1; c->host && r < c->size; r++) links |= c->host[r] != c->host[0];
    return links;
}

/* Of the slowest rank, the fastest of some; *seconds is the same on all ranks. */
static ls_status time_sum(ls_allreduce *tree, ls_comm *comm, ls_shared_memory *w, double *all, int64_t floats,
                          double *seconds)
{
    *seconds = 0;
    for (int i = 0; i <= TRIES; i++) { /* the first one touches memory, and does not count */
        LS_TRY(ls_comm_barrier(comm));
        double mine = ls__comm_now(comm), slowest = 0;
        LS_TRY(ls__allreduce_allreduce(tree, w->own.data, MOST / sizeof(float), 0, floats));
        mine = ls__comm_now(comm) - mine;
        LS_TRY(ls_comm_allgather(comm, &mine, all, sizeof mine));
        for (int r = 0; r < comm->size; r++) slowest = all[r] > slowest ? all[r] : slowest;
        if (i > 0 && (*seconds == 0 || slowest < *seconds)) *seconds = slowest;
        if (1e3 * slowest > LONG_MS && i > 0) break;
    }
    return LS_OK;
}

/* Sizes up to that of all gradients. */
static ls_status try_sizes(ls_trainer *t, ls_allreduce *tree, ls_shared_memory *w, double *all)
{
    const int64_t whole  = (int64_t)(t->params->grads * sizeof(float)),
                  enough = whole / PARTS < ENOUGH ? whole / PARTS : ENOUGH;
    double rate[SIZES], seconds[SIZES], best = 0;
    int    n = 0, k = 0;
    for (int64_t bytes = LEAST; n < SIZES && (n == 0 || bytes < 2 * whole); bytes *= 2, n++) {
        LS_TRY(time_sum(tree, t->comm, w, all, bytes / (int64_t)sizeof(float), &seconds[n]));
        rate[n] = (double)bytes / seconds[n];
        if (rate[n] > best) best = rate[n];
        if (1e3 * seconds[n] > LONG_MS) {
            n++;
            break;
        }
    }
    while (k < n - 1 && (rate[k] < NEARLY * best || (int64_t)LEAST << k < enough)) k++;
    t->options.bucket_bytes = (int64_t)LEAST << k;
    t->bucket_s             = seconds[k];
    return LS_OK;
}

ls_status ls__trainer_autotune_buckets(ls_trainer *t)
{
    ls_allreduce     *tree   = NULL;
    ls_shared_memory *window = NULL;
    ls_comm          *c      = t->comm;
    t->links                 = has_links(c);
    if (t->options.bucket_bytes) return LS_OK;
    t->options.bucket_bytes = DEFAULT;
    if (!t->links) return LS_OK;
    double   *all    = ls_arena_alloc(t->graph->arena, sizeof *all * (size_t)c->size);
    ls_status status = ls_comm_agree(c, ls__allreduce_new(&tree, c, c->size, 1, MOST / (int64_t)sizeof(float)));
    if (status == LS_OK) status = ls__shared_memory_new(&window, c, t->options.window, MOST, "bucket");
    if (status == LS_OK) status = ls_comm_agree(c, ls__allreduce_share(tree, window, MOST / sizeof(float)));
    if (status == LS_OK) status = try_sizes(t, tree, window, all);
    ls__allreduce_free(tree);
    ls__shared_memory_free(window);
    LS_TRY(status);
    return LS_OK;
}

int64_t ls__trainer_bucket(const ls_trainer *t, double *seconds)
{
    *seconds = t->bucket_s;
    return t->options.bucket_bytes;
}
