/* SPDX-License-Identifier: Apache-2.0
 *
 * Language modelling.      tokens: B x T, target: B x T  ->  cross-entropy per token, perplexity, bits per byte
 *
 * A sample is a window of T tokens, its target the token that follows each.  With data.streams the model carries its
 * state from one window of a stream to the next.  Perplexity is e^loss.  Bits per byte is
 * loss / ln 2 x tokens / bytes of the split's text, which compares models with different tokenizers.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "launch/data/dataset_source.h"
#include "launch/report/report_html.h"
#include "launch/report/unit_text.h"
#include "launch/run/run_setup.h"
#include "launch/tasks/task.h"

static bool accepts(const ls_dataset_info *info) { return info->kind == LS_DATA_TEXT; }

/* Cuts the text into windows of the recipe's context length. */
static ls_status prepare(ls_dataset *d, const ls_recipe *r)
{
    int64_t context;
    LS_TRY(ls_recipe_context(r, &context));
    LS_TRY(ls_dataset_window(d, context));
    return r->data.streams ? ls_dataset_streams(d) : LS_OK;
}

/* The recipe determines the shapes when it sets model.classes, or the vocabulary is that of bytes. */
static bool describe_unopened(const ls_recipe *r, ls_dataset_info *info)
{
    enum { BYTES = 256 };
    int64_t context, vocabulary = r->model.classes;
    if (!ls_recipe_is_language(r) || ls_recipe_context(r, &context) != LS_OK) return false;
    if (!vocabulary && r->data.tokenizer && !strcmp(r->data.tokenizer, "bytes")) vocabulary = BYTES;
    if (!vocabulary && r->data.tokenizer && !strcmp(r->data.tokenizer, "bpe")) vocabulary = r->data.vocab;
    if (!vocabulary) return false;
    *info = (ls_dataset_info){.kind           = LS_DATA_TEXT,
                              .split          = "train",
                              .path           = r->data.path,
                              .classes        = (int)vocabulary,
                              .context        = context,
                              .streams        = r->data.streams,
                              .tokenizer      = r->data.tokenizer ? r->data.tokenizer : "",
                              .tokenizer_hash = ""};
    return true;
}

static int64_t units(const ls_dataset_info *info) { return info->context; }

static int64_t split_units(const ls_dataset_info *info) { return info->tokens; }

static void sample_text(const ls_dataset_info *d, char *text, size_t bytes)
{
    snprintf(text, bytes, "%lld tokens, a vocabulary of %d", (long long)d->context, d->classes);
}

static ls_status check_splits(const ls_dataset_info *a, const ls_dataset_info *b)
{
    LS_CHECK(a->classes == b->classes && !strcmp(a->tokenizer_hash, b->tokenizer_hash), LS_ERR_DATA,
             "%s: expected the tokens of one tokenizer in %s and %s, found vocabularies of %d and %d, hashes %s "
             "and %s" LS_HINT "import the text again",
             a->path, a->split, b->split, a->classes, b->classes, a->tokenizer_hash, b->tokenizer_hash);
    return LS_OK;
}

