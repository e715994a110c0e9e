/* SPDX-License-Identifier: Apache-2.0
 * `lockstep data train-tokenizer`: learns a tokenizer from text files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/format_text.h"
#include "launch/commands/data/cmd_data_internal.h"
#include "launch/report/unit_text.h"

enum { SAMPLE_BYTES = 1 << 20, DEFAULT_VOCABULARY = 8192 };

static ls_status kind_of(const char *text, ls_tokenizer_kind *kind)
{
    for (int k = LS_TOKENIZER_CHARS; k <= LS_TOKENIZER_WORDPIECE; k++)
        if (!strcmp(text, ls_tokenizer_kind_text((ls_tokenizer_kind)k))) {
            *kind = (ls_tokenizer_kind)k;
            return LS_OK;
        }
    return LS_FAIL(LS_ERR_USAGE,
                   "data train-tokenizer: --kind: expected bpe, words, wordpiece or chars, found '%s'" LS_HINT "%s",
                   text,
                   strcmp(text, "bytes") ? "`lockstep data train-tokenizer --help`"
                                         : "kind bytes has nothing to learn: `--tokenizer bytes` needs no file");
}

/* Measures the bytes of text per token in the first MiB of a file. */
static ls_status bytes_per_token(const ls_tokenizer *t, const char *path, double *ratio)
{
    char     *text  = malloc(SAMPLE_BYTES);
    FILE     *file  = fopen(path, "rbe");
    size_t    bytes = text && file ? fread(text, 1, SAMPLE_BYTES, file) : 0;
    ls_tokens list  = {0};
    if (bytes == SAMPLE_BYTES) bytes = ls_tokenizer_cut(t, text, bytes); /* ends at a whole character */
    ls_status status = ls_tokenizer_encode(t, text, bytes, &list);
    *ratio           = list.count ? (double)bytes / (double)list.count : 0;
    ls_tokens_free(&list);
    if (file) fclose(file);
    free(text);
    return status;
}

static ls_status print_summary(const ls_tokenizer *t, const char *out, const char *first,
                               const ls_tokenizer_training *training)
{
    double ratio;
    LS_TRY(bytes_per_token(t, first, &ratio));
    printf("%s/tokenizer.json: %s, %d tokens from %s of text", out, ls_tokenizer_kind_text(ls_tokenizer_kind_of(t)),
           ls_tokenizer_size(t), ls__bytes_text((double)*training->bytes));
    if (training->kind != LS_TOKENIZER_CHARS)
        printf(" with %lld different words; %.2f bytes per token", (long long)*training->words, ratio);
    printf("\n");
    if (*training->replaced)
        fprintf(stderr, "note: %lld sequences of bytes that are not UTF-8 were read as U+FFFD\n",
                (long long)*training->replaced);
    if (*training->forgotten)
        fprintf(
            stderr,
            "note: the text has more different words than --words: %lld occurrences of rare words were not counted\n",
            (long long)*training->forgotten);
    if (training->kind == LS_TOKENIZER_BPE && ls_tokenizer_size(t) < training->size)
        fprintf(stderr, "note: no further pair of tokens occurs %lld times: %d tokens instead of %d\n",
                (long long)training->min_count, ls_tokenizer_size(t), training->size);
    return LS_OK;
}

static ls_status train_tokenizer(int argc, char **argv)
{
    static ls_args parsed;
    const ls_args *args = &parsed;
    int64_t        bytes, replaced, words, forgotten;
    long long      size, min_count, max_words;
    ls_tokenizer  *t;
    LS_TRY(ls_args_parse(&parsed, argc, argv));
    const char           *kind = ls_args_option(args, "kind"), *out = args->positional[args->positionals - 1];
    ls_tokenizer_training training = {.size_of   = sizeof(ls_tokenizer_training),
                                      .files     = args->positionals - 1,
                                      .file      = (const char *const *)args->positional,
                                      .bytes     = &bytes,
                                      .replaced  = &replaced,
                                      .words     = &words,
                                      .forgotten = &forgotten,
                                      .end       = ls_args_option(args, "end") != NULL,
                                      .lowercase = ls_args_option(args, "lowercase") != NULL};
    LS_TRY(kind_of(kind ? kind : "bpe", &training.kind));
    bool bpe    = training.kind == LS_TOKENIZER_BPE || training.kind == LS_TOKENIZER_WORDPIECE,
         spaced = training.kind == LS_TOKENIZER_WORDS;
    LS_CHECK(bpe || spaced || !ls_args_option(args, "vocabulary"), LS_ERR_USAGE,
             "data train-tokenizer: --vocabulary: kind chars has as many tokens as the text has characters" LS_HINT
             "leave the option out");
    LS_TRY(ls_args_int(args, "vocabulary",
                       training.kind == LS_TOKENIZER_BPE ? 257
                       : bpe                             ? 100
                                                         : 3,
                       1 << 24, bpe ? DEFAULT_VOCABULARY : 0, &size));
    LS_TRY(ls_args_int(args, "min-count", 1, INT32_MAX, spaced ? 1 : 2, &min_count));
    LS_TRY(ls_args_int(args, "words", 1024, INT32_MAX, 4 << 20, &max_words));
    training.size      = (int32_t)size;
    training.min_count = min_count;
    training.max_words = max_words;
    LS_TRY(ls__tokenizer_train(&t, &training));
    ls_status status = ls_tokenizer_save(t, out);
    if (status == LS_OK) status = print_summary(t, out, args->positional[0], &training);
    ls_tokenizer_free(t);
    return status;
}

const ls_command ls__command_data_train_tokenizer = {
    .name      = "data train-tokenizer",
    .arguments = "TEXT ... OUT",
    .text      = "learn a tokenizer from text files",
    .help      = "Writes OUT/tokenizer.json, which Hugging Face's `tokenizers` also reads.\n"
                 "bpe: byte-pair encoding of bytes, as GPT-2's; <|endoftext|> is its last token.  chars: one token for "
                 "each character of\n"
                 "the text.  words: words separated by white space; <unk> stands for the others, <eos> for ends of "
                 "lines.  wordpiece: BERT's pieces of words, with [CLS], [SEP] and [MASK].\n"
                 "Memory depends on the number of different words, not on the length of the text.\n"
                 "\n"
                 "  lockstep data train-tokenizer --vocabulary 4096 books/*.txt tokens",
    .options   = LS_OPTIONS(
          {"kind", "KIND", "bpe, words, wordpiece or chars; default bpe"},
          {"vocabulary", "N",
           "bpe, wordpiece: size of the vocabulary, tokens; default 8192; words: the most frequent N; default: "
             "all"},
          {"min-count", "N", "least occurrences of a pair that is merged, default 2; of a word, default 1"},
          {"lowercase", NULL, "the tokenizer lower-cases texts"},
          {"words", "N", "bpe, words, wordpiece: most different words kept in memory; default 4194304"},
          {"end", NULL, "chars: add the token <|endoftext|>"}),
    .run = train_tokenizer,
};
