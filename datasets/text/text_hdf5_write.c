/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes a split of text.
 *
 * The number of tokens, which decides where the files are cut, is known only at the end.  So tokens are first appended
 * to one temporary file, and the starts of documents to another; then the HDF5 files are made from them.  Memory does
 * not depend on the length of the text.  The temporary files are unlinked after they are opened, so that they vanish
 * when the process ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/io/hdf5_write.h"
#include "datasets/files/dataset_files_write.h"

enum { BUFFER = 1 << 20 };

/* An unlinked temporary file with a write buffer. */
typedef struct spool {
    int     fd;
    int64_t bytes;   /* bytes written to the file */
    size_t  pending; /* bytes in the buffer       */
    uint8_t buffer[BUFFER];
} spool;

struct ls_text_writer {
    ls_split_writer files;
    ls_text_info    info;
    int             width; /* bytes of a token */
    int64_t         tokens, documents;
    spool           token, document;

    int64_t       first, count;                    /* tokens of the file being made           */
    int64_t       first_document, count_documents; /* documents that begin in that file       */
    int64_t       tokens_at, documents_at;         /* offsets of the two arrays in that file  */
    XXH3_state_t *sum;
};

/* ---- temporary files
 * ------------------------------------------------------------------------------------------------- */

static ls_status spool_open(ls_text_writer *w, spool *h, const char *what)
{
    char path[4096];
    LS_CHECK(snprintf(path, sizeof path, "%s/.%s.%s.tmp-%ld", w->files.folder, w->files.split, what, (long)getpid()) <
                 (int)sizeof path,
             LS_ERR_USAGE, "%s: the name of the folder is too long", w->files.folder);
    h->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (h->fd < 0) return ls__split_failed(&w->files, path, errno);
    unlink(path);
    return LS_OK;
}

static ls_status spool_flush(ls_text_writer *w, spool *h)
{
    for (size_t done = 0; done < h->pending;) {
        ssize_t n = write(h->fd, h->buffer + done, h->pending - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return ls__split_failed(&w->files, w->files.path[0], n ? errno : EIO);
        done += (size_t)n;
    }
    h->bytes += (int64_t)h->pending;
    h->pending = 0;
    return LS_OK;
}

static ls_status spool_add(ls_text_writer *w, spool *h, uint64_t value, int width)
{
    if (h->pending + (size_t)width > BUFFER) LS_TRY(spool_flush(w, h));
    for (int b = 0; b < width; b++) h->buffer[h->pending++] = (uint8_t)(value >> 8 * b);
    return LS_OK;
}

static ls_status spool_read(ls_text_writer *w, spool *h, int64_t at, void *data, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pread(h->fd, (char *)data + done, bytes - done, (off_t)(at + (int64_t)done));
        if (n < 0 && errno == EINTR) continue;
        LS_CHECK(n > 0, LS_ERR_ENV, "%s: a temporary file cannot be read: %s", w->files.folder,
                 n ? strerror(errno) : "it ends early");
        done += (size_t)n;
    }
    return LS_OK;
}

static int64_t get64(const uint8_t *le)
{
    uint64_t value = 0;
    for (int b = 7; b >= 0; b--) value = value << 8 | le[b];
    return (int64_t)value;
}

static void put64(uint8_t *le, int64_t value)
{
    for (int b = 0; b < 8; b++) le[b] = (uint8_t)((uint64_t)value >> 8 * b);
}

/* ---- adding ------------------------------------------------------------------------------------------------------ */

ls_status ls_text_writer_new(ls_text_writer **writer, const char *folder, const ls_text_info *info, int shards)
{
    *writer = NULL;
    LS_CHECK(info->vocabulary >= 1 && info->vocabulary <= LS_MAX_CLASSES, LS_ERR_USAGE,
             "%s: vocabulary: expected 1 to %d tokens, found %lld", folder, LS_MAX_CLASSES,
             (long long)info->vocabulary);
    ls_text_writer *w = calloc(1, sizeof *w);
    LS_CHECK(w, LS_ERR_ENV, "%s: out of memory", folder);
    w->token.fd = w->document.fd = -1;
    w->width                     = info->vocabulary > 65536 ? 4 : 2;
    w->sum                       = XXH3_createState();
    ls_status status             = w->sum ? ls__split_prepare(&w->files, folder, info->split, shards)
                                          : LS_FAIL(LS_ERR_ENV, "%s: out of memory", folder);
    if (status == LS_OK) {
        w->files.what          = "tokens";
        w->info                = *info;
        w->info.split          = w->files.split;
        w->info.tokenizer      = ls_arena_strdup(w->files.arena, info->tokenizer ? info->tokenizer : "");
        w->info.tokenizer_hash = ls_arena_strdup(w->files.arena, info->tokenizer_hash ? info->tokenizer_hash : "");
        status                 = spool_open(w, &w->token, "tokens");
    }
    if (status == LS_OK) status = spool_open(w, &w->document, "documents");
    if (status != LS_OK) {
        ls_text_writer_free(w);
        return ls__trace(status, __FILE__, __LINE__, __func__);
    }
    *writer = w;
    return LS_OK;
}

ls_status ls_text_writer_document(ls_text_writer *w)
{
    LS_TRY(spool_add(w, &w->document, (uint64_t)w->tokens, 8));
    w->documents++;
    return LS_OK;
}

ls_status ls_text_writer_add(ls_text_writer *w, const int32_t *tokens, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        LS_CHECK(tokens[i] >= 0 && tokens[i] < w->info.vocabulary, LS_ERR_DATA,
                 "%s: token %lld is %d; expected 0 to %lld", w->files.folder, (long long)w->tokens, tokens[i],
                 (long long)w->info.vocabulary - 1);
        LS_TRY(spool_add(w, &w->token, (uint64_t)tokens[i], w->width));
        w->tokens++;
    }
    w->files.total = w->tokens;
    return LS_OK;
}

