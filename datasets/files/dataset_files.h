/* SPDX-License-Identifier: Apache-2.0
 * Finds, opens and reads the HDF5 files of a split, for all kinds of dataset.  Internal. */
#ifndef LS_DATASETS_FILES_DATASET_FILES_H
#define LS_DATASETS_FILES_DATASET_FILES_H

#include <hdf5.h>
#include <xxhash.h>

#include "datasets/files/dataset.h"

/* Sets *paths to the files of a split of the dataset at `path` (a file or a folder); split NULL: "train". */
ls_status ls__split_find(ls_arena *arena, const char *path, const char *split, int *files, const char ***paths);

/* One file of a split, as all kinds of dataset see it; the first member of their own structs. */
enum { LS_CHECKSUM = 16 };
typedef struct ls_dataset_file {
    const char *path;
    int64_t     first, count; /* samples or tokens of the split that the file holds: [first, first + count) */
    int         fd;
    hid_t       file;                      /* -1: closed, because all reads go through `fd` */
    char        checksum[LS_CHECKSUM + 1]; /* 16 hex digits; "": the file has none */
} ls_dataset_file;

/* Reads the attributes that images and text share: lockstep_format, split and checksum. */
ls_status ls__split_attributes(ls_dataset_file *f, ls_arena *arena, const char **split);

/* Finds a contiguous array in one dim, of `size`-byte little-endian values.  *at: its position in the file. */
ls_status ls__split_array(const ls_dataset_file *f, int64_t file_bytes, const char *name, H5T_class_t type, size_t size,
                          bool is_signed, int64_t *count, int64_t *at);

/* A property that all files of a split must share, as text. */
typedef struct ls_shared_field {
    const char *name;
    const char *expected, *found; /* in the first file, in this file */
} ls_shared_field;
/* Fails at the first of n properties in which a file differs from the first file. */
ls_status ls__split_check_same(const char *path, const char *first_path, int n, const ls_shared_field *field);

/* Returns the index of the file that holds sample i.  `file`: array of `files` structs of `stride` bytes that start
 * with an ls_dataset_file. */
int ls__split_file_of(const void *file, size_t stride, int files, int64_t i);

/* Opens a file for pread and for HDF5; *bytes: its size.  Also after an error, the caller closes *fd and *file if they
 * are not -1. */
ls_status ls__split_open(const char *path, int *fd, hid_t *file, int64_t *bytes);
/* Adds stored bytes of a file to a checksum. */
ls_status ls__split_add_bytes(const ls_dataset_file *f, int64_t at, int64_t bytes, XXH3_state_t *state);
/* Compares the digest of `state` with `expected`, the 16 hex digits stored in the file ("": the file has none). */
ls_status ls__split_checksum(const char *path, const char *expected, const XXH3_state_t *state);

/* Reads /class_names.  *classes: the number of names to expect (0: any); set to the number found.  Without
 * /class_names the names are "0", "1", ...  Call ls__h5_check_heaps before: the names may have variable lengths. */
ls_status ls__class_names_read(const char *path, hid_t file, int64_t file_bytes, ls_arena *arena,
                               const char *const **names, int *classes);

/* Opens the files of a split as a dataset of images (image_hdf5.c), of text (text_hdf5.c), of pairs (pairs_hdf5.c) or
 * of labelled texts (labelled_hdf5.c).
 * After an error *dataset is NULL or can be freed by ls_dataset_free; in the second case the arena belongs to it. */
ls_status ls__images_open(ls_dataset **dataset, ls_arena *arena, const char *path, int files, const char *const *paths);
ls_status ls__text_open(ls_dataset **dataset, ls_arena *arena, const char *path, int files, const char *const *paths);
ls_status ls__pairs_open(ls_dataset **dataset, ls_arena *arena, const char *path, int files, const char *const *paths);
ls_status ls__labelled_open(ls_dataset **dataset, ls_arena *arena, const char *path, int files,
                            const char *const *paths);

#endif
