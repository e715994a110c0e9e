/* SPDX-License-Identifier: Apache-2.0
 * Counts words within a memory limit.  Internal. */
#ifndef LS_DATASETS_TOKENIZER_TOKENIZER_WORDS_H
#define LS_DATASETS_TOKENIZER_TOKENIZER_WORDS_H

#include "core/base/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct ls_word_count {
    uint64_t at; /* offset in ls_words.text */
    int64_t  count;
    uint32_t bytes;
} ls_word_count;

/* The distinct words and their counts.  Starts as {.most = N}; above N words the rarest half is removed. */
typedef struct ls_words {
    int64_t        most;
    ls_word_count *word;
    uint8_t       *text;
    uint32_t      *slot;                    /* hash table: index in `word` + 1; 0: empty */
    int64_t        words, word_room, slots; /* number of words; capacities               */
    int64_t        forgotten;               /* occurrences of removed words              */
    uint64_t       bytes, text_room;        /* length and capacity of `text`             */
} ls_words;
ls_status ls__words_count(ls_words *w, const uint8_t *word, size_t bytes);
void      ls__words_free(ls_words *w);

#endif