int64_t ls_text_writer_tokens(const ls_text_writer *w) { return w->tokens; }

/* ---- the files --------------------------------------------------------------------------------------------------- */

static bool put_text_unless_empty(hid_t file, const char *name, const char *text)
{
    return !*text || ls__h5_put_text(file, name, text);
}

static bool put_skeleton(void *writer, hid_t file)
{
    ls_text_writer *w      = writer;
    int             format = 1;
    hsize_t         tokens = (hsize_t)w->count, documents = (hsize_t)w->count_documents;
    return ls__h5_put_attribute(file, "lockstep_format", H5T_STD_I32LE, H5T_NATIVE_INT, 0, &format) &&
           ls__h5_put_text(file, "split", w->info.split) &&
           ls__h5_put_attribute(file, "vocabulary", H5T_STD_I64LE, H5T_NATIVE_INT64, 0, &w->info.vocabulary) &&
           ls__h5_put_attribute(file, "bytes", H5T_STD_I64LE, H5T_NATIVE_INT64, 0, &w->info.bytes) &&
           put_text_unless_empty(file, "tokenizer", w->info.tokenizer) &&
           put_text_unless_empty(file, "tokenizer_hash", w->info.tokenizer_hash) && ls__put_checksum(file) &&
           ls__h5_reserve(file, "documents", H5T_STD_I64LE, 1, &documents, &w->documents_at) &&
           ls__h5_reserve(file, "tokens", w->width == 2 ? H5T_STD_U16LE : H5T_STD_U32LE, 1, &tokens, &w->tokens_at);
}

static ls_status copy_tokens(ls_text_writer *w)
{
    int64_t all = w->count * w->width, from = w->first * w->width;
    for (int64_t done = 0; done < all;) {
        size_t part = all - done < BUFFER ? (size_t)(all - done) : BUFFER;
        LS_TRY(spool_read(w, &w->token, from + done, w->token.buffer, part));
        LS_TRY(ls__split_write(&w->files, w->tokens_at + done, w->token.buffer, part));
        XXH3_64bits_update(w->sum, w->token.buffer, part);
        done += (int64_t)part;
        w->files.done += (int64_t)part / w->width;
    }
    return LS_OK;
}

/* Copies the starts of documents, relative to the first token of the file. */
static ls_status copy_documents(ls_text_writer *w)
{
    uint8_t *buffer = w->document.buffer;
    for (int64_t done = 0; done < w->count_documents;) {
        int64_t part = w->count_documents - done < BUFFER / 8 ? w->count_documents - done : BUFFER / 8;
        LS_TRY(spool_read(w, &w->document, 8 * (w->first_document + done), buffer, 8 * (size_t)part));
        for (int64_t i = 0; i < part; i++) put64(buffer + 8 * i, get64(buffer + 8 * i) - w->first);
        LS_TRY(ls__split_write(&w->files, w->documents_at + 8 * done, buffer, 8 * (size_t)part));
        XXH3_64bits_update(w->sum, buffer, 8 * (size_t)part);
        done += part;
    }
    return LS_OK;
}

/* Counts the documents that begin in [first, end), by binary search from first_document on. */
static ls_status count_documents(ls_text_writer *w, int64_t end)
{
    int64_t low = w->first_document, high = w->documents;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        uint8_t le[8];
        LS_TRY(spool_read(w, &w->document, 8 * middle, le, sizeof le));
        if (get64(le) < end)
            low = middle + 1;
        else
            high = middle;
    }
    w->count_documents = low - w->first_document;
    return LS_OK;
}

static ls_status make_file(ls_text_writer *w)
{
    int shard = w->files.shard, shards = w->files.shards;
    w->first = w->tokens * shard / shards;
    w->count = w->tokens * (shard + 1) / shards - w->first;
    LS_TRY(count_documents(w, w->first + w->count));
    LS_TRY(ls__split_begin(&w->files, w->count * w->width + w->count_documents * 8, put_skeleton, w));
    XXH3_64bits_reset(w->sum);
    LS_TRY(copy_tokens(w));
    LS_TRY(copy_documents(w));
    uint64_t checksum = XXH3_64bits_digest(w->sum);
    LS_TRY(ls__split_end(&w->files, &checksum));
    w->first_document += w->count_documents;
    return LS_OK;
}

ls_status ls_text_writer_finish(ls_text_writer *w, int64_t bytes)
{
    LS_CHECK(w->tokens >= w->files.shards, LS_ERR_DATA,
             "%s: the split '%s' has %lld tokens, too few for %d file%s" LS_HINT "%s", w->files.folder, w->info.split,
             (long long)w->tokens, w->files.shards, w->files.shards == 1 ? "" : "s",
             w->tokens ? "use fewer --shards" : "the text is empty");
    w->info.bytes = bytes;
    LS_TRY(spool_flush(w, &w->token));
    LS_TRY(spool_flush(w, &w->document));
    while (w->files.shard < w->files.shards) LS_TRY(make_file(w));
    return LS_OK;
}

ls_status ls_text_writer_close(ls_text_writer *w)
{
    LS_CHECK(w->files.shard == w->files.shards, LS_ERR_USAGE,
             "%s: the split '%s': ls_text_writer_finish was not called", w->files.folder, w->info.split);
    return ls__split_close(&w->files);
}

void ls_text_writer_free(ls_text_writer *w)
{
    if (!w) return;
    if (w->token.fd >= 0) close(w->token.fd);
    if (w->document.fd >= 0) close(w->document.fd);
    ls__split_free(&w->files);
    XXH3_freeState(w->sum);
    free(w);
}
