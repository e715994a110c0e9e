/* SPDX-License-Identifier: Apache-2.0
 *
 * Translation.      source: B x S, previous, target: B x T  ->  cross-entropy per target token, perplexity, BLEU
 *
 * A sample is a pair of sentences.  S and T are the lengths of the longest sentences of a global batch.  The loss is a
 * sum over the target tokens, end tokens included, divided by their number in the global batch.
 *
 * An evaluation also translates the first eval.translations sources of its split, and compares them with the lines of
 * the target as they were imported.  `bleu` is lower-cased, `sacrebleu` is the score that papers report; both use the
 * tokenizer 13a of sacreBLEU.  Made pairs have one right translation, so their score is the share of sequences without
 * an error.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/io/paths.h"
#include "launch/data/dataset_source.h"
#include "launch/report/report_html.h"
#include "launch/report/unit_text.h"
#include "launch/run/run_setup.h"
#include "launch/tasks/task.h"
#include "launch/translate/alignment_picture.h"
#include "launch/translate/translate.h"

static bool accepts(const ls_dataset_info *info) { return info->kind == LS_DATA_PAIRS; }

static void sample_text(const ls_dataset_info *d, char *text, size_t bytes)
{
    snprintf(text, bytes, "at most %lld and %lld tokens, vocabularies of %d and %d%s", (long long)d->source_length,
             (long long)d->target_length, d->source_vocabulary, d->classes, d->joint ? ", joint" : "");
}

/* Whether two descriptions have the same vocabularies. */
static bool same_vocabularies(const ls_dataset_info *a, const ls_dataset_info *b)
{
    return a->classes == b->classes && a->source_vocabulary == b->source_vocabulary && a->joint == b->joint &&
           a->end == b->end && a->source_end == b->source_end && !strcmp(a->tokenizer_hash, b->tokenizer_hash) &&
           !strcmp(a->source_tokenizer_hash, b->source_tokenizer_hash);
}

static ls_status check_splits(const ls_dataset_info *a, const ls_dataset_info *b)
{
    LS_CHECK(same_vocabularies(a, b), LS_ERR_DATA,
             "%s: expected the tokens of the same tokenizers in %s and %s, found hashes %s, %s and %s, %s" LS_HINT
             "import the pairs again",
             a->path, a->split, b->split, a->source_tokenizer_hash, a->tokenizer_hash, b->source_tokenizer_hash,
             b->tokenizer_hash);
    return LS_OK;
}

/* The greatest widths of the splits that are open. */
static void find_widths(const ls_run *run, int64_t *source, int64_t *target)
{
    ls_dataset *const split[] = {run->train, run->test};
    *source                   = run->data.source_length;
    *target                   = run->data.target_length;
    for (int i = 0; i < 2; i++) {
        if (!split[i]) continue;
        const ls_dataset_info info = ls_dataset_info_of(split[i]);
        if (info.source_length > *source) *source = info.source_length;
        if (info.target_length > *target) *target = info.target_length;
    }
}

