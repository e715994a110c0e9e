/* SPDX-License-Identifier: Apache-2.0
 * Writes a split of images: a known number of samples, distributed evenly over the files. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/io/hdf5_write.h"
#include "datasets/files/dataset_files_write.h"
#include "datasets/image/image_encoded.h"

enum { BUFFER = 1 << 20 };

struct ls_writer {
    ls_split_writer files;
    ls_dataset_info info;

    int64_t        first, count; /* samples of the file being written */
    int64_t        data_at, label_at, offset_at;
    uint8_t       *buffer; /* pixels that are not yet written */
    size_t         buffered, capacity;
    int64_t        written; /* bytes of pixels or image files written to the file */
    uint8_t       *labels;  /* count x 4, little-endian          */
    const int64_t *sizes;   /* bytes of each image file; NULL: pixels are written */
    XXH3_state_t  *sum;
};

/* ---- one file ---------------------------------------------------------------------------------------------------- */

/* Options with their default value are left out. */
static bool put_options(hid_t file, const ls_image_options *o)
{
    bool ok = true;
    for (int i = 0; ls_image_option_name(i); i++) {
        const char *text = ls_image_option_text(o, i);
        if (strcmp(text, ls_image_option_text(&(ls_image_options){.as_stored = false}, i)) != 0)
            ok = ok && ls__h5_put_text(file, ls_image_option_name(i), text);
    }
    return ok;
}

/* Bytes of the samples of the file. */
static int64_t data_bytes(const ls_writer *w)
{
    if (!w->sizes) return w->count * ls__sample_bytes(&w->info);
    int64_t bytes = 0;
    for (int64_t i = 0; i < w->count; i++) bytes += w->sizes[w->first + i];
    return bytes;
}

static bool put_samples(ls_writer *w, hid_t file)
{
    const ls_dataset_info *info = &w->info;
    hsize_t image[4] = {(hsize_t)w->count, (hsize_t)info->channels, (hsize_t)info->height, (hsize_t)info->width},
            offsets = (hsize_t)w->count + 1, bytes = (hsize_t)data_bytes(w);
    if (!w->sizes) return ls__h5_reserve(file, "image", H5T_STD_U8LE, 4, image, &w->data_at);
    return ls__h5_put_attribute(file, "channels", H5T_STD_I32LE, H5T_NATIVE_INT, 0, &info->channels) &&
           ls__h5_put_attribute(file, "height", H5T_STD_I32LE, H5T_NATIVE_INT, 0, &info->height) &&
           ls__h5_put_attribute(file, "width", H5T_STD_I32LE, H5T_NATIVE_INT, 0, &info->width) &&
           ls__h5_reserve(file, "offset", H5T_STD_I64LE, 1, &offsets, &w->offset_at) &&
           ls__h5_reserve(file, "bytes", H5T_STD_U8LE, 1, &bytes, &w->data_at);
}

static bool put_skeleton(void *writer, hid_t file)
{
    ls_writer             *w      = writer;
    const ls_dataset_info *info   = &w->info;
    int                    format = 1;
    hsize_t                label  = (hsize_t)w->count;
    return ls__h5_put_attribute(file, "lockstep_format", H5T_STD_I32LE, H5T_NATIVE_INT, 0, &format) &&
           ls__h5_put_text(file, "split", info->split) &&
           ls__h5_put_attribute(file, "classes", H5T_STD_I32LE, H5T_NATIVE_INT, 0, &info->classes) &&
           ls__h5_put_attribute(file, "mean", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, info->channels, info->mean) &&
           ls__h5_put_attribute(file, "std", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, info->channels, info->std) &&
           put_options(file, &info->image_options) && ls__put_checksum(file) &&
           (!info->class_names || ls__put_class_names(file, info->classes, info->class_names)) &&
           ls__h5_reserve(file, "label", H5T_STD_I32LE, 1, &label, &w->label_at) && put_samples(w, file);
}

