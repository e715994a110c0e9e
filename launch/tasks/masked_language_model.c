/* SPDX-License-Identifier: Apache-2.0
 *
 * Pretraining of encoders of texts (Devlin 2019): masked language modelling, and for BERT next sentence.
 *      tokens, type, target: B x T, length, next: B  ->  cross entropy per masked token + cross entropy of next
 *
 * The data are those of language models; a recipe with model.name: encoder trains on them in this way.  The samples are
 * described in datasets/text/masked_batch.c.  RoBERTa and DistilBERT have no next sentence, and one part of text.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/graph.h"
#include "datasets/files/dataset.h"
#include "launch/data/dataset_source.h"
#include "launch/report/report_html.h"
#include "launch/report/unit_text.h"
#include "launch/run/evaluate.h"
#include "launch/run/run_setup.h"
#include "launch/tasks/task.h"

static bool accepts(const ls_dataset_info *info) { return info->kind == LS_DATA_TEXT && info->masking.part > 0; }

/* ---- samples ----------------------------------------------------------------------------------------------------- */

/* Finds a token by its role, or by a name that BERT or RoBERTa gives it. */
static ls_status find_token(const ls_tokenizer *t, const ls_dataset_info *info, ls_token_role role,
                            const char *const name[2], int32_t *id)
{
    *id = ls_tokenizer_role(t, role);
    for (int k = 0; k < 2 && *id < 0; k++) *id = ls_tokenizer_find(t, name[k]);
    LS_CHECK(*id >= 0, LS_ERR_DATA,
             "%s: the tokenizer has no token %s, which a model of masked words needs" LS_HINT
             "import the text with --tokenizer wordpiece, or with the tokenizer of a pretrained encoder",
             info->path, name[0]);
    return LS_OK;
}

static ls_status find_tokens(const ls_tokenizer *t, const ls_dataset_info *info, ls_masking *m)
{
    LS_TRY(find_token(t, info, LS_TOKEN_CLS, (const char *const[]){"[CLS]", "<s>"}, &m->cls));
    LS_TRY(find_token(t, info, LS_TOKEN_SEP, (const char *const[]){"[SEP]", "</s>"}, &m->sep));
    return find_token(t, info, LS_TOKEN_MASK, (const char *const[]){"[MASK]", "<mask>"}, &m->mask);
}

/* Finds the tokens that continue a word ("##ing").  Their decoded text does not begin with a space. */
static ls_status find_pieces(const ls_recipe *r, const ls_tokenizer *t, const ls_dataset_info *info, bool *continues)
{
    LS_CHECK(ls_tokenizer_kind_of(t) == LS_TOKENIZER_WORDPIECE, LS_ERR_USAGE,
             "%s: data.whole_words: expected a tokenizer of kind wordpiece, found %s",
             ls_recipe_where(r, "data.whole_words"), info->tokenizer);
    for (int32_t id = 0; id < info->classes; id++) {
        size_t      bytes = 0;
        const char *text  = ls_tokenizer_token(t, id, &bytes);
        continues[id]     = text && bytes && text[0] != ' ' && !ls_tokenizer_is_special(t, id);
    }
    return LS_OK;
}

static ls_status mask_text(ls_dataset *d, const ls_recipe *r, const ls_encoder_args *a, const ls_tokenizer *t)
{
    const ls_dataset_info info = ls_dataset_info_of(d);
    ls_masking            m    = {.part = r->data.mask, .pairs = a->kind == LS_BERT};
    bool                 *continues;
    LS_TRY(find_tokens(t, &info, &m));
    if (!r->data.whole_words) return ls_dataset_mask(d, &m);
    continues = calloc((size_t)info.classes, sizeof *continues);
    LS_CHECK(continues, LS_ERR_ENV, "%s: no memory for %d tokens", info.path, info.classes);
    ls_status status = find_pieces(r, t, &info, continues);
    m.continues      = continues;
    if (status == LS_OK) status = ls_dataset_mask(d, &m);
    free(continues);
    return status;
}

