/* SPDX-License-Identifier: Apache-2.0

 * Implements core/io/hdf5.h: reads types, shapes, storage and attributes of HDF5 files that are not trusted.
 */
#include "core/io/hdf5.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/io/hdf5_heap.h"

#define MAX_CHUNK_BYTES ((int64_t)256 << 20) /* HDF5 holds a whole chunk in memory */

hid_t ls__h5_access(void)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(access, false, true);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    return access;
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static bool fill_shape(hid_t type, hid_t space, ls_h5_shape *s)
{
    *s      = (ls_h5_shape){.type = H5Tget_class(type), .size = H5Tget_size(type), .rank = -1};
    bool ok = s->type != H5T_NO_CLASS && s->size > 0;
    if (s->type == H5T_INTEGER) s->is_signed = H5Tget_sign(type) == H5T_SGN_2;
    if (s->type == H5T_STRING) s->variable = H5Tis_variable_str(type) > 0;

    H5S_class_t kind = H5Sget_simple_extent_type(space);
    if (kind == H5S_SCALAR) {
        s->rank  = 0;
        s->count = 1;
    }
    if (kind == H5S_SIMPLE) {
        hsize_t dim[H5S_MAX_RANK];
        s->rank  = H5Sget_simple_extent_dims(space, dim, NULL);
        s->count = 1;
        ok       = ok && s->rank >= 0 && s->rank <= LS_H5_DIMS;
        for (int i = 0; ok && i < s->rank; i++) {
            s->dim[i] = dim[i] > INT64_MAX ? INT64_MAX : (int64_t)dim[i];
            if (__builtin_mul_overflow(s->count, s->dim[i], &s->count)) s->count = INT64_MAX;
        }
    }
    return ok && kind != H5S_NO_CLASS;
}

/* Sets the shape from a type and a space, and closes both, also after an error. */
static bool take_shape(hid_t type, hid_t space, ls_h5_shape *s)
{
    bool ok = type >= 0 && space >= 0 && fill_shape(type, space, s);
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    return ok;
}

const char *ls__h5_type_text(const ls_h5_shape *s, char text[32])
{
    static const char *const names[H5T_NCLASSES] = {
        "int",    "float",    "time",      "string", "bit field",
        "opaque", "compound", "reference", "enum",   "variable-length sequence",
        "array"};
    const char *name = s->type >= 0 && s->type < H5T_NCLASSES ? names[s->type] : "unknown";
    if (s->type == H5T_INTEGER || s->type == H5T_FLOAT)
        snprintf(text, 32, "%s%s%zu", s->type == H5T_INTEGER && !s->is_signed ? "u" : "", name, 8 * s->size);
    else
        snprintf(text, 32, "%s", name);
    return text;
}

const char *ls__h5_dims_text(const ls_h5_shape *s, char text[128])
{
    int used = snprintf(text, 128, "%s", s->rank < 0 ? "nothing" : s->rank == 0 ? "one value" : "");
    for (int i = 0; i < s->rank && used < 100; i++)
        used += snprintf(text + used, 128 - (size_t)used, "%s%lld", i ? " x " : "", (long long)s->dim[i]);
    return text;
}

/* ---- data sets --------------------------------------------------------------------------------------------------- */

