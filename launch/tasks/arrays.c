/* SPDX-License-Identifier: Apache-2.0
 *
 * Regression and classification of named arrays, the data of scientific users: any HDF5 file, one array per input and
 * target, samples in the first dimension.
 *
 *     data.inputs: [x]         one input keeps its shape (C x H x W for convolutions); several are flattened and joined
 *     data.targets: [y]        regression: any number of float arrays, flattened and joined
 *                              classification: one array with one integer per sample, the class
 *
 * Inputs and regression targets are normalised: (value - mean) / std, per channel or per element of a vector, from the
 * training split.  The scaler is part of data.json, so that predictions are in the units of the file.
 *
 * Scores of a regression, over all elements e of the targets, in the units of the file:
 *
 *     mae = mean |prediction - y|          R^2 = mean over e of  1 - sum (prediction - y)^2 / sum (y - mean y)^2
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/graph.h"
#include "datasets/files/dataset.h"
#include "launch/data/dataset_card.h"
#include "launch/data/dataset_source.h"
#include "launch/report/report_html.h"
#include "launch/run/run_setup.h"
#include "launch/tasks/arrays.h"
#include "launch/tasks/task.h"

/* ---- the dataset ------------------------------------------------------------------------------------------------- */

static bool accepts_regression(const ls_dataset_info *info) { return info->kind == LS_DATA_ARRAYS && !info->classes; }

static bool accepts_classification(const ls_dataset_info *info)
{
    return info->kind == LS_DATA_ARRAYS && info->classes > 0;
}

static ls_status columns_of(const ls_recipe *r, ls_array_columns *columns)
{
    *columns = (ls_array_columns){.task = LS_ARRAY_REGRESSION};
    for (; r->data.inputs[columns->inputs]; columns->inputs++)
        columns->input[columns->inputs] = r->data.inputs[columns->inputs];
    for (; r->data.targets[columns->targets]; columns->targets++)
        columns->target[columns->targets] = r->data.targets[columns->targets];
    LS_CHECK(columns->inputs && columns->targets, LS_ERR_USAGE,
             "%s: data.%s: expected the names of arrays, found none" LS_HINT
             "data.inputs and data.targets go together: data.inputs=[x] data.targets=[y]",
             ls_recipe_where(r, columns->inputs ? "data.inputs" : "data.targets"),
             columns->inputs ? "targets" : "inputs");
    return LS_OK;
}

/* The loss decides between regression and classification; with `auto` the type of the target decides. */
static ls_status open_arrays(ls_dataset **d, const ls_recipe *r, const char *path, const char *split, bool *opened)
{
    ls_array_columns columns;
    *opened = r->data.inputs[0] || r->data.targets[0];
    if (!*opened) return LS_OK;
    LS_TRY(columns_of(r, &columns));
    if (r->train.loss == LS_TRAIN_LOSS_CROSS_ENTROPY) columns.task = LS_ARRAY_CLASSIFICATION;
    LS_TRY(ls_dataset_open_arrays(d, path, split, &columns));
    if (r->train.loss != LS_TRAIN_LOSS_AUTO || !ls__array_target_is_class(*d)) return LS_OK;
    ls_dataset_free(*d);
    columns.task = LS_ARRAY_CLASSIFICATION;
    return ls_dataset_open_arrays(d, path, split, &columns);
}

/* Fits the scaler on the training split, which is opened for this where it is not open. */
static ls_status fit_scaler(ls_run *run)
{
    ls_dataset *train = run->train;
    if (!train) LS_TRY(ls_data_open(&train, run->recipe, false));
    ls_status status = ls_scaler_fit(&run->scaler, train);
    if (train != run->train) ls_dataset_free(train);
    return status;
}

/* A trained run has its scaler in data.json. */
static ls_status load_scaler(ls_run *run)
{
    ls_dataset_card card;
    LS_TRY(ls_dataset_card_read(ls_arena_printf(run->memory, "%s/data.json", run->directory), &card, run->memory));
    run->scaler = card.scaler;
    return LS_OK;
}

ls_status ls__array_normalise(ls_run *run)
{
    if (!run->scaler) LS_TRY(run->directory ? load_scaler(run) : fit_scaler(run));
    if (run->train) LS_TRY(ls_dataset_scale(run->train, run->scaler));
    return run->test ? ls_dataset_scale(run->test, run->scaler) : LS_OK;
}

int64_t ls__array_elements(const ls_column *c)
{
    int64_t n = 1;
    for (int i = 0; i < c->rank; i++) n *= c->dim[i];
    return n;
}

