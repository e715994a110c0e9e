/* SPDX-License-Identifier: Apache-2.0
 *
 * One HDF5 file of a checkpoint.  Not public.
 *
 *     /                         attributes: format, format_version, version; part, parts (the number of this file, and
 *                               of all files); the progress of the run; progress_xxh64
 *     /param/NAME               value of a parameter: float32, little endian, contiguous; attribute xxh64
 *     /state/exp_avg/NAME       the same for each state of the optimizer
 *     /state/carried/NAME       states that the model carries from step to step, a row for each sample of the batch
 *
 * A range of an array that is cut among files is stored in one dimension as NAME@OFFSET, with the attributes `first`
 * (the offset in the whole array) and `dims` (of the whole array).
 *
 * xxh64 is the XXH64 of the bytes.  Its seed is the XXH64 of the text "param/NAME" or "exp_avg/NAME", so that one array
 * cannot be taken for another.
 */
#ifndef LS_DIST_CHECKPOINT_CHECKPOINT_FILE_H
#define LS_DIST_CHECKPOINT_CHECKPOINT_FILE_H

#include "core/base/range.h"
#include "dist/checkpoint/checkpoint_state.h"
#include "dist/dist.h"

enum { LS_CHECKPOINT_FILE_NAME = 16, LS_ARRAY_NAME = 256, LS_OPTIMIZER_STATE_NAME = 64 };

/* Prints the name of file `file`: "part-0003.h5". */
void ls__checkpoint_file_name(char name[LS_CHECKPOINT_FILE_NAME], int file);

/* Returns the checksum of values of an array; state: NULL or "" for the value of a parameter. */
uint64_t ls__values_checksum(const char *state, const char *name, int64_t count, const float *values);

/* Writes the ranges that `state` has in memory as file `file` of `files`, syncs it, and returns its checksum and
 * size. */
ls_status ls__checkpoint_file_write(const char *path, const ls_state *state, const ls_progress *progress, int file,
                                    int files, uint64_t *checksum, int64_t *bytes);

/* A range of an array as it is stored in a file. */
typedef struct ls_stored_range {
    char     name[LS_ARRAY_NAME], state[LS_OPTIMIZER_STATE_NAME]; /* state: "" for the value of a parameter */
    int      rank;
    int64_t  dim[LS_MAX_DIMS]; /* shape of the whole array */
    int64_t  count;            /* number of elements of the whole array */
    ls_range range;            /* elements that are stored here                       */
    int64_t  at;               /* position of the first byte in the file              */
    uint64_t checksum;
    int      file;
    int      state_index; /* index in ls_stored_table.state; -1: value of a parameter */
    int      order;       /* position of the array in the order of the files     */
} ls_stored_range;

/* The contents of the files of one checkpoint. */
typedef struct ls_stored_table {
    int              ranges;
    ls_stored_range *range; /* all ranges, allocated with malloc */
    int              states;
    char (*state)[LS_OPTIMIZER_STATE_NAME]; /* names of the optimizer states; allocated with malloc */
    ls_progress progress;
} ls_stored_table;

/* Adds the ranges of file `file` of `files` to the table, and sets the progress from file 0; later files must have the
 * same progress.  Checks the structure of the file, and reads no values. */
ls_status ls__checkpoint_file_read(ls_stored_table *t, const char *path, int file, int files);

/* Reads only the progress of the run (step, epoch, seed, ...) from a checkpoint file. */
ls_status ls__checkpoint_file_progress(const char *path, ls_progress *progress);

#endif
