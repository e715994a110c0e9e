/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures in HDF5 files (the format: datasets.h).  A file is believed only after every header was checked: types,
 * ranks, counts that agree, sizes against the file's, labels within the classes, numbers that are numbers.
 *
 * Contiguous pixels are then read with pread from their place in the file: no HDF5 call per sample, and HDF5 can be
 * closed. Chunked ones go through HDF5, one reader at a time.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "datasets/files/dataset.h"
#include "core/io/hdf5.h"
#include "core/io/hdf5_heap.h"
#include "datasets/files/dataset_files.h"

enum { FORMAT = 1, LABELS_A_TIME = 4096, CHECKSUM = 16 };

typedef struct shard_file {
    const char *path;
    int64_t     first, count; /* samples of the split */
    int         fd;
    int64_t     offset; /* of the pixels; -1: through `image` */
    hid_t       file, image;
    char        checksum[CHECKSUM + 1]; /* "": has none */
} shard_file;

typedef struct shard_set {
    ls_dataset      base;
    int             files;
    shard_file     *file;
    int32_t        *labels;
    pthread_mutex_t lock; /* of what goes through HDF5 */
} shard_set;

/* ---- one file's headers ------------------------------------------------------------------------------------------ */

static ls_status check_image(const char *path, const ls_h5_shape *s, ls_dataset_info *info)
{
    char type[32], dims[128];
    LS_CHECK(s->type == H5T_INTEGER && s->size == 1 && !s->is_signed, LS_ERR_DATA,
             "%s: /image: expected uint8, found %s" LS_HINT
             "store pixels as bytes 0..255; they are scaled by mean and std when they are read",
             path, ls__h5_type_text(s, type));
    LS_CHECK(s->rank == 4, LS_ERR_DATA,
             "%s: /image: expected N x C x H x W, found %s" LS_HINT "grey pictures have C = 1: N x 1 x H x W", path,
             ls__h5_dims_text(s, dims));
    LS_CHECK(s->dim[0] >= 1, LS_ERR_DATA, "%s: /image: has 0 samples; expected at least 1", path);
    bool fits = s->dim[1] >= 1 && s->dim[1] <= 4 && s->dim[2] >= 1 && s->dim[2] <= LS_MAX_SIDE && s->dim[3] >= 1 &&
                s->dim[3] <= LS_MAX_SIDE && s->dim[1] * s->dim[2] * s->dim[3] <= LS_MAX_SAMPLE_BYTES &&
                s->count < INT64_MAX;
    LS_CHECK(fits, LS_ERR_DATA,
             "%s: /image: is %s; expected 1 to 4 channels of 1 to %d pixels a side, %d MiB a sample at most" LS_HINT
             "the order is N x C x H x W, not N x H x W x C",
             path, ls__h5_dims_text(s, dims), LS_MAX_SIDE, LS_MAX_SAMPLE_BYTES >> 20);
    info->count    = s->dim[0];
    info->channels = (int)s->dim[1];
    info->height   = (int)s->dim[2];
    info->width    = (int)s->dim[3];
    return LS_OK;
}

static ls_status read_attributes(const char *path, hid_t file, ls_arena *arena, ls_dataset_info *info,
                                 char checksum[CHECKSUM + 1])
{
    int64_t format, classes;
    char    split[LS_SPLIT_NAME];
    LS_TRY(ls__h5_int(path, file, "lockstep_format", &format));
    LS_CHECK(format == FORMAT, LS_ERR_DATA,
             "%s: is of format %lld; expected %d" LS_HINT "a newer Lockstep wrote it: update, or import the data again",
             path, (long long)format, FORMAT);
    LS_TRY(ls__h5_text(path, file, "split", true, split, sizeof split));
    LS_TRY(ls__h5_int(path, file, "classes", &classes));
    LS_CHECK(classes >= 1 && classes <= LS_MAX_CLASSES, LS_ERR_DATA,
             "%s: attribute 'classes': expected 1 to %d, found %lld", path, LS_MAX_CLASSES, (long long)classes);
    LS_TRY(ls__h5_floats(path, file, "mean", info->channels, info->mean));
    LS_TRY(ls__h5_floats(path, file, "std", info->channels, info->std));
    for (int c = 0; c < info->channels; c++)
        LS_CHECK(info->std[c] > 0, LS_ERR_DATA,
                 "%s: attribute 'std': expected positive numbers, found %g for channel %d", path, (double)info->std[c],
                 c);
    LS_TRY(ls__h5_text(path, file, "checksum", false, checksum, CHECKSUM + 1));
    info->classes = (int)classes;
    info->split   = ls_arena_strdup(arena, split);
    return LS_OK;
}

