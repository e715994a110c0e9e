/* SPDX-License-Identifier: Apache-2.0
 * Splits a text at its added tokens.  Internal. */
#ifndef LS_DATASETS_TOKENIZER_TOKENIZER_ENCODE_H
#define LS_DATASETS_TOKENIZER_TOKENIZER_ENCODE_H

#include "datasets/tokenizer/tokenizer_tables.h"

/* Receives one piece of a text, as valid UTF-8: an added token, or (`added` NULL) the text between two of them. */
typedef ls_status ls_piece(const ls_tokenizer *t, void *context, const uint8_t *text, size_t bytes,
                           const ls_added *added);
/* Calls `take` for each piece of a text.  plain: special tokens are plain text.  Adds the number of invalid UTF-8
 * sequences to *replaced. */
ls_status ls__each_piece(const ls_tokenizer *t, const uint8_t *text, size_t bytes, bool plain, int64_t *replaced,
                         ls_piece *take, void *context);

/* As ls_tokenizer_encode; also appends to `ends` the number of tokens up to the end of each word. */
ls_status ls__encode_words(const ls_tokenizer *t, const char *text, size_t bytes, ls_tokens *list, ls_tokens *ends);

#endif
