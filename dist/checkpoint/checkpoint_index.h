/* SPDX-License-Identifier: Apache-2.0
 *
 * A checkpoint opened for reading: where each range of each array is stored, and its values.  Not public.
 */
#ifndef LS_DIST_CHECKPOINT_CHECKPOINT_INDEX_H
#define LS_DIST_CHECKPOINT_CHECKPOINT_INDEX_H

#include "core/io/paths.h"
#include "dist/checkpoint/checkpoint_file.h"

typedef struct ls_index {
    char            path[LS_PATH_BYTES]; /* path of the checkpoint's folder */
    ls_stored_table table;               /* ranges in order: those of one array follow each other */
    int             files;
    int64_t         bytes;       /* size of all files */
    int             fd, fd_file; /* descriptor and number of the file that is open for reading; fd -1: none */
} ls_index;

/* Verifies all files of the checkpoint against the manifest, reads their structure, and checks that the ranges of each
 * array cover it without gap or overlap.  LS_ERR_DATA or LS_ERR_ENV when the checkpoint is damaged or cannot be read,
 * LS_ERR_USAGE when it is of another format version.  Call ls__index_close also after an error. */
ls_status ls__index_open(ls_index *x, const char *path);
void      ls__index_close(ls_index *x);

/* Returns LS_ERR_USAGE unless the checkpoint holds exactly the arrays of `state`, with the same shapes. */
ls_status ls__index_match(const ls_index *x, const ls_state *state);

/* Returns the first range of an array, or -1; state: NULL for the value of a parameter. */
int ls__index_find(const ls_index *x, const char *name, const char *state);

/* Returns the range after the last one of the array to which range i belongs. */
int ls__index_next(const ls_index *x, int i);

/* Reads all values of the array whose first range is i, and compares them with their checksums. */
ls_status ls__index_read(ls_index *x, int i, float *values);

#endif
