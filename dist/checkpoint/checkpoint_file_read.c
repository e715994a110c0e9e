/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the structure of one file of a checkpoint (format: dist/checkpoint/checkpoint_file.h).
 *
 * The file is not trusted: a link must be a hard link (an external link would open another file), a data set must be
 * contiguous and inside this file, and its type, shape and size must be as expected.  The values are checked against
 * their checksums when they are read (dist/checkpoint/checkpoint_index.c).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/io/hdf5.h"
#include "core/io/paths.h"
#include "dist/checkpoint/checkpoint_attributes.h"
#include "dist/checkpoint/checkpoint_file.h"

/* ---- groups and links -------------------------------------------------------------------------------------------- */

static ls_status open_group(ls_h5 *h, hid_t parent, const char *name, hid_t *group)
{
    H5L_info_t link;
    LS_CHECK(H5Lget_info(parent, name, &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_HARD, LS_ERR_DATA,
             "%s: the group '%s' is missing", h->path, name);
    LS_TRY_HDF5_OPEN(h, *group, H5Gopen2(parent, name, H5P_DEFAULT));
    return LS_OK;
}

static ls_status count_links(ls_h5 *h, hid_t group, int64_t *count)
{
    H5G_info_t info;
    LS_TRY_HDF5(h, H5Gget_info(group, &info));
    *count = (int64_t)info.nlinks;
    return LS_OK;
}

/* Reads the name of link i, in the order of creation where the file has it, else by name. */
static ls_status link_name(ls_h5 *h, hid_t group, int64_t i, size_t room, char *name)
{
    hsize_t k      = (hsize_t)i;
    ssize_t length = H5Lget_name_by_idx(group, ".", H5_INDEX_CRT_ORDER, H5_ITER_INC, k, name, room, H5P_DEFAULT);
    if (length < 0) length = H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, k, name, room, H5P_DEFAULT);
    LS_TRY_HDF5(h, length);
    LS_CHECK((size_t)length < room, LS_ERR_DATA, "%s: expected names of less than %zu characters, found one of %zd",
             h->path, room, length);
    return LS_OK;
}

/* ---- one range --------------------------------------------------------------------------------------------------- */

/* Reads the attributes `dims` and `first` of a range of a cut array; without them the data set is the whole array. */
static ls_status read_place(ls_h5 *h, hid_t set, ls_stored_range *r)
{
    hsize_t n;
    hid_t   dims, type, space;
    char    suffix[32];
    if (H5Aexists(set, "dims") <= 0) return LS_OK;
    LS_TRY(ls__attribute_read(h, set, "first", LS_ATTRIBUTE_INT64, sizeof r->range.offset, &r->range.offset));
    LS_TRY_HDF5_OPEN(h, dims, H5Aopen(set, "dims", H5P_DEFAULT));
    LS_TRY_HDF5_OPEN(h, type, H5Aget_type(dims));
    LS_TRY_HDF5_OPEN(h, space, H5Aget_space(dims));
    bool fits = r->rank == 1 && H5Tequal(type, H5T_STD_I64LE) > 0 && H5Sget_simple_extent_ndims(space) == 1 &&
                H5Sget_simple_extent_dims(space, &n, NULL) == 1 && n >= 1 && n <= LS_MAX_DIMS;
    LS_CHECK(fits, LS_ERR_DATA, "%s: '%s', a part of an array: its attribute 'dims' is not the shape of an array",
             h->path, r->name);
    r->rank = (int)n;
    LS_TRY_HDF5(h, H5Aread(dims, H5T_NATIVE_INT64, r->dim));
    char *name_end = strrchr(r->name, '@');
    snprintf(suffix, sizeof suffix, "@%" PRId64, r->range.offset);
    LS_CHECK(name_end && strcmp(name_end, suffix) == 0, LS_ERR_DATA,
             "%s: the range '%s': its attribute 'first' is %" PRId64, h->path, r->name, r->range.offset);
    *name_end = 0; /* from here on, the name of the array */
    return LS_OK;
}