ls_status ls__h5_dataset(const char *path, hid_t file, const char *name, bool required, hid_t *set, ls_h5_shape *shape)
{
    *set = -1;
    if (H5Lexists(file, name, H5P_DEFAULT) <= 0) {
        LS_CHECK(
            !required, LS_ERR_DATA,
            "%s: has no data set /%s" LS_HINT
            "a file of Lockstep's has /image (uint8, N x C x H x W) and /label (int32, N), of text /tokens, of pairs "
            "/pair_tokens",
            path, name);
        return LS_OK;
    }
    /* A soft or external link could lead into another file, whose structure was not checked. */
    H5L_info_t link;
    LS_CHECK(H5Lget_info(file, name, &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_HARD, LS_ERR_DATA,
             "%s: /%s is a link to elsewhere; expected a data set of this file", path, name);
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_chunk_cache(access, 12421, (size_t)64 << 20, 0.75);
    hid_t opened = H5Dopen2(file, name, access);
    H5Pclose(access);
    LS_CHECK(opened >= 0, LS_ERR_DATA, "%s: /%s: expected a data set: %s", path, name, ls__h5_reason());
    if (!take_shape(H5Dget_type(opened), H5Dget_space(opened), shape)) {
        H5Dclose(opened);
        return LS_FAIL(LS_ERR_DATA, "%s: /%s: cannot read its type or shape: %s", path, name, ls__h5_reason());
    }
    *set = opened;
    return LS_OK;
}

static ls_status check_chunks(const char *path, hid_t set, hid_t plist, const char *name, const ls_h5_shape *shape)
{
    hsize_t chunk[H5S_MAX_RANK];
    int     rank = H5Pget_chunk(plist, H5S_MAX_RANK, chunk);
    LS_CHECK(rank == shape->rank && rank >= 1, LS_ERR_DATA, "%s: /%s: cannot read its chunks: %s", path, name,
             ls__h5_reason());
    int64_t bytes = (int64_t)shape->size;
    for (int i = 0; i < rank; i++) {
        LS_CHECK(i == 0 || (int64_t)chunk[i] == shape->dim[i], LS_ERR_DATA,
                 "%s: /%s: dimension %d of %lld is cut into chunks of %llu; expected chunks of whole samples" LS_HINT
                 "write it contiguous, or with chunks of k x C x H x W",
                 path, name, i, (long long)shape->dim[i], (unsigned long long)chunk[i]);
        bool too_large = chunk[i] < 1 || chunk[i] > (hsize_t)MAX_CHUNK_BYTES ||
                         __builtin_mul_overflow(bytes, (int64_t)chunk[i], &bytes) || bytes > MAX_CHUNK_BYTES;
        LS_CHECK(!too_large, LS_ERR_DATA,
                 "%s: /%s: expected chunks of at most %lld MiB, found a larger one" LS_HINT
                 "write it contiguous, or in smaller chunks",
                 path, name, (long long)MAX_CHUNK_BYTES >> 20);
    }
    for (int i = 0, n = H5Pget_nfilters(plist); i < n; i++) {
        unsigned     flags, config;
        size_t       values = 0;
        H5Z_filter_t filter = H5Pget_filter2(plist, (unsigned)i, &flags, &values, NULL, 0, NULL, &config);
        LS_CHECK(filter == H5Z_FILTER_DEFLATE || filter == H5Z_FILTER_SHUFFLE || filter == H5Z_FILTER_FLETCHER32,
                 LS_ERR_DATA,
                 "%s: /%s: expected no filter, gzip, shuffle or fletcher32, found HDF5 filter %d" LS_HINT
                 "write it without compression",
                 path, name, (int)filter);
    }
    hsize_t there, wanted = ((hsize_t)shape->dim[0] + chunk[0] - 1) / chunk[0];
    hid_t   space   = H5Dget_space(set);
    bool    counted = space >= 0 && H5Dget_num_chunks(set, space, &there) >= 0;
    if (space >= 0) H5Sclose(space);
    LS_CHECK(counted, LS_ERR_DATA, "%s: /%s: cannot count its chunks: %s", path, name, ls__h5_reason());
    LS_CHECK(there == wanted, LS_ERR_DATA,
             "%s: /%s: expected %llu chunks of data, found %llu" LS_HINT "the file is not complete", path, name,
             (unsigned long long)wanted, (unsigned long long)there);
    return LS_OK;
}

static ls_status check_storage(const char *path, hid_t set, hid_t plist, const char *name, const ls_h5_shape *shape,
                               int64_t file_bytes, int64_t *offset)
{
    *offset             = -1;
    H5D_layout_t layout = H5Pget_layout(plist);
    if (layout == H5D_COMPACT) return LS_OK;
    if (layout == H5D_CHUNKED) return check_chunks(path, set, plist, name, shape);
    LS_CHECK(
        layout == H5D_CONTIGUOUS && H5Pget_external_count(plist) <= 0, LS_ERR_DATA,
        "%s: /%s: its data lie in other files; expected them in this one, contiguous or in chunks of whole samples",
        path, name);
    haddr_t at = H5Dget_offset(set);
    int64_t bytes;
    bool    overflow = __builtin_mul_overflow(shape->count, (int64_t)shape->size, &bytes);
    LS_CHECK(at != HADDR_UNDEF, LS_ERR_DATA, "%s: /%s: has a shape but no data" LS_HINT "the file is not complete",
             path, name);
    LS_CHECK(!overflow && at <= (haddr_t)file_bytes && bytes <= file_bytes - (int64_t)at, LS_ERR_DATA,
             "%s: /%s: its data end beyond the file's %lld bytes" LS_HINT
             "the file is truncated: copy or make it again",
             path, name, (long long)file_bytes);
    *offset = (int64_t)at;
    return LS_OK;
}

ls_status ls__h5_storage(const char *path, hid_t set, const char *name, const ls_h5_shape *shape, int64_t file_bytes,
                         int64_t *offset)
{
    hid_t plist = H5Dget_create_plist(set);
    LS_CHECK(plist >= 0, LS_ERR_DATA, "%s: /%s: cannot read its layout: %s", path, name, ls__h5_reason());
    ls_status status = check_storage(path, set, plist, name, shape, file_bytes, offset);
    H5Pclose(plist);
    return status;
}

/* ---- attributes -------------------------------------------------------------------------------------------------- */

/* Opens an attribute and checks that it has `count` elements of the class `type`; `expected` is for messages. */
static ls_status open_attribute(const char *path, hid_t file, const char *name, H5T_class_t type, int64_t count,
                                const char *expected, hid_t *attribute, ls_h5_shape *s)
{
    char type_text[32], dims_text[128];
    LS_CHECK(H5Aexists(file, name) > 0, LS_ERR_DATA,
             "%s: has no attribute '%s'; expected %s" LS_HINT "is this a file of `lockstep data import`?", path, name,
             expected);
    *attribute = H5Aopen(file, name, H5P_DEFAULT);
    LS_CHECK(*attribute >= 0, LS_ERR_DATA, "%s: attribute '%s': cannot be read: %s", path, name, ls__h5_reason());
    bool known = take_shape(H5Aget_type(*attribute), H5Aget_space(*attribute), s);
    if (known && s->type == type && s->count == count) return LS_OK;
    H5Aclose(*attribute);
    LS_CHECK(known, LS_ERR_DATA, "%s: attribute '%s': its type cannot be read: %s", path, name, ls__h5_reason());
    return LS_FAIL(LS_ERR_DATA, "%s: attribute '%s': expected %s, found %s, %s", path, name, expected,
                   ls__h5_type_text(s, type_text), ls__h5_dims_text(s, dims_text));
}

ls_status ls__h5_int(const char *path, hid_t file, const char *name, int64_t *value)
{
    hid_t       attribute;
    ls_h5_shape s;
    LS_TRY(open_attribute(path, file, name, H5T_INTEGER, 1, "an integer", &attribute, &s));
    herr_t error = H5Aread(attribute, H5T_NATIVE_INT64, value);
    H5Aclose(attribute);
    LS_CHECK(error >= 0, LS_ERR_DATA, "%s: attribute '%s': cannot be read: %s", path, name, ls__h5_reason());
    return LS_OK;
}

ls_status ls__h5_floats(const char *path, hid_t file, const char *name, int n, float *values)
{
    hid_t       attribute;
    ls_h5_shape s;
    char        expected[64];
    snprintf(expected, sizeof expected, "%d float%s, one per channel", n, n == 1 ? "" : "s");
    LS_TRY(open_attribute(path, file, name, H5T_FLOAT, n, expected, &attribute, &s));
    herr_t error = H5Aread(attribute, H5T_NATIVE_FLOAT, values);
    H5Aclose(attribute);
    LS_CHECK(error >= 0, LS_ERR_DATA, "%s: attribute '%s': cannot be read: %s", path, name, ls__h5_reason());
    for (int i = 0; i < n; i++)
        LS_CHECK(isfinite(values[i]), LS_ERR_DATA,
                 "%s: attribute '%s': expected finite numbers, found %g for channel %d", path, name,
                 isnan(values[i]) ? (double)NAN : (double)values[i], i);
    return LS_OK;
}

static ls_status read_text(const char *path, hid_t file, const char *name, hid_t attribute, const ls_h5_shape *s,
                           char *text, size_t bytes)
{
    if (s->variable) {
        LS_TRY(ls__h5_check_texts(path, file, attribute, name, 1));
        char *found = NULL;
        hid_t type  = H5Aget_type(attribute);
        bool  ok    = H5Aread(attribute, type, &found) >= 0;
        H5Tclose(type);
        size_t length = ok && found ? strlen(found) : 0;
        if (length && length < bytes) memcpy(text, found, length + 1);
        if (ok && found) H5free_memory(found);
        LS_CHECK(ok, LS_ERR_DATA, "%s: attribute '%s': cannot be read: %s", path, name, ls__h5_reason());
        LS_CHECK(length < bytes, LS_ERR_DATA, "%s: attribute '%s': found a text of %zu bytes, expected fewer than %zu",
                 path, name, length, bytes);
        return LS_OK;
    }
    LS_CHECK(s->size < bytes, LS_ERR_DATA, "%s: attribute '%s': found a text of %zu bytes, expected fewer than %zu",
             path, name, s->size, bytes);
    hid_t type = H5Aget_type(attribute);
    bool  ok   = H5Aread(attribute, type, text) >= 0;
    H5Tclose(type);
    text[s->size] = 0;
    LS_CHECK(ok, LS_ERR_DATA, "%s: attribute '%s': cannot be read: %s", path, name, ls__h5_reason());
    return LS_OK;
}

ls_status ls__h5_text(const char *path, hid_t file, const char *name, bool required, char *text, size_t bytes)
{
    hid_t       attribute;
    ls_h5_shape s;
    text[0] = 0;
    if (!required && H5Aexists(file, name) == 0) return LS_OK;
    LS_TRY(open_attribute(path, file, name, H5T_STRING, 1, "a text", &attribute, &s));
    ls_status status = read_text(path, file, name, attribute, &s, text, bytes);
    H5Aclose(attribute);
    return status;
}
