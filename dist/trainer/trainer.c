/* SPDX-License-Identifier: Apache-2.0
 *
 * One data-parallel step.  The program of a step is forward, loss, backward, and between the backward instructions, as
 * soon as a bucket of gradients is complete, its sum over all ranks; then the update.  The loss, the weight it is
 * divided by and the hits travel in the header of the gradient block, with its first range: every rank sees the same
 * numbers and takes the same decisions.  With them goes the word of each rank (dist/trainer/trainer.h): whether it has
 * failed, and what it votes for.
 *
 * Gradients are sums; they are divided once, in the update, by the weight of the whole batch.
 */
#include "dist/trainer/trainer_internal.h"

#include <math.h>

#include "dist/allreduce/bucket_autotune.h"

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
    LS_TRY(ls__bucket_autotune(t->comm, t->options.window, (int64_t)(t->params->grads * sizeof(float)), t->graph->arena,
                               &t->options.bucket_bytes, &t->bucket_s));
    return LS_OK;
}

int64_t ls__trainer_bucket(const ls_trainer *t, double *seconds)
{
    *seconds = t->bucket_s;
    return t->options.bucket_bytes;
}

ls_status ls__trainer_new(ls_trainer **out, ls_graph *g, ls_tensor *loss, const ls_trainer_options *options)
{
    LS_TRY(ls_graph_status(g));
    LS_CHECK(loss, LS_ERR_USAGE, "the loss is NULL");
    ls_trainer *t = ls_arena_alloc(g->arena, sizeof *t);
    *t            = (ls_trainer){.graph = g, .loss = loss, .options = *options, .comm = options->comm};
    if (!t->comm) {
        LS_TRY(ls_comm_self(&t->comm));
        t->own_comm = true;
    }
    ls_status status = ls__trainer_check_options(t);
    if (status == LS_OK) {
        status = ls__trainer_lay_out(t);
        if (t->comm->host) status = ls_comm_agree(t->comm, status);
        if (status == LS_OK) status = choose_bucket_bytes(t);
        if (status == LS_OK) status = ls__trainer_build(t);
        if (t->comm->host) status = ls_comm_agree(t->comm, status); /* what follows is done by all ranks or none */
        if (status == LS_OK) status = ls__trainer_make_memory(t);
    }
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
    ls__allreduce_free(t->train.tree);
    ls__allreduce_free(t->eval.tree);
    ls_shared_memory *windows[] = {t->train.window, t->eval.window, t->values};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) ls__shared_memory_free(windows[i]);
    ls_block *blocks[] = {&t->states, &t->totals, &t->arena, &t->snapshot};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) ls_block_free(blocks[i]);
    if (t->own_comm) ls_comm_free(t->comm);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

ls_batch_partition ls_trainer_share(const ls_trainer *t, int64_t global_rows)
{
    return ls_batch_partition_of(global_rows, t->options.shards, ls_comm_size(t->comm), ls_comm_rank(t->comm));
}

static ls_status check_batch(const ls_trainer *t, const ls_batch *batch, int64_t most)
{
    LS_CHECK(batch, LS_ERR_USAGE, "expected a batch, found NULL");
    ls_batch_partition share = ls_trainer_share(t, batch->global_rows);
    LS_CHECK(batch->global_rows >= 1 && batch->global_rows <= most, LS_ERR_USAGE,
             "a global batch of %lld samples, expected 1 to %lld", (long long)batch->global_rows, (long long)most);
    LS_CHECK(batch->first == share.first && batch->rows == share.rows, LS_ERR_USAGE,
             "this rank got the samples [%lld, %lld) of the batch, but its share is [%lld, %lld)" LS_HINT
             "ask ls_trainer_share",
             (long long)batch->first, (long long)(batch->first + batch->rows), (long long)share.first,
             (long long)(share.first + share.rows));
    return LS_OK;
}

