/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks for variable-length texts in HDF5 files, which the library itself reads without enough checks.  Not public.
 */
#ifndef LS_CORE_IO_HDF5_HEAP_H
#define LS_CORE_IO_HDF5_HEAP_H

#include <hdf5.h>
#include <stdint.h>

#include "core/base/status.h"

/* Checks the global heap collections of a file; call before variable-length texts are read.  Bytes [skip, skip +
 * skip_bytes) hold plain values and are not scanned. */
ls_status ls__h5_check_heaps(const char *path, int fd, int64_t file_bytes, int64_t skip, int64_t skip_bytes);

/* Checks that the references of an attribute or data set of `count` variable-length texts lead to texts of the stated
 * size; call before the texts are read. */
ls_status ls__h5_check_texts(const char *path, hid_t file, hid_t object, const char *name, int64_t count);

#endif
