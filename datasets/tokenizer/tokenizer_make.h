/* SPDX-License-Identifier: Apache-2.0
 * Makes a tokenizer from its tokens and merges.  Internal. */
#ifndef LS_DATASETS_TOKENIZER_TOKENIZER_MAKE_H
#define LS_DATASETS_TOKENIZER_TOKENIZER_MAKE_H

#include "datasets/tokenizer/tokenizer_tables.h"

/* Parts of a tokenizer.  The caller has checked them: texts are not empty, ids are within 0 to size - 1, and a
 * byte that bpe has no token for has the id -1. */
typedef struct ls_tokenizer_parts {
    const char        *path; /* for messages */
    ls_tokenizer_kind  kind;
    int32_t            size;
    const uint8_t     *text; /* as in struct ls_tokenizer */
    const uint64_t    *at;
    int64_t            merges;
    const ls_merge    *merge;
    const int32_t     *byte; /* bpe: tokens of the 256 bytes; of spaces: those for characters without a token */
    int                added;
    const ls_added    *add;
    int32_t            end, unknown; /* words: ids of <eos> and <unk>; texts end with a space, that of <eos> is "\n" */
    bool               lowercase;
    ls_rules           rules;
    const uint8_t     *piece;         /* (optional) as in struct ls_tokenizer */
    uint32_t           max_word;      /* wordpiece */
    const ls_template *single, *pair; /* NULL: the text alone; A, then B with type 1 */
    const int32_t     *role;          /* NULL: none */
} ls_tokenizer_parts;

/* Copies the parts and builds the tables. */
ls_status ls__tokenizer_make(ls_tokenizer **t, const ls_tokenizer_parts *parts);

/* Keeps a copy of a file, for ls_tokenizer_save. */
void ls__tokenizer_keep(ls_tokenizer *t, int index, const ls_tokenizer_file *file);

#endif
