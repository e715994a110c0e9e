/* SPDX-License-Identifier: Apache-2.0
 * Image files inside an HDF5 file (/bytes and /offset, see datasets.h), decoded when a sample is read.  Internal. */
#ifndef LS_DATASETS_IMAGE_IMAGE_ENCODED_H
#define LS_DATASETS_IMAGE_IMAGE_ENCODED_H

#include <hdf5.h>
#include <xxhash.h>

#include "datasets/files/dataset.h"

/* Checks the headers, and sets the count, the shape and the stored bytes of *info.  *start: count + 1 positions in the
 * file, where each sample begins and where the last one ends; the caller frees it, also after an error. */
ls_status ls__encoded_open(const char *path, hid_t file, int64_t file_bytes, ls_dataset_info *info, int64_t **start);

/* Decodes sample i into `planes`, with the shape and the options of *info.  The sample is the bytes [first, end) of the
 * file. */
ls_status ls__encoded_read(const char *path, int fd, int64_t i, int64_t first, int64_t end, const ls_dataset_info *info,
                           uint8_t *planes);

/* ls_writer_new for image files of the given sizes in bytes, which the caller keeps until ls_writer_close.
 * ls_writer_add gets their bytes. */
ls_status ls__writer_new_encoded(ls_writer **w, const char *folder, const ls_dataset_info *info, int shards,
                                 const int64_t *sizes);

/* A value of /offset as it is stored. */
static inline void ls__offset_bytes(int64_t offset, uint8_t le[8])
{
    for (int b = 0; b < 8; b++) le[b] = (uint8_t)((uint64_t)offset >> 8 * b);
}

/* Adds the image files to a checksum, then their offsets from the first one as little-endian int64. */
ls_status ls__encoded_sum(const char *path, int fd, int64_t count, const int64_t *start, XXH3_state_t *state);

/* Decodes all samples, on all threads.  The error is that of the first sample that cannot be decoded. */
ls_status ls__encoded_decode_all(const char *path, int fd, int64_t count, const int64_t *start,
                                 const ls_dataset_info *info);

#endif
