/* SPDX-License-Identifier: Apache-2.0
 *
 * Evaluation: loss and metrics of the run's model on a split.
 *
 * The trainer computes loss and accuracy of each batch.  Metrics that need the model's outputs (R^2, for one) come from
 * the task, in a second pass: it turns the output for each sample into some numbers, all ranks gather those of a batch,
 * and every rank adds them in the order of the samples.  So the sums have the same bits on any number of ranks.  With
 * eval.augment, loss and accuracy come from such a pass as well, over mean logits.
 */
#include "launch/run/evaluate.h"

#include <stdlib.h>
#include <string.h>

#include "core/graph/graph.h"
#include "launch/tasks/task.h"
#include "launch/vision/verdict.h"
#include "launch/vision/views.h"

/* Opens a loader of this rank's parts of a split, in the order of the samples.  Collective. */
static ls_status open_loader(ls_run *run, ls_dataset *split, ls_loader **loader)
{
    LS_TRY_COLLECTIVE(run, ls_loader_new(loader, split, .batch = ls_run_eval_batch(run), .shards = run->shards,
                                         .ranks = run->ranks, .rank = run->rank, .in_order = true, .epochs = 1,
                                         .threads = ls_run_loader_threads(run)));
    return LS_OK;
}

/* Sets *more to false after the last batch.  Collective. */
static ls_status next_batch(ls_run *run, ls_loader *loader, ls_batch *batch, bool *more)
{
    ls_run_phase_begin(run, LS_PHASE_DATA, "next batch", 0);
    *more = ls_loader_next(loader, batch);
    ls_run_phase_end(run);
    LS_TRY_COLLECTIVE(run, *more ? LS_OK : ls_loader_status(loader));
    return LS_OK;
}

/* ---- the outputs for each sample --------------------------------------------------------------------------------- */

typedef struct sample_pass {
    ls_run               *run;
    const ls_sample_pass *pass;
    ls_loader            *loader;
    ls_model             *model;
    ls_views             *views;    /* NULL: one view                                   */
    int64_t               max_rows; /* largest number of samples of a batch on one rank */
    char                 *own;      /* records of this rank's samples of a batch        */
    char                 *all;      /* those of all ranks, `max_rows` for each          */
} sample_pass;

static ls_status open_pass(sample_pass *p)
{
    ls_run       *run   = p->run;
    const int64_t batch = ls_run_eval_batch(run);
    p->max_rows         = (batch + run->ranks - 1) / run->ranks + run->shards;
    if (p->max_rows > batch) p->max_rows = batch;
    p->own = calloc((size_t)p->max_rows, p->pass->bytes);
    p->all = calloc((size_t)p->max_rows * (size_t)run->ranks, p->pass->bytes);
    LS_CHECK(p->own && p->all, LS_ERR_ENV, "evaluation: no memory for the records of a batch of %lld samples",
             (long long)batch);
    if (p->pass->views) LS_TRY(ls_views_new(&p->views, run, p->max_rows));
    return ls_model_new(&p->model, run->graph, ls_trainer_params(run->trainer), (ls_tensor *[]){p->pass->output}, 1,
                        p->max_rows);
}

static ls_status record_samples(sample_pass *p, const ls_batch *batch)
{
    LS_CHECK(batch->rows <= p->max_rows, LS_ERR_FAILED,
             "evaluation: rank has %lld samples of a batch, expected at most %lld", (long long)batch->rows,
             (long long)p->max_rows);
    if (!batch->rows) return LS_OK;
    const float  *values;
    const int64_t width = ls__numel(p->pass->output);
    LS_TRY(ls_views_run(p->views, p->model, batch, &values));
    for (int64_t i = 0; i < batch->rows; i++)
        p->pass->record(p->pass->context, batch, i, values + i * width, p->own + (size_t)i * p->pass->bytes);
    return LS_OK;
}

/* Passes the records of a batch on, in the order of the samples.  Collective. */
static ls_status take_batch(sample_pass *p, const ls_batch *batch, int64_t *taken)
{
    const ls_run *run  = p->run;
    const size_t  part = (size_t)p->max_rows * p->pass->bytes;
    LS_TRY(ls_comm_allgather(run->comm, p->own, p->all, part));
    for (int r = 0; r < run->ranks; r++) {
        const int64_t rows = ls_batch_partition_of(batch->global_rows, run->shards, run->ranks, r).rows;
        for (int64_t i = 0; i < rows; i++)
            p->pass->take(p->pass->context, (*taken)++, p->all + (size_t)r * part + (size_t)i * p->pass->bytes);
    }
    return LS_OK;
}

static ls_status pass_batches(sample_pass *p)
{
    ls_run       *run   = p->run;
    const int64_t most  = p->pass->samples ? p->pass->samples : INT64_MAX;
    int64_t       taken = 0;
    bool          more  = true;
    ls_batch      batch;
    while (taken < most) {
        LS_TRY(next_batch(run, p->loader, &batch, &more));
        if (!more) break;
        LS_TRY_COLLECTIVE(run, record_samples(p, &batch));
        LS_TRY(take_batch(p, &batch, &taken));
    }
    return LS_OK;
}

