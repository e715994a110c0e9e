/* SPDX-License-Identifier: Apache-2.0
 * Writes the files of a split under temporary names, and renames them when all are complete. */
#include "datasets/files/dataset_files_write.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/io/atomic_file.h"
#include "core/io/hdf5.h"
#include "core/io/hdf5_write.h"

enum { CHECKSUM = 16, HEADER_ROOM = 64 << 10 };
static const char NO_CHECKSUM[] = "0000000000000000";

/* ---- skeletons --------------------------------------------------------------------------------------------------- */

bool ls__put_checksum(hid_t file) { return ls__h5_put_text(file, "checksum", NO_CHECKSUM); }

bool ls__put_class_names(hid_t file, int classes, const char *const *names)
{
    hsize_t dim  = (hsize_t)classes;
    hid_t   type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, &dim, NULL);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(create, false);
    hid_t set = H5Dcreate2(file, "class_names", type, space, H5P_DEFAULT, create, H5P_DEFAULT);
    H5Pclose(create);
    bool ok = set >= 0 && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, names) >= 0;
    if (set >= 0) ok = H5Dclose(set) >= 0 && ok;
    H5Sclose(space);
    H5Tclose(type);
    return ok;
}

/* ---- one file ---------------------------------------------------------------------------------------------------- */

ls_status ls__split_failed(const ls_split_writer *w, const char *path, int error)
{
    const char *hint = error == ENOSPC || error == EDQUOT ? "make room, or choose another folder"
                                                          : "choose a folder that can be written to";
    return LS_FAIL(LS_ERR_ENV, "%s: cannot be written: %s (%lld of %lld %s done)" LS_HINT "%s", path, strerror(error),
                   (long long)w->done, (long long)w->total, w->what, hint);
}

ls_status ls__split_write(ls_split_writer *w, int64_t at, const void *data, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pwrite(w->fd, (const char *)data + done, bytes - done, (off_t)(at + (int64_t)done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return ls__split_failed(w, w->path[w->shard], n ? errno : EIO);
        done += (size_t)n;
    }
    return LS_OK;
}

ls_status ls__split_begin(ls_split_writer *w, int64_t bytes, bool (*put_skeleton)(void *context, hid_t file),
                          void *context)
{
    const char *temporary = w->temporary[w->shard], *path = w->path[w->shard];
    /* Allocate the space before HDF5 writes, because HDF5 reports a full disk badly. */
    w->fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) return ls__split_failed(w, path, errno);
    int error = posix_fallocate(w->fd, 0, (off_t)(HEADER_ROOM + bytes));
    if (error && error != EOPNOTSUPP && error != EINVAL) return ls__split_failed(w, path, error);

    ls__h5_quiet();
    hid_t access = ls__h5_access();
    hid_t file   = H5Fcreate(temporary, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    bool ok = file >= 0 && put_skeleton(context, file);
    if (file >= 0) ok = H5Fclose(file) >= 0 && ok;
    LS_CHECK(ok, LS_ERR_ENV, "%s: cannot be written: %s" LS_HINT "check the free space of the disk", path,
             ls__h5_reason());
    return LS_OK;
}

static ls_status fill_checksum(ls_split_writer *w, uint64_t checksum)
{
    char text[CHECKSUM + 1];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)checksum);
    hid_t access = ls__h5_access();
    hid_t file   = H5Fopen(w->temporary[w->shard], H5F_ACC_RDWR, access),
          a      = file >= 0 ? H5Aopen(file, "checksum", H5P_DEFAULT) : -1;
    H5Pclose(access);
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, CHECKSUM);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    bool ok = a >= 0 && H5Awrite(a, type, text) >= 0;
    H5Tclose(type);
    if (a >= 0) ok = H5Aclose(a) >= 0 && ok;
    if (file >= 0) ok = H5Fclose(file) >= 0 && ok;
    LS_CHECK(ok, LS_ERR_ENV, "%s: cannot be written: %s" LS_HINT "check the free space of the disk", w->path[w->shard],
             ls__h5_reason());
    return LS_OK;
}

ls_status ls__split_end(ls_split_writer *w, const uint64_t *checksum)
{
    if (checksum) LS_TRY(fill_checksum(w, *checksum));
    if (fsync(w->fd)) return ls__split_failed(w, w->path[w->shard], errno);
    int failed = close(w->fd);
    w->fd      = -1;
    if (failed) return ls__split_failed(w, w->path[w->shard], errno);
    w->shard++;
    return LS_OK;
}

/* ---- all files --------------------------------------------------------------------------------------------------- */

ls_status ls__split_check_folder(const char *folder, int n, const char *const *split)
{
    char found[LS_MAX_SPLITS][LS_SPLIT_NAME];
    int  count;
    if (access(folder, F_OK) != 0) return LS_OK;
    LS_TRY(ls_dataset_splits(folder, found, &count));
    for (int i = 0; i < count; i++) {
        int k = 0;
        while (k < n && strcmp(found[i], split[k])) k++;
        LS_CHECK(k < n, LS_ERR_USAGE,
                 "%s: has the split '%s', which this import would not replace" LS_HINT
                 "remove it, or choose another folder",
                 folder, found[i]);
    }
    return LS_OK;
}

