/* SPDX-License-Identifier: Apache-2.0
 *
 * One file of a checkpoint:
 *
 *     /                         attributes: format, format_version, version; part, parts; the progress; progress_xxh64
 *     /param/NAME               float32, little endian, contiguous; attribute xxh64
 *     /state/exp_avg/NAME       the same, for each state of the optimizer
 *
 * An array that is cut stands there in pieces, NAME@FIRST, in one dimension, with the attributes `first` (its place
 * among the elements of the whole) and `dims` (of the whole).
 *
 * xxh64 is the XXH64 of the bytes, with the XXH64 of the text "param/NAME" or "exp_avg/NAME" as its seed, so that an
 * array is not taken for another.
 *
 * HDF5 only makes room for the values; they are written and read at the place that it names.  So its lock, which the
 * loader of the data may be waiting for, is never held while a disk is slow.
 *
 * Read, nothing is taken on trust: a link must be a hard one (an external link would open another file), a data set
 * contiguous and in this file, and its type, shape, size and checksum must be what is expected.
 */
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/io/hdf5.h"
#include "core/io/hdf5_driver.h"
#include "core/io/hdf5_handle.h"
#include "dist/checkpoint/checkpoint.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "checkpoints are written as they lie in memory, in little endian"
#endif

enum { NAME_BYTES = sizeof((ls_piece){0}.name), STATE_BYTES = sizeof((ls_piece){0}.state) };

/* ---- the progress, as attributes --------------------------------------------------------------------------------- */

typedef enum field_kind { INT64, UINT64, REAL, TEXT } field_kind;

static const struct field {
    const char *name;
    field_kind  kind;
    size_t      offset, bytes;
} fields[] = {
#define FIELD(kind, name)                                                                                              \
    {                                                                                                                  \
#name, kind, offsetof(ls_progress, name), sizeof((ls_progress){0}.name)                                        \
    }
    FIELD(INT64, step),       FIELD(INT64, epoch), FIELD(INT64, sample),  FIELD(UINT64, seed),
    FIELD(TEXT, recipe_hash), FIELD(TEXT, isa),    FIELD(UINT64, digest), FIELD(REAL, loss),
#undef FIELD
};
enum { FIELDS = sizeof fields / sizeof *fields };

static uint64_t progress_checksum(const ls_progress *p)
{
    char   text[512];
    size_t used = 0;
    for (int i = 0; i < FIELDS; i++) {
        const char *at = (const char *)p + fields[i].offset;
        if (fields[i].kind == TEXT)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s=%s\n", fields[i].name, at);
        else
            used += (size_t)snprintf(text + used, sizeof text - used, "%s=%" PRIx64 "\n", fields[i].name,
                                     *(const uint64_t *)at);
    }
    return XXH64(text, used, 0);
}

static hid_t memory_type(ls_h5 *h, field_kind kind, size_t bytes)
{
    if (kind == INT64) return H5T_NATIVE_INT64;
    if (kind == UINT64) return H5T_NATIVE_UINT64;
    if (kind == REAL) return H5T_NATIVE_DOUBLE;
    hid_t type = ls__h5_keep(h, H5Tcopy(H5T_C_S1));
    if (type >= 0) H5Tset_size(type, bytes);
    return type;
}

static ls_status write_attribute(ls_h5 *h, hid_t where, const char *name, field_kind kind, size_t bytes,
                                 const void *value)
{
    int   mark = ls__h5_mark(h);
    hid_t type = memory_type(h, kind, bytes);
    hid_t space;
    LS_TRY_HDF5_OPEN(h, space, H5Screate(H5S_SCALAR));
    hid_t attribute;
    LS_TRY_HDF5_OPEN(h, attribute, H5Acreate2(where, name, type, space, H5P_DEFAULT, H5P_DEFAULT));
    LS_TRY_HDF5(h, H5Awrite(attribute, type, value));
    ls__h5_release(h, mark);
    return LS_OK;
}

