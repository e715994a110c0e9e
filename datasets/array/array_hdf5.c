/* SPDX-License-Identifier: Apache-2.0
 *
 * Named arrays of any HDF5 file as a dataset: each array has the samples in its first dim.
 *
 * array_check.c checks links, types, dims and storage of each array before anything is read or allocated.  Values are
 * checked when they are read: NaN and infinity are errors.
 *
 * Contiguous little-endian numbers are read with pread at their offset, and HDF5 is closed after opening.  Other arrays
 * (chunked, compressed, big-endian, float16) are read through HDF5, which converts them to float64; a lock serialises
 * these reads.  The labels of a classification are read when the dataset is opened (array_labels.c).
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/array/array.h"
#include "core/io/file_access.h"
#include "core/io/hdf5.h"

enum { HELD_OUT_PART = 10 };

/* ---- types ------------------------------------------------------------------------------------------------------- */

#define STORED_LIST(X)                                                                                                 \
    X(H5T_IEEE_F32LE, float)                                                                                           \
    X(H5T_IEEE_F64LE, double)                                                                                          \
    X(H5T_STD_I8LE, int8_t)                                                                                            \
    X(H5T_STD_U8LE, uint8_t)                                                                                           \
    X(H5T_STD_I16LE, int16_t)                                                                                          \
    X(H5T_STD_U16LE, uint16_t)                                                                                         \
    X(H5T_STD_I32LE, int32_t)                                                                                          \
    X(H5T_STD_U32LE, uint32_t)                                                                                         \
    X(H5T_STD_I64LE, int64_t)                                                                                          \
    X(H5T_STD_U64LE, uint64_t)

/* Converts n elements to float64, from the first to the last.  `raw` may be the last part of the memory of y, because
 * element i of `raw` never begins before element i of y. */
#define X(stored, type)                                                                                                \
    static void widen_##type(const uint8_t *raw, int64_t n, double *y)                                                 \
    {                                                                                                                  \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            type x;                                                                                                    \
            memcpy(&x, raw + (size_t)i * sizeof x, sizeof x);                                                          \
            y[i] = (double)x;                                                                                          \
        }                                                                                                              \
    }
STORED_LIST(X)
#undef X

typedef struct stored_type {
    int  bytes;
    bool integer;
    void (*widen)(const uint8_t *raw, int64_t n, double *y);
} stored_type;

static const stored_type stored_types[] = {
#define X(stored, type) {sizeof(type), (type)0.5 == 0, widen_##type},
    STORED_LIST(X)
#undef X
};

bool ls__array_stored_is_integer(int stored) { return stored_types[stored].integer; }

int ls__array_stored_as(hid_t set)
{
    const hid_t types[] = {
#define X(stored, type) stored,
        STORED_LIST(X)
#undef X
    };
    const uint16_t one   = 1;
    hid_t          type  = H5Dget_type(set);
    int            found = -1;
    for (int i = 0; i < (int)(sizeof types / sizeof *types) && type >= 0 && *(const uint8_t *)&one; i++)
        if (H5Tequal(type, types[i]) > 0) found = i;
    if (type >= 0) H5Tclose(type);
    return found;
}

int ls__array_stored_bytes(int stored) { return stored_types[stored].bytes; }

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void close_hdf5(ls_array_set *d, ls_array_file *f)
{
    for (int c = 0; c < d->columns; c++) {
        if (f->part[c].set >= 0) H5Dclose(f->part[c].set);
        f->part[c].set = -1;
    }
    if (f->file >= 0) H5Fclose(f->file);
    f->file = -1;
}

static ls_status open_file(ls_array_set *d, ls_array_file *f, int *named)
{
    int64_t bytes;
    bool    direct = true;
    LS_TRY(ls__split_open(f->path, &f->fd, &f->file, &bytes));
    for (int c = 0; c < d->columns; c++) {
        LS_TRY(ls__array_open_part(d, f, c, bytes));
        direct = direct && (f->part[c].offset >= 0 || c == d->label_column);
    }
    if (d->label_column >= 0) {
        LS_TRY(ls__array_append_labels(d, f));
        if (f == d->file) LS_TRY(ls__array_class_names(d, f, bytes, named));
    }
    if (direct) close_hdf5(d, f);
    return LS_OK;
}