static void shape_text(const ls_column *c, char *text, size_t bytes)
{
    snprintf(text, bytes, "%s", c->rank ? "" : "1");
    for (int i = 0; i < c->rank; i++)
        snprintf(text + strlen(text), bytes - strlen(text), "%s%lld", i ? " x " : "", (long long)c->dim[i]);
}

/* "x (16) to y (1)", "field (16 x 16 x 16) in 3 classes" */
void ls__array_sample_text(const ls_dataset_info *d, char *text, size_t bytes)
{
    ls_column_role role = LS_COLUMN_INPUT;
    char           shape[96];
    *text = 0;
    for (int i = 0; i < d->columns; i++) {
        const ls_column *c    = &d->column[i];
        const char      *link = !i ? "" : c->role == role ? ", " : " to ";
        if (d->classes && c->role == LS_COLUMN_TARGET) continue;
        shape_text(c, shape, sizeof shape);
        snprintf(text + strlen(text), bytes - strlen(text), "%s%s (%s)", link, c->name, shape);
        role = c->role;
    }
    if (d->classes) snprintf(text + strlen(text), bytes - strlen(text), " in %d classes", d->classes);
}

ls_status ls__array_check_splits(const ls_dataset_info *a, const ls_dataset_info *b)
{
    char in_a[512], in_b[512];
    ls__array_sample_text(a, in_a, sizeof in_a);
    ls__array_sample_text(b, in_b, sizeof in_b);
    LS_CHECK(!strcmp(in_a, in_b), LS_ERR_DATA, "%s: expected the same samples in %s and %s, found %s and %s", a->path,
             a->split, b->split, in_a, in_b);
    return LS_OK;
}

/* ---- model and loss ---------------------------------------------------------------------------------------------- */

static ls_tensor *add_input(ls_graph *g, const ls_column *c)
{
    ls_input_args args   = {.g = g, .name = ls_arena_strdup(g->arena, c->name), .type = c->type};
    int64_t      *dim[6] = {&args.dim0, &args.dim1, &args.dim2, &args.dim3, &args.dim4, &args.dim5};
    for (int i = 0; i < c->rank && i < LS_MAX_DIMS; i++) *dim[i] = c->dim[i];
    return ls__input(args);
}

/* Joins the columns of a role to one tensor; a single input keeps its shape. */
ls_tensor *ls__array_join(ls_graph *g, const ls_dataset_info *d, ls_column_role role)
{
    int        count  = 0;
    ls_tensor *joined = NULL;
    for (int i = 0; i < d->columns; i++) count += d->column[i].role == role;
    for (int i = 0; i < d->columns; i++) {
        if (d->column[i].role != role) continue;
        ls_tensor *x = add_input(g, &d->column[i]);
        if (count > 1 || !d->column[i].rank || role == LS_COLUMN_TARGET) x = ls_flatten(x);
        joined = joined ? ls_concat(joined, x) : x;
    }
    return joined;
}

static int64_t target_elements(const ls_dataset_info *d)
{
    int64_t n = 0;
    for (int i = 0; i < d->columns; i++)
        if (d->column[i].role == LS_COLUMN_TARGET) n += ls__array_elements(&d->column[i]);
    return n;
}

static ls_status build_regression(ls_run *run)
{
    const ls_dataset_info *d = &run->data;
    const ls_recipe       *r = run->recipe;
    LS_CHECK(!r->train.label_smoothing && !r->model.classes, LS_ERR_USAGE, "%s: %s: expected 0 for a regression",
             ls_recipe_where(r, "train.loss"), r->model.classes ? "model.classes" : "train.label_smoothing");
    ls_tensor       *x   = ls__array_join(run->graph, d, LS_COLUMN_INPUT);
    ls_recipe_output out = {target_elements(d), "value", "arrays"};
    LS_TRY(ls_recipe_build(r, run->graph, x, &out, &run->logits));
    ls_tensor *y = ls__array_join(run->graph, d, LS_COLUMN_TARGET);
    run->loss    = r->train.loss == LS_TRAIN_LOSS_MAE ? ls_mae(run->logits, y) : ls_mse(run->logits, y);
    return LS_OK;
}

