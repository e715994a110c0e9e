/* SPDX-License-Identifier: Apache-2.0
 * Canonical decomposition and composition of texts.  Internal. */
#ifndef LS_DATASETS_TOKENIZER_UNICODE_UNICODE_NORMALIZE_H
#define LS_DATASETS_TOKENIZER_UNICODE_UNICODE_NORMALIZE_H

#include "datasets/tokenizer/unicode/unicode.h"

/* Appends the NFD form of a valid text, without the characters that have any of the flags `without`. */
ls_status ls__utf8_nfd(const uint8_t *text, size_t bytes, uint8_t without, ls_string *out);
/* Appends the NFC form of a valid text. */
ls_status ls__utf8_nfc(const uint8_t *text, size_t bytes, ls_string *out);

#endif
