/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths, folders, renames, and the error messages of system calls.  Not public.
 */
#ifndef LS_CORE_IO_PATHS_H
#define LS_CORE_IO_PATHS_H

#include "core/base/status.h"

enum { LS_PATH_BYTES = 4096 }; /* capacity of a path with its final 0 */

/* Prints a path into `path`.  LS_ERR_USAGE when the text is longer than a path can be. */
ls_status ls__path(char path[LS_PATH_BYTES], const char *format, ...) LS_PRINTF(2, 3);

/* Creates a folder and its missing parents, as mkdir -p does.  *made (NULL allowed) is increased by the number of
 * folders that did not exist before. */
ls_status ls__make_folders(const char *path, int *made);

/* Removes a folder and the files in it.  A folder inside it is an error; a missing folder is none.  A symbolic link in
 * place of the folder is an error, and its target is left alone. */
ls_status ls__remove_folder(const char *path);

/* Blocks until the content of a file or folder is on disk. */
ls_status ls__sync(const char *path);

/* Renames a file or folder and syncs the folder that holds the new name, so that the rename survives a power cut. */
ls_status ls__rename(const char *from, const char *to);

/* Fails with LS_ERR_ENV and the message "TEXT: strerror(errno)", followed by a hint for that errno.  TEXT is printed
 * from the arguments and begins with the path. */
#define LS_FAIL_ERRNO(...) ls__fail_errno(__FILE__, __LINE__, __func__, __VA_ARGS__)
ls_status ls__fail_errno(const char *file, int line, const char *func, const char *format, ...) LS_PRINTF(4, 5);

/* Returns the hint for an errno as "\n  hint: ...", or "" when there is none. */
const char *ls__errno_hint(int code);

#endif
