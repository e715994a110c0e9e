/* SPDX-License-Identifier: Apache-2.0
 * HDF5 attributes and datasets with types, ranks, sizes, chunks and values that the fuzzer's bytes choose.  Such files
 * are valid for HDF5, and reach the checks of the code under test; mutations of a file's bytes seldom do. */
#ifndef TESTS_FUZZ_RANDOM_HDF5_H
#define TESTS_FUZZ_RANDOM_HDF5_H

#include <hdf5.h>

#include "tests/fuzz/fuzz.h"

/* The bytes not yet used. */
typedef struct source {
    const uint8_t *at, *end;
} source;

static inline unsigned next(source *s) { return s->at < s->end ? *s->at++ : 0; }

/* A size: small as a rule, sometimes absurd. */
static inline hsize_t next_size(source *s)
{
    unsigned v = next(s);
    return v < 200 ? v % 9 : v < 240 ? (hsize_t)1 << v % 63 : ~(hsize_t)0 >> v % 16;
}

static inline hid_t next_type(source *s)
{
    const hid_t types[] = {H5T_STD_U8LE,   H5T_STD_I32LE, H5T_IEEE_F32LE, H5T_STD_I64BE,
                           H5T_IEEE_F64LE, H5T_STD_I8LE,  H5T_STD_U16LE,  H5T_C_S1};
    unsigned    v       = next(s);
    hid_t       t       = H5Tcopy(types[v % 8]);
    if (v % 8 == 7) H5Tset_size(t, v & 16 ? H5T_VARIABLE : 1 + v / 8);
    return t;
}

static inline void fill(source *s, uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) data[i] = (uint8_t)next(s);
}

static inline void make_attribute(hid_t file, const char *name, hid_t normal, hsize_t n, source *s)
{
    uint8_t  data[512] = {0};
    unsigned how       = next(s);
    if (how > 250) return;
    hid_t type = how > 220 ? next_type(s) : H5Tcopy(normal);
    if (how > 200) n = next_size(s) % 9;
    hid_t space = n ? H5Screate_simple(1, &n, NULL) : H5Screate(how > 240 ? H5S_NULL : H5S_SCALAR);
    hid_t a     = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    fill(s, data, 24);
    if (H5Tis_variable_str(type) > 0) {
        const char *text[9] = {"train", "test", (char *)data + 16, "", "x", "y", "z", "train", "train"};
        data[23]            = 0;
        H5Awrite(a, type, text);
    } else
        H5Awrite(a, type, data);
    H5Aclose(a);
    H5Sclose(space);
    H5Tclose(type);
}

static inline void make_set(hid_t file, const char *name, hid_t normal, int rank, const hsize_t *dims, source *s)
{
    static uint8_t data[1 << 16];
    hsize_t        dim[8], chunk[8], n = 1;
    unsigned       how = next(s);
    if (how > 250) return;
    hid_t type = how > 220 ? next_type(s) : H5Tcopy(normal);
    if (how > 210) rank = (int)(next(s) % 6);
    for (int i = 0; i < rank; i++) {
        dim[i]   = how > 200 || i >= 4 ? next_size(s) : dims[i];
        chunk[i] = how & 1 && next(s) < 200 ? dim[i] : next_size(s) + 1;
        if (n && __builtin_mul_overflow(n, dim[i], &n)) n = ~(hsize_t)0;
    }
    hid_t space = rank ? H5Screate_simple(rank, dim, NULL) : H5Screate(H5S_SCALAR), p = H5Pcreate(H5P_DATASET_CREATE);
    if (how % 4 == 1 && rank) {
        H5Pset_chunk(p, rank, chunk);
        if (how & 8) H5Pset_deflate(p, 1);
    }
    if (how % 4 == 2) H5Pset_layout(p, H5D_COMPACT);
    hid_t set = space >= 0 ? H5Dcreate2(file, name, type, space, H5P_DEFAULT, p, H5P_DEFAULT) : -1;
    if (set >= 0 && n < sizeof data / 64 && H5Tget_class(type) != H5T_STRING) {
        fill(s, data, 64);
        if (how & 16) memset(data, 0, 64);
        H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    }
    if (set >= 0 && n < 512 && H5Tis_variable_str(type) > 0) {
        static const char *text[512];
        for (int i = 0; i < 512; i++) text[i] = i % 3 ? "name" : "another name";
        H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text);
    }
    if (set >= 0) H5Dclose(set);
    H5Pclose(p);
    if (space >= 0) H5Sclose(space);
    H5Tclose(type);
}

/* ---- arrays and attributes of known types ------------------------------------------------------------------------ */

static inline void fuzz_put_array(hid_t file, const char *name, hid_t stored, hid_t memory, hsize_t count,
                                  const void *values)
{
    hid_t space = H5Screate_simple(1, &count, NULL),
          set   = H5Dcreate2(file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (count) H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(set);
    H5Sclose(space);
}

static inline void fuzz_put_number(hid_t file, const char *name, int64_t value)
{
    hid_t space = H5Screate(H5S_SCALAR), a = H5Acreate2(file, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, H5T_NATIVE_INT64, &value);
    H5Aclose(a);
    H5Sclose(space);
}

static inline void fuzz_put_text(hid_t file, const char *name, const char *value)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, strlen(value));
    hid_t a = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, type, value);
    H5Aclose(a);
    H5Sclose(space);
    H5Tclose(type);
}

#endif
