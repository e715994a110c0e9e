/* SPDX-License-Identifier: Apache-2.0
 *
 * HDF5 for files that nobody vouches for: what an attribute or a data set claims is copied into plain numbers first and
 * checked before anything is read or allocated.  Not public.
 */
#ifndef LS_DATASETS_FILES_HDF5_H
#define LS_DATASETS_FILES_HDF5_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

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

/* In this thread, HDF5 keeps the reason of an error instead of printing it. */
void ls__h5_quiet(void);
/* The innermost reason that HDF5 gives for its last error in this thread. */
const char *ls__h5_reason(void);

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

/* Walks the heaps of texts of variable length, which HDF5 does not check well enough; call before such texts are read.
 * Bytes [skip, skip + skip_bytes) are pixels and not looked at. */
ls_status ls__h5_check_heaps(const char *path, int fd, int64_t file_bytes, int64_t skip, int64_t skip_bytes);

/* Follows the references of an attribute or a data set of `count` texts of variable length; call before these are read.
 */
ls_status ls__h5_check_texts(const char *path, hid_t file, hid_t of, const char *name, int64_t count);

/* Attributes of the root group: one integer, `n` finite floats, a text shorter than `bytes`. */
ls_status ls__h5_int(const char *path, hid_t file, const char *name, int64_t *value);
ls_status ls__h5_floats(const char *path, hid_t file, const char *name, int n, float *values);
ls_status ls__h5_text(const char *path, hid_t file, const char *name, bool required, char *text, size_t bytes);

#endif