/* A rank without a batch (NULL) computes nothing. */
static ls_status run_phase(ls_trainer *t, phase *ph, const ls_batch *batch, bool training)
{
    static const ls_batch none;
    const bool            idle = !batch;
    if (idle) batch = &none;
    for (int m = 0; m < ph->micros; m++) {
        const ls_allreduce_micro_step *s     = ls__allreduce_micro_step(ph->tree, m);
        int64_t                        first = ls_shard_first(batch->global_rows, t->options.shards, s->first_shard);
        for (int k = 0; k <= s->shards; k++)
            t->bound[k] = ls_shard_first(batch->global_rows, t->options.shards, s->first_shard + k) - first;
        for (int k = 0; k < s->groups; k++)
            t->group[k] = (ls_group){.first  = s->group[k].first,
                                     .shards = s->group[k].shards,
                                     .offset = (size_t)s->group[k].slot * ph->stride};
        ph->run = (ls_execution){.batch        = batch,
                                 .skip         = first - batch->first,
                                 .rows         = t->bound[s->shards],
                                 .shards       = s->shards,
                                 .bound        = t->bound,
                                 .groups       = s->groups,
                                 .group        = t->group,
                                 .grads        = ph->grads,
                                 .training     = training,
                                 .idle         = idle,
                                 .seed         = t->options.seed,
                                 .step         = t->steps,
                                 .first_sample = first,
                                 .micro        = m,
                                 .micros       = ph->micros,
                                 .seconds      = training ? t->seconds : NULL,
                                 .flight       = t->comm->flight,
                                 .poller       = training && t->poller.call ? &t->poller : NULL};
        LS_TRY(ls__program_run(ph->program, &ph->run));
        if (m < ph->micros - 1) ls__allreduce_merge(ph->tree, m, ph->grads, ph->stride, (int64_t)ph->stride);
    }
    return LS_OK;
}

ls_status ls__trainer_step(ls_trainer *t, const ls_batch *batch, const ls_step_flags *mine, ls_tally *all,
                           ls_metrics *metrics)
{
    t->word = *mine;
    t->told = (ls_tally){0};
    if (t->word.status == LS_OK) t->word.status = check_batch(t, batch, t->options.batch);
    ls_status status = run_phase(t, &t->train, t->word.status == LS_OK ? batch : NULL, true);
    *all             = t->told;
    LS_TRY(status);
    if (t->told.failed) return ls_comm_agree(t->comm, t->word.status);
    t->metrics.step = ++t->steps;
    if (t->options.check_every && t->steps % t->options.check_every == 0) LS_TRY(ls__trainer_check_replicas(t));
    if (metrics) *metrics = t->metrics;
    return LS_OK;
}

ls_status ls_trainer_step(ls_trainer *t, const ls_batch *batch, ls_metrics *metrics)
{
    ls_tally all;
    return ls__trainer_step(t, batch, &(ls_step_flags){0}, &all, metrics);
}

ls_status ls_trainer_eval(ls_trainer *t, const ls_batch *batch, ls_metrics *metrics)
{
    LS_TRY(check_batch(t, batch, t->options.eval_batch ? t->options.eval_batch : t->options.batch));
    LS_TRY(run_phase(t, &t->eval, batch, false));
    *metrics = (ls_metrics){.step = t->steps, .grad_norm = NAN};
    ls__trainer_read_head(metrics, ls__allreduce_header(t->eval.tree));
    LS_TRY(ls__allreduce_release(t->eval.tree));
    return LS_OK;
}

/* ---- what others see --------------------------------------------------------------------------------------------- */

ls_params *ls_trainer_params(ls_trainer *t) { return t->params; }
uint64_t   ls_trainer_digest(const ls_trainer *t) { return ls_params_digest(t->params); }
int64_t    ls_trainer_steps(const ls_trainer *t) { return t->steps; }
void       ls__trainer_set_steps(ls_trainer *t, int64_t steps) { t->steps = steps; }
ls_comm   *ls__trainer_comm(const ls_trainer *t) { return t->comm; }

const ls_block *ls__trainer_snapshot(const ls_trainer *t) { return &t->snapshot; }

const ls_program *ls__trainer_program(const ls_trainer *t) { return t->train.program; }
void              ls__trainer_time(ls_trainer *t, double *seconds) { t->seconds = seconds; }
