/* SPDX-License-Identifier: Apache-2.0
 * `lockstep data import text`: a dataset of tokens from text files. */
#include <stdio.h>

#include "launch/commands/data/cmd_data_internal.h"
#include "launch/report/unit_text.h"
#include "launch/run/progress.h"

static void print_summary(const ls_text_import *import)
{
    char count[4][32];
    ls__count_text(count[0], sizeof count[0], import->train_tokens);
    ls__count_text(count[1], sizeof count[1], import->valid_tokens);
    ls__count_text(count[2], sizeof count[2], import->bytes);
    ls__count_text(count[3], sizeof count[3], import->vocabulary);
    printf("%s: %s + %s tokens (train + valid) of %s bytes, a vocabulary of %s\n", import->out, count[0], count[1],
           count[2], count[3]);
    if (import->replaced)
        printf("%s: %lld sequences that are not UTF-8 were replaced by U+FFFD\n", import->out,
               (long long)import->replaced);
}

static ls_status import_text(int argc, char **argv)
{
    enum { MAX_VOCABULARY = 1 << 20 };
    static ls_args args;
    ls_bar         bar;
    long long      shards, vocabulary, min_count;
    double         valid;
    LS_TRY(ls_args_parse(&args, argc, argv));
    LS_TRY(ls_args_int(&args, "shards", 1, LS_IMPORT_MAX_SHARDS, 1, &shards));
    LS_TRY(ls_args_int(&args, "vocab", 1, MAX_VOCABULARY, 0, &vocabulary));
    LS_TRY(ls_args_int(&args, "min-count", 1, INT32_MAX, 0, &min_count));
    LS_TRY(ls__import_valid(&args, &valid));
    const char    *tokenizer = ls_args_option(&args, "tokenizer");
    ls_text_import import    = {.size       = sizeof import,
                                .files      = args.positionals - 1,
                                .file       = (const char *const *)args.positional,
                                .out        = args.positional[args.positionals - 1],
                                .tokenizer  = tokenizer ? tokenizer : "bpe",
                                .vocabulary = (int32_t)vocabulary,
                                .valid      = valid,
                                .shards     = (int)shards,
                                .min_count  = min_count,
                                .lowercase  = ls_args_option(&args, "lowercase") != NULL,
                                .progress   = ls__import_progress,
                                .context    = &bar};
    ls_bar_open(&bar, true);
    ls_status status = ls_import_text(&import);
    ls_bar_close(&bar);
    if (status == LS_OK) print_summary(&import);
    return status;
}

const ls_command ls__command_data_import_text = {
    .name      = "data import text",
    .arguments = "FILE ... OUT",
    .text      = "make a dataset of tokens from text files",
    .help      = "The files are UTF-8, and each file is one document.  Invalid bytes are replaced by U+FFFD and "
                 "counted.  OUT becomes\n"
                 "a folder with train.h5, valid.h5 (the end of the text) and the tokenizer.json that encoded both.  "
                 "The text may be\n"
                 "larger than memory.  words are separated by white space, and each end of a line becomes <eos>.\n"
                 "\n"
                 "  lockstep data import text book.txt data/book --tokenizer bpe --vocab 4096\n"
                 "  lockstep data import text *.txt data/books --tokenizer gpt2/tokenizer.json --shards 8",
    .options   = LS_OPTIONS(
          {"shards", "N", "number of files that each split is cut into; default 1"},
          {"tokenizer", "TOKENIZER",
           "bytes, chars, bpe, words, wordpiece (learnt from the files), or the path of a tokenizer; default bpe"},
          {"vocab", "N",
           "size of the vocabulary that bpe learns, tokens; default 8192; words: the most frequent N; default: all"},
          {"min-count", "N", "words: least number of occurrences of a word that does not become <unk>; default 1"},
          {"lowercase", NULL, "the learnt tokenizer lower-cases texts"},
          {"valid", "FRACTION", "fraction of the text, at its end, held out as the split valid; default 0.1; 0: none"}),
    .run = import_text,
};