static ls_status build(ls_run *run)
{
    ls_graph *g = run->graph;
    int64_t   source, target;
    find_widths(run, &source, &target);
    return ls_recipe_build_translation(run->recipe,
                                       &(ls_translation_inputs){.g              = g,
                                                                .source         = ls_input(g, "source", LS_I32, source),
                                                                .classes        = run->data.classes,
                                                                .source_classes = run->data.source_vocabulary,
                                                                .joint          = run->data.joint,
                                                                .source_length  = ls_input(g, "source_length", LS_I32),
                                                                .previous = ls_input(g, "previous", LS_I32, target),
                                                                .target   = ls_input(g, "target", LS_I32, target)},
                                       &run->loss);
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

enum { SEQUENCES, BLEU, SACREBLEU, PERPLEXITY };

static const ls_task_metric metrics[] = {
    [SEQUENCES]  = {.key              = "sequence_accuracy",
                    .label            = "sequence accuracy",
                    .console          = "sequences %6.2f %%",
                    .result           = "%.2f %%",
                    .scale            = 100,
                    .of_split         = true,
                    .higher_is_better = true,
                    .chart            = "Share of held-out sequences without an error",
                    .chart_max        = 1},
    [BLEU]       = {.key              = "bleu",
                    .label            = "BLEU, lower-cased",
                    .console          = "BLEU %5.2f",
                    .result           = "%.2f",
                    .chart            = "BLEU on held-out pairs, lower-cased",
                    .higher_is_better = true},
    [SACREBLEU]  = {.key = "sacrebleu", .label = "sacreBLEU", .result = "%.2f", .higher_is_better = true},
    [PERPLEXITY] = {.key       = "perplexity",
                    .label     = "perplexity per token",
                    .console   = "perplexity %-8.3f",
                    .result    = "%.3f",
                    .chart     = "Perplexity per target token on held-out pairs",
                    .log_scale = true},
    {0},
};

static void score(const ls_run *run, const ls_dataset_info *split, const ls_score_sums *sums, ls_scores *scores)
{
    (void)run;
    (void)split;
    (void)sums;
    scores->metric[PERPLEXITY] = exp(scores->loss);
}

static ls_status further_scores(ls_run *run, ls_dataset *split, ls_scores *scores)
{
    ls_translation_scores s;
    const ls_dataset_info info = ls_dataset_info_of(split);
    const int64_t         most = run->recipe->eval.translations;
    if (!most) return LS_OK;
    LS_TRY(ls_translate_split(run, split, most < info.count ? most : info.count, &s));
    if (info.made) {
        scores->metric[SEQUENCES] = s.exact;
        return LS_OK;
    }
    scores->metric[BLEU]      = s.lowercase_bleu;
    scores->metric[SACREBLEU] = s.bleu;
    return LS_OK;
}

/* ---- files of a run ---------------------------------------------------------------------------------------------- */

static ls_status write_card(json_t *json, const ls_dataset_card *card)
{
    const ls_dataset_info *d = &card->info;
    json_object_set_new(json, "source_vocabulary", json_integer(d->source_vocabulary));
    json_object_set_new(json, "vocabulary", json_integer(d->classes));
    json_object_set_new(json, "joint", json_boolean(d->joint));
    json_object_set_new(json, "source_length", json_integer(d->source_length));
    json_object_set_new(json, "target_length", json_integer(d->target_length));
    json_object_set_new(json, "source_end", json_integer(d->source_end));
    json_object_set_new(json, "end", json_integer(d->end));
    json_object_set_new(json, "source_tokenizer", json_string(d->source_tokenizer));
    json_object_set_new(json, "source_tokenizer_hash", json_string(d->source_tokenizer_hash));
    json_object_set_new(json, "tokenizer", json_string(d->tokenizer));
    json_object_set_new(json, "tokenizer_hash", json_string(d->tokenizer_hash));
    return LS_OK;
}

/* Reads an integer between `least` and `most`; false: another value. */
static bool read_int(const json_t *json, const char *key, int64_t least, int64_t most, int64_t *value)
{
    const json_t *v = json_object_get(json, key);
    *value          = json_integer_value(v);
    return json_is_integer(v) && *value >= least && *value <= most;
}

static const char *read_text(const json_t *json, const char *key, ls_arena *memory, bool *ok)
{
    const char *text = json_string_value(json_object_get(json, key));
    *ok              = *ok && text;
    return text ? ls_arena_strdup(memory, text) : NULL;
}

static bool read_card(const json_t *json, ls_dataset_card *card, ls_arena *memory)
{
    enum { MAX_VOCABULARY = 1 << 20, MAX_LENGTH = 1 << 16 };
    ls_dataset_info *d = &card->info;
    int64_t          source_vocabulary, vocabulary, source_end, end;
    bool             ok = read_int(json, "source_vocabulary", 2, MAX_VOCABULARY, &source_vocabulary) &&
              read_int(json, "vocabulary", 2, MAX_VOCABULARY, &vocabulary) &&
              read_int(json, "source_length", 1, MAX_LENGTH, &d->source_length) &&
              read_int(json, "target_length", 1, MAX_LENGTH, &d->target_length) &&
              read_int(json, "source_end", 0, source_vocabulary - 1, &source_end) &&
              read_int(json, "end", 0, vocabulary - 1, &end);
    if (!ok) return false;
    d->kind                  = LS_DATA_PAIRS;
    d->source_vocabulary     = (int)source_vocabulary;
    d->classes               = (int)vocabulary;
    d->source_end            = (int32_t)source_end;
    d->end                   = (int32_t)end;
    d->joint                 = json_is_true(json_object_get(json, "joint"));
    d->source_tokenizer      = read_text(json, "source_tokenizer", memory, &ok);
    d->source_tokenizer_hash = read_text(json, "source_tokenizer_hash", memory, &ok);
    d->tokenizer             = read_text(json, "tokenizer", memory, &ok);
    d->tokenizer_hash        = read_text(json, "tokenizer_hash", memory, &ok);
    return ok && (!d->joint || d->source_vocabulary == d->classes);
}

static ls_status check_card(const char *folder, const ls_dataset_info *card, const ls_dataset_info *info)
{
    LS_CHECK(same_vocabularies(card, info), LS_ERR_USAGE,
             "%s: the run was begun with other vocabularies: %d and %d tokens (hashes %s, %s), but %s has %d and %d "
             "(hashes %s, %s)" LS_HINT "import the pairs with the run's own tokenizers, %s/source/tokenizer.json and "
             "%s/target/tokenizer.json",
             folder, card->source_vocabulary, card->classes, card->source_tokenizer_hash, card->tokenizer_hash,
             info->path, info->source_vocabulary, info->classes, info->source_tokenizer_hash, info->tokenizer_hash,
             folder, folder);
    return LS_OK;
}

static ls_status save_tokenizer(const ls_tokenizer *t, const char *folder, const char *side)
{
    char path[LS_PATH_BYTES];
    LS_TRY(ls__path(path, "%s/%s", folder, side));
    return ls_tokenizer_save(t, path);
}

/* The run directory has a copy of the tokenizers: the model translates where the data are not. */
static ls_status save_files(const ls_dataset_info *info, const char *folder)
{
    ls_tokenizer *source, *target;
    LS_TRY(ls_data_pair_tokenizers(&source, &target, info));
    ls_status status = save_tokenizer(source, folder, "source");
    if (status == LS_OK) status = save_tokenizer(target, folder, "target");
    ls_tokenizer_free(source);
    ls_tokenizer_free(target);
    return status;
}

/* Checks that the tokenizers are those that the files were made with. */
static ls_status verify_files(const ls_dataset_info *info)
{
    ls_tokenizer *source, *target;
    LS_TRY(ls_data_pair_tokenizers(&source, &target, info));
    ls_tokenizer_free(source);
    ls_tokenizer_free(target);
    return LS_OK;
}

static void report_data(ls_report *report, const ls_run *run)
{
    const ls_dataset_info *d = &run->data;
    char                   source[32], target[32], tokens[32];
    ls__count_text(source, sizeof source, d->source_vocabulary);
    ls__count_text(target, sizeof target, d->classes);
    ls__count_text(tokens, sizeof tokens, d->tokens);
    ls_report_row(report, "A sample|a pair of at most %lld and %lld tokens", (long long)d->source_length,
                  (long long)d->target_length);
    ls_report_row(report, "Vocabularies|%s and %s%s", source, target, d->joint ? ", joint" : "");
    ls_report_row(report, "Tokenizers|%s and %s", d->source_tokenizer, d->tokenizer);
    ls_report_row(report, "Target tokens for training|%s", tokens);
}

const ls_task ls__task_translation = {
    .name           = "translation",
    .data           = "sentence pairs",
    .card           = "pairs",
    .unit           = "pairs",
    .split_title    = "Validation",
    .use            = "`lockstep translate` translates text",
    .metric         = metrics,
    .accepts        = accepts,
    .sample_text    = sample_text,
    .samples_text   = "pairs of",
    .check_splits   = check_splits,
    .build          = build,
    .score          = score,
    .further_scores = further_scores,
    .write_card     = write_card,
    .read_card      = read_card,
    .check_card     = check_card,
    .save_files     = save_files,
    .verify_files   = verify_files,
    .examine        = ls_examine_translation,
    .report_data    = report_data,
};
