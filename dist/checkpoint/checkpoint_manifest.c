/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements dist/checkpoint/checkpoint_manifest.h: the checksums of the files of a checkpoint.
 */
#include "dist/checkpoint/checkpoint_manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/atomic_file.h"
#include "core/io/file_access.h"
#include "dist/checkpoint/checkpoint_attributes.h"
#include "dist/checkpoint/checkpoint_file.h"

enum { CHECKSUM_DIGITS = 16, LINE = CHECKSUM_DIGITS + 2 + LS_CHECKPOINT_FILE_NAME + 2 };

ls_status ls__manifest_write(const char *folder, int files, const uint64_t *checksums)
{
    char    path[LS_PATH_BYTES], name[LS_CHECKPOINT_FILE_NAME], line[LINE];
    ls_file f;
    LS_TRY(ls__path(path, "%s/" LS_MANIFEST, folder));
    LS_TRY(ls__file_create(&f, path));
    ls_status status = LS_OK;
    for (int i = 0; i < files && status == LS_OK; i++) {
        ls__checkpoint_file_name(name, i);
        int length = snprintf(line, sizeof line, "%016" PRIx64 "  %s\n", checksums[i], name);
        status     = ls__file_write(&f, line, (size_t)length);
    }
    return ls__file_finish(&f, status);
}

static bool exists(const char *folder, const char *name)
{
    char        path[LS_PATH_BYTES];
    struct stat info;
    return ls__path(path, "%s/%s", folder, name) == LS_OK && stat(path, &info) == 0;
}

static ls_status open_manifest(const char *folder, FILE **f)
{
    char path[LS_PATH_BYTES];
    int  fd;
    LS_TRY(ls__path(path, "%s/" LS_MANIFEST, folder));
    LS_CHECK(exists(folder, LS_MANIFEST) || !exists(folder, "state.h5"), LS_ERR_USAGE,
             "%s: expected format version %d, found 1" LS_HINT
             "use the version of the program that wrote the checkpoint, or --fresh to start over",
             folder, LS_CHECKPOINT_FORMAT);
    LS_TRY(ls__file_open(path, &fd));
    *f = fdopen(fd, "rb");
    if (*f) return LS_OK;
    ls_status status = LS_FAIL_ERRNO("%s: cannot be read", path);
    close(fd);
    return status;
}

/* Reads the checksum of file `file` from the next line; *end: there are no more lines. */
static ls_status next_line(FILE *f, const char *folder, int file, uint64_t *checksum, bool *end)
{
    char line[LINE + 1] = "", name[LS_CHECKPOINT_FILE_NAME], expected[LINE];
    *end                = !fgets(line, sizeof line, f);
    LS_CHECK(!ferror(f), LS_ERR_ENV, "%s/" LS_MANIFEST ": cannot be read", folder);
    LS_CHECK(!*end || file > 0, LS_ERR_DATA, "%s/" LS_MANIFEST ": the file is empty", folder);
    if (*end) return LS_OK;
    ls__checkpoint_file_name(name, file);
    snprintf(expected, sizeof expected, "  %s\n", name);
    LS_CHECK(file < LS_CHECKPOINT_FILES && strspn(line, "0123456789abcdef") == CHECKSUM_DIGITS &&
                 strcmp(line + CHECKSUM_DIGITS, expected) == 0,
             LS_ERR_DATA, "%s/" LS_MANIFEST ":%d: expected 16 hexadecimal digits and '%s'", folder, file + 1, name);
    *checksum = strtoull(line, NULL, 16);
    return LS_OK;
}

static ls_status verify_file(const char *folder, const char *name, uint64_t expected, int64_t *bytes)
{
    char     path[LS_PATH_BYTES];
    uint64_t found;
    int64_t  size = 0;
    LS_TRY(ls__path(path, "%s/%s", folder, name));
    LS_TRY(ls__file_checksum(path, &found, &size));
    LS_CHECK(found == expected, LS_ERR_DATA,
             "%s: its %" PRId64 " bytes have the checksum %016" PRIx64 ", expected %016" PRIx64, path, size, found,
             expected);
    *bytes += size;
    return LS_OK;
}

ls_status ls__manifest_verify(const char *folder, void (*each)(const char *file, const char *problem, void *data),
                              void *data, int *files, int64_t *bytes)
{
    FILE     *f;
    char      name[LS_CHECKPOINT_FILE_NAME];
    bool      end    = false;
    ls_status status = LS_OK;
    ls_error  first  = {LS_OK};
    *files           = 0;
    *bytes           = 0;
    LS_TRY(open_manifest(folder, &f));
    while (first.status == LS_OK || each) {
        uint64_t checksum = 0;
        status            = next_line(f, folder, *files, &checksum, &end);
        if (status != LS_OK || end) break;
        ls__checkpoint_file_name(name, *files);
        ls_status intact = verify_file(folder, name, checksum, bytes);
        if (each) each(name, intact == LS_OK ? NULL : ls_error_message(), data);
        if (intact != LS_OK && first.status == LS_OK) first = ls_error_save(intact);
        ++*files;
    }
    fclose(f);
    return status == LS_OK && first.status != LS_OK ? ls_error_restore(&first) : status;
}
