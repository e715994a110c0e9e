/* SPDX-License-Identifier: Apache-2.0
 *
 * `lockstep data fetch`: downloads by curl or wget, run directly and not through a shell.  What is checked is the
 * SHA-256 of the unpacked files: the same data may be packed differently in different places.
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

#include "core/io/atomic_file.h"
#include "core/io/file_access.h"
#include "launch/data/dataset_known.h"

extern char **environ;

static ls_status import_mnist(const ls_known *known, const char *source, const ls_text_choice *choice, const char *out)
{
    (void)known;
    (void)choice;
    return ls_import_mnist(source, out, 1);
}

static ls_status import_text(const ls_known *known, const char *source, const ls_text_choice *choice, const char *out)
{
    char path[LS_DATA_PATH + 128];
    snprintf(path, sizeof path, "%s/%s", source, known->file[0].name);
    return ls_import_text(&(ls_text_import){.size       = sizeof(ls_text_import),
                                            .files      = 1,
                                            .file       = (const char *const[]){path},
                                            .out        = out,
                                            .tokenizer  = choice->tokenizer,
                                            .vocabulary = (int32_t)choice->vocab,
                                            .valid      = 0.1,
                                            .shards     = 1});
}

const ls_known ls__known[] = {
    {.name   = "mnist",
     .file   = {{"train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"},
                {"train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"},
                {"t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"},
                {"t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"}},
     .packed = ".gz",
     .home   = {"https://storage.googleapis.com/cvdf-datasets/mnist", "https://ossci-datasets.s3.amazonaws.com/mnist"},
     .recipe = "lenet5-mnist",
     .import = import_mnist},
    {.name      = "shakespeare",
     .file      = {{"input.txt", "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"}},
     .packed    = "",
     .home      = {"https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare"},
     .recipe    = "gpt-shakespeare-char",
     .tokenized = true,
     .import    = import_text},
    {0},
};

const ls_known *ls__known_find(const char *name)
{
    for (const ls_known *known = ls__known; known->name; known++)
        if (!strcmp(known->name, name)) return known;
    return NULL;
}

const char *ls__known_names(void)
{
    static _Thread_local char list[128];
    *list = 0;
    for (const ls_known *known = ls__known; known->name; known++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *list ? ", " : "", known->name);
    return list;
}

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

static ls_status download(const char *name, const char *url, const char *file)
{
    const char *curl[] = {
        "curl",     "--fail", "--location", "--silent", "--show-error", "--retry", "2", "--connect-timeout", "20",
        "--output", file,     url,          NULL};
    const char *wget[] = {"wget", "--quiet", "--tries=3", "--timeout=20", "--output-document", file, url, NULL};
    int         code   = run(curl);
    if (code < 0) code = run(wget);
    LS_CHECK(code >= 0, LS_ERR_ENV,
             "neither curl nor wget was found" LS_HINT
             "install one of them, or set LOCKSTEP_DATA=DIR with the files in DIR/%s",
             name);
    LS_CHECK(code == 0, LS_ERR_ENV,
             "%s: cannot be downloaded (the downloader ended with %d)" LS_HINT
             "is there a network?  LOCKSTEP_DATA=DIR takes local copies from DIR/%s",
             url, code, name);
    return LS_OK;
}

/* The SHA-256 of a file, unpacked, must be the known one. */
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
             "%s: is not the file of %s: expected (unpacked) SHA-256 %s, found %s%s" LS_HINT
             "the download was cut or replaced on its way: try again, or on another network",
             path, name, expected, found, ok ? "" : ", and a damaged end");
    return LS_OK;
}