static ls_status build(ls_run *run)
{
    ls_language_inputs in = {.x      = ls_input(run->graph, "tokens", LS_I32, run->data.context),
                             .target = ls_input(run->graph, "target", LS_I32, run->data.context),
                             .cached = run->data.streams};
    if (in.cached) in.start = ls_input(run->graph, "start", LS_I32);
    return ls_recipe_build_language(run->recipe, run->graph, &in, run->data.classes, &run->loss);
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

enum { ACCURACY, PERPLEXITY, BITS_PER_BYTE, WORD_PERPLEXITY };

static const ls_task_metric metrics[] = {
    [ACCURACY]      = {.key = "accuracy", .higher_is_better = true}, /* null in metrics.jsonl */
    [PERPLEXITY]    = {.key       = "perplexity",
                       .label     = "perplexity per token",
                       .console   = "perplexity %-8.3f",
                       .result    = "%.3f",
                       .chart     = "Perplexity on held-out text",
                       .log_scale = true},
    [BITS_PER_BYTE] = {.key     = "bits_per_byte",
                       .label   = "bits per byte",
                       .console = "bits/byte %.3f",
                       .result  = "%.4f",
                       .figure  = "%.3f",
                       .chart   = "Bits per byte on held-out text"},
    /* Only with the tokenizer `words`: a token is a word or the end of a line. */
    [WORD_PERPLEXITY] = {.key = "word_perplexity", .label = "perplexity per word", .result = "%.3f"},
    {0},
};

static void score(const ls_run *run, const ls_dataset_info *split, const ls_score_sums *sums, ls_scores *scores)
{
    (void)run;
    (void)sums;
    scores->metric[PERPLEXITY] = exp(scores->loss);
    if (split->tokenizer && !strcmp(split->tokenizer, ls_tokenizer_kind_text(LS_TOKENIZER_WORDS)))
        scores->metric[WORD_PERPLEXITY] = scores->metric[PERPLEXITY];
    if (split->bytes)
        scores->metric[BITS_PER_BYTE] = scores->loss / log(2) * (double)split->tokens / (double)split->bytes;
}

/* ---- files of a run ---------------------------------------------------------------------------------------------- */

static ls_status write_card(json_t *json, const ls_dataset_card *card)
{
    const ls_dataset_info *info = &card->info;
    json_object_set_new(json, "vocabulary", json_integer(info->classes));
    json_object_set_new(json, "context", json_integer(info->context));
    if (info->streams) json_object_set_new(json, "streams", json_true());
    json_object_set_new(json, "tokenizer", json_string(info->tokenizer));
    json_object_set_new(json, "tokenizer_hash", json_string(info->tokenizer_hash));
    return LS_OK;
}

static bool read_card(const json_t *json, ls_dataset_card *card, ls_arena *memory)
{
    ls_dataset_info *info       = &card->info;
    json_int_t       vocabulary = json_integer_value(json_object_get(json, "vocabulary"));
    json_int_t       context    = json_integer_value(json_object_get(json, "context"));
    const char      *tokenizer  = json_string_value(json_object_get(json, "tokenizer"));
    const char      *hash       = json_string_value(json_object_get(json, "tokenizer_hash"));
    if (vocabulary < 1 || vocabulary > 1 << 20 || context < 1 || context > LS_MAX_CONTEXT || !tokenizer || !hash)
        return false;
    info->kind           = LS_DATA_TEXT;
    info->classes        = (int)vocabulary;
    info->context        = context;
    info->streams        = json_is_true(json_object_get(json, "streams"));
    info->tokenizer      = ls_arena_strdup(memory, tokenizer);
    info->tokenizer_hash = ls_arena_strdup(memory, hash);
    return true;
}

static ls_status check_card(const char *folder, const ls_dataset_info *card, const ls_dataset_info *info)
{
    LS_CHECK(card->classes == info->classes && !strcmp(card->tokenizer_hash, info->tokenizer_hash), LS_ERR_USAGE,
             "%s: the run was begun with another vocabulary: %d tokens (tokenizer %s, hash %s), but %s has %d "
             "(tokenizer %s, hash %s)" LS_HINT "import the text with the run's own tokenizer: `lockstep data import "
             "text FILE OUT --tokenizer %s/tokenizer.json`",
             folder, card->classes, card->tokenizer, card->tokenizer_hash, info->path, info->classes, info->tokenizer,
             info->tokenizer_hash, folder);
    return LS_OK;
}

/* The run directory has a copy of the tokenizer: the model generates text where the data are not. */
static ls_status save_files(const ls_dataset_info *info, const char *folder)
{
    ls_tokenizer *tokenizer;
    LS_TRY(ls_data_tokenizer(&tokenizer, info));
    ls_status status = tokenizer ? ls_tokenizer_save(tokenizer, folder) : LS_OK;
    ls_tokenizer_free(tokenizer);
    return status;
}

/* Checks that tokenizer.json is the one that the files were made with. */
static ls_status verify_files(const ls_dataset_info *info)
{
    ls_tokenizer *tokenizer;
    LS_TRY(ls_data_tokenizer(&tokenizer, info));
    ls_tokenizer_free(tokenizer);
    return LS_OK;
}

static void report_data(ls_report *report, const ls_run *run)
{
    const ls_dataset_info *d = &run->data;
    char                   vocabulary[32], tokens[32];
    ls__count_text(vocabulary, sizeof vocabulary, d->classes);
    ls__count_text(tokens, sizeof tokens, d->tokens);
    ls_report_row(report, "A sample|%lld tokens", (long long)d->context);
    ls_report_row(report, "Vocabulary|%s", vocabulary);
    if (*d->tokenizer) ls_report_row(report, "Tokenizer|%s", d->tokenizer);
    ls_report_row(report, "Training tokens|%s", tokens);
}

const ls_task ls__task_language_model = {
    .name              = "language modelling",
    .data              = "text",
    .card              = "text",
    .unit              = "tokens",
    .split_title       = "Validation",
    .use               = "`lockstep generate` generates text",
    .metric            = metrics,
    .accepts           = accepts,
    .prepare           = prepare,
    .describe_unopened = describe_unopened,
    .units             = units,
    .split_units       = split_units,
    .sample_text       = sample_text,
    .samples_text      = "windows of",
    .check_splits      = check_splits,
    .build             = build,
    .score             = score,
    .write_card        = write_card,
    .read_card         = read_card,
    .check_card        = check_card,
    .save_files        = save_files,
    .verify_files      = verify_files,
    .report_data       = report_data,
};
