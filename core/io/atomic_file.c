/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements core/io/atomic_file.h: files that appear complete or not at all.
 *
 * The temporary name contains the process id, so that two processes that write the same file never share a temporary
 * one; the last rename wins.
 */
#include "core/io/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

ls_status ls__temporary_path(char temporary[LS_PATH_BYTES], const char *path)
{
    const char *slash = strrchr(path, '/');
    int         dirs  = slash ? (int)(slash + 1 - path) : 0;
    return ls__path(temporary, "%.*s.%s.tmp-%ld", dirs, path, path + dirs, (long)getpid());
}

ls_status ls__file_create(ls_file *f, const char *path)
{
    f->fd     = -1;
    f->error  = 0;
    f->stream = NULL;
    LS_TRY(ls__path(f->path, "%s", path));
    LS_TRY(ls__temporary_path(f->temporary, path));
    f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (f->fd < 0) return LS_FAIL_ERRNO("%s: cannot be written", path);
    return LS_OK;
}

/* Writes all bytes; returns false after an error, with its errno in f->error. */
static bool write_all(ls_file *f, const char *from, size_t bytes)
{
    while (bytes && !f->error) {
        size_t  part = bytes < (size_t)1 << 30 ? bytes : (size_t)1 << 30;
        ssize_t n    = write(f->fd, from, part);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) f->error = n < 0 ? errno : ENOSPC;
        if (n <= 0) break;
        from += n;
        bytes -= (size_t)n;
    }
    return !f->error;
}

ls_status ls__file_write(ls_file *f, const void *data, size_t bytes)
{
    if (write_all(f, data, bytes)) return LS_OK;
    errno = f->error;
    return LS_FAIL_ERRNO("%s: cannot be written", f->path);
}

/* The stream's write function.  It records the errno of a failure, which a stream itself forgets. */
static ssize_t write_stream(void *file, const char *data, size_t bytes)
{
    return write_all(file, data, bytes) ? (ssize_t)bytes : 0;
}

ls_status ls__file_stream(ls_file *f, FILE **stream)
{
    f->stream = *stream = fopencookie(f, "wb", (cookie_io_functions_t){.write = write_stream});
    LS_CHECK(f->stream, LS_ERR_ENV, "%s: no memory to write it", f->path);
    return LS_OK;
}

/* Flushes, syncs and closes what is open; returns false with errno set when any of it, or an earlier write, failed. */
static bool close_synced(ls_file *f)
{
    if (f->stream && fclose(f->stream) != 0 && !f->error) f->error = errno;
    if (!f->error && fsync(f->fd) != 0) f->error = errno;
    if (close(f->fd) != 0 && !f->error) f->error = errno;
    errno = f->error;
    return !f->error;
}

ls_status ls__file_finish(ls_file *f, ls_status status)
{
    if (f->fd < 0) return status;
    bool ok = close_synced(f);
    if (!ok && status == LS_OK) status = LS_FAIL_ERRNO("%s: cannot be written", f->path);
    f->fd     = -1;
    f->stream = NULL;
    if (status == LS_OK) status = ls__rename(f->temporary, f->path);
    if (status != LS_OK) unlink(f->temporary);
    return status;
}

ls_status ls__file_save(const char *path, const void *data, size_t bytes)
{
    ls_file f;
    LS_TRY(ls__file_create(&f, path));
    return ls__file_finish(&f, ls__file_write(&f, data, bytes));
}