ls_status ls_run_pass(ls_run *run, ls_dataset *split, const ls_sample_pass *pass)
{
    sample_pass p      = {.run = run, .pass = pass};
    ls_status   status = ls_comm_agree(run->comm, open_pass(&p));
    if (status == LS_OK) status = open_loader(run, split, &p.loader);
    if (status == LS_OK) status = pass_batches(&p);
    ls_loader_free(p.loader);
    ls_model_free(p.model);
    ls_views_free(p.views);
    free(p.own);
    free(p.all);
    return status;
}

const void *ls_batch_array(const ls_batch *batch, const char *name)
{
    for (int i = 0; i < batch->inputs; i++)
        if (!strcmp(batch->name[i], name)) return batch->data[i];
    return NULL;
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

/* Numbers of the task that each sample adds to the sums. */
typedef struct extras {
    ls_run *run;
    int     count;
    double *total;
} extras;

static void record_extras(void *context, const ls_batch *batch, int64_t row, const float *values, void *record)
{
    const extras *e = context;
    e->run->task->sample_scores(e->run, batch, row, values, record);
}

static void add_extras(void *context, int64_t sample, const void *record)
{
    extras       *e     = context;
    const double *extra = record;
    (void)sample;
    for (int i = 0; i < e->count; i++) e->total[i] += extra[i];
}

static ls_status sum_extras(ls_run *run, ls_dataset *split, ls_score_sums *sums)
{
    if (!run->task->sample_scores) return LS_OK;
    extras e    = {.run = run, .count = run->task->extras(run)};
    e.total     = ls_arena_alloc(run->memory, (size_t)e.count * sizeof *e.total);
    sums->extra = e.total;
    return ls_run_pass(run, split,
                       &(ls_sample_pass){.output  = run->logits,
                                         .samples = run->recipe->eval.samples,
                                         .bytes   = (size_t)e.count * sizeof *e.total,
                                         .record  = record_extras,
                                         .take    = add_extras,
                                         .context = &e});
}

static ls_status sum_batches(ls_run *run, ls_loader *loader, ls_score_sums *sums)
{
    const int64_t most = run->recipe->eval.samples ? run->recipe->eval.samples : INT64_MAX;
    bool          more = true;
    ls_batch      batch;
    ls_metrics    m;
    while (sums->samples < most) {
        LS_TRY(next_batch(run, loader, &batch, &more));
        if (!more) break;
        LS_TRY(ls_trainer_eval(run->trainer, &batch, &m));
        sums->loss += m.loss * m.weight;
        sums->weight += m.weight;
        sums->correct += m.accuracy * (double)batch.global_rows;
        sums->samples += batch.global_rows;
    }
    return LS_OK;
}

/* ---- several views of each image --------------------------------------------------------------------------------- */

/* Sums over the samples. */
typedef struct view_sums {
    int            classes;
    ls_score_sums *sums;
} view_sums;

static void record_verdict(void *context, const ls_batch *batch, int64_t row, const float *logits, void *record)
{
    const int32_t *labels = ls_batch_array(batch, "label");
    *(ls_verdict *)record = ls_verdict_of(((const view_sums *)context)->classes, logits, labels[row]);
}

static void add_verdict(void *context, int64_t sample, const void *record)
{
    view_sums        *s = context;
    const ls_verdict *v = record;
    s->sums->loss += (double)v->loss;
    s->sums->correct += v->label == v->predicted;
    s->sums->samples = sample + 1;
    s->sums->weight  = (double)(sample + 1);
}

static ls_status sum_views(ls_run *run, ls_dataset *split, ls_score_sums *sums)
{
    view_sums s = {(int)ls__cols(run->logits), sums};
    return ls_run_pass(run, split,
                       &(ls_sample_pass){.output  = run->logits,
                                         .views   = true,
                                         .samples = run->recipe->eval.samples,
                                         .bytes   = sizeof(ls_verdict),
                                         .record  = record_verdict,
                                         .take    = add_verdict,
                                         .context = &s});
}

static ls_status sum_split(ls_run *run, ls_dataset *split, ls_score_sums *sums)
{
    ls_loader *loader = NULL;
    if (run->recipe->eval.augment != LS_EVAL_AUGMENT_NONE) return sum_views(run, split, sums);
    ls_status status = open_loader(run, split, &loader);
    if (status == LS_OK) status = sum_batches(run, loader, sums);
    ls_loader_free(loader);
    return status;
}

static ls_status evaluate(ls_run *run, ls_dataset *split, ls_scores *scores)
{
    ls_score_sums         sums = {0};
    const ls_dataset_info info = ls_dataset_info_of(split);
    LS_TRY(sum_split(run, split, &sums));
    LS_TRY(sum_extras(run, split, &sums));
    *scores         = ls_scores_none();
    scores->samples = sums.samples;
    scores->loss    = sums.loss / sums.weight;
    run->task->score(run, &info, &sums, scores);
    return run->task->further_scores ? run->task->further_scores(run, split, scores) : LS_OK;
}

ls_status ls_run_evaluate_split(ls_run *run, ls_dataset *split, ls_scores *scores)
{
    LS_TRY(ls_run_swap_average(run));
    ls_status status = evaluate(run, split, scores);
    LS_TRY(ls_run_swap_average(run));
    return status;
}
