/* SPDX-License-Identifier: Apache-2.0
 *
 * One data-parallel step, and one evaluation.  The program of a step is forward, loss, backward, and then the update.
 * Between the backward instructions, as soon as a bucket of gradients is complete, its all-reduce over all ranks
 * begins.
 *
 * Loss, its weight and the number of correct targets travel in the header of the gradient block, so every rank sees the
 * same numbers and takes the same decisions.  The header also carries the step flags of each rank
 * (dist/trainer/trainer.h).  Gradients are sums over samples; the update divides them once by the weight of the whole
 * batch.
 */
#include <math.h>

#include "dist/trainer/trainer_internal.h"

ls_batch_partition ls_trainer_share(const ls_trainer *t, int64_t global_rows)
{
    return ls_batch_partition_of(global_rows, t->options.shards, ls_comm_size(t->comm), ls_comm_rank(t->comm));
}

static ls_status check_batch(const ls_trainer *t, const ls_batch *batch, int64_t max_rows)
{
    LS_CHECK(batch, LS_ERR_USAGE, "batch of rank %d: expected samples, found NULL", ls_comm_rank(t->comm));
    ls_batch_partition share = ls_trainer_share(t, batch->global_rows);
    LS_CHECK(batch->global_rows >= 1 && batch->global_rows <= max_rows, LS_ERR_USAGE,
             "global batch: expected 1 to %lld samples, found %lld", (long long)max_rows,
             (long long)batch->global_rows);
    LS_CHECK(batch->first == share.first && batch->rows == share.rows, LS_ERR_USAGE,
             "batch of rank %d: expected samples [%lld, %lld) of the global batch, found [%lld, %lld)" LS_HINT
             "ls_trainer_share returns the samples of a rank",
             ls_comm_rank(t->comm), (long long)share.first, (long long)(share.first + share.rows),
             (long long)batch->first, (long long)(batch->first + batch->rows));
    return LS_OK;
}

/* Executes all micro-steps.  batch NULL: computes nothing, but executes the collectives. */
static ls_status run_phase(ls_trainer *t, phase *ph, const ls_batch *batch, bool training)
{
    static const ls_batch none;
    const bool            idle = !batch;
    if (idle) batch = &none;
    for (int m = 0; m < ph->micros; m++) {
        const ls_allreduce_micro_step *s     = ls__allreduce_micro_step(ph->allreduce, m);
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
                                 .sums         = ph->grads,
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
        if (m < ph->micros - 1) ls__allreduce_merge(ph->allreduce, m, ph->grads, ph->stride, (int64_t)ph->stride);
    }
    return LS_OK;
}

ls_status ls__trainer_step(ls_trainer *t, const ls_batch *batch, const ls_step_flags *flags,
                           ls_step_flag_counts *counts, ls_metrics *metrics)
{
    t->flags  = *flags;
    t->counts = (ls_step_flag_counts){0};
    if (t->flags.status == LS_OK) t->flags.status = check_batch(t, batch, t->options.batch);
    ls_status status = run_phase(t, &t->train, t->flags.status == LS_OK ? batch : NULL, true);
    *counts          = t->counts;
    LS_TRY(status);
    if (t->counts.failed) return ls_comm_agree(t->comm, t->flags.status);
    t->metrics.step = ++t->steps;
    if (t->options.check_every && t->steps % t->options.check_every == 0) LS_TRY(ls__trainer_check_replicas(t));
    if (metrics) *metrics = t->metrics;
    return LS_OK;
}

ls_status ls_trainer_step(ls_trainer *t, const ls_batch *batch, ls_metrics *metrics)
{
    ls_step_flag_counts counts;
    return ls__trainer_step(t, batch, &(ls_step_flags){0}, &counts, metrics);
}

ls_status ls_trainer_eval(ls_trainer *t, const ls_batch *batch, ls_metrics *metrics)
{
    LS_TRY(check_batch(t, batch, t->options.eval_batch ? t->options.eval_batch : t->options.batch));
    LS_TRY(run_phase(t, &t->eval, batch, false));
    *metrics = (ls_metrics){.step = t->steps, .grad_norm = NAN};
    ls__trainer_read_header(metrics, ls__allreduce_header(t->eval.allreduce));
    LS_TRY(ls__allreduce_release(t->eval.allreduce));
    return LS_OK;
}

/* ---- properties -------------------------------------------------------------------------------------------------- */

ls_params *ls_trainer_params(ls_trainer *t) { return t->params; }
uint64_t   ls_trainer_digest(const ls_trainer *t) { return ls_params_digest(t->params); }
int64_t    ls_trainer_steps(const ls_trainer *t) { return t->steps; }
void       ls__trainer_set_steps(ls_trainer *t, int64_t steps) { t->steps = steps; }
ls_comm   *ls__trainer_comm(const ls_trainer *t) { return t->comm; }

const ls_program *ls__trainer_program(const ls_trainer *t) { return t->train.program; }
void              ls__trainer_time(ls_trainer *t, double *seconds) { t->seconds = seconds; }

int64_t ls__trainer_bucket(const ls_trainer *t, double *seconds)
{
    *seconds = t->bucket_seconds;
    return t->options.bucket_bytes;
}
