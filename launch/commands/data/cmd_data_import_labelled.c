/* SPDX-License-Identifier: Apache-2.0
 * `lockstep data import labelled`: a dataset of labelled texts, for classification and regression. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "launch/commands/data/cmd_data_internal.h"
#include "launch/report/unit_text.h"
#include "launch/run/progress.h"

static void show_progress(void *bar, int64_t samples, int64_t of)
{
    ls_bar_update(
        bar,
        &(ls_bar_state){
            .what = "samples", .step = samples, .steps = of, .loss = NAN, .samples_per_s = NAN, .seconds_left = NAN});
}

/* Prints one line for each split, and one for each number of samples that were not imported as they are. */
static void print_summary(const ls_labelled_import *import)
{
    static const char *const split[] = {"train", "valid", "test"};
    char                     count[2][32];
    for (int s = 0; s < LS_LABELLED_SPLITS; s++) {
        if (!import->samples[s]) continue;
        ls__count_text(count[0], sizeof count[0], import->samples[s]);
        ls__count_text(count[1], sizeof count[1], import->tokens[s]);
        printf("%s: %s: %s samples, %s tokens, at most %lld in a sample\n", import->out, split[s], count[0], count[1],
               (long long)import->longest[s]);
        const struct {
            int64_t     count;
            const char *text;
        } note[] = {{import->empty[s], "samples with an empty text were left out"},
                    {import->cut[s], "samples were cut to --max-length"},
                    {import->replaced[s], "sequences that are not UTF-8 were replaced by U+FFFD"}};
        for (size_t i = 0; i < sizeof note / sizeof *note; i++)
            if (note[i].count)
                printf("%s: %s: %lld %s\n", import->out, split[s], (long long)note[i].count, note[i].text);
    }
    ls__count_text(count[0], sizeof count[0], import->found);
    if (import->classes)
        printf("%s: %d classes, a vocabulary of %s tokens\n", import->out, import->classes, count[0]);
    else
        printf("%s: numbers to predict, a vocabulary of %s tokens\n", import->out, count[0]);
}

/* --valid is a file or a fraction. */
static void set_valid(ls_labelled_import *import, const char *text)
{
    char        *end      = NULL;
    const double fraction = text ? strtod(text, &end) : 0.1;
    if (!text || (end != text && !*end))
        import->valid = fraction;
    else
        import->file[LS_LABELLED_VALID] = text;
}

static ls_status import_labelled(int argc, char **argv)
{
    enum { MAX_VOCABULARY = 1 << 20, MAX_LENGTH = (1 << 16) - 1 };
    static ls_args args;
    ls_bar         bar;
    long long      vocabulary, max_length, min_count;
    LS_TRY(ls_args_parse(&args, argc, argv));
    LS_TRY(ls_args_int(&args, "vocab", 1, MAX_VOCABULARY, 0, &vocabulary));
    LS_TRY(ls_args_int(&args, "min-count", 1, INT32_MAX, 0, &min_count));
    LS_TRY(ls_args_int(&args, "max-length", 4, MAX_LENGTH, LS_LABELLED_LENGTH, &max_length));
    const char        *tokenizer = ls_args_option(&args, "tokenizer");
    ls_labelled_import import    = {.size       = sizeof import,
                                    .file       = {args.positional[0], NULL, ls_args_option(&args, "test")},
                                    .out        = args.positional[1],
                                    .text       = ls_args_option(&args, "text"),
                                    .second     = ls_args_option(&args, "second"),
                                    .label      = ls_args_option(&args, "label"),
                                    .regression = ls_args_option(&args, "regression") != NULL,
                                    .tokenizer  = tokenizer ? tokenizer : "bpe",
                                    .vocabulary = (int32_t)vocabulary,
                                    .min_count  = min_count,
                                    .lowercase  = ls_args_option(&args, "lowercase") != NULL,
                                    .max_length = max_length,
                                    .progress   = show_progress,
                                    .context    = &bar};
    set_valid(&import, ls_args_option(&args, "valid"));
    ls_bar_open(&bar, true);
    ls_status status = ls_import_labelled(&import);
    ls_bar_close(&bar);
    if (status == LS_OK) print_summary(&import);
    return status;
}

const ls_command ls__command_data_import_labelled = {
    .name      = "data import labelled",
    .arguments = "FILE OUT",
    .text      = "make a dataset of labelled texts, for classification and regression",
    .help      = "FILE is .csv or .tsv with a header line, or .jsonl with one object per line.  In .tsv quotes are "
                 "ordinary characters.\n"
                 "Labels that are texts or whole numbers are classes; other numbers are predicted as numbers.  The "
                 "columns sentence, text,\n"
                 "sentence1 and sentence2, premise and hypothesis, and label are found by their names.  Samples with "
                 "an empty text are\n"
                 "left out and counted.  OUT becomes a folder with train.h5, valid.h5, test.h5 (with --test) and "
                 "tokenizer.json.\n"
                 "\n"
                 "  lockstep data import labelled train.tsv data/sst2 --valid dev.tsv --tokenizer bert-base-uncased",
    .options   = LS_OPTIONS(
          {"valid", "FILE|F", "file of the split valid, or the part of the samples that becomes it; default 0.1"},
          {"test", "FILE", "file of the split test; default: no such split"}, {"text", "COLUMN", "column of the text"},
          {"second", "COLUMN", "column of the second text, of pairs"},
          {"label", "COLUMN", "column of the label; default label"},
          {"regression", NULL, "labels are numbers to predict, also if all are whole numbers"},
          {"tokenizer", "TOKENIZER",
           "path of a tokenizer, such as that of the pretrained model; bpe, words, wordpiece or chars (learnt from "
             "FILE), or bytes; default bpe"},
          {"vocab", "N",
           "size of the vocabulary that bpe learns, tokens; default 8192; words: the most frequent N; default: all"},
          {"min-count", "N", "words: least number of occurrences of a word that does not become <unk>; default 1"},
          {"lowercase", NULL, "the learnt tokenizer lower-cases texts"},
          {"max-length", "N", "longer samples are cut to N tokens and counted; default 128"}),
    .run = import_labelled,
};
