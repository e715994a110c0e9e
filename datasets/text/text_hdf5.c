/* SPDX-License-Identifier: Apache-2.0
 *
 * Text in HDF5 files (format: datasets.h).
 *
 * Files are untrusted.  Opening checks all headers; each read checks its tokens against the vocabulary, which costs
 * less than a pass over all tokens at the start.
 *
 * Contiguous little-endian tokens are read with pread at their offset.  Other tokens (chunked, big-endian) are read
 * through HDF5; a lock serialises these reads.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/io/file_access.h"
#include "core/io/hdf5.h"
#include "core/io/hdf5_heap.h"
#include "datasets/files/dataset_files.h"

enum { KIND = 32, PER_READ = 1 << 16 };

/* A one-dimensional array of integers in a file. */
typedef struct array {
    hid_t   set;    /* HDF5 dataset; -1: closed */
    int64_t offset; /* byte offset in the file; -1: read through `set` */
    int64_t count;
    int     width; /* bytes of an element */
} array;

typedef struct token_file {
    ls_dataset_file base; /* first, count: tokens */
    int64_t         first_document;
    array           tokens, documents;
} token_file;

typedef struct token_set {
    ls_dataset      base;
    int             files;
    token_file     *file;
    pthread_mutex_t lock; /* serialises reads through HDF5 */
} token_set;

/* ---- one file's headers ------------------------------------------------------------------------------------------ */

static bool little_endian(hid_t set)
{
    hid_t type = H5Dget_type(set);
    bool  is   = type >= 0 && H5Tget_order(type) == H5T_ORDER_LE;
    if (type >= 0) H5Tclose(type);
    return is;
}

static ls_status check_array(const char *path, const char *name, array *a, const ls_h5_shape *s, int64_t file_bytes)
{
    a->count = s->count;
    a->width = (int)s->size;
    if (!a->count) return LS_OK;
    LS_TRY(ls__h5_storage(path, a->set, name, s, file_bytes, &a->offset));
    if (a->offset >= 0 && !little_endian(a->set)) a->offset = -1;
    return LS_OK;
}

static ls_status open_tokens(token_file *f, int64_t file_bytes)
{
    ls_h5_shape s;
    char        type[32], dims[128];
    LS_TRY(ls__h5_dataset(f->base.path, f->base.file, "tokens", true, &f->tokens.set, &s));
    LS_CHECK(s.type == H5T_INTEGER && !s.is_signed && (s.size == 2 || s.size == 4), LS_ERR_DATA,
             "%s: /tokens: expected uint16, or uint32 for vocabularies above 65536, found %s", f->base.path,
             ls__h5_type_text(&s, type));
    LS_CHECK(s.rank == 1, LS_ERR_DATA, "%s: /tokens: expected N tokens in one dim, found %s", f->base.path,
             ls__h5_dims_text(&s, dims));
    LS_CHECK(s.count >= 1, LS_ERR_DATA, "%s: /tokens: has 0 tokens; expected at least 1", f->base.path);
    return check_array(f->base.path, "tokens", &f->tokens, &s, file_bytes);
}

static ls_status open_documents(token_file *f, int64_t file_bytes)
{
    ls_h5_shape s;
    char        type[32], dims[128];
    LS_TRY(ls__h5_dataset(f->base.path, f->base.file, "documents", false, &f->documents.set, &s));
    if (f->documents.set < 0) return LS_OK;
    LS_CHECK(s.type == H5T_INTEGER && s.size == 8 && s.is_signed && s.rank == 1 && s.count <= f->tokens.count,
             LS_ERR_DATA, "%s: /documents: expected at most %lld int64 offsets, found %s, %s", f->base.path,
             (long long)f->tokens.count, ls__h5_type_text(&s, type), ls__h5_dims_text(&s, dims));
    return check_array(f->base.path, "documents", &f->documents, &s, file_bytes);
}

