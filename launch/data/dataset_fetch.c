/* SPDX-License-Identifier: Apache-2.0
 *
 * Downloads public datasets with curl or wget, which are started directly, without a shell.  Compares the SHA-256 of
 * the uncompressed files, because mirrors may compress the same data differently.
 */
#include "launch/data/dataset_fetch.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "core/io/atomic_file.h"
#include "core/io/file_access.h"
#include "launch/data/dataset_cache.h"
#include "launch/data/child_process.h"

static ls_status download(const char *name, const char *url, const char *file)
{
    const char *curl[] = {
        "curl",     "--fail", "--location", "--silent", "--show-error", "--retry", "2", "--connect-timeout", "20",
        "--output", file,     url,          NULL};
    const char *wget[] = {"wget", "--quiet", "--tries=3", "--timeout=20", "--output-document", file, url, NULL};
    int         code   = ls__child_run(curl);
    if (code < 0) code = ls__child_run(wget);
    LS_CHECK(code >= 0, LS_ERR_ENV,
             "%s: cannot be downloaded: neither curl nor wget is installed" LS_HINT
             "install one of them, or set LOCKSTEP_DATA=DIR with the files in DIR/%s",
             url, name);
    LS_CHECK(code == 0, LS_ERR_ENV,
             "%s: cannot be downloaded (the downloader exited with %d)" LS_HINT
             "check the network; LOCKSTEP_DATA=DIR takes local copies from DIR/%s",
             url, code, name);
    return LS_OK;
}

/* Checks the SHA-256 of a file after decompression. */
static ls_status check_file(const char *name, const char *path, const char *expected)
{
    struct sha256_ctx sum;
    uint8_t           digest[SHA256_DIGEST_SIZE];
    char              found[65];
    unsigned char     buffer[1 << 16];
    int               n;
    gzFile            file = gzopen(path, "rbe");
    LS_CHECK(file, LS_ERR_DATA, "%s: %s", path, strerror(errno));
    sha256_init(&sum);
    while ((n = gzread(file, buffer, sizeof buffer)) > 0) sha256_update(&sum, (size_t)n, buffer);
    sha256_digest(&sum, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) snprintf(found + 2 * i, 3, "%02x", digest[i]);
    bool ok = gzclose(file) == Z_OK && n == 0;
    LS_CHECK(ok && !strcmp(found, expected), LS_ERR_DATA,
             "%s: is not the file of dataset %s: expected SHA-256 %s (uncompressed), found %s%s" LS_HINT
             "the download was truncated or altered: try again, or on another network",
             path, name, expected, found, ok ? "" : ", and damaged compression");
    return LS_OK;
}

static ls_status download_checked(const ls_known *known, int k, const char *folder)
{
    char      url[256], file[LS_DATA_PATH + 128];
    ls_status status = LS_OK;
    snprintf(file, sizeof file, "%s/%s%s", folder, known->file[k].name, known->packed);
    for (int home = 0; home < 2 && known->home[home]; home++) {
        snprintf(url, sizeof url, "%s/%s%s", known->home[home], known->file[k].name, known->packed);
        if (home) fprintf(stderr, "%s\ntrying the next server\n", ls_error_message());
        fprintf(stderr, "fetching %s\n", url);
        status = download(known->name, url, file);
        if (status == LS_OK) status = check_file(known->name, file, known->file[k].sum);
        if (status == LS_OK) return LS_OK;
    }
    return ls__trace(status, __FILE__, __LINE__, __func__);
}

/* Checks local copies of the files, compressed by gzip or not. */
static ls_status check_copies(const ls_known *known, const char *folder)
{
    for (int k = 0; k < LS_KNOWN_FILES && known->file[k].name; k++) {
        char path[LS_PATH_BYTES];
        LS_TRY(ls__known_file(known, k, folder, path));
        LS_TRY(check_file(known->name, path, known->file[k].sum));
    }
    return LS_OK;
}

