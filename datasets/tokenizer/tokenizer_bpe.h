/* SPDX-License-Identifier: Apache-2.0
 * Byte-pair encoding of single words.  Internal. */
#ifndef LS_DATASETS_TOKENIZER_TOKENIZER_BPE_H
#define LS_DATASETS_TOKENIZER_TOKENIZER_BPE_H

#include "datasets/tokenizer/tokenizer_tables.h"

/* Builds the tables of merges, bytes and words of a tokenizer that has its tokens and merges. */
void ls__bpe_tables(ls_tokenizer *t, const int32_t byte[256]);
/* Appends the tokens of one word. */
ls_status ls__bpe_word(const ls_tokenizer *t, const uint8_t *word, size_t bytes, ls_tokens *list);

/* Builds the table of characters of a tokenizer that has its tokens. */
void ls__char_table(ls_tokenizer *t);
/* Returns the token of a character; -1: none. */
int32_t ls__char_token(const ls_tokenizer *t, uint32_t code);

#endif
