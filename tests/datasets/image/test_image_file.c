/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * Image files: a written image is read back; scaling keeps means and plain colours; damaged files are errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <jpeglib.h>

#include "tests/datasets/dataset_files_for_tests.h"

static char folder[FILES_PATH], path[FILES_PATH + 16];

static int setup(void **state)
{
    folder_make(folder);
    snprintf(path, sizeof path, "%s/picture", folder);
    return 0;
}

static int teardown(void **state)
{
    folder_remove(folder);
    return 0;
}

static void png_round_trip(void **state)
{
    enum { H = 5, W = 7 };
    uint8_t grey[H * W], colour[H * W * 3], found[3 * H * W];
    for (int i = 0; i < H * W; i++) grey[i] = (uint8_t)(i * 7);
    for (int i = 0; i < H * W * 3; i++) colour[i] = (uint8_t)(i * 2);
    assert_int_equal(ls_image_write(path, 1, H, W, grey), LS_OK);
    assert_int_equal(ls_image_read(path, NULL, 1, H, W, found), LS_OK);
    assert_memory_equal(found, grey, H * W);
    assert_int_equal(ls_image_write(path, 3, H, W, colour), LS_OK);
    assert_int_equal(ls_image_read(path, NULL, 3, H, W, found), LS_OK);
    for (int i = 0; i < H * W; i++)
        for (int c = 0; c < 3; c++) assert_int_equal(found[c * H * W + i], colour[3 * i + c]); /* planes */
    assert_int_equal(folder_count(folder), 1);
}

static void write_jpeg(int h, int w, const uint8_t *rgb, int progressive)
{
    struct jpeg_compress_struct j;
    struct jpeg_error_mgr       errors;
    FILE                       *f = fopen(path, "wb");
    j.err                         = jpeg_std_error(&errors);
    jpeg_create_compress(&j);
    jpeg_stdio_dest(&j, f);
    j.image_width = (JDIMENSION)w, j.image_height = (JDIMENSION)h, j.input_components = 3, j.in_color_space = JCS_RGB;
    jpeg_set_defaults(&j);
    jpeg_set_quality(&j, 98, TRUE);
    if (progressive) jpeg_simple_progression(&j);
    jpeg_start_compress(&j, TRUE);
    while (j.next_scanline < j.image_height) {
        JSAMPROW row = (JSAMPROW)(rgb + (size_t)j.next_scanline * (size_t)w * 3);
        jpeg_write_scanlines(&j, &row, 1);
    }
    jpeg_finish_compress(&j);
    jpeg_destroy_compress(&j);
    fclose(f);
}

static void jpeg_is_read(void **state)
{
    enum { H = 16, W = 24 };
    static uint8_t rgb[H * W * 3];
    uint8_t        found[3 * H * W];
    for (int i = 0; i < H * W; i++) rgb[3 * i] = 200, rgb[3 * i + 1] = 100, rgb[3 * i + 2] = (uint8_t)(i % W * 10);
    for (int progressive = 0; progressive < 2; progressive++) {
        write_jpeg(H, W, rgb, progressive);
        assert_int_equal(ls_image_read(path, NULL, 3, H, W, found), LS_OK);
        for (int i = 0; i < H * W; i++)
            for (int c = 0; c < 3; c++)
                assert_in_range(found[c * H * W + i] - rgb[3 * i + c] + 100, 100 - 12, 100 + 12);
    }
    assert_int_equal(ls_image_read(path, NULL, 1, H, W, found), LS_OK);
    assert_in_range(found[0], 112, 124); /* 0.299 x 200 + 0.587 x 100 = 118.5 */
}

static void scaling_keeps_plain_colours_and_means(void **state)
{
    enum { SIDE = 12 };
    uint8_t plain[SIDE * SIDE], steps[SIDE * SIDE], found[64 * 64];
    memset(plain, 137, sizeof plain);
    for (int i = 0; i < SIDE * SIDE; i++) steps[i] = (uint8_t)(i % SIDE < SIDE / 2 ? 0 : 200);
    static const int sizes[] = {1, 2, 3, 5, 11, 12, 13, 28, 64};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int n = sizes[k], sum = 0;
        assert_int_equal(ls_image_write(path, 1, SIDE, SIDE, plain), LS_OK);
        assert_int_equal(ls_image_read(path, NULL, 1, n, 64 / n, found), LS_OK);
        for (int i = 0; i < n * (64 / n); i++) assert_int_equal(found[i], 137);
        assert_int_equal(ls_image_write(path, 1, SIDE, SIDE, steps), LS_OK);
        assert_int_equal(ls_image_read(path, NULL, 1, n, n, found), LS_OK);
        for (int i = 0; i < n * n; i++) sum += found[i];
        assert_in_range(sum / (n * n), 98, 102);
        for (int i = 1; i < n * n; i++)
            if (i % n) assert_true(found[i] >= found[i - 1]);
    }
}

static void damaged_files_are_errors(void **state)
{
    enum { SIDE = 16 };
    static uint8_t rgb[SIDE * SIDE * 3], data[8192], found[3 * SIDE * SIDE];
    for (int i = 0; i < SIDE * SIDE * 3; i++) rgb[i] = (uint8_t)(i * i / 7);
    for (int kind = 0; kind < 3; kind++) {
        if (kind == 2)
            assert_int_equal(ls_image_write(path, 3, SIDE, SIDE, rgb), LS_OK);
        else
            write_jpeg(SIDE, SIDE, rgb, kind);
        size_t bytes = file_read(path, data, sizeof data);
        for (size_t n = 0; n + 14 < bytes; n++) { /* the last 14 bytes of a PNG file hold no pixels */
            file_write(path, data, n);
            assert_int_equal(ls_image_read(path, NULL, 3, SIDE, SIDE, found), LS_ERR_DATA);
        }
    }
    file_write(path, "GIF89a not a picture", 20);
    assert_int_equal(ls_image_read(path, NULL, 3, SIDE, SIDE, found), LS_ERR_DATA);
    assert_non_null(strstr(ls_error_message(), "is a GIF file"));
    assert_int_equal(ls_image_read("/nowhere.png", NULL, 3, SIDE, SIDE, found), LS_ERR_DATA);
    assert_int_equal(ls_image_read(folder, NULL, 3, SIDE, SIDE, found), LS_ERR_DATA);
    assert_int_equal(ls_image_read(path, NULL, 2, SIDE, SIDE, found), LS_ERR_USAGE);
    assert_int_equal(ls_image_write("/nowhere/x.png", 3, SIDE, SIDE, rgb), LS_ERR_ENV);
}

/* A header that claims 30,000 x 30,000 pixels is refused before they are allocated. */
static void huge_images_are_refused(void **state)
{
    static uint8_t data[8192];
    uint8_t        one[3] = {1, 2, 3};
    write_jpeg(1, 1, one, 0);
    size_t bytes = file_read(path, data, sizeof data);
    for (size_t i = 0; i + 9 < bytes; i++)
        if (data[i] == 0xff && data[i + 1] == 0xc0) data[i + 5] = data[i + 7] = 0x75;
    file_write(path, data, bytes);
    assert_int_equal(ls_image_read(path, NULL, 3, 1, 1, one), LS_ERR_DATA);
    assert_non_null(strstr(ls_error_message(), "expected at most"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_round_trip),
        cmocka_unit_test(jpeg_is_read),
        cmocka_unit_test(scaling_keeps_plain_colours_and_means),
        cmocka_unit_test(damaged_files_are_errors),
        cmocka_unit_test(huge_images_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