static ls_status copy_bytes(int from, const char *source, ls_file *to)
{
    char buffer[1 << 16];
    for (;;) {
        ssize_t n = read(from, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return LS_FAIL_ERRNO("%s: cannot be read", source);
        if (n == 0) return LS_OK;
        LS_TRY(ls__file_write(to, buffer, (size_t)n));
    }
}

static ls_status copy_file(const char *from, const char *to)
{
    ls_file f;
    int     fd;
    LS_TRY(ls__file_open(from, &fd));
    ls_status status = ls__file_create(&f, to);
    if (status == LS_OK) status = ls__file_finish(&f, copy_bytes(fd, from, &f));
    close(fd);
    return status;
}

/* Copies the text files of a known dataset into a folder; the first one last, because is_there looks for it. */
static ls_status copy_text(const ls_known *known, const char *source, const char *out)
{
    char from[LS_PATH_BYTES], to[LS_PATH_BYTES];
    int  files = 0;
    LS_TRY(ls__make_folders(out, NULL));
    while (files < LS_KNOWN_FILES && known->file[files].name) files++;
    for (int k = files - 1; k >= 0; k--) {
        LS_TRY(ls__known_file(known, k, source, from));
        LS_TRY(ls__path(to, "%s/%s", out, strrchr(from, '/') + 1));
        LS_TRY(copy_file(from, to));
    }
    return LS_OK;
}

static ls_status import_files(const ls_known *known, const char *source, const char *out, bool cached)
{
    if (known->tokenizer) return copy_text(known, source, out);
    return cached ? ls__data_import_once(known, source, NULL, out) : known->import(known, source, NULL, out);
}

static bool is_there(const ls_known *known, const char *folder)
{
    char path[LS_PATH_BYTES];
    if (!known->tokenizer) return ls__data_there(folder);
    return ls__known_file(known, 0, folder, path) == LS_OK && access(path, R_OK) == 0;
}

static ls_status download_all(const ls_known *known, const char *out, bool cached)
{
    char folder[64], source[LS_DATA_PATH];
    LS_CHECK(known->home[0], LS_ERR_DATA,
             "%s: has no address for downloads" LS_HINT "set LOCKSTEP_DATA=DIR with %s in DIR/%s", known->name,
             known->file[0].name, known->name);
    snprintf(folder, sizeof folder, "%s.download-%ld", known->name, (long)getpid());
    LS_TRY(ls__data_cache(folder, source));
    LS_CHECK(mkdir(source, 0777) == 0, LS_ERR_ENV, "%s: cannot create the folder: %s", source, strerror(errno));
    ls_status status = LS_OK;
    for (int k = 0; k < LS_KNOWN_FILES && known->file[k].name && status == LS_OK; k++)
        status = download_checked(known, k, source);
    if (status == LS_OK) status = import_files(known, source, out, cached);
    ls__data_remove(source);
    return status;
}

ls_status ls__data_fetch(const char *name, const char *out)
{
    char            cache[LS_DATA_PATH], source[LS_DATA_PATH];
    const ls_known *known = ls__known_find(name);
    LS_CHECK(known, LS_ERR_USAGE, "data fetch: expected one of %s, found '%s'", ls__known_names(), name);
    bool cached = !out;
    if (cached) {
        LS_TRY(ls__data_cache(name, cache));
        out = cache;
        if (is_there(known, out)) {
            printf("%s: exists already\n", out);
            return LS_OK;
        }
    }
    const char *copies = getenv("LOCKSTEP_DATA");
    if (copies && *copies) {
        LS_CHECK(snprintf(source, sizeof source, "%s/%s", copies, name) < (int)sizeof source, LS_ERR_USAGE,
                 "LOCKSTEP_DATA: the path is too long");
        LS_TRY(check_copies(known, source));
        LS_TRY(import_files(known, source, out, cached));
    } else {
        LS_TRY(download_all(known, out, cached));
    }
    if (known->tokenizer && !cached)
        printf("%s: the text of %s is ready; `lockstep data import` makes a dataset of it\n", out, name);
    else
        printf("%s: %s is ready; `lockstep train %s%s%s` trains on it\n", out, name, known->recipe,
               cached ? "" : " data.path=", cached ? "" : out);
    return LS_OK;
}
