/* SPDX-License-Identifier: Apache-2.0
 * The tokenizer that an import of text asks for.  Internal. */
#ifndef LS_DATASETS_TOKENIZER_TOKENIZER_CHOICE_H
#define LS_DATASETS_TOKENIZER_TOKENIZER_CHOICE_H

#include "datasets/tokenizer/tokenizer.h"

/* Checks the options of an import (`command`, for messages): the name of a kind or the path of a tokenizer, and what
 * only some kinds have.  *trained: the kind is trained, with the options that are set in *t; false: bytes or a path. */
ls_status ls__training_choose(ls_tokenizer_training *t, const char *command, const char *tokenizer, int32_t vocabulary,
                              int64_t min_count, bool lowercase, bool *trained);

#endif
