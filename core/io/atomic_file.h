/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that are there whole, or not at all, also after a power cut: written under another name, synced, renamed, and
 * the folder synced.  Not public.
 *
 *     ls_file f;
 *     LS_TRY(ls__file_create(&f, "model.safetensors"));          makes .model.safetensors.tmp
 *     status = ls__file_write(&f, data, bytes);
 *     LS_TRY(ls__file_finish(&f, status));                       renames, or after an error removes it
 */
#ifndef LS_CORE_IO_ATOMIC_FILE_H
#define LS_CORE_IO_ATOMIC_FILE_H

#include <stdint.h>

#include "core/core.h"

enum { LS_PATH_BYTES = 4096 };

typedef struct ls_file {
    char path[LS_PATH_BYTES], temporary[LS_PATH_BYTES];
    int  fd;
} ls_file;

ls_status ls__file_create(ls_file *f, const char *path);
ls_status ls__file_write(ls_file *f, const void *data, size_t bytes);
ls_status ls__file_finish(ls_file *f, ls_status status);

/* path = the printed text; LS_ERR_USAGE when it is longer than a path can be. */
ls_status ls__path(char path[LS_PATH_BYTES], const char *format, ...) LS_PRINTF(2, 3);

/* The folder and those above it. */
ls_status ls__make_folders(const char *path);
/* A folder and the files in it; folders below it are an error.  Not being there is none. */
ls_status ls__remove_folder(const char *path);
/* Waits until a file's or folder's content is on the disk. */
ls_status ls__sync(const char *path);
/* The folder that `path` lies in, synced: makes a rename last. */
ls_status ls__sync_parent(const char *path);

/* Opens a file for reading; what is none (a folder, a pipe that would never begin) is LS_ERR_DATA. */
ls_status ls__file_open(const char *path, int *fd);
/* XXH64 of a file's content, and its size. */
ls_status ls__file_checksum(const char *path, uint64_t *checksum, int64_t *bytes);

/* "step: cause" with what can be done about the cause (disk full, no permission, ...), from errno. */
#define LS_FAIL_ERRNO(...) ls__fail_errno(__FILE__, __LINE__, __func__, __VA_ARGS__)
ls_status ls__fail_errno(const char *file, int line, const char *func, const char *format, ...) LS_PRINTF(4, 5);

/* What can be done about an errno, as "\n  hint: ..." or "". */
const char *ls__errno_hint(int code);

#endif
