/* SPDX-License-Identifier: Apache-2.0
 * Sentences as characters and as words, as sacreBLEU reads them.  Internal.
 *
 * Texts are lists of characters (code points).  `spare` is a workspace of any contents. */
#ifndef LS_LAUNCH_SCORE_SCORE_TOKENS_H
#define LS_LAUNCH_SCORE_SCORE_TOKENS_H

#include "core/base/enum_text.h"
#include "datasets/tokenizer/tokenizer.h"

/* Enumerator, and its text in options and signatures. */
#define LS_SCORE_TOKENIZER_LIST(X)                                                                                     \
    X(LS_SCORE_13A, "13a") X(LS_SCORE_INTL, "intl") X(LS_SCORE_NONE, "none") X(LS_SCORE_CHAR, "char")
typedef enum ls_score_tokenizer { LS_ENUMERATORS(LS_SCORE_TOKENIZER_LIST) } ls_score_tokenizer;

extern const char *const ls__score_tokenizer_texts[];

/* Decodes valid UTF-8 and removes white space at the end. */
ls_status ls__score_decode(ls_tokens *text, const char *utf8, size_t bytes);

/* Puts spaces between the words of a sentence. */
ls_status ls__score_tokenize(ls_tokens *text, ls_tokens *spare, ls_score_tokenizer tokenizer);

/* Part of a list of characters. */
typedef struct ls_score_word {
    const int32_t *at;
    int64_t        length; /* characters */
} ls_score_word;

/* A list of words that grows; starts as {0}. */
typedef struct ls_score_words {
    ls_score_word *word;
    int64_t        count, room;
} ls_score_words;

/* Appends the words of a text, which white space separates (Python's str.split).  split_marks: separates one mark of
 * ASCII punctuation from the end of a word, or else from its beginning, as chrF++ does.  Words point to the text. */
ls_status ls__score_split(ls_score_words *words, const int32_t *text, int64_t count, bool split_marks);

/* Removes all white space. */
void ls__score_squeeze(ls_tokens *text);

#endif
