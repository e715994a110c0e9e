/* SPDX-License-Identifier: Apache-2.0
 * `lockstep data import pairs`: a dataset of pairs of sentences, for translation, from files of lines. */
#include <stdio.h>

#include "launch/commands/data/cmd_data_internal.h"
#include "launch/report/unit_text.h"
#include "launch/run/progress.h"

/* Prints one line for each split, and one for each number of lines that were not imported as they are. */
static void print_summary(const ls_pairs_import *import)
{
    static const char *const split[] = {"train", "valid", "test"};
    char                     count[4][32];
    for (int s = 0; s < LS_PAIRS_SPLITS; s++) {
        if (!import->source[s]) continue;
        ls__count_text(count[0], sizeof count[0], import->pairs[s]);
        for (int side = 0; side < 2; side++)
            ls__count_text(count[1 + side], sizeof count[1 + side], import->tokens[s][side]);
        printf("%s: %s: %s pairs, %s + %s tokens (source + target), at most %lld + %lld in a sentence\n", import->out,
               split[s], count[0], count[1], count[2], (long long)import->longest[s][0],
               (long long)import->longest[s][1]);
        const struct {
            int64_t     count;
            const char *text;
        } note[] = {{import->empty[s], "pairs with an empty line were left out"},
                    {import->too_long[s], "pairs with a sentence longer than --max-length were left out"},
                    {import->replaced[s], "sequences that are not UTF-8 were replaced by U+FFFD"}};
        for (size_t i = 0; i < sizeof note / sizeof *note; i++)
            if (note[i].count)
                printf("%s: %s: %lld %s\n", import->out, split[s], (long long)note[i].count, note[i].text);
    }
    for (int side = 0; side < 2; side++) ls__count_text(count[side], sizeof count[side], import->found[side]);
    if (import->separate)
        printf("%s: vocabularies of %s (source) and %s (target) tokens\n", import->out, count[0], count[1]);
    else
        printf("%s: a vocabulary of %s tokens for both sides\n", import->out, count[0]);
}

static ls_status import_pairs(int argc, char **argv)
{
    enum { MAX_VOCABULARY = 1 << 20, MAX_LENGTH = (1 << 16) - 1 };
    static ls_args args;
    ls_bar         bar;
    long long      vocabulary, max_length, min_count;
    LS_TRY(ls_args_parse(&args, argc, argv));
    LS_TRY(ls_args_int(&args, "vocab", 1, MAX_VOCABULARY, 0, &vocabulary));
    LS_TRY(ls_args_int(&args, "min-count", 1, INT32_MAX, 0, &min_count));
    LS_TRY(ls_args_int(&args, "max-length", 1, MAX_LENGTH, LS_PAIRS_LENGTH, &max_length));
    const char *tokenizer = ls_args_option(&args, "tokenizer"), *const held_out[] = {NULL, "valid", "test"};
    ls_pairs_import import = {.size       = sizeof import,
                              .source     = {args.positional[0]},
                              .target     = {args.positional[1]},
                              .out        = args.positional[2],
                              .tokenizer  = tokenizer ? tokenizer : "bpe",
                              .vocabulary = (int32_t)vocabulary,
                              .min_count  = min_count,
                              .lowercase  = ls_args_option(&args, "lowercase") != NULL,
                              .separate   = ls_args_option(&args, "separate") != NULL,
                              .max_length = max_length,
                              .skip_long  = ls_args_option(&args, "skip-long") != NULL,
                              .progress   = ls__import_progress,
                              .context    = &bar};
    for (int s = LS_PAIRS_VALID; s < LS_PAIRS_SPLITS; s++) {
        import.source[s] = ls_args_option_at(&args, held_out[s], 0);
        import.target[s] = ls_args_option_at(&args, held_out[s], 1);
        LS_CHECK(!ls_args_option_at(&args, held_out[s], 2), LS_ERR_USAGE,
                 "data import pairs: --%s: expected once, found several", held_out[s]);
    }
    ls_bar_open(&bar, true);
    ls_status status = ls_import_pairs(&import);
    ls_bar_close(&bar);
    if (status == LS_OK) print_summary(&import);
    return status;
}

const ls_command ls__command_data_import_pairs = {
    .name      = "data import pairs",
    .arguments = "SRC TGT OUT",
    .text      = "make a dataset of pairs of sentences, for translation",
    .help    = "Line i of TGT is the translation of line i of SRC.  The files are UTF-8, plain or compressed by gzip; "
               "invalid bytes\n"
               "are replaced by U+FFFD and counted.  Pairs with an empty line are left out and counted.  OUT becomes "
               "a folder with\n"
               "train.h5, valid.h5 and test.h5 (with --valid and --test), source/tokenizer.json and "
               "target/tokenizer.json.  Tokenizers\n"
               "are learnt from SRC and TGT alone.\n"
               "\n"
               "  lockstep data import pairs train.en.gz train.de.gz data/en-de --valid val.en.gz val.de.gz",
    .options = LS_OPTIONS(
        {"valid", "SRC TGT", "files of the split valid; default: no such split"},
        {"test", "SRC TGT", "files of the split test; default: no such split"},
        {"tokenizer", "TOKENIZER",
         "bpe, words, chars (learnt from the files), bytes, or the path of a tokenizer; default bpe"},
        {"vocab", "N",
         "size of the vocabulary that bpe learns, tokens; default 8192; words: the most frequent N; default: all"},
        {"min-count", "N", "words: least number of occurrences of a word that does not become <unk>; default 1"},
        {"lowercase", NULL, "the learnt tokenizers lower-case texts; the lines remain as they are"},
        {"separate", NULL, "a vocabulary for each side; default: one for both, learnt from both files"},
        {"max-length", "N", "longest sentence, tokens; default 100; a longer one is an error"},
        {"skip-long", NULL, "leave pairs with longer sentences out, and print their number"}),
    .run = import_pairs,
};