static ls_status build_classification(ls_run *run)
{
    const ls_dataset_info *d   = &run->data;
    ls_tensor             *x   = ls__array_join(run->graph, d, LS_COLUMN_INPUT);
    ls_recipe_output       out = {d->classes, "class", "arrays"};
    LS_TRY(ls_recipe_build(run->recipe, run->graph, x, &out, &run->logits));
    for (int i = 0; i < d->columns; i++)
        if (d->column[i].role == LS_COLUMN_TARGET) run->label = add_input(run->graph, &d->column[i]);
    LS_CHECK(run->label, LS_ERR_DATA, "%s: expected a target", d->path);
    run->loss = ls_cross_entropy(run->logits, run->label, .label_smoothing = run->recipe->train.label_smoothing);
    return LS_OK;
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

enum { MAE, R2 };

static const ls_task_metric regression_metrics[] = {
    [MAE] = {.key = "mae", .label = "mean abs error", .console = "mae %-9.4g", .result = "%.6g"},
    [R2]  = {.key              = "r2",
             .label            = "R2",
             .console          = "R2 %.4f",
             .result           = "%.4f",
             .higher_is_better = true,
             .chart            = "R² on held-out samples"},
    {0},
};

static const ls_task_metric classification_metrics[] = {
    LS_ACCURACY_METRIC("samples"),
    {0},
};

/* Sums for each element: of y, y^2, squared error (all normalised) and absolute error (in the units of the file). */
enum { SUM_Y, SUM_YY, SUM_SQUARED, SUM_ABSOLUTE, SUMS };

static int extras(const ls_run *run) { return (int)target_elements(&run->data) * SUMS; }

static const float *target_row(const ls_batch *batch, const ls_column *c, int64_t row)
{
    for (int i = 0; i < batch->inputs; i++)
        if (!strcmp(batch->name[i], c->name)) return (const float *)batch->data[i] + row * ls__array_elements(c);
    return NULL;
}

static void sample_scores(const ls_run *run, const ls_batch *batch, int64_t row, const float *output, double *extra)
{
    const ls_dataset_info *d = &run->data;
    for (int i = 0; i < d->columns; i++) {
        const ls_column *c = &d->column[i];
        if (c->role != LS_COLUMN_TARGET) continue;
        const int64_t n = ls__array_elements(c);
        const float  *y = target_row(batch, c, row);
        const double *mean, *std = NULL;
        int64_t       scales = 0;
        if (!ls_scaler_get(run->scaler, c->name, &scales, &mean, &std)) scales = 0;
        for (int64_t k = 0; k < n; k++, output++, extra += SUMS) {
            double error        = (double)*output - (double)y[k];
            extra[SUM_Y]        = y[k];
            extra[SUM_YY]       = (double)y[k] * (double)y[k];
            extra[SUM_SQUARED]  = error * error;
            extra[SUM_ABSOLUTE] = fabs(error) * (scales ? std[k / (n / scales)] : 1);
        }
    }
}

static void score_regression(const ls_run *run, const ls_dataset_info *split, const ls_score_sums *sums,
                             ls_scores *scores)
{
    const int64_t n       = target_elements(&run->data);
    const double  samples = (double)sums->samples;
    double        r2 = 0, absolute = 0;
    (void)split;
    for (int64_t k = 0; k < n; k++) {
        const double *s        = sums->extra + k * SUMS;
        const double  variance = s[SUM_YY] - s[SUM_Y] * s[SUM_Y] / samples;
        absolute += s[SUM_ABSOLUTE];
        /* A constant target: 1 when it is predicted exactly, else 0, as in scikit-learn. */
        if (variance > 0)
            r2 += 1 - s[SUM_SQUARED] / variance;
        else
            r2 += s[SUM_SQUARED] == 0;
    }
    scores->metric[MAE] = absolute / (samples * (double)n);
    scores->metric[R2]  = r2 / (double)n;
}

/* ---- data.json --------------------------------------------------------------------------------------------------- */

static json_t *pack_columns(const ls_dataset_info *d, ls_column_role role)
{
    json_t *list = json_array();
    for (int i = 0; i < d->columns; i++) {
        const ls_column *c     = &d->column[i];
        json_t          *shape = json_array();
        if (c->role != role) {
            json_decref(shape);
            continue;
        }
        for (int k = 0; k < c->rank; k++) json_array_append_new(shape, json_integer(c->dim[k]));
        json_array_append_new(list, json_pack("{s:s, s:o}", "name", c->name, "shape", shape));
    }
    return list;
}

ls_status ls__array_write_card(json_t *json, const ls_dataset_card *card)
{
    const ls_dataset_info *d    = &card->info;
    char                  *text = ls_scaler_to_json(card->scaler);
    json_object_set_new(json, "inputs", pack_columns(d, LS_COLUMN_INPUT));
    json_object_set_new(json, "targets", pack_columns(d, LS_COLUMN_TARGET));
    json_object_set_new(json, "scaler", text ? json_loads(text, 0, NULL) : NULL);
    free(text);
    LS_CHECK(json_object_get(json, "scaler"), LS_ERR_ENV, "%s: no memory for the scaler", d->path);
    if (!d->classes) return LS_OK;
    json_t *names = json_array();
    for (int i = 0; i < d->classes; i++) json_array_append_new(names, json_string(d->class_names[i]));
    json_object_set_new(json, "class_names", names);
    return LS_OK;
}

static bool read_columns(const json_t *list, ls_column_role role, ls_dtype type, ls_dataset_info *d)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i), *shape = json_object_get(entry, "shape");
        const char   *name = json_string_value(json_object_get(entry, "name"));
        if (d->columns == LS_MAX_INPUTS || !name || strlen(name) >= LS_COLUMN_NAME || !json_is_array(shape) ||
            json_array_size(shape) > LS_MAX_DIMS)
            return false;
        ls_column *c = &d->column[d->columns++];
        *c           = (ls_column){.role = role, .type = type, .rank = (int)json_array_size(shape)};
        snprintf(c->name, sizeof c->name, "%s", name);
        int64_t elements = 1;
        for (int k = 0; k < c->rank; k++) {
            c->dim[k] = json_integer_value(json_array_get(shape, (size_t)k));
            if (c->dim[k] < 1 || c->dim[k] > LS_MAX_SAMPLE_BYTES / elements) return false;
            elements *= c->dim[k];
        }
    }
    return json_is_array(list);
}

