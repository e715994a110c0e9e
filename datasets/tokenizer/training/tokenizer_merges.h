/* SPDX-License-Identifier: Apache-2.0
 * Learns merges from counted words.  Internal. */
#ifndef LS_DATASETS_TOKENIZER_TOKENIZER_MERGES_H
#define LS_DATASETS_TOKENIZER_TOKENIZER_MERGES_H

#include "datasets/tokenizer/tokenizer_tables.h"
#include "datasets/tokenizer/training/tokenizer_words.h"

/* Learned tokens and merges, allocated in the arena that the caller gives. */
typedef struct ls_learned {
    int32_t   size;
    uint8_t  *text; /* as in struct ls_tokenizer */
    uint64_t *at;
    int64_t   merges;
    ls_merge *merge;
} ls_learned;

/* Learns merges until there are `size` tokens, the 256 bytes included, or each pair occurs less than min_count times.
 * Token i < 256 is the byte byte_of[i]. */
ls_status ls__learn_merges(ls_words *w, int32_t size, int64_t min_count, const uint8_t byte_of[256], ls_arena *memory,
                           ls_learned *learned);

#endif