static ls_status open_files(ls_array_set *d, bool folder, const char *split)
{
    ls_dataset_info *info  = &d->base.info;
    int64_t          rows  = 0, cut;
    int              named = 0;
    for (int k = 0; k < d->files; k++) {
        d->file[k].first = rows;
        LS_TRY(open_file(d, &d->file[k], &named));
        rows += d->file[k].count;
        LS_CHECK(rows < INT64_MAX / 16, LS_ERR_DATA, "%s: expected fewer samples", info->path);
    }
    /* A single file has no splits: the last tenth is held out. */
    cut = rows;
    if (!folder && split) {
        LS_CHECK(rows >= 2, LS_ERR_DATA, "%s: has 1 sample; expected at least 2, one of them held out", info->path);
        cut = rows - (rows < HELD_OUT_PART ? 1 : rows / HELD_OUT_PART);
    }
    bool train  = !split || folder || !strcmp(split, "train");
    d->skip     = train ? 0 : cut;
    info->count = train ? cut : rows - cut;
    if (d->label_column >= 0) LS_TRY(ls__array_count_classes(d, folder, rows, cut, named));
    info->columns = d->columns;
    for (int c = 0; c < d->columns; c++) info->column[c] = d->column[c].column;
    return LS_OK;
}

static ls_status check_name(const ls_array_set *d, const char *path, const char *name)
{
    size_t length = strlen(name);
    LS_CHECK(length >= 1 && length < LS_COLUMN_NAME && name[length - 1] != '/' && !strstr(name, "//"), LS_ERR_USAGE,
             "%s: '%s': expected the name of an array, of 1 to %d bytes", path, name, LS_COLUMN_NAME - 1);
    for (int c = 0; c < d->columns; c++)
        LS_CHECK(strcmp(d->column[c].dataset, name), LS_ERR_USAGE, "%s: /%s: is named twice as an input or target",
                 path, name);
    return LS_OK;
}

static ls_status add_column(ls_array_set *d, const char *path, const char *name, ls_column_role role)
{
    if (name[0] == '/') name++;
    LS_TRY(check_name(d, path, name));
    ls_array_column_data *a = &d->column[d->columns++];
    a->dataset              = ls_arena_strdup(d->base.arena, name);
    a->column               = (ls_column){.role = role};
    snprintf(a->column.name, sizeof a->column.name, "%s", name);
    return LS_OK;
}

static ls_status add_columns(ls_array_set *d, const char *path, const ls_array_columns *c)
{
    LS_CHECK(c->inputs >= 1, LS_ERR_USAGE, "%s: expected at least 1 input, found 0" LS_HINT "data.inputs names them",
             path);
    LS_CHECK(c->targets >= 0 && c->inputs <= LS_MAX_INPUTS && c->targets <= LS_MAX_INPUTS - c->inputs, LS_ERR_USAGE,
             "%s: expected at most %d inputs and targets, found %d and %d" LS_HINT
             "store numbers that belong together as one array N x F",
             path, LS_MAX_INPUTS, c->inputs, c->targets);
    bool classes = c->task == LS_ARRAY_CLASSIFICATION;
    LS_CHECK(!classes || c->targets <= 1, LS_ERR_USAGE, "%s: a classification: expected 1 target, found %d", path,
             c->targets);
    d->inputs       = c->inputs;
    d->label_column = classes && c->targets ? c->inputs : -1;
    for (int i = 0; i < c->inputs; i++) LS_TRY(add_column(d, path, c->input[i], LS_COLUMN_INPUT));
    for (int i = 0; i < c->targets; i++) LS_TRY(add_column(d, path, c->target[i], LS_COLUMN_TARGET));
    return LS_OK;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

const ls_array_file *ls__array_file_of(const ls_array_set *d, int64_t i, int64_t *row)
{
    int low = 0, high = d->files - 1; /* the file of row i is within [low, high] */
    i += d->skip;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (d->file[middle].first <= i)
            low = middle;
        else
            high = middle - 1;
    }
    *row = i - d->file[low].first;
    return &d->file[low];
}

