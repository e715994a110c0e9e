/* SPDX-License-Identifier: Apache-2.0
 *
 * `lockstep data fetch`: downloads by curl or wget, run directly and not through a shell.  What is checked is the SHA-256 of
 * the unpacked files: the same data may be packed differently in different places.
 */
#include <errno.h>
#include <nettle/sha2.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "launch/data_internal.h"

extern char **environ;

enum { FILES = 4 };

static const struct { const char *name, *sum; } mnist[FILES] = {
    {"train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"},
    {"train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"},
    {"t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"},
    {"t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"},
};

static const char *const homes[] = {"https://storage.googleapis.com/cvdf-datasets/mnist", "https://ossci-datasets.s3.amazonaws.com/mnist"};
enum { HOMES = sizeof homes / sizeof *homes };

/* Runs a program and gives its exit status; -1: there is no such program. */
static int run(const char *const *argv)
{
    pid_t child;
    int   state, error = posix_spawnp(&child, argv[0], NULL, NULL, (char *const *)argv, environ);
    if (error) return -1;
    while (waitpid(child, &state, 0) < 0)
        if (errno != EINTR) return 1;
    if (WIFEXITED(state)) return WEXITSTATUS(state) == 127 ? -1 : WEXITSTATUS(state);
    return 1;
}

static ls_status download(const char *url, const char *file)
{
    const char *curl[] = {"curl", "--fail", "--location", "--silent", "--show-error", "--retry", "2", "--connect-timeout", "20", "--output", file, url, NULL};
    const char *wget[] = {"wget", "--quiet", "--tries=3", "--timeout=20", "--output-document", file, url, NULL};
    int         code   = run(curl);
    if (code < 0) code = run(wget);
    LS_CHECK(code >= 0, LS_ERR_ENV, "neither curl nor wget was found" LS_HINT "install one of them, or set LOCKSTEP_DATA=DIR with the files in DIR/mnist");
    LS_CHECK(code == 0, LS_ERR_ENV, "%s: cannot be downloaded (the downloader ended with %d)" LS_HINT
             "is there a network?  LOCKSTEP_DATA=DIR takes local copies from DIR/mnist", url, code);
    return LS_OK;
}

/* The SHA-256 of an idx file, unpacked, must be the known one. */
static ls_status check_file(const char *path, const char *expected)
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
    LS_CHECK(ok && !strcmp(found, expected), LS_ERR_DATA, "%s: is not the file of MNIST: expected (unpacked) SHA-256 %s, found %s%s" LS_HINT
             "the download was cut or replaced on its way: try again, or on another network", path, expected, found, ok ? "" : ", and a damaged end");
    return LS_OK;
}

static ls_status download_checked(int k, const char *folder)
{
    char      url[256], file[LS_DATA_PATH + 128];
    ls_status status = LS_OK;
    snprintf(file, sizeof file, "%s/%s.gz", folder, mnist[k].name);
    for (int home = 0; home < HOMES; home++) {
        snprintf(url, sizeof url, "%s/%s.gz", homes[home], mnist[k].name);
        fprintf(stderr, "fetching %s\n", url);
        status = download(url, file);
        if (status == LS_OK) status = check_file(file, mnist[k].sum);
        if (status == LS_OK) return LS_OK;
        if (home + 1 < HOMES) fprintf(stderr, "%s\ntrying the next place\n", ls_error_message());
    }
    return ls__trace(status, __FILE__, __LINE__, __func__);
}

/* Local copies, gzip or not: each must be the known file. */
static ls_status check_copies(const char *folder)
{
    for (int k = 0; k < FILES; k++) {
        char path[LS_DATA_PATH + 128];
        snprintf(path, sizeof path, "%s/%s", folder, mnist[k].name);
        if (access(path, F_OK)) snprintf(path, sizeof path, "%s/%s.gz", folder, mnist[k].name);
        LS_TRY(check_file(path, mnist[k].sum));
    }
    return LS_OK;
}

static ls_status into(const char *source, const char *out, bool cached)
{
    if (!cached) return ls_import_idx(source, out, 1);
    return ls__data_import_once(source, out);
}

ls_status ls__data_fetch(const char *name, const char *out)
{
    char cache[LS_DATA_PATH], source[LS_DATA_PATH];
    LS_CHECK(!strcmp(name, "mnist"), LS_ERR_USAGE, "data fetch: expected mnist, found '%s'" LS_HINT "mnist is the one data set it knows", name);
    bool cached = !out;
    if (cached) {
        LS_TRY(ls__data_cache(name, cache));
        out = cache;
        if (ls__data_there(out)) {
            printf("%s: is there already\n", out);
            return LS_OK;
        }
    }
    const char *copies = getenv("LOCKSTEP_DATA");
    if (copies && *copies) {
        LS_CHECK(snprintf(source, sizeof source, "%s/%s", copies, name) < (int)sizeof source, LS_ERR_USAGE, "LOCKSTEP_DATA: the name is too long");
        LS_TRY(check_copies(source));
        LS_TRY(into(source, out, cached));
    } else {
        char folder[64];
        snprintf(folder, sizeof folder, "%s.download-%ld", name, (long)getpid());
        LS_TRY(ls__data_cache(folder, source));
        LS_CHECK(mkdir(source, 0777) == 0, LS_ERR_ENV, "%s: cannot make the folder: %s", source, strerror(errno));
        ls_status status = LS_OK;
        for (int k = 0; k < FILES && status == LS_OK; k++) status = download_checked(k, source);
        if (status == LS_OK) status = into(source, out, cached);
        ls__data_remove(source);
        if (status != LS_OK) return ls__trace(status, __FILE__, __LINE__, __func__);
    }
    printf("%s: %s is ready; `lockstep train lenet5-mnist%s%s` trains on it\n", out, name, cached ? "" : " data.path=", cached ? "" : out);
    return LS_OK;
}
