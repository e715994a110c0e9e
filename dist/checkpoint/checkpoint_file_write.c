/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes one file of a checkpoint (format: dist/checkpoint/checkpoint_file.h) in two passes: HDF5 creates the structure
 * and reserves contiguous space for the values; then the values are written to that space with pwrite.
 * dist/checkpoint/README.md has the reasons.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/io/file_access.h"
#include "core/io/hdf5.h"
#include "core/io/hdf5_driver.h"
#include "dist/checkpoint/checkpoint_attributes.h"
#include "dist/checkpoint/checkpoint_file.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the values of a checkpoint are written as they are in memory, and must be little endian"
#endif

uint64_t ls__values_checksum(const char *state, const char *name, int64_t count, const float *values)
{
    char   path[LS_ARRAY_NAME + LS_OPTIMIZER_STATE_NAME];
    size_t length = (size_t)snprintf(path, sizeof path, "%s/%s", state && *state ? state : "param", name);
    if (length >= sizeof path) length = sizeof path - 1;
    return XXH64(values, (size_t)count * sizeof *values, XXH64(path, length, 0));
}

void ls__checkpoint_file_name(char name[LS_CHECKPOINT_FILE_NAME], int file)
{
    snprintf(name, LS_CHECKPOINT_FILE_NAME, "part-%04d.h5", file % (LS_CHECKPOINT_FILES + 1));
}

/* ---- structure --------------------------------------------------------------------------------------------------- */

/* Links keep the order of their creation, and no times are stored: equal states give equal files. */
static ls_status create_group(ls_h5 *h, hid_t parent, const char *name, hid_t *group)
{
    hid_t creation;
    LS_TRY_HDF5_OPEN(h, creation, H5Pcreate(H5P_GROUP_CREATE));
    H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    H5Pset_obj_track_times(creation, false);
    LS_TRY_HDF5_OPEN(h, *group, H5Gcreate2(parent, name, H5P_DEFAULT, creation, H5P_DEFAULT));
    return LS_OK;
}

/* Writes the attributes of a range that is not the whole array. */
static ls_status write_place(ls_h5 *h, hid_t set, const ls_state_array *a, ls_range range)
{
    hsize_t rank = (hsize_t)a->rank;
    hid_t   space, dims;
    LS_TRY_HDF5_OPEN(h, space, H5Screate_simple(1, &rank, NULL));
    LS_TRY_HDF5_OPEN(h, dims, H5Acreate2(set, "dims", H5T_NATIVE_INT64, space, H5P_DEFAULT, H5P_DEFAULT));
    LS_TRY_HDF5(h, H5Awrite(dims, H5T_NATIVE_INT64, a->dims));
    return ls__attribute_write(h, set, "first", LS_ATTRIBUTE_INT64, sizeof range.offset, &range.offset);
}

/* Creates the data set of one range; *at: the byte of the file where its values begin. */
static ls_status create_range(ls_h5 *h, hid_t group, const ls_state_array *a, const ls_state_range *r, int64_t *at)
{
    int      mark              = ls__h5_mark(h);
    bool     whole             = r->range.count == a->count;
    hsize_t  dims[LS_MAX_DIMS] = {(hsize_t)r->range.count};
    uint64_t checksum          = ls__values_checksum(a->state, a->name, r->range.count, r->data);
    hid_t    space, creation, set;
    char     name[LS_ARRAY_NAME];
    if (whole)
        snprintf(name, sizeof name, "%s", a->name);
    else
        snprintf(name, sizeof name, "%s@%" PRId64, a->name, r->range.offset);
    for (int d = 0; d < a->rank && whole; d++) dims[d] = (hsize_t)a->dims[d];
    LS_TRY_HDF5_OPEN(h, space,
                     whole && !a->rank ? H5Screate(H5S_SCALAR) : H5Screate_simple(whole ? a->rank : 1, dims, NULL));
    LS_TRY_HDF5_OPEN(h, creation, H5Pcreate(H5P_DATASET_CREATE));
    H5Pset_layout(creation, H5D_CONTIGUOUS);
    H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(creation, false);
    LS_TRY_HDF5_OPEN(h, set, H5Dcreate2(group, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, creation, H5P_DEFAULT));
    LS_TRY(ls__attribute_write(h, set, "xxh64", LS_ATTRIBUTE_UINT64, sizeof checksum, &checksum));
    if (!whole) LS_TRY(write_place(h, set, a, r->range));
    haddr_t place = H5Dget_offset(set);
    LS_TRY_HDF5(h, place == HADDR_UNDEF ? -1 : 0);
    *at = (int64_t)place;
    ls__h5_release(h, mark);
    return LS_OK;
}

static ls_status create_array(ls_h5 *h, hid_t group, const ls_state_array *a, int64_t *at)
{
    const ls_state_range *part;
    ls_state_range        whole;
    LS_CHECK(a->name[0] && !strchr(a->name, '/') && strcmp(a->name, ".") != 0 && strlen(a->name) < LS_ARRAY_NAME - 24,
             LS_ERR_USAGE,
             "parameter '%s': a checkpoint cannot store this name" LS_HINT
             "use names without '/' and of less than %d characters",
             a->name, LS_ARRAY_NAME - 24);
    int parts = ls__state_parts(a, &part, &whole);
    for (int i = 0; i < parts; i++) LS_TRY(create_range(h, group, a, &part[i], &at[i]));
    return LS_OK;
}