static ls_status begin_file(ls_writer *w)
{
    int shard = w->files.shard, shards = w->files.shards;
    w->first   = w->info.count * shard / shards;
    w->count   = w->info.count * (shard + 1) / shards - w->first;
    w->written = 0;
    XXH3_64bits_reset(w->sum);
    int64_t bytes = data_bytes(w) + w->count * 4 + (w->sizes ? (w->count + 1) * 8 : 0);
    LS_TRY(ls__split_begin(&w->files, bytes, put_skeleton, w));
    free(w->labels);
    w->labels = malloc((size_t)w->count * 4);
    LS_CHECK(w->labels, LS_ERR_ENV, "%s: out of memory for %lld labels", w->files.path[shard], (long long)w->count);
    return LS_OK;
}

static ls_status write_data(ls_writer *w, const uint8_t *data, size_t bytes)
{
    LS_TRY(ls__split_write(&w->files, w->data_at + w->written, data, bytes));
    XXH3_64bits_update(w->sum, data, bytes);
    w->written += (int64_t)bytes;
    return LS_OK;
}

static ls_status flush(ls_writer *w)
{
    size_t bytes = w->buffered;
    w->buffered  = 0;
    return bytes ? write_data(w, w->buffer, bytes) : LS_OK;
}

static ls_status write_offsets(ls_writer *w)
{
    size_t   bytes  = (size_t)(w->count + 1) * 8;
    uint8_t *le     = malloc(bytes);
    int64_t  offset = 0;
    LS_CHECK(le, LS_ERR_ENV, "%s: out of memory for %lld offsets", w->files.folder, (long long)w->count + 1);
    for (int64_t i = 0; i <= w->count; i++) {
        ls__offset_bytes(offset, le + 8 * i);
        if (i < w->count) offset += w->sizes[w->first + i];
    }
    ls_status status = ls__split_write(&w->files, w->offset_at, le, bytes);
    XXH3_64bits_update(w->sum, le, bytes);
    free(le);
    return status;
}

static ls_status end_file(ls_writer *w)
{
    LS_TRY(flush(w));
    if (w->sizes) LS_TRY(write_offsets(w));
    LS_TRY(ls__split_write(&w->files, w->label_at, w->labels, (size_t)w->count * 4));
    XXH3_64bits_update(w->sum, w->labels, (size_t)w->count * 4);
    uint64_t checksum = XXH3_64bits_digest(w->sum);
    return ls__split_end(&w->files, &checksum);
}

/* ---- all files --------------------------------------------------------------------------------------------------- */

/* A class name with control characters would garble tables, and could imitate the marks of an HDF5 file. */
static ls_status check_names(const char *folder, const ls_dataset_info *info)
{
    for (int i = 0; info->class_names && i < info->classes; i++) {
        const char *name = info->class_names[i], *at = name;
        while ((unsigned char)*at >= ' ' && *at != 0x7f) at++;
        LS_CHECK(*name && !*at, LS_ERR_DATA, "%s: the name of class %d is %s; expected text without control characters",
                 folder, i, *name ? "not printable" : "empty");
    }
    return LS_OK;
}

static ls_status check_info(const char *folder, const ls_dataset_info *info, int shards)
{
    LS_CHECK(info->count >= 1, LS_ERR_DATA, "%s: the split '%s' has 0 samples; expected at least 1", folder,
             info->split);
    LS_CHECK(info->channels >= 1 && info->channels <= 4 && info->height >= 1 && info->height <= LS_MAX_SIDE &&
                 info->width >= 1 && info->width <= LS_MAX_SIDE && ls__sample_bytes(info) <= LS_MAX_SAMPLE_BYTES &&
                 info->count <= INT64_MAX / 2 / ls__sample_bytes(info) / LS_MAX_SHARDS,
             LS_ERR_DATA, "%s: %lld samples of %d x %d x %d; expected 1 to 4 channels of 1 to %d pixels a side", folder,
             (long long)info->count, info->channels, info->height, info->width, LS_MAX_SIDE);
    LS_CHECK(info->classes >= 1 && info->classes <= LS_MAX_CLASSES, LS_ERR_DATA, "%s: %d classes; expected 1 to %d",
             folder, info->classes, LS_MAX_CLASSES);
    LS_TRY(check_names(folder, info));
    LS_CHECK(shards >= 1 && shards <= info->count, LS_ERR_USAGE, "%s: %lld samples cannot be cut into %d files", folder,
             (long long)info->count, shards);
    for (int c = 0; c < info->channels; c++)
        LS_CHECK(isfinite(info->mean[c]) && isfinite(info->std[c]) && info->std[c] > 0, LS_ERR_DATA,
                 "%s: mean %g and std %g of channel %d; expected finite numbers and a positive std", folder,
                 (double)info->mean[c], (double)info->std[c], c);
    return LS_OK;
}

