/* SPDX-License-Identifier: Apache-2.0
 * Kind words: tokens separated by white space.  Internal. */
#ifndef LS_DATASETS_TOKENIZER_TOKENIZER_SPACED_H
#define LS_DATASETS_TOKENIZER_TOKENIZER_SPACED_H

#include "datasets/tokenizer/training/tokenizer_merges.h"
#include "datasets/tokenizer/tokenizer_tables.h"

/* Longest word of a vocabulary, bytes. */
enum { LS_MAX_WORD = 4096 };

/* Builds the table of words of a tokenizer that has its tokens. */
void ls__spaced_table(ls_tokenizer *t);
/* Returns a token as it is written in a text: the word, or <eos>. */
const char *ls__spaced_word(const ls_tokenizer *t, int32_t id, size_t *bytes);
/* Appends the tokens of a valid text. */
ls_status ls__spaced_encode(const ls_tokenizer *t, const uint8_t *text, size_t bytes, ls_tokens *list);

/* Counts the words of a valid text. */
ls_status ls__spaced_count(ls_words *words, const uint8_t *classes, const uint8_t *text, size_t bytes);
/* Makes the tokens: <unk> (0), <eos> (1), then the words that occur at least min_count times, the most frequent first,
 * words of one count in the order of their bytes; at most `size` tokens, 0: no limit. */
void ls__spaced_learn(const ls_words *words, int32_t size, int64_t min_count, ls_arena *memory, ls_learned *learned);

#endif
