/* SPDX-License-Identifier: Apache-2.0
 * Pairs of sentences: the open split, and the file.  Internal. */
#ifndef LS_DATASETS_PAIRS_PAIRS_H
#define LS_DATASETS_PAIRS_PAIRS_H

#include "datasets/files/dataset_files.h"
#include "datasets/files/dataset_files_write.h"

enum { LS_SOURCE, LS_TARGET, LS_SIDES };

enum { LS_MAX_SENTENCE = 1 << 16 }; /* limit of a sentence, tokens */

/* An open split.  Sentence 2 i is the source of pair i, sentence 2 i + 1 its target. */
typedef struct ls_pairs {
    ls_dataset      base;
    ls_dataset_file file;
    int64_t        *start;                /* 2 count + 1: first token of each sentence, and the end of the last */
    int64_t         tokens, bytes;        /* of all sentences, of all lines                                    */
    int64_t         tokens_at, starts_at; /* positions of the arrays in the file                               */
    int64_t         lines_at, line_starts_at;
    char           *stored; /* NULL: in the file; else the arrays, at the same positions */
} ls_pairs;

/* Number of tokens of a sentence, the end token included. */
static inline int64_t ls__pair_length(const ls_pairs *p, int side, int64_t i)
{
    return p->start[2 * i + side + 1] - p->start[2 * i + side] + 1;
}

/* Reads the tokens of pair i, source and target one after the other, and checks them. */
ls_status ls__pair_tokens(const ls_pairs *p, int64_t i, int32_t *tokens);

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Contents of a split. */
typedef struct ls_pairs_contents {
    int64_t        count;
    const int32_t *tokens;             /* of all sentences        */
    const int64_t *start, *line_start; /* 2 count + 1 values each */
    const char    *lines;              /* UTF-8, without newlines */
    bool           joint;
    struct {
        int64_t     vocabulary, end;
        const char *tokenizer, *hash;
    } side[LS_SIDES];
} ls_pairs_contents;

/* Writes a split as one file; ls__split_close then gives it its name, ls__split_free ends the writer. */
ls_status ls__pairs_write(ls_split_writer *w, const char *folder, const char *split, const ls_pairs_contents *contents);

/* Opens contents as a split without a file, which has a copy of them. */
ls_status ls__pairs_in_memory(ls_dataset **d, const char *path, const char *split, const ls_pairs_contents *contents);

#endif