static ls_status read_attribute(ls_h5 *h, hid_t where, const char *name, field_kind kind, size_t bytes, void *value)
{
    int mark = ls__h5_mark(h);
    LS_CHECK(H5Aexists(where, name) > 0, LS_ERR_DATA, "%s: the attribute '%s' is missing", h->path, name);
    hid_t attribute;
    LS_TRY_HDF5_OPEN(h, attribute, H5Aopen(where, name, H5P_DEFAULT));
    hid_t type;
    LS_TRY_HDF5_OPEN(h, type, H5Aget_type(attribute));
    hid_t space;
    LS_TRY_HDF5_OPEN(h, space, H5Aget_space(attribute));
    bool good = H5Tget_class(type) == (kind == TEXT   ? H5T_STRING
                                       : kind == REAL ? H5T_FLOAT
                                                      : H5T_INTEGER) &&
                H5Tis_variable_str(type) <= 0 && H5Tget_size(type) <= bytes &&
                H5Sget_simple_extent_type(space) != H5S_NULL && H5Sget_simple_extent_npoints(space) == 1;
    LS_CHECK(good, LS_ERR_DATA, "%s: the attribute '%s' is not %s", h->path, name,
             kind == TEXT   ? "a short text"
             : kind == REAL ? "a number"
                            : "a whole number");
    LS_TRY_HDF5(h, H5Aread(attribute, memory_type(h, kind, bytes), value));
    if (kind == TEXT) ((char *)value)[bytes - 1] = 0;
    ls__h5_release(h, mark);
    return LS_OK;
}

static ls_status write_progress(ls_h5 *h, hid_t file, const ls_progress *p, const int64_t part[2])
{
    static const char format[] = "lockstep checkpoint";
    int64_t           version  = LS_CHECKPOINT_FORMAT;
    uint64_t          checksum = progress_checksum(p);
    LS_TRY(write_attribute(h, file, "format", TEXT, sizeof format, format));
    LS_TRY(write_attribute(h, file, "format_version", INT64, sizeof version, &version));
    LS_TRY(write_attribute(h, file, "version", TEXT, sizeof LS_VERSION, LS_VERSION));
    LS_TRY(write_attribute(h, file, "part", INT64, sizeof *part, &part[0]));
    LS_TRY(write_attribute(h, file, "parts", INT64, sizeof *part, &part[1]));
    for (int i = 0; i < FIELDS; i++)
        LS_TRY(write_attribute(h, file, fields[i].name, fields[i].kind, fields[i].bytes,
                               (const char *)p + fields[i].offset));
    LS_TRY(write_attribute(h, file, "progress_xxh64", UINT64, sizeof checksum, &checksum));
    return LS_OK;
}

static ls_status read_progress(ls_h5 *h, hid_t file, ls_progress *p, int64_t part[2])
{
    char     format[32] = "";
    int64_t  version    = 0;
    uint64_t checksum   = 0;
    *p                  = (ls_progress){0};
    LS_TRY(read_attribute(h, file, "format", TEXT, sizeof format, format));
    LS_CHECK(strcmp(format, "lockstep checkpoint") == 0, LS_ERR_DATA, "%s: expected a checkpoint, found '%s'", h->path,
             format);
    LS_TRY(read_attribute(h, file, "format_version", INT64, sizeof version, &version));
    LS_CHECK(version == LS_CHECKPOINT_FORMAT, LS_ERR_USAGE,
             "%s: expected format version %d, found %" PRId64 LS_HINT
             "it was written by another version of the program: use that one",
             h->path, LS_CHECKPOINT_FORMAT, version);
    LS_TRY(read_attribute(h, file, "part", INT64, sizeof *part, &part[0]));
    LS_TRY(read_attribute(h, file, "parts", INT64, sizeof *part, &part[1]));
    for (int i = 0; i < FIELDS; i++)
        LS_TRY(read_attribute(h, file, fields[i].name, fields[i].kind, fields[i].bytes, (char *)p + fields[i].offset));
    LS_TRY(read_attribute(h, file, "progress_xxh64", UINT64, sizeof checksum, &checksum));
    LS_CHECK(checksum == progress_checksum(p), LS_ERR_DATA, "%s: the progress does not fit its checksum", h->path);
    LS_CHECK(p->step >= 0 && p->epoch >= 0 && p->sample >= 0, LS_ERR_DATA, "%s: a negative step, epoch or sample",
             h->path);
    return LS_OK;
}

