/* SPDX-License-Identifier: Apache-2.0
 *
 * Evaluation: loss and metrics of the run's model on a split.
 *
 * The trainer computes loss and accuracy of each batch.  Metrics that need the model's outputs (R^2, for one) come from
 * the task: it turns the output for each sample into some numbers, all ranks gather those of the batch, and every rank
 * adds them in the order of the samples.  So the sums have the same bits on any number of ranks.
 */
#include "launch/run/evaluate.h"

#include <stdlib.h>

#include "core/graph/graph.h"
#include "launch/tasks/task.h"

typedef struct evaluation {
    ls_run       *run;
    ls_loader    *loader;
    ls_score_sums sums;
    /* For tasks with sample_scores: */
    ls_model *model;
    int       extras;   /* values per sample                                 */
    int64_t   max_rows; /* largest number of samples of a batch on one rank  */
    double   *mine;     /* values of this rank's samples, max_rows x extras  */
    double   *all;      /* values of all ranks, in the order of the ranks    */
    double   *total;    /* sums over all samples, extras                      */
} evaluation;

static ls_status open_extras(evaluation *e, int64_t batch)
{
    ls_run        *run  = e->run;
    const ls_task *task = run->task;
    if (!task->sample_scores) return LS_OK;
    e->extras   = task->extras(run);
    e->max_rows = (batch + run->ranks - 1) / run->ranks + run->shards;
    if (e->max_rows > batch) e->max_rows = batch;
    size_t row = (size_t)e->extras * sizeof *e->mine;
    e->mine    = calloc((size_t)e->max_rows, row);
    e->all     = calloc((size_t)e->max_rows * (size_t)run->ranks, row);
    e->total   = calloc(1, row);
    LS_CHECK(e->mine && e->all && e->total, LS_ERR_ENV,
             "evaluation: no memory for the scores of a batch of %lld samples", (long long)batch);
    e->sums.extra = e->total;
    return ls_model_new(&e->model, run->graph, ls_trainer_params(run->trainer), &run->logits, 1, e->max_rows);
}

static void close_extras(evaluation *e)
{
    ls_model_free(e->model);
    free(e->mine);
    free(e->all);
    free(e->total);
}

static ls_status score_samples(evaluation *e, const ls_batch *batch)
{
    ls_run *run = e->run;
    LS_CHECK(batch->rows <= e->max_rows, LS_ERR_FAILED,
             "evaluation: rank has %lld samples of a batch, expected at most %lld", (long long)batch->rows,
             (long long)e->max_rows);
    LS_TRY(ls_model_run(e->model, batch));
    const float  *output = ls_model_output(e->model, 0);
    const int64_t width  = ls__numel(run->logits);
    for (int64_t i = 0; i < batch->rows; i++)
        run->task->sample_scores(run, batch, i, output + i * width, e->mine + i * e->extras);
    return LS_OK;
}

/* Adds the values of a batch to the sums of the task.  Collective. */
static ls_status add_extras(evaluation *e, const ls_batch *batch)
{
    ls_run *run  = e->run;
    size_t  part = (size_t)e->max_rows * (size_t)e->extras;
    LS_TRY_COLLECTIVE(run, batch->rows ? score_samples(e, batch) : LS_OK);
    LS_TRY(ls_comm_allgather(run->comm, e->mine, e->all, part * sizeof *e->mine));
    for (int r = 0; r < run->ranks; r++) {
        int64_t rows = ls_batch_partition_of(batch->global_rows, run->shards, run->ranks, r).rows;
        for (int64_t i = 0; i < rows * e->extras; i++) e->total[i % e->extras] += e->all[(size_t)r * part + (size_t)i];
    }
    return LS_OK;
}

static ls_status evaluate_batches(evaluation *e)
{
    ls_run       *run = e->run;
    const int64_t max = run->recipe->eval.samples ? run->recipe->eval.samples : INT64_MAX;
    ls_batch      batch;
    ls_metrics    m;
    while (e->sums.samples < max) {
        ls_run_phase_begin(run, LS_PHASE_DATA, "next batch", 0);
        bool more = ls_loader_next(e->loader, &batch);
        ls_run_phase_end(run);
        LS_TRY_COLLECTIVE(run, more ? LS_OK : ls_loader_status(e->loader));
        if (!more) break;
        LS_TRY(ls_trainer_eval(run->trainer, &batch, &m));
        e->sums.loss += m.loss * m.weight;
        e->sums.weight += m.weight;
        e->sums.correct += m.accuracy * (double)batch.global_rows;
        e->sums.samples += batch.global_rows;
        if (e->extras) LS_TRY(add_extras(e, &batch));
    }
    return LS_OK;
}

ls_status ls_run_evaluate_split(ls_run *run, ls_dataset *split, ls_scores *scores)
{
    const ls_recipe *r     = run->recipe;
    evaluation       e     = {.run = run};
    int64_t          batch = r->eval.batch ? r->eval.batch : r->train.batch;
    ls_status        status;
    LS_TRY(ls_run_swap_average(run));
    LS_TRY_GOTO(status, ls_comm_agree(run->comm, open_extras(&e, batch)), done);
    LS_TRY_GOTO(status,
                ls_comm_agree(run->comm, ls_loader_new(&e.loader, split, .batch = batch, .shards = run->shards,
                                                       .ranks = run->ranks, .rank = run->rank, .in_order = true,
                                                       .epochs = 1, .threads = ls_run_loader_threads(run))),
                done);
    LS_TRY_GOTO(status, evaluate_batches(&e), done);
    ls_dataset_info info = ls_dataset_info_of(split);
    *scores              = ls_scores_none();
    scores->samples      = e.sums.samples;
    scores->loss         = e.sums.loss / e.sums.weight;
    run->task->score(run, &info, &e.sums, scores);
done:
    ls_loader_free(e.loader);
    close_extras(&e);
    LS_TRY(ls_run_swap_average(run));
    return status;
}
