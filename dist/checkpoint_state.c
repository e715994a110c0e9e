/* SPDX-License-Identifier: Apache-2.0
 *
 * One state.h5:
 *
 *     /                         attributes: format, format_version, version; the progress; progress_xxh64
 *     /param/NAME               float32, little endian, contiguous; attribute xxh64
 *     /state/exp_avg/NAME       the same, for each state of the optimizer
 *
 * xxh64 is the XXH64 of the bytes, with the XXH64 of the text "param/NAME" or "exp_avg/NAME" as its seed, so that an array is
 * not taken for another.
 *
 * Read, nothing is taken on trust: a link must be a hard one (an external link would open another file), a data set
 * contiguous and in this file, and its type, shape, size and checksum must be what is expected.
 */
#include <errno.h>
#include <hdf5.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "dist/checkpoint.h"
#include "dist/checkpoint_driver.h"

enum { MAX_IDS = 24, NAME_BYTES = 512 };

/* ---- handles ------------------------------------------------------------------------------------------------------- */

/* An open file and what has been opened in it, closed in reverse. */
typedef struct h5 {
    const char *path;
    hid_t       id[MAX_IDS];
    int         ids;
    H5E_auto2_t print; /* of the caller: HDF5 prints its errors unless told not to */
    void       *print_data;
} h5;

static hid_t keep(h5 *h, hid_t id)
{
    if (id < 0) return id;
    if (h->ids == MAX_IDS) { /* never: nesting is bounded */
        H5Idec_ref(id);
        return -1;
    }
    return h->id[h->ids++] = id;
}

static void release(h5 *h, int down_to)
{
    while (h->ids > down_to) H5Idec_ref(h->id[--h->ids]);
}

