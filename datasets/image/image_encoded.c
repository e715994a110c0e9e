/* SPDX-License-Identifier: Apache-2.0
 *
 * Image files inside an HDF5 file: sample i is the bytes [offset[i], offset[i + 1]) of /bytes.
 *
 * Headers are checked when the file is opened.  The image files themselves are decoded when a sample is read; one that
 * cannot be decoded is an error of the data that names the file and the sample.
 */
#include <stdio.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/io/file_access.h"
#include "core/io/hdf5.h"
#include "core/io/paths.h"
#include "datasets/image/image_decode.h"
#include "datasets/image/image_encoded.h"

static ls_status check_bytes(const char *path, hid_t set, const ls_h5_shape *s, int64_t file_bytes, int64_t *at)
{
    char type[32], dims[128];
    LS_CHECK(s->type == H5T_INTEGER && s->size == 1 && !s->is_signed && s->rank == 1, LS_ERR_DATA,
             "%s: /bytes: expected one dimension of uint8, found %s, %s", path, ls__h5_type_text(s, type),
             ls__h5_dims_text(s, dims));
    LS_TRY(ls__h5_storage(path, set, "bytes", s, file_bytes, at));
    LS_CHECK(*at >= 0, LS_ERR_DATA,
             "%s: /bytes: expected contiguous storage, found chunks" LS_HINT
             "image files are compressed already: store them without chunks and filters",
             path);
    return LS_OK;
}

/* Checks the offsets, and turns them into positions in the file. */
static ls_status place_samples(const char *path, int64_t count, int64_t at, int64_t bytes, int64_t *offset)
{
    for (int64_t i = 0; i <= count; i++) {
        LS_CHECK(offset[i] >= 0 && offset[i] <= bytes, LS_ERR_DATA,
                 "%s: /offset: value %lld is %lld; expected 0 to %lld, the number of /bytes", path, (long long)i,
                 (long long)offset[i], (long long)bytes);
        offset[i] += at;
        int64_t size = i ? offset[i] - offset[i - 1] : 1;
        LS_CHECK(size >= 1 && size <= LS_MAX_IMAGE_FILE, LS_ERR_DATA,
                 "%s: /offset: sample %lld has %lld bytes; expected 1 to %d", path, (long long)i - 1, (long long)size,
                 LS_MAX_IMAGE_FILE);
    }
    return LS_OK;
}

static ls_status read_offsets(const char *path, hid_t set, const ls_h5_shape *s, int64_t file_bytes, int64_t **offset)
{
    char    type[32], dims[128];
    int64_t unused;
    LS_CHECK(s->type == H5T_INTEGER && s->size <= 8 && s->rank == 1 && s->count >= 2, LS_ERR_DATA,
             "%s: /offset: expected N + 1 integers for N samples, found %s, %s", path, ls__h5_type_text(s, type),
             ls__h5_dims_text(s, dims));
    LS_TRY(ls__h5_storage(path, set, "offset", s, file_bytes, &unused));
    *offset = malloc((size_t)s->count * sizeof **offset);
    LS_CHECK(*offset, LS_ERR_ENV, "%s: out of memory for %lld offsets", path, (long long)s->count);
    LS_CHECK(H5Dread(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, *offset) >= 0, LS_ERR_DATA,
             "%s: /offset cannot be read: %s", path, ls__h5_reason());
    return LS_OK;
}

static ls_status read_shape(const char *path, hid_t file, ls_dataset_info *info)
{
    static const char *const name[] = {"channels", "height", "width"};
    int                     *to[]   = {&info->channels, &info->height, &info->width};
    for (int i = 0; i < 3; i++) {
        int64_t value, most = i ? LS_MAX_SIDE : 3;
        LS_TRY(ls__h5_int(path, file, name[i], &value));
        LS_CHECK(value >= 1 && value <= most && (i || value != 2), LS_ERR_DATA,
                 "%s: attribute '%s': expected %s, found %lld", path, name[i], i ? "1 to 16384 pixels" : "1 or 3",
                 (long long)value);
        *to[i] = (int)value;
    }
    LS_CHECK(ls__sample_bytes(info) <= LS_MAX_SAMPLE_BYTES, LS_ERR_DATA,
             "%s: images of %d x %d x %d; expected %d MiB a sample at most", path, info->channels, info->height,
             info->width, LS_MAX_SAMPLE_BYTES >> 20);
    return LS_OK;
}