/* Reads the shape and number of elements of the data set, and of the whole array. */
static ls_status read_shape(ls_h5 *h, hid_t set, hid_t space, ls_stored_range *r)
{
    hsize_t     extent[H5S_MAX_RANK];
    H5S_class_t kind = H5Sget_simple_extent_type(space);
    r->rank          = H5Sget_simple_extent_dims(space, extent, NULL);
    LS_CHECK((kind == H5S_SIMPLE || kind == H5S_SCALAR) && r->rank >= 0, LS_ERR_DATA, "%s: the array '%s' has no shape",
             h->path, r->name);
    LS_CHECK(r->rank <= LS_MAX_DIMS, LS_ERR_DATA, "%s: the array '%s': expected at most %d dimensions, found %d",
             h->path, r->name, LS_MAX_DIMS, r->rank);
    r->range.count = 1;
    r->count       = 1;
    for (int d = 0; d < r->rank; d++) {
        r->dim[d] = (int64_t)extent[d];
        LS_CHECK(r->dim[d] >= 0 && !__builtin_mul_overflow(r->range.count, r->dim[d], &r->range.count), LS_ERR_DATA,
                 "%s: the array '%s' is too large", h->path, r->name);
    }
    LS_TRY(read_place(h, set, r));
    for (int d = 0; d < r->rank; d++)
        LS_CHECK(r->dim[d] >= 0 && !__builtin_mul_overflow(r->count, r->dim[d], &r->count) && r->count <= INT64_MAX / 8,
                 LS_ERR_DATA, "%s: the array '%s' is too large", h->path, r->name);
    LS_CHECK(r->range.offset >= 0 && r->range.offset <= r->count && r->range.count <= r->count - r->range.offset,
             LS_ERR_DATA,
             "%s: the array '%s': expected a range of its %" PRId64 " elements, found %" PRId64 " elements at %" PRId64,
             h->path, r->name, r->count, r->range.count, r->range.offset);
    return LS_OK;
}

/* Reads all that the file states about one data set, and checks what can be checked without the model and the other
 * files. */
