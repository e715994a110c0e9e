/* SPDX-License-Identifier: Apache-2.0
 *
 * The structure of an HDF5 file: attributes, and data sets with reserved space whose values are written later, by
 * position (ls__file_write_at), so that a full disk is an error of a system call and not of HDF5.  Not public.
 */
#ifndef LS_CORE_IO_HDF5_WRITE_H
#define LS_CORE_IO_HDF5_WRITE_H

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

/* Creates an attribute of `n` values, or a scalar one when n is 0.  Returns false after an error; ls__h5_reason has the
 * cause. */
bool ls__h5_put_attribute(hid_t object, const char *name, hid_t stored, hid_t memory, int n, const void *values);

/* Creates an attribute with a text of fixed length. */
bool ls__h5_put_text(hid_t object, const char *name, const char *text);

/* Creates a contiguous data set, allocates its space in the file at once, and writes no values.  *at: position of its
 * first byte in the file, 0 when it has no elements. */
bool ls__h5_reserve(hid_t where, const char *name, hid_t type, int rank, const hsize_t *dim, int64_t *at);

#endif
