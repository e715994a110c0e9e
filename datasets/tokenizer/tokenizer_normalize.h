/* SPDX-License-Identifier: Apache-2.0
 * The normalizer of a tokenizer.  Internal. */
#ifndef LS_DATASETS_TOKENIZER_TOKENIZER_NORMALIZE_H
#define LS_DATASETS_TOKENIZER_TOKENIZER_NORMALIZE_H

#include "datasets/tokenizer/tokenizer_tables.h"

/* U+2581, which stands for a space in files of sentencepiece.  Within this folder texts and tokens have spaces instead:
 * no text has both, because all spaces become marks. */
#define LS_SPACE_MARK "\xE2\x96\x81"
enum { LS_SPACE_CODE = 0x2581 };

/* Appends a text with spaces for marks, and a space before it if `first`. */
ls_status ls__put_spaces(const uint8_t *text, size_t bytes, bool first, ls_string *out);

/* True if a text may change. */
bool ls__normalizes(const ls_tokenizer *t);
/* Normalizes a valid text.  *text and *bytes become the result, which lies in one of the two strings or in the given
 * text; the caller frees the strings, which start as {0}. */
ls_status ls__normalize(const ls_tokenizer *t, const uint8_t **text, size_t *bytes, ls_string hold[2]);

#endif