ls_status ls__encoded_open(const char *path, hid_t file, int64_t file_bytes, ls_dataset_info *info, int64_t **start)
{
    ls_h5_shape bytes, offset;
    hid_t       set;
    int64_t     at;
    *start = NULL;
    LS_TRY(read_shape(path, file, info));
    LS_TRY(ls__h5_dataset(path, file, "bytes", true, &set, &bytes));
    ls_status status = check_bytes(path, set, &bytes, file_bytes, &at);
    H5Dclose(set);
    LS_TRY(status);
    LS_TRY(ls__h5_dataset(path, file, "offset", true, &set, &offset));
    status = read_offsets(path, set, &offset, file_bytes, start);
    H5Dclose(set);
    LS_TRY(status);
    info->count        = offset.count - 1;
    info->stored_bytes = bytes.count;
    return place_samples(path, info->count, at, bytes.count, *start);
}

ls_status ls__encoded_read(const char *path, int fd, int64_t i, int64_t first, int64_t end, const ls_dataset_info *info,
                           uint8_t *planes)
{
    char     where[LS_PATH_BYTES + 32];
    size_t   bytes = (size_t)(end - first);
    uint8_t *data  = malloc(bytes);
    snprintf(where, sizeof where, "%s: sample %lld", path, (long long)i);
    LS_CHECK(data, LS_ERR_ENV, "%s: out of memory for %zu bytes", where, bytes);
    ls_status status = ls__file_read_at(path, fd, first, data, bytes);
    if (status == LS_OK)
        status = ls__image_decode_fit(&(ls_encoded){.path = where, .data = data, .bytes = bytes}, &info->image_options,
                                      info->channels, info->height, info->width, planes);
    free(data);
    return status;
}

/* ---- verification ------------------------------------------------------------------------------------------------ */

ls_status ls__encoded_sum(const char *path, int fd, int64_t count, const int64_t *start, XXH3_state_t *state)
{
    enum { PART = 1 << 20 };
    uint8_t  *part   = malloc(PART);
    ls_status status = part ? LS_OK : LS_FAIL(LS_ERR_ENV, "%s: out of memory for a checksum", path);
    for (int64_t at = start[0]; at < start[count] && status == LS_OK; at += PART) {
        size_t bytes = (size_t)(start[count] - at < PART ? start[count] - at : PART);
        status       = ls__file_read_at(path, fd, at, part, bytes);
        if (status == LS_OK) XXH3_64bits_update(state, part, bytes);
    }
    for (int64_t i = 0; i <= count && status == LS_OK; i++) {
        uint8_t le[8];
        ls__offset_bytes(start[i] - start[0], le);
        XXH3_64bits_update(state, le, sizeof le);
    }
    free(part);
    return status;
}

ls_status ls__encoded_decode_all(const char *path, int fd, int64_t count, const int64_t *start,
                                 const ls_dataset_info *info)
{
    ls_error error = {.status = LS_OK};
    int64_t  first = count; /* sample of `error` */
#pragma omp parallel
    {
        uint8_t *planes = malloc((size_t)ls__sample_bytes(info));
#pragma omp for schedule(dynamic, 16)
        for (int64_t i = 0; i < count; i++) {
            ls_status status = planes ? ls__encoded_read(path, fd, i, start[i], start[i + 1], info, planes)
                                      : LS_FAIL(LS_ERR_ENV, "%s: out of memory for a sample", path);
            if (status == LS_OK) continue;
#pragma omp critical
            if (i < first) {
                first = i;
                error = ls_error_save(status);
            }
        }
        free(planes);
    }
    return error.status == LS_OK ? LS_OK : ls_error_restore(&error);
}
