/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements core/io/file_access.h: positioned reads and writes, whole small files, checksums.
 */
#include "core/io/file_access.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { MAX_CALL_BYTES = 1 << 26 }; /* most bytes of one system call, so that it returns soon after a signal */

ls_status ls__file_open(const char *path, int *fd)
{
    struct stat info;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* without O_NONBLOCK, opening a pipe would block */
    if (*fd < 0) return LS_FAIL_ERRNO("%s: cannot be read", path);
    if (fstat(*fd, &info) == 0 && S_ISREG(info.st_mode)) return LS_OK;
    close(*fd);
    *fd = -1;
    return LS_FAIL(LS_ERR_DATA, "%s: expected a regular file, found something else", path);
}

ls_status ls__file_read_at(const char *path, int fd, int64_t at, void *data, size_t bytes)
{
    char *to = data;
    while (bytes) {
        ssize_t n = pread(fd, to, bytes < MAX_CALL_BYTES ? bytes : MAX_CALL_BYTES, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return LS_FAIL_ERRNO("%s: cannot be read", path);
        LS_CHECK(n > 0, LS_ERR_DATA,
                 "%s: ends at byte %" PRId64 ", expected %zu more bytes" LS_HINT
                 "the file is truncated, or another program is writing it",
                 path, at, bytes);
        to += n;
        at += n;
        bytes -= (size_t)n;
    }
    return LS_OK;
}

ls_status ls__file_write_at(const char *path, int fd, int64_t at, const void *data, size_t bytes)
{
    const char *from = data;
    while (bytes) {
        ssize_t n = pwrite(fd, from, bytes < MAX_CALL_BYTES ? bytes : MAX_CALL_BYTES, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = ENOSPC;
        if (n <= 0) return LS_FAIL_ERRNO("%s: cannot be written", path);
        from += n;
        at += n;
        bytes -= (size_t)n;
    }
    return LS_OK;
}

static ls_status read_text(const char *path, int fd, int64_t limit, char **text, size_t *bytes)
{
    struct stat info;
    if (fstat(fd, &info) != 0) return LS_FAIL_ERRNO("%s: cannot be read", path);
    LS_CHECK(info.st_size <= limit, LS_ERR_DATA, "%s: expected a file of at most %" PRId64 " bytes, found %lld", path,
             limit, (long long)info.st_size);
    *bytes = (size_t)info.st_size;
    *text  = malloc(*bytes + 1);
    LS_CHECK(*text, LS_ERR_ENV, "%s: no memory to read its %zu bytes", path, *bytes);
    (*text)[*bytes] = 0;
    return ls__file_read_at(path, fd, 0, *text, *bytes);
}

ls_status ls__file_text(const char *path, int64_t limit, char **text, size_t *bytes)
{
    int fd;
    *text  = NULL;
    *bytes = 0;
    LS_TRY(ls__file_open(path, &fd));
    ls_status status = read_text(path, fd, limit, text, bytes);
    close(fd);
    if (status == LS_OK) return LS_OK;
    free(*text);
    *text = NULL;
    return status;
}

ls_status ls__file_checksum(const char *path, uint64_t *checksum, int64_t *bytes)
{
    enum { BUFFER = 1 << 20 };
    int fd;
    LS_TRY(ls__file_open(path, &fd));
    char          *buffer = malloc(BUFFER);
    XXH64_state_t *hash   = XXH64_createState();
    ls_status      status = buffer && hash ? LS_OK : LS_FAIL(LS_ERR_ENV, "%s: no memory to read it", path);
    if (status == LS_OK) {
        XXH64_reset(hash, 0);
        *bytes = 0;
        for (ssize_t n; (n = read(fd, buffer, BUFFER)) != 0;) {
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) {
                status = LS_FAIL_ERRNO("%s: cannot be read", path);
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
