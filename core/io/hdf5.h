/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading HDF5 files that are not trusted.  The type and shape of an attribute or data set are copied into plain
 * numbers first; the caller checks them before anything is allocated or read.  Not public.
 */
#ifndef LS_CORE_IO_HDF5_H
#define LS_CORE_IO_HDF5_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"
#include "core/io/hdf5_library.h"

enum { LS_H5_DIMS = 8 }; /* most dimensions of an array that is read */

/* Type and shape of an attribute or data set. */
typedef struct ls_h5_shape {
    H5T_class_t type;
    size_t      size;      /* size of an element, bytes */
    bool        is_signed; /* a signed integer */
    bool        variable;  /* a text of variable length */
    int         rank;      /* number of dimensions; -1: no data (an HDF5 "null" space) */
    int64_t     dim[LS_H5_DIMS];
    int64_t     count; /* number of elements; INT64_MAX when it does not fit */
} ls_h5_shape;

/* Prints a type ("float32", "int64", "string") and a shape ("60000 x 1 x 28 x 28"). */
const char *ls__h5_type_text(const ls_h5_shape *s, char text[32]);
const char *ls__h5_dims_text(const ls_h5_shape *s, char text[128]);

/* Creates a file access list for H5Fopen and H5Fcreate; the caller closes it with H5Pclose.  Without file locks, which
 * some network file systems do not have: each file has one writer, and is renamed when it is complete.  Closing the
 * file closes all objects in it. */
hid_t ls__h5_access(void);

/* Opens a data set of the root group.  A link into another file is an error.  A missing data set is an error if
 * `required`; otherwise *set is -1. */
ls_status ls__h5_dataset(const char *path, hid_t file, const char *name, bool required, hid_t *set, ls_h5_shape *shape);

/* Finds out how the elements are stored, and checks that all of them are in the file of `file_bytes` bytes.  *offset is
 * the position of contiguous elements, and -1 when they must be read through HDF5: compact, or in chunks of whole
 * samples of limited size, uncompressed or compressed with gzip. */
ls_status ls__h5_storage(const char *path, hid_t set, const char *name, const ls_h5_shape *shape, int64_t file_bytes,
                         int64_t *offset);

/* Reads an attribute of the root group: an integer, `n` finite floats, or a text shorter than `bytes`.  A missing text
 * that is not `required` is "". */
ls_status ls__h5_int(const char *path, hid_t file, const char *name, int64_t *value);
ls_status ls__h5_floats(const char *path, hid_t file, const char *name, int n, float *values);
ls_status ls__h5_text(const char *path, hid_t file, const char *name, bool required, char *text, size_t bytes);

#endif