bool ls__array_read_card(const json_t *json, ls_dataset_card *card, ls_arena *memory)
{
    ls_dataset_info *d       = &card->info;
    const json_t    *names   = json_object_get(json, "class_names");
    size_t           classes = json_array_size(names);
    d->kind                  = LS_DATA_ARRAYS;
    d->classes               = (int)classes;
    if (!read_columns(json_object_get(json, "inputs"), LS_COLUMN_INPUT, LS_F32, d) ||
        !read_columns(json_object_get(json, "targets"), LS_COLUMN_TARGET, classes ? LS_I32 : LS_F32, d))
        return false;
    const char **texts = ls_arena_alloc(memory, (classes + 1) * sizeof *texts);
    for (size_t i = 0; i < classes; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (!name) return false;
        texts[i] = ls_arena_strdup(memory, name);
    }
    d->class_names = texts;
    char     *text = json_dumps(json_object_get(json, "scaler"), JSON_REAL_PRECISION(17));
    ls_status status =
        text ? ls_scaler_from_json(&card->scaler, "data.json", text) : LS_FAIL(LS_ERR_DATA, "data.json: no scaler");
    free(text);
    return status == LS_OK;
}

static ls_status check_card(const char *folder, const ls_dataset_info *card, const ls_dataset_info *info)
{
    char before[512], now[512];
    ls__array_sample_text(card, before, sizeof before);
    ls__array_sample_text(info, now, sizeof now);
    LS_CHECK(!strcmp(before, now), LS_ERR_USAGE, "%s: the run was begun with samples of %s, but %s holds %s", folder,
             before, info->path, now);
    return LS_OK;
}

void ls__array_report_data(ls_report *report, const ls_run *run)
{
    char sample[512];
    ls__array_sample_text(&run->data, sample, sizeof sample);
    ls_report_row(report, "A sample|%s", sample);
}

/* ---- the rows ---------------------------------------------------------------------------------------------------- */

const ls_task ls__task_array_regression = {
    .name          = "regression of arrays",
    .data          = "arrays",
    .card          = "array regression",
    .unit          = "samples",
    .split_title   = "Test",
    .use           = "`lockstep predict RUN FILE.h5 --out OUT.h5` predicts arrays",
    .metric        = regression_metrics,
    .accepts       = accepts_regression,
    .open          = open_arrays,
    .normalise     = ls__array_normalise,
    .sample_text   = ls__array_sample_text,
    .samples_text  = "samples of",
    .check_splits  = ls__array_check_splits,
    .build         = build_regression,
    .extras        = extras,
    .sample_scores = sample_scores,
    .score         = score_regression,
    .write_card    = ls__array_write_card,
    .read_card     = ls__array_read_card,
    .check_card    = check_card,
    .report_data   = ls__array_report_data,
    .predict       = ls__array_predict,
};

const ls_task ls__task_array_classification = {
    .name         = "classification of arrays",
    .data         = "arrays",
    .card         = "array classification",
    .unit         = "samples",
    .split_title  = "Test",
    .use          = "`lockstep predict RUN FILE.h5 --out OUT.h5` predicts arrays",
    .metric       = classification_metrics,
    .accepts      = accepts_classification,
    .normalise    = ls__array_normalise,
    .sample_text  = ls__array_sample_text,
    .samples_text = "samples of",
    .check_splits = ls__array_check_splits,
    .build        = build_classification,
    .score        = ls_score_accuracy,
    .write_card   = ls__array_write_card,
    .read_card    = ls__array_read_card,
    .check_card   = check_card,
    .report_data  = ls__array_report_data,
    .predict      = ls__array_predict,
};
