/* SPDX-License-Identifier: Apache-2.0
 *
 * HDF5 attributes of checkpoint files, and the progress of the run that is stored in them.  Not public.
 */
#ifndef LS_DIST_CHECKPOINT_CHECKPOINT_ATTRIBUTES_H
#define LS_DIST_CHECKPOINT_CHECKPOINT_ATTRIBUTES_H

#include "core/io/hdf5_handle.h"
#include "dist/dist.h"

enum { LS_CHECKPOINT_FORMAT = 2 };

typedef enum ls_attribute_kind {
    LS_ATTRIBUTE_INT64,
    LS_ATTRIBUTE_UINT64,
    LS_ATTRIBUTE_DOUBLE,
    LS_ATTRIBUTE_TEXT,
} ls_attribute_kind;

/* Writes or reads a scalar attribute of an object.  `bytes` is the size of *value; a text ends with 0.  Reading fails
 * with LS_ERR_DATA when the attribute is missing or of another kind. */
ls_status ls__attribute_write(ls_h5 *h, hid_t object, const char *name, ls_attribute_kind kind, size_t bytes,
                              const void *value);
ls_status ls__attribute_read(ls_h5 *h, hid_t object, const char *name, ls_attribute_kind kind, size_t bytes,
                             void *value);

/* Writes or reads the attributes of the root group: the format and its version, the number of this file and of all
 * files of the checkpoint, the progress and its checksum. */
ls_status ls__progress_write(ls_h5 *h, hid_t root, const ls_progress *p, int64_t file, int64_t files);
ls_status ls__progress_read(ls_h5 *h, hid_t root, ls_progress *p, int64_t *file, int64_t *files);

uint64_t ls__progress_checksum(const ls_progress *p);

#endif
