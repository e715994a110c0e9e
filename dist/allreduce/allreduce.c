/* SPDX-License-Identifier: Apache-2.0
 *
 * The all-reduce of gradients: see dist/allreduce/allreduce.h.  Selects between one rank, one host and several hosts.
 */
#include "dist/allreduce/allreduce.h"

#include <string.h>

#include "dist/allreduce/allreduce_internode.h"

enum { MAX_SHARDS = 1 << 20 };

struct ls_allreduce {
    ls_arena                    *arena;
    ls_comm                     *comm;
    int64_t                      max_count; /* floats of the largest bucket */
    const ls_allreduce_schedule *schedule;
    ls_intrahost                 intrahost;
    ls_internode                 internode;  /* unused with one host */
    bool                         everywhere; /* a request since the last ls__allreduce_end had `everywhere` */
};

static bool one_rank(const ls_allreduce *a) { return a->comm->size == 1; }
static bool one_host(const ls_allreduce *a) { return a->schedule->hosts == 1; }

/* ---- set-up ------------------------------------------------------------------------------------------------------ */

static ls_status set_up(ls_allreduce *a, ls_shared_memory *shared, int shards, int micro_steps)
{
    const ls_comm *c = a->comm;
    a->schedule = ls__allreduce_schedule_new(a->arena, c->rank, c->size, shared ? c->host : NULL, shards, micro_steps);
    ls__intrahost_init(&a->intrahost, a->arena, a->schedule, shared);
    return ls__internode_init(&a->internode, a->arena, a->comm, &a->intrahost, a->max_count);
}

ls_status ls__allreduce_new(ls_allreduce **out, ls_comm *comm, int shards, int micro_steps, int64_t max_count)
{
    LS_CHECK(shards >= 1 && shards <= MAX_SHARDS, LS_ERR_USAGE, "train.shards: expected 1 to %d, found %d", MAX_SHARDS,
             shards);
    LS_CHECK(micro_steps >= 1 && micro_steps <= shards, LS_ERR_USAGE,
             "train.accumulate: expected 1 to %d micro-steps, because a micro-step takes whole shards of the %d, found "
             "%d" LS_HINT "lower train.accumulate or raise train.shards",
             shards, shards, micro_steps);
    ls_arena *arena;
    LS_TRY(ls_arena_new(&arena, "all-reduce"));
    ls_allreduce *a  = ls_arena_alloc(arena, sizeof *a);
    *a               = (ls_allreduce){.arena = arena, .comm = comm, .max_count = max_count};
    ls_status status = set_up(a, NULL, shards, micro_steps);
    if (status != LS_OK) {
        ls__allreduce_free(a);
        return ls__trace(status, __FILE__, __LINE__, __func__);
    }
    *out = a;
    return LS_OK;
}

void ls__allreduce_free(ls_allreduce *a)
{
    if (!a) return;
    ls__internode_free(&a->internode);
    ls_arena_free(a->arena);
}

ls_status ls__allreduce_use_shared_memory(ls_allreduce *a, ls_shared_memory *shared, size_t stride)
{
    if (!shared->shared) return LS_OK;
    ls__internode_free(&a->internode);
    LS_TRY(set_up(a, shared, a->schedule->shards, a->schedule->micro_steps));
    a->intrahost.stride = stride;
    return LS_OK;
}

ls_status ls__allreduce_set_output(ls_allreduce *a, ls_allreduce_output output, int header_floats)
{
    LS_CHECK(header_floats >= 0 && header_floats <= LS_PARTITION_ALIGN, LS_ERR_FAILED,
             "header: expected at most %d floats, found %d", LS_PARTITION_ALIGN, header_floats);
    a->intrahost.output = output;
    ls__intrahost_set_header(&a->intrahost, a->arena, header_floats);
    ls__internode_set_header(&a->internode, a->arena, header_floats);
    return LS_OK;
}

void ls__allreduce_set_separate_output(ls_allreduce *a, float *output) { a->intrahost.separate = output; }

ls_status ls__allreduce_send_bf16(ls_allreduce *a)
{
    return one_host(a) ? LS_OK : ls__internode_send_bf16(&a->internode);
}

ls_status ls__allreduce_start_thread(ls_allreduce *a) { return ls__internode_start_thread(&a->internode); }

/* ---- properties -------------------------------------------------------------------------------------------------- */

int ls__allreduce_slots(const ls_allreduce *a) { return a->schedule->slots; }

const ls_allreduce_micro_step *ls__allreduce_micro_step(const ls_allreduce *a, int micro_step)
{
    return &a->schedule->micro_step[micro_step];
}

ls_range ls__allreduce_partition(const ls_allreduce *a, int rank, int64_t count)
{
    return ls__allreduce_partition_of(count, rank, a->comm->size);
}

uint64_t ls__allreduce_begun(const ls_allreduce *a)
{
    return one_host(a) ? a->intrahost.queue_end : a->internode.queue_end;
}

float *ls__allreduce_output(const ls_allreduce *a) { return ls__intrahost_output(&a->intrahost); }
float *ls__allreduce_everywhere(const ls_allreduce *a) { return a->intrahost.block[0]; }