static ls_status read_attributes(token_file *f, ls_arena *arena, ls_dataset_info *info)
{
    const char *path = f->base.path;
    hid_t       file = f->base.file;
    int64_t     vocabulary;
    char        kind[KIND], hash[LS_CHECKSUM + 1];
    LS_TRY(ls__split_attributes(&f->base, arena, &info->split));
    LS_TRY(ls__h5_int(path, file, "vocabulary", &vocabulary));
    LS_CHECK(vocabulary >= 1 && vocabulary <= LS_MAX_CLASSES, LS_ERR_DATA,
             "%s: attribute 'vocabulary': expected 1 to %d, found %lld", path, LS_MAX_CLASSES, (long long)vocabulary);
    LS_CHECK(f->tokens.width == 4 || vocabulary <= 65536, LS_ERR_DATA,
             "%s: /tokens: expected uint32 for a vocabulary of %lld tokens, found uint16", path, (long long)vocabulary);
    if (H5Aexists(file, "bytes") > 0) LS_TRY(ls__h5_int(path, file, "bytes", &info->bytes));
    LS_CHECK(info->bytes >= 0, LS_ERR_DATA,
             "%s: attribute 'bytes': expected the length of the text in bytes, found %lld", path,
             (long long)info->bytes);
    LS_TRY(ls__h5_text(path, file, "tokenizer", false, kind, sizeof kind));
    LS_TRY(ls__h5_text(path, file, "tokenizer_hash", false, hash, sizeof hash));
    info->classes        = (int)vocabulary;
    info->tokenizer      = ls_arena_strdup(arena, kind);
    info->tokenizer_hash = ls_arena_strdup(arena, hash);
    return LS_OK;
}

static void close_hdf5(token_file *f)
{
    if (f->tokens.set >= 0) H5Dclose(f->tokens.set);
    if (f->documents.set >= 0) H5Dclose(f->documents.set);
    if (f->base.file >= 0) H5Fclose(f->base.file);
    f->tokens.set = f->documents.set = f->base.file = -1;
}

static ls_status open_file(token_file *f, ls_arena *arena, ls_dataset_info *info)
{
    int64_t bytes;
    LS_TRY(ls__split_open(f->base.path, &f->base.fd, &f->base.file, &bytes));
    LS_TRY(open_tokens(f, bytes));
    LS_TRY(open_documents(f, bytes));
    int64_t skip = f->tokens.offset >= 0 ? f->tokens.count * f->tokens.width : 0;
    LS_TRY(ls__h5_check_heaps(f->base.path, f->base.fd, bytes, skip ? f->tokens.offset : bytes, skip));
    LS_TRY(read_attributes(f, arena, info));
    if (f->tokens.offset >= 0 && (f->documents.offset >= 0 || !f->documents.count)) close_hdf5(f);
    return LS_OK;
}

/* All files of a split must agree in everything but their tokens. */
static ls_status check_same(ls_arena *arena, const char *path, const ls_dataset_info *info, const char *first_path,
                            const ls_dataset_info *first)
{
    const ls_shared_field field[] = {
        {"split", first->split, info->split},
        {"vocabulary", ls_arena_printf(arena, "%d", first->classes), ls_arena_printf(arena, "%d", info->classes)},
        {"number of bytes of the split", ls_arena_printf(arena, "%lld", (long long)first->bytes),
         ls_arena_printf(arena, "%lld", (long long)info->bytes)},
        {"tokenizer", first->tokenizer, info->tokenizer},
        {"tokenizer's hash", first->tokenizer_hash, info->tokenizer_hash},
    };
    return ls__split_check_same(path, first_path, (int)(sizeof field / sizeof *field), field);
}

