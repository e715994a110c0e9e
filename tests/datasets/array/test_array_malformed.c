/* SPDX-License-Identifier: Apache-2.0
 * Malformed array files: each is refused with a message that names the file, the array and the cause. */
/* labels: io */
#include <math.h>

#include "datasets/array/array_files.h"
#include "unit.h"

static char folder[FILES_PATH];
static char bad[FILES_PATH + 64]; /* the file under test */

static int setup(void **state)
{
    folder_make(folder);
    snprintf(bad, sizeof bad, "%s/bad.h5", folder);
    return 0;
}

static int teardown(void **state)
{
    folder_remove(folder);
    return 0;
}

enum { N = 40, F = 3 };

static double zeros[1 << 16];

static void put(hid_t file, const char *name, int rank, hsize_t n, hsize_t m, hid_t stored)
{
    hsize_t dim[3] = {n, m, 1};
    h5_put(file, name, rank, dim, zeros, (array_spec){.stored = stored});
}

/* A good file with /x and /y, to which a case adds something or from which it removes something. */
static hid_t good(void)
{
    regression_file(bad, N, F, (array_spec){0}, 0);
    return H5Fopen(bad, H5F_ACC_RDWR, H5P_DEFAULT);
}

static hid_t without(const char *name)
{
    hid_t file = good();
    H5Ldelete(file, name, H5P_DEFAULT);
    return file;
}

/* ---- the cases --------------------------------------------------------------------------------------------------- */

static void missing_array(void) { H5Fclose(without("x")); }

