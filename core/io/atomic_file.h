/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes files that appear complete or not at all, also after a power cut: a file is created under a temporary name in
 * the same folder, written, synced, renamed, and the folder is synced.  Not public.
 *
 *     ls_file f;
 *     LS_TRY(ls__file_create(&f, "model.safetensors"));          creates .model.safetensors.tmp-PID
 *     status = ls__file_write(&f, data, bytes);
 *     return ls__file_finish(&f, status);                        renames it; after an error removes it
 *
 * Libraries that write to a stream (libpng, jansson, cairo) use ls__file_stream between create and finish:
 *
 *     FILE *stream;
 *     status = ls__file_stream(&f, &stream);
 *     if (status == LS_OK) fprintf(stream, ...);                 finish checks the stream for errors
 */
#ifndef LS_CORE_IO_ATOMIC_FILE_H
#define LS_CORE_IO_ATOMIC_FILE_H

#include <stddef.h>
#include <stdio.h>

#include "core/io/paths.h"

typedef struct ls_file {
    char  path[LS_PATH_BYTES], temporary[LS_PATH_BYTES];
    int   fd;     /* file descriptor of the temporary file, -1: not open */
    int   error;  /* errno of the first failed write, 0: none                 */
    FILE *stream; /* stream of ls__file_stream, NULL: none; it refers to this struct */
} ls_file;

/* Opens the temporary file.  After an error ls__file_finish may be called, but need not be. */
ls_status ls__file_create(ls_file *f, const char *path);

/* Appends `bytes` bytes. */
ls_status ls__file_write(ls_file *f, const void *data, size_t bytes);

/* Sets *stream to a stream that appends to the file.  ls__file_finish closes it; `f` must not move until then. */
ls_status ls__file_stream(ls_file *f, FILE **stream);

/* Closes the file.  If `status` is LS_OK and all was written, syncs it and renames it to its final name; otherwise
 * removes it.  Returns `status`, or the first error of its own. */
ls_status ls__file_finish(ls_file *f, ls_status status);

/* Writes a whole file. */
ls_status ls__file_save(const char *path, const void *data, size_t bytes);

/* For writers that create their files by other means: the name under which `path` is written before it is complete. */
ls_status ls__temporary_path(char temporary[LS_PATH_BYTES], const char *path);

#endif
