/* SPDX-License-Identifier: Apache-2.0
 * Arrays of HDF5 files: every storage gives the same values, splits, classes, and batches for any number of ranks. */
/* labels: io */
#include <math.h>

#include "datasets/array/array_files.h"
#include "unit.h"

static char folder[FILES_PATH];

static const char *at(const char *name)
{
    static char path[FILES_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int setup(void **state)
{
    folder_make(folder);
    return 0;
}

static int teardown(void **state)
{
    folder_remove(folder);
    return 0;
}

static const ls_array_columns REGRESSION = {.inputs = 1, .targets = 1, .input = {"x"}, .target = {"y"}};
static const ls_array_columns CLASSES    = {
       .inputs = 1, .targets = 1, .input = {"x"}, .target = {"/y"}, .task = LS_ARRAY_CLASSIFICATION};

static void every_storage_gives_the_same_values(void **state)
{
    enum { N = 40, F = 5 };
    hid_t            half    = float16_type();
    const array_spec specs[] = {{0},
                                {.stored = H5T_IEEE_F64LE},
                                {.stored = H5T_IEEE_F32BE},
                                {.stored = half},
                                {.chunk = {8, 5}},
                                {.chunk = {7, 2}},
                                {.chunk = {16, 3}, .gzip = 6, .shuffle = true},
                                {.stored = H5T_IEEE_F64BE, .chunk = {1, 5}, .gzip = 1}};
    for (size_t k = 0; k < sizeof specs / sizeof *specs; k++) {
        ls_dataset *d;
        double      values[N * F];
        regression_file(at("a.h5"), N, F, specs[k], 0);
        assert_ok(ls_dataset_open_arrays(&d, at("a.h5"), NULL, &REGRESSION));
        assert_int_equal(ls_dataset_info_of(d).count, N);
        assert_ok(ls_dataset_values(d, 0, 0, N, values));
        for (int i = 0; i < N; i++)
            for (int j = 0; j < F; j++) assert_true(values[i * F + j] == array_value(i, j));
        assert_ok(ls_dataset_values(d, 0, 13, 2, values));
        assert_true(values[F] == array_value(14, 0));
        ls_dataset_free(d);
    }
    H5Tclose(half);
}

static void every_integer_type_is_read(void **state)
{
    const hid_t types[] = {H5T_STD_I8LE,  H5T_STD_U8LE,  H5T_STD_I16LE, H5T_STD_U16LE, H5T_STD_I32LE,
                           H5T_STD_U32LE, H5T_STD_I64LE, H5T_STD_U64LE, H5T_STD_I16BE};
    double      x[6]    = {0, 1, 2, 100, 101, 127};
    hsize_t     dim     = 6;
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        ls_dataset      *d;
        double           values[6];
        ls_array_columns c    = {.inputs = 1, .input = {"group/x"}};
        hid_t            file = h5_create(at("i.h5"));
        h5_put(file, "group/x", 1, &dim, x, (array_spec){.stored = types[k]});
        H5Fclose(file);
        assert_ok(ls_dataset_open_arrays(&d, at("i.h5"), NULL, &c));
        ls_dataset_info info = ls_dataset_info_of(d);
        assert_int_equal(info.columns, 1);
        assert_string_equal(info.column[0].name, "group/x");
        assert_int_equal(info.column[0].rank, 1);
        assert_int_equal(info.column[0].dim[0], 1);
        assert_ok(ls_dataset_values(d, 0, 0, 6, values));
        assert_memory_equal(values, x, sizeof x);
        ls_dataset_free(d);
    }
}

static void columns_have_the_shape_of_a_sample(void **state)
{
    hsize_t     x[5] = {6, 2, 3, 4, 5}, y[2] = {6, 2};
    double      zero[6 * 120] = {0};
    ls_dataset *d;
    hid_t       file = h5_create(at("f.h5"));
    h5_put(file, "field", 4, x, zero, (array_spec){0});
    h5_put(file, "density", 5, x, zero, (array_spec){0});
    h5_put(file, "out", 2, y, zero, (array_spec){0});
    H5Fclose(file);
    ls_array_columns c = {.inputs = 2, .targets = 1, .input = {"field", "/density"}, .target = {"out"}};
    assert_ok(ls_dataset_open_arrays(&d, at("f.h5"), NULL, &c));
    ls_dataset_info info = ls_dataset_info_of(d);
    assert_int_equal(info.kind, LS_DATA_ARRAYS);
    assert_int_equal(info.columns, 3);
    assert_int_equal(info.column[0].rank, 3);
    assert_int_equal(info.column[0].dim[0], 2);
    assert_int_equal(info.column[0].dim[2], 4);
    assert_string_equal(info.column[1].name, "density");
    assert_int_equal(info.column[1].rank, 4);
    assert_int_equal(info.column[1].role, LS_COLUMN_INPUT);
    assert_int_equal(info.column[2].role, LS_COLUMN_TARGET);
    assert_int_equal(info.column[2].type, LS_F32);
    assert_int_equal(info.column[2].dim[0], 2);
    ls_dataset_free(d);
}

static void a_single_file_holds_out_its_last_tenth(void **state)
{
    ls_dataset *train, *test;
    double      value;
    regression_file(at("one.h5"), 57, 2, (array_spec){0}, 0);
    assert_ok(ls_dataset_open_arrays(&train, at("one.h5"), "train", &REGRESSION));
    assert_ok(ls_dataset_open_arrays(&test, at("one.h5"), "test", &REGRESSION));
    assert_int_equal(ls_dataset_info_of(train).count, 52);
    assert_int_equal(ls_dataset_info_of(test).count, 5);
    assert_string_equal(ls_dataset_info_of(test).split, "test");
    double both[2];
    assert_ok(ls_dataset_values(test, 0, 0, 1, both));
    assert_true(both[1] == array_value(52, 1));
    assert_fails(ls_dataset_values(train, 0, 51, 2, both), LS_ERR_USAGE, "samples within 0 to 51");
    assert_fails(ls_dataset_values(train, 2, 0, 1, &value), LS_ERR_USAGE, "column: expected 0 to 1");
    ls_dataset_free(train);
    ls_dataset_free(test);
}

static void folders_and_shards(void **state)
{
    char        path[FILES_PATH + 64];
    ls_dataset *d;
    double      values[30];
    snprintf(path, sizeof path, "%s/set", folder);
    mkdir(path, 0777);
    regression_file(at("set/train-00000-of-00002.h5"), 10, 3, (array_spec){0}, 3);
    regression_file(at("set/train-00001-of-00002.h5"), 4, 3, (array_spec){.chunk = {2, 2}}, 5);
    regression_file(at("set/test.h5"), 7, 3, (array_spec){0}, 7);
    assert_ok(ls_dataset_open_arrays(&d, path, "train", &CLASSES));
    ls_dataset_info info = ls_dataset_info_of(d);
    assert_int_equal(info.count, 14);
    assert_int_equal(info.classes, 7); /* class 6 occurs in test only */
    assert_string_equal(info.class_names[6], "6");
    assert_int_equal(info.column[1].type, LS_I32);
    assert_int_equal(info.column[1].rank, 0);
    assert_ok(ls_dataset_values(d, 0, 8, 4, values));
    assert_true(values[3] == array_value(9, 0));
    assert_true(values[6] == array_value(0, 0));
    assert_ok(ls_dataset_values(d, 1, 8, 6, values));
    assert_true(values[1] == 0 && values[2] == 0 && values[5] == 3);
    ls_dataset_free(d);
    assert_fails(ls_dataset_open_arrays(&d, path, "valid", &CLASSES), LS_ERR_DATA, "splits found: test, train");
}

static void class_names_come_from_the_file(void **state)
{
    const char *const names[4] = {"calm", "rain", "storm", "never"};
    ls_dataset       *d;
    for (int k = 4; k >= 2; k -= 2) {
        regression_file(at("n.h5"), 30, 1, (array_spec){0}, 3);
        hid_t file = H5Fopen(at("n.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
        h5_put_strings(file, "class_names", k, names);
        H5Fclose(file);
        if (k == 2) {
            assert_fails(ls_dataset_open_arrays(&d, at("n.h5"), "train", &CLASSES), LS_ERR_DATA,
                         "/class_names: has 2 names, but /y has class 2");
            return;
        }
        assert_ok(ls_dataset_open_arrays(&d, at("n.h5"), "train", &CLASSES));
        assert_int_equal(ls_dataset_info_of(d).classes, 4);
        assert_string_equal(ls_dataset_info_of(d).class_names[2], "storm");
        ls_dataset_free(d);
    }
}

/* h5py writes bool as an enumeration of int8. */
static void booleans_are_two_classes(void **state)
{
    int8_t      values[20];
    hsize_t     dim = 20;
    ls_dataset *d;
    hid_t       type = H5Tenum_create(H5T_STD_I8LE), space = H5Screate_simple(1, &dim, NULL);
    for (int8_t v = 0; v < 2; v++) H5Tenum_insert(type, v ? "TRUE" : "FALSE", &v);
    for (int i = 0; i < 20; i++) values[i] = i % 3 == 0;
    regression_file(at("b.h5"), 20, 1, (array_spec){0}, 0);
    hid_t file = H5Fopen(at("b.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
    H5Ldelete(file, "y", H5P_DEFAULT);
    hid_t set = H5Dcreate2(file, "y", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Tclose(type);
    H5Fclose(file);
    assert_ok(ls_dataset_open_arrays(&d, at("b.h5"), NULL, &CLASSES));
    assert_int_equal(ls_dataset_info_of(d).classes, 2);
    double found[4];
    assert_ok(ls_dataset_values(d, 1, 2, 4, found));
    assert_true(found[0] == 0 && found[1] == 1 && found[2] == 0);
    ls_dataset_free(d);
}

/* All ranks together deliver each sample once, with the values of the file. */
static void batches_do_not_depend_on_ranks(void **state)
{
    enum { N = 23, BATCH = 5, SHARDS = 4 };
    for (int ranks = 1; ranks <= 3; ranks++)
        for (int chunked = 0; chunked < 2; chunked++) {
            int         seen[N] = {0};
            ls_dataset *d;
            regression_file(at("r.h5"), N, 2, (array_spec){.chunk = {chunked ? 4 : 0, 1}}, 0);
            for (int rank = 0; rank < ranks; rank++) {
                ls_loader *l;
                ls_batch   b;
                int64_t    position = 0;
                assert_ok(ls_dataset_open_arrays(&d, at("r.h5"), NULL, &REGRESSION));
                assert_ok(ls_loader_new(&l, d, .batch = BATCH, .shards = SHARDS, .ranks = ranks, .rank = rank,
                                        .seed = 3, .epochs = 1));
                while (ls_loader_next(l, &b)) {
                    const float *x = b.data[0], *y = b.data[1];
                    assert_int_equal(b.inputs, 2);
                    assert_string_equal(b.name[0], "x");
                    for (int64_t k = 0; k < b.rows; k++) {
                        int64_t i = ls_sample_at(3, 0, N, position + b.first + k);
                        assert_true(x[2 * k] == (float)array_value(i, 0));
                        assert_true(y[k] == x[2 * k] + x[2 * k + 1]);
                        seen[i]++;
                    }
                    position += b.global_rows;
                }
                assert_ok(ls_loader_status(l));
                ls_loader_free(l);
                ls_dataset_free(d);
            }
            for (int i = 0; i < N; i++) assert_int_equal(seen[i], 1);
        }
}

static void verify_reads_all_values(void **state)
{
    ls_dataset *d;
    int         files, checked;
    double      x[10] = {0};
    hsize_t     dim   = 10;
    regression_file(at("v.h5"), 12, 3, (array_spec){0}, 0);
    assert_ok(ls_dataset_open_arrays(&d, at("v.h5"), NULL, &REGRESSION));
    assert_ok(ls_dataset_verify(d, &files, &checked));
    assert_int_equal(files, 1);
    ls_dataset_free(d);
    x[7]       = -INFINITY;
    hid_t file = h5_create(at("v.h5"));
    h5_put(file, "x", 1, &dim, x, (array_spec){0});
    H5Fclose(file);
    ls_array_columns c = {.inputs = 1, .input = {"x"}};
    assert_ok(ls_dataset_open_arrays(&d, at("v.h5"), NULL, &c));
    assert_fails(ls_dataset_verify(d, &files, &checked), LS_ERR_DATA,
                 "/x: sample 7: element 0 is -inf; expected a finite number");
    ls_dataset_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_storage_gives_the_same_values),
        cmocka_unit_test(every_integer_type_is_read),
        cmocka_unit_test(columns_have_the_shape_of_a_sample),
        cmocka_unit_test(a_single_file_holds_out_its_last_tenth),
        cmocka_unit_test(folders_and_shards),
        cmocka_unit_test(class_names_come_from_the_file),
        cmocka_unit_test(booleans_are_two_classes),
        cmocka_unit_test(batches_do_not_depend_on_ranks),
        cmocka_unit_test(verify_reads_all_values),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