ls_status ls__writer_new_encoded(ls_writer **writer, const char *folder, const ls_dataset_info *info, int shards,
                                 const int64_t *sizes)
{
    *writer = NULL;
    LS_TRY(check_info(folder, info, shards));
    ls_writer *w = calloc(1, sizeof *w);
    LS_CHECK(w, LS_ERR_ENV, "%s: out of memory", folder);
    w->sizes         = sizes;
    w->capacity      = BUFFER;
    w->buffer        = malloc(w->capacity);
    w->sum           = XXH3_createState();
    ls_status status = w->buffer && w->sum ? ls__split_prepare(&w->files, folder, info->split, shards)
                                           : LS_FAIL(LS_ERR_ENV, "%s: out of memory", folder);
    if (status != LS_OK) {
        ls_writer_free(w);
        return ls__trace(status, __FILE__, __LINE__, __func__);
    }
    w->info        = *info;
    w->info.split  = w->files.split;
    w->files.total = info->count;
    if (info->class_names) {
        const char **names = ls_arena_alloc(w->files.arena, sizeof *names * (size_t)info->classes);
        for (int i = 0; i < info->classes; i++) names[i] = ls_arena_strdup(w->files.arena, info->class_names[i]);
        w->info.class_names = names;
    }
    *writer = w;
    return LS_OK;
}

ls_status ls_writer_new(ls_writer **writer, const char *folder, const ls_dataset_info *info, int shards)
{
    return ls__writer_new_encoded(writer, folder, info, shards, NULL);
}

static ls_status buffer_data(ls_writer *w, const uint8_t *data, size_t bytes)
{
    if (bytes > w->capacity - w->buffered) LS_TRY(flush(w));
    if (bytes > w->capacity) return write_data(w, data, bytes);
    memcpy(w->buffer + w->buffered, data, bytes);
    w->buffered += bytes;
    return LS_OK;
}

ls_status ls_writer_add(ls_writer *w, const uint8_t *data, int32_t label)
{
    int64_t at = w->files.done;
    LS_CHECK(at < w->info.count, LS_ERR_USAGE, "%s: expected %lld samples, found more", w->files.folder,
             (long long)w->info.count);
    LS_CHECK(label >= 0 && label < w->info.classes, LS_ERR_DATA, "%s: sample %lld has label %d; expected 0 to %d",
             w->files.folder, (long long)at, label, w->info.classes - 1);
    if (w->files.fd < 0) LS_TRY(begin_file(w));
    LS_TRY(buffer_data(w, data, (size_t)(w->sizes ? w->sizes[at] : ls__sample_bytes(&w->info))));
    uint8_t *le = w->labels + 4 * (at - w->first);
    for (int b = 0; b < 4; b++) le[b] = (uint8_t)((uint32_t)label >> 8 * b);
    w->files.done++;
    if (w->files.done == w->first + w->count) LS_TRY(end_file(w));
    return LS_OK;
}

ls_status ls_writer_close(ls_writer *w)
{
    LS_CHECK(w->files.done == w->info.count, LS_ERR_USAGE, "%s: expected %lld samples, found %lld", w->files.folder,
             (long long)w->info.count, (long long)w->files.done);
    return ls__split_close(&w->files);
}

void ls_writer_free(ls_writer *w)
{
    if (!w) return;
    ls__split_free(&w->files);
    free(w->buffer);
    free(w->labels);
    XXH3_freeState(w->sum);
    free(w);
}
