/* SPDX-License-Identifier: Apache-2.0
 * Learns the pieces of a tokenizer of kind wordpiece from counted words.  Internal. */
#ifndef LS_DATASETS_TOKENIZER_TRAINING_TOKENIZER_PIECES_H
#define LS_DATASETS_TOKENIZER_TRAINING_TOKENIZER_PIECES_H

#include "datasets/tokenizer/tokenizer_tables.h"
#include "datasets/tokenizer/training/tokenizer_words.h"

/* Makes BERT's tokenizer with the special tokens [PAD], [UNK], [CLS], [SEP] and [MASK] alone, which splits texts into
 * words. */
ls_status ls__pieces_base(ls_tokenizer **t, bool lowercase);

/* Makes BERT's tokenizer with at most `size` tokens that cover the words: the special tokens, the characters, and what
 * the most frequent pairs of neighbouring pieces merge to, each pair at least min_count times. */
ls_status ls__pieces_learn(ls_tokenizer **t, const ls_words *words, int32_t size, int64_t min_count, bool lowercase,
                           ls_arena *memory);

#endif
