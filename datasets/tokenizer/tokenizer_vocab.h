/* SPDX-License-Identifier: Apache-2.0
 * Vocabulary and merges of a tokenizer file.  Internal. */
#ifndef LS_DATASETS_TOKENIZER_TOKENIZER_VOCAB_H
#define LS_DATASETS_TOKENIZER_TOKENIZER_VOCAB_H

#include <jansson.h>

#include "datasets/tokenizer/tokenizer_tables.h"

/* A tokenizer file while it is loaded. */
typedef struct ls_vocab_file {
    ls_arena    *memory;
    const char  *path, *merges_path; /* for messages */
    const char  *config_path;        /* tokenizer_config.json; NULL: there is none */
    bool         chars, words;       /* texts are split into characters; into GPT-2's words; none: not at all */
    bool         spaced, line_ends;  /* texts are split at white space; after newlines have become <eos> */
    bool         spaces;             /* tokens are of characters; a mark stands for a space */
    bool         metaspace;          /* spaces: the pre-tokenizer replaces them, not the normalizer */
    bool         wordpiece;          /* texts are split at white space and punctuation */
    bool         lowercase;
    uint32_t     max_word; /* wordpiece: longest word that is split, characters */
    ls_rules     rules;
    ls_template  single, pair;
    int32_t      role[LS_TOKEN_ROLES];
    const char  *unknown; /* spaced, wordpiece: the token of unknown words */
    json_t      *vocab;   /* object: text of a token in the file -> id */
    json_t      *added;   /* (optional) array of added tokens */
    int64_t      size;
    const char **written; /* by id: text in the file                              */
    bool        *raw;     /* by id: the text is plain, without characters for bytes */
    ls_merge    *merge;
    int64_t      merges;
    ls_added    *add;
    int          adds;
    int          outside; /* added tokens that are not in the vocabulary */
} ls_vocab_file;

/* Reads and checks the tokens of l->vocab and l->added. */
ls_status ls__vocab_tokens(ls_vocab_file *l);
/* Adds the merge "left right".  unit, number: its place in the file, for messages ("line", 7).  The caller has
 * allocated l->merge. */
ls_status ls__vocab_merge(ls_vocab_file *l, const char *text, size_t bytes, const char *unit, long long number);
/* Adds the merges of a JSON array: strings, or pairs of strings. */
ls_status ls__vocab_json_merges(ls_vocab_file *l, const json_t *merges);
/* Makes the tokenizer. */
ls_status ls__vocab_make(ls_vocab_file *l, ls_tokenizer **t);

/* The start of a text, safe to print in a message; valid for three further calls in this thread. */
const char *ls__vocab_show(const char *text);
/* The type of a value, for messages: "an array", "nothing". */
const char *ls__json_kind(const json_t *j);

#endif
