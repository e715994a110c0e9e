/* SPDX-License-Identifier: Apache-2.0
 * Files that are there whole or not at all: see core/io/atomic_file.h. */
#include "core/io/atomic_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* ---- messages ---------------------------------------------------------------------------------------------------- */

const char *ls__errno_hint(int code)
{
    static const struct {
        int         code;
        const char *hint;
    } hints[] = {
        {ENOSPC, LS_HINT "free some space, lower checkpoint.keep_last, or choose another run.dir"},
        {EDQUOT, LS_HINT "your disk quota is used up: free some space, or choose another run.dir"},
        {EFBIG, LS_HINT "the file is larger than the file system or `ulimit -f` allows"},
        {EROFS, LS_HINT "the file system is read-only: choose another run.dir"},
        {EACCES, LS_HINT "you may not do that there: check the owner and the permissions, or choose another run.dir"},
        {EPERM, LS_HINT "you may not do that there: check the owner and the permissions, or choose another run.dir"},
        {ENOTDIR, LS_HINT "a part of the path is a file"},
        {ENOENT, LS_HINT "check the path"},
        {EIO, LS_HINT "the disk or the network behind it has a fault"},
        {ESTALE, LS_HINT "the network file system lost the file: is it still mounted?"},
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
             "a path of %d characters is too long: %.60s..." LS_HINT "choose a shorter run.dir", length, path);
    return LS_OK;
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

ls_status ls__make_folders(const char *path)
{
    char part[LS_PATH_BYTES];
    LS_TRY(ls__path(part, "%s", path));
    for (char *at = part + 1;; at++) {
        char end = *at;
        if (end != '/' && end != 0) continue;
        *at = 0;
        if (mkdir(part, 0777) != 0 && errno != EEXIST) return LS_FAIL_ERRNO("cannot make the folder %s", part);
        *at = end;
        if (end == 0) break;
    }
    struct stat info;
    if (stat(path, &info) != 0) return LS_FAIL_ERRNO("cannot make the folder %s", path);
    LS_CHECK(S_ISDIR(info.st_mode), LS_ERR_ENV,
             "%s: expected a folder, found a file" LS_HINT "move it away, or choose another run.dir", path);
    return LS_OK;
}

ls_status ls__remove_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); /* what a link leads to is not removed */
    if (fd < 0 && errno == ENOENT) return LS_OK;
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        ls_status status = LS_FAIL_ERRNO("cannot remove %s", path);
        if (fd >= 0) close(fd);
        return status;
    }
    for (struct dirent *e; (e = readdir(folder));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (unlinkat(dirfd(folder), e->d_name, 0) != 0) {
            ls_status status = LS_FAIL_ERRNO("cannot remove %s/%s", path, e->d_name);
            closedir(folder);
            return status;
        }
    }
    closedir(folder);
    if (rmdir(path) != 0) return LS_FAIL_ERRNO("cannot remove %s", path);
    return LS_OK;
}

ls_status ls__sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return LS_FAIL_ERRNO("cannot open %s", path);
    /* Some file systems know no fsync of folders and say EINVAL: there is nothing to wait for. */
    ls_status status = fsync(fd) != 0 && errno != EINVAL ? LS_FAIL_ERRNO("cannot sync %s", path) : LS_OK;
    close(fd);
    return status;
}

ls_status ls__sync_parent(const char *path)
{
    char parent[LS_PATH_BYTES];
    LS_TRY(ls__path(parent, "%s", path));
    char *slash = strrchr(parent, '/');
    if (slash == parent)
        slash[1] = 0;
    else if (slash)
        *slash = 0;
    LS_TRY(ls__sync(slash ? parent : "."));
    return LS_OK;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

ls_status ls__file_create(ls_file *f, const char *path)
{
    f->fd             = -1;
    const char *slash = strrchr(path, '/');
    int         dirs  = slash ? (int)(slash + 1 - path) : 0;
    LS_TRY(ls__path(f->path, "%s", path));
    LS_TRY(ls__path(f->temporary, "%.*s.%s.tmp", dirs, path, path + dirs));
    f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (f->fd < 0) return LS_FAIL_ERRNO("cannot write %s", path);
    return LS_OK;
}

ls_status ls__file_write(ls_file *f, const void *data, size_t bytes)
{
    const char *at = data;
    while (bytes) {
        size_t  piece = bytes < (size_t)1 << 30 ? bytes : (size_t)1 << 30;
        ssize_t n     = write(f->fd, at, piece);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return LS_FAIL_ERRNO("cannot write %s", f->path);
        at += n;
        bytes -= (size_t)n;
    }
    return LS_OK;
}

ls_status ls__file_finish(ls_file *f, ls_status status)
{
    if (f->fd < 0) return status;
    if (status == LS_OK && fsync(f->fd) != 0) status = LS_FAIL_ERRNO("cannot write %s", f->path);
    if (close(f->fd) != 0 && status == LS_OK) status = LS_FAIL_ERRNO("cannot write %s", f->path);
    f->fd = -1;
    if (status == LS_OK && rename(f->temporary, f->path) != 0) status = LS_FAIL_ERRNO("cannot write %s", f->path);
    if (status != LS_OK) {
        unlink(f->temporary);
        return status;
    }
    LS_TRY(ls__sync_parent(f->path));
    return LS_OK;
}

ls_status ls__file_open(const char *path, int *fd)
{
    struct stat info;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) return LS_FAIL_ERRNO("cannot read %s", path);
    if (fstat(*fd, &info) == 0 && S_ISREG(info.st_mode)) return LS_OK;
    close(*fd);
    *fd = -1;
    return LS_FAIL(LS_ERR_DATA, "cannot read %s: it is no file", path);
}

ls_status ls__file_checksum(const char *path, uint64_t *checksum, int64_t *bytes)
{
    enum { PIECE = 1 << 20 };
    int fd;
    LS_TRY(ls__file_open(path, &fd));
    char          *buffer = malloc(PIECE);
    XXH64_state_t *hash   = XXH64_createState();
    ls_status      status = buffer && hash ? LS_OK : LS_FAIL(LS_ERR_ENV, "no memory to read %s", path);
    if (status == LS_OK) {
        XXH64_reset(hash, 0);
        *bytes = 0;
        for (ssize_t n; (n = read(fd, buffer, PIECE)) != 0;) {
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) {
                status = LS_FAIL_ERRNO("cannot read %s", path);
                break;
            }
            XXH64_update(hash, buffer, (size_t)n);
            *bytes += n;
        }
        *checksum = XXH64_digest(hash);
    }
    XXH64_freeState(hash);
    free(buffer);
    close(fd);
    return status;
}