static ls_status name_files(ls_split_writer *w)
{
    int  cut, wanted = w->shards > 1 ? w->shards : 0, made = 0;
    char temporary[LS_PATH_BYTES];
    LS_TRY(ls__make_folders(w->folder, &made));
    w->made_folder = made > 0;
    LS_TRY(ls__shard_count(w->folder, w->split, &cut));
    if (cut >= 0 && cut != wanted) {
        char there[LS_SHARD_NAME];
        ls__shard_name(there, w->split, 0, cut);
        return LS_FAIL(LS_ERR_USAGE,
                       "%s: already has the split '%s' in another number of files (%s)" LS_HINT
                       "remove it, or choose another folder",
                       w->folder, w->split, there);
    }
    for (int k = 0; k < w->shards; k++) {
        char name[LS_SHARD_NAME];
        ls__shard_name(name, w->split, k, wanted);
        w->path[k] = ls_arena_printf(w->arena, "%s/%s", w->folder, name);
        LS_TRY(ls__temporary_path(temporary, w->path[k]));
        w->temporary[k] = ls_arena_strdup(w->arena, temporary);
    }
    return LS_OK;
}

ls_status ls__split_prepare(ls_split_writer *w, const char *folder, const char *split, int shards)
{
    *w = (ls_split_writer){.fd = -1, .what = "samples", .shards = shards};
    LS_CHECK(shards >= 1 && shards <= LS_MAX_SHARDS, LS_ERR_USAGE, "%s: shards: expected 1 to %d files, found %d",
             folder, LS_MAX_SHARDS, shards);
    LS_CHECK(split[0] && split[0] != '.' && !strchr(split, '/') && strlen(split) < LS_SPLIT_NAME, LS_ERR_USAGE,
             "%s: split: expected a name of 1 to %d bytes without '/', found '%s'", folder, LS_SPLIT_NAME - 1, split);
    LS_TRY(ls_arena_new(&w->arena, "writer"));
    w->folder    = ls_arena_strdup(w->arena, folder);
    w->split     = ls_arena_strdup(w->arena, split);
    w->path      = ls_arena_alloc(w->arena, sizeof *w->path * (size_t)shards);
    w->temporary = ls_arena_alloc(w->arena, sizeof *w->temporary * (size_t)shards);
    return name_files(w);
}

ls_status ls__split_close(ls_split_writer *w)
{
    for (; w->renamed < w->shards; w->renamed++) LS_TRY(ls__rename(w->temporary[w->renamed], w->path[w->renamed]));
    w->closed = true;
    return LS_OK;
}

void ls__split_free(ls_split_writer *w)
{
    if (!w->arena) return;
    if (w->fd >= 0) close(w->fd);
    if (!w->closed) {
        for (int k = w->renamed; k < w->shards; k++)
            if (w->temporary[k]) unlink(w->temporary[k]);
        if (w->made_folder) rmdir(w->folder); /* fails if the folder has other files, which stay */
    }
    ls_arena_free(w->arena);
    *w = (ls_split_writer){.fd = -1};
}

/* ---- a file of arrays -------------------------------------------------------------------------------------------- */

typedef struct skeleton {
    const char     *split;
    ls_split_array *array;
    int             arrays;
    bool (*put_attributes)(void *context, hid_t file);
    void *context;
} skeleton;

static bool put_arrays(void *context, hid_t file)
{
    const skeleton *s      = context;
    const int       format = 1;
    bool            ok     = ls__h5_put_attribute(file, "lockstep_format", H5T_STD_I32LE, H5T_NATIVE_INT, 0, &format) &&
              ls__h5_put_text(file, "split", s->split) && ls__put_checksum(file) && s->put_attributes(s->context, file);
    for (int k = 0; k < s->arrays && ok; k++) {
        const hsize_t count = (hsize_t)s->array[k].count;
        ok                  = ls__h5_reserve(file, s->array[k].name, s->array[k].type, 1, &count, &s->array[k].at);
    }
    return ok;
}

/* Writes values of 1, 4 or 8 bytes as little-endian values. */
static ls_status write_array(ls_split_writer *w, XXH3_state_t *sum, const ls_split_array *a)
{
    enum { VALUES = 4096 };
    const size_t width = H5Tget_size(a->type);
    union {
        uint64_t wide[VALUES];
        uint32_t narrow[VALUES];
    } buffer;
    for (int64_t done = 0, n; done < a->count; done += n) {
        n = a->count - done < VALUES ? a->count - done : VALUES;
        memcpy(&buffer, (const char *)a->values + (size_t)done * width, (size_t)n * width);
        for (int64_t i = 0; i < n && width == 8; i++) buffer.wide[i] = htole64(buffer.wide[i]);
        for (int64_t i = 0; i < n && width == 4; i++) buffer.narrow[i] = htole32(buffer.narrow[i]);
        LS_TRY(ls__split_write(w, a->at + done * (int64_t)width, &buffer, (size_t)n * width));
        XXH3_64bits_update(sum, &buffer, (size_t)n * width);
        w->done += n * (int64_t)width;
    }
    return LS_OK;
}

ls_status ls__split_write_arrays(ls_split_writer *w, const char *folder, const char *split, ls_split_array *array,
                                 int n, bool (*put_attributes)(void *context, hid_t file), void *context)
{
    skeleton s = {split, array, n, put_attributes, context};
    LS_TRY(ls__split_prepare(w, folder, split, 1));
    w->what = "bytes";
    for (int k = 0; k < n; k++) w->total += array[k].count * (int64_t)H5Tget_size(array[k].type);
    LS_TRY(ls__split_begin(w, w->total, put_arrays, &s));
    XXH3_state_t *sum = XXH3_createState();
    LS_CHECK(sum, LS_ERR_ENV, "%s: out of memory", folder);
    XXH3_64bits_reset(sum);
    ls_status status = LS_OK;
    for (int k = 0; k < n && status == LS_OK; k++) status = write_array(w, sum, &array[k]);
    const uint64_t checksum = XXH3_64bits_digest(sum);
    XXH3_freeState(sum);
    LS_TRY(status);
    return ls__split_end(w, &checksum);
}
