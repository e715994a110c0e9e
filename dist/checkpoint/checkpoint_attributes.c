/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements dist/checkpoint/checkpoint_attributes.h: scalar attributes, and the progress of the run.
 */
#include "dist/checkpoint/checkpoint_attributes.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* ---- one attribute ----------------------------------------------------------------------------------------------- */

static hid_t memory_type(ls_h5 *h, ls_attribute_kind kind, size_t bytes)
{
    if (kind == LS_ATTRIBUTE_INT64) return H5T_NATIVE_INT64;
    if (kind == LS_ATTRIBUTE_UINT64) return H5T_NATIVE_UINT64;
    if (kind == LS_ATTRIBUTE_DOUBLE) return H5T_NATIVE_DOUBLE;
    hid_t type = ls__h5_keep(h, H5Tcopy(H5T_C_S1));
    if (type >= 0) H5Tset_size(type, bytes);
    return type;
}

ls_status ls__attribute_write(ls_h5 *h, hid_t object, const char *name, ls_attribute_kind kind, size_t bytes,
                              const void *value)
{
    int   mark = ls__h5_mark(h);
    hid_t type = memory_type(h, kind, bytes), space, attribute;
    LS_TRY_HDF5_OPEN(h, space, H5Screate(H5S_SCALAR));
    LS_TRY_HDF5_OPEN(h, attribute, H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT));
    LS_TRY_HDF5(h, H5Awrite(attribute, type, value));
    ls__h5_release(h, mark);
    return LS_OK;
}

ls_status ls__attribute_read(ls_h5 *h, hid_t object, const char *name, ls_attribute_kind kind, size_t bytes,
                             void *value)
{
    static const struct {
        H5T_class_t type;
        const char *text;
    } expected[] = {[LS_ATTRIBUTE_INT64]  = {H5T_INTEGER, "an integer"},
                    [LS_ATTRIBUTE_UINT64] = {H5T_INTEGER, "an integer"},
                    [LS_ATTRIBUTE_DOUBLE] = {H5T_FLOAT, "a number"},
                    [LS_ATTRIBUTE_TEXT]   = {H5T_STRING, "a short text"}};
    int   mark   = ls__h5_mark(h);
    hid_t attribute, type, space;
    LS_CHECK(H5Aexists(object, name) > 0, LS_ERR_DATA, "%s: the attribute '%s' is missing", h->path, name);
    LS_TRY_HDF5_OPEN(h, attribute, H5Aopen(object, name, H5P_DEFAULT));
    LS_TRY_HDF5_OPEN(h, type, H5Aget_type(attribute));
    LS_TRY_HDF5_OPEN(h, space, H5Aget_space(attribute));
    bool fits = H5Tget_class(type) == expected[kind].type && H5Tis_variable_str(type) <= 0 &&
                H5Tget_size(type) <= bytes && H5Sget_simple_extent_type(space) != H5S_NULL &&
                H5Sget_simple_extent_npoints(space) == 1;
    LS_CHECK(fits, LS_ERR_DATA, "%s: the attribute '%s' is not %s", h->path, name, expected[kind].text);
    LS_TRY_HDF5(h, H5Aread(attribute, memory_type(h, kind, bytes), value));
    if (kind == LS_ATTRIBUTE_TEXT) ((char *)value)[bytes - 1] = 0;
    ls__h5_release(h, mark);
    return LS_OK;
}

/* ---- the progress ------------------------------------------------------------------------------------------------ */

#define FIELD(name) #name, offsetof(ls_progress, name), sizeof((ls_progress){0}.name)
static const struct field {
    ls_attribute_kind kind;
    const char       *name;
    size_t            offset, bytes;
} fields[] = {
    {LS_ATTRIBUTE_INT64, FIELD(step)},    {LS_ATTRIBUTE_INT64, FIELD(epoch)},      {LS_ATTRIBUTE_INT64, FIELD(sample)},
    {LS_ATTRIBUTE_UINT64, FIELD(seed)},   {LS_ATTRIBUTE_TEXT, FIELD(recipe_hash)}, {LS_ATTRIBUTE_TEXT, FIELD(isa)},
    {LS_ATTRIBUTE_UINT64, FIELD(digest)}, {LS_ATTRIBUTE_DOUBLE, FIELD(loss)},
};
enum { FIELDS = sizeof fields / sizeof *fields };

