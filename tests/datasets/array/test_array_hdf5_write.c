/* SPDX-License-Identifier: Apache-2.0
 * The writer of arrays: what it writes can be read, and what fails leaves nothing behind. */
/* labels: io */
#include "datasets/array/array_files.h"
#include "unit.h"

static char folder[FILES_PATH], path[FILES_PATH + 32];

static int setup(void **state)
{
    folder_make(folder);
    snprintf(path, sizeof path, "%s/new/p.h5", folder);
    return 0;
}

static int teardown(void **state)
{
    folder_remove(folder);
    return 0;
}

enum { N = 3000, F = 40 };

static void all_types_and_shapes_are_read_again(void **state)
{
    const ls_array_output outputs[] = {{.name = "field", .type = LS_ARRAY_F32, .rank = 2, .dim = {5, 8}},
                                       {.name = "wide", .type = LS_ARRAY_F64},
                                       {.name = "class", .type = LS_ARRAY_I32}};
    const char *const     names[]   = {"one", "two", "three"};
    ls_array_writer      *w;
    ls_dataset           *d;
    assert_ok(ls_array_writer_new(&w, path, N, outputs, 3));
    assert_ok(ls_array_writer_strings(w, "class_names", 3, names));
    for (int i = 0; i < N; i++) {
        float   field[F];
        double  wide = i / 3.0;
        int32_t k    = i % 3;
        for (int j = 0; j < F; j++) field[j] = (float)(i * F + j);
        assert_ok(ls_array_writer_add(w, (const void *const[]){field, &wide, &k}));
    }
    assert_fails(ls_array_writer_add(w, (const void *const[]){NULL, NULL, NULL}), LS_ERR_USAGE,
                 "expected 3000 samples");
    assert_int_equal(access(path, F_OK), -1);
    assert_ok(ls_array_writer_close(w));
    ls_array_writer_free(w);

    ls_array_columns c = {
        .inputs = 2, .targets = 1, .input = {"field", "wide"}, .target = {"class"}, .task = LS_ARRAY_CLASSIFICATION};
    assert_ok(ls_dataset_open_arrays(&d, path, NULL, &c));
    ls_dataset_info info = ls_dataset_info_of(d);
    assert_int_equal(info.count, N);
    assert_int_equal(info.column[0].rank, 2);
    assert_string_equal(info.class_names[2], "three");
    for (int i = 0; i < N; i += 7) {
        double field[F], wide, k;
        assert_ok(ls_dataset_values(d, 0, i, 1, field));
        assert_ok(ls_dataset_values(d, 1, i, 1, &wide));
        assert_ok(ls_dataset_values(d, 2, i, 1, &k));
        for (int j = 0; j < F; j++) assert_true(field[j] == i * F + j);
        assert_true(wide == i / 3.0 && k == i % 3);
    }
    ls_dataset_free(d);
    unlink(path);
}

static void an_unfinished_file_leaves_nothing(void **state)
{
    const ls_array_output output = {.name = "y", .type = LS_ARRAY_F32};
    ls_array_writer      *w;
    float                 y = 1;
    char                  parent[FILES_PATH + 32];
    snprintf(parent, sizeof parent, "%s/new", folder);
    folder_remove(parent);
    assert_ok(ls_array_writer_new(&w, path, 2, &output, 1));
    assert_ok(ls_array_writer_add(w, (const void *const[]){&y}));
    assert_fails(ls_array_writer_close(w), LS_ERR_USAGE, "p.h5: expected 2 samples, found 1");
    ls_array_writer_free(w);
    assert_int_equal(folder_count(folder), 0);
}

static void arguments_are_checked(void **state)
{
    static const struct {
        const char     *path;
        int64_t         count;
        ls_array_output output;
        const char     *message;
    } cases[] = {
        {"p.txt", 1, {.name = "y"}, "p.txt: expected the name of a file that ends in .h5"},
        {".h5", 1, {.name = "y"}, "ends in .h5"},
        {"p.h5", 0, {.name = "y"}, "expected at least 1 sample"},
        {"p.h5", 1, {.name = "a/b"}, "expected a name of 1 to 63 bytes without '/'"},
        {"p.h5", 1, {.name = ""}, "expected a name of 1 to 63 bytes"},
        {"p.h5", 1, {.name = "y", .rank = 7}, "/y: rank: expected 0 to 6, found 7"},
        {"p.h5", 1, {.name = "y", .rank = 1}, "/y: expected 1 byte to 256 MiB a sample"},
        {"p.h5", 1, {.name = "y", .rank = 2, .dim = {1 << 20, 1 << 20}}, "/y: expected 1 byte to 256 MiB"},
        {"p.h5", INT64_MAX, {.name = "y"}, "/y: expected fewer samples"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls_array_writer *w;
        char             file[FILES_PATH + 32];
        snprintf(file, sizeof file, "%s/%s", folder, cases[i].path);
        assert_fails(ls_array_writer_new(&w, file, cases[i].count, &cases[i].output, 1), LS_ERR_USAGE,
                     cases[i].message);
        assert_null(w);
    }
    assert_int_equal(folder_count(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_types_and_shapes_are_read_again),
        cmocka_unit_test(an_unfinished_file_leaves_nothing),
        cmocka_unit_test(arguments_are_checked),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
