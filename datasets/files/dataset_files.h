/* SPDX-License-Identifier: Apache-2.0
 * The HDF5 files of a split, whatever the kind of data in them: found, opened, read from.  Not public. */
#ifndef LS_DATASETS_FILES_DATASET_FILES_H
#define LS_DATASETS_FILES_DATASET_FILES_H

#include <hdf5.h>
#include <xxhash.h>

#include "datasets/files/dataset.h"

/* Opens a file for reading, and as HDF5; *bytes: its size.  After an error too, the caller closes what is not -1. */
ls_status ls__split_open(const char *path, int *fd, hid_t *file, int64_t *bytes);
/* Exactly `bytes` bytes from `at` on. */
ls_status ls__split_read(const char *path, int fd, int64_t at, int64_t bytes, void *data);

/* LS_ERR_DATA unless the digest of `state`, as 16 hex digits, is what the file says of itself ("": it says nothing). */
ls_status ls__split_checksum(const char *path, const char *expected, const XXH3_state_t *state);

/* Opens the files of a split as a data set of pictures (shard.c) or of text (tokens.c).  After an error *dataset is
 * NULL, or what ls_dataset_free takes; the arena then belongs to it. */
ls_status ls__images_open(ls_dataset **dataset, ls_arena *arena, const char *path, int files, const char *const *paths);
ls_status ls__text_open(ls_dataset **dataset, ls_arena *arena, const char *path, int files, const char *const *paths);

#endif
