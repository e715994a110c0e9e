/* SPDX-License-Identifier: Apache-2.0
 *
 * Opens one array of one file, and checks it: the file is untrusted.
 *
 * The link and all groups on the way lead to this file, the elements are numbers, the first dim is the samples and as
 * long as that of the other arrays, a sample is not too large, all chunks are there, and HDF5 itself has the filters.
 */
#include <string.h>

#include "datasets/array/array.h"
#include "core/io/hdf5.h"

enum { NAMES = 512 };
#define MAX_CHUNK_BYTES ((int64_t)256 << 20)

/* ---- types ------------------------------------------------------------------------------------------------------- */

static bool is_integer(hid_t set, const ls_h5_shape *s)
{
    if (s->type == H5T_INTEGER) return s->size <= 8;
    if (s->type != H5T_ENUM || s->size > 8) return false;
    /* h5py writes bool as an enumeration of int8. */
    hid_t type = H5Dget_type(set), base = type >= 0 ? H5Tget_super(type) : -1;
    bool  is = base >= 0 && H5Tget_class(base) == H5T_INTEGER;
    if (base >= 0) H5Tclose(base);
    if (type >= 0) H5Tclose(type);
    return is;
}

static ls_status check_type(const char *path, const char *name, hid_t set, const ls_h5_shape *s, bool label)
{
    char type[32];
    bool integer = is_integer(set, s);
    bool real    = s->type == H5T_FLOAT && (s->size == 2 || s->size == 4 || s->size == 8);
    if (label)
        LS_CHECK(integer, LS_ERR_DATA, "%s: /%s: expected integers, the classes, found %s" LS_HINT "%s", path, name,
                 ls__h5_type_text(s, type),
                 s->type == H5T_STRING ? "store class indices, and the names in /class_names"
                                       : "store class indices as integers, or train a regression");
    else
        LS_CHECK(integer || real, LS_ERR_DATA,
                 "%s: /%s: expected float16, float32, float64 or integers of at most 64 bits, found %s" LS_HINT "%s",
                 path, name, ls__h5_type_text(s, type),
                 s->type == H5T_COMPOUND ? "store each field as an array of its own"
                                         : "convert the array to numbers before writing it");
    return LS_OK;
}

/* ---- links ------------------------------------------------------------------------------------------------------- */

static herr_t add_name(hid_t group, const char *name, const H5L_info_t *link, void *text)
{
    (void)group;
    (void)link;
    size_t used = strlen(text);
    bool   fits = used + strlen(name) + 8 < NAMES;
    snprintf((char *)text + used, NAMES - used, "%s%s", used ? ", " : "", fits ? name : "...");
    return !fits;
}

static ls_status missing(const char *path, hid_t file, const char *name)
{
    char names[NAMES] = "";
    H5Literate(file, H5_INDEX_NAME, H5_ITER_INC, NULL, add_name, names);
    return LS_FAIL(LS_ERR_DATA, "%s: /%s: no such array" LS_HINT "the file has: %s", path, name,
                   names[0] ? names : "nothing");
}

