/* SPDX-License-Identifier: Apache-2.0
 * Text files with one sentence per line.  Internal. */
#ifndef LS_LAUNCH_SCORE_SCORE_LINES_H
#define LS_LAUNCH_SCORE_SCORE_LINES_H

#include "launch/score/text_score.h"

typedef struct ls_score_lines {
    const char    *path; /* the caller's */
    char          *text;
    int64_t        count;
    ls_score_text *line;
} ls_score_lines;

/* Reads a file, plain or compressed by gzip.  A line ends with a newline character or with the file.  LS_ERR_DATA: it
 * cannot be read, has no line, or is not valid UTF-8. */
ls_status ls__score_lines_read(ls_score_lines *lines, const char *path);
void      ls__score_lines_free(ls_score_lines *lines);

#endif
