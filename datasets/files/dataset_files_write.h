/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the HDF5 files of a split, for all kinds of dataset.  Internal.
 *
 * HDF5 writes only the skeleton of a file: attributes, and datasets with reserved space.  The values are then written
 * to this space with pwrite, so that a full disk is an ordinary error of a system call.  Each file has a temporary name
 * until all files are written and synced.
 *
 *     LS_TRY(ls__split_prepare(&w, "data/mnist", "train", 4));
 *     for (each file) {
 *         LS_TRY(ls__split_begin(&w, bytes, put_skeleton, context));    allocates space, calls put_skeleton
 *         LS_TRY(ls__split_write(&w, at, data, bytes));                 any number of times
 *         LS_TRY(ls__split_end(&w, &checksum));
 *     }
 *     LS_TRY(ls__split_close(&w));                                      renames the files
 *     ls__split_free(&w);                                               without _close: removes the files
 */
#ifndef LS_DATASETS_FILES_DATASET_FILES_WRITE_H
#define LS_DATASETS_FILES_DATASET_FILES_WRITE_H

#include <hdf5.h>

#include "datasets/files/dataset.h"

typedef struct ls_split_writer {
    ls_arena    *arena;
    const char  *folder, *split;
    bool         made_folder, closed;
    int          shards, shard; /* number of files; index of the file being written */
    int          renamed;
    const char **temporary, **path;
    int          fd;   /* descriptor of the file being written; -1: none         */
    const char  *what; /* unit of `done` and `total` in messages, "samples"      */
    int64_t      done, total;
} ls_split_writer;

/* Refuses a folder with splits other than the n of an import, because they would stay beside a new tokenizer. */
ls_status ls__split_check_folder(const char *folder, int n, const char *const *split);

ls_status ls__split_prepare(ls_split_writer *w, const char *folder, const char *split, int shards);
ls_status ls__split_begin(ls_split_writer *w, int64_t bytes, bool (*put_skeleton)(void *context, hid_t file),
                          void *context);
ls_status ls__split_write(ls_split_writer *w, int64_t at, const void *data, size_t bytes);
ls_status ls__split_end(ls_split_writer *w, const uint64_t *checksum); /* NULL: the file has no checksum */
ls_status ls__split_close(ls_split_writer *w);
void      ls__split_free(ls_split_writer *w);
/* Returns the error of a file that cannot be written; error: an errno. */
ls_status ls__split_failed(const ls_split_writer *w, const char *path, int error);

/* An array of a file: values that are stored little-endian, as `type` says. */
typedef struct ls_split_array {
    const char *name;
    hid_t       type;
    const void *values;
    int64_t     count, at; /* at: position in the file, set by the writer */
} ls_split_array;

/* Writes a split as one file with n arrays, with the attributes lockstep_format, split and checksum, and those that
 * put_attributes adds.  The checksum is of the arrays in their order.  ls__split_close then gives the file its name. */
ls_status ls__split_write_arrays(ls_split_writer *w, const char *folder, const char *split, ls_split_array *array,
                                 int n, bool (*put_attributes)(void *context, hid_t file), void *context);

/* Creates the attribute "checksum" in a skeleton; ls__split_end sets its value. */
bool ls__put_checksum(hid_t file);

/* Creates /class_names. */
bool ls__put_class_names(hid_t file, int classes, const char *const *names);

#endif
