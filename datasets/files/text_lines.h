/* SPDX-License-Identifier: Apache-2.0
 * Text files with one sentence per line.  Internal. */
#ifndef LS_DATASETS_FILES_TEXT_LINES_H
#define LS_DATASETS_FILES_TEXT_LINES_H

#include "datasets/tokenizer/tokenizer.h"

typedef struct ls_text_lines {
    const char   *path; /* the caller's */
    ls_string     text;
    int64_t       count;
    ls_text_line *line;
} ls_text_lines;

/* Reads a file, plain or compressed by gzip.  A line ends with a newline character or with the file.  Invalid UTF-8 is
 * replaced by U+FFFD and counted in *replaced; replaced NULL: it is an error.  LS_ERR_DATA: the file cannot be read, or
 * has no line. */
ls_status ls__text_lines_read(ls_text_lines *lines, const char *path, int64_t *replaced);
void      ls__text_lines_free(ls_text_lines *lines);

#endif