static ls_status read_through_hdf5(ls_array_set *d, const ls_array_file *f, int column, int64_t row, int64_t n,
                                   double *values)
{
    hsize_t start[LS_H5_DIMS] = {0}, size[LS_H5_DIMS] = {0};
    pthread_mutex_lock(&d->lock);
    ls__h5_quiet();
    hid_t set = f->part[column].set, space = H5Dget_space(set);
    int   rank   = space >= 0 ? H5Sget_simple_extent_dims(space, size, NULL) : -1;
    start[0]     = (hsize_t)row;
    size[0]      = (hsize_t)n;
    hid_t memory = rank >= 1 ? H5Screate_simple(rank, size, NULL) : -1;
    bool  ok     = memory >= 0 && H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) >= 0 &&
              H5Dread(set, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, values) >= 0;
    if (memory >= 0) H5Sclose(memory);
    if (space >= 0) H5Sclose(space);
    pthread_mutex_unlock(&d->lock);
    LS_CHECK(ok, LS_ERR_DATA, "%s: /%s: sample %lld cannot be read: %s", f->path, d->column[column].dataset,
             (long long)row, ls__h5_reason());
    return LS_OK;
}

static ls_status read_direct(const ls_array_set *d, const ls_array_file *f, int column, int64_t row, int64_t n,
                             double *values)
{
    const ls_array_part *p     = &f->part[column];
    const stored_type   *t     = &stored_types[p->stored];
    int64_t              count = n * d->column[column].elements, first = row * d->column[column].elements;
    /* Read narrow elements into the end of the memory, and widen them from the front. */
    uint8_t *raw = (uint8_t *)values + (size_t)count * (sizeof *values - (size_t)t->bytes);
    LS_TRY(ls__file_read_at(f->path, f->fd, p->offset + first * t->bytes, raw, (size_t)(count * t->bytes)));
    t->widen(raw, count, values);
    return LS_OK;
}

static ls_status check_finite(const ls_array_set *d, const ls_array_file *f, int column, int64_t row, int64_t n,
                              const double *values)
{
    int64_t elements = d->column[column].elements, count = n * elements;
    bool    bad = false;
    for (int64_t i = 0; i < count; i++) bad |= !(fabs(values[i]) <= DBL_MAX);
    for (int64_t i = 0; i < count && bad; i++)
        LS_CHECK(isfinite(values[i]), LS_ERR_DATA,
                 "%s: /%s: sample %lld: element %lld is %s; expected a finite number" LS_HINT
                 "remove the sample, or fill in a value",
                 f->path, d->column[column].dataset, (long long)(row + i / elements), (long long)(i % elements),
                 isnan(values[i]) ? "nan"
                 : values[i] > 0  ? "inf"
                                  : "-inf");
    return LS_OK;
}

ls_status ls__array_values(ls_array_set *d, int column, int64_t first, int64_t n, double *values)
{
    while (n > 0) {
        int64_t              row;
        const ls_array_file *f    = ls__array_file_of(d, first, &row);
        int64_t              part = f->count - row < n ? f->count - row : n;
        LS_TRY(f->part[column].offset >= 0 ? read_direct(d, f, column, row, part, values)
                                           : read_through_hdf5(d, f, column, row, part, values));
        LS_TRY(check_finite(d, f, column, row, part, values));
        first += part;
        n -= part;
        values += part * d->column[column].elements;
    }
    return LS_OK;
}

/* ---- the functions of datasets.h --------------------------------------------------------------------------------- */

ls_status ls__array_set_of(ls_dataset *d, ls_array_set **set)
{
    *set = NULL;
    LS_CHECK(d->info.kind == LS_DATA_ARRAYS, LS_ERR_USAGE, "%s: expected a dataset of arrays (ls_dataset_open_arrays)",
             d->info.path);
    *set = (ls_array_set *)d;
    return LS_OK;
}