/* Tokens of a sample: data.context, or as many as the model has positions, at most 128. */
static ls_status window_of(const ls_recipe *r, const ls_encoder_args *a, int64_t *context)
{
    enum { USUAL = 128, ROBERTA_FIRST = 2 };
    const int64_t positions = (a->context ? a->context : 512) - (a->kind == LS_ROBERTA ? ROBERTA_FIRST : 0);
    *context                = r->data.context ? r->data.context : positions < USUAL ? positions : USUAL;
    LS_CHECK(*context >= 8 && *context <= positions, LS_ERR_USAGE,
             "%s: data.context: expected 8 to %lld, the positions of the model, found %lld",
             ls_recipe_where(r, "data.context"), (long long)positions, (long long)*context);
    return LS_OK;
}

static ls_status prepare_text(ls_dataset *d, const ls_recipe *r, const ls_encoder_args *a)
{
    int64_t         context;
    ls_tokenizer   *t;
    ls_dataset_info info = ls_dataset_info_of(d);
    LS_TRY(window_of(r, a, &context));
    LS_TRY(ls_dataset_window(d, context));
    LS_TRY(ls_data_tokenizer(&t, &info));
    LS_CHECK(t, LS_ERR_DATA, "%s: expected tokenizer.json beside it, found none" LS_HINT "import the text again",
             info.path);
    ls_status status = mask_text(d, r, a, t);
    ls_tokenizer_free(t);
    return status;
}

/* Opens text for a recipe with an encoder; other data are left to other tasks. */
static ls_status open_text(ls_dataset **d, const ls_recipe *r, const char *path, const char *split, bool *opened)
{
    ls_encoder_args a;
    *opened = false;
    if (!ls_recipe_encoder(r, &a) || r->data.inputs[0]) return LS_OK;
    LS_TRY(ls_dataset_open(d, path, split));
    ls_status status = LS_OK;
    *opened          = (*d)->info.kind == LS_DATA_TEXT;
    if (*opened) status = prepare_text(*d, r, &a);
    if (*opened && status == LS_OK) return LS_OK;
    *opened = false;
    ls_dataset_free(*d);
    *d = NULL;
    return status;
}

static int64_t units(const ls_dataset_info *info) { return info->context; }

static int64_t split_units(const ls_dataset_info *info) { return info->tokens; }

static void sample_text(const ls_dataset_info *d, char *text, size_t bytes)
{
    snprintf(text, bytes, "%lld tokens, of which %.3g %% are masked, a vocabulary of %d", (long long)d->context,
             100 * (double)d->masking.part, d->classes);
}

static ls_status check_splits(const ls_dataset_info *a, const ls_dataset_info *b)
{
    return ls__task_language_model.check_splits(a, b);
}

