/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements core/io/paths.h: paths, folders, renames, and the error messages of system calls.
 */
#include "core/io/paths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- messages ---------------------------------------------------------------------------------------------------- */

const char *ls__errno_hint(int code)
{
    static const struct {
        int         code;
        const char *hint;
    } hints[] = {
        {ENOSPC, LS_HINT "free space on this file system (df -h), lower checkpoint.keep_last, or choose another folder "
                         "(run.dir=DIR)"},
        {EDQUOT, LS_HINT "the disk quota is used up: free space, or choose another folder (run.dir=DIR)"},
        {EFBIG, LS_HINT "the file system or `ulimit -f` does not allow files of this size"},
        {EROFS, LS_HINT "the file system is read-only: choose another folder (run.dir=DIR)"},
        {EACCES, LS_HINT "check the owner and the permissions, or choose another folder (run.dir=DIR)"},
        {EPERM, LS_HINT "check the owner and the permissions, or choose another folder (run.dir=DIR)"},
        {ENOTDIR, LS_HINT "a part of the path is a file, not a folder"},
        {ENOENT, LS_HINT "check the path"},
        {EIO, LS_HINT "the disk, or the network behind it, is faulty"},
        {ESTALE, LS_HINT "the network file system lost the file: check that it is still mounted"},
    };
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (hints[i].code == code) return hints[i].hint;
    return "";
}

ls_status ls__fail_errno(const char *file, int line, const char *func, const char *format, ...)
{
    int     code = errno;
    char    text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return ls__fail(LS_ERR_ENV, file, line, func, "%s: %s%s", text, strerror(code), ls__errno_hint(code));
}

ls_status ls__path(char path[LS_PATH_BYTES], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(path, LS_PATH_BYTES, format, args);
    va_end(args);
    LS_CHECK(length >= 0 && length < LS_PATH_BYTES, LS_ERR_USAGE,
             "%.60s...: expected a path of at most %d bytes, found %d" LS_HINT "choose a shorter folder (run.dir=DIR)",
             path, LS_PATH_BYTES - 1, length);
    return LS_OK;
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

ls_status ls__make_folders(const char *path, int *made)
{
    char part[LS_PATH_BYTES];
    LS_CHECK(*path, LS_ERR_USAGE, "folder '': expected a path, found an empty text");
    LS_TRY(ls__path(part, "%s", path));
    for (char *at = part + 1;; at++) {
        char end = *at;
        if (end != '/' && end != 0) continue;
        *at        = 0;
        bool fresh = mkdir(part, 0777) == 0;
        if (!fresh && errno != EEXIST) return LS_FAIL_ERRNO("%s: cannot make the folder", part);
        if (fresh && made) ++*made;
        *at = end;
        if (end == 0) break;
    }
    struct stat info;
    if (stat(path, &info) != 0) return LS_FAIL_ERRNO("%s: cannot make the folder", path);
    LS_CHECK(S_ISDIR(info.st_mode), LS_ERR_ENV,
             "%s: expected a folder, found a file" LS_HINT "move it away, or choose another folder (run.dir=DIR)",
             path);
    return LS_OK;
}

ls_status ls__remove_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return LS_OK;
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        ls_status status = LS_FAIL_ERRNO("%s: cannot remove the folder", path);
        if (fd >= 0) close(fd);
        return status;
    }
    for (struct dirent *e; (e = readdir(folder));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (unlinkat(dirfd(folder), e->d_name, 0) != 0) {
            ls_status status = LS_FAIL_ERRNO("%s/%s: cannot remove the file", path, e->d_name);
            closedir(folder);
            return status;
        }
    }
    closedir(folder);
    if (rmdir(path) != 0) return LS_FAIL_ERRNO("%s: cannot remove the folder", path);
    return LS_OK;
}

ls_status ls__sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return LS_FAIL_ERRNO("%s: cannot open", path);
    /* File systems without fsync for folders return EINVAL; they have nothing to wait for. */
    ls_status status = fsync(fd) != 0 && errno != EINVAL ? LS_FAIL_ERRNO("%s: cannot sync", path) : LS_OK;
    close(fd);
    return status;
}

/* Syncs the folder that holds `path`. */
static ls_status sync_parent(const char *path)
{
    char parent[LS_PATH_BYTES];
    LS_TRY(ls__path(parent, "%s", path));
    char *slash = strrchr(parent, '/');
    if (slash == parent)
        slash[1] = 0;
    else if (slash)
        *slash = 0;
    return ls__sync(slash ? parent : ".");
}

ls_status ls__rename(const char *from, const char *to)
{
    if (rename(from, to) != 0) return LS_FAIL_ERRNO("%s: cannot be written", to);
    return sync_parent(to);
}
