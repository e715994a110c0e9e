/* SPDX-License-Identifier: Apache-2.0
 *
 * HDF5 for files that nobody vouches for: what an attribute or a data set claims is copied into plain numbers first and
 * checked before anything is read or allocated.  Not public.
 */
#ifndef LS_CORE_IO_HDF5_H
#define LS_CORE_IO_HDF5_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"
#include "core/io/hdf5_library.h"

enum { LS_H5_DIMS = 8 };

/* What an attribute or data set is. */
typedef struct ls_h5_shape {
    H5T_class_t type;
    size_t      size; /* bytes of an element                                   */
    bool        is_signed;
    bool        variable; /* strings: of variable length                           */
    int         rank;     /* -1: no data at all ("null")                           */
    int64_t     dim[LS_H5_DIMS];
    int64_t     count; /* elements; INT64_MAX when there are more than that     */
} ls_h5_shape;

/* "float32", "int64", "string", ... and "60000 x 1 x 28 x 28". */
const char *ls__h5_type_text(const ls_h5_shape *s, char text[32]);
const char *ls__h5_dims_text(const ls_h5_shape *s, char text[128]);

/* Opens a data set of the root group that really lies in this file; *set is -1 when it is missing and `required` is
 * false. */
ls_status ls__h5_dataset(const char *path, hid_t file, const char *name, bool required, hid_t *set, ls_h5_shape *shape);

/* Where the elements lie.  Contiguous: *offset within the file, checked against `file_bytes`.  Otherwise *offset is -1
 * and reading goes through HDF5; chunks must be of whole samples, all there, not too large, and packed with gzip at
 * most. */
ls_status ls__h5_storage(const char *path, hid_t set, const char *name, const ls_h5_shape *shape, int64_t file_bytes,
                         int64_t *offset);

/* Creates a file access list for H5Fopen and H5Fcreate; the caller closes it with H5Pclose.  Without file locks, which
 * some network file systems do not have: each file has one writer, and is renamed when it is complete.  Closing the file
 * closes all objects in it. */
hid_t ls__h5_access(void);

/* Attributes of the root group: one integer, `n` finite floats, a text shorter than `bytes`. */
ls_status ls__h5_int(const char *path, hid_t file, const char *name, int64_t *value);
ls_status ls__h5_floats(const char *path, hid_t file, const char *name, int n, float *values);
ls_status ls__h5_text(const char *path, hid_t file, const char *name, bool required, char *text, size_t bytes);

#endif