static ls_status download_checked(const ls_known *known, int k, const char *folder)
{
    char      url[256], file[LS_DATA_PATH + 128];
    ls_status status = LS_OK;
    snprintf(file, sizeof file, "%s/%s%s", folder, known->file[k].name, known->packed);
    for (int home = 0; home < 2 && known->home[home]; home++) {
        snprintf(url, sizeof url, "%s/%s%s", known->home[home], known->file[k].name, known->packed);
        if (home) fprintf(stderr, "%s\ntrying the next place\n", ls_error_message());
        fprintf(stderr, "fetching %s\n", url);
        status = download(known->name, url, file);
        if (status == LS_OK) status = check_file(known->name, file, known->file[k].sum);
        if (status == LS_OK) return LS_OK;
    }
    return ls__trace(status, __FILE__, __LINE__, __func__);
}

/* Local copies, gzip or not: each must be the known file. */
static ls_status check_copies(const ls_known *known, const char *folder)
{
    for (int k = 0; k < LS_KNOWN_FILES && known->file[k].name; k++) {
        char path[LS_DATA_PATH + 128];
        snprintf(path, sizeof path, "%s/%s", folder, known->file[k].name);
        if (access(path, F_OK)) snprintf(path, sizeof path, "%s/%s.gz", folder, known->file[k].name);
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

/* Copies the text into a folder of its own. */
static ls_status keep_text(const ls_known *known, const char *source, const char *out)
{
    char    from[LS_DATA_PATH + 128], to[LS_PATH_BYTES];
    ls_file f;
    int     fd;
    snprintf(from, sizeof from, "%s/%s", source, known->file[0].name);
    LS_TRY(ls__path(to, "%s/%s", out, known->file[0].name));
    LS_TRY(ls__make_folders(out, NULL));
    LS_TRY(ls__file_open(from, &fd));
    ls_status status = ls__file_create(&f, to);
    if (status == LS_OK) status = ls__file_finish(&f, copy_bytes(fd, from, &f));
    close(fd);
    return status;
}

static ls_status into(const ls_known *known, const char *source, const char *out, bool cached)
{
    if (known->tokenized) return keep_text(known, source, out);
    return cached ? ls__data_import_once(known, source, NULL, out) : ls_import_mnist(source, out, 1);
}

static bool is_there(const ls_known *known, const char *folder)
{
    char path[LS_DATA_PATH + 128];
    snprintf(path, sizeof path, "%s/%s", folder, known->file[0].name);
    return known->tokenized ? access(path, R_OK) == 0 : ls__data_there(folder);
}

static ls_status download_all(const ls_known *known, const char *out, bool cached)
{
    char folder[64], source[LS_DATA_PATH];
    snprintf(folder, sizeof folder, "%s.download-%ld", known->name, (long)getpid());
    LS_TRY(ls__data_cache(folder, source));
    LS_CHECK(mkdir(source, 0777) == 0, LS_ERR_ENV, "%s: cannot make the folder: %s", source, strerror(errno));
    ls_status status = LS_OK;
    for (int k = 0; k < LS_KNOWN_FILES && known->file[k].name && status == LS_OK; k++)
        status = download_checked(known, k, source);
    if (status == LS_OK) status = into(known, source, out, cached);
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
            printf("%s: is there already\n", out);
            return LS_OK;
        }
    }
    const char *copies = getenv("LOCKSTEP_DATA");
    if (copies && *copies) {
        LS_CHECK(snprintf(source, sizeof source, "%s/%s", copies, name) < (int)sizeof source, LS_ERR_USAGE,
                 "LOCKSTEP_DATA: the name is too long");
        LS_TRY(check_copies(known, source));
        LS_TRY(into(known, source, out, cached));
    } else {
        LS_TRY(download_all(known, out, cached));
    }
    if (known->tokenized && !cached)
        printf("%s/%s: %s is ready; `lockstep data import text` makes a data set of it\n", out, known->file[0].name,
               name);
    else
        printf("%s: %s is ready; `lockstep train %s%s%s` trains on it\n", out, name, known->recipe,
               cached ? "" : " data.path=", cached ? "" : out);
    return LS_OK;
}
