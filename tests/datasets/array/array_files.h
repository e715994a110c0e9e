/* SPDX-License-Identifier: Apache-2.0
 * Writes small HDF5 files with the C API in the ways that h5py has: contiguous, chunked, compressed, any type. */
#ifndef TESTS_DATASETS_ARRAY_FILES_H
#define TESTS_DATASETS_ARRAY_FILES_H

#include <hdf5.h>
#include <stdlib.h>

#include "datasets/dataset_files_for_tests.h"

typedef struct array_spec {
    hid_t   stored; /* 0: float32, little-endian                     */
    hsize_t chunk[4];
    int     gzip; /* level; 0: not compressed                        */
    bool    shuffle;
} array_spec;

/* float16, as h5py writes it. */
static inline hid_t float16_type(void)
{
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, 10, 5, 0, 10);
    H5Tset_precision(type, 16);
    H5Tset_ebias(type, 15);
    H5Tset_size(type, 2);
    return type;
}

static inline hid_t h5_create(const char *path)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (file < 0) abort();
    return file;
}

/* Writes an array of doubles as `spec` describes it. */
static inline void h5_put(hid_t file, const char *name, int rank, const hsize_t *dim, const double *values,
                          array_spec spec)
{
    hid_t space = H5Screate_simple(rank, dim, NULL), create = H5Pcreate(H5P_DATASET_CREATE),
          link = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(link, 1);
    if (spec.chunk[0]) H5Pset_chunk(create, rank, spec.chunk);
    if (spec.shuffle) H5Pset_shuffle(create);
    if (spec.gzip) H5Pset_deflate(create, (unsigned)spec.gzip);
    hid_t set = H5Dcreate2(file, name, spec.stored ? spec.stored : H5T_IEEE_F32LE, space, link, create, H5P_DEFAULT);
    if (set < 0 || (values && H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)) abort();
    H5Dclose(set);
    H5Pclose(link);
    H5Pclose(create);
    H5Sclose(space);
}

/* Strings of a fixed length, as numpy's 'S' type. */
static inline void h5_put_strings(hid_t file, const char *name, int n, const char *const *text)
{
    enum { EACH = 8 };
    char    raw[32][EACH] = {{0}};
    hsize_t dim           = (hsize_t)n;
    hid_t   type          = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, EACH);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    for (int i = 0; i < n; i++) memcpy(raw[i], text[i], strlen(text[i]));
    hid_t space = H5Screate_simple(1, &dim, NULL);
    hid_t set   = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (set < 0 || H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw) < 0) abort();
    H5Dclose(set);
    H5Sclose(space);
    H5Tclose(type);
}

/* Value j of sample i in the arrays below. */
static inline double array_value(int64_t i, int64_t j)
{
    return (double)((i * 7 + j * 3) % 11) - 4 + 0.25 * (double)(j % 3);
}

/* A file with /x, N x F, and /y, N: the sum of the features, or the class i % classes. */
static inline void regression_file(const char *path, int64_t n, int64_t features, array_spec x, int classes)
{
    hsize_t dim[2] = {(hsize_t)n, (hsize_t)features};
    double *values = malloc((size_t)(n * features) * sizeof *values), *y = calloc((size_t)n, sizeof *y);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < features; j++) {
            values[i * features + j] = array_value(i, j);
            y[i]                     = classes ? (double)(i % classes) : y[i] + array_value(i, j);
        }
    hid_t file = h5_create(path);
    h5_put(file, "x", 2, dim, values, x);
    h5_put(file, "y", 1, dim, y, (array_spec){.stored = classes ? H5T_STD_I64LE : H5T_IEEE_F64LE});
    H5Fclose(file);
    free(values);
    free(y);
}

#endif