static ls_status build(ls_run *run)
{
    const ls_dataset_info  *d     = &run->data;
    ls_graph               *g     = run->graph;
    const int64_t           width = d->context;
    const ls_encoder_inputs in    = {.x          = ls_input(g, "tokens", LS_I32, width),
                                     .length     = ls_input(g, "length", LS_I32),
                                     .type       = ls_input(g, "type", LS_I32, width),
                                     .vocabulary = d->classes,
                                     .target     = ls_input(g, "target", LS_I32, width),
                                     .next       = d->masking.pairs ? ls_input(g, "next", LS_I32) : NULL,
                                     .scale      = ls_input(g, "scale", LS_F32),
                                     .scores     = &run->logits};
    LS_CHECK(!run->recipe->train.label_smoothing, LS_ERR_USAGE,
             "%s: train.label_smoothing: expected 0 with masked words",
             ls_recipe_where(run->recipe, "train.label_smoothing"));
    return ls_recipe_build_encoder(run->recipe, g, &in, &(ls_recipe_output){d->classes, "token", "text"}, &run->loss);
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

enum { MASKED_LOSS, PERPLEXITY, NEXT_ACCURACY };

static const ls_task_metric metrics[] = {
    [MASKED_LOSS] = {.key     = "masked_loss",
                     .label   = "masked loss",
                     .console = "masked loss %.4f",
                     .result  = "%.4f",
                     .chart   = "Cross entropy of masked tokens on held-out text"},
    [PERPLEXITY]  = {.key = "perplexity", .label = "perplexity of masked tokens", .result = "%.2f", .log_scale = true},
    [NEXT_ACCURACY] = {.key              = "next_accuracy",
                       .label            = "next-sentence accuracy",
                       .console          = "next %6.2f %%",
                       .result           = "%.2f %%",
                       .scale            = 100,
                       .higher_is_better = true,
                       .is_share         = true},
    {0},
};

enum { SUM_MASKED, SUM_POSITIONS, SUM_NEXT, SUMS };

static int extras(const ls_run *run)
{
    (void)run;
    return SUMS;
}

static void sample_scores(const ls_run *run, const ls_batch *batch, int64_t row, const float *output, double *extra)
{
    const int64_t  width  = run->data.context;
    const int32_t *target = (const int32_t *)ls_batch_array(batch, "target") + row * width;
    extra[SUM_MASKED]     = (double)output[0];
    extra[SUM_POSITIONS]  = 0;
    extra[SUM_NEXT]       = 0;
    for (int64_t t = 0; t < width; t++) extra[SUM_POSITIONS] += target[t] >= 0;
    if (ls__cols(run->logits) < 3) return;
    extra[SUM_NEXT] = (output[2] > output[1]) == ((const int32_t *)ls_batch_array(batch, "next"))[row];
}

static void score(const ls_run *run, const ls_dataset_info *split, const ls_score_sums *sums, ls_scores *scores)
{
    (void)split;
    scores->metric[MASKED_LOSS] = sums->extra[SUM_MASKED] / sums->extra[SUM_POSITIONS];
    scores->metric[PERPLEXITY]  = exp(scores->metric[MASKED_LOSS]);
    if (ls__cols(run->logits) > 1) scores->metric[NEXT_ACCURACY] = sums->extra[SUM_NEXT] / (double)sums->samples;
}

/* ---- files of a run ---------------------------------------------------------------------------------------------- */

static ls_status write_card(json_t *json, const ls_dataset_card *card)
{
    const ls_masking *m = &card->info.masking;
    LS_TRY(ls__task_language_model.write_card(json, card));
    json_object_set_new(json, "mask", json_real((double)m->part));
    json_object_set_new(json, "pairs", json_boolean(m->pairs));
    json_object_set_new(json, "tokens", json_pack("[i, i, i]", m->cls, m->sep, m->mask));
    return LS_OK;
}

static bool read_card(const json_t *json, ls_dataset_card *card, ls_arena *memory)
{
    ls_dataset_info *info   = &card->info;
    const json_t    *tokens = json_object_get(json, "tokens");
    int32_t         *id[]   = {&info->masking.cls, &info->masking.sep, &info->masking.mask};
    if (!ls__task_language_model.read_card(json, card, memory)) return false;
    info->masking.part  = (float)json_number_value(json_object_get(json, "mask"));
    info->masking.pairs = json_is_true(json_object_get(json, "pairs"));
    for (size_t k = 0; k < 3; k++) {
        const json_int_t value = json_integer_value(json_array_get(tokens, k));
        if (value < 0 || value >= info->classes) return false;
        *id[k] = (int32_t)value;
    }
    return info->masking.part > 0 && info->masking.part < 1;
}

static ls_status check_card(const char *folder, const ls_dataset_info *card, const ls_dataset_info *info)
{
    return ls__task_language_model.check_card(folder, card, info);
}

static ls_status save_files(const ls_dataset_info *info, const char *folder)
{
    return ls__task_language_model.save_files(info, folder);
}

static ls_status verify_files(const ls_dataset_info *info) { return ls__task_language_model.verify_files(info); }

static void report_data(ls_report *report, const ls_run *run)
{
    ls__task_language_model.report_data(report, run);
    ls_report_row(report, "Masked|%.3g %% of the tokens", 100 * (double)run->data.masking.part);
}

const ls_task ls__task_masked_language_model = {
    .name        = "masked language modelling",
    .data        = "text",
    .card        = "masked text",
    .unit        = "tokens",
    .split_title = "Validation",
    .use = "`lockstep embed` computes vectors of texts, and `train bert-sst2 model.pretrained=RUN` continues from it",
    .metric        = metrics,
    .accepts       = accepts,
    .open          = open_text,
    .units         = units,
    .split_units   = split_units,
    .sample_text   = sample_text,
    .samples_text  = "windows of",
    .check_splits  = check_splits,
    .build         = build,
    .extras        = extras,
    .sample_scores = sample_scores,
    .score         = score,
    .write_card    = write_card,
    .read_card     = read_card,
    .check_card    = check_card,
    .save_files    = save_files,
    .verify_files  = verify_files,
    .report_data   = report_data,
};
