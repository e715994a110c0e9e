/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing the files of a split.  HDF5 makes only the skeleton of a file: the data sets with their places reserved, and the
 * attributes.  Pixels and labels are then written to those places by ourselves, so that a full disk is an ordinary error
 * of an ordinary write.  Each file has a temporary name until all files are written and synced.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "datasets/dataset.h"
#include "datasets/hdf5.h"

enum { CHECKSUM = 16, BUFFER = 1 << 20, HEADER_ROOM = 64 << 10 };

struct ls_writer {
    ls_arena       *arena;
    ls_dataset_info info;
    const char     *folder;
    bool            made_folder, closed;
    int             shards, shard;  /* `shard` is being written; those before it are complete      */
    int             renamed;
    const char    **temporary, **path;
    int64_t         added;          /* samples of all shards                                       */

    int           fd;               /* of the shard being written; -1: none                        */
    int64_t       first, count;     /* its samples                                                 */
    int64_t       image_at, label_at;
    uint8_t      *buffer;           /* pixels not yet written                                      */
    size_t        buffered, capacity;
    int64_t       written;          /* bytes of pixels                                             */
    uint8_t      *labels;           /* count x 4, little-endian                                    */
    XXH3_state_t *sum;
};

/* ---- the skeleton -------------------------------------------------------------------------------------------------- */

static bool put_attribute(hid_t file, const char *name, hid_t stored, hid_t memory, int n, const void *values)
{
    hsize_t dim   = (hsize_t)n;
    hid_t   space = n ? H5Screate_simple(1, &dim, NULL) : H5Screate(H5S_SCALAR);
    hid_t   a     = H5Acreate2(file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    bool    ok    = a >= 0 && H5Awrite(a, memory, values) >= 0;
    if (a >= 0) ok = H5Aclose(a) >= 0 && ok;
    H5Sclose(space);
    return ok;
}

static bool put_text(hid_t file, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, strlen(text));
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    bool ok = put_attribute(file, name, type, type, 0, text);
    H5Tclose(type);
    return ok;
}

/* A contiguous data set whose place is reserved at once and never filled; *at: where in the file. */
static bool reserve(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dim, int64_t *at)
{
    hid_t space = H5Screate_simple(rank, dim, NULL), create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(create, H5D_CONTIGUOUS);
    H5Pset_alloc_time(create, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(create, H5D_FILL_TIME_NEVER);
    hid_t   set    = H5Dcreate2(file, name, type, space, H5P_DEFAULT, create, H5P_DEFAULT);
    haddr_t offset = set >= 0 ? H5Dget_offset(set) : HADDR_UNDEF;
    if (set >= 0) H5Dclose(set);
    H5Pclose(create);
    H5Sclose(space);
    *at = (int64_t)offset;
    return offset != HADDR_UNDEF;
}

static bool put_names(hid_t file, const ls_dataset_info *info)
{
    hsize_t dim  = (hsize_t)info->classes;
    hid_t   type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, &dim, NULL);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    hid_t set = H5Dcreate2(file, "class_names", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    bool  ok  = set >= 0 && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, info->class_names) >= 0;
    if (set >= 0) ok = H5Dclose(set) >= 0 && ok;
    H5Sclose(space);
    H5Tclose(type);
    return ok;
}

static bool put_skeleton(ls_writer *w, hid_t file)
{
    const ls_dataset_info *info = &w->info;
    int                    format = 1;
    hsize_t image[4] = {(hsize_t)w->count, (hsize_t)info->channels, (hsize_t)info->height, (hsize_t)info->width}, label = (hsize_t)w->count;
    return put_attribute(file, "lockstep_format", H5T_STD_I32LE, H5T_NATIVE_INT, 0, &format) && put_text(file, "split", info->split) &&
           put_attribute(file, "classes", H5T_STD_I32LE, H5T_NATIVE_INT, 0, &info->classes) &&
           put_attribute(file, "mean", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, info->channels, info->mean) &&
           put_attribute(file, "std", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, info->channels, info->std) &&
           put_text(file, "checksum", "0000000000000000") && (!info->class_names || put_names(file, info)) &&
           reserve(file, "label", H5T_STD_I32LE, 1, &label, &w->label_at) && reserve(file, "image", H5T_STD_U8LE, 4, image, &w->image_at);
}

