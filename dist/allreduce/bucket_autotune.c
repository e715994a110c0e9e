/* SPDX-License-Identifier: Apache-2.0
 *
 * Measures which bucket size is good between hosts: see dist/allreduce/bucket_autotune.h.
 */
#include "dist/allreduce/bucket_autotune.h"

#include "dist/allreduce/allreduce.h"

enum {
    MIN_BYTES      = 256 << 10, /* smallest size tried; each further size is twice the one before */
    SIZES          = 7,
    MAX_BYTES      = MIN_BYTES << (SIZES - 1),
    DEFAULT_BYTES  = 4 << 20,
    FLOOR_BYTES    = 2 << 20, /* a result is at least this, */
    FLOOR_FRACTION = 8,       /* or this fraction of the gradient, whichever is less */
    REPETITIONS    = 3,
    TIME_LIMIT_MS  = 100 /* no larger size and no repetition after a sum that takes longer */
};
#define MIN_RELATIVE_RATE 0.9

typedef struct trial {
    ls_comm          *comm;
    ls_allreduce     *allreduce;
    ls_shared_memory *memory;
    double           *seconds_of_rank;
} trial;

bool ls__comm_has_links(const ls_comm *c)
{
    bool links = c->table->now && c->size > 1;
    for (int r = 1; c->host && r < c->size; r++) links |= c->host[r] != c->host[0];
    return links;
}

/* Times a sum of `floats`: the slowest rank of each repetition, the fastest repetition.  Equal on all ranks. */
static ls_status time_sum(const trial *t, int64_t floats, double *seconds)
{
    *seconds = 0;
    for (int i = 0; i <= REPETITIONS; i++) { /* repetition 0 touches the memory and does not count */
        LS_TRY(ls_comm_barrier(t->comm));
        double own = ls__comm_now(t->comm), slowest = 0;
        LS_TRY(ls__allreduce_run(t->allreduce, t->memory->own.data, MAX_BYTES / sizeof(float),
                                 &(ls_allreduce_request){.range = {0, floats}}));
        own = ls__comm_now(t->comm) - own;
        LS_TRY(ls_comm_allgather(t->comm, &own, t->seconds_of_rank, sizeof own));
        for (int r = 0; r < t->comm->size; r++)
            if (t->seconds_of_rank[r] > slowest) slowest = t->seconds_of_rank[r];
        if (i > 0 && (*seconds == 0 || slowest < *seconds)) *seconds = slowest;
        if (1e3 * slowest > TIME_LIMIT_MS && i > 0) break;
    }
    return LS_OK;
}

static ls_status try_sizes(const trial *t, int64_t gradient_bytes, int64_t *bucket_bytes, double *bucket_seconds)
{
    const int64_t fraction = gradient_bytes / FLOOR_FRACTION, floor = fraction < FLOOR_BYTES ? fraction : FLOOR_BYTES;
    double        rate[SIZES], seconds[SIZES], best = 0;
    int           n = 0, k = 0;
    for (int64_t bytes = MIN_BYTES; n < SIZES && (n == 0 || bytes < 2 * gradient_bytes); bytes *= 2) {
        LS_TRY(time_sum(t, bytes / (int64_t)sizeof(float), &seconds[n]));
        rate[n] = (double)bytes / seconds[n];
        if (rate[n] > best) best = rate[n];
        if (1e3 * seconds[n++] > TIME_LIMIT_MS) break;
    }
    while (k < n - 1 && (rate[k] < MIN_RELATIVE_RATE * best || (int64_t)MIN_BYTES << k < floor)) k++;
    *bucket_bytes   = (int64_t)MIN_BYTES << k;
    *bucket_seconds = seconds[k];
    return LS_OK;
}

ls_status ls__bucket_autotune(ls_comm *c, ls_shared_memory_mode mode, int64_t gradient_bytes, ls_arena *arena,
                              int64_t *bucket_bytes, double *seconds)
{
    trial t       = {.comm = c};
    *bucket_bytes = DEFAULT_BYTES;
    *seconds      = 0;
    if (!ls__comm_has_links(c)) return LS_OK;
    t.seconds_of_rank = ls_arena_alloc(arena, sizeof *t.seconds_of_rank * (size_t)c->size);
    ls_status status =
        ls_comm_agree(c, ls__allreduce_new(&t.allreduce, c, c->size, 1, MAX_BYTES / (int64_t)sizeof(float)));
    if (status == LS_OK) status = ls__shared_memory_new(&t.memory, c, mode, MAX_BYTES, "bucket");
    if (status == LS_OK)
        status = ls_comm_agree(c, ls__allreduce_use_shared_memory(t.allreduce, t.memory, MAX_BYTES / sizeof(float)));
    if (status == LS_OK) status = try_sizes(&t, gradient_bytes, bucket_bytes, seconds);
    ls__allreduce_free(t.allreduce);
    ls__shared_memory_free(t.memory);
    LS_TRY(status);
    return LS_OK;
}
