/* SPDX-License-Identifier: Apache-2.0
 *
 * Publishes a checkpoint: the rename that makes it visible.
 *
 * A checkpoint is published in this order, so that a power cut at any time leaves all older checkpoints, or these and
 * the new one:
 *
 *     1. the files are written into .tmp-step-00000128 and synced (dist/checkpoint/checkpoint_file_write.c)
 *     2. the manifest is written there and synced
 *     3. the folder is renamed to step-00000128, and the folder above it is synced
 *     4. older checkpoints are renamed to .old-step-... and removed: a folder named step-... is always complete
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "dist/checkpoint/checkpoint_folder.h"
#include "dist/checkpoint/checkpoint_manifest.h"

/* Renames the temporary folder.  An existing checkpoint of the same step is exchanged with it in one system call where
 * the file system supports that. */
static ls_status rename_into_place(const char *folder, const char *temporary, const char *final, int64_t step)
{
    char replaced[LS_PATH_BYTES];
    if (rename(temporary, final) != 0) {
        if (errno != EEXIST && errno != ENOTEMPTY)
            return LS_FAIL_ERRNO("%s: cannot rename the folder to %s", temporary, final);
        if (renameat2(AT_FDCWD, temporary, AT_FDCWD, final, RENAME_EXCHANGE) == 0) {
            LS_TRY(ls__remove_folder(temporary));
        } else {
            LS_TRY(ls__path(replaced, "%s/" LS_REPLACED_PREFIX "%08" PRId64, folder, step));
            if (rename(final, replaced) != 0 || rename(temporary, final) != 0)
                return LS_FAIL_ERRNO("%s: cannot rename the folder to %s", temporary, final);
            LS_TRY(ls__remove_folder(replaced));
        }
    }
    return ls__sync(folder);
}

ls_status ls__checkpoint_publish(const char *folder, const ls_progress *progress, int files, const uint64_t *checksums)
{
    char temporary[LS_PATH_BYTES], final[LS_PATH_BYTES], path[LS_PATH_BYTES], name[LS_CHECKPOINT_FILE_NAME];
    LS_TRY(ls__checkpoint_path(final, folder, progress->step));
    LS_TRY(ls__checkpoint_temporary(temporary, folder, progress->step));
    for (int i = 0; i < files; i++) {
        struct stat info;
        ls__checkpoint_file_name(name, i);
        LS_TRY(ls__path(path, "%s/%s", temporary, name));
        if (stat(path, &info) != 0)
            return LS_FAIL_ERRNO("%s: written by another rank but not visible on this host (is the folder shared?)",
                                 path);
    }
    LS_TRY(ls__manifest_write(temporary, files, checksums)); /* syncs the temporary folder as well */
    return rename_into_place(folder, temporary, final, progress->step);
}
