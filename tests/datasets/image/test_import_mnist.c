/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * The import of idx files: samples arrive unchanged; an error names the malformed file, and no output remains. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <cmocka.h>

#include "tests/datasets/image/mnist_files.h"

static char in[FILES_PATH], out[FILES_PATH + 8];

static int setup(void **state)
{
    folder_make(in);
    snprintf(out, sizeof out, "%s/out", in);
    return 0;
}

static int teardown(void **state)
{
    folder_remove(in);
    return 0;
}

static void expect_imported(const char *split, int64_t count)
{
    ls_dataset *d;
    assert_int_equal(ls_dataset_open(&d, out, split), LS_OK);
    ls_dataset_info info = ls_dataset_info_of(d);
    assert_int_equal(info.count, count);
    assert_int_equal(info.channels, 1);
    assert_int_equal(info.height, IDX_SIDE);
    assert_int_equal(info.width, IDX_SIDE);
    assert_int_equal(info.classes, 10);
    assert_string_equal(info.class_names[9], "9");
    double sum = 0, squares = 0, n = IDX_TRAIN * IDX_SIDE * IDX_SIDE;
    for (int i = 0; i < IDX_TRAIN; i++)
        for (int p = 0; p < IDX_SIDE * IDX_SIDE; p++)
            sum += idx_pixel(i, p) / 255.0, squares += pow(idx_pixel(i, p) / 255.0, 2);
    assert_true(fabs(info.mean[0] - sum / n) < 1e-6);
    assert_true(fabs(info.std[0] - sqrt(squares / n - sum / n * sum / n)) < 1e-6);
    for (int64_t i = 0; i < count; i++) {
        uint8_t pixels[IDX_SIDE * IDX_SIDE];
        int32_t label;
        assert_int_equal(ls_dataset_read(d, i, pixels, &label), LS_OK);
        assert_int_equal(label, idx_label(i));
        for (int p = 0; p < IDX_SIDE * IDX_SIDE; p++) assert_int_equal(pixels[p], idx_pixel(i, p));
    }
    ls_dataset_free(d);
}

static void imports_plain_and_packed_files(void **state)
{
    for (int packed = 0; packed < 2; packed++)
        for (int shards = 1; shards <= 12; shards += 11) {
            idx_put_all(in, packed);
            assert_int_equal(ls_import_mnist(in, out, shards), LS_OK);
            assert_int_equal(folder_count(out), shards == 1 ? 2 : 12 + IDX_TEST);
            expect_imported("train", IDX_TRAIN);
            expect_imported("test", IDX_TEST);
            folder_remove(out);
        }
}

/* Each row changes some bytes of one file, or its length. */
static const struct wrong {
    const char *name, *message;
    int         file, at, value; /* at -1: no byte is changed */
    int         longer;          /* bytes added (or removed)  */
    int         packed;
} wrongs[] = {
    {"another magic", "starts with 0x00000903; expected 0x00000803", 0, 2, 9, 0, 0},
    {"labels for images", "files of images and labels are not swapped", 0, 3, 1, 0, 0},
    {"images for labels", "starts with 0x00000803; expected 0x00000801", 3, 3, 3, 0, 1},
    {"no samples", "has 0 samples", 0, 7, 0, 0, 1},
    {"one label fewer", "12 images, but 11 labels", 1, 7, 11, -1, 0},
    {"one label fewer in the header", "12 images, but 11 labels", 1, 7, 11, 0, 1},
    {"more samples than bytes", "its header needs", 0, 7, 13, 0, 0},
    {"more samples than bytes, packed", "12 labels", 0, 7, 13, 0, 1},
    {"millions of samples", "its header needs", 2, 4, 255, 0, 0},
    {"images of no width", "images of 0 pixels", 2, 15, 0, 0, 1},
    {"images too wide", "pixels a side; expected at most", 2, 12, 1, 0, 1},
    {"images of another size", "its header needs", 2, 15, 4, 0, 0},
    {"images of another size, packed", "ends within its images", 2, 15, 4, 0, 1},
    {"a label out of range", "sample 2 has label 10; expected 0 to 9", 1, 10, 10, 0, 1},
    {"truncated", "truncated", 0, -1, 0, -1, 0},
    {"truncated, packed", "ends within its images", 0, -1, 0, -1, 1},
    {"truncated labels, packed", "ends within its labels", 3, -1, 0, -2, 1},
    {"one byte too long", "longer than it should be", 2, -1, 0, 1, 0},
    {"one byte too long, packed", "has more data than the 5 samples", 2, -1, 0, 1, 1},
    {"nothing but a header", "truncated", 0, -1, 0, -108, 0},
    {"half a header", "ends within its header", 0, -1, 0, -118, 0},
    {"empty", "ends within its header", 3, -1, 0, -13, 0},
};

