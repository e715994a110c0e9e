/* SPDX-License-Identifier: Apache-2.0
 * Finds the files of a split, opens them, and opens the dataset of the kind that they hold. */
#include "datasets/files/dataset_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/file_access.h"
#include "core/io/hdf5.h"

enum { FORMAT = 1 };

ls_status ls__split_open(const char *path, int *fd, hid_t *file, int64_t *bytes)
{
    struct stat st;
    haddr_t     end;
    *file = -1;
    *fd   = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* O_NONBLOCK: a pipe is refused below instead of blocking */
    LS_CHECK(*fd >= 0, LS_ERR_DATA, "%s: %s", path, strerror(errno));
    LS_CHECK(fstat(*fd, &st) == 0 && S_ISREG(st.st_mode), LS_ERR_DATA, "%s: expected an HDF5 file", path);
    LS_CHECK(st.st_size > 0, LS_ERR_DATA, "%s: is empty; expected an HDF5 file", path);
    *bytes = st.st_size;

    hid_t access = ls__h5_access();
    *file        = H5Fopen(path, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    LS_CHECK(*file >= 0, LS_ERR_DATA,
             "%s: is no HDF5 file, or a damaged one: %s" LS_HINT "copy it or make it again with `lockstep data import`",
             path, ls__h5_reason());
    /* H5Fopen finds files that are too short; this check finds those that are too long. */
    LS_CHECK(H5Fget_eoa(*file, &end) >= 0 && (int64_t)end >= *bytes, LS_ERR_DATA,
             "%s: has %lld bytes; expected %lld, where its last object ends" LS_HINT
             "the file has extra bytes at its end: copy it again",
             path, (long long)*bytes, (long long)end);
    return LS_OK;
}

/* ---- properties of the files ------------------------------------------------------------------------------------- */

ls_status ls__split_attributes(ls_dataset_file *f, ls_arena *arena, const char **split)
{
    int64_t format;
    char    text[LS_SPLIT_NAME];
    LS_TRY(ls__h5_int(f->path, f->file, "lockstep_format", &format));
    LS_CHECK(format == FORMAT, LS_ERR_DATA,
             "%s: attribute 'lockstep_format': expected %d, found %lld" LS_HINT
             "the file comes from a newer version: update Lockstep, or import the data again",
             f->path, FORMAT, (long long)format);
    LS_TRY(ls__h5_text(f->path, f->file, "split", true, text, sizeof text));
    LS_TRY(ls__h5_text(f->path, f->file, "checksum", false, f->checksum, sizeof f->checksum));
    *split = ls_arena_strdup(arena, text);
    return LS_OK;
}

ls_status ls__split_array(const ls_dataset_file *f, int64_t file_bytes, const char *name, H5T_class_t type, size_t size,
                          bool is_signed, int64_t *count, int64_t *at)
{
    hid_t       set;
    ls_h5_shape s;
    char        found[32], dims[128];
    LS_TRY(ls__h5_dataset(f->path, f->file, name, true, &set, &s));
    ls_status status = LS_OK;
    hid_t     stored = H5Dget_type(set);
    bool      little = size == 1 || (stored >= 0 && H5Tget_order(stored) == H5T_ORDER_LE);
    if (stored >= 0) H5Tclose(stored);
    *count = s.count;
    *at    = 0;
    if (s.type != type || s.size != size || (type == H5T_INTEGER && s.is_signed != is_signed) || s.rank != 1)
        status =
            LS_FAIL(LS_ERR_DATA, "%s: /%s: expected N values of type %s%zu in one dim, found %s, %s", f->path, name,
                    type == H5T_FLOAT ? "float"
                    : is_signed       ? "int"
                                      : "uint",
                    8 * size, ls__h5_type_text(&s, found), ls__h5_dims_text(&s, dims));
    else if (s.count)
        status = ls__h5_storage(f->path, set, name, &s, file_bytes, at);
    H5Dclose(set);
    LS_TRY(status);
    LS_CHECK(*at >= 0 && little, LS_ERR_DATA,
             "%s: /%s: expected contiguous little-endian values, found another storage" LS_HINT
             "`lockstep data import` writes such files",
             f->path, name);
    return LS_OK;
}

ls_status ls__split_check_same(const char *path, const char *first_path, int n, const ls_shared_field *field)
{
    for (int i = 0; i < n; i++)
        LS_CHECK(!strcmp(field[i].expected, field[i].found), LS_ERR_DATA,
                 "%s: its %s is not that of %s: expected %s, found %s" LS_HINT
                 "take all files of a split from one import",
                 path, field[i].name, first_path, field[i].expected, field[i].found);
    return LS_OK;
}

int ls__split_file_of(const void *file, size_t stride, int files, int64_t i)
{
    int low = 0, high = files - 1; /* the last file with first <= i is within [low, high] */
    while (low < high) {
        int                    middle = (low + high + 1) / 2;
        const ls_dataset_file *f      = (const void *)((const char *)file + (size_t)middle * stride);
        if (f->first <= i)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* ---- finding the files ------------------------------------------------------------------------------------------- */

static ls_status no_such_split(const char *folder, const char *split)
{
    char splits[LS_MAX_SPLITS][LS_SPLIT_NAME], list[LS_MAX_SPLITS * (LS_SPLIT_NAME + 2)] = "";
    int  count;
    LS_TRY(ls_dataset_splits(folder, splits, &count));
    for (int i = 0, used = 0; i < count; i++)
        used += snprintf(list + used, sizeof list - (size_t)used, "%s%s", i ? ", " : "", splits[i]);
    return LS_FAIL(LS_ERR_DATA, "%s: has no %s.h5; splits found: %s" LS_HINT "%s", folder, split, count ? list : "none",
                   count ? "a run needs train for training, and test or valid for evaluation: import the data "
                           "again (text, csv: with --valid above 0)"
                         : "make a dataset with `lockstep data import`");
}

static ls_status find_in_folder(ls_arena *arena, const char *folder, const char *split, int *files, const char ***paths)
{
    int shards;
    LS_TRY(ls__shard_count(folder, split, &shards));
    if (shards < 0) return no_such_split(folder, split);
    *files = shards ? shards : 1;
    *paths = ls_arena_alloc(arena, sizeof **paths * (size_t)*files);
    for (int k = 0; k < *files; k++) {
        char name[LS_SHARD_NAME];
        ls__shard_name(name, split, k, shards);
        (*paths)[k] = ls_arena_printf(arena, "%s/%s", folder, name);
        LS_CHECK(access((*paths)[k], F_OK) == 0, LS_ERR_DATA,
                 "%s: is missing; expected %d files %s-*-of-%05d.h5" LS_HINT
                 "copy the missing file, or import the data again",
                 (*paths)[k], shards, split, shards);
    }
    return LS_OK;
}

ls_status ls__split_find(ls_arena *arena, const char *path, const char *split, int *files, const char ***paths)
{
    struct stat st;
    LS_CHECK(stat(path, &st) == 0, LS_ERR_DATA,
             "%s: %s" LS_HINT "make a dataset with `lockstep data import` or `lockstep data fetch`", path,
             strerror(errno));
    if (S_ISDIR(st.st_mode)) return find_in_folder(arena, path, split ? split : "train", files, paths);
    *files      = 1;
    *paths      = ls_arena_alloc(arena, sizeof **paths);
    (*paths)[0] = ls_arena_strdup(arena, path);
    return LS_OK;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

typedef ls_status open_kind(ls_dataset **d, ls_arena *arena, const char *path, int files, const char *const *paths);

/* Finds the kind of a file by the data sets that it has. */
static ls_status kind_of_file(const char *path, open_kind **opens)
{
    int64_t   bytes;
    int       fd;
    hid_t     file;
    ls_status status = ls__split_open(path, &fd, &file, &bytes);
    if (status == LS_OK)
        *opens = H5Lexists(file, "tokens", H5P_DEFAULT) > 0        ? ls__text_open
                 : H5Lexists(file, "pair_tokens", H5P_DEFAULT) > 0 ? ls__pairs_open
                 : H5Lexists(file, "text_tokens", H5P_DEFAULT) > 0 ? ls__labelled_open
                                                                   : ls__images_open;
    if (file >= 0) H5Fclose(file);
    if (fd >= 0) close(fd);
    return status;
}

static ls_status open_all(ls_dataset **d, ls_arena *arena, const char *given, const char *split)
{
    const char **paths = NULL, *path = ls_arena_strdup(arena, given);
    int          files = 0;
    open_kind   *opens;
    LS_TRY(ls__split_find(arena, path, split, &files, &paths));
    ls__h5_quiet();
    LS_TRY(kind_of_file(paths[0], &opens));
    LS_TRY(opens(d, arena, path, files, paths));
    LS_CHECK(!split || !strcmp(split, (*d)->info.split), LS_ERR_DATA,
             "%s: attribute 'split': expected '%s', found '%s'", paths[0], split, (*d)->info.split);
    return LS_OK;
}

ls_status ls_dataset_open(ls_dataset **dataset, const char *path, const char *split)
{
    ls_arena   *arena;
    ls_dataset *d = NULL;
    *dataset      = NULL;
    LS_TRY(ls_arena_new(&arena, "dataset"));
    ls_status status = open_all(&d, arena, path, split);
    if (status == LS_OK) {
        *dataset = d;
        return LS_OK;
    }
    if (d)
        ls_dataset_free(d);
    else
        ls_arena_free(arena);
    return ls__trace(status, __FILE__, __LINE__, __func__);
}

ls_status ls__split_add_bytes(const ls_dataset_file *f, int64_t at, int64_t bytes, XXH3_state_t *state)
{
    enum { PER_READ = 1 << 14 };
    char buffer[PER_READ];
    for (int64_t done = 0, n; done < bytes; done += n) {
        n = bytes - done < PER_READ ? bytes - done : PER_READ;
        LS_TRY(ls__file_read_at(f->path, f->fd, at + done, buffer, (size_t)n));
        XXH3_64bits_update(state, buffer, (size_t)n);
    }
    return LS_OK;
}

ls_status ls__split_checksum(const char *path, const char *expected, const XXH3_state_t *state)
{
    char found[17];
    snprintf(found, sizeof found, "%016llx", (unsigned long long)XXH3_64bits_digest(state));
    LS_CHECK(!expected[0] || !strcmp(found, expected), LS_ERR_DATA,
             "%s: attribute 'checksum': expected %s, but the data give %s" LS_HINT
             "the file is damaged: copy it or import the data again",
             path, expected, found);
    return LS_OK;
}