/* ---- one file ------------------------------------------------------------------------------------------------------ */

static ls_status cannot_write(const ls_writer *w, const char *path, int error)
{
    const char *hint = error == ENOSPC || error == EDQUOT ? "make room, or choose another folder" : "choose a folder that can be written to";
    return LS_FAIL(LS_ERR_ENV, "%s: cannot be written: %s (%lld of %lld samples done)" LS_HINT "%s", path, strerror(error), (long long)w->added,
                   (long long)w->info.count, hint);
}

static ls_status write_at(const ls_writer *w, int64_t at, const uint8_t *data, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pwrite(w->fd, data + done, bytes - done, (off_t)(at + (int64_t)done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return cannot_write(w, w->path[w->shard], n ? errno : EIO);
        done += (size_t)n;
    }
    return LS_OK;
}

static ls_status begin_file(ls_writer *w)
{
    const char *temporary = w->temporary[w->shard];
    int64_t     sample = ls__sample_bytes(&w->info);
    w->first           = w->info.count * w->shard / w->shards;
    w->count           = w->info.count * (w->shard + 1) / w->shards - w->first;
    w->written         = 0;
    XXH3_64bits_reset(w->sum);

    /* Is there room?  Asked first: HDF5 is a bad messenger. */
    w->fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) return cannot_write(w, w->path[w->shard], errno);
    int error = posix_fallocate(w->fd, 0, (off_t)(HEADER_ROOM + w->count * (sample + 4)));
    if (error && error != EOPNOTSUPP && error != EINVAL) return cannot_write(w, w->path[w->shard], error);

    ls__h5_quiet();
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    H5Pset_file_locking(access, 0, 1);
    hid_t file = H5Fcreate(temporary, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    bool ok = file >= 0 && put_skeleton(w, file);
    if (file >= 0) ok = H5Fclose(file) >= 0 && ok;
    LS_CHECK(ok, LS_ERR_ENV, "%s: cannot be written: %s" LS_HINT "is there room on the disk?", w->path[w->shard], ls__h5_reason());

    free(w->labels);
    w->labels = malloc((size_t)w->count * 4);
    LS_CHECK(w->labels, LS_ERR_ENV, "%s: no memory for %lld labels", w->path[w->shard], (long long)w->count);
    return LS_OK;
}

static ls_status flush(ls_writer *w)
{
    LS_TRY(write_at(w, w->image_at + w->written, w->buffer, w->buffered));
    XXH3_64bits_update(w->sum, w->buffer, w->buffered);
    w->written += (int64_t)w->buffered;
    w->buffered = 0;
    return LS_OK;
}

static ls_status put_checksum(ls_writer *w)
{
    char text[CHECKSUM + 1];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)XXH3_64bits_digest(w->sum));
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(access, 0, 1);
    hid_t file = H5Fopen(w->temporary[w->shard], H5F_ACC_RDWR, access), a = file >= 0 ? H5Aopen(file, "checksum", H5P_DEFAULT) : -1;
    H5Pclose(access);
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, CHECKSUM);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    bool ok = a >= 0 && H5Awrite(a, type, text) >= 0;
    H5Tclose(type);
    if (a >= 0) ok = H5Aclose(a) >= 0 && ok;
    if (file >= 0) ok = H5Fclose(file) >= 0 && ok;
    LS_CHECK(ok, LS_ERR_ENV, "%s: cannot be written: %s" LS_HINT "is there room on the disk?", w->path[w->shard], ls__h5_reason());
    return LS_OK;
}

static ls_status end_file(ls_writer *w)
{
    LS_TRY(flush(w));
    LS_TRY(write_at(w, w->label_at, w->labels, (size_t)w->count * 4));
    XXH3_64bits_update(w->sum, w->labels, (size_t)w->count * 4);
    LS_TRY(put_checksum(w));
    if (fsync(w->fd)) return cannot_write(w, w->path[w->shard], errno);
    int failed = close(w->fd);
    w->fd      = -1;
    if (failed) return cannot_write(w, w->path[w->shard], errno);
    w->shard++;
    return LS_OK;
}

