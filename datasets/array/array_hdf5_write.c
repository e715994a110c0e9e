/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes named arrays into one HDF5 file, sample by sample.
 *
 * HDF5 reserves the place of each array; the values are then written to these places (dataset_files_write.h).  The file
 * gets its name when it is complete.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/hdf5_write.h"
#include "datasets/files/dataset_files_write.h"

enum { BUFFER = 256 << 10, MAX_STRING_ARRAYS = 4 };

typedef struct output {
    const char *name;
    hid_t       stored;
    int         rank;
    hsize_t     dim[LS_MAX_DIMS + 1];
    size_t      row_bytes;
    int64_t     at;      /* byte offset of the array in the file */
    int64_t     written; /* bytes written to the file */
    uint8_t    *buffer;
    size_t      buffered, capacity;
} output;

typedef struct strings {
    const char        *name;
    int                count;
    const char *const *text;
} strings;

struct ls_array_writer {
    ls_split_writer files;
    int64_t         count;
    int             outputs, string_arrays;
    output         *output;
    strings         string_array[MAX_STRING_ARRAYS];
};

/* ---- the file ---------------------------------------------------------------------------------------------------- */

/* Writes strings of equal length, padded with 0: variable-length strings would need the heap of HDF5. */
static bool put_strings(hid_t file, const strings *s)
{
    size_t  each = 1;
    hsize_t dim  = (hsize_t)s->count;
    for (int i = 0; i < s->count; i++)
        if (strlen(s->text[i]) > each) each = strlen(s->text[i]);
    char *raw = calloc((size_t)s->count, each);
    if (!raw) return false;
    for (int i = 0; i < s->count; i++) memcpy(raw + (size_t)i * each, s->text[i], strlen(s->text[i]));
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, &dim, NULL);
    H5Tset_size(type, each);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
    hid_t set = H5Dcreate2(file, s->name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    bool  ok  = set >= 0 && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw) >= 0;
    if (set >= 0) ok = H5Dclose(set) >= 0 && ok;
    H5Sclose(space);
    H5Tclose(type);
    free(raw);
    return ok;
}

static bool put_skeleton(void *writer, hid_t file)
{
    ls_array_writer *w  = writer;
    bool             ok = true;
    for (int i = 0; i < w->string_arrays && ok; i++) ok = put_strings(file, &w->string_array[i]);
    for (int i = 0; i < w->outputs && ok; i++) {
        output *o = &w->output[i];
        ok        = ls__h5_reserve(file, o->name, o->stored, o->rank, o->dim, &o->at);
    }
    return ok;
}

static ls_status flush(ls_array_writer *w, output *o)
{
    LS_TRY(ls__split_write(&w->files, o->at + o->written, o->buffer, o->buffered));
    o->written += (int64_t)o->buffered;
    o->buffered = 0;
    return LS_OK;
}

static ls_status begin(ls_array_writer *w)
{
    int64_t bytes = 0;
    for (int i = 0; i < w->outputs; i++) bytes += w->count * (int64_t)w->output[i].row_bytes;
    for (int i = 0; i < w->string_arrays; i++)
        for (int k = 0; k < w->string_array[i].count; k++) bytes += (int64_t)strlen(w->string_array[i].text[k]);
    return ls__split_begin(&w->files, bytes, put_skeleton, w);
}

/* ---- the functions of datasets.h --------------------------------------------------------------------------------- */

/* Cuts "folder/name.h5" into the folder and the name of the split. */
static ls_status prepare(ls_array_writer *w, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t      length = strlen(name), folder_length = slash ? (size_t)(slash - path) : 0;
    char        folder[4096] = ".", split[LS_SPLIT_NAME];
    LS_CHECK(length > 3 && length - 3 < sizeof split && !strcmp(name + length - 3, ".h5"), LS_ERR_USAGE,
             "%s: expected the name of a file that ends in .h5", path);
    LS_CHECK(folder_length < sizeof folder, LS_ERR_USAGE, "%s: the name of the folder is too long", path);
    if (slash) snprintf(folder, sizeof folder, "%.*s", (int)(folder_length ? folder_length : 1), path);
    snprintf(split, sizeof split, "%.*s", (int)length - 3, name);
    return ls__split_prepare(&w->files, folder, split, 1);
}

