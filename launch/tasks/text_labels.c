/* SPDX-License-Identifier: Apache-2.0
 *
 * Classification and regression of texts, and of pairs of texts.
 *      tokens, type: B x T, length: B  ->  encoder with a head  ->  B x classes, or B x 1
 *
 * T is the length of the longest sample of a global batch.  The loss of a classification is the cross entropy, that of
 * a regression the squared error.
 *
 * Prediction reads files with one text per line, of pairs with a tab between the two.  Longer texts are cut to the
 * length of the longest sample of the training data.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/integer.h"
#include "core/graph/graph.h"
#include "datasets/files/text_lines.h"
#include "launch/data/dataset_source.h"
#include "launch/report/report_html.h"
#include "launch/report/unit_text.h"
#include "launch/run/run_setup.h"
#include "launch/tasks/task.h"
#include "launch/vision/image_input.h"

static bool accepts_classes(const ls_dataset_info *info) { return info->kind == LS_DATA_LABELLED && info->classes; }
static bool accepts_values(const ls_dataset_info *info) { return info->kind == LS_DATA_LABELLED && !info->classes; }

static void sample_text(const ls_dataset_info *d, char *text, size_t bytes)
{
    int used = snprintf(text, bytes, "at most %lld of %d tokens", (long long)d->context, d->vocabulary);
    if (d->classes) snprintf(text + used, bytes - (size_t)used, ", in %d classes", d->classes);
}

static bool same(const ls_dataset_info *a, const ls_dataset_info *b)
{
    bool equal =
        a->vocabulary == b->vocabulary && a->classes == b->classes && !strcmp(a->tokenizer_hash, b->tokenizer_hash);
    for (int i = 0; equal && i < a->classes; i++) equal = !strcmp(a->class_names[i], b->class_names[i]);
    return equal;
}

static ls_status check_splits(const ls_dataset_info *a, const ls_dataset_info *b)
{
    LS_CHECK(same(a, b), LS_ERR_DATA,
             "%s: expected the same classes and tokenizer in %s and %s, found %d and %d classes, tokenizers %s and "
             "%s" LS_HINT "import the texts again",
             a->path, a->split, b->split, a->classes, b->classes, a->tokenizer_hash, b->tokenizer_hash);
    return LS_OK;
}

/* ---- model and loss ---------------------------------------------------------------------------------------------- */

/* The greatest width of the splits that are open. */
static int64_t width_of(const ls_run *run)
{
    ls_dataset *const split[] = {run->train, run->test};
    int64_t           width   = run->data.context;
    for (int i = 0; i < 2; i++)
        if (split[i]) width = ls__max(width, ls_dataset_info_of(split[i]).context);
    return width;
}