ls_status ls__array_check_links(const char *path, hid_t file, const char *name)
{
    char prefix[LS_COLUMN_NAME];
    for (size_t n = 1, length = strlen(name); n <= length; n++) {
        if (name[n] != '/' && name[n] != 0) continue;
        H5L_info_t link;
        snprintf(prefix, sizeof prefix, "%.*s", (int)n, name);
        if (H5Lexists(file, prefix, H5P_DEFAULT) <= 0) return missing(path, file, name);
        LS_CHECK(H5Lget_info(file, prefix, &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_HARD, LS_ERR_DATA,
                 "%s: /%s: is a soft or external link; expected an array of this file" LS_HINT
                 "give the path that the link points to, or copy the array into the file",
                 path, prefix);
        if (n < length) {
            H5O_info_t object;
            bool       is_group =
                H5Oget_info_by_name1(file, prefix, &object, H5P_DEFAULT) >= 0 && object.type == H5O_TYPE_GROUP;
            if (!is_group) return missing(path, file, name);
        }
    }
    return LS_OK;
}

/* ---- storage ----------------------------------------------------------------------------------------------------- */

static ls_status check_filters(const char *path, hid_t plist, const char *name)
{
    for (int i = 0, n = H5Pget_nfilters(plist); i < n; i++) {
        unsigned     flags, config;
        size_t       values   = 0;
        char         text[64] = "";
        H5Z_filter_t filter   = H5Pget_filter2(plist, (unsigned)i, &flags, &values, NULL, sizeof text, text, &config);
        LS_CHECK(filter == H5Z_FILTER_DEFLATE || filter == H5Z_FILTER_SHUFFLE || filter == H5Z_FILTER_FLETCHER32,
                 LS_ERR_DATA,
                 "%s: /%s: is compressed by HDF5 filter %d (%s); expected none, gzip, shuffle or fletcher32" LS_HINT
                 "write it uncompressed or with compression='gzip'",
                 path, name, (int)filter, text[0] ? text : "unknown");
    }
    return LS_OK;
}

static ls_status check_chunks(const char *path, hid_t set, hid_t plist, const char *name, const ls_h5_shape *s)
{
    hsize_t chunk[H5S_MAX_RANK], found;
    int64_t bytes = (int64_t)s->size, expected = 1;
    bool    fits = H5Pget_chunk(plist, H5S_MAX_RANK, chunk) == s->rank;
    LS_CHECK(fits, LS_ERR_DATA, "%s: /%s: the shape of its chunks cannot be read: %s", path, name, ls__h5_reason());
    for (int i = 0; i < s->rank && fits; i++) {
        fits = chunk[i] >= 1 && chunk[i] <= (hsize_t)MAX_CHUNK_BYTES &&
               !__builtin_mul_overflow(bytes, (int64_t)chunk[i], &bytes) && bytes <= MAX_CHUNK_BYTES;
        int64_t along = fits ? s->dim[i] / (int64_t)chunk[i] + (s->dim[i] % (int64_t)chunk[i] != 0) : 0;
        fits          = fits && !__builtin_mul_overflow(expected, along, &expected);
    }
    LS_CHECK(fits, LS_ERR_DATA,
             "%s: /%s: expected chunks of at most %lld MiB, found larger ones" LS_HINT
             "write it contiguous, or in smaller chunks",
             path, name, (long long)MAX_CHUNK_BYTES >> 20);
    LS_TRY(check_filters(path, plist, name));
    hid_t space   = H5Dget_space(set);
    bool  counted = space >= 0 && H5Dget_num_chunks(set, space, &found) >= 0;
    if (space >= 0) H5Sclose(space);
    LS_CHECK(counted, LS_ERR_DATA, "%s: /%s: its chunks cannot be counted: %s", path, name, ls__h5_reason());
    LS_CHECK(found == (hsize_t)expected, LS_ERR_DATA,
             "%s: /%s: expected %lld chunks of data, found %llu" LS_HINT
             "the array was not written to its end: write the file again",
             path, name, (long long)expected, (unsigned long long)found);
    return LS_OK;
}

static ls_status check_storage(const char *path, const char *name, ls_array_part *p, const ls_h5_shape *s,
                               int64_t file_bytes)
{
    hid_t plist = H5Dget_create_plist(p->set);
    LS_CHECK(plist >= 0, LS_ERR_DATA, "%s: /%s: its layout cannot be read: %s", path, name, ls__h5_reason());
    H5D_layout_t layout = H5Pget_layout(plist);
    ls_status    status = LS_OK;
    if (layout == H5D_VIRTUAL)
        status = LS_FAIL(LS_ERR_DATA,
                         "%s: /%s: is a virtual dataset; expected an array stored in this file" LS_HINT
                         "copy it into a file of its own (h5repack does so)",
                         path, name);
    else if (layout == H5D_CHUNKED)
        status = check_chunks(path, p->set, plist, name, s);
    else
        status = ls__h5_storage(path, p->set, name, s, file_bytes, &p->offset);
    H5Pclose(plist);
    LS_TRY(status);
    p->stored = p->offset >= 0 ? ls__array_stored_as(p->set) : -1;
    if (p->stored < 0) p->offset = -1;
    return LS_OK;
}

/* ---- one file ---------------------------------------------------------------------------------------------------- */

static ls_status check_dims(const char *path, const char *name, const ls_h5_shape *s, bool label)
{
    char dims[128];
    LS_CHECK(s->rank >= 1 && s->rank <= LS_MAX_DIMS + 1, LS_ERR_DATA,
             "%s: /%s: expected 1 to %d dims, the first one the samples, found %s", path, name, LS_MAX_DIMS + 1,
             ls__h5_dims_text(s, dims));
    LS_CHECK(s->dim[0] >= 1, LS_ERR_DATA, "%s: /%s: has 0 samples; expected at least 1", path, name);
    LS_CHECK(s->count < INT64_MAX / 16, LS_ERR_DATA, "%s: /%s: is %s; expected fewer elements", path, name,
             ls__h5_dims_text(s, dims));
    int64_t elements = 1;
    for (int i = 1; i < s->rank; i++) {
        LS_CHECK(s->dim[i] >= 1, LS_ERR_DATA, "%s: /%s: is %s; expected at least 1 element a sample", path, name,
                 ls__h5_dims_text(s, dims));
        bool fits = !__builtin_mul_overflow(elements, s->dim[i], &elements) &&
                    elements <= LS_MAX_SAMPLE_BYTES / (int64_t)sizeof(float);
        LS_CHECK(fits, LS_ERR_DATA,
                 "%s: /%s: is %s; expected at most %d MiB a sample, as float32" LS_HINT
                 "the first dim must be the samples",
                 path, name, ls__h5_dims_text(s, dims), LS_MAX_SAMPLE_BYTES >> 20);
    }
    LS_CHECK(!label || elements == 1, LS_ERR_DATA,
             "%s: /%s: is %s; expected one class for each sample, N or N x 1" LS_HINT
             "store class indices instead of one-hot vectors (numpy: y.argmax(axis=1))",
             path, name, ls__h5_dims_text(s, dims));
    return LS_OK;
}

/* Describes a column: a label has no dims in the batch, a sample of an array with one dim has the dims {1}. */
static ls_column describe(const ls_array_column_data *a, const ls_h5_shape *s, bool label)
{
    ls_column c = a->column;
    c.type      = label ? LS_I32 : LS_F32;
    c.rank      = label ? 0 : s->rank > 1 ? s->rank - 1 : 1;
    for (int i = 0; i < c.rank; i++) c.dim[i] = s->rank > 1 ? s->dim[i + 1] : 1;
    return c;
}

ls_status ls__array_open_part(ls_array_set *d, ls_array_file *f, int column, int64_t file_bytes)
{
    ls_array_column_data *a     = &d->column[column];
    ls_array_part        *p     = &f->part[column];
    bool                  label = column == d->label_column;
    ls_h5_shape           s;
    char                  found[128], expected[128];
    LS_TRY(ls__array_check_links(f->path, f->file, a->dataset));
    LS_TRY(ls__h5_dataset(f->path, f->file, a->dataset, true, &p->set, &s));
    LS_TRY(check_type(f->path, a->dataset, p->set, &s, label));
    LS_TRY(check_dims(f->path, a->dataset, &s, label));
    LS_TRY(check_storage(f->path, a->dataset, p, &s, file_bytes));
    LS_CHECK(column == 0 || s.dim[0] == f->count, LS_ERR_DATA,
             "%s: /%s: has %lld samples, but /%s has %lld; expected as many", f->path, a->dataset, (long long)s.dim[0],
             d->column[0].dataset, (long long)f->count);
    f->count = s.dim[0];

    ls_column c = describe(a, &s, label);
    if (f == d->file) {
        a->column   = c;
        a->elements = 1;
        for (int i = 0; i < c.rank; i++) a->elements *= c.dim[i];
    }
    bool same = c.rank == a->column.rank && !memcmp(c.dim, a->column.dim, sizeof c.dim);
    if (!same) {
        ls_h5_shape first = s;
        first.rank        = a->column.rank;
        memcpy(first.dim, a->column.dim, sizeof a->column.dim);
        s.rank = c.rank;
        memcpy(s.dim, c.dim, sizeof c.dim);
        return LS_FAIL(LS_ERR_DATA, "%s: /%s: its samples are %s; expected %s, as in %s", f->path, a->dataset,
                       ls__h5_dims_text(&s, found), ls__h5_dims_text(&first, expected), d->file[0].path);
    }
    return LS_OK;
}
