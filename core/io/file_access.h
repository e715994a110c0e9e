/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and writing at positions of a file, whole small files, and checksums.  Calls that the system interrupts or
 * completes in part are repeated.  Not public.
 */
#ifndef LS_CORE_IO_FILE_ACCESS_H
#define LS_CORE_IO_FILE_ACCESS_H

#include <stddef.h>
#include <stdint.h>

#include "core/io/paths.h"

/* Opens a regular file for reading; *fd is -1 after an error.  LS_ERR_DATA for anything else, such as a folder or a
 * pipe. */
ls_status ls__file_open(const char *path, int *fd);

/* Reads exactly `bytes` bytes from byte `at` on.  LS_ERR_DATA when the file ends before.  `path` is for messages. */
ls_status ls__file_read_at(const char *path, int fd, int64_t at, void *data, size_t bytes);

/* Writes exactly `bytes` bytes from byte `at` on.  `path` is for messages. */
ls_status ls__file_write_at(const char *path, int fd, int64_t at, const void *data, size_t bytes);

/* Reads a whole file of at most `limit` bytes into *text, which ends with an additional 0 and is freed by the caller.
 * *text is NULL after an error. */
ls_status ls__file_text(const char *path, int64_t limit, char **text, size_t *bytes);

/* Computes the XXH64 (seed 0) of a file's content, and its size in bytes. */
ls_status ls__file_checksum(const char *path, uint64_t *checksum, int64_t *bytes);

#endif
