/* SPDX-License-Identifier: Apache-2.0
 * The lines of a text for a command. */
#ifndef LS_LAUNCH_COMMANDS_INPUT_LINES_H
#define LS_LAUNCH_COMMANDS_INPUT_LINES_H

#include "launch/run/run_setup.h"

/* Starts as {0}. */
typedef struct ls_input_lines {
    char        *text;
    const char **line; /* each ends with a zero, without its line end */
    int64_t      count;
} ls_input_lines;

/* Reads the lines of a file of at most 1 GiB, "-" for standard input.  Collective. */
ls_status ls_input_lines_read(ls_run *run, const char *path, ls_input_lines *l);
void      ls_input_lines_free(ls_input_lines *l);

#endif
