/* SPDX-License-Identifier: Apache-2.0
 *
 * Prediction of the samples in an HDF5 file of arrays, written to another HDF5 file:
 *
 *     regression        one float32 array for each target, with its name and shape, in the units of the training data
 *     classification    the target's name: int32 classes; probability: float32, N x classes; class_names
 *
 * Each rank predicts its part of every batch; rank 0 gathers and writes them.  Where the file holds the targets as
 * well, the predictions are scored.
 */
#include "launch/tasks/arrays.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/graph.h"
#include "launch/run/evaluate.h"
#include "launch/tasks/task.h"

enum { BATCH = 256 }; /* samples of a rank and batch */

typedef struct predictor {
    ls_run          *run;
    ls_dataset      *data;
    ls_loader       *loader;
    ls_model        *model;
    ls_array_writer *writer;  /* rank 0 */
    int64_t          outputs; /* values of a sample                                   */
    int64_t          rows;    /* samples of a batch on one rank, at most              */
    float           *mine;    /* rows x outputs                                       */
    float           *all;     /* the same of every rank                               */
    float           *probability;
    bool             scored; /* the file holds the targets                            */
} predictor;

/* ---- the input file ---------------------------------------------------------------------------------------------- */

static ls_status open_data(predictor *p, const char *path)
{
    const ls_dataset_info *d       = &p->run->data;
    ls_array_columns       columns = {.task = d->classes ? LS_ARRAY_CLASSIFICATION : LS_ARRAY_REGRESSION};
    int                    targets = 0;
    for (int i = 0; i < d->columns; i++) {
        if (d->column[i].role == LS_COLUMN_INPUT)
            columns.input[columns.inputs++] = d->column[i].name;
        else
            columns.target[targets++] = d->column[i].name;
    }
    columns.targets = targets;
    p->scored       = ls_dataset_open_arrays(&p->data, path, NULL, &columns) == LS_OK;
    columns.targets = 0;
    if (!p->scored) LS_TRY(ls_dataset_open_arrays(&p->data, path, NULL, &columns));
    return ls_dataset_scale(p->data, p->run->scaler);
}

/* The arrays of the file must have the shapes of the model's inputs; more classes than the model has are not scored. */
static ls_status check_shapes(predictor *p)
{
    const ls_dataset_info *d = &p->run->data, file = ls_dataset_info_of(p->data);
    for (int i = 0; i < file.columns; i++) {
        const ls_column *here = &file.column[i], *model = &d->column[i];
        bool             same = here->rank == model->rank;
        for (int k = 0; same && k < here->rank; k++) same = here->dim[k] == model->dim[k];
        LS_CHECK(same, LS_ERR_DATA,
                 "%s: /%s: expected samples of the shape that the model was trained on, %lld values, found "
                 "%lld in %d dimensions",
                 file.path, here->name, (long long)ls__array_elements(model), (long long)ls__array_elements(here),
                 here->rank);
    }
    p->scored = p->scored && file.classes <= d->classes;
    return LS_OK;
}

/* ---- the output file --------------------------------------------------------------------------------------------- */

static ls_status open_writer(predictor *p, const char *path, int64_t count)
{
    const ls_dataset_info *d                      = &p->run->data;
    ls_array_output        out[LS_MAX_INPUTS + 1] = {{0}};
    int                    n                      = 0;
    for (int i = 0; i < d->columns; i++) {
        const ls_column *c = &d->column[i];
        if (c->role != LS_COLUMN_TARGET) continue;
        out[n] = (ls_array_output){.name = c->name, .type = d->classes ? LS_ARRAY_I32 : LS_ARRAY_F32, .rank = c->rank};
        memcpy(out[n].dim, c->dim, sizeof out[n].dim);
        n++;
    }
    if (d->classes)
        out[n++] = (ls_array_output){.name = "probability", .type = LS_ARRAY_F32, .rank = 1, .dim = {p->outputs}};
    LS_TRY(ls_array_writer_new(&p->writer, path, count, out, n));
    return d->classes ? ls_array_writer_strings(p->writer, "class_names", d->classes, d->class_names) : LS_OK;
}

static ls_status write_class(predictor *p, const float *logits)
{
    int32_t best = 0;
    double  sum  = 0;
    for (int64_t i = 1; i < p->outputs; i++)
        if (logits[i] > logits[best]) best = (int32_t)i;
    for (int64_t i = 0; i < p->outputs; i++) sum += exp((double)logits[i] - (double)logits[best]);
    for (int64_t i = 0; i < p->outputs; i++)
        p->probability[i] = (float)(exp((double)logits[i] - (double)logits[best]) / sum);
    return ls_array_writer_add(p->writer, (const void *const[]){&best, p->probability});
}