static void scalar_array(void)
{
    hid_t file = without("x"), space = H5Screate(H5S_SCALAR);
    H5Dclose(H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
    H5Fclose(file);
}

static void null_array(void)
{
    hid_t file = without("x"), space = H5Screate(H5S_NULL);
    H5Dclose(H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
    H5Fclose(file);
}

static void fewer_targets(void)
{
    hid_t file = without("y");
    put(file, "y", 1, N - 1, 0, 0);
    H5Fclose(file);
}

static void strings(void)
{
    const char *const text[3] = {"a", "b", "c"};
    hid_t             file    = without("x");
    h5_put_strings(file, "x", 3, text);
    H5Fclose(file);
}

static void compound(void)
{
    hsize_t dim  = N;
    hid_t   file = without("x"), type = H5Tcreate(H5T_COMPOUND, 8), space = H5Screate_simple(1, &dim, NULL);
    H5Tinsert(type, "re", 0, H5T_IEEE_F32LE);
    H5Tinsert(type, "im", 4, H5T_IEEE_F32LE);
    H5Dclose(H5Dcreate2(file, "x", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Tclose(type);
    H5Sclose(space);
    H5Fclose(file);
}

static void no_samples(void)
{
    hid_t file = without("x");
    put(file, "x", 2, 0, F, 0);
    H5Fclose(file);
}

static void no_elements(void)
{
    hid_t file = without("x");
    put(file, "x", 2, N, 0, 0);
    H5Fclose(file);
}

static void external_link(void)
{
    hid_t file = without("x");
    H5Lcreate_external("/etc/passwd", "/x", file, "x", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
}

static void soft_link(void)
{
    hid_t file = without("x");
    H5Lcreate_soft("/y", file, "x", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
}

static void virtual_dataset(void)
{
    hsize_t dim[2] = {N, F};
    hid_t   file = without("x"), space = H5Screate_simple(2, dim, NULL), create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_virtual(create, space, "/etc/passwd", "x", space);
    H5Dclose(H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, create, H5P_DEFAULT));
    H5Pclose(create);
    H5Sclose(space);
    H5Fclose(file);
}

static void external_storage(void)
{
    hsize_t dim[2] = {N, F};
    hid_t   file = without("x"), space = H5Screate_simple(2, dim, NULL), create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(create, "/etc/passwd", 0, N * F * 4);
    H5Dclose(H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, create, H5P_DEFAULT));
    H5Pclose(create);
    H5Sclose(space);
    H5Fclose(file);
}

/* A contiguous array without storage: HDF5 allocates it at the first write. */
static void never_written(void)
{
    hsize_t dim[2] = {N, F};
    hid_t   file   = without("x");
    h5_put(file, "x", 2, dim, NULL, (array_spec){0});
    H5Fclose(file);
}

static void chunks_missing(void)
{
    hsize_t dim[2] = {N, F}, more[2] = {N, 2 * F}, most[2] = {N, H5S_UNLIMITED};
    hid_t   file = without("x"), space = H5Screate_simple(2, dim, most), create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(create, 2, dim);
    hid_t set = H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, create, H5P_DEFAULT);
    H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros);
    H5Dset_extent(set, more);
    H5Dclose(set);
    H5Pclose(create);
    H5Sclose(space);
    H5Fclose(file);
}

static void huge_chunks(void)
{
    hsize_t dim[2] = {N, 1 << 20}, chunk[2] = {N * 4, 1 << 20}, most[2] = {H5S_UNLIMITED, 1 << 20};
    hid_t   file = without("x"), space = H5Screate_simple(2, dim, most), create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(create, 2, chunk);
    H5Dclose(H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, create, H5P_DEFAULT));
    H5Pclose(create);
    H5Sclose(space);
    H5Fclose(file);
}

static void huge_samples(void)
{
    hsize_t dim[2] = {N, 1 << 28};
    hid_t   file   = without("x");
    h5_put(file, "x", 2, dim, NULL, (array_spec){0});
    H5Fclose(file);
}

static void absurd_size(void)
{
    hsize_t dim[3] = {1ull << 40, 1 << 12, 1 << 11}, chunk[3] = {1, 1 << 12, 1 << 11};
    hid_t   file = without("x");
    h5_put(file, "x", 3, dim, NULL, (array_spec){.chunk = {chunk[0], chunk[1], chunk[2]}});
    H5Fclose(file);
}

static void too_many_dims(void)
{
    hsize_t dim[8] = {N, 1, 1, 1, 1, 1, 1, 1};
    hid_t   file   = without("x");
    h5_put(file, "x", 8, dim, zeros, (array_spec){0});
    H5Fclose(file);
}

static void truncated(void)
{
    H5Fclose(good());
    assert_int_equal(truncate(bad, file_bytes(bad) - 100), 0);
}

static void not_hdf5(void) { file_write(bad, "x,y\n1,2\n", 8); }

static void empty(void) { file_write(bad, "", 0); }

static void a_group(void)
{
    hid_t file = without("x");
    H5Gclose(H5Gcreate2(file, "x", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Fclose(file);
}

static void unknown_filter(void)
{
    hsize_t dim[2] = {N, F};
    hid_t   file = without("x"), space = H5Screate_simple(2, dim, NULL), create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(create, 2, dim);
    H5Pset_filter(create, H5Z_FILTER_NBIT, H5Z_FLAG_OPTIONAL, 0, NULL);
    H5Dclose(H5Dcreate2(file, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, create, H5P_DEFAULT));
    H5Pclose(create);
    H5Sclose(space);
    H5Fclose(file);
}

static void float_labels(void) { H5Fclose(good()); }

static void negative_label(void)
{
    double  y[N] = {0};
    hsize_t dim  = N;
    hid_t   file = without("y");
    y[17]        = -1;
    h5_put(file, "y", 1, &dim, y, (array_spec){.stored = H5T_STD_I16LE});
    H5Fclose(file);
}

static void huge_label(void)
{
    double  y[N] = {0};
    hsize_t dim  = N;
    hid_t   file = without("y");
    y[3]         = 1e12;
    h5_put(file, "y", 1, &dim, y, (array_spec){.stored = H5T_STD_I64LE});
    H5Fclose(file);
}

static void one_hot_labels(void)
{
    hid_t file = without("y");
    put(file, "y", 2, N, 10, H5T_STD_I8LE);
    H5Fclose(file);
}

static void string_labels(void)
{
    const char *const text[4] = {"cat", "dog", "cat", "dog"};
    hid_t             file    = without("y");
    h5_put_strings(file, "y", 4, text);
    H5Fclose(file);
}

static void sorted_labels(void)
{
    double  y[N];
    hsize_t dim  = N;
    hid_t   file = without("y");
    for (int i = 0; i < N; i++) y[i] = i / 4;
    h5_put(file, "y", 1, &dim, y, (array_spec){.stored = H5T_STD_I64LE});
    H5Fclose(file);
}

static void one_sample(void) { regression_file(bad, 1, F, (array_spec){0}, 0); }

static const struct {
    const char *name;
    void (*write)(void);
    ls_array_task task;
    const char   *message;
} CASES[] = {
    {"missing array", missing_array, 0, "bad.h5: /x: no such array\n  hint: the file has: y"},
    {"scalar", scalar_array, 0, "/x: expected 1 to 7 dims, the first one the samples, found one value"},
    {"null", null_array, 0, "/x: expected 1 to 7 dims, the first one the samples, found nothing"},
    {"fewer targets", fewer_targets, 0, "/y: has 39 samples, but /x has 40"},
    {"strings", strings, 0, "/x: expected float16, float32, float64 or integers of at most 64 bits, found string"},
    {"compound", compound, 0, "found compound\n  hint: store each field as an array of its own"},
    {"no samples", no_samples, 0, "/x: has 0 samples"},
    {"no elements", no_elements, 0, "/x: is 40 x 0; expected at least 1 element a sample"},
    {"external link", external_link, 0, "/x: is a soft or external link"},
    {"soft link", soft_link, 0, "/x: is a soft or external link"},
    {"virtual dataset", virtual_dataset, 0, "/x: is a virtual dataset"},
    {"external storage", external_storage, 0, "in other files"},
    {"never written", never_written, 0, "has a shape but no data"},
    {"chunks missing", chunks_missing, 0, "/x: expected 2 chunks of data, found 1"},
    {"huge chunks", huge_chunks, 0, "/x: expected chunks of at most 256 MiB"},
    {"huge samples", huge_samples, 0, "/x: is 40 x 268435456; expected at most 256 MiB a sample"},
    {"absurd size", absurd_size, 0, "/x: is 1099511627776 x 4096 x 2048; expected fewer elements"},
    {"too many dims", too_many_dims, 0, "/x: expected 1 to 7 dims"},
    {"truncated", truncated, 0, "bad.h5: is no HDF5 file, or a damaged one"},
    {"not HDF5", not_hdf5, 0, "bad.h5: is no HDF5 file"},
    {"empty", empty, 0, "bad.h5: is empty"},
    {"group", a_group, 0, "/x: expected a data"},
    {"filter", unknown_filter, 0, "/x: is compressed by HDF5 filter 5 (nbit); expected none, gzip"},
    {"float labels", float_labels, LS_ARRAY_CLASSIFICATION, "/y: expected integers, the classes, found float64"},
    {"negative label", negative_label, LS_ARRAY_CLASSIFICATION, "/y: sample 17 has class -1; expected 0 to"},
    {"huge label", huge_label, LS_ARRAY_CLASSIFICATION, "/y: sample 3 has class 1000000000000; expected 0 to"},
    {"one-hot labels", one_hot_labels, LS_ARRAY_CLASSIFICATION, "/y: is 40 x 10; expected one class for each sample"},
    {"string labels", string_labels, LS_ARRAY_CLASSIFICATION,
     "found string\n  hint: store class indices, and the names"},
    {"sorted labels", sorted_labels, LS_ARRAY_CLASSIFICATION, "/y: class 9 occurs only in the last tenth"},
    {"one sample", one_sample, 0, "has 1 sample; expected at least 2"},
};

static void each_is_refused_with_its_cause(void **state)
{
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        ls_dataset      *d;
        ls_array_columns c = {.inputs = 1, .targets = 1, .input = {"x"}, .target = {"y"}, .task = CASES[i].task};
        CASES[i].write();
        if (ls_dataset_open_arrays(&d, bad, "train", &c) == LS_OK) fail_msg("%s: the file was accepted", CASES[i].name);
        assert_null(d);
        if (!strstr(ls_error_message(), CASES[i].message))
            fail_msg("%s: '%s' is not in: %s", CASES[i].name, CASES[i].message, ls_error_message());
        if (!strstr(ls_error_message(), "bad.h5: "))
            fail_msg("%s: the file is not named: %s", CASES[i].name, ls_error_message());
    }
}

static void shards_must_have_equal_shapes(void **state)
{
    char             path[FILES_PATH + 64];
    ls_dataset      *d;
    ls_array_columns c = {.inputs = 1, .input = {"x"}};
    snprintf(path, sizeof path, "%s/train-00000-of-00002.h5", folder);
    regression_file(path, 10, 3, (array_spec){0}, 0);
    snprintf(path, sizeof path, "%s/train-00001-of-00002.h5", folder);
    regression_file(path, 10, 4, (array_spec){0}, 0);
    assert_fails(ls_dataset_open_arrays(&d, folder, "train", &c), LS_ERR_DATA,
                 "train-00001-of-00002.h5: /x: its samples are 4; expected 3, as in ");
}

/* Broken gzip data are found when the chunk is read, by the loader's thread. */
static void damaged_chunks_name_the_sample(void **state)
{
    ls_dataset      *d;
    ls_loader       *l;
    ls_batch         b;
    ls_array_columns c = {.inputs = 1, .input = {"x"}};
    haddr_t          address;
    hsize_t          size, offset[2];
    unsigned         mask;
    uint8_t          junk[64];
    memset(junk, 0xa5, sizeof junk);
    regression_file(bad, N, F, (array_spec){.chunk = {4, F}, .gzip = 6}, 0);
    hid_t file = H5Fopen(bad, H5F_ACC_RDONLY, H5P_DEFAULT), set = H5Dopen2(file, "x", H5P_DEFAULT),
          space = H5Dget_space(set);
    assert_true(H5Dget_chunk_info(set, space, 5, offset, &mask, &address, &size) >= 0);
    H5Sclose(space);
    H5Dclose(set);
    H5Fclose(file);
    FILE *f = fopen(bad, "r+b");
    assert_int_equal(fseek(f, (long)address, SEEK_SET), 0);
    assert_int_equal(fwrite(junk, 1, size < sizeof junk ? size : sizeof junk, f),
                     size < sizeof junk ? size : sizeof junk);
    fclose(f);
    assert_ok(ls_dataset_open_arrays(&d, bad, NULL, &c));
    assert_ok(ls_loader_new(&l, d, .batch = 4, .shards = 1, .ranks = 1, .in_order = true, .epochs = 1));
    for (int k = 0; k < 5; k++) assert_true(ls_loader_next(l, &b));
    assert_false(ls_loader_next(l, &b));
    assert_fails(ls_loader_status(l), LS_ERR_DATA, "/x: sample 20 cannot be read");
    ls_loader_free(l);
    ls_dataset_free(d);
}

static void columns_are_checked(void **state)
{
    static const struct {
        ls_array_columns columns;
        const char      *message;
    } cases[] = {
        {{0}, "expected at least 1 input"},
        {{.inputs = LS_MAX_INPUTS + 1}, "expected at most 32 inputs and targets"},
        {{.inputs = 2, .input = {"x", "/x"}}, "/x: is named twice"},
        {{.inputs = 1, .input = {""}}, "expected the name of an array"},
        {{.inputs = 1, .targets = 2, .input = {"x"}, .target = {"y", "z"}, .task = LS_ARRAY_CLASSIFICATION},
         "a classification: expected 1 target, found 2"},
    };
    regression_file(bad, N, F, (array_spec){0}, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls_dataset *d;
        assert_fails(ls_dataset_open_arrays(&d, bad, NULL, &cases[i].columns), LS_ERR_USAGE, cases[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_refused_with_its_cause),
        cmocka_unit_test(shards_must_have_equal_shapes),
        cmocka_unit_test(damaged_chunks_name_the_sample),
        cmocka_unit_test(columns_are_checked),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