uint64_t ls__progress_checksum(const ls_progress *p)
{
    char   text[512];
    size_t used = 0;
    for (int i = 0; i < FIELDS; i++) {
        const char *at = (const char *)p + fields[i].offset;
        if (fields[i].kind == LS_ATTRIBUTE_TEXT)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s=%s\n", fields[i].name, at);
        else
            used += (size_t)snprintf(text + used, sizeof text - used, "%s=%" PRIx64 "\n", fields[i].name,
                                     *(const uint64_t *)at);
    }
    return XXH64(text, used, 0);
}

ls_status ls__progress_write(ls_h5 *h, hid_t root, const ls_progress *p, int64_t file, int64_t files)
{
    static const char format[] = "lockstep checkpoint";
    int64_t           version  = LS_CHECKPOINT_FORMAT;
    uint64_t          checksum = ls__progress_checksum(p);
    LS_TRY(ls__attribute_write(h, root, "format", LS_ATTRIBUTE_TEXT, sizeof format, format));
    LS_TRY(ls__attribute_write(h, root, "format_version", LS_ATTRIBUTE_INT64, sizeof version, &version));
    LS_TRY(ls__attribute_write(h, root, "version", LS_ATTRIBUTE_TEXT, sizeof LS_VERSION, LS_VERSION));
    LS_TRY(ls__attribute_write(h, root, "part", LS_ATTRIBUTE_INT64, sizeof file, &file));
    LS_TRY(ls__attribute_write(h, root, "parts", LS_ATTRIBUTE_INT64, sizeof files, &files));
    for (int i = 0; i < FIELDS; i++)
        LS_TRY(ls__attribute_write(h, root, fields[i].name, fields[i].kind, fields[i].bytes,
                                   (const char *)p + fields[i].offset));
    return ls__attribute_write(h, root, "progress_xxh64", LS_ATTRIBUTE_UINT64, sizeof checksum, &checksum);
}

ls_status ls__progress_read(ls_h5 *h, hid_t root, ls_progress *p, int64_t *file, int64_t *files)
{
    char     format[32] = "";
    int64_t  version    = 0;
    uint64_t checksum   = 0;
    *p                  = (ls_progress){0};
    LS_TRY(ls__attribute_read(h, root, "format", LS_ATTRIBUTE_TEXT, sizeof format, format));
    LS_CHECK(strcmp(format, "lockstep checkpoint") == 0, LS_ERR_DATA, "%s: expected a checkpoint, found '%s'", h->path,
             format);
    LS_TRY(ls__attribute_read(h, root, "format_version", LS_ATTRIBUTE_INT64, sizeof version, &version));
    LS_CHECK(version == LS_CHECKPOINT_FORMAT, LS_ERR_USAGE,
             "%s: expected format version %d, found %" PRId64 LS_HINT
             "use the version of the program that wrote the checkpoint",
             h->path, LS_CHECKPOINT_FORMAT, version);
    LS_TRY(ls__attribute_read(h, root, "part", LS_ATTRIBUTE_INT64, sizeof *file, file));
    LS_TRY(ls__attribute_read(h, root, "parts", LS_ATTRIBUTE_INT64, sizeof *files, files));
    for (int i = 0; i < FIELDS; i++)
        LS_TRY(
            ls__attribute_read(h, root, fields[i].name, fields[i].kind, fields[i].bytes, (char *)p + fields[i].offset));
    LS_TRY(ls__attribute_read(h, root, "progress_xxh64", LS_ATTRIBUTE_UINT64, sizeof checksum, &checksum));
    LS_CHECK(checksum == ls__progress_checksum(p), LS_ERR_DATA,
             "%s: the attributes of the progress (step, epoch, ...) do not match their checksum", h->path);
    LS_CHECK(p->step >= 0 && p->epoch >= 0 && p->sample >= 0, LS_ERR_DATA,
             "%s: expected a step, an epoch and a sample of at least 0, found %" PRId64 ", %" PRId64 " and %" PRId64,
             h->path, p->step, p->epoch, p->sample);
    return LS_OK;
}