static ls_status add_output(ls_array_writer *w, const char *path, const ls_array_output *spec)
{
    static const size_t bytes[] = {[LS_ARRAY_F32] = 4, [LS_ARRAY_F64] = 8, [LS_ARRAY_I32] = 4};
    output             *o       = &w->output[w->outputs];
    size_t              length  = strlen(spec->name);
    LS_CHECK(length >= 1 && length < LS_COLUMN_NAME && !strchr(spec->name, '/') && strcmp(spec->name, "."),
             LS_ERR_USAGE, "%s: '%s': expected a name of 1 to %d bytes without '/'", path, spec->name,
             LS_COLUMN_NAME - 1);
    LS_CHECK(spec->rank >= 0 && spec->rank <= LS_MAX_DIMS, LS_ERR_USAGE, "%s: /%s: rank: expected 0 to %d, found %d",
             path, spec->name, LS_MAX_DIMS, spec->rank);
    o->name      = ls_arena_strdup(w->files.arena, spec->name);
    o->stored    = spec->type == LS_ARRAY_F64   ? H5T_NATIVE_DOUBLE
                   : spec->type == LS_ARRAY_I32 ? H5T_NATIVE_INT32
                                                : H5T_NATIVE_FLOAT;
    o->rank      = spec->rank + 1;
    o->dim[0]    = (hsize_t)w->count;
    o->row_bytes = bytes[spec->type];
    for (int i = 0; i < spec->rank; i++) {
        o->dim[i + 1] = (hsize_t)spec->dim[i];
        bool fits = spec->dim[i] >= 1 && !__builtin_mul_overflow(o->row_bytes, (size_t)spec->dim[i], &o->row_bytes) &&
                    o->row_bytes <= LS_MAX_SAMPLE_BYTES;
        LS_CHECK(fits, LS_ERR_USAGE, "%s: /%s: expected 1 byte to %d MiB a sample", path, spec->name,
                 LS_MAX_SAMPLE_BYTES >> 20);
    }
    LS_CHECK(w->count < INT64_MAX / 2 / (int64_t)o->row_bytes, LS_ERR_USAGE, "%s: /%s: expected fewer samples", path,
             spec->name);
    o->capacity = o->row_bytes > BUFFER ? o->row_bytes : BUFFER / o->row_bytes * o->row_bytes;
    o->buffer   = malloc(o->capacity);
    w->outputs++;
    LS_CHECK(o->buffer, LS_ERR_ENV, "%s: out of memory for a buffer of %zu bytes", path, o->capacity);
    return LS_OK;
}

static ls_status start(ls_array_writer *w, const char *path, int64_t count, const ls_array_output *outputs, int n)
{
    LS_CHECK(count >= 1 && n >= 1, LS_ERR_USAGE, "%s: expected at least 1 sample and 1 array, found %lld and %d", path,
             (long long)count, n);
    LS_TRY(prepare(w, path));
    w->files.total = count;
    w->output      = ls_arena_alloc(w->files.arena, sizeof *w->output * (size_t)n);
    for (int i = 0; i < n; i++) LS_TRY(add_output(w, path, &outputs[i]));
    return LS_OK;
}

ls_status ls_array_writer_new(ls_array_writer **writer, const char *path, int64_t count, const ls_array_output *outputs,
                              int n)
{
    *writer            = NULL;
    ls_array_writer *w = calloc(1, sizeof *w);
    LS_CHECK(w, LS_ERR_ENV, "%s: out of memory", path);
    w->files.fd      = -1;
    w->count         = count;
    ls_status status = start(w, path, count, outputs, n);
    if (status != LS_OK) {
        ls_array_writer_free(w);
        return ls__trace(status, __FILE__, __LINE__, __func__);
    }
    *writer = w;
    return LS_OK;
}

ls_status ls_array_writer_strings(ls_array_writer *w, const char *name, int n, const char *const *text)
{
    LS_CHECK(w->files.fd < 0 && w->string_arrays < MAX_STRING_ARRAYS && n >= 1, LS_ERR_USAGE,
             "%s: /%s: expected at most %d arrays of strings, added before the first sample", w->files.path[0], name,
             MAX_STRING_ARRAYS);
    const char **copy = ls_arena_alloc(w->files.arena, sizeof *copy * (size_t)n);
    for (int i = 0; i < n; i++) copy[i] = ls_arena_strdup(w->files.arena, text[i]);
    w->string_array[w->string_arrays++] =
        (strings){.name = ls_arena_strdup(w->files.arena, name), .count = n, .text = copy};
    return LS_OK;
}

ls_status ls_array_writer_add(ls_array_writer *w, const void *const *rows)
{
    LS_CHECK(w->files.done < w->count, LS_ERR_USAGE, "%s: expected %lld samples, found more", w->files.path[0],
             (long long)w->count);
    if (w->files.fd < 0) LS_TRY(begin(w));
    for (int i = 0; i < w->outputs; i++) {
        output *o = &w->output[i];
        if (o->buffered == o->capacity) LS_TRY(flush(w, o));
        memcpy(o->buffer + o->buffered, rows[i], o->row_bytes);
        o->buffered += o->row_bytes;
    }
    w->files.done++;
    return LS_OK;
}

ls_status ls_array_writer_close(ls_array_writer *w)
{
    LS_CHECK(w->files.done == w->count, LS_ERR_USAGE, "%s: expected %lld samples, found %lld", w->files.path[0],
             (long long)w->count, (long long)w->files.done);
    for (int i = 0; i < w->outputs; i++) LS_TRY(flush(w, &w->output[i]));
    LS_TRY(ls__split_end(&w->files, NULL));
    return ls__split_close(&w->files);
}

void ls_array_writer_free(ls_array_writer *w)
{
    if (!w) return;
    for (int i = 0; i < w->outputs; i++) free(w->output[i].buffer);
    ls__split_free(&w->files);
    free(w);
}