static ls_status write_values(predictor *p, float *values)
{
    const ls_dataset_info *d                  = &p->run->data;
    const void            *row[LS_MAX_INPUTS] = {NULL};
    int                    n                  = 0;
    for (int i = 0; i < d->columns; i++) {
        const ls_column *c = &d->column[i];
        if (c->role != LS_COLUMN_TARGET) continue;
        LS_TRY(ls_scaler_inverse(p->run->scaler, c->name, 1, ls__array_elements(c), values));
        row[n++] = values;
        values += ls__array_elements(c);
    }
    return ls_array_writer_add(p->writer, row);
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

static ls_status run_batch(predictor *p, const ls_batch *batch)
{
    if (!batch->rows) return LS_OK;
    LS_TRY(ls_model_run(p->model, batch));
    memcpy(p->mine, ls_model_output(p->model, 0), (size_t)(batch->rows * p->outputs) * sizeof *p->mine);
    return LS_OK;
}

static ls_status write_batch(predictor *p, int64_t global_rows)
{
    const ls_run *run = p->run;
    for (int r = 0; r < run->ranks; r++) {
        int64_t rows = ls_batch_partition_of(global_rows, run->ranks, run->ranks, r).rows;
        float  *part = p->all + (int64_t)r * p->rows * p->outputs;
        for (int64_t i = 0; i < rows; i++, part += p->outputs)
            LS_TRY(run->data.classes ? write_class(p, part) : write_values(p, part));
    }
    return LS_OK;
}

static ls_status predict_batches(predictor *p)
{
    ls_run  *run = p->run;
    ls_batch batch;
    for (;;) {
        bool more = ls_loader_next(p->loader, &batch);
        LS_TRY_COLLECTIVE(run, more ? run_batch(p, &batch) : ls_loader_status(p->loader));
        if (!more) return LS_OK;
        LS_TRY(ls_comm_allgather(run->comm, p->mine, p->all, (size_t)(p->rows * p->outputs) * sizeof *p->mine));
        LS_TRY_COLLECTIVE(run, run->is_root ? write_batch(p, batch.global_rows) : LS_OK);
    }
}

/* ---- one file ---------------------------------------------------------------------------------------------------- */

static ls_status open_all(predictor *p, const ls_predict_options *o)
{
    ls_run *run = p->run;
    LS_CHECK(o->files == 1, LS_ERR_USAGE, "predict: expected one HDF5 file of arrays, found %d files", o->files);
    LS_CHECK(o->out && *o->out, LS_ERR_USAGE,
             "predict: --out: expected the HDF5 file that takes the predictions" LS_HINT
             "lockstep predict RUN %s --out predictions.h5",
             o->file[0]);
    LS_TRY(open_data(p, o->file[0]));
    LS_TRY(check_shapes(p));
    p->outputs     = ls__numel(run->logits);
    p->rows        = BATCH + 1; /* a batch that does not divide gives some ranks one sample more */
    size_t part    = (size_t)(p->rows * p->outputs);
    p->mine        = calloc(part, sizeof *p->mine);
    p->all         = calloc(part * (size_t)run->ranks, sizeof *p->all);
    p->probability = calloc((size_t)p->outputs, sizeof *p->probability);
    LS_CHECK(p->mine && p->all && p->probability, LS_ERR_ENV, "%s: no memory for the predictions", o->out);
    LS_TRY(ls_loader_new(&p->loader, p->data, .batch = (int64_t)BATCH * run->ranks, .shards = run->ranks,
                         .ranks = run->ranks, .rank = run->rank, .in_order = true, .epochs = 1));
    LS_TRY(ls_model_new(&p->model, run->graph, ls_trainer_params(run->trainer), &run->logits, 1, p->rows));
    return run->is_root ? open_writer(p, o->out, ls_dataset_info_of(p->data).count) : LS_OK;
}

static void close_all(predictor *p)
{
    ls_loader_free(p->loader);
    ls_array_writer_free(p->writer);
    ls_model_free(p->model);
    ls_dataset_free(p->data);
    free(p->mine);
    free(p->all);
    free(p->probability);
}

/* Scores the predictions on the whole file. */
static ls_status score_file(predictor *p, ls_scores *scores)
{
    p->run->recipe->eval.samples = 0;
    return ls_run_evaluate_split(p->run, p->data, scores);
}

ls_status ls__array_predict(ls_run *run, const ls_predict_options *o)
{
    predictor p = {.run = run};
    ls_scores scores;
    ls_status status;
    LS_TRY_GOTO(status, ls_comm_agree(run->comm, open_all(&p, o)), done);
    LS_TRY_GOTO(status, predict_batches(&p), done);
    LS_TRY_GOTO(status, ls_comm_agree(run->comm, run->is_root ? ls_array_writer_close(p.writer) : LS_OK), done);
    if (p.scored) LS_TRY_GOTO(status, score_file(&p, &scores), done);
    if (run->is_root)
        status = o->each(&(ls_prediction){.source  = o->file[0],
                                          .samples = ls_dataset_info_of(p.data).count,
                                          .out     = o->out,
                                          .scores  = p.scored ? &scores : NULL},
                         o->context);
    status = ls_comm_agree(run->comm, status);
done:
    close_all(&p);
    return status;
}