/* `n` labels from `first` on, checked, as int32. */
static ls_status read_labels_at(const char *path, hid_t set, hid_t space, int64_t first, int64_t n, int classes,
                                int32_t *labels)
{
    int64_t wide[LABELS_A_TIME];
    hsize_t start = (hsize_t)first, count = (hsize_t)n;
    hid_t   memory = H5Screate_simple(1, &count, NULL);
    bool    ok     = H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, NULL, &count, NULL) >= 0 &&
              H5Dread(set, H5T_NATIVE_INT64, memory, space, H5P_DEFAULT, wide) >= 0;
    H5Sclose(memory);
    LS_CHECK(ok, LS_ERR_DATA, "%s: /label cannot be read: %s", path, ls__h5_reason());
    for (int64_t i = 0; i < n; i++) {
        LS_CHECK(wide[i] >= 0 && wide[i] < classes, LS_ERR_DATA,
                 "%s: /label: sample %lld has label %lld; expected 0 to %d", path, (long long)(first + i),
                 (long long)wide[i], classes - 1);
        labels[i] = (int32_t)wide[i];
    }
    return LS_OK;
}

static ls_status read_labels(const char *path, hid_t file, int64_t file_bytes, int64_t count, int classes,
                             int32_t **labels)
{
    hid_t       set, space = -1;
    ls_h5_shape s;
    int64_t     offset;
    char        type[32], dims[128];
    LS_TRY(ls__h5_dataset(path, file, "label", true, &set, &s));
    ls_status status = LS_OK;
    if (s.type != H5T_INTEGER || s.size > 8 || s.rank != 1)
        status = LS_FAIL(LS_ERR_DATA, "%s: /label: expected N integers, found %s, %s", path, ls__h5_type_text(&s, type),
                         ls__h5_dims_text(&s, dims));
    else if (s.count != count)
        status = LS_FAIL(LS_ERR_DATA, "%s: %lld pictures in /image, but %lld labels in /label; expected as many", path,
                         (long long)count, (long long)s.count);
    else
        status = ls__h5_storage(path, set, "label", &s, file_bytes, &offset);
    if (status != LS_OK) goto end;
    *labels = malloc((size_t)count * sizeof **labels);
    space   = H5Dget_space(set);
    if (!*labels || space < 0) status = LS_FAIL(LS_ERR_ENV, "%s: no memory for %lld labels", path, (long long)count);
    for (int64_t i = 0; i < count && status == LS_OK; i += LABELS_A_TIME)
        status = read_labels_at(path, set, space, i, count - i < LABELS_A_TIME ? count - i : LABELS_A_TIME, classes,
                                *labels + i);
    if (space >= 0) H5Sclose(space);
end:
    H5Dclose(set);
    return status;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static ls_status read_headers(shard_file *f, int64_t file_bytes, ls_arena *arena, ls_dataset_info *info,
                              int32_t **labels)
{
    ls_h5_shape s;
    LS_TRY(ls__h5_dataset(f->path, f->file, "image", true, &f->image, &s));
    LS_TRY(check_image(f->path, &s, info));
    LS_TRY(ls__h5_storage(f->path, f->image, "image", &s, file_bytes, &f->offset));
    int64_t pixels = f->offset >= 0 ? s.count : 0;
    LS_TRY(ls__h5_check_heaps(f->path, f->fd, file_bytes, pixels ? f->offset : file_bytes, pixels));
    LS_TRY(read_attributes(f->path, f->file, arena, info, f->checksum));
    LS_TRY(ls__class_names_read(f->path, f->file, file_bytes, arena, &info->class_names, &info->classes));
    LS_TRY(read_labels(f->path, f->file, file_bytes, info->count, info->classes, labels));
    f->count = info->count;
    return LS_OK;
}

static void close_hdf5(shard_file *f)
{
    if (f->image >= 0) H5Dclose(f->image);
    if (f->file >= 0) H5Fclose(f->file);
    f->image = f->file = -1;
}

static ls_status open_file(shard_file *f, ls_arena *arena, ls_dataset_info *info, int32_t **labels)
{
    int64_t bytes;
    LS_TRY(ls__split_open(f->path, &f->fd, &f->file, &bytes));
    LS_TRY(read_headers(f, bytes, arena, info, labels));
    if (f->offset >= 0) close_hdf5(f);
    return LS_OK;
}

/* All files of a split must tell the same of everything but their samples. */
static ls_status check_same(const char *path, const ls_dataset_info *info, const char *first_path,
                            const ls_dataset_info *first)
{
    const char *what =
        strcmp(info->split, first->split) ? "split"
        : info->channels != first->channels || info->height != first->height || info->width != first->width
            ? "shape of /image"
        : info->classes != first->classes                    ? "number of classes"
        : memcmp(info->mean, first->mean, sizeof info->mean) ? "mean"
        : memcmp(info->std, first->std, sizeof info->std)    ? "std"
                                                             : NULL;
    for (int i = 0; i < info->classes && !what; i++)
        if (strcmp(info->class_names[i], first->class_names[i])) what = "class names";
    LS_CHECK(!what, LS_ERR_DATA, "%s: its %s is not that of %s" LS_HINT "are the files of one import?", path, what,
             first_path);
    return LS_OK;
}

static ls_status open_files(shard_set *d)
{
    ls_dataset_info *info = &d->base.info;
    for (int k = 0; k < d->files; k++) {
        shard_file     *f      = &d->file[k];
        ls_dataset_info its    = {0};
        int32_t        *labels = NULL, *all;
        ls_status       status = open_file(f, d->base.arena, &its, &labels);
        if (status == LS_OK && k) status = check_same(f->path, &its, d->file[0].path, info);
        if (status == LS_OK) {
            f->first = k ? info->count : 0;
            all      = realloc(d->labels, (size_t)(f->first + f->count) * sizeof *all);
            if (all) {
                memcpy(all + f->first, labels, (size_t)f->count * sizeof *all);
                d->labels = all;
            } else
                status =
                    LS_FAIL(LS_ERR_ENV, "%s: no memory for %lld labels", f->path, (long long)(f->first + f->count));
        }
        free(labels);
        if (status != LS_OK) return ls__trace(status, __FILE__, __LINE__, __func__);
        const char *path = info->path;
        if (!k) *info = its;
        info->path  = path;
        info->count = f->first + f->count;
    }
    return LS_OK;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static ls_status read_through_hdf5(shard_set *d, const shard_file *f, int64_t i, uint8_t *pixels)
{
    const ls_dataset_info *info     = &d->base.info;
    hsize_t                start[4] = {(hsize_t)i},
            count[4]                = {1, (hsize_t)info->channels, (hsize_t)info->height, (hsize_t)info->width};
    pthread_mutex_lock(&d->lock);
    ls__h5_quiet();
    hid_t space = H5Dget_space(f->image), memory = H5Screate_simple(4, count, NULL);
    bool  ok = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
              H5Dread(f->image, H5T_NATIVE_UINT8, memory, space, H5P_DEFAULT, pixels) >= 0;
    H5Sclose(space);
    H5Sclose(memory);
    pthread_mutex_unlock(&d->lock);
    LS_CHECK(ok, LS_ERR_DATA, "%s: sample %lld cannot be read: %s", f->path, (long long)i, ls__h5_reason());
    return LS_OK;
}

static ls_status read_pixels(shard_set *d, const shard_file *f, int64_t i, uint8_t *pixels)
{
    int64_t bytes = ls__sample_bytes(&d->base.info);
    return f->offset >= 0 ? ls__split_read(f->path, f->fd, f->offset + i * bytes, bytes, pixels)
                          : read_through_hdf5(d, f, i, pixels);
}

static ls_status read_sample(ls_dataset *base, int64_t i, uint8_t *pixels, int32_t *label)
{
    shard_set *d   = (shard_set *)base;
    int        low = 0, high = d->files - 1; /* the last file whose first sample is <= i */
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (d->file[middle].first <= i)
            low = middle;
        else
            high = middle - 1;
    }
    if (pixels) LS_TRY(read_pixels(d, &d->file[low], i - d->file[low].first, pixels));
    *label = d->labels[i];
    return LS_OK;
}

/* The checksum is of the pixels, then the labels as little-endian int32. */
static ls_status verify_file(shard_set *d, const shard_file *f, uint8_t *pixels, XXH3_state_t *state)
{
    XXH3_64bits_reset(state);
    for (int64_t i = 0; i < f->count; i++) {
        LS_TRY(read_pixels(d, f, i, pixels));
        XXH3_64bits_update(state, pixels, (size_t)ls__sample_bytes(&d->base.info));
    }
    for (int64_t i = 0; i < f->count; i++) {
        uint32_t label = (uint32_t)d->labels[f->first + i];
        uint8_t  le[4] = {(uint8_t)label, (uint8_t)(label >> 8), (uint8_t)(label >> 16), (uint8_t)(label >> 24)};
        XXH3_64bits_update(state, le, sizeof le);
    }
    LS_TRY(ls__split_checksum(f->path, f->checksum, state));
    return LS_OK;
}

static ls_status verify(ls_dataset *base, int *files, int *checked)
{
    shard_set    *d      = (shard_set *)base;
    uint8_t      *pixels = malloc((size_t)ls__sample_bytes(&base->info));
    XXH3_state_t *state  = XXH3_createState();
    ls_status     status = pixels && state ? LS_OK : LS_FAIL(LS_ERR_ENV, "%s: no memory for a sample", base->info.path);
    *files               = d->files;
    *checked             = 0;
    for (int k = 0; k < d->files && status == LS_OK; k++) {
        status = verify_file(d, &d->file[k], pixels, state);
        *checked += d->file[k].checksum[0] != 0;
    }
    free(pixels);
    XXH3_freeState(state);
    return status;
}

static void close_all(ls_dataset *base)
{
    shard_set *d = (shard_set *)base;
    for (int k = 0; k < d->files; k++) {
        close_hdf5(&d->file[k]);
        if (d->file[k].fd >= 0) close(d->file[k].fd);
    }
    pthread_mutex_destroy(&d->lock);
    free(d->labels);
    free(d);
}

ls_status ls__images_open(ls_dataset **dataset, ls_arena *arena, const char *path, int files, const char *const *paths)
{
    shard_set *d = calloc(1, sizeof *d);
    LS_CHECK(d, LS_ERR_ENV, "%s: no memory", path);
    pthread_mutex_init(&d->lock, NULL);
    d->base =
        (ls_dataset){.arena = arena, .info.path = path, .read = read_sample, .verify = verify, .close = close_all};
    d->files = files;
    d->file  = ls_arena_alloc(arena, sizeof *d->file * (size_t)files);
    for (int k = 0; k < files; k++)
        d->file[k] = (shard_file){.path = paths[k], .fd = -1, .file = -1, .image = -1, .offset = -1};
    *dataset = &d->base;
    return open_files(d);
}
