/* SPDX-License-Identifier: Apache-2.0
 * Runs other programs: downloaders and tar. */
#ifndef LS_LAUNCH_DATA_CHILD_PROCESS_H
#define LS_LAUNCH_DATA_CHILD_PROCESS_H

#include "core/base/status.h"

/* Runs a program, without a shell, and returns its exit status; -1: the program does not exist. */
int ls__child_run(const char *const *argv);

/* Extracts a tar archive, compressed or not, into a new folder.  LS_ERR_DATA: the archive is damaged. */
ls_status ls__archive_extract(const char *archive, const char *folder);

/* Removes a folder with everything in it; a missing one is no error.  Symbolic links are removed, not followed. */
void ls__tree_remove(const char *folder);

#endif