/* at[i][k]: byte of the file where range k of array i begins. */
static ls_status create_contents(ls_h5 *h, hid_t root, const ls_state *s, int64_t **at)
{
    hid_t param, state, group;
    LS_TRY(create_group(h, root, "param", &param));
    LS_TRY(create_group(h, root, "state", &state));
    for (int i = 0; i < s->arrays; i++)
        if (!s->array[i].state) LS_TRY(create_array(h, param, &s->array[i], at[i]));
    for (int k = 0; k < s->states; k++) {
        int mark = ls__h5_mark(h);
        LS_CHECK(strlen(s->state_name[k]) < LS_OPTIMIZER_STATE_NAME, LS_ERR_USAGE,
                 "optimizer state '%s': expected a name of less than %d characters", s->state_name[k],
                 LS_OPTIMIZER_STATE_NAME);
        LS_TRY(create_group(h, state, s->state_name[k], &group));
        for (int i = 0; i < s->arrays; i++)
            if (s->array[i].state && strcmp(s->array[i].state, s->state_name[k]) == 0)
                LS_TRY(create_array(h, group, &s->array[i], at[i]));
        ls__h5_release(h, mark);
    }
    return LS_OK;
}

static ls_status create_file(ls_h5 *h, const ls_state *s, const ls_progress *progress, int file, int files,
                             int64_t **at)
{
    hid_t access, driver, root;
    LS_TRY_HDF5_OPEN(h, access, ls__h5_access());
    LS_TRY_HDF5_OPEN(h, driver, ls__h5_driver());
    LS_TRY_HDF5(h, H5Pset_driver(access, driver, NULL));
    LS_TRY_HDF5_OPEN(h, root, H5Fcreate(h->path, H5F_ACC_TRUNC, H5P_DEFAULT, access));
    LS_TRY(ls__progress_write(h, root, progress, file, files));
    LS_TRY(create_contents(h, root, s, at));
    LS_TRY_HDF5(h, H5Fflush(root, H5F_SCOPE_LOCAL));
    return LS_OK;
}

static ls_status write_structure(const char *path, const ls_state *s, const ls_progress *progress, int file, int files,
                                 int64_t **at)
{
    ls_h5 h;
    ls__h5_begin(&h, path, LS_ERR_ENV);
    ls_status status = ls__h5_end(&h, create_file(&h, s, progress, file, files, at));
    errno            = ls__h5_write_error(); /* all write errors are known once the file is closed */
    return errno ? LS_FAIL_ERRNO("%s: cannot be written", path) : status;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static ls_status write_arrays(const char *path, int fd, const ls_state *s, int64_t *const *at)
{
    for (int i = 0; i < s->arrays; i++) {
        const ls_state_range *part;
        ls_state_range        whole;
        int                   parts = ls__state_parts(&s->array[i], &part, &whole);
        for (int k = 0; k < parts; k++)
            LS_TRY(ls__file_write_at(path, fd, at[i][k], part[k].data, (size_t)part[k].range.count * sizeof(float)));
    }
    return LS_OK;
}

static ls_status write_values(const char *path, const ls_state *s, int64_t *const *at)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return LS_FAIL_ERRNO("%s: cannot be written", path);
    ls_status status = write_arrays(path, fd, s, at);
    if (status == LS_OK && fsync(fd) != 0) status = LS_FAIL_ERRNO("%s: cannot be written", path);
    if (close(fd) != 0 && status == LS_OK) status = LS_FAIL_ERRNO("%s: cannot be written", path);
    return status;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

/* HDF5 crashes when it runs out of memory: fail before that when there is less than it needs. */
static bool has_memory_for_hdf5(void)
{
    enum { HDF5_BYTES = 8 << 20 };
    void *volatile probe = malloc(HDF5_BYTES); /* volatile keeps the compiler from removing malloc and free */
    bool has             = probe != NULL;
    free(probe);
    return has;
}

ls_status ls__checkpoint_file_write(const char *path, const ls_state *state, const ls_progress *progress, int file,
                                    int files, uint64_t *checksum, int64_t *bytes)
{
    const ls_state_range *part;
    ls_state_range        whole;
    int64_t               ranges = 0;
    for (int i = 0; i < state->arrays; i++) ranges += ls__state_parts(&state->array[i], &part, &whole);
    int64_t  *place  = calloc((size_t)ranges + 1, sizeof *place);
    int64_t **at     = calloc((size_t)state->arrays + 1, sizeof *at);
    ls_status status = LS_OK;
    if (!place || !at || !has_memory_for_hdf5())
        status = LS_FAIL(LS_ERR_ENV, "%s: no memory to write %d arrays", path, state->arrays);
    int64_t *next = place;
    for (int i = 0; i < state->arrays && status == LS_OK; i++) {
        at[i] = next;
        next += ls__state_parts(&state->array[i], &part, &whole);
    }
    if (status == LS_OK) status = write_structure(path, state, progress, file, files, at);
    if (status == LS_OK) status = write_values(path, state, at);
    if (status == LS_OK) status = ls__file_checksum(path, checksum, bytes);
    free(at);
    free(place);
    return status;
}