static ls_status build(ls_run *run)
{
    const ls_dataset_info *d      = &run->data;
    const ls_recipe       *r      = run->recipe;
    ls_graph              *g      = run->graph;
    const int64_t          width  = width_of(run);
    const ls_recipe_output output = {.count = d->classes ? d->classes : 1, .unit = "class", .data = "labelled texts"};
    LS_CHECK(d->classes || (!r->train.label_smoothing && !r->model.classes), LS_ERR_USAGE,
             "%s: %s: expected 0 for a regression", ls_recipe_where(r, "train.loss"),
             r->model.classes ? "model.classes" : "train.label_smoothing");
    LS_TRY(ls_recipe_build_encoder(r, g,
                                   &(ls_encoder_inputs){.x          = ls_input(g, "tokens", LS_I32, width),
                                                        .length     = ls_input(g, "length", LS_I32),
                                                        .type       = ls_input(g, "type", LS_I32, width),
                                                        .vocabulary = d->vocabulary},
                                   &output, &run->logits));
    if (!d->classes) {
        run->loss = ls_mse(run->logits, ls_reshape(ls_input(g, "label", LS_F32), 1));
        return LS_OK;
    }
    run->label = ls_input(g, "label", LS_I32);
    run->loss  = ls_cross_entropy(run->logits, run->label, .label_smoothing = r->train.label_smoothing);
    return LS_OK;
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

static const ls_task_metric class_metrics[] = {
    LS_ACCURACY_METRIC("texts"),
    {0},
};

enum { PEARSON, MAE };

static const ls_task_metric value_metrics[] = {
    [PEARSON] = {.key              = "pearson",
                 .label            = "Pearson correlation",
                 .console          = "pearson %.4f",
                 .result           = "%.4f",
                 .higher_is_better = true,
                 .chart            = "Pearson correlation on held-out texts"},
    [MAE]     = {.key = "mae", .label = "mean abs error", .console = "mae %-9.4g", .result = "%.6g"},
    {0},
};

/* Sums of the label y and the prediction p. */
enum { SUM_Y, SUM_P, SUM_YY, SUM_PP, SUM_YP, SUM_ABSOLUTE, SUMS };

static int extras(const ls_run *run)
{
    (void)run;
    return SUMS;
}

static void sample_scores(const ls_run *run, const ls_batch *batch, int64_t row, const float *output, double *extra)
{
    double y = 0, p = (double)*output;
    (void)run;
    for (int i = 0; i < batch->inputs; i++)
        if (!strcmp(batch->name[i], "label")) y = (double)((const float *)batch->data[i])[row];
    extra[SUM_Y]        = y;
    extra[SUM_P]        = p;
    extra[SUM_YY]       = y * y;
    extra[SUM_PP]       = p * p;
    extra[SUM_YP]       = y * p;
    extra[SUM_ABSOLUTE] = fabs(y - p);
}

static void score_values(const ls_run *run, const ls_dataset_info *split, const ls_score_sums *sums, ls_scores *scores)
{
    const double  n = (double)sums->samples;
    const double *s = sums->extra, y = s[SUM_YY] - s[SUM_Y] * s[SUM_Y] / n, p = s[SUM_PP] - s[SUM_P] * s[SUM_P] / n;
    (void)run;
    (void)split;
    scores->metric[PEARSON] = y > 0 && p > 0 ? (s[SUM_YP] - s[SUM_Y] * s[SUM_P] / n) / sqrt(y * p) : 0;
    scores->metric[MAE]     = s[SUM_ABSOLUTE] / n;
}

/* ---- files of a run ---------------------------------------------------------------------------------------------- */

static ls_status write_card(json_t *json, const ls_dataset_card *card)
{
    const ls_dataset_info *d     = &card->info;
    json_t                *names = json_array();
    for (int i = 0; i < d->classes; i++) json_array_append_new(names, json_string(d->class_names[i]));
    json_object_set_new(json, "class_names", names);
    json_object_set_new(json, "vocabulary", json_integer(d->vocabulary));
    json_object_set_new(json, "length", json_integer(d->context));
    json_object_set_new(json, "tokenizer", json_string(d->tokenizer));
    json_object_set_new(json, "tokenizer_hash", json_string(d->tokenizer_hash));
    return LS_OK;
}

static bool read_card(const json_t *json, ls_dataset_card *card, ls_arena *memory)
{
    enum { MAX_VOCABULARY = 1 << 20, MAX_LENGTH = 1 << 16 };
    ls_dataset_info *d          = &card->info;
    const json_t    *names      = json_object_get(json, "class_names");
    const json_int_t vocabulary = json_integer_value(json_object_get(json, "vocabulary")),
                     length     = json_integer_value(json_object_get(json, "length"));
    const char *tokenizer       = json_string_value(json_object_get(json, "tokenizer")),
               *hash            = json_string_value(json_object_get(json, "tokenizer_hash"));
    const size_t classes        = json_array_size(names);
    const char **name           = ls_arena_alloc(memory, (classes + 1) * sizeof *name);
    if (!json_is_array(names) || classes == 1 || vocabulary < 1 || vocabulary > MAX_VOCABULARY || length < 1 ||
        length > MAX_LENGTH || !tokenizer || !hash)
        return false;
    for (size_t i = 0; i < classes; i++) {
        const char *text = json_string_value(json_array_get(names, i));
        if (!text) return false;
        name[i] = ls_arena_strdup(memory, text);
    }
    d->kind           = LS_DATA_LABELLED;
    d->classes        = (int)classes;
    d->class_names    = classes ? name : NULL;
    d->vocabulary     = (int)vocabulary;
    d->context        = length;
    d->tokenizer      = ls_arena_strdup(memory, tokenizer);
    d->tokenizer_hash = ls_arena_strdup(memory, hash);
    return true;
}

static ls_status check_card(const char *folder, const ls_dataset_info *card, const ls_dataset_info *info)
{
    LS_CHECK(same(card, info), LS_ERR_USAGE,
             "%s: the run was begun with other data: %d classes and the tokenizer %s, but %s has %d classes and the "
             "tokenizer %s" LS_HINT "import the texts with the run's own tokenizer, %s/tokenizer.json",
             folder, card->classes, card->tokenizer_hash, info->path, info->classes, info->tokenizer_hash, folder);
    return LS_OK;
}

static ls_status need_tokenizer(ls_tokenizer **t, const ls_dataset_info *info)
{
    LS_TRY(ls_data_tokenizer(t, info));
    LS_CHECK(*t, LS_ERR_DATA, "%s: expected tokenizer.json beside it, found none" LS_HINT "copy it from the dataset",
             info->path);
    return LS_OK;
}

/* The run directory has a copy of the tokenizer: the model predicts where the data are not. */
static ls_status save_files(const ls_dataset_info *info, const char *folder)
{
    ls_tokenizer *t;
    LS_TRY(need_tokenizer(&t, info));
    ls_status status = ls_tokenizer_save(t, folder);
    ls_tokenizer_free(t);
    return status;
}

static ls_status verify_files(const ls_dataset_info *info)
{
    ls_tokenizer *t;
    LS_TRY(need_tokenizer(&t, info));
    ls_tokenizer_free(t);
    return LS_OK;
}

static void report_data(ls_report *report, const ls_run *run)
{
    const ls_dataset_info *d = &run->data;
    char                   vocabulary[32], tokens[32];
    ls__count_text(vocabulary, sizeof vocabulary, d->vocabulary);
    ls__count_text(tokens, sizeof tokens, d->tokens);
    ls_report_row(report, "A sample|at most %lld tokens", (long long)d->context);
    if (d->classes) ls_report_row(report, "Classes|%d", d->classes);
    ls_report_row(report, "Tokenizer|%s, vocabulary of %s", d->tokenizer, vocabulary);
    ls_report_row(report, "Tokens for training|%s", tokens);
}

/* ---- prediction -------------------------------------------------------------------------------------------------- */

typedef struct predictor {
    const ls_run             *run;
    const ls_predict_options *options;
    ls_model                 *model;
    ls_tokenizer             *tokenizer;
    ls_text_tokens            tokens;
    FILE                     *out; /* table of the predictions; NULL: they go to the caller */
    double                   *all, *probability;
    const char              **name;
    int                      *rank; /* classes, the likeliest first */
} predictor;

/* Computes the output for a text, or a pair of texts with a tab between them. */
static ls_status run_text(predictor *p, const char *path, int64_t number, ls_text_line line, const float **output)
{
    const char        *tab    = memchr(line.data, '\t', line.bytes);
    const size_t       half   = tab ? (size_t)(tab - line.data) : line.bytes;
    const ls_text_line first  = ls_text_line_trim(line.data, half),
                       second = tab ? ls_text_line_trim(tab + 1, line.bytes - half - 1) : (ls_text_line){.data = NULL};
    LS_TRY(ls_tokenizer_encode_texts(p->tokenizer, &first, tab ? &second : NULL, p->run->data.context, &p->tokens));
    LS_CHECK(p->tokens.count, LS_ERR_DATA, "%s:%lld: expected a text, found an empty line", path, (long long)number);
    const int32_t length = (int32_t)p->tokens.count;
    ls_batch      b      = {.inputs      = 3,
                            .name        = {"tokens", "length", "type"},
                            .data        = {p->tokens.id, &length, p->tokens.type},
                            .dim0        = {length, 0, length},
                            .rows        = 1,
                            .global_rows = 1};
    LS_TRY(ls_model_run(p->model, &b));
    *output = ls_model_output(p->model, 0);
    return LS_OK;
}

static void sort_classes(predictor *p, const float *logits, int classes)
{
    ls_probabilities(logits, classes, p->all);
    for (int k = 0; k < classes; k++) {
        int at = k;
        for (; at > 0 && logits[p->rank[at - 1]] < logits[k]; at--) p->rank[at] = p->rank[at - 1];
        p->rank[at] = k;
    }
    for (int k = 0; k < classes; k++) {
        p->probability[k] = p->all[p->rank[k]];
        p->name[k]        = p->rank[k] < p->run->data.classes ? p->run->data.class_names[p->rank[k]] : "(no name)";
    }
}

static ls_status predict_line(predictor *p, const char *path, int64_t number, ls_text_line line)
{
    const int    classes = (int)ls__cols(p->run->logits);
    const float *output  = NULL;
    char         value[64];
    LS_TRY(run_text(p, path, number, line, &output));
    if (p->run->data.classes)
        sort_classes(p, output, classes);
    else
        snprintf(value, sizeof value, "%.6g", (double)*output);
    if (p->out && p->run->data.classes)
        fprintf(p->out, "%s\t%.6f\t%.*s\n", p->name[0], p->probability[0], (int)line.bytes, line.data);
    else if (p->out)
        fprintf(p->out, "%s\t%.*s\n", value, (int)line.bytes, line.data);
    if (p->out) return LS_OK;
    const ls_prediction prediction = {.source  = ls_arena_printf(p->run->memory, "%.*s", (int)line.bytes, line.data),
                                      .note    = p->run->data.classes ? NULL : value,
                                      .samples = 1,
                                      .classes = !p->run->data.classes ? 0 : (int)ls__min(classes, p->options->top),
                                      .name    = p->name,
                                      .probability = p->probability};
    return p->options->each(&prediction, p->options->context);
}

static ls_status predict_file(predictor *p, const char *path)
{
    ls_text_lines lines = {0};
    ls_status     status;
    LS_TRY(ls__text_lines_read(&lines, path, NULL));
    status = LS_OK;
    for (int64_t i = 0; i < lines.count && status == LS_OK; i++) {
        const ls_text_line line = ls_text_line_trim(lines.line[i].data, lines.line[i].bytes);
        status                  = predict_line(p, path, i + 1, line);
    }
    const int64_t count = lines.count;
    ls__text_lines_free(&lines);
    LS_TRY(status);
    if (!p->out) return LS_OK;
    return p->options->each(&(ls_prediction){.source = path, .samples = count, .out = p->options->out},
                            p->options->context);
}

static ls_status open_table(predictor *p)
{
    if (!p->options->out) return LS_OK;
    p->out = fopen(p->options->out, "we");
    if (!p->out) return LS_FAIL_ERRNO("%s: cannot be written", p->options->out);
    fputs(p->run->data.classes ? "label\tprobability\ttext\n" : "value\ttext\n", p->out);
    return LS_OK;
}

static ls_status close_table(predictor *p, ls_status status)
{
    if (!p->out) return status;
    const bool bad = ferror(p->out) != 0;
    if ((fclose(p->out) != 0 || bad) && status == LS_OK) return LS_FAIL_ERRNO("%s: cannot be written", p->options->out);
    return status;
}

static ls_status predict_files(ls_run *run, const ls_predict_options *options)
{
    predictor    p       = {.run = run, .options = options};
    const size_t classes = (size_t)ls__cols(run->logits);
    p.all                = ls_arena_alloc(run->memory, classes * sizeof *p.all);
    p.probability        = ls_arena_alloc(run->memory, classes * sizeof *p.probability);
    p.name               = ls_arena_alloc(run->memory, classes * sizeof *p.name);
    p.rank               = ls_arena_alloc(run->memory, classes * sizeof *p.rank);
    if (!run->tokenizer) LS_TRY(ls_tokenizer_load(&run->tokenizer, run->directory)); /* the run frees it */
    p.tokenizer      = run->tokenizer;
    ls_status status = ls_model_new(&p.model, run->graph, run->loaded ? run->loaded : ls_trainer_params(run->trainer),
                                    &run->logits, 1, 1);
    if (status == LS_OK) status = open_table(&p);
    for (int i = 0; i < options->files && status == LS_OK; i++) status = predict_file(&p, options->file[i]);
    status = close_table(&p, status);
    ls_model_free(p.model);
    ls_text_tokens_free(&p.tokens);
    return status;
}

/* Rank 0 predicts. */
static ls_status predict(ls_run *run, const ls_predict_options *options)
{
    LS_TRY_COLLECTIVE(run, run->is_root ? predict_files(run, options) : LS_OK);
    return LS_OK;
}

/* ---- the rows ---------------------------------------------------------------------------------------------------- */

#define TEXT_LABELS                                                                                                    \
    .data = "labelled texts", .card = "labelled texts", .unit = "samples", .split_title = "Validation",                \
    .use = "`lockstep predict RUN TEXTS` classifies the lines of a file", .sample_text = sample_text,                  \
    .samples_text = "texts of", .check_splits = check_splits, .build = build, .write_card = write_card,                \
    .read_card = read_card, .check_card = check_card, .save_files = save_files, .verify_files = verify_files,          \
    .report_data = report_data, .predict = predict

const ls_task ls__task_text_classification = {
    TEXT_LABELS,
    .name    = "text classification",
    .metric  = class_metrics,
    .accepts = accepts_classes,
    .score   = ls_score_accuracy,
};

const ls_task ls__task_text_regression = {
    TEXT_LABELS,      .name = "text regression",      .metric = value_metrics, .accepts = accepts_values,
    .extras = extras, .sample_scores = sample_scores, .score = score_values,
};