static ls_status open_files(token_set *d)
{
    ls_dataset_info *info = &d->base.info;
    for (int k = 0; k < d->files; k++) {
        token_file     *f   = &d->file[k];
        ls_dataset_info its = {.path = info->path, .kind = LS_DATA_TEXT};
        LS_TRY(open_file(f, d->base.arena, &its));
        if (k) LS_TRY(check_same(d->base.arena, f->base.path, &its, d->file[0].base.path, info));
        its.tokens = f->base.first = info->tokens;
        its.documents = f->first_document = info->documents;
        LS_CHECK(!__builtin_add_overflow(its.tokens, f->tokens.count, &its.tokens), LS_ERR_DATA,
                 "%s: /tokens: expected fewer tokens than 2^63 in the split", f->base.path);
        its.documents += f->documents.count;
        *info = its;
    }
    return LS_OK;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Reads `n` elements from `first` on, as little-endian integers of the array's width. */
static ls_status read_array(token_set *d, const token_file *f, const array *a, int64_t first, int64_t n, void *data)
{
    if (a->offset >= 0)
        return ls__file_read_at(f->base.path, f->base.fd, a->offset + first * a->width, data, (size_t)(n * a->width));
    hsize_t start = (hsize_t)first, count = (hsize_t)n;
    pthread_mutex_lock(&d->lock);
    ls__h5_quiet();
    hid_t space = H5Dget_space(a->set), memory = H5Screate_simple(1, &count, NULL);
    hid_t type = a->width == 2 ? H5T_STD_U16LE : a->width == 4 ? H5T_STD_U32LE : H5T_STD_I64LE;
    bool  ok   = H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, NULL, &count, NULL) >= 0 &&
              H5Dread(a->set, type, memory, space, H5P_DEFAULT, data) >= 0;
    H5Sclose(space);
    H5Sclose(memory);
    pthread_mutex_unlock(&d->lock);
    LS_CHECK(ok, LS_ERR_DATA, "%s: elements %lld to %lld cannot be read: %s", f->base.path, (long long)first,
             (long long)(first + n), ls__h5_reason());
    return LS_OK;
}

static ls_status tokens_of_file(token_set *d, const token_file *f, int64_t first, int64_t n, int32_t *tokens)
{
    uint32_t vocabulary = (uint32_t)d->base.info.classes;
    /* Read narrow tokens into the end of the memory, and widen them from the front. */
    uint8_t *raw = (uint8_t *)tokens + (size_t)n * (4 - (size_t)f->tokens.width);
    LS_TRY(read_array(d, f, &f->tokens, first, n, raw));
    for (int64_t i = 0; i < n; i++, raw += f->tokens.width) {
        uint32_t id = (uint32_t)raw[0] | (uint32_t)raw[1] << 8;
        if (f->tokens.width == 4) id |= (uint32_t)raw[2] << 16 | (uint32_t)raw[3] << 24;
        LS_CHECK(id < vocabulary, LS_ERR_DATA,
                 "%s: /tokens: token %lld is %u; expected 0 to %u, because the vocabulary has %u tokens" LS_HINT
                 "the file is damaged, or comes from another tokenizer: import the text again",
                 f->base.path, (long long)(first + i), id, vocabulary - 1, vocabulary);
        tokens[i] = (int32_t)id;
    }
    return LS_OK;
}

static ls_status read_tokens(ls_dataset *base, int64_t first, int64_t n, int32_t *tokens)
{
    token_set *d = (token_set *)base;
    for (int k = ls__split_file_of(d->file, sizeof *d->file, d->files, first); n > 0; k++) {
        const token_file *f    = &d->file[k];
        int64_t           from = first - f->base.first, part = f->tokens.count - from < n ? f->tokens.count - from : n;
        LS_TRY(tokens_of_file(d, f, from, part, tokens));
        first += part;
        tokens += part;
        n -= part;
    }
    return LS_OK;
}

static ls_status documents_of_file(token_set *d, const token_file *f, int64_t first, int64_t n, int64_t *starts)
{
    LS_TRY(read_array(d, f, &f->documents, first, n, starts));
    for (int64_t i = 0; i < n; i++) {
        uint8_t  le[8];
        uint64_t start = 0;
        memcpy(le, &starts[i], sizeof le);
        for (int b = 7; b >= 0; b--) start = start << 8 | le[b];
        bool fits = start < (uint64_t)f->tokens.count && (!i || starts[i - 1] < f->base.first + (int64_t)start);
        LS_CHECK(fits, LS_ERR_DATA,
                 "%s: /documents: document %lld begins at %lld; expected increasing offsets below %lld", f->base.path,
                 (long long)(first + i), (long long)start, (long long)f->tokens.count);
        starts[i] = f->base.first + (int64_t)start;
    }
    return LS_OK;
}

