/* SPDX-License-Identifier: Apache-2.0
 * Reads /class_names, the optional dataset of class names in dataset files. */
#include <stdlib.h>
#include <string.h>

#include "datasets/files/dataset_files.h"
#include "core/io/hdf5.h"
#include "core/io/hdf5_heap.h"

enum { MAX_NAME = 256 };

/* Copies the `count` strings of an open dataset into the arena. */
static ls_status copy_names(const char *path, hid_t file, hid_t set, const ls_h5_shape *s, int count, ls_arena *arena,
                            const char **names)
{
    if (s->variable) LS_TRY(ls__h5_check_texts(path, file, set, "/class_names", count));
    hid_t     type   = H5Dget_type(set);
    size_t    each   = s->variable ? sizeof(char *) : s->size;
    char     *raw    = calloc((size_t)count + 1, each); /* one string more, whose zeros end the last name */
    ls_status status = LS_OK;
    if (!raw)
        status = LS_FAIL(LS_ERR_ENV, "%s: out of memory for %d class names", path, count);
    else if (H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw) < 0)
        status = LS_FAIL(LS_ERR_DATA, "%s: /class_names cannot be read: %s", path, ls__h5_reason());
    else {
        for (int i = 0; i < count && status == LS_OK; i++) {
            const char *text   = s->variable ? ((char **)raw)[i] : raw + (size_t)i * each;
            size_t      length = text ? strnlen(text, s->variable ? MAX_NAME + 1 : each) : 0;
            if (length > MAX_NAME)
                status = LS_FAIL(LS_ERR_DATA, "%s: /class_names: name %d is longer than %d bytes", path, i, MAX_NAME);
            else
                names[i] = ls_arena_printf(arena, "%.*s", (int)length, text ? text : "");
        }
        hid_t space = H5Dget_space(set);
        if (s->variable) H5Dvlen_reclaim(type, space, H5P_DEFAULT, raw);
        H5Sclose(space);
    }
    H5Tclose(type);
    free(raw);
    return status;
}

static ls_status read_names(const char *path, hid_t file, hid_t set, const ls_h5_shape *s, int64_t file_bytes,
                            ls_arena *arena, const char *const **names, int *classes)
{
    char    type[32], dims[128], expected[32] = "";
    int64_t offset;
    if (*classes) snprintf(expected, sizeof expected, "%d ", *classes);
    LS_CHECK(s->type == H5T_STRING && s->rank == 1 && (*classes ? s->count == *classes : s->count >= 1) &&
                 s->count <= LS_MAX_CLASSES && s->size <= MAX_NAME,
             LS_ERR_DATA, "%s: /class_names: expected %sstrings of at most %d bytes, found %s, %s", path, expected,
             MAX_NAME, ls__h5_type_text(s, type), ls__h5_dims_text(s, dims));
    LS_TRY(ls__h5_storage(path, set, "class_names", s, file_bytes, &offset));
    *classes          = (int)s->count;
    const char **list = ls_arena_alloc(arena, sizeof *list * (size_t)s->count);
    *names            = list;
    return copy_names(path, file, set, s, *classes, arena, list);
}

ls_status ls__class_names_read(const char *path, hid_t file, int64_t file_bytes, ls_arena *arena,
                               const char *const **names, int *classes)
{
    hid_t       set;
    ls_h5_shape s;
    LS_TRY(ls__h5_dataset(path, file, "class_names", false, &set, &s));
    if (set < 0) {
        *names = ls__class_names(arena, *classes);
        return LS_OK;
    }
    ls_status status = read_names(path, file, set, &s, file_bytes, arena, names, classes);
    H5Dclose(set);
    return status;
}
