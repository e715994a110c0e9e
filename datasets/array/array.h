/* SPDX-License-Identifier: Apache-2.0
 * The dataset of named arrays: its struct and the functions that its files share.  Internal. */
#ifndef LS_DATASETS_ARRAY_ARRAY_H
#define LS_DATASETS_ARRAY_ARRAY_H

#include <pthread.h>

#include "datasets/files/dataset.h"
#include "datasets/files/dataset_files.h"

/* One array in one file. */
typedef struct ls_array_part {
    hid_t   set;    /* HDF5 dataset; -1: closed */
    int64_t offset; /* byte offset of a contiguous array in the file; -1: read through HDF5 */
    int     stored; /* type of a stored element, for reads at `offset`: index into stored_types of array_hdf5.c */
} ls_array_part;

typedef struct ls_array_file {
    const char   *path;
    int64_t       first, count; /* rows of the split that the file holds: [first, first + count) */
    int           fd;
    hid_t         file; /* -1: closed, since all parts are read at their offsets */
    ls_array_part part[LS_MAX_INPUTS];
} ls_array_file;

typedef struct ls_array_column_data {
    ls_column   column;
    const char *dataset;  /* path of the HDF5 dataset, without the leading '/' */
    int64_t     elements; /* of one sample */
} ls_array_column_data;

typedef struct ls_scaler_column {
    char    name[LS_COLUMN_NAME];
    int64_t count; /* means: channels of a sample of rank >= 2, else elements of the sample */
    int64_t each;  /* elements of a sample that share one mean */
    double *mean, *std;
} ls_scaler_column;

struct ls_scaler {
    ls_arena        *arena;
    int              columns; /* inputs and regression targets */
    ls_scaler_column column[LS_MAX_INPUTS];
};

typedef struct ls_array_set {
    ls_dataset              base;
    int                     files, columns, inputs;
    ls_array_file          *file;
    ls_array_column_data    column[LS_MAX_INPUTS]; /* inputs, then targets */
    int                     label_column;          /* target of a classification; -1: none */
    int32_t                *labels;                /* of all rows of the files */
    int64_t                 skip;                  /* first row of the split, in rows of all files */
    ls_scaler              *scaler;                /* NULL: values are delivered unscaled */
    const ls_scaler_column *scale[LS_MAX_INPUTS];  /* entry of `scaler` for each column; NULL: none */
    pthread_mutex_t         lock;                  /* serialises reads through HDF5 */
} ls_array_set;

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* Opens and checks the array of a column in file `f`.  The first file sets the column's shape, the first column the
 * file's number of samples. */
ls_status ls__array_open_part(ls_array_set *d, ls_array_file *f, int column, int64_t file_bytes);
/* Checks that a dataset, and each group on the way to it, is in this file. */
ls_status ls__array_check_links(const char *path, hid_t file, const char *name);
/* Index into stored_types for the type of a dataset, and the bytes of its element; -1: only HDF5 can convert it. */
int ls__array_stored_as(hid_t set);
int ls__array_stored_bytes(int stored);
/* Whether the elements of that type are integers. */
bool ls__array_stored_is_integer(int stored);

/* Appends the labels of an open file to d->labels. */
ls_status ls__array_append_labels(ls_array_set *d, const ls_array_file *f);
/* Reads the optional /class_names; *named: their number, unchanged if there are none. */
ls_status ls__array_class_names(ls_array_set *d, const ls_array_file *f, int64_t file_bytes, int *named);
/* Sets the number of classes and their names.  Rows [cut, rows) are held out (cut = rows: none). */
ls_status ls__array_count_classes(ls_array_set *d, bool folder, int64_t rows, int64_t cut, int named);

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* The set behind a dataset; LS_ERR_USAGE for another kind of dataset. */
ls_status ls__array_set_of(ls_dataset *d, ls_array_set **set);

/* Reads `n` samples of a column, from sample `first` of the split on.  Fails on NaN and infinity.  Thread-safe. */
ls_status ls__array_values(ls_array_set *d, int column, int64_t first, int64_t n, double *values);

/* The file and the row in it of sample i, for messages. */
const ls_array_file *ls__array_file_of(const ls_array_set *d, int64_t i, int64_t *row);

#endif