uint64_t ls__piece_sum(const char *state, const char *name, int64_t held, const float *data)
{
    char   path[NAME_BYTES + STATE_BYTES];
    size_t length = (size_t)snprintf(path, sizeof path, "%s/%s", state && *state ? state : "param", name);
    return XXH64(data, (size_t)held * sizeof *data, XXH64(path, length < sizeof path ? length : sizeof path - 1, 0));
}

void ls__part_name(char name[LS_PART_NAME], int part)
{
    snprintf(name, LS_PART_NAME, "part-%04d.h5", part % (LS_MAX_PARTS + 1));
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Links in the order in which they were made, and no times: equal states are equal files. */
static ls_status make_group(ls_h5 *h, hid_t file, const char *name, hid_t *group)
{
    hid_t how;
    LS_TRY_HDF5_OPEN(h, how, H5Pcreate(H5P_GROUP_CREATE));
    H5Pset_link_creation_order(how, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    H5Pset_obj_track_times(how, false);
    hid_t made;
    LS_TRY_HDF5_OPEN(h, made, H5Gcreate2(file, name, H5P_DEFAULT, how, H5P_DEFAULT));
    *group = made;
    return LS_OK;
}

/* dims and first of an array of which this is a piece. */
static ls_status write_place(ls_h5 *h, hid_t set, const ls_state_array *a, const ls_held *piece)
{
    hsize_t rank = (hsize_t)a->rank;
    hid_t   space;
    LS_TRY_HDF5_OPEN(h, space, H5Screate_simple(1, &rank, NULL));
    hid_t dims;
    LS_TRY_HDF5_OPEN(h, dims, H5Acreate2(set, "dims", H5T_NATIVE_INT64, space, H5P_DEFAULT, H5P_DEFAULT));
    LS_TRY_HDF5(h, H5Awrite(dims, H5T_NATIVE_INT64, a->dims));
    return write_attribute(h, set, "first", INT64, sizeof piece->first, &piece->first);
}

static void piece_name(char name[NAME_BYTES], const ls_state_array *a, const ls_held *piece)
{
    if (piece->held == a->count)
        snprintf(name, NAME_BYTES, "%s", a->name);
    else
        snprintf(name, NAME_BYTES, "%s@%" PRId64, a->name, piece->first);
}

/* Room for a piece, at the byte *at of the file. */
static ls_status make_piece(ls_h5 *h, hid_t group, const ls_state_array *a, const ls_held *piece, int64_t *at)
{
    int     mark              = ls__h5_mark(h);
    bool    whole             = piece->held == a->count;
    hsize_t dims[LS_MAX_DIMS] = {(hsize_t)piece->held};
    char    name[NAME_BYTES];
    piece_name(name, a, piece);
    for (int d = 0; d < a->rank && whole; d++) dims[d] = (hsize_t)a->dims[d];
    uint64_t checksum = ls__piece_sum(a->state, a->name, piece->held, piece->data);
    hid_t    space;
    LS_TRY_HDF5_OPEN(h, space,
                     whole && !a->rank ? H5Screate(H5S_SCALAR) : H5Screate_simple(whole ? a->rank : 1, dims, NULL));
    hid_t how;
    LS_TRY_HDF5_OPEN(h, how, H5Pcreate(H5P_DATASET_CREATE));
    H5Pset_layout(how, H5D_CONTIGUOUS);
    H5Pset_alloc_time(how, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(how, H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(how, false);
    hid_t set;
    LS_TRY_HDF5_OPEN(h, set, H5Dcreate2(group, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, how, H5P_DEFAULT));
    LS_TRY(write_attribute(h, set, "xxh64", UINT64, sizeof checksum, &checksum));
    if (!whole) LS_TRY(write_place(h, set, a, piece));
    haddr_t place = H5Dget_offset(set);
    if (place == HADDR_UNDEF) return ls__h5_failed(h, "H5Dget_offset(", __FILE__, __LINE__, __func__);
    *at = (int64_t)place;
    ls__h5_release(h, mark);
    return LS_OK;
}

static ls_status make_array(ls_h5 *h, hid_t group, const ls_state_array *a, int64_t *at)
{
    const ls_held *piece;
    ls_held        all;
    LS_CHECK(a->name[0] && !strchr(a->name, '/') && strcmp(a->name, ".") != 0 && strlen(a->name) < NAME_BYTES - 24,
             LS_ERR_USAGE,
             "a parameter named '%s' can't be kept in a checkpoint" LS_HINT
             "use names without '/', of less than %d characters",
             a->name, NAME_BYTES - 24);
    int n = ls__state_pieces(a, &piece, &all);
    for (int i = 0; i < n; i++) LS_TRY(make_piece(h, group, a, &piece[i], &at[i]));
    return LS_OK;
}

/* at[i][k]: where piece k of array i begins. */
static ls_status make_file(ls_h5 *h, hid_t file, const ls_state *s, const ls_progress *progress, const int64_t part[2],
                           int64_t **at)
{
    hid_t param, state, group;
    LS_TRY(write_progress(h, file, progress, part));
    LS_TRY(make_group(h, file, "param", &param));
    LS_TRY(make_group(h, file, "state", &state));
    for (int i = 0; i < s->arrays; i++)
        if (!s->array[i].state) LS_TRY(make_array(h, param, &s->array[i], at[i]));
    for (int k = 0; k < s->states; k++) {
        int mark = ls__h5_mark(h);
        LS_CHECK(strlen(s->state_name[k]) < STATE_BYTES, LS_ERR_USAGE,
                 "the name of the optimizer's state '%s' is too long", s->state_name[k]);
        LS_TRY(make_group(h, state, s->state_name[k], &group));
        for (int i = 0; i < s->arrays; i++)
            if (s->array[i].state && strcmp(s->array[i].state, s->state_name[k]) == 0)
                LS_TRY(make_array(h, group, &s->array[i], at[i]));
        ls__h5_release(h, mark);
    }
    return LS_OK;
}

/* All of the file but the values. */
static ls_status write_skeleton(const char *path, const ls_state *s, const ls_progress *progress, const int64_t part[2],
                                int64_t **at)
{
    ls_h5 h;
    ls__h5_begin(&h, path, LS_ERR_ENV);
    hid_t how = ls__h5_keep(&h, ls__h5_access()), driver = ls__h5_keep(&h, ls__h5_driver());
    H5Pset_driver(how, driver, NULL);
    hid_t     file   = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, how);
    ls_status status = file < 0 ? ls__h5_failed(&h, "H5Fcreate", __FILE__, __LINE__, __func__)
                                : make_file(&h, file, s, progress, part, at);
    ls__h5_release(&h, 2);
    if (file >= 0 && H5Fclose(file) < 0 && status == LS_OK)
        status = ls__h5_failed(&h, "H5Fclose", __FILE__, __LINE__, __func__);
    errno = ls__h5_write_error();
    if (errno) status = LS_FAIL_ERRNO("cannot write %s", path);
    return ls__h5_end(&h, status);
}

static ls_status write_values(const char *path, int fd, const void *data, size_t bytes, int64_t at)
{
    for (const char *from = data; bytes;) {
        ssize_t n = pwrite(fd, from, bytes < (size_t)1 << 26 ? bytes : (size_t)1 << 26, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = ENOSPC;
        if (n <= 0) return LS_FAIL_ERRNO("cannot write %s", path);
        from += n;
        at += n;
        bytes -= (size_t)n;
    }
    return LS_OK;
}

static ls_status fill(const char *path, const ls_state *s, int64_t *const *at)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return LS_FAIL_ERRNO("cannot write %s", path);
    ls_status status = LS_OK;
    for (int i = 0; i < s->arrays; i++) {
        const ls_held *piece;
        ls_held        all;
        int            n = ls__state_pieces(&s->array[i], &piece, &all);
        for (int k = 0; k < n && status == LS_OK; k++)
            status = write_values(path, fd, piece[k].data, (size_t)piece[k].held * sizeof(float), at[i][k]);
    }
    if (status == LS_OK && fsync(fd) != 0) status = LS_FAIL_ERRNO("cannot write %s", path);
    if (close(fd) != 0 && status == LS_OK) status = LS_FAIL_ERRNO("cannot write %s", path);
    return status;
}

ls_status ls__part_write(const char *path, const ls_state *state, const ls_progress *progress, int part, int parts,
                         uint64_t *sum, int64_t *bytes)
{
    enum { HDF5_NEEDS = 8 << 20 }; /* for its own things: it crashes without */
    int64_t        numbers[2] = {part, parts}, pieces = 0;
    const ls_held *piece;
    ls_held        all;
    for (int i = 0; i < state->arrays; i++) pieces += ls__state_pieces(&state->array[i], &piece, &all);
    int64_t  *place      = calloc((size_t)pieces + 1, sizeof *place);
    int64_t **at         = calloc((size_t)state->arrays + 1, sizeof *at);
    void *volatile probe = malloc(HDF5_NEEDS); /* volatile: or the compiler takes both calls away */
    ls_status status =
        place && at && probe ? LS_OK : LS_FAIL(LS_ERR_ENV, "%s: no memory to write %d arrays", path, state->arrays);
    free(probe);
    for (int i = 0, n = 0; i < state->arrays && status == LS_OK; i++) {
        at[i] = place + n;
        n += ls__state_pieces(&state->array[i], &piece, &all);
    }
    if (status == LS_OK) status = write_skeleton(path, state, progress, numbers, at);
    if (status == LS_OK) status = fill(path, state, at);
    if (status == LS_OK) status = ls__file_checksum(path, sum, bytes);
    free(at);
    free(place);
    return status;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static ls_status open_part(ls_h5 *h, hid_t *file)
{
    hid_t opened;
    LS_TRY_HDF5_OPEN(h, opened, H5Fopen(h->path, H5F_ACC_RDONLY, ls__h5_keep(h, ls__h5_access())));
    *file = opened;
    return LS_OK;
}

static ls_status open_group(ls_h5 *h, hid_t where, const char *name, hid_t *group)
{
    H5L_info_t link;
    LS_CHECK(H5Lget_info(where, name, &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_HARD, LS_ERR_DATA,
             "%s: the group '%s' is missing", h->path, name);
    hid_t opened;
    LS_TRY_HDF5_OPEN(h, opened, H5Gopen2(where, name, H5P_DEFAULT));
    *group = opened;
    return LS_OK;
}

static ls_status count_links(ls_h5 *h, hid_t group, int64_t *count)
{
    H5G_info_t info;
    LS_TRY_HDF5(h, H5Gget_info(group, &info));
    *count = (int64_t)info.nlinks;
    return LS_OK;
}

/* Link i: in the order of creation where the file has it. */
static ls_status link_name(ls_h5 *h, hid_t group, int64_t i, size_t room, char *name)
{
    ssize_t length =
        H5Lget_name_by_idx(group, ".", H5_INDEX_CRT_ORDER, H5_ITER_INC, (hsize_t)i, name, room, H5P_DEFAULT);
    if (length < 0)
        length = H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, (hsize_t)i, name, room, H5P_DEFAULT);
    LS_TRY_HDF5(h, length);
    LS_CHECK((size_t)length < room, LS_ERR_DATA, "%s: a name of %zd characters", h->path, length);
    return LS_OK;
}

/* dims and first of an array that is cut; without them the file has all of it. */
static ls_status read_place(ls_h5 *h, hid_t set, ls_piece *p)
{
    hsize_t n;
    if (H5Aexists(set, "dims") <= 0) return LS_OK;
    LS_TRY(read_attribute(h, set, "first", INT64, sizeof p->first, &p->first));
    hid_t dims;
    LS_TRY_HDF5_OPEN(h, dims, H5Aopen(set, "dims", H5P_DEFAULT));
    hid_t type;
    LS_TRY_HDF5_OPEN(h, type, H5Aget_type(dims));
    hid_t space;
    LS_TRY_HDF5_OPEN(h, space, H5Aget_space(dims));
    bool good = p->rank == 1 && H5Tequal(type, H5T_STD_I64LE) > 0 && H5Sget_simple_extent_ndims(space) == 1 &&
                H5Sget_simple_extent_dims(space, &n, NULL) == 1 && n >= 1 && n <= LS_MAX_DIMS;
    LS_CHECK(good, LS_ERR_DATA, "%s: the piece of the array '%s' does not say of what it is one", h->path, p->name);
    p->rank = (int)n;
    LS_TRY_HDF5(h, H5Aread(dims, H5T_NATIVE_INT64, p->dim));
    char first[32], *name_end = strrchr(p->name, '@');
    snprintf(first, sizeof first, "@%" PRId64, p->first);
    LS_CHECK(name_end && strcmp(name_end, first) == 0, LS_ERR_DATA, "%s: the piece '%s' begins at %" PRId64, h->path,
             p->name, p->first);
    *name_end = 0; /* from here on it goes by the array's name */
    return LS_OK;
}

/* Shape and number of elements, of the file's data set and of the whole array. */
static ls_status check_shape(ls_h5 *h, hid_t set, hid_t space, ls_piece *p)
{
    hsize_t extent[H5S_MAX_RANK];
    H5S_class_t class = H5Sget_simple_extent_type(space);
    p->rank           = H5Sget_simple_extent_dims(space, extent, NULL);
    LS_CHECK((class == H5S_SIMPLE || class == H5S_SCALAR) && p->rank >= 0, LS_ERR_DATA,
             "%s: the array '%s' has no shape", h->path, p->name);
    LS_CHECK(p->rank <= LS_MAX_DIMS, LS_ERR_DATA, "%s: the array '%s' has %d dims; at most %d are read", h->path,
             p->name, p->rank, LS_MAX_DIMS);
    p->held = p->count = 1;
    for (int d = 0; d < p->rank; d++) {
        p->dim[d] = (int64_t)extent[d];
        LS_CHECK(p->dim[d] >= 0 && !__builtin_mul_overflow(p->held, p->dim[d], &p->held), LS_ERR_DATA,
                 "%s: the array '%s' is too large", h->path, p->name);
    }
    LS_TRY(read_place(h, set, p));
    for (int d = 0; d < p->rank; d++)
        LS_CHECK(p->dim[d] >= 0 && !__builtin_mul_overflow(p->count, p->dim[d], &p->count) && p->count <= INT64_MAX / 8,
                 LS_ERR_DATA, "%s: the array '%s' is too large", h->path, p->name);
    LS_CHECK(p->first >= 0 && p->first <= p->count && p->held <= p->count - p->first, LS_ERR_DATA,
             "%s: the array '%s' has %" PRId64 " elements, and the piece is %" PRId64 " from %" PRId64 " on", h->path,
             p->name, p->count, p->held, p->first);
    return LS_OK;
}

/* What the file says of an array, checked as far as that goes without the model and the other files. */
static ls_status look_at(ls_h5 *h, hid_t group, int64_t file_bytes, ls_piece *p)
{
    H5L_info_t link;
    LS_CHECK(H5Lget_info(group, p->name, &link, H5P_DEFAULT) >= 0, LS_ERR_DATA, "%s: the array '%s' is missing",
             h->path, p->name);
    LS_CHECK(link.type == H5L_TYPE_HARD, LS_ERR_DATA,
             "%s: '%s' is a link to somewhere else, which a checkpoint has none of", h->path, p->name);
    hid_t set;
    LS_TRY_HDF5_OPEN(h, set, H5Dopen2(group, p->name, H5P_DEFAULT));
    hid_t type;
    LS_TRY_HDF5_OPEN(h, type, H5Dget_type(set));
    hid_t space;
    LS_TRY_HDF5_OPEN(h, space, H5Dget_space(set));
    hid_t how;
    LS_TRY_HDF5_OPEN(h, how, H5Dget_create_plist(set));
    LS_CHECK(H5Tequal(type, H5T_IEEE_F32LE) > 0, LS_ERR_DATA, "%s: the array '%s' is not of type float32", h->path,
             p->name);
    LS_CHECK(H5Pget_layout(how) == H5D_CONTIGUOUS && H5Pget_external_count(how) == 0, LS_ERR_DATA,
             "%s: the array '%s' is not stored in one piece in this file", h->path, p->name);
    LS_TRY(check_shape(h, set, space, p));
    LS_TRY(read_attribute(h, set, "xxh64", UINT64, sizeof p->sum, &p->sum));
    haddr_t at = H5Dget_offset(set);
    bool    in = at != HADDR_UNDEF && at <= (haddr_t)file_bytes &&
              (haddr_t)p->held * sizeof(float) <= (haddr_t)file_bytes - at &&
              H5Dget_storage_size(set) == (hsize_t)p->held * sizeof(float);
    LS_CHECK(in, LS_ERR_DATA, "%s: the array '%s' is not all there", h->path, p->name);
    p->at = (int64_t)at;
    return LS_OK;
}

static ls_status add_piece(ls_index *x, const ls_piece *p)
{
    if (!(x->pieces & (x->pieces - 1))) { /* room for a power of two */
        ls_piece *more = realloc(x->piece, sizeof *more * (size_t)(x->pieces ? 2 * x->pieces : 1));
        LS_CHECK(more, LS_ERR_ENV, "no memory for a table of %d arrays", x->pieces);
        x->piece = more;
    }
    x->piece[x->pieces++] = *p;
    return LS_OK;
}

/* The arrays of one group ("param", or a state of the optimizer). */
static ls_status index_group(ls_h5 *h, ls_index *x, hid_t group, int state, int part, int64_t file_bytes)
{
    int64_t links = 0;
    LS_TRY(count_links(h, group, &links));
    for (int64_t i = 0; i < links; i++) {
        int      mark = ls__h5_mark(h);
        ls_piece p    = {.part = part, .state_no = state};
        if (state >= 0) memcpy(p.state, x->state[state], sizeof p.state);
        LS_TRY(link_name(h, group, i, sizeof p.name, p.name));
        LS_TRY(look_at(h, group, file_bytes, &p));
        LS_TRY(add_piece(x, &p));
        ls__h5_release(h, mark);
    }
    return LS_OK;
}

static ls_status find_state(ls_index *x, const char *name, int *found)
{
    for (*found = 0; *found < x->states; ++*found)
        if (strcmp(x->state[*found], name) == 0) return LS_OK;
    char(*more)[STATE_BYTES] = realloc(x->state, sizeof *more * (size_t)(x->states + 1));
    LS_CHECK(more, LS_ERR_ENV, "no memory for %d states of the optimizer", x->states);
    x->state = more;
    snprintf(x->state[x->states++], STATE_BYTES, "%s", name);
    return LS_OK;
}

static ls_status index_file(ls_h5 *h, ls_index *x, int part, int64_t file_bytes)
{
    hid_t       file  = -1, param, state, group;
    int64_t     links = 0, number[2];
    char        name[STATE_BYTES];
    ls_progress progress;
    LS_TRY(open_part(h, &file));
    LS_TRY(read_progress(h, file, &progress, number));
    if (!x->parts) { /* only the progress is wanted */
        x->progress = progress;
        return LS_OK;
    }
    LS_CHECK(number[0] == part && number[1] == x->parts, LS_ERR_DATA,
             "%s: expected file %d of %d files, found %" PRId64 " of %" PRId64, h->path, part, x->parts, number[0],
             number[1]);
    if (part == 0) x->progress = progress;
    LS_CHECK(progress_checksum(&progress) == progress_checksum(&x->progress), LS_ERR_DATA,
             "%s: it is of another checkpoint than the first file", h->path);
    LS_TRY(open_group(h, file, "param", &param));
    LS_TRY(index_group(h, x, param, -1, part, file_bytes));
    LS_TRY(open_group(h, file, "state", &state));
    LS_TRY(count_links(h, state, &links));
    for (int64_t i = 0; i < links; i++) {
        int mark = ls__h5_mark(h), k;
        LS_TRY(link_name(h, state, i, sizeof name, name));
        LS_TRY(find_state(x, name, &k));
        LS_TRY(open_group(h, state, name, &group));
        LS_TRY(index_group(h, x, group, k, part, file_bytes));
        ls__h5_release(h, mark);
    }
    return LS_OK;
}

ls_status ls__part_index(ls_index *x, int part)
{
    ls_h5       h;
    char        path[LS_PATH_BYTES], name[LS_PART_NAME];
    struct stat info;
    ls__part_name(name, part);
    LS_TRY(ls__path(path, "%s/%s", x->path, name));
    if (stat(path, &info) != 0) return LS_FAIL_ERRNO("cannot read %s", path);
    ls__h5_begin(&h, path, LS_ERR_DATA);
    LS_TRY(ls__h5_end(&h, index_file(&h, x, part, info.st_size)));
    return LS_OK;
}
