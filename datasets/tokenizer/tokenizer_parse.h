/* SPDX-License-Identifier: Apache-2.0
 * Makes a tokenizer from the contents of a tokenizer.json in memory.  Internal. */
#ifndef LS_DATASETS_TOKENIZER_TOKENIZER_PARSE_H
#define LS_DATASETS_TOKENIZER_TOKENIZER_PARSE_H

#include <jansson.h>

#include "datasets/tokenizer/tokenizer.h"

/* As ls_tokenizer_load.  ls_tokenizer_save writes `root`.  name: for messages. */
ls_status ls__tokenizer_parse(ls_tokenizer **t, const char *name, const json_t *root);

#endif