/* ---- all files ----------------------------------------------------------------------------------------------------- */

static ls_status check_info(const char *folder, const ls_dataset_info *info, int shards)
{
    LS_CHECK(info->count >= 1, LS_ERR_DATA, "%s: a split '%s' of 0 samples; expected at least 1", folder, info->split);
    LS_CHECK(info->channels >= 1 && info->channels <= 4 && info->height >= 1 && info->height <= LS_MAX_SIDE && info->width >= 1 &&
                 info->width <= LS_MAX_SIDE && ls__sample_bytes(info) <= LS_MAX_SAMPLE_BYTES && info->count <= INT64_MAX / 2 / ls__sample_bytes(info) / LS_MAX_SHARDS,
             LS_ERR_DATA, "%s: %lld samples of %d x %d x %d; expected 1 to 4 channels of 1 to %d pixels a side", folder, (long long)info->count,
             info->channels, info->height, info->width, LS_MAX_SIDE);
    LS_CHECK(info->classes >= 1 && info->classes <= LS_MAX_CLASSES, LS_ERR_DATA, "%s: %d classes; expected 1 to %d", folder, info->classes, LS_MAX_CLASSES);
    LS_CHECK(shards >= 1 && shards <= LS_MAX_SHARDS && shards <= info->count, LS_ERR_USAGE, "%s: %lld samples cannot be cut into %d files", folder,
             (long long)info->count, shards);
    LS_CHECK(info->split[0] && info->split[0] != '.' && !strchr(info->split, '/') && strlen(info->split) < LS_SPLIT_NAME, LS_ERR_USAGE,
             "%s: the name '%s' of a split; expected up to %d letters", folder, info->split, LS_SPLIT_NAME - 1);
    for (int c = 0; c < info->channels; c++)
        LS_CHECK(isfinite(info->mean[c]) && isfinite(info->std[c]) && info->std[c] > 0, LS_ERR_DATA,
                 "%s: mean %g and std %g of channel %d; expected finite numbers and a positive std", folder, (double)info->mean[c], (double)info->std[c], c);
    return LS_OK;
}

/* Makes a folder and those above it; *made: the last one is new. */
static ls_status make_folder(const char *folder, bool *made)
{
    char path[4096];
    LS_CHECK(folder[0] && strlen(folder) < sizeof path, LS_ERR_USAGE, "the name of a folder of %zu bytes; expected 1 to %zu", strlen(folder), sizeof path - 1);
    snprintf(path, sizeof path, "%s", folder);
    *made = false;
    for (char *at = path + 1;; at++) {
        if (*at != '/' && *at != 0) continue;
        char was = *at;
        *at      = 0;
        *made    = mkdir(path, 0777) == 0;
        LS_CHECK(*made || errno == EEXIST, LS_ERR_ENV, "%s: the folder cannot be made: %s" LS_HINT "choose a folder that can be written to", path,
                 strerror(errno));
        *at = was;
        if (!was) return LS_OK;
    }
}

static ls_status prepare(ls_writer *w)
{
    ls_dataset_info *info = &w->info;
    LS_TRY(make_folder(w->folder, &w->made_folder));
    int cut, mine = w->shards > 1 ? w->shards : 0;
    LS_TRY(ls__shard_count(w->folder, info->split, &cut));
    if (cut >= 0 && cut != mine) {
        char there[LS_SHARD_NAME];
        ls__shard_name(there, info->split, 0, cut);
        return LS_FAIL(LS_ERR_USAGE, "%s: already holds the split '%s' in another number of files (%s)" LS_HINT "remove it, or choose another folder",
                       w->folder, info->split, there);
    }
    for (int k = 0; k < w->shards; k++) {
        char name[LS_SHARD_NAME];
        ls__shard_name(name, info->split, k, mine);
        w->path[k]      = ls_arena_printf(w->arena, "%s/%s", w->folder, name);
        w->temporary[k] = ls_arena_printf(w->arena, "%s/.%s.tmp-%ld", w->folder, name, (long)getpid());
    }
    return LS_OK;
}

