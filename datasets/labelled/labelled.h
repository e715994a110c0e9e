/* SPDX-License-Identifier: Apache-2.0
 * Labelled texts: the open split, and the file.  Internal. */
#ifndef LS_DATASETS_LABELLED_LABELLED_H
#define LS_DATASETS_LABELLED_LABELLED_H

#include "datasets/files/dataset_files.h"
#include "datasets/files/dataset_files_write.h"

enum { LS_MAX_TEXT = 1 << 16 }; /* limit of a sample, tokens */

/* An open split.  A sample is a text or a pair of texts with the tokens that the tokenizer puts around them. */
typedef struct ls_labelled {
    ls_dataset      base;
    ls_dataset_file file;
    int64_t        *start;  /* count + 1: first token of each sample, and the end of the last          */
    int32_t        *second; /* count: first token of type 1, or the length                             */
    void           *label;  /* count: classes as int32_t, or the values of a regression as float       */
    int64_t         tokens; /* of all samples                                                          */
    int64_t         tokens_at, starts_at, second_at, label_at; /* positions of the arrays in the file */
} ls_labelled;

/* Number of tokens of a sample. */
static inline int64_t ls__labelled_length(const ls_labelled *l, int64_t i) { return l->start[i + 1] - l->start[i]; }

/* Reads the tokens of sample i, and checks them. */
ls_status ls__labelled_tokens(const ls_labelled *l, int64_t i, int32_t *tokens);

/* Contents of a split. */
typedef struct ls_labelled_contents {
    int64_t            count;
    const int32_t     *tokens; /* of all samples */
    const int64_t     *start;  /* count + 1      */
    const int32_t     *second; /* count          */
    const void        *label;  /* count: int32_t, or float if classes is 0 */
    int                classes;
    const char *const *class_names; /* of a regression NULL */
    int64_t            vocabulary;
    const char        *tokenizer, *hash;
} ls_labelled_contents;

/* Writes a split as one file; ls__split_close then gives it its name, ls__split_free ends the writer. */
ls_status ls__labelled_write(ls_split_writer *w, const char *folder, const char *split,
                             const ls_labelled_contents *contents);

#endif