static ls_status read_documents(ls_dataset *base, int64_t first, int64_t n, int64_t *starts)
{
    token_set *d = (token_set *)base;
    for (int k = 0; n > 0 && k < d->files; k++) {
        const token_file *f = &d->file[k];
        int64_t from = first - f->first_document, part = f->documents.count - from < n ? f->documents.count - from : n;
        if (part <= 0) continue;
        LS_TRY(documents_of_file(d, f, from, part, starts));
        first += part;
        starts += part;
        n -= part;
    }
    return LS_OK;
}

/* ---- checksums --------------------------------------------------------------------------------------------------- */

/* Adds the stored bytes of an array to the checksum. */
static ls_status add_array(token_set *d, const token_file *f, const array *a, void *buffer, XXH3_state_t *state)
{
    for (int64_t i = 0; i < a->count; i += PER_READ) {
        int64_t n = a->count - i < PER_READ ? a->count - i : PER_READ;
        LS_TRY(read_array(d, f, a, i, n, buffer));
        XXH3_64bits_update(state, buffer, (size_t)n * (size_t)a->width);
    }
    return LS_OK;
}

static ls_status verify_file(token_set *d, const token_file *f, void *buffer, XXH3_state_t *state)
{
    int64_t last = -1;
    XXH3_64bits_reset(state);
    LS_TRY(add_array(d, f, &f->tokens, buffer, state));
    LS_TRY(add_array(d, f, &f->documents, buffer, state));
    LS_TRY(ls__split_checksum(f->base.path, f->base.checksum, state));
    for (int64_t i = 0; i < f->tokens.count; i += PER_READ)
        LS_TRY(tokens_of_file(d, f, i, f->tokens.count - i < PER_READ ? f->tokens.count - i : PER_READ, buffer));
    for (int64_t i = 0; i < f->documents.count; i += PER_READ) {
        int64_t n = f->documents.count - i < PER_READ ? f->documents.count - i : PER_READ, *starts = buffer;
        LS_TRY(documents_of_file(d, f, i, n, starts));
        LS_CHECK(starts[0] > last, LS_ERR_DATA, "%s: /documents: document %lld begins before the previous one ends",
                 f->base.path, (long long)i);
        last = starts[n - 1];
    }
    return LS_OK;
}

static ls_status verify(ls_dataset *base, int *files, int *checked)
{
    token_set    *d      = (token_set *)base;
    void         *buffer = malloc(PER_READ * sizeof(int64_t));
    XXH3_state_t *state  = XXH3_createState();
    ls_status     status =
        buffer && state ? LS_OK : LS_FAIL(LS_ERR_ENV, "%s: out of memory for a read buffer", base->info.path);
    *files   = d->files;
    *checked = 0;
    for (int k = 0; k < d->files && status == LS_OK; k++) {
        status = verify_file(d, &d->file[k], buffer, state);
        *checked += d->file[k].base.checksum[0] != 0;
    }
    free(buffer);
    XXH3_freeState(state);
    return status;
}

/* ---- opening and closing ----------------------------------------------------------------------------------------- */

static void close_all(ls_dataset *base)
{
    token_set *d = (token_set *)base;
    for (int k = 0; k < d->files; k++) {
        close_hdf5(&d->file[k]);
        if (d->file[k].base.fd >= 0) close(d->file[k].base.fd);
    }
    pthread_mutex_destroy(&d->lock);
    free(d);
}

ls_status ls__text_open(ls_dataset **dataset, ls_arena *arena, const char *path, int files, const char *const *paths)
{
    const array nothing = {.set = -1, .offset = -1, .width = 8};
    token_set  *d       = calloc(1, sizeof *d);
    LS_CHECK(d, LS_ERR_ENV, "%s: out of memory", path);
    pthread_mutex_init(&d->lock, NULL);
    d->base  = (ls_dataset){.arena     = arena,
                            .info      = {.path = path, .kind = LS_DATA_TEXT},
                            .tokens    = read_tokens,
                            .documents = read_documents,
                            .verify    = verify,
                            .close     = close_all};
    d->files = files;
    d->file  = ls_arena_alloc(arena, sizeof *d->file * (size_t)files);
    for (int k = 0; k < files; k++)
        d->file[k] =
            (token_file){.base = {.path = paths[k], .fd = -1, .file = -1}, .tokens = nothing, .documents = nothing};
    *dataset = &d->base;
    return open_files(d);
}
