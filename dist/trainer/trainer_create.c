/* SPDX-License-Identifier: Apache-2.0
 *
 * Creates and frees a trainer.
 */
#include "dist/allreduce/bucket_autotune.h"
#include "dist/trainer/trainer_internal.h"

int ls_default_shards(int64_t batch)
{
    int shards = batch >= 128 ? 16 : 8;
    while (shards > 1 && shards > batch) shards /= 2;
    return shards;
}

static ls_status choose_bucket_bytes(ls_trainer *t)
{
    t->links = ls__comm_has_links(t->comm);
    if (t->options.bucket_bytes) return LS_OK;
    return ls__bucket_autotune(t->comm, t->options.shared_memory, (int64_t)(t->params->grads * sizeof(float)), t->arena,
                               &t->options.bucket_bytes, &t->bucket_seconds);
}

/* Errors of one rank become errors of all before each collective part. */
static ls_status create(ls_trainer *t)
{
    LS_TRY(ls__trainer_check_options(t));
    ls_status status = ls__trainer_lay_out(t);
    if (t->comm->host) status = ls_comm_agree(t->comm, status);
    LS_TRY(status);
    LS_TRY(choose_bucket_bytes(t));
    status = ls__trainer_build(t);
    if (t->comm->host) status = ls_comm_agree(t->comm, status);
    LS_TRY(status);
    LS_TRY(ls__trainer_check_memory(t));
    return ls__trainer_make_memory(t);
}

ls_status ls__trainer_new(ls_trainer **out, ls_graph *g, ls_tensor *loss, const ls_trainer_options *options)
{
    ls_trainer_options o = {0};
    ls_arena          *arena;
    LS_TRY(ls_graph_status(g));
    LS_CHECK(loss, LS_ERR_USAGE, "ls_trainer_new: expected a loss, found NULL");
    LS_TRY(ls__options_copy(&o, sizeof o, options, "ls_trainer_options"));
    LS_TRY(ls_arena_new(&arena, "trainer"));
    ls_trainer *t    = ls_arena_alloc(arena, sizeof *t);
    *t               = (ls_trainer){.arena = arena, .graph = g, .loss = loss, .options = o, .comm = o.comm};
    ls_status status = LS_OK;
    if (!t->comm) {
        status      = ls_comm_self(&t->comm);
        t->own_comm = status == LS_OK;
    }
    if (status == LS_OK) status = create(t);
    if (status != LS_OK) {
        ls_trainer_free(t);
        return status;
    }
    *out = t;
    return LS_OK;
}

void ls_trainer_free(ls_trainer *t)
{
    if (!t) return;
    ls__program_free(t->train.program);
    ls__program_free(t->eval.program);
    ls__allreduce_free(t->train.allreduce);
    ls__allreduce_free(t->eval.allreduce);
    ls__shared_memory_free(t->train.memory);
    ls__shared_memory_free(t->eval.memory);
    ls__shared_memory_free(t->values);
    ls__shared_memory_free(t->copy);
    ls__shared_memory_free(t->directions);
    ls_block_free(&t->state_block);
    ls_block_free(&t->orthogonal);
    ls_block_free(&t->summed_gradient);
    ls_block_free(&t->arena_block);
    ls_block_free(&t->snapshot);
    if (t->own_comm) ls_comm_free(t->comm);
    ls_arena_free(t->arena);
}
