/* SPDX-License-Identifier: Apache-2.0
 * Properties and small letters of characters, as Python's str and the tokenizer `intl` of sacreBLEU use them.
 * Internal. */
#ifndef LS_LAUNCH_SCORE_SCORE_UNICODE_H
#define LS_LAUNCH_SCORE_SCORE_UNICODE_H

#include "datasets/tokenizer/unicode/unicode.h"

enum {
    LS_CHAR_SPACE       = 1,  /* str.isspace                                               */
    LS_CHAR_NUMBER      = 2,  /* \p{N}                                                     */
    LS_CHAR_PUNCTUATION = 4,  /* \p{P}                                                     */
    LS_CHAR_SYMBOL      = 8,  /* \p{S}                                                     */
    LS_CHAR_CASED       = 16, /* has an upper and a lower case, and is not ignorable       */
    LS_CHAR_IGNORABLE   = 32  /* Case_Ignorable: skipped in the search for a cased letter  */
};

/* Returns a table with the properties of each of the LS_UNICODE_END characters, as a sum of LS_CHAR_*. */
const uint8_t *ls__char_properties(void);

/* Replaces the characters of a text by those of Python's str.lower, which may be one character more for one.  A capital
 * sigma at the end of a word becomes a final sigma (Unicode Standard, section 3.13).  `spare`: workspace. */
ls_status ls__score_lower(ls_tokens *text, ls_tokens *spare);

#endif