const float *ls__allreduce_header(const ls_allreduce *a) { return a->intrahost.header_sum; }

/* ---- one step ---------------------------------------------------------------------------------------------------- */

void ls__allreduce_merge(const ls_allreduce *a, int micro_step, float *block0, size_t stride, int64_t count)
{
    ls__merge_blocks(&a->schedule->micro_step[micro_step], block0, stride, (ls_range){0, count});
}

static ls_status set_blocks(ls_allreduce *a, float *block0, size_t stride)
{
    const ls_shared_memory *shared = a->intrahost.shared;
    LS_CHECK(!shared || (block0 == shared->own.data && stride == a->intrahost.stride), LS_ERR_FAILED,
             "the blocks are not in the memory given to ls__allreduce_use_shared_memory");
    if (one_host(a))
        ls__intrahost_set_blocks(&a->intrahost, block0, stride);
    else
        ls__internode_set_blocks(&a->internode, block0, stride);
    return LS_OK;
}

/* One rank: block 0 already holds the sum; only the addend is missing. */
static void reduce_one_rank(ls_allreduce *a, const ls_allreduce_request *r, bool with_header)
{
    ls_intrahost  *h    = &a->intrahost;
    ls_output_step last = {.output = h->block[0] + r->range.offset, .addend = ls__intrahost_addend_at(h, r, 0)};
    if (with_header) memcpy(h->header_sum, h->block[0], (size_t)h->header_floats * sizeof(float));
    ls__add_vectors(r->range.count, 0, NULL, NULL, &last);
}

ls_status ls__allreduce_begin(ls_allreduce *a, float *block0, size_t stride, const ls_allreduce_request *request)
{
    ls_allreduce_request r = *request;
    ls__merge_blocks(&a->schedule->micro_step[a->schedule->micro_steps - 1], block0, stride, r.range);
    LS_TRY(set_blocks(a, block0, stride));
    a->everywhere |= r.everywhere;
    bool with_header = a->intrahost.header_floats && r.range.offset == 0;
    if (with_header) {
        r.range.offset = LS_PARTITION_ALIGN;
        r.range.count  = r.range.count > LS_PARTITION_ALIGN ? r.range.count - LS_PARTITION_ALIGN : 0;
    }
    if (one_rank(a)) {
        reduce_one_rank(a, &r, with_header);
        return LS_OK;
    }
    if (one_host(a)) return ls__intrahost_begin(&a->intrahost, &r, with_header);
    ls_internode_entry e = {.request = r, .with_header = with_header};
    if (a->intrahost.shared) e.ticket = ls__shared_memory_arrive(a->intrahost.shared);
    return ls__internode_begin(&a->internode, &e);
}

ls_status ls__allreduce_poll(ls_allreduce *a)
{
    bool moved = false;
    if (one_rank(a) || a->internode.threaded || a->comm->broken) return LS_OK;
    return one_host(a) ? ls__intrahost_advance(&a->intrahost) : ls__internode_advance(&a->internode, &moved);
}

ls_status ls__allreduce_end(ls_allreduce *a)
{
    ls_shared_memory *shared = a->intrahost.shared;
    if (one_host(a))
        LS_TRY(ls__intrahost_finish(&a->intrahost, a->intrahost.queue_end));
    else
        LS_TRY(ls__internode_finish(&a->internode));
    const bool everywhere = a->everywhere;
    a->everywhere         = false;
    if (!shared) return LS_OK;
    /* Other members write parts of the output that this rank reads. */
    if (a->intrahost.output != LS_ALLREDUCE_PARTITIONED || everywhere) LS_TRY(ls__shared_memory_barrier(shared));
    ls__shared_memory_settle(shared);
    return LS_OK;
}

ls_status ls__allreduce_run(ls_allreduce *a, float *block0, size_t stride, const ls_allreduce_request *request)
{
    LS_TRY(ls__allreduce_begin(a, block0, stride, request));
    LS_TRY(ls__allreduce_end(a));
    return LS_OK;
}

ls_status ls__allreduce_wait_read(ls_allreduce *a, uint64_t number)
{
    if (one_rank(a)) return LS_OK;
    if (!one_host(a)) return ls__internode_wait_read(&a->internode, number);
    LS_TRY(ls__intrahost_finish(&a->intrahost, number));
    return ls__shared_memory_wait_done(a->intrahost.shared, (uint32_t)number);
}

ls_status ls__allreduce_gather(ls_allreduce *a, float *base, ls_range bucket)
{
    if (one_host(a) || a->intrahost.output != LS_ALLREDUCE_PARTITIONED || !bucket.count) return LS_OK;
    return ls__internode_begin(&a->internode,
                               &(ls_internode_entry){.request.range = bucket, .gather_base = base + bucket.offset});
}

ls_status ls__allreduce_release(ls_allreduce *a)
{
    if (!one_host(a)) LS_TRY(ls__internode_finish(&a->internode));
    if (a->intrahost.shared) LS_TRY(ls__shared_memory_barrier(a->intrahost.shared));
    return LS_OK;
}