ls_status ls_writer_new(ls_writer **writer, const char *folder, const ls_dataset_info *info, int shards)
{
    *writer = NULL;
    LS_TRY(check_info(folder, info, shards));
    ls_writer *w = calloc(1, sizeof *w);
    LS_CHECK(w, LS_ERR_ENV, "%s: no memory", folder);
    w->fd            = -1;
    w->shards        = shards;
    size_t sample    = (size_t)ls__sample_bytes(info);
    w->capacity      = sample > BUFFER ? sample : BUFFER / sample * sample;
    w->buffer        = malloc(w->capacity);
    w->sum           = XXH3_createState();
    ls_status status = w->buffer && w->sum ? ls_arena_new(&w->arena, "writer") : LS_FAIL(LS_ERR_ENV, "%s: no memory", folder);
    if (status == LS_OK) {
        w->info       = *info;
        w->info.split = ls_arena_strdup(w->arena, info->split);
        w->folder     = ls_arena_strdup(w->arena, folder);
        w->path       = ls_arena_alloc(w->arena, sizeof *w->path * (size_t)shards);
        w->temporary  = ls_arena_alloc(w->arena, sizeof *w->temporary * (size_t)shards);
        if (info->class_names) {
            const char **names = ls_arena_alloc(w->arena, sizeof *names * (size_t)info->classes);
            for (int i = 0; i < info->classes; i++) names[i] = ls_arena_strdup(w->arena, info->class_names[i]);
            w->info.class_names = names;
        }
        status = prepare(w);
    }
    if (status != LS_OK) {
        ls_writer_free(w);
        return ls__trace(status, __FILE__, __LINE__, __func__);
    }
    *writer = w;
    return LS_OK;
}

ls_status ls_writer_add(ls_writer *w, const uint8_t *pixels, int32_t label)
{
    size_t sample = (size_t)ls__sample_bytes(&w->info);
    LS_CHECK(w->added < w->info.count, LS_ERR_USAGE, "%s: more samples than the %lld announced", w->folder, (long long)w->info.count);
    LS_CHECK(label >= 0 && label < w->info.classes, LS_ERR_DATA, "%s: sample %lld has label %d; expected 0 to %d", w->folder, (long long)w->added, label,
             w->info.classes - 1);
    if (w->fd < 0) LS_TRY(begin_file(w));
    if (w->buffered == w->capacity) LS_TRY(flush(w));
    memcpy(w->buffer + w->buffered, pixels, sample);
    w->buffered += sample;
    uint8_t *le = w->labels + 4 * (w->added - w->first);
    for (int b = 0; b < 4; b++) le[b] = (uint8_t)((uint32_t)label >> 8 * b);
    w->added++;
    if (w->added == w->first + w->count) LS_TRY(end_file(w));
    return LS_OK;
}

ls_status ls_writer_close(ls_writer *w)
{
    LS_CHECK(w->added == w->info.count, LS_ERR_USAGE, "%s: %lld samples were added; %lld were announced", w->folder, (long long)w->added,
             (long long)w->info.count);
    for (; w->renamed < w->shards; w->renamed++)
        if (rename(w->temporary[w->renamed], w->path[w->renamed])) return cannot_write(w, w->path[w->renamed], errno);
    int fd = open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    w->closed = true;
    return LS_OK;
}

void ls_writer_free(ls_writer *w)
{
    if (!w) return;
    if (w->fd >= 0) close(w->fd);
    if (!w->closed && w->arena) {
        for (int k = w->renamed; k < w->shards; k++)
            if (w->temporary[k]) unlink(w->temporary[k]);
        if (w->made_folder) rmdir(w->folder); /* fails, and rightly, when something else is in it */
    }
    free(w->buffer);
    free(w->labels);
    XXH3_freeState(w->sum);
    ls_arena_free(w->arena);
    free(w);
}