static void start(h5 *h, const char *path)
{
    *h = (h5){.path = path};
    H5Eget_auto2(H5E_DEFAULT, &h->print, &h->print_data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static ls_status finish(h5 *h, ls_status status)
{
    release(h, 0);
    H5Eset_auto2(H5E_DEFAULT, h->print, h->print_data);
    return status;
}

typedef struct cause {
    int  code; /* errno, 0: none */
    char text[256];
} cause;

/* The innermost error says most; one with an errno even more. */
static herr_t find_cause(unsigned n, const H5E_error2_t *error, void *context)
{
    cause      *c  = context;
    const char *at = error->desc ? strstr(error->desc, "errno = ") : NULL;
    if (at && !c->code) c->code = atoi(at + 8);
    if (n == 0 && error->desc) snprintf(c->text, sizeof c->text, "%s", error->desc);
    return 0;
}

static ls_status hdf5_fail(const h5 *h, ls_status status, const char *call, const char *file, int line, const char *func)
{
    cause c = {0};
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, find_cause, &c);
    if (c.code) return ls__fail(LS_ERR_ENV, file, line, func, "%s: %s%s", h->path, strerror(c.code), ls__errno_hint(c.code));
    return ls__fail(status, file, line, func, "%s: %.*s failed: %s", h->path, (int)strcspn(call, "("), call, c.text);
}

#define HDF5_FAIL(h, status, call) hdf5_fail((h), (status), (call), __FILE__, __LINE__, __func__)

/* A call that gives a number, negative after an error; and one that gives a handle, which is kept. */
#define LS_TRY_HDF5(h, status, call)                                                                                                       \
    do {                                                                                                                                   \
        if ((call) < 0) return HDF5_FAIL((h), (status), #call);                                                                            \
    } while (0)
#define OPEN(id, h, status, call)                                                                                                          \
    hid_t id = keep((h), (call));                                                                                                          \
    if (id < 0) return HDF5_FAIL((h), (status), #call)

/* ---- the progress, as attributes ----------------------------------------------------------------------------------- */

typedef enum field_kind { INT64, UINT64, TEXT } field_kind;

static const struct field {
    const char *name;
    field_kind  kind;
    size_t      offset, bytes;
} fields[] = {
#define FIELD(kind, name) {#name, kind, offsetof(ls_progress, name), sizeof((ls_progress){0}.name)}
    FIELD(INT64, step),       FIELD(INT64, epoch), FIELD(INT64, sample),  FIELD(UINT64, seed),
    FIELD(TEXT, recipe_hash), FIELD(TEXT, isa),    FIELD(UINT64, digest),
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
            used += (size_t)snprintf(text + used, sizeof text - used, "%s=%" PRIx64 "\n", fields[i].name, *(const uint64_t *)at);
    }
    return XXH64(text, used, 0);
}

static hid_t memory_type(h5 *h, field_kind kind, size_t bytes)
{
    if (kind == INT64) return H5T_NATIVE_INT64;
    if (kind == UINT64) return H5T_NATIVE_UINT64;
    hid_t type = keep(h, H5Tcopy(H5T_C_S1));
    if (type >= 0) H5Tset_size(type, bytes);
    return type;
}

static ls_status write_attribute(h5 *h, hid_t where, const char *name, field_kind kind, size_t bytes, const void *value)
{
    int   mark = h->ids;
    hid_t type = memory_type(h, kind, bytes);
    OPEN(space, h, LS_ERR_ENV, H5Screate(H5S_SCALAR));
    OPEN(attribute, h, LS_ERR_ENV, H5Acreate2(where, name, type, space, H5P_DEFAULT, H5P_DEFAULT));
    LS_TRY_HDF5(h, LS_ERR_ENV, H5Awrite(attribute, type, value));
    release(h, mark);
    return LS_OK;
}

static ls_status read_attribute(h5 *h, hid_t where, const char *name, field_kind kind, size_t bytes, void *value)
{
    int mark = h->ids;
    LS_CHECK(H5Aexists(where, name) > 0, LS_ERR_DATA, "%s: the attribute '%s' is missing", h->path, name);
    OPEN(attribute, h, LS_ERR_DATA, H5Aopen(where, name, H5P_DEFAULT));
    OPEN(type, h, LS_ERR_DATA, H5Aget_type(attribute));
    OPEN(space, h, LS_ERR_DATA, H5Aget_space(attribute));
    bool good = H5Tget_class(type) == (kind == TEXT ? H5T_STRING : H5T_INTEGER) && H5Tis_variable_str(type) <= 0 &&
                H5Tget_size(type) <= bytes && H5Sget_simple_extent_type(space) != H5S_NULL && H5Sget_simple_extent_npoints(space) == 1;
    LS_CHECK(good, LS_ERR_DATA, "%s: the attribute '%s' is not %s", h->path, name, kind == TEXT ? "a short text" : "a whole number");
    LS_TRY_HDF5(h, LS_ERR_DATA, H5Aread(attribute, memory_type(h, kind, bytes), value));
    if (kind == TEXT) ((char *)value)[bytes - 1] = 0;
    release(h, mark);
    return LS_OK;
}

static ls_status write_progress(h5 *h, hid_t file, const ls_progress *p)
{
    static const char format[] = "lockstep checkpoint";
    int64_t           version  = LS_CHECKPOINT_FORMAT;
    uint64_t          checksum = progress_checksum(p);
    LS_TRY(write_attribute(h, file, "format", TEXT, sizeof format, format));
    LS_TRY(write_attribute(h, file, "format_version", INT64, sizeof version, &version));
    LS_TRY(write_attribute(h, file, "version", TEXT, sizeof LS_VERSION, LS_VERSION));
    for (int i = 0; i < FIELDS; i++)
        LS_TRY(write_attribute(h, file, fields[i].name, fields[i].kind, fields[i].bytes, (const char *)p + fields[i].offset));
    LS_TRY(write_attribute(h, file, "progress_xxh64", UINT64, sizeof checksum, &checksum));
    return LS_OK;
}

static ls_status read_progress(h5 *h, hid_t file, ls_progress *p)
{
    char     format[32] = "";
    int64_t  version    = 0;
    uint64_t checksum   = 0;
    *p                  = (ls_progress){0};
    LS_TRY(read_attribute(h, file, "format", TEXT, sizeof format, format));
    LS_CHECK(strcmp(format, "lockstep checkpoint") == 0, LS_ERR_DATA, "%s: expected a checkpoint, found '%s'", h->path, format);
    LS_TRY(read_attribute(h, file, "format_version", INT64, sizeof version, &version));
    LS_CHECK(version == LS_CHECKPOINT_FORMAT, LS_ERR_USAGE,
             "%s: expected format version %d, found %" PRId64 LS_HINT "it was written by another version of the program: use that one",
             h->path, LS_CHECKPOINT_FORMAT, version);
    for (int i = 0; i < FIELDS; i++)
        LS_TRY(read_attribute(h, file, fields[i].name, fields[i].kind, fields[i].bytes, (char *)p + fields[i].offset));
    LS_TRY(read_attribute(h, file, "progress_xxh64", UINT64, sizeof checksum, &checksum));
    LS_CHECK(checksum == progress_checksum(p), LS_ERR_DATA, "%s: the progress does not fit its checksum", h->path);
    LS_CHECK(p->step >= 0 && p->epoch >= 0 && p->sample >= 0, LS_ERR_DATA, "%s: a negative step, epoch or sample", h->path);
    return LS_OK;
}

static uint64_t array_checksum(const char *state, const char *name, int64_t count, const float *data)
{
    char   path[2 * NAME_BYTES];
    size_t length = (size_t)snprintf(path, sizeof path, "%s/%s", state ? state : "param", name);
    return XXH64(data, (size_t)count * sizeof *data, XXH64(path, length < sizeof path ? length : sizeof path - 1, 0));
}

/* ---- writing ------------------------------------------------------------------------------------------------------- */

/* Links in the order in which they were made, and no times: equal states are equal files. */
static ls_status make_group(h5 *h, hid_t file, const char *name, hid_t *group)
{
    OPEN(how, h, LS_ERR_ENV, H5Pcreate(H5P_GROUP_CREATE));
    H5Pset_link_creation_order(how, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    H5Pset_obj_track_times(how, false);
    OPEN(made, h, LS_ERR_ENV, H5Gcreate2(file, name, H5P_DEFAULT, how, H5P_DEFAULT));
    *group = made;
    return LS_OK;
}

static ls_status write_array(h5 *h, hid_t group, const ls_state_array *a)
{
    int     mark = h->ids;
    hsize_t dims[LS_MAX_DIMS];
    LS_CHECK(a->name[0] && !strchr(a->name, '/') && strcmp(a->name, ".") != 0 && strlen(a->name) < NAME_BYTES, LS_ERR_USAGE,
             "a parameter named '%s' can't be kept in a checkpoint" LS_HINT "use names without '/', of less than %d characters", a->name,
             NAME_BYTES);
    for (int d = 0; d < a->rank; d++) dims[d] = (hsize_t)a->dims[d];
    uint64_t checksum = array_checksum(a->state, a->name, a->count, a->data);
    OPEN(space, h, LS_ERR_ENV, a->rank ? H5Screate_simple(a->rank, dims, NULL) : H5Screate(H5S_SCALAR));
    OPEN(how, h, LS_ERR_ENV, H5Pcreate(H5P_DATASET_CREATE));
    H5Pset_layout(how, H5D_CONTIGUOUS);
    H5Pset_fill_time(how, H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(how, false);
    OPEN(set, h, LS_ERR_ENV, H5Dcreate2(group, a->name, H5T_IEEE_F32LE, space, H5P_DEFAULT, how, H5P_DEFAULT));
    LS_TRY_HDF5(h, LS_ERR_ENV, H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, a->data));
    LS_CHECK(!ls__hdf5_write_error(), LS_ERR_ENV, "cannot write %s", h->path); /* no need to go on */
    LS_TRY(write_attribute(h, set, "xxh64", UINT64, sizeof checksum, &checksum));
    release(h, mark);
    return LS_OK;
}

/* No file locks: some network file systems have none, and each file has one writer. */
static hid_t access_list(h5 *h)
{
    hid_t how = keep(h, H5Pcreate(H5P_FILE_ACCESS));
    H5Pset_file_locking(how, false, true);
    H5Pset_fclose_degree(how, H5F_CLOSE_STRONG);
    return how;
}

static ls_status write_file(h5 *h, hid_t file, const ls_state *s, const ls_progress *progress)
{
    hid_t param, state, group;
    LS_TRY(write_progress(h, file, progress));
    LS_TRY(make_group(h, file, "param", &param));
    LS_TRY(make_group(h, file, "state", &state));
    for (int i = 0; i < s->arrays; i++)
        if (!s->array[i].state) LS_TRY(write_array(h, param, &s->array[i]));
    for (int k = 0; k < s->states; k++) {
        int mark = h->ids;
        LS_TRY(make_group(h, state, s->state_name[k], &group));
        for (int i = 0; i < s->arrays; i++)
            if (s->array[i].state && strcmp(s->array[i].state, s->state_name[k]) == 0) LS_TRY(write_array(h, group, &s->array[i]));
        release(h, mark);
    }
    return LS_OK;
}

ls_status ls__state_write(const char *path, const ls_state *state, const ls_progress *progress)
{
    h5 h;
    start(&h, path);
    hid_t how = access_list(&h), driver = keep(&h, ls__hdf5_driver());
    H5Pset_driver(how, driver, NULL);
    hid_t     file   = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, how);
    ls_status status = file < 0 ? HDF5_FAIL(&h, LS_ERR_ENV, "H5Fcreate") : write_file(&h, file, state, progress);
    release(&h, 2);
    if (file >= 0 && H5Fclose(file) < 0 && status == LS_OK) status = HDF5_FAIL(&h, LS_ERR_ENV, "H5Fclose");
    errno = ls__hdf5_write_error();
    if (errno) status = LS_FAIL_ERRNO("cannot write %s", path);
    LS_TRY(finish(&h, status));
    return LS_OK;
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static ls_status open_state(h5 *h, hid_t *file)
{
    OPEN(opened, h, LS_ERR_DATA, H5Fopen(h->path, H5F_ACC_RDONLY, access_list(h)));
    *file = opened;
    return LS_OK;
}

static ls_status open_group(h5 *h, hid_t where, const char *name, hid_t *group)
{
    H5L_info_t link;
    LS_CHECK(H5Lget_info(where, name, &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_HARD, LS_ERR_DATA, "%s: the group '%s' is missing",
             h->path, name);
    OPEN(opened, h, LS_ERR_DATA, H5Gopen2(where, name, H5P_DEFAULT));
    *group = opened;
    return LS_OK;
}

static ls_status count_links(h5 *h, hid_t group, int64_t *count)
{
    H5G_info_t info;
    LS_TRY_HDF5(h, LS_ERR_DATA, H5Gget_info(group, &info));
    *count = (int64_t)info.nlinks;
    return LS_OK;
}

/* Link i: in the order of creation where the file has it. */
static ls_status link_name(h5 *h, hid_t group, int64_t i, char name[NAME_BYTES])
{
    ssize_t length = H5Lget_name_by_idx(group, ".", H5_INDEX_CRT_ORDER, H5_ITER_INC, (hsize_t)i, name, NAME_BYTES, H5P_DEFAULT);
    if (length < 0) length = H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, (hsize_t)i, name, NAME_BYTES, H5P_DEFAULT);
    LS_TRY_HDF5(h, LS_ERR_DATA, length);
    LS_CHECK(length < NAME_BYTES, LS_ERR_DATA, "%s: a name of %zd characters", h->path, length);
    return LS_OK;
}

/* Opens an array and checks what does not depend on the model; *set is kept. */
static ls_status open_array(h5 *h, hid_t group, const char *name, hid_t *set, int *rank, int64_t dims[H5S_MAX_RANK], int64_t *count)
{
    H5L_info_t link;
    hsize_t    extent[H5S_MAX_RANK];
    LS_CHECK(H5Lget_info(group, name, &link, H5P_DEFAULT) >= 0, LS_ERR_DATA, "%s: the array '%s' is missing", h->path, name);
    LS_CHECK(link.type == H5L_TYPE_HARD, LS_ERR_DATA, "%s: '%s' is a link to somewhere else, which a checkpoint has none of", h->path,
             name);
    OPEN(opened, h, LS_ERR_DATA, H5Dopen2(group, name, H5P_DEFAULT));
    OPEN(type, h, LS_ERR_DATA, H5Dget_type(opened));
    OPEN(space, h, LS_ERR_DATA, H5Dget_space(opened));
    OPEN(how, h, LS_ERR_DATA, H5Dget_create_plist(opened));
    LS_CHECK(H5Tequal(type, H5T_IEEE_F32LE) > 0, LS_ERR_DATA, "%s: the array '%s' is not of type float32", h->path, name);
    LS_CHECK(H5Pget_layout(how) == H5D_CONTIGUOUS && H5Pget_external_count(how) == 0, LS_ERR_DATA,
             "%s: the array '%s' is not stored in one piece in this file", h->path, name);
    H5S_class_t class = H5Sget_simple_extent_type(space);
    *rank             = H5Sget_simple_extent_dims(space, extent, NULL);
    LS_CHECK((class == H5S_SIMPLE || class == H5S_SCALAR) && *rank >= 0, LS_ERR_DATA, "%s: the array '%s' has no shape", h->path, name);
    *count = 1;
    for (int d = 0; d < *rank; d++) {
        dims[d] = (int64_t)extent[d];
        LS_CHECK(dims[d] >= 0 && !__builtin_mul_overflow(*count, dims[d], count), LS_ERR_DATA, "%s: the array '%s' is too large", h->path,
                 name);
    }
    LS_CHECK(*count <= INT64_MAX / 4 && H5Dget_storage_size(opened) == (hsize_t)*count * sizeof(float), LS_ERR_DATA,
             "%s: the array '%s' is not all there", h->path, name);
    *set = opened;
    return LS_OK;
}

static ls_status read_array(h5 *h, hid_t set, const char *state, const char *name, int64_t count, float *data)
{
    uint64_t checksum;
    LS_TRY(read_attribute(h, set, "xxh64", UINT64, sizeof checksum, &checksum));
    LS_TRY_HDF5(h, LS_ERR_DATA, H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, data));
    uint64_t found = array_checksum(state, name, count, data);
    LS_CHECK(found == checksum, LS_ERR_DATA, "%s: the array '%s' has the checksum %016" PRIx64 ", expected %016" PRIx64, h->path, name,
             found, checksum);
    return LS_OK;
}

static void print_shape(char text[256], int rank, const int64_t *dims)
{
    size_t used = (size_t)snprintf(text, 256, rank ? "" : "a scalar");
    for (int i = 0; i < rank && used < 230; i++) used += (size_t)snprintf(text + used, 256 - used, "%s%" PRId64, i ? " x " : "", dims[i]);
}

#define HINT_OTHER LS_HINT "it is of another model or optimizer: use the recipe it was made with, another run.dir, or --fresh to start over"

static ls_status read_expected(h5 *h, hid_t group, const ls_state_array *a)
{
    int     mark = h->ids, rank;
    int64_t dims[H5S_MAX_RANK], count;
    char    its[256], ours[256];
    hid_t   set;
    LS_CHECK(H5Lexists(group, a->name, H5P_DEFAULT) > 0, LS_ERR_USAGE,
             "%s: the model's parameter '%s' is not in the checkpoint%s%s" HINT_OTHER, h->path, a->name,
             a->state ? " with the optimizer's " : "", a->state ? a->state : "");
    LS_TRY(open_array(h, group, a->name, &set, &rank, dims, &count));
    bool equal = rank == a->rank;
    for (int d = 0; d < rank && equal; d++) equal = dims[d] == a->dims[d];
    print_shape(its, rank, dims);
    print_shape(ours, a->rank, a->dims);
    LS_CHECK(equal && count == a->count, LS_ERR_USAGE, "%s: the parameter '%s' is %s in the checkpoint and %s in the model" HINT_OTHER,
             h->path, a->name, its, ours);
    LS_TRY(read_array(h, set, a->state, a->name, count, a->data));
    release(h, mark);
    return LS_OK;
}

/* All arrays of one group ("param", or a state of the optimizer), and that it has no others. */
static ls_status read_group(h5 *h, hid_t group, const ls_state *s, const char *state)
{
    int64_t expected = 0, links = 0;
    for (int i = 0; i < s->arrays; i++) {
        const ls_state_array *a = &s->array[i];
        if (a->state != state && (!a->state || !state || strcmp(a->state, state) != 0)) continue;
        LS_TRY(read_expected(h, group, a));
        expected++;
    }
    LS_TRY(count_links(h, group, &links));
    LS_CHECK(links == expected, LS_ERR_USAGE, "%s: %" PRId64 " parameters in the checkpoint, %" PRId64 " in the model" HINT_OTHER, h->path,
             links, expected);
    return LS_OK;
}

static ls_status read_all(h5 *h, const ls_state *s, ls_progress *progress)
{
    hid_t   file, param, state, group;
    int64_t links = 0;
    LS_TRY(open_state(h, &file));
    LS_TRY(read_progress(h, file, progress));
    LS_TRY(open_group(h, file, "param", &param));
    LS_TRY(open_group(h, file, "state", &state));
    LS_TRY(read_group(h, param, s, NULL));
    LS_TRY(count_links(h, state, &links));
    for (int k = 0; k < s->states; k++) {
        int mark = h->ids;
        LS_CHECK(H5Lexists(state, s->state_name[k], H5P_DEFAULT) > 0, LS_ERR_USAGE,
                 "%s: the optimizer's '%s' is not in the checkpoint" HINT_OTHER, h->path, s->state_name[k]);
        LS_TRY(open_group(h, state, s->state_name[k], &group));
        LS_TRY(read_group(h, group, s, s->state_name[k]));
        release(h, mark);
    }
    LS_CHECK(links == s->states, LS_ERR_USAGE,
             "%s: %" PRId64 " states of the optimizer in the checkpoint, this optimizer has %d" HINT_OTHER, h->path, links, s->states);
    return LS_OK;
}

ls_status ls__state_read(const char *path, const ls_state *state, ls_progress *progress)
{
    h5 h;
    start(&h, path);
    LS_TRY(finish(&h, read_all(&h, state, progress)));
    return LS_OK;
}

/* ---- looking ------------------------------------------------------------------------------------------------------- */

static ls_status look(h5 *h, ls_checkpoint_info *info)
{
    hid_t   file, group;
    int64_t params = 0, states = 0;
    LS_TRY(open_state(h, &file));
    LS_TRY(read_progress(h, file, &info->progress));
    LS_TRY(open_group(h, file, "param", &group));
    LS_TRY(count_links(h, group, &params));
    LS_TRY(open_group(h, file, "state", &group));
    LS_TRY(count_links(h, group, &states));
    info->params = (int)params;
    info->states = (int)states;
    return LS_OK;
}

ls_status ls__state_progress(const char *path, ls_checkpoint_info *info)
{
    h5 h;
    start(&h, path);
    LS_TRY(finish(&h, look(&h, info)));
    return LS_OK;
}

static ls_status visit_array(h5 *h, hid_t group, const char *name, const char *what, ls_checkpoint_each *each, void *data)
{
    int                 mark = h->ids;
    int64_t             dims[H5S_MAX_RANK];
    ls_checkpoint_array a = {.param = name, .what = what};
    hid_t               set;
    LS_TRY(open_array(h, group, name, &set, &a.rank, dims, &a.count));
    LS_CHECK(a.rank <= LS_MAX_DIMS, LS_ERR_DATA, "%s: the array '%s' has %d dims; at most %d are read", h->path, name, a.rank, LS_MAX_DIMS);
    for (int d = 0; d < a.rank; d++) a.dim[d] = dims[d];
    float *values = malloc((size_t)a.count * sizeof *values + 1);
    LS_CHECK(values, LS_ERR_ENV, "%s: no memory for the array '%s' of %" PRId64 " numbers", h->path, name, a.count);
    ls_status status = read_array(h, set, strcmp(what, "value") == 0 ? NULL : what, name, a.count, values);
    a.values         = values;
    if (status == LS_OK && each) each(&a, data);
    free(values);
    LS_TRY(status);
    release(h, mark);
    return LS_OK;
}

static ls_status visit_group(h5 *h, hid_t where, const char *name, const char *what, ls_checkpoint_each *each, void *data)
{
    int     mark = h->ids;
    hid_t   group;
    int64_t links = 0;
    char    array[NAME_BYTES];
    LS_TRY(open_group(h, where, name, &group));
    LS_TRY(count_links(h, group, &links));
    for (int64_t i = 0; i < links; i++) {
        LS_TRY(link_name(h, group, i, array));
        LS_TRY(visit_array(h, group, array, what, each, data));
    }
    release(h, mark);
    return LS_OK;
}

static ls_status visit_all(h5 *h, ls_checkpoint_each *each, void *data)
{
    ls_progress progress;
    hid_t       file, states;
    int64_t     links = 0;
    char        name[NAME_BYTES];
    LS_TRY(open_state(h, &file));
    LS_TRY(read_progress(h, file, &progress));
    LS_TRY(visit_group(h, file, "param", "value", each, data));
    LS_TRY(open_group(h, file, "state", &states));
    LS_TRY(count_links(h, states, &links));
    for (int64_t i = 0; i < links; i++) {
        LS_TRY(link_name(h, states, i, name));
        LS_TRY(visit_group(h, states, name, name, each, data));
    }
    return LS_OK;
}

ls_status ls__state_visit(const char *path, ls_checkpoint_each *each, void *data)
{
    h5 h;
    start(&h, path);
    LS_TRY(finish(&h, visit_all(&h, each, data)));
    return LS_OK;
}
