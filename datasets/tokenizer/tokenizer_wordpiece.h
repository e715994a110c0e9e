/* SPDX-License-Identifier: Apache-2.0
 * Kind wordpiece: the model of BERT.  Internal. */
#ifndef LS_DATASETS_TOKENIZER_TOKENIZER_WORDPIECE_H
#define LS_DATASETS_TOKENIZER_TOKENIZER_WORDPIECE_H

#include "datasets/tokenizer/tokenizer_tables.h"

/* Longest word that a file may let be split, characters. */
enum { LS_MAX_PIECED_WORD = 4096 };

/* Builds the table of pieces of a tokenizer that has its tokens and t->piece. */
void ls__wordpiece_table(ls_tokenizer *t);
/* Returns the length of the first word of a non-empty valid text, as BertPreTokenizer splits texts; 0: the text begins
 * with white space of *space bytes. */
size_t ls__wordpiece_next(const ls_tokenizer *t, const uint8_t *text, size_t bytes, size_t *space);
/* Appends the tokens of a word. */
ls_status ls__wordpiece_word(const ls_tokenizer *t, const uint8_t *word, size_t bytes, ls_tokens *list);

#endif