static void wrong_files_are_named_and_leave_nothing(void **state)
{
    for (size_t k = 0; k < sizeof wrongs / sizeof *wrongs; k++) {
        const struct wrong *w                   = &wrongs[k];
        uint8_t             data[IDX_BYTES + 8] = {0};
        size_t              bytes               = idx_make(w->file, data);
        if (w->at >= 0) data[w->at] = (uint8_t)w->value;
        idx_put_all(in, w->packed);
        idx_put(in, w->file, data, (size_t)((int)bytes + w->longer), w->packed);
        ls_status status = ls_import_mnist(in, out, 1);
        if (status != LS_ERR_DATA || !strstr(ls_error_message(), w->message) || !strstr(ls_error_message(), in))
            fail_msg("%s: expected '%s', got %d: %s", w->name, w->message, status, ls_error_message());
        assert_int_equal(folder_count(out), -1);
        assert_int_equal(folder_count(in), IDX_FILES);
    }
}

static void damaged_gzip_is_an_error(void **state)
{
    uint8_t data[512];
    char    path[FILES_PATH + 64];
    for (int k = 0; k < IDX_FILES; k++) {
        idx_put_all(in, 1);
        snprintf(path, sizeof path, "%s/%s.gz", in, idx_names[k]);
        size_t bytes = file_read(path, data, sizeof data);
        if (bytes < 20) fail_msg("%s: %zu bytes", path, bytes);
        data[bytes - 5] ^= 1; /* in its checksum */
        file_write(path, data, bytes);
        assert_int_equal(ls_import_mnist(in, out, 1), LS_ERR_DATA);
        assert_non_null(strstr(ls_error_message(), idx_names[k]));
        data[bytes - 5] ^= 1;
        file_write(path, data, bytes - 9); /* without its checksum and end */
        assert_int_equal(ls_import_mnist(in, out, 1), LS_ERR_DATA);
        assert_non_null(strstr(ls_error_message(), idx_names[k]));
        assert_int_equal(folder_count(out), -1);
    }
}

static void missing_files_are_named(void **state)
{
    char path[FILES_PATH + 64];
    idx_put_all(in, 0);
    snprintf(path, sizeof path, "%s/%s", in, idx_names[3]);
    unlink(path);
    assert_int_equal(ls_import_mnist(in, out, 1), LS_ERR_DATA);
    assert_non_null(strstr(ls_error_message(), idx_names[3]));
    assert_int_equal(folder_count(out), -1);
    assert_int_equal(ls_import_mnist("/nowhere", out, 1), LS_ERR_DATA);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(ls_import_mnist(in, out, 1), LS_ERR_DATA);
    assert_int_equal(rmdir(path), 0);
    idx_put_all(in, 0);
    assert_int_equal(ls_import_mnist(in, out, 13), LS_ERR_USAGE); /* more files than samples */
    assert_int_equal(folder_count(out), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(imports_plain_and_packed_files),
        cmocka_unit_test(wrong_files_are_named_and_leave_nothing),
        cmocka_unit_test(damaged_gzip_is_an_error),
        cmocka_unit_test(missing_files_are_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
