/* SPDX-License-Identifier: Apache-2.0
 *
 * Images in HDF5 files (format: datasets.h).
 *
 * Files are untrusted.  Opening checks types, ranks, equal counts, sizes against the file's size, the range of the
 * labels, and that mean and std are finite.
 *
 * Contiguous pixels are read with pread at their offset, and HDF5 is closed after opening.  Chunked pixels are read
 * through HDF5; a lock serialises these reads.  Image files (image_encoded.c) are read with pread and decoded.
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
#include "datasets/image/image_encoded.h"

enum { LABELS_PER_READ = 4096, FIELD_TEXT = 128 };

typedef struct image_file {
    ls_dataset_file base;
    int64_t         offset; /* byte offset of the pixels in the file; -1: read through `image` */
    hid_t           image;  /* HDF5 dataset; -1: closed */
    int64_t        *start;  /* image files: positions in the file, count + 1; NULL: pixels */
} image_file;

typedef struct image_set {
    ls_dataset      base;
    int             files;
    image_file     *file;
    int32_t        *labels; /* labels of all samples of the split */
    pthread_mutex_t lock;   /* serialises reads through HDF5 */
} image_set;

/* ---- one file's headers ------------------------------------------------------------------------------------------ */

static ls_status check_image(const char *path, const ls_h5_shape *s, ls_dataset_info *info)
{
    char type[32], dims[128];
    LS_CHECK(s->type == H5T_INTEGER && s->size == 1 && !s->is_signed, LS_ERR_DATA,
             "%s: /image: expected uint8, found %s" LS_HINT
             "store pixels as bytes 0..255; they are scaled by mean and std when they are read",
             path, ls__h5_type_text(s, type));
    LS_CHECK(s->rank == 4, LS_ERR_DATA,
             "%s: /image: expected N x C x H x W, found %s" LS_HINT "grey images have C = 1: N x 1 x H x W", path,
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

static ls_status read_attributes(image_file *f, ls_arena *arena, ls_dataset_info *info)
{
    const char *path = f->base.path;
    hid_t       file = f->base.file;
    int64_t     classes;
    LS_TRY(ls__split_attributes(&f->base, arena, &info->split));
    LS_TRY(ls__h5_int(path, file, "classes", &classes));
    LS_CHECK(classes >= 1 && classes <= LS_MAX_CLASSES, LS_ERR_DATA,
             "%s: attribute 'classes': expected 1 to %d, found %lld", path, LS_MAX_CLASSES, (long long)classes);
    LS_TRY(ls__h5_floats(path, file, "mean", info->channels, info->mean));
    LS_TRY(ls__h5_floats(path, file, "std", info->channels, info->std));
    for (int c = 0; c < info->channels; c++)
        LS_CHECK(info->std[c] > 0, LS_ERR_DATA,
                 "%s: attribute 'std': expected positive numbers, found %g for channel %d", path, (double)info->std[c],
                 c);
    info->classes = (int)classes;
    for (int i = 0; ls_image_option_name(i); i++) {
        char text[FIELD_TEXT];
        LS_TRY(ls__h5_text(path, file, ls_image_option_name(i), false, text, sizeof text));
        LS_CHECK(!*text || ls_image_option_set(&info->image_options, i, text), LS_ERR_DATA,
                 "%s: attribute '%s': unknown value '%s'", path, ls_image_option_name(i), text);
    }
    return LS_OK;
}

/* Reads and checks `n` labels from `first` on. */
static ls_status read_labels_at(const char *path, hid_t set, hid_t space, int64_t first, int64_t n, int classes,
                                int32_t *labels)
{
    int64_t wide[LABELS_PER_READ];
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
        status = LS_FAIL(LS_ERR_DATA, "%s: /label: expected %lld labels, as many as /image has images, found %lld",
                         path, (long long)count, (long long)s.count);
    else
        status = ls__h5_storage(path, set, "label", &s, file_bytes, &offset);
    if (status != LS_OK) goto end;
    *labels = malloc((size_t)count * sizeof **labels);
    space   = H5Dget_space(set);
    if (!*labels || space < 0)
        status = LS_FAIL(LS_ERR_ENV, "%s: out of memory for %lld labels", path, (long long)count);
    for (int64_t i = 0; i < count && status == LS_OK; i += LABELS_PER_READ)
        status = read_labels_at(path, set, space, i, count - i < LABELS_PER_READ ? count - i : LABELS_PER_READ, classes,
                                *labels + i);
    if (space >= 0) H5Sclose(space);
end:
    H5Dclose(set);
    return status;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* Reads the shapes of the images.  *first, *bytes: the part of the file that holds the samples; 0 bytes: unknown. */
static ls_status read_shapes(image_file *f, int64_t file_bytes, ls_dataset_info *info, int64_t *first, int64_t *bytes)
{
    const char *path = f->base.path;
    hid_t       file = f->base.file;
    ls_h5_shape s;
    if (H5Lexists(file, "image", H5P_DEFAULT) <= 0 && H5Lexists(file, "bytes", H5P_DEFAULT) > 0) {
        LS_TRY(ls__encoded_open(path, file, file_bytes, info, &f->start));
        *first = f->start[0];
        *bytes = f->start[info->count] - f->start[0];
        return LS_OK;
    }
    LS_TRY(ls__h5_dataset(path, file, "image", true, &f->image, &s));
    LS_TRY(check_image(path, &s, info));
    LS_TRY(ls__h5_storage(path, f->image, "image", &s, file_bytes, &f->offset));
    *first = f->offset >= 0 ? f->offset : file_bytes;
    *bytes = f->offset >= 0 ? s.count : 0;
    return LS_OK;
}

static ls_status read_headers(image_file *f, int64_t file_bytes, ls_arena *arena, ls_dataset_info *info,
                              int32_t **labels)
{
    const char *path  = f->base.path;
    hid_t       file  = f->base.file;
    int64_t     first = 0, bytes = 0;
    LS_TRY(read_shapes(f, file_bytes, info, &first, &bytes));
    LS_TRY(ls__h5_check_heaps(path, f->base.fd, file_bytes, first, bytes));
    LS_TRY(read_attributes(f, arena, info));
    LS_TRY(ls__class_names_read(path, file, file_bytes, arena, &info->class_names, &info->classes));
    LS_TRY(read_labels(path, file, file_bytes, info->count, info->classes, labels));
    f->base.count = info->count;
    return LS_OK;
}

static void close_hdf5(image_file *f)
{
    if (f->image >= 0) H5Dclose(f->image);
    if (f->base.file >= 0) H5Fclose(f->base.file);
    f->image     = -1;
    f->base.file = -1;
}

static ls_status open_file(image_file *f, ls_arena *arena, ls_dataset_info *info, int32_t **labels)
{
    int64_t bytes;
    LS_TRY(ls__split_open(f->base.path, &f->base.fd, &f->base.file, &bytes));
    LS_TRY(read_headers(f, bytes, arena, info, labels));
    if (f->offset >= 0 || f->start) close_hdf5(f);
    return LS_OK;
}

static const char *floats_text(ls_arena *arena, const float *x)
{
    return ls_arena_printf(arena, "%.9g %.9g %.9g %.9g", (double)x[0], (double)x[1], (double)x[2], (double)x[3]);
}

/* All files of a split must agree in everything but their samples. */
static ls_status check_same(ls_arena *arena, const char *path, const ls_dataset_info *info, const char *first_path,
                            const ls_dataset_info *first)
{
    enum { FIELDS = 6 };
    ls_shared_field field[FIELDS]  = {{"split"},  {"shape of the images"}, {"number of classes"}, {"mean"}, {"std"},
                                      {"storage"}};
    const ls_dataset_info *side[2] = {first, info};
    for (int k = 0; k < 2; k++) {
        const ls_dataset_info *s            = side[k];
        const char            *text[FIELDS] = {s->split,
                                               ls_arena_printf(arena, "%d x %d x %d", s->channels, s->height, s->width),
                                               ls_arena_printf(arena, "%d", s->classes),
                                               floats_text(arena, s->mean),
                                               floats_text(arena, s->std),
                                    s->stored_bytes ? "image files" : "pixels"};
        for (int i = 0; i < FIELDS; i++) *(k ? &field[i].found : &field[i].expected) = text[i];
    }
    LS_TRY(ls__split_check_same(path, first_path, FIELDS, field));
    for (int i = 0; i < info->classes; i++)
        LS_TRY(ls__split_check_same(path, first_path, 1,
                                    &(ls_shared_field){"class names", first->class_names[i], info->class_names[i]}));
    return LS_OK;
}

/* Appends the labels of a file to those of the split. */
static ls_status append_labels(image_set *d, const image_file *f, const int32_t *labels)
{
    int64_t  total = f->base.first + f->base.count;
    int32_t *all   = realloc(d->labels, (size_t)total * sizeof *all);
    LS_CHECK(all, LS_ERR_ENV, "%s: out of memory for %lld labels", f->base.path, (long long)total);
    memcpy(all + f->base.first, labels, (size_t)f->base.count * sizeof *all);
    d->labels = all;
    return LS_OK;
}

static ls_status open_files(image_set *d)
{
    ls_dataset_info *info = &d->base.info;
    for (int k = 0; k < d->files; k++) {
        image_file     *f      = &d->file[k];
        ls_dataset_info its    = {0};
        int32_t        *labels = NULL;
        ls_status       status = open_file(f, d->base.arena, &its, &labels);
        if (status == LS_OK && k) status = check_same(d->base.arena, f->base.path, &its, d->file[0].base.path, info);
        f->base.first = k ? info->count : 0;
        if (status == LS_OK) status = append_labels(d, f, labels);
        free(labels);
        if (status != LS_OK) return ls__trace(status, __FILE__, __LINE__, __func__);
        const char *path   = info->path;
        int64_t     stored = info->stored_bytes + its.stored_bytes;
        if (!k) *info = its;
        info->stored_bytes = stored;
        info->path         = path;
        info->count        = f->base.first + f->base.count;
    }
    return LS_OK;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static ls_status read_through_hdf5(image_set *d, const image_file *f, int64_t i, uint8_t *pixels)
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
    LS_CHECK(ok, LS_ERR_DATA, "%s: sample %lld cannot be read: %s", f->base.path, (long long)i, ls__h5_reason());
    return LS_OK;
}

static ls_status read_pixels(image_set *d, const image_file *f, int64_t i, uint8_t *pixels)
{
    int64_t bytes = ls__sample_bytes(&d->base.info);
    if (f->start)
        return ls__encoded_read(f->base.path, f->base.fd, i, f->start[i], f->start[i + 1], &d->base.info, pixels);
    return f->offset >= 0 ? ls__file_read_at(f->base.path, f->base.fd, f->offset + i * bytes, pixels, (size_t)bytes)
                          : read_through_hdf5(d, f, i, pixels);
}

static ls_status read_sample(ls_dataset *base, int64_t i, uint8_t *pixels, int32_t *label)
{
    image_set        *d = (image_set *)base;
    const image_file *f = &d->file[ls__split_file_of(d->file, sizeof *d->file, d->files, i)];
    if (pixels) LS_TRY(read_pixels(d, f, i - f->base.first, pixels));
    *label = d->labels[i];
    return LS_OK;
}

/* Adds the pixels to a checksum. */
static ls_status sum_pixels(image_set *d, const image_file *f, XXH3_state_t *state)
{
    const size_t bytes  = (size_t)ls__sample_bytes(&d->base.info);
    uint8_t     *pixels = malloc(bytes);
    ls_status    status = pixels ? LS_OK : LS_FAIL(LS_ERR_ENV, "%s: out of memory for a sample", f->base.path);
    for (int64_t i = 0; i < f->base.count && status == LS_OK; i++) {
        status = read_pixels(d, f, i, pixels);
        if (status == LS_OK) XXH3_64bits_update(state, pixels, bytes);
    }
    free(pixels);
    return status;
}

/* The checksum covers the pixels, or the image files and their offsets as little-endian int64, then the labels as
 * little-endian int32. */
static ls_status verify_file(image_set *d, const image_file *f, XXH3_state_t *state)
{
    XXH3_64bits_reset(state);
    LS_TRY(f->start ? ls__encoded_sum(f->base.path, f->base.fd, f->base.count, f->start, state)
                    : sum_pixels(d, f, state));
    for (int64_t i = 0; i < f->base.count; i++) {
        uint32_t label = (uint32_t)d->labels[f->base.first + i];
        uint8_t  le[4] = {(uint8_t)label, (uint8_t)(label >> 8), (uint8_t)(label >> 16), (uint8_t)(label >> 24)};
        XXH3_64bits_update(state, le, sizeof le);
    }
    LS_TRY(ls__split_checksum(f->base.path, f->base.checksum, state));
    return f->start ? ls__encoded_decode_all(f->base.path, f->base.fd, f->base.count, f->start, &d->base.info) : LS_OK;
}

static ls_status verify(ls_dataset *base, int *files, int *checked)
{
    image_set    *d      = (image_set *)base;
    XXH3_state_t *state  = XXH3_createState();
    ls_status     status = state ? LS_OK : LS_FAIL(LS_ERR_ENV, "%s: out of memory for a checksum", base->info.path);
    *files               = d->files;
    *checked             = 0;
    for (int k = 0; k < d->files && status == LS_OK; k++) {
        status = verify_file(d, &d->file[k], state);
        *checked += d->file[k].base.checksum[0] != 0;
    }
    XXH3_freeState(state);
    return status;
}

/* Image files are decoded to another size. */
static void decode_at(ls_dataset *d, int side, ls_interpolation interpolation)
{
    if (!d->info.stored_bytes) return;
    d->info.height = d->info.width      = side;
    d->info.image_options.interpolation = interpolation;
}

static void close_all(ls_dataset *base)
{
    image_set *d = (image_set *)base;
    for (int k = 0; k < d->files; k++) {
        close_hdf5(&d->file[k]);
        if (d->file[k].base.fd >= 0) close(d->file[k].base.fd);
        free(d->file[k].start);
    }
    pthread_mutex_destroy(&d->lock);
    free(d->labels);
    free(d);
}

ls_status ls__images_open(ls_dataset **dataset, ls_arena *arena, const char *path, int files, const char *const *paths)
{
    image_set *d = calloc(1, sizeof *d);
    LS_CHECK(d, LS_ERR_ENV, "%s: out of memory", path);
    pthread_mutex_init(&d->lock, NULL);
    d->base  = (ls_dataset){.arena     = arena,
                            .info.path = path,
                            .read      = read_sample,
                            .decode_at = decode_at,
                            .verify    = verify,
                            .close     = close_all};
    d->files = files;
    d->file  = ls_arena_alloc(arena, sizeof *d->file * (size_t)files);
    for (int k = 0; k < files; k++)
        d->file[k] = (image_file){.base = {.path = paths[k], .fd = -1, .file = -1}, .image = -1, .offset = -1};
    *dataset = &d->base;
    return open_files(d);
}