static ls_status read_range(ls_h5 *h, hid_t group, int64_t file_bytes, ls_stored_range *r)
{
    H5L_info_t link;
    hid_t      set, type, space, creation;
    LS_CHECK(H5Lget_info(group, r->name, &link, H5P_DEFAULT) >= 0, LS_ERR_DATA, "%s: the array '%s' is missing",
             h->path, r->name);
    LS_CHECK(link.type == H5L_TYPE_HARD, LS_ERR_DATA, "%s: the array '%s': expected a data set, found a link", h->path,
             r->name);
    LS_TRY_HDF5_OPEN(h, set, H5Dopen2(group, r->name, H5P_DEFAULT));
    LS_TRY_HDF5_OPEN(h, type, H5Dget_type(set));
    LS_TRY_HDF5_OPEN(h, space, H5Dget_space(set));
    LS_TRY_HDF5_OPEN(h, creation, H5Dget_create_plist(set));
    LS_CHECK(H5Tequal(type, H5T_IEEE_F32LE) > 0, LS_ERR_DATA,
             "%s: the array '%s': expected the type float32, found another", h->path, r->name);
    LS_CHECK(H5Pget_layout(creation) == H5D_CONTIGUOUS && H5Pget_external_count(creation) == 0, LS_ERR_DATA,
             "%s: the array '%s': expected contiguous values in this file", h->path, r->name);
    LS_TRY(read_shape(h, set, space, r));
    LS_TRY(ls__attribute_read(h, set, "xxh64", LS_ATTRIBUTE_UINT64, sizeof r->checksum, &r->checksum));
    haddr_t at     = H5Dget_offset(set);
    hsize_t bytes  = (hsize_t)r->range.count * sizeof(float);
    bool    inside = at != HADDR_UNDEF && at <= (haddr_t)file_bytes && bytes <= (haddr_t)file_bytes - at &&
                  H5Dget_storage_size(set) == bytes;
    LS_CHECK(inside, LS_ERR_DATA, "%s: the array '%s': expected %llu bytes of values inside the file", h->path, r->name,
             (unsigned long long)bytes);
    r->at = (int64_t)at;
    return LS_OK;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static ls_status add_range(ls_stored_table *t, const ls_stored_range *r)
{
    bool full = (t->ranges & (t->ranges - 1)) == 0; /* the capacity is the next power of two */
    if (full) {
        ls_stored_range *more = realloc(t->range, sizeof *more * (size_t)(t->ranges ? 2 * t->ranges : 1));
        LS_CHECK(more, LS_ERR_ENV, "checkpoint: no memory for a table of %d arrays", t->ranges);
        t->range = more;
    }
    t->range[t->ranges++] = *r;
    return LS_OK;
}

/* Finds an optimizer state by name, or adds it. */
static ls_status find_state(ls_stored_table *t, const char *name, int *index)
{
    for (*index = 0; *index < t->states; ++*index)
        if (strcmp(t->state[*index], name) == 0) return LS_OK;
    char(*more)[LS_OPTIMIZER_STATE_NAME] = realloc(t->state, sizeof *more * (size_t)(t->states + 1));
    LS_CHECK(more, LS_ERR_ENV, "checkpoint: no memory for the names of %d optimizer states", t->states + 1);
    t->state = more;
    snprintf(t->state[t->states++], LS_OPTIMIZER_STATE_NAME, "%s", name);
    return LS_OK;
}

/* A file that is being read. */
typedef struct source {
    int     number; /* number of the file in the checkpoint */
    int64_t bytes;
} source;

/* Adds the arrays of one group: of "param" (state_index -1), or of an optimizer state. */
static ls_status read_group(ls_h5 *h, ls_stored_table *t, hid_t group, int state_index, source file)
{
    int64_t links = 0;
    LS_TRY(count_links(h, group, &links));
    for (int64_t i = 0; i < links; i++) {
        int             mark = ls__h5_mark(h);
        ls_stored_range r    = {.file = file.number, .state_index = state_index};
        if (state_index >= 0) memcpy(r.state, t->state[state_index], sizeof r.state);
        LS_TRY(link_name(h, group, i, sizeof r.name, r.name));
        LS_TRY(read_range(h, group, file.bytes, &r));
        LS_TRY(add_range(t, &r));
        ls__h5_release(h, mark);
    }
    return LS_OK;
}

static ls_status open_root(ls_h5 *h, hid_t *root)
{
    hid_t access;
    LS_TRY_HDF5_OPEN(h, access, ls__h5_access());
    LS_TRY_HDF5_OPEN(h, *root, H5Fopen(h->path, H5F_ACC_RDONLY, access));
    return LS_OK;
}

static ls_status read_file(ls_h5 *h, ls_stored_table *t, source file, int files)
{
    hid_t       root, param, states, group;
    int64_t     links = 0, number, total;
    char        name[LS_OPTIMIZER_STATE_NAME];
    ls_progress progress;
    LS_TRY(open_root(h, &root));
    LS_TRY(ls__progress_read(h, root, &progress, &number, &total));
    LS_CHECK(number == file.number && total == files, LS_ERR_DATA,
             "%s: expected file %d of %d files, found %" PRId64 " of %" PRId64, h->path, file.number, files, number,
             total);
    if (file.number == 0) t->progress = progress;
    LS_CHECK(ls__progress_checksum(&progress) == ls__progress_checksum(&t->progress), LS_ERR_DATA,
             "%s: belongs to another checkpoint than the first file", h->path);
    LS_TRY(open_group(h, root, "param", &param));
    LS_TRY(read_group(h, t, param, -1, file));
    LS_TRY(open_group(h, root, "state", &states));
    LS_TRY(count_links(h, states, &links));
    for (int64_t i = 0; i < links; i++) {
        int mark = ls__h5_mark(h), index;
        LS_TRY(link_name(h, states, i, sizeof name, name));
        LS_TRY(find_state(t, name, &index));
        LS_TRY(open_group(h, states, name, &group));
        LS_TRY(read_group(h, t, group, index, file));
        ls__h5_release(h, mark);
    }
    return LS_OK;
}

ls_status ls__checkpoint_file_read(ls_stored_table *t, const char *path, int file, int files)
{
    ls_h5       h;
    struct stat info;
    if (stat(path, &info) != 0) return LS_FAIL_ERRNO("%s: cannot be read", path);
    ls__h5_begin(&h, path, LS_ERR_DATA);
    return ls__h5_end(&h, read_file(&h, t, (source){file, info.st_size}, files));
}

static ls_status read_progress(ls_h5 *h, ls_progress *progress)
{
    hid_t   root;
    int64_t file, files;
    LS_TRY(open_root(h, &root));
    return ls__progress_read(h, root, progress, &file, &files);
}

ls_status ls__checkpoint_file_progress(const char *path, ls_progress *progress)
{
    ls_h5 h;
    ls__h5_begin(&h, path, LS_ERR_DATA);
    return ls__h5_end(&h, read_progress(&h, progress));
}