ls_status ls_dataset_values(ls_dataset *base, int column, int64_t first, int64_t n, double *values)
{
    ls_array_set *d;
    LS_TRY(ls__array_set_of(base, &d));
    LS_CHECK(column >= 0 && column < d->columns, LS_ERR_USAGE, "%s: column: expected 0 to %d, found %d",
             base->info.path, d->columns - 1, column);
    LS_CHECK(first >= 0 && n >= 0 && n <= base->info.count && first <= base->info.count - n, LS_ERR_USAGE,
             "%s: expected samples within 0 to %lld, found %lld to %lld", base->info.path,
             (long long)base->info.count - 1, (long long)first, (long long)(first + n - 1));
    if (column != d->label_column) return ls__array_values(d, column, first, n, values);
    for (int64_t i = 0; i < n; i++) values[i] = d->labels[d->skip + first + i];
    return LS_OK;
}

/* Reads all values once, to find NaN, infinity and unreadable chunks. */
static ls_status verify(ls_dataset *base, int *files, int *checked)
{
    ls_array_set *d = (ls_array_set *)base;
    *files          = d->files;
    *checked        = 0;
    for (int c = 0; c < d->columns; c++) {
        if (c == d->label_column) continue;
        double   *values = malloc((size_t)d->column[c].elements * sizeof *values);
        ls_status status = values ? LS_OK : LS_FAIL(LS_ERR_ENV, "%s: out of memory for a sample", base->info.path);
        for (int64_t i = 0; i < base->info.count && status == LS_OK; i++) status = ls__array_values(d, c, i, 1, values);
        free(values);
        LS_TRY(status);
    }
    return LS_OK;
}

static void close_all(ls_dataset *base)
{
    ls_array_set *d = (ls_array_set *)base;
    for (int k = 0; k < d->files; k++) {
        close_hdf5(d, &d->file[k]);
        if (d->file[k].fd >= 0) close(d->file[k].fd);
    }
    pthread_mutex_destroy(&d->lock);
    ls_scaler_free(d->scaler);
    free(d->labels);
    free(d);
}

static ls_status open_all(ls_array_set *d, const char *path, const char *split, const ls_array_columns *columns)
{
    ls_arena    *arena = d->base.arena;
    const char **paths;
    struct stat  st;
    int          files;
    LS_TRY(add_columns(d, path, columns));
    LS_TRY(ls__split_find(arena, path, split, &files, &paths));
    d->file = ls_arena_alloc(arena, sizeof *d->file * (size_t)files);
    for (int k = 0; k < files; k++) {
        d->file[k] = (ls_array_file){.path = paths[k], .fd = -1, .file = -1};
        for (int c = 0; c < LS_MAX_INPUTS; c++)
            d->file[k].part[c] = (ls_array_part){.set = -1, .offset = -1, .stored = -1};
    }
    d->files = files;
    ls__h5_quiet();
    return open_files(d, stat(path, &st) == 0 && S_ISDIR(st.st_mode), split);
}

ls_status ls_dataset_open_arrays(ls_dataset **dataset, const char *path, const char *split,
                                 const ls_array_columns *columns)
{
    ls_arena *arena;
    *dataset = NULL;
    LS_TRY(ls_arena_new(&arena, "dataset"));
    ls_array_set *d = calloc(1, sizeof *d);
    if (!d) {
        ls_arena_free(arena);
        return LS_FAIL(LS_ERR_ENV, "%s: out of memory", path);
    }
    pthread_mutex_init(&d->lock, NULL);
    d->base          = (ls_dataset){.arena  = arena,
                                    .info   = {.path  = ls_arena_strdup(arena, path),
                                               .split = ls_arena_strdup(arena, split ? split : "train"),
                                               .kind  = LS_DATA_ARRAYS},
                                    .verify = verify,
                                    .close  = close_all};
    d->label_column  = -1;
    ls_status status = open_all(d, path, split, columns);
    if (status != LS_OK) {
        ls_dataset_free(&d->base);
        return ls__trace(status, __FILE__, __LINE__, __func__);
    }
    *dataset = &d->base;
    return LS_OK;
}
