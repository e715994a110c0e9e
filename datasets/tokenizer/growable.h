/* SPDX-License-Identifier: Apache-2.0
 * Token lists and strings that grow.  Internal. */
#ifndef LS_DATASETS_TOKENIZER_GROWABLE_H
#define LS_DATASETS_TOKENIZER_GROWABLE_H

#include "datasets/tokenizer/tokenizer.h"

/* Makes room for n tokens more. */
ls_status ls__tokens_reserve(ls_tokens *list, int64_t n);
/* Makes room for bytes more, and for the final 0. */
ls_status ls__string_reserve(ls_string *s, size_t bytes);
/* Appends bytes to a string, and a 0 behind them. */
ls_status ls__string_append(ls_string *s, const void *data, size_t bytes);

#endif
